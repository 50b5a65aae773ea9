"""Who may do what, asked from outside: real clients, two workers, policies of every kind."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import builders
from tests.builders import image, push, unique_name
from tests.commands import longshore
from tests.iam import Keys, client, make_user, policy, refused
from tests.servers import ACCOUNT, REGION, RunningServer, basic

OTHER = "111122223333"
PULL_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

pytestmark = pytest.mark.real("boto3")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("rights") / "data", "--workers", "2")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def other_root(server: RunningServer) -> Keys:
    """The root key of a second account, made beside the running server."""
    made = longshore("admin", "account", "create", OTHER, "--data", server.data, "--output", "json").json
    return Keys(made["accessKeyId"], made["secretAccessKey"])


@pytest.fixture
def repository(server: RunningServer) -> str:
    """With one image, `v1`."""
    name = unique_name()
    server.create(name)
    push(server, name, image(), "v1")
    return name


def arn_of(name: str, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:ecr:{region}:{account}:repository/{name}"


def user(server: RunningServer, *documents: str, attached: tuple[str, ...] = (), **more: Any) -> tuple[str, Keys]:
    """A user with these inline and managed policies: name and key."""
    name = unique_name("user")
    _, keys = make_user(server, name, **more)
    with client(server, "iam", more.get("keys")) as iam:
        for number, document in enumerate(documents):
            iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=document)
        for arn in attached:
            iam.attach_user_policy(UserName=name, PolicyArn=arn)
    return name, keys


def allow(*actions: str, on: str | list[str] = "*", **more: Any) -> str:
    return policy(Action=list(actions), Resource=on, **more)


def ask(server: RunningServer, keys: Keys | None, method: str, path: str, /, body: Any = None, **headers: Any) -> Any:
    """A request at /v2/ with the key as Basic credentials; None: with a token for nobody."""
    if keys is None:
        token = server.request("GET", "/token", auth=None).json["token"]
        return server.request(method, path, body, headers, auth=f"Bearer {token}")
    return server.request(method, path, body, headers, auth=basic(keys.access_key_id, keys.secret))


def pulls(server: RunningServer, keys: Keys | None, repository: str, **headers: str) -> int:
    """The status of a manifest's GET by tag."""
    return int(ask(server, keys, "GET", f"/v2/{repository}/manifests/v1", **headers).status)


def host_of(server: RunningServer, account: str) -> str:
    return f"{account}.dkr.ecr.{REGION}.localhost:{server.netloc.rpartition(':')[2]}"


# --- identity policies ------------------------------------------------------------------------------------------------


def test_who_has_no_policy_may_do_nothing(server, repository):
    name, keys = user(server)
    answer = ask(server, keys, "GET", f"/v2/{repository}/manifests/v1")
    with client(server, "ecr", keys) as ecr:
        told = refused(ecr.list_images, repositoryName=repository)

    assert (answer.status, answer.code) == (403, "DENIED")
    assert answer.json["errors"][0]["message"] == (
        f"User: arn:aws:iam::{ACCOUNT}:user/{name} is not authorized to perform: ecr:BatchGetImage on resource: "
        f"{arn_of(repository)} because no identity-based policy allows the ecr:BatchGetImage action"
    )
    assert told.code == "AccessDeniedException"
    assert told.message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/{name} is not authorized to perform: ecr:ListImages on resource: "
        f"{arn_of(repository)} because no identity-based policy allows the ecr:ListImages action"
    )


def test_a_managed_policy_of_aws_lets_pull_and_nothing_else(server, repository):
    _, keys = user(server, attached=(PULL_ONLY,))
    blob = builders.digest_of(b"1")
    with client(server, "ecr", keys) as ecr:
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]

    assert pulls(server, keys, repository) == 200
    assert server.request("GET", f"/v2/{repository}/manifests/v1", auth=f"Basic {token}").status == 200
    for method, path in (
        ("POST", "blobs/uploads/"),
        ("PUT", "manifests/v2"),
        ("DELETE", "manifests/v1"),
        ("DELETE", f"blobs/{blob}"),
        ("GET", "tags/list"),
    ):
        assert ask(server, keys, method, f"/v2/{repository}/{path}").status == 403, (method, path)


