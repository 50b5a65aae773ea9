"""Names that come again (T03): whoever gets the name of somebody who is gone gets nothing else of theirs."""

import pytest

from tests.builders import image, push, unique_name
from tests.iam import Keys, caller, client, make_user, policy, refused, trusts
from tests.servers import ACCOUNT, basic

pytestmark = pytest.mark.real("boto3")

EVERYTHING = policy(Action="*", Resource="*")
INVALID = "InvalidClientTokenId"


@pytest.fixture
def iam(shared_server):
    with shared_server.client("iam") as made:
        yield made


@pytest.fixture
def name():
    return unique_name("ann")


def recreate(server, iam, name):
    """The same name for somebody else."""
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    for inline in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=inline)
    for group in iam.list_groups_for_user(UserName=name)["Groups"]:
        iam.remove_user_from_group(UserName=name, GroupName=group["GroupName"])
    iam.delete_user(UserName=name)
    return make_user(server, name)


def test_T03_keys_sessions_and_logins_of_a_user_end_with_the_user(shared_server, iam, name):
    _, keys = make_user(shared_server, name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=EVERYTHING)
    with client(shared_server, "sts", keys) as sts:
        session = Keys.of(sts.get_session_token()["Credentials"])
    with client(shared_server, "ecr", keys) as ecr:
        login = "Basic " + ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    bearer = "Bearer " + shared_server.request("GET", "/token", auth=login).json["token"]
    recreate(shared_server, iam, name)

    for old in (keys, session):
        with client(shared_server, "sts", old) as sts:
            assert refused(sts.get_caller_identity).code == INVALID
    for auth in (login, bearer, basic(keys.access_key_id, keys.secret)):
        assert shared_server.request("GET", "/v2/", auth=auth).status == 401


def test_T03_a_repository_policy_means_the_user_that_it_was_put_for(shared_server, iam, name):
    user, keys = make_user(shared_server, name)
    repository = unique_name("app")
    shared_server.create(repository)
    push(shared_server, repository, image(), "v1")
    grant = policy(
        Principal={"AWS": user["Arn"]}, Action=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:ListImages"]
    )
    with shared_server.client("ecr") as ecr:
        ecr.set_repository_policy(repositoryName=repository, policyText=grant)

    def pull(keys):
        path = f"/v2/{repository}/manifests/v1"
        return shared_server.request("GET", path, auth=basic(keys.access_key_id, keys.secret)).status

    assert pull(keys) == 200
    iam.update_user(UserName=name, NewUserName=f"{name}-2", NewPath="/moved/")
    assert pull(keys) == 200  # the same person under another name
    iam.update_user(UserName=f"{name}-2", NewUserName=name, NewPath="/")
    _, stranger = recreate(shared_server, iam, name)
    assert pull(stranger) == 403


def test_T03_a_deny_that_excepts_somebody_who_is_gone_excepts_nobody(shared_server, iam, name):
    user, _ = make_user(shared_server, name)
    repository = unique_name("app")
    shared_server.create(repository)
    deny = policy({"Effect": "Deny", "NotPrincipal": {"AWS": [user["Arn"], f"arn:aws:iam::{ACCOUNT}:root"]},
                   "Action": "ecr:ListImages"})  # fmt: skip
    with shared_server.client("ecr") as ecr:
        ecr.set_repository_policy(repositoryName=repository, policyText=deny)
    _, stranger = recreate(shared_server, iam, name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=EVERYTHING)
    with client(shared_server, "ecr", stranger) as ecr:
        assert "explicit deny" in refused(ecr.list_images, repositoryName=repository).message


def test_T03_a_trust_policy_means_the_user_that_it_was_put_for(shared_server, iam, name):
    user, keys = make_user(shared_server, name)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts(user["Arn"]))["Role"]

    def assume(keys):
        with client(shared_server, "sts", keys) as sts:
            return sts.assume_role(RoleArn=role["Arn"], RoleSessionName="s1")

    assert assume(keys)["Credentials"]
    iam.update_user(UserName=name, NewUserName=f"{name}-2")
    assert assume(keys)["Credentials"]
    iam.update_user(UserName=f"{name}-2", NewUserName=name)
    _, stranger = recreate(shared_server, iam, name)
    assert refused(assume, keys=stranger).code == "AccessDenied"


def test_T03_a_recreated_role_is_another_role(shared_server, iam, name):
    user, keys = make_user(shared_server, name)
    trusted = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts(user["Arn"]))["Role"]
    behind = iam.create_role(RoleName=f"{name}-b", AssumeRolePolicyDocument=trusts(trusted["Arn"]))["Role"]

    def assume(role, keys):
        with client(shared_server, "sts", keys) as sts:
            made = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="s1")["Credentials"]
            return Keys.of(made)

    old = assume(trusted, keys)
    assert caller(shared_server, assume(behind, old))["Arn"].startswith("arn:aws:sts::")
    iam.delete_role(RoleName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts(user["Arn"]))
    new = assume(trusted, keys)

    assert caller(shared_server, new)["Arn"].endswith(f"/{name}/s1")
    assert refused(assume, role=behind, keys=new).code == "AccessDenied"
    assert refused(assume, role=behind, keys=old).code == INVALID


def test_T03_a_recreated_policy_hangs_on_nobody(shared_server, iam, name):
    """It cannot be deleted while it hangs on somebody, so there is nothing to inherit."""
    arn = iam.create_policy(PolicyName=name, PolicyDocument=EVERYTHING)["Policy"]["Arn"]
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    assert refused(iam.delete_policy, PolicyArn=arn).code == "DeleteConflict"
    iam.detach_user_policy(UserName=name, PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    again = iam.create_policy(PolicyName=name, PolicyDocument=EVERYTHING)["Policy"]

    assert again["Arn"] == arn and again["AttachmentCount"] == 0
    assert iam.list_attached_user_policies(UserName=name)["AttachedPolicies"] == []


def test_T03_a_session_policy_that_is_gone_allows_nothing(shared_server, iam, name):
    user, keys = make_user(shared_server, name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=EVERYTHING)
    arn = iam.create_policy(PolicyName=name, PolicyDocument=EVERYTHING)["Policy"]["Arn"]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts(user["Arn"]))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=EVERYTHING)
    with client(shared_server, "sts", keys) as sts:
        made = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="s1", PolicyArns=[{"arn": arn}])
    with client(shared_server, "ecr", Keys.of(made["Credentials"])) as ecr:
        assert ecr.describe_registry()["registryId"] == ACCOUNT
        iam.delete_policy(PolicyArn=arn)
        iam.create_policy(PolicyName=name, PolicyDocument=EVERYTHING)
        assert refused(ecr.describe_registry).code == "AccessDeniedException"
