"""The AWS CLI with identities: users made by hand, roles by a profile, web identities by a file."""

import json
from collections.abc import Iterator

import pytest
import trustme

from tests.builders import image, push
from tests.cli import Finished, run
from tests.iam import policy, trusts
from tests.oidc import Issuer, Key
from tests.servers import ACCOUNT, REGION, RunningServer, basic

pytestmark = pytest.mark.real("awscli")

PROFILES = """
[profile ann]
region = {region}
services = here

[profile ci]
role_arn = arn:aws:iam::{account}:role/ci
source_profile = ann
external_id = x1
region = {region}
services = here

[profile web]
role_arn = arn:aws:iam::{account}:role/web
web_identity_token_file = {token}
role_session_name = job7
region = {region}
services = here

[services here]
ecr =
  endpoint_url = {url}
iam =
  endpoint_url = {url}
sts =
  endpoint_url = {url}
"""


@pytest.fixture(scope="module")
def issuer():
    authority = trustme.CA()
    made = Issuer(authority, [Key("k1")])
    made.authority = authority  # type: ignore[attr-defined] # for the tests here
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory, issuer) -> Iterator[RunningServer]:
    directory = tmp_path_factory.mktemp("server")
    ca = directory / "ca.pem"
    issuer.authority.cert_pem.write_to_path(ca)
    running = RunningServer(
        directory / "data", LONGSHORE_EGRESS__ALLOW=f"127.0.0.1:{issuer.port}", LONGSHORE_EGRESS__CA=str(ca)
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def aws(server, tmp_path, issuer):
    """`aws ...` by the profiles above, or without one by the root user's key."""
    home, token = tmp_path / "home", tmp_path / "token"
    (home / ".aws").mkdir(parents=True)
    token.write_text(issuer.token())
    profiles = PROFILES.format(region=REGION, account=ACCOUNT, url=server.url, token=token)
    (home / ".aws" / "config").write_text(profiles)

    def command(*arguments: str, profile: str = "") -> Finished:
        if profile:
            return run("aws", *arguments, "--profile", profile, cwd=home, AWS_PAGER="")
        root = {name: value for name, value in server.client_environment().items() if name.startswith("AWS_")}
        return run("aws", *arguments, cwd=home, AWS_PAGER="", **root)

    command.home = home  # type: ignore[attr-defined] # for the tests here
    return command


def told(done: Finished):
    assert (done.code, done.err) == (0, ""), done
    return json.loads(done.out) if done.out else None


def test_from_a_user_to_a_role_to_docker(aws, server):
    server.create("team/app")
    push(server, "team/app", image(), "v1")
    user = told(aws("iam", "create-user", "--user-name", "ann", "--tags", "Key=team,Value=red"))["User"]
    key = told(aws("iam", "create-access-key", "--user-name", "ann"))["AccessKey"]
    trust = trusts(user["Arn"], Condition={"StringEquals": {"sts:ExternalId": "x1"}})
    pull = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
    with server.client("iam") as iam:
        iam.create_role(RoleName="ci", AssumeRolePolicyDocument=trust)
        iam.attach_role_policy(RoleName="ci", PolicyArn=pull)
    (aws.home / ".aws" / "credentials").write_text(
        f"[ann]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
    )
    ann, ci = (told(aws("sts", "get-caller-identity", profile=name)) for name in ("ann", "ci"))
    login = aws("ecr", "get-login-password", profile="ci").out.strip()
    denied = aws("ecr", "describe-repositories", profile="ci")

    assert ann == {"UserId": user["UserId"], "Account": ACCOUNT, "Arn": user["Arn"]}
    assert ci["Arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/")
    assert server.request("GET", "/v2/team/app/manifests/v1", auth=basic("AWS", login)).status == 200
    assert server.request("DELETE", "/v2/team/app/manifests/v1", auth=basic("AWS", login)).status == 403
    assert denied.code != 0 and "AccessDeniedException" in denied.err


def test_a_pod_with_a_token_file_becomes_a_role(aws, server, issuer):
    """As Kubernetes hands out web identities: a file with a token, and the role's ARN."""
    with server.client("iam") as iam:
        made = iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["registry"])
        trust = policy(
            Principal={"Federated": made["OpenIDConnectProviderArn"]}, Action="sts:AssumeRoleWithWebIdentity"
        )
        iam.create_role(RoleName="web", AssumeRolePolicyDocument=trust)
        iam.put_role_policy(RoleName="web", PolicyName="p", PolicyDocument=policy(Action="ecr:*", Resource="*"))
    who = told(aws("sts", "get-caller-identity", profile="web"))
    repository = told(aws("ecr", "create-repository", "--repository-name", "by-web", profile="web"))

    assert who["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/web/job7"
    assert repository["repository"]["repositoryName"] == "by-web"


def test_documents_and_lists_read_as_at_aws(aws, server):
    with server.client("iam") as iam:
        arn = iam.create_policy(PolicyName="p", PolicyDocument=policy(Action="ecr:*", Resource="*"))["Policy"]["Arn"]
    version = told(aws("iam", "get-policy-version", "--policy-arn", arn, "--version-id", "v1"))["PolicyVersion"]
    listed = told(aws("iam", "list-policies", "--scope", "AWS", "--page-size", "3"))["Policies"]

    assert version["Document"]["Statement"][0]["Action"] == "ecr:*"
    assert len(listed) == 10