def test_a_prefix_is_a_teams_own(server):
    team = unique_name("team")
    for name in (f"{team}/app", f"{team}/tool", f"{team}er/app"):
        server.create(name)
    _, keys = user(server, allow("ecr:*", on=arn_of(f"{team}/*")), allow("ecr:GetAuthorizationToken"))
    mine = {f"{team}/app", f"{team}/tool", f"{team}/new"}
    with client(server, "ecr", keys) as ecr:
        ecr.create_repository(repositoryName=f"{team}/new")
        told = refused(ecr.create_repository, repositoryName=f"{team}er/new")
        pages = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})
        listed = [one["repositoryName"] for page in pages for one in page["repositories"]]
        named = refused(ecr.describe_repositories, repositoryNames=[f"{team}/app", f"{team}er/app"])
    catalog = ask(server, keys, "GET", "/v2/_catalog?n=2")

    assert told.code == named.code == "AccessDeniedException"
    assert set(listed) == mine and len(listed) == 3
    assert catalog.json["repositories"] == sorted(mine)[:2]
    assert f"last={sorted(mine)[1].replace('/', '%2F')}" in catalog.headers["Link"]


def test_who_may_describe_nothing_is_told_so(server, repository):
    _, keys = user(server, allow("ecr:BatchGetImage"))
    with client(server, "ecr", keys) as ecr:
        told = refused(ecr.describe_repositories)

    assert told.code == "AccessDeniedException"
    assert ask(server, keys, "GET", "/v2/_catalog").status == 403
    assert server.request("GET", "/v2/_catalog", auth=None).status == 401


def test_absent_and_forbidden_look_alike(server, repository):
    _, keys = user(server, allow("ecr:*", on=arn_of("elsewhere")))
    absent = unique_name("absent")
    there, gone = (ask(server, keys, "GET", f"/v2/{name}/manifests/v1") for name in (repository, absent))
    nobody = [server.request("GET", f"/v2/{name}/manifests/v1", auth=None) for name in (repository, absent)]

    assert there.status == gone.status == 403
    assert there.body.replace(repository.encode(), b"") == gone.body.replace(absent.encode(), b"")
    assert nobody[0].status == nobody[1].status == 401
    assert nobody[0].body == nobody[1].body


def test_a_group_lends_its_policies_and_takes_them_back(server, repository):
    name, keys = user(server)
    group = unique_name("group")
    with server.client("iam") as iam:
        iam.create_group(GroupName=group)
        iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=allow("ecr:BatchGetImage"))
        before = pulls(server, keys, repository)
        iam.add_user_to_group(GroupName=group, UserName=name)
        within = [pulls(server, keys, repository) for _ in range(4)]
        iam.remove_user_from_group(GroupName=group, UserName=name)

    assert (before, within) == (403, [200] * 4)
    assert [pulls(server, keys, repository) for _ in range(4)] == [403] * 4


def test_a_boundary_bounds(server, repository):
    name, keys = user(server, allow("ecr:*"))
    with server.client("iam") as iam:
        bound = iam.create_policy(PolicyName=unique_name("bound"), PolicyDocument=allow("ecr:BatchGetImage"))
        iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=bound["Policy"]["Arn"])
        refusal = ask(server, keys, "GET", f"/v2/{repository}/tags/list")
        bounded = pulls(server, keys, repository)
        iam.delete_user_permissions_boundary(UserName=name)

    assert bounded == 200
    assert refusal.status == 403
    assert "because no permissions boundary allows the ecr:ListImages action" in refusal.body.decode()
    assert ask(server, keys, "GET", f"/v2/{repository}/tags/list").status == 200


def test_a_deny_beats_every_allow(server, repository):
    deny = policy({"Effect": "Deny", "Action": "ecr:Batch*", "Resource": arn_of(repository)})
    _, keys = user(server, allow("*"), deny)
    answer = ask(server, keys, "GET", f"/v2/{repository}/manifests/v1")

    assert answer.status == 403
    assert "with an explicit deny in an identity-based policy" in answer.body.decode()
    assert ask(server, keys, "GET", f"/v2/{repository}/tags/list").status == 200


