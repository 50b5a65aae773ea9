"""A right that is taken away is gone at once, for logins too that were made before (T04, P9, R13), and nothing outlives
the repository that it was for (T03)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.builders import Built, digest_of, image, unique_name
from tests.commands import longshore
from tests.iam import Keys, client, make_account, make_user, policy, refused, trusts
from tests.servers import ACCOUNT, REGION, RunningServer, basic

pytestmark = pytest.mark.real("boto3")

PULL: Final = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:GetAuthorizationToken"]
ALLOW: Final = policy(Action=PULL, Resource="*")
DENY: Final = policy({"Effect": "Deny", "Action": "ecr:Batch*", "Resource": "*"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Two workers: each keeps rights, and replies, of its own."""
    running = RunningServer(tmp_path_factory.mktemp("revoked") / "data", "--workers", "2")
    running.start()
    yield running
    running.stop()


class Tenant(NamedTuple):
    """An account of the test's own, its root user, an image in it, and a user `ann` of the group `pullers`."""

    server: RunningServer
    account: str
    root: Keys
    built: Built
    ann: Keys
    arn: str  # of the managed policy that lets pull

    @property
    def host(self) -> dict[str, str]:
        return {"Host": f"{self.account}.dkr.ecr.{REGION}.localhost:{self.server.netloc.rpartition(':')[2]}"}

    def login(self, keys: Keys) -> str:
        """What docker keeps after `docker login`."""
        with client(self.server, "ecr", keys) as ecr:
            return f"Basic {ecr.get_authorization_token()['authorizationData'][0]['authorizationToken']}"

    def pulls(self, login: str) -> set[int]:
        """Statuses of a manifest and a layer, asked often enough that both workers have answered."""
        paths = ["/v2/app/manifests/v1", f"/v2/app/blobs/{digest_of(self.built.blobs[1])}"]
        return {
            self.server.request("GET", path, headers=self.host, auth=login).status for path in paths for _ in range(6)
        }


@pytest.fixture
def tenant(server: RunningServer) -> Tenant:
    account, root = make_account(server)
    with client(server, "ecr", root) as ecr:
        ecr.create_repository(repositoryName="app")
    built = image()
    with client(server, "iam", root) as iam:
        arn = iam.create_policy(PolicyName="pull", PolicyDocument=ALLOW)["Policy"]["Arn"]
        iam.create_group(GroupName="pullers")
        _, ann = make_user(server, "ann", root)
    made = Tenant(server, account, root, built, ann, arn)
    for data in built.blobs:
        path = f"/v2/app/blobs/uploads/?digest={digest_of(data)}"
        assert server.request("POST", path, data, headers=made.host, auth=_basic(root)).status == 201
    headers = {**made.host, "Content-Type": built.media_type}
    assert server.request("PUT", "/v2/app/manifests/v1", built.body, headers, auth=_basic(root)).status == 201
    return made


def _basic(keys: Keys) -> str:
    return basic(keys.access_key_id, keys.secret)


