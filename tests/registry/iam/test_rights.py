"""Who may manage identities: rights on ARNs with their paths, and the condition keys by which rights are delegated."""

import pytest

from tests.builders import unique_name
from tests.iam import Keys, admin, client, make_account, make_user, policy, refused, trusts
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

PULL = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
READ = policy(Action="ecr:Describe*", Resource="*")


@pytest.fixture
def delegate(shared_server, iam):
    """A function: a client of IAM for a new user who has just this policy."""
    opened = []

    def made(document):
        user, keys = make_user(shared_server, unique_name("bea"))
        iam.put_user_policy(UserName=user["UserName"], PolicyName="p", PolicyDocument=document)
        opened.append(client(shared_server, "iam", keys))
        return opened[-1].__enter__()

    yield made
    for one in opened:
        one.__exit__(None, None, None)


def test_a_right_is_on_an_arn_with_its_path(iam, delegate, name):
    iam.create_user(UserName=name, Path="/team/")
    iam.create_user(UserName=f"{name}-2", Path="/other/")
    bea = delegate(policy(Action="iam:*", Resource=f"arn:aws:iam::{ACCOUNT}:user/team/*"))

    assert bea.get_user(UserName=name)["User"]["Path"] == "/team/"
    assert bea.create_access_key(UserName=name)["AccessKey"]["UserName"] == name
    assert bea.create_user(UserName=f"{name}-3", Path="/team/")["User"]["Path"] == "/team/"
    assert bea.list_users(PathPrefix="/team/")["Users"]
    denied = refused(bea.get_user, UserName=f"{name}-2")
    assert denied[:2] == ("AccessDenied", 403)
    assert f"iam:GetUser on resource: arn:aws:iam::{ACCOUNT}:user/other/{name}-2 because" in denied.message
    for operation, parameters in (
        ("create_user", {"UserName": f"{name}-4", "Path": "/other/"}),
        ("create_user", {"UserName": f"{name}-4"}),
        ("list_users", {}),
        ("list_users", {"PathPrefix": "/"}),
        ("get_user", {"UserName": "nobody-at-all"}),
        ("list_groups", {"PathPrefix": "/team/"}),
    ):
        assert refused(getattr(bea, operation), **parameters).code == "AccessDenied", operation


def test_users_may_look_after_their_own_keys(shared_server, iam, name):
    user, keys = make_user(shared_server, name)
    own = policy(Action=["iam:*AccessKey*", "iam:GetUser"], Resource=f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}")
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=own)
    with client(shared_server, "iam", keys) as mine:
        assert mine.get_user()["User"]["Arn"] == user["Arn"]
        assert len(mine.list_access_keys()["AccessKeyMetadata"]) == 1
        second = mine.create_access_key()["AccessKey"]
        assert mine.get_access_key_last_used(AccessKeyId=second["AccessKeyId"])["UserName"] == name
        mine.delete_access_key(AccessKeyId=second["AccessKeyId"])
        iam.create_user(UserName=f"{name}-2")
        assert refused(mine.create_access_key, UserName=f"{name}-2").code == "AccessDenied"
        assert refused(mine.list_users).code == "AccessDenied"


def test_a_role_session_has_no_user_to_be_meant(shared_server, iam, name):
    user, keys = make_user(shared_server, name)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts(user["Arn"]))["Role"]
    iam.attach_role_policy(RoleName=name, PolicyArn=ADMIN)
    with client(shared_server, "sts", keys) as sts:
        made = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="s1")["Credentials"]
    with client(shared_server, "iam", Keys.of(made)) as session:
        assert session.get_user(UserName=name)["User"]["UserName"] == name
        assert refused(session.get_user) == (
            "ValidationError",
            400,
            "Must specify userName when calling with non-User credentials",
        )


def test_only_some_policies_may_be_attached(iam, delegate, name):
    iam.create_user(UserName=name)
    only_pull = {"ArnEquals": {"iam:PolicyARN": PULL}}
    bea = delegate(policy(Action="iam:AttachUserPolicy", Resource="*", Condition=only_pull))
    bea.attach_user_policy(UserName=name, PolicyArn=PULL)

    assert refused(bea.attach_user_policy, UserName=name, PolicyArn=ADMIN).code == "AccessDenied"
    assert [one["PolicyArn"] for one in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]] == [PULL]


def test_who_creates_users_may_be_held_to_bound_them(iam, delegate, name):
    """The way to delegate: nobody gets more than the boundary, and nobody gets rid of it."""
    bound = {"StringEquals": {"iam:PermissionsBoundary": PULL}}
    bea = delegate(
        policy(
            Action=["iam:CreateUser", "iam:PutUserPolicy", "iam:AttachUserPolicy", "iam:PutUserPermissionsBoundary"],
            Resource="*",
            Condition=bound,
        )
    )
    iam.create_user(UserName=f"{name}-free")

    assert refused(bea.create_user, UserName=name).code == "AccessDenied"
    assert refused(bea.create_user, UserName=name, PermissionsBoundary=ADMIN).code == "AccessDenied"
    bea.create_user(UserName=name, PermissionsBoundary=PULL)
    bea.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=READ)
    bea.attach_user_policy(UserName=name, PolicyArn=ADMIN)
    assert refused(bea.put_user_policy, UserName=f"{name}-free", PolicyName="p", PolicyDocument=READ).status == 403
    assert refused(bea.put_user_permissions_boundary, UserName=name, PermissionsBoundary=ADMIN).status == 403
    assert refused(bea.delete_user_permissions_boundary, UserName=name).code == "AccessDenied"


def test_rights_by_the_tags_of_a_user_and_of_a_request(iam, delegate, name):
    iam.create_user(UserName=name, Tags=[{"Key": "team", "Value": "x"}])
    iam.create_user(UserName=f"{name}-2", Tags=[{"Key": "team", "Value": "y"}])
    bea = delegate(
        policy(
            {"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*",
             "Condition": {"StringEquals": {"iam:ResourceTag/team": "x"}}},
            {"Effect": "Allow", "Action": "iam:CreateUser", "Resource": "*",
             "Condition": {"StringEquals": {"aws:RequestTag/team": "x"}}},
        )
    )  # fmt: skip

    assert bea.get_user(UserName=name)["User"]["UserName"] == name
    assert refused(bea.get_user, UserName=f"{name}-2").code == "AccessDenied"
    assert refused(bea.create_user, UserName=f"{name}-3").code == "AccessDenied"
    assert bea.create_user(UserName=f"{name}-3", Tags=[{"Key": "team", "Value": "x"}])["User"]["UserName"]


def test_a_role_is_passed_on_only_by_who_may(iam, delegate, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts(ACCOUNT))
    iam.create_instance_profile(InstanceProfileName=name)
    bea = delegate(policy(Action="iam:AddRoleToInstanceProfile", Resource="*"))

    assert "iam:PassRole" in refused(bea.add_role_to_instance_profile, InstanceProfileName=name, RoleName=name).message


def test_a_service_control_policy_bounds_the_root_user_too(shared_server):
    account, keys = make_account(shared_server)
    with client(shared_server, "iam", keys) as iam:
        assert iam.list_users()["Users"] == []
        put = admin(shared_server, "scp", "put", account, "-", text=policy(Action="ecr:*", Resource="*"))
        assert put.returncode == 0
        assert refused(iam.list_users).code == "AccessDenied"