# --- conditions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, 200),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, 403),
        ({"Bool": {"aws:SecureTransport": "true"}}, 403),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, 403),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, 200),
        ({"StringLike": {"aws:UserAgent": "docker/*"}}, 403),
        ({"StringEquals": {"aws:ResourceTag/team": "blue"}}, 200),
        ({"StringEquals": {"ecr:ResourceTag/Team": "blue"}}, 200),
        ({"StringEquals": {"ecr:ResourceTag/team": "red"}}, 403),
        ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT, "aws:RequestedRegion": REGION}}, 200),
        ({"StringLike": {"aws:username": "user-*"}}, 200),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/other-*"}}, 403),
        ({"Null": {"aws:MultiFactorAuthPresent": "false"}}, 403),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_a_condition_holds_or_not(server, repository, condition, status):
    with server.client() as ecr:
        ecr.tag_resource(resourceArn=arn_of(repository), tags=[{"Key": "team", "Value": "blue"}])
    _, keys = user(server, allow("ecr:BatchGetImage", Condition=condition))

    assert [pulls(server, keys, repository) for _ in range(2)] == [status] * 2


def test_what_a_request_tags_is_a_condition_key(server):
    wanted = {
        "StringEquals": {"aws:RequestTag/team": "blue"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "env"]},
    }
    _, keys = user(server, allow("ecr:CreateRepository", "ecr:TagResource", Condition=wanted))
    blue, red = ({"Key": "team", "Value": value} for value in ("blue", "red"))
    with client(server, "ecr", keys) as ecr:
        made = ecr.create_repository(repositoryName=unique_name(), tags=[blue])["repository"]
        told = [
            refused(ecr.create_repository, repositoryName=unique_name(), tags=tags).code
            for tags in ([red], [], [blue, {"Key": "cost", "Value": "1"}])
        ]
        more = refused(ecr.tag_resource, resourceArn=made["repositoryArn"], tags=[red]).code

    assert told == ["AccessDeniedException"] * 3
    assert more == "AccessDeniedException"


def test_tags_with_the_call_need_a_right_of_their_own(server):
    _, keys = user(server, allow("ecr:CreateRepository"))
    with client(server, "ecr", keys) as ecr:
        told = refused(ecr.create_repository, repositoryName=unique_name(), tags=[{"Key": "a", "Value": "b"}])
        ecr.create_repository(repositoryName=unique_name())

    assert told.code == "AccessDeniedException" and "ecr:TagResource" in told.message


# --- resource policies ------------------------------------------------------------------------------------------------


def grant(*principals: str, actions: list[str] | None = None, effect: str = "Allow", **more: Any) -> str:
    who: Any = "*" if principals == ("*",) else {"AWS": list(principals)}
    return policy({"Effect": effect, "Principal": who, "Action": actions or PULL, **more})


@contextlib.contextmanager
def repository_policy(server: RunningServer, repository: str, text: str, **more: Any) -> Iterator[None]:
    with server.client() as ecr:
        ecr.set_repository_policy(repositoryName=repository, policyText=text, **more)
        yield
        ecr.delete_repository_policy(repositoryName=repository)


def test_everyone_pulls_where_a_policy_grants_it_and_nowhere_else(server, repository):
    open_one = unique_name()
    server.create(open_one)
    built = image()
    push(server, open_one, built, "v1")
    blob = f"/v2/{open_one}/blobs/{built.document['layers'][0]['digest']}"
    closed = [pulls(server, None, open_one), server.request("GET", f"/v2/{open_one}/manifests/v1", auth=None).status]
    with repository_policy(server, open_one, grant("*")):
        opened = [
            pulls(server, None, open_one),
            server.request("GET", f"/v2/{open_one}/manifests/v1", auth=None).status,
            server.request("HEAD", blob, auth=None).status,
            server.request("GET", blob, auth=None).status,
        ]
        others = [
            pulls(server, None, repository),
            server.request("GET", "/v2/", auth=None).status,
            server.request("GET", f"/v2/{open_one}/tags/list", auth=None).status,
            server.request("PUT", f"/v2/{open_one}/manifests/v2", built.body, auth=None).status,
            server.request("POST", f"/v2/{open_one}/blobs/uploads/", auth=None).status,
            server.request("DELETE", f"/v2/{open_one}/manifests/v1", auth=None).status,
        ]

    assert closed == [401, 401]
    assert opened == [200] * 4
    assert others == [401] * 6
    assert pulls(server, None, open_one) == 401