Change = Callable[[Any, Tenant], object]
# name -> how ann gets the right, and how it is taken away
WAYS: Final[dict[str, tuple[Change, Change]]] = {
    "inline-policy": (
        lambda iam, _: iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=ALLOW),
        lambda iam, _: iam.delete_user_policy(UserName="ann", PolicyName="p"),
    ),
    "inline-policy-put-anew": (
        lambda iam, _: iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=ALLOW),
        lambda iam, _: iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=DENY),
    ),
    "attached-policy": (
        lambda iam, at: iam.attach_user_policy(UserName="ann", PolicyArn=at.arn),
        lambda iam, at: iam.detach_user_policy(UserName="ann", PolicyArn=at.arn),
    ),
    "new-version-of-a-policy": (
        lambda iam, at: iam.attach_user_policy(UserName="ann", PolicyArn=at.arn),
        lambda iam, at: iam.create_policy_version(PolicyArn=at.arn, PolicyDocument=DENY, SetAsDefault=True),
    ),
    "group": (
        lambda iam, at: (
            iam.attach_group_policy(GroupName="pullers", PolicyArn=at.arn),
            iam.add_user_to_group(GroupName="pullers", UserName="ann"),
        ),
        lambda iam, _: iam.remove_user_from_group(GroupName="pullers", UserName="ann"),
    ),
    "policy-of-the-group": (
        lambda iam, at: (
            iam.attach_group_policy(GroupName="pullers", PolicyArn=at.arn),
            iam.add_user_to_group(GroupName="pullers", UserName="ann"),
        ),
        lambda iam, at: iam.detach_group_policy(GroupName="pullers", PolicyArn=at.arn),
    ),
    "boundary": (
        lambda iam, at: iam.attach_user_policy(UserName="ann", PolicyArn=at.arn),
        lambda iam, at: iam.put_user_permissions_boundary(
            UserName="ann",
            PermissionsBoundary=iam.create_policy(PolicyName="none", PolicyDocument=DENY)["Policy"]["Arn"],
        ),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_T04_a_login_loses_the_right_with_its_user(tenant: Tenant, way: str) -> None:
    give, take = WAYS[way]
    with client(tenant.server, "iam", tenant.root) as iam:
        give(iam, tenant)
        login = tenant.login(tenant.ann)
        before = tenant.pulls(login)
        take(iam, tenant)
        after = tenant.pulls(login)

    assert before == {200}
    assert 403 in after and after <= {200, 403}  # of the layer where only `ecr:Batch*` is denied
    assert tenant.server.request("GET", "/v2/app/manifests/v1", headers=tenant.host, auth=login).status == 403


@pytest.mark.parametrize("end", ["deactivated", "deleted", "user-deleted"])
def test_T04_a_login_ends_with_its_key_and_its_user(tenant: Tenant, end: str) -> None:
    with client(tenant.server, "iam", tenant.root) as iam:
        iam.attach_user_policy(UserName="ann", PolicyArn=tenant.arn)
        login = tenant.login(tenant.ann)
        before = tenant.pulls(login)
        key = {"UserName": "ann", "AccessKeyId": tenant.ann.access_key_id}
        if end == "deactivated":
            iam.update_access_key(**key, Status="Inactive")
        else:
            iam.delete_access_key(**key)
        if end == "user-deleted":
            iam.detach_user_policy(UserName="ann", PolicyArn=tenant.arn)
            iam.delete_user(UserName="ann")
        after = tenant.pulls(login)

    assert (before, after) == ({200}, {401})


def test_T04_a_login_of_a_session_ends_with_its_role(tenant: Tenant) -> None:
    with client(tenant.server, "iam", tenant.root) as iam:
        role = iam.create_role(
            RoleName="ci", AssumeRolePolicyDocument=trusts(f"arn:aws:iam::{tenant.account}:user/ann")
        )["Role"]
        iam.attach_role_policy(RoleName="ci", PolicyArn=tenant.arn)
        with client(tenant.server, "sts", tenant.ann) as sts:
            made = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="build")["Credentials"]
        login = tenant.login(Keys.of(made))
        before = tenant.pulls(login)
        iam.detach_role_policy(RoleName="ci", PolicyArn=tenant.arn)
        without_policy = tenant.pulls(login)
        iam.delete_role(RoleName="ci")
        without_role = tenant.pulls(login)

    assert (before, without_policy, without_role) == ({200}, {403}, {401})


def test_T04_a_service_control_policy_binds_logins_that_are_there(tenant: Tenant, tmp_path: Path) -> None:
    scp = tmp_path / "scp.json"
    scp.write_text(policy(Action="ecr:Describe*", Resource="*"), encoding="utf-8")
    with client(tenant.server, "iam", tenant.root) as iam:
        iam.attach_user_policy(UserName="ann", PolicyArn=tenant.arn)
    logins = [tenant.login(keys) for keys in (tenant.ann, tenant.root)]
    before = [tenant.pulls(login) for login in logins]
    longshore("admin", "scp", "put", tenant.account, scp, "--data", tenant.server.data)
    bound = [tenant.pulls(login) for login in logins]
    longshore("admin", "scp", "delete", tenant.account, "--data", tenant.server.data)
    free = [tenant.pulls(login) for login in logins]

    assert (before, bound, free) == ([{200}] * 2, [{403}] * 2, [{200}] * 2)