def test_another_account_pulls_when_both_sides_allow_and_not_before(server, other_root, repository):
    name, keys = user(server, keys=other_root)
    host = {"Host": host_of(server, ACCOUNT)}
    theirs = f"arn:aws:iam::{OTHER}:user/{name}"
    neither = pulls(server, keys, repository, **host)
    with client(server, "iam", other_root) as iam:
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allow(*PULL))
        identity_only = ask(server, keys, "GET", f"/v2/{repository}/manifests/v1", **host)
        with repository_policy(server, repository, grant(theirs)):
            both = pulls(server, keys, repository, **host)
            iam.delete_user_policy(UserName=name, PolicyName="p")
            resource_only = ask(server, keys, "GET", f"/v2/{repository}/manifests/v1", **host)

    assert (neither, identity_only.status, both, resource_only.status) == (403, 403, 200, 403)
    assert "because no resource-based policy allows the ecr:BatchGetImage action" in identity_only.body.decode()
    assert "because no identity-based policy allows the ecr:BatchGetImage action" in resource_only.body.decode()


def test_registry_id_opens_nothing_by_itself(server, other_root, repository):
    """T36: the account that is asked is the resource's, and its grant is needed whatever the caller names."""
    _, keys = user(server, allow("ecr:*"), keys=other_root)
    with client(server, "ecr", keys) as ecr:
        named = refused(ecr.list_images, registryId=ACCOUNT, repositoryName=repository)
        own = refused(ecr.list_images, repositoryName=repository)
        with repository_policy(server, repository, grant(OTHER, actions=["ecr:ListImages"])):
            listed = ecr.list_images(registryId=ACCOUNT, repositoryName=repository)["imageIds"]

    assert named.code == "AccessDeniedException"
    assert own.code == "RepositoryNotFoundException"
    assert [one["imageTag"] for one in listed] == ["v1"]


def test_the_root_user_of_another_account_needs_the_grant_too(server, other_root, repository):
    host = {"Host": host_of(server, ACCOUNT)}
    before = pulls(server, other_root, repository, **host)
    with repository_policy(server, repository, grant(f"arn:aws:iam::{OTHER}:root")):
        within = pulls(server, other_root, repository, **host)

    assert (before, within) == (403, 200)


def test_a_resource_policy_denies_its_own_account(server, repository):
    with repository_policy(server, repository, grant("*", effect="Deny", actions=["ecr:BatchGetImage"])):
        answer = server.request("GET", f"/v2/{repository}/manifests/v1")

    assert answer.status == 403
    assert "with an explicit deny in a resource-based policy" in answer.body.decode()
    assert server.request("GET", f"/v2/{repository}/manifests/v1").status == 200


def test_a_policy_that_locks_its_author_out_needs_force(server, repository):
    locked = grant("*", effect="Deny", actions=["ecr:SetRepositoryPolicy"])
    with server.client() as ecr:
        told = refused(ecr.set_repository_policy, repositoryName=repository, policyText=locked)
        none = refused(ecr.get_repository_policy, repositoryName=repository)
        ecr.set_repository_policy(repositoryName=repository, policyText=locked, force=True)
        again = refused(ecr.set_repository_policy, repositoryName=repository, policyText=grant("*"), force=True)
        ecr.delete_repository_policy(repositoryName=repository)

    assert (told.code, none.code) == ("InvalidParameterException", "RepositoryPolicyNotFoundException")
    assert "force" in told.message
    assert again.code == "AccessDeniedException"


def test_a_registry_policy_speaks_for_all_repositories_and_under_v1_for_three_actions(server, other_root, repository):
    _, keys = user(server, allow("ecr:*"), keys=other_root)
    host = {"Host": host_of(server, ACCOUNT)}
    text = grant(OTHER, Resource=arn_of("*"))
    with server.client() as ecr:
        ecr.put_registry_policy(policyText=text)
        under_v2 = pulls(server, keys, repository, **host)
        ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V1")
        under_v1 = pulls(server, keys, repository, **host)
        ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
        ecr.delete_registry_policy()

    assert (under_v2, under_v1) == (200, 403)
    assert pulls(server, keys, repository, **host) == 403


def test_a_new_user_of_an_old_name_inherits_no_grant(server, repository):
    """T03: a policy means who had the name when it was put."""
    name, keys = user(server)
    arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    with repository_policy(server, repository, grant(arn)):
        first = pulls(server, keys, repository)
        with server.client("iam") as iam:
            iam.delete_access_key(UserName=name, AccessKeyId=keys.access_key_id)
            iam.delete_user(UserName=name)
        _, again = make_user(server, name)
        second = pulls(server, again, repository)
        with server.client() as ecr:
            ecr.set_repository_policy(repositoryName=repository, policyText=grant(arn))
        third = pulls(server, again, repository)

    assert (first, second, third) == (200, 403, 200)


def deleted_and_made_again(server: RunningServer, name: str, keys: Keys) -> Keys:
    """The key of another user of the same name."""
    with server.client("iam") as iam:
        iam.delete_access_key(UserName=name, AccessKeyId=keys.access_key_id)
        iam.delete_user(UserName=name)
    return make_user(server, name)[1]


@contextlib.contextmanager
def registry_policy(server: RunningServer, text: str) -> Iterator[None]:
    with server.client() as ecr:
        ecr.put_registry_policy(policyText=text)
        yield
        ecr.delete_registry_policy()


def test_a_new_user_of_an_old_name_inherits_nothing_of_a_registry_policy(server, repository):
    """T03, for the registry's own policy."""
    name, keys = user(server)
    text = grant(f"arn:aws:iam::{ACCOUNT}:user/{name}", Resource=arn_of("*"))
    with registry_policy(server, text):
        first = pulls(server, keys, repository)
        again = deleted_and_made_again(server, name, keys)
        second = pulls(server, again, repository)
        with server.client() as ecr:
            ecr.put_registry_policy(policyText=text)
            shown = ecr.get_registry_policy()["policyText"]
        third = pulls(server, again, repository)

    assert (first, second, third) == (200, 403, 200)
    assert shown == text


def test_a_new_role_of_an_old_name_inherits_nothing_of_a_registry_policy(server, repository):
    name = unique_name("role")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    trust = grant(ACCOUNT, actions=["sts:AssumeRole"])
    _, keys = user(server, allow("sts:AssumeRole"))

    def as_role() -> int:
        with client(server, "sts", keys) as sts:
            session = Keys.of(sts.assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"])
        with client(server, "ecr", session) as ecr:
            login = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        path = f"/v2/{repository}/manifests/v1"
        return server.request("GET", path, auth=f"Basic {login}").status

    def made() -> None:
        with server.client("iam") as iam:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allow("ecr:GetAuthorizationToken"))

    made()
    with registry_policy(server, grant(arn, Resource=arn_of("*"))):
        first = as_role()
        with server.client("iam") as iam:
            iam.delete_role_policy(RoleName=name, PolicyName="p")
            iam.delete_role(RoleName=name)
        made()
        second = as_role()

    assert (first, second) == (200, 403)


def test_a_renamed_user_keeps_what_a_registry_policy_grants_and_denies(server, repository):
    """The policy means the person, not the name; so nobody renames themselves out of a Deny."""
    name, keys = user(server, allow(*PULL))
    text = grant(f"arn:aws:iam::{ACCOUNT}:user/{name}", effect="Deny", Resource=arn_of("*"))
    with registry_policy(server, text):
        before = pulls(server, keys, repository)
        with server.client("iam") as iam:
            iam.update_user(UserName=name, NewUserName=f"{name}-new")
        after = pulls(server, keys, repository)

    assert (before, after, pulls(server, keys, repository)) == (403, 403, 200)


def test_a_registry_policy_that_names_nobody_is_refused(server):
    with server.client() as ecr:
        nobody = grant(f"arn:aws:iam::{ACCOUNT}:user/nobody", Resource=arn_of("*"))
        told = refused(ecr.put_registry_policy, policyText=nobody)
        none = refused(ecr.get_registry_policy)

    assert told.code == "InvalidParameterException"
    assert "there is no arn:aws:iam::000000000000:user/nobody" in told.message
    assert none.code == "RegistryPolicyNotFoundException"


def test_a_registry_policy_may_name_accounts_that_live_elsewhere(server):
    text = grant("arn:aws:iam::999999999999:user/somebody", Resource=arn_of("*"))
    with registry_policy(server, text), server.client() as ecr:
        shown = ecr.get_registry_policy()["policyText"]

    assert shown == text


def test_a_policy_that_names_nobody_is_refused(server, repository):
    with server.client() as ecr:
        told = refused(
            ecr.set_repository_policy,
            repositoryName=repository,
            policyText=grant(f"arn:aws:iam::{ACCOUNT}:role/nobody"),
        )

    assert told.code == "InvalidParameterException"