def test_T03_a_login_follows_the_policy_of_the_repository_that_is_there_now(tenant: Tenant) -> None:
    """Deleted and made again under the same name, with a policy that denies: nothing of before opens it."""
    grant = policy(Principal={"AWS": f"arn:aws:iam::{tenant.account}:user/ann"}, Action=PULL)
    deny = policy({"Effect": "Deny", "Principal": "*", "Action": "ecr:BatchGetImage"})
    with client(tenant.server, "iam", tenant.root) as iam:
        iam.put_user_policy(
            UserName="ann", PolicyName="p", PolicyDocument=policy(Action="ecr:GetAuthorizationToken", Resource="*")
        )
    with client(tenant.server, "ecr", tenant.root) as ecr:
        ecr.set_repository_policy(repositoryName="app", policyText=grant)
        login = tenant.login(tenant.ann)
        before = tenant.pulls(login)
        ecr.delete_repository(repositoryName="app", force=True)
        ecr.create_repository(repositoryName="app")
        of_nobody = tenant.pulls(login)
        ecr.set_repository_policy(repositoryName="app", policyText=deny)
        denied = tenant.pulls(login)
        root = tenant.server.request("GET", "/v2/app/manifests/v1", headers=tenant.host, auth=_basic(tenant.root))

    assert before == {200}
    assert of_nobody == denied == {403}
    assert root.status == 403


# --- T63: names are for those who may see them ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def names(server: RunningServer) -> list[str]:
    """Six repositories of the first account, in order."""
    found = sorted(unique_name("secret") for _ in range(6))
    for name in found:
        server.create(name)
    return found


def catalog(tenant: Tenant, query: str, login: str | None, **headers: str) -> tuple[int, list[str]]:
    answer = tenant.server.request("GET", f"/v2/_catalog{query}", headers=headers, auth=login)
    return answer.status, answer.json.get("repositories", [])


@pytest.mark.parametrize("query", ["", "?n=1000", "?last=s", "?n=2&last={first}", "?last={last}", "?last=zzz"])
def test_T63_the_catalog_shows_another_account_nothing(tenant: Tenant, names: list[str], query: str) -> None:
    """Asked in its own name it shows the own repositories, whatever stands in `last`; asked in the other's, none."""
    asked = query.format(first=names[0], last=names[-1])
    home = catalog(tenant, asked, _basic(tenant.root), **tenant.host)
    abroad = catalog(tenant, asked, _basic(tenant.root))
    nobody = catalog(tenant, asked, None)

    assert home[0] == 200 and set(home[1]) <= {"app"}
    assert (abroad, nobody) == ((403, []), (401, []))


def test_T63_a_user_is_shown_what_they_may_see_page_by_page(tenant: Tenant, server: RunningServer) -> None:
    with client(server, "ecr", tenant.root) as ecr:
        for name in ("a/one", "a/two", "b/one", "c/one", "c/two", "d/one"):
            ecr.create_repository(repositoryName=name)
    arns = [f"arn:aws:ecr:{REGION}:{tenant.account}:repository/{prefix}/*" for prefix in ("a", "c")]
    seen = policy(Action="ecr:DescribeRepositories", Resource=arns)
    with client(server, "iam", tenant.root) as iam:
        iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=seen)
    login, found, target = _basic(tenant.ann), [], "/v2/_catalog?n=1"
    while target:
        answer = server.request("GET", target, headers=tenant.host, auth=login)
        found += answer.json["repositories"]
        link = answer.headers["Link"]
        target = link.partition(";")[0].strip("<>") if link else ""

    assert found == ["a/one", "a/two", "c/one", "c/two"]
    assert catalog(tenant, "?last=a/two&n=1", login, **tenant.host) == (200, ["c/one"])


def test_T63_a_page_mark_opens_no_list_of_another_account(tenant: Tenant, names: list[str]) -> None:
    with tenant.server.client() as ecr:
        mark = ecr.describe_repositories(maxResults=1)["nextToken"]
    with client(tenant.server, "ecr", tenant.root) as ecr:
        as_own = refused(ecr.describe_repositories, nextToken=mark)
        as_theirs = refused(ecr.describe_repositories, nextToken=mark, registryId=ACCOUNT)
        own = [one["repositoryName"] for one in ecr.describe_repositories()["repositories"]]

    assert as_own.code == "InvalidParameterException"
    assert as_theirs.code == "AccessDeniedException"
    assert own == ["app"]