@pytest.mark.parametrize("source", ["unreadable", "other-account", "absent"])
def test_a_blob_is_mounted_only_from_where_the_caller_may_read(server, other_root, source):
    """T11: whatever the reason, the client is told to upload, and learns nothing."""
    data = builders.unique_bytes()
    mine, theirs = unique_name("mine"), unique_name("theirs")
    server.create(mine)
    server.create(theirs)
    digest = builders.push_blob(server, theirs, data)
    if source == "absent":
        digest = builders.digest_of(builders.unique_bytes())
    _, keys = user(server, allow("ecr:*", on=arn_of(mine)))
    asking = other_root if source == "other-account" else keys
    if source == "other-account":
        with client(server, "ecr", other_root) as ecr:
            ecr.create_repository(repositoryName=mine)
    host = {"Host": host_of(server, OTHER)} if source == "other-account" else {}
    answers = [
        ask(server, asking, "POST", f"/v2/{mine}/blobs/uploads/?mount={digest}{more}", **host)
        for more in (f"&from={theirs}", "")
    ]

    assert [answer.status for answer in answers] == [202, 202]
    assert ask(server, asking, "HEAD", f"/v2/{mine}/blobs/{digest}", **host).status == 404


def test_a_registry_that_is_open_to_everyone_asks_nobody(start_server):
    """auth.challenge = none: for `/v2/` itself; policies decide as ever."""
    server = start_server(LONGSHORE_AUTH__CHALLENGE="none")
    server.create("open")
    server.create("closed")
    with server.client() as ecr:
        ecr.set_repository_policy(repositoryName="open", policyText=grant("*", actions=["ecr:*"]))
    opened, closed = (server.request("POST", f"/v2/{name}/blobs/uploads/", auth=None) for name in ("open", "closed"))

    assert server.request("GET", "/v2/", auth=None).status == 200
    assert (opened.status, closed.status) == (202, 401)
    assert closed.headers["WWW-Authenticate"].startswith("Bearer ")


# --- rights that later doors will ask for -----------------------------------------------------------------------------


def explained(server: RunningServer, principal: str, action: str, resource: str) -> str:
    ran = longshore(
        "policy", "explain", "--data", server.data, "--principal", principal, "--action", action,
        "--resource", resource, "--output", "json",
    )  # fmt: skip
    return str(ran.json["decision"])


def test_replication_is_the_destinations_to_grant_by_repository(server, other_root):
    """T40: to the source account's identity, for the repositories that the registry policy names."""
    source = f"arn:aws:iam::{OTHER}:root"
    text = grant(source, actions=["ecr:ReplicateImage"], Resource=arn_of("prod-*"))
    with server.client() as ecr:
        before = explained(server, source, "ecr:ReplicateImage", arn_of("prod-app"))
        ecr.put_registry_policy(policyText=text)
        within = [
            explained(server, source, "ecr:ReplicateImage", arn_of("prod-app")),
            explained(server, source, "ecr:ReplicateImage", arn_of("dev-app")),
            explained(server, source, "ecr:CreateRepository", arn_of("prod-app")),
        ]
        ecr.delete_registry_policy()

    assert before == "implicitDeny"
    assert within == ["allowed", "implicitDeny", "implicitDeny"]


def test_pulling_does_not_bring_the_right_to_import(server, repository):
    """T45: a cache that fills itself needs BatchImportUpstreamImage and CreateRepository."""
    name, _ = user(server, allow(*PULL))
    principal = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    decisions = {
        action: explained(server, principal, action, arn_of("cache/new"))
        for action in ("ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository")
    }

    assert decisions == {
        "ecr:BatchGetImage": "allowed",
        "ecr:BatchImportUpstreamImage": "implicitDeny",
        "ecr:CreateRepository": "implicitDeny",
    }


def test_who_may_only_pull_brings_no_repository_about(server):
    """T45, at the door: a name that is not here yet is not made by asking for it."""
    _, keys = user(server, allow(*PULL))
    name = unique_name("cache/new")
    auth = basic(keys.access_key_id, keys.secret)
    asked = [server.request(method, f"/v2/{name}/manifests/v1", auth=auth).status for method in ("HEAD", "GET")]
    pushed = server.request("POST", f"/v2/{name}/blobs/uploads/", auth=auth).status

    assert (set(asked), pushed) == ({404}, 403)
    assert name not in server.request("GET", "/v2/_catalog?n=1000").json["repositories"]


def test_an_agents_rights_end_at_its_own_instance_and_with_its_key(server):
    """T57, as far as identities go: one policy for all agents, and each may act for the instance of its name alone."""
    instances = f"arn:aws:ecs:us-east-1:{ACCOUNT}:container-instance/prod/"
    actions = ["ecs:Poll", "ecs:SubmitTaskStateChange", "ecs:StartTelemetrySession"]
    agents = [user(server, allow(*actions, on=instances + "${aws:username}")) for _ in range(2)]
    (one, old), (other, _) = agents
    decisions = {
        (agent, action, instance): explained(
            server, f"arn:aws:iam::{ACCOUNT}:user/{agent}", action, instances + instance
        )
        for agent in (one, other)
        for action in actions
        for instance in (one, other)
    }
    with server.client("iam") as iam:  # registered anew, it has another key, and the one before is nobody's
        iam.create_access_key(UserName=one)
        iam.delete_access_key(UserName=one, AccessKeyId=old.access_key_id)
    replayed = server.request("GET", "/v2/", auth=basic(old.access_key_id, old.secret)).status

    assert decisions == {
        (agent, action, instance): "allowed" if agent == instance else "implicitDeny"
        for agent, action, instance in decisions
    }
    assert replayed == 401


# --- changes take effect at once --------------------------------------------------------------------------------------


def test_a_revoked_key_ends_every_login_made_with_it(server, repository):
    """T04, P9: Basic, docker token and Bearer token, whichever worker is asked."""
    name, keys = user(server, attached=(PULL_ONLY,))
    with client(server, "ecr", keys) as ecr:
        login = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    bearer = server.request("GET", "/token", auth=f"Basic {login}").json["token"]
    headers = [basic(keys.access_key_id, keys.secret), f"Basic {login}", f"Bearer {bearer}"]

    def statuses() -> list[int]:
        path = f"/v2/{repository}/manifests/v1"
        return [server.request("GET", path, auth=header).status for header in headers for _ in range(4)]

    before = statuses()
    with server.client("iam") as iam:
        iam.update_access_key(UserName=name, AccessKeyId=keys.access_key_id, Status="Inactive")
        paused = statuses()
        iam.update_access_key(UserName=name, AccessKeyId=keys.access_key_id, Status="Active")
        resumed = statuses()
        iam.delete_access_key(UserName=name, AccessKeyId=keys.access_key_id)

    assert before == resumed == [200] * 12
    assert paused == statuses() == [401] * 12


def test_a_service_control_policy_bounds_a_whole_account_at_once(server, other_root, tmp_path):
    name = unique_name()
    with client(server, "ecr", other_root) as ecr:
        ecr.create_repository(repositoryName=name)
        scp = tmp_path / "scp.json"
        scp.write_text(policy({"Effect": "Allow", "Action": "ecr:Describe*", "Resource": "*"}))
        longshore("admin", "scp", "put", OTHER, scp, "--data", server.data)
        told = refused(ecr.delete_repository, repositoryName=name)
        seen = ecr.describe_repositories(repositoryNames=[name])["repositories"]
        longshore("admin", "scp", "delete", OTHER, "--data", server.data)
        ecr.delete_repository(repositoryName=name)

    assert told.code == "AccessDeniedException"
    assert "because no service control policy allows the ecr:DeleteRepository action" in told.message
    assert len(seen) == 1


def test_iam_itself_asks(server):
    name, keys = user(server, allow("iam:GetUser", on="arn:aws:iam::*:user/${aws:username}"))
    other, _ = user(server)
    with client(server, "iam", keys) as iam:
        me = iam.get_user(UserName=name)["User"]["UserName"]
        told = [refused(iam.get_user, UserName=other), refused(iam.create_user, UserName=unique_name("user"))]

    assert me == name
    assert [one.code for one in told] == ["AccessDenied"] * 2


def test_refusals_are_on_record(server, repository):
    name, keys = user(server)
    pulls(server, keys, repository)
    events = longshore(
        "audit",
        "--denied",
        "--principal",
        f"arn:aws:iam::{ACCOUNT}:user/{name}",
        "--data",
        server.data,
        "--output",
        "json",
    ).json

    assert [(event["eventName"], event["errorCode"]) for event in events] == [("BatchGetImage", "AccessDenied")]
    assert events[0]["userIdentity"]["type"] == "IAMUser"
