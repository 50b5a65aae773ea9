"""The authorisation matrix (R12, T05, T09, T35): each route and operation for each kind of caller, made of the tables.

What a caller may do is written here as a set of actions; what the server says is compared with it for each entry. An
entry that is new is in the matrix by itself, so that nobody can forget its right.
"""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
from botocore.exceptions import ClientError

import longshore.app
from longshore import config, wiring
from registry.auth import tokens
from registry.auth.principals import root
from registry.aws.door import BY_HANDLER, NO_PERMISSION_NEEDED, OPERATIONS, Entry
from registry.names import AccountId
from registry.v2.routes import ROUTES
from tests.builders import Built, digest_of, image, push
from tests.commands import longshore as run
from tests.iam import Keys, client, make_user, policy
from tests.servers import ACCOUNT, REGION, RunningServer, basic

assert longshore.app.DOORS  # their import puts the operations on the table

OTHER: Final = "111122223333"
REPOSITORY, ABSENT = "matrix/app", "f" * 64
_PULL: Final = {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"}
_READ: Final = _PULL | {"ecr:ListImages", "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:GetAuthorizationToken"}
_PUSH: Final = {"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"}
_EVERY: Final = frozenset(entry.action for entry in OPERATIONS)

# Callers who are somebody, and the actions that they may do on the repository and around it.
CALLERS: Final[dict[str, frozenset[str]]] = {
    "other-account": frozenset(),
    "read": frozenset(_READ),
    "write": frozenset(_READ | _PUSH),
    "boundary-limited": frozenset({"ecr:BatchGetImage"}),
    "root": _EVERY,
}
NOBODIES: Final = ("none", "bad", "expired")


class Stage(NamedTuple):
    """The server, who calls, and what there is."""

    server: RunningServer
    keys: dict[str, Keys]
    expired: str  # a docker token whose time is over
    built: Built

    def headers(self, caller: str) -> str | None:
        if caller == "none":
            return None
        if caller == "bad":
            return basic("AKIANOBODYNOBODYNOBO", "nothing")
        if caller == "expired":
            return basic("AWS", self.expired)
        if caller == "root":
            return self.server.basic
        return basic(self.keys[caller].access_key_id, self.keys[caller].secret)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    server = RunningServer(tmp_path_factory.mktemp("matrix") / "data")
    server.start()
    server.create(REPOSITORY)
    built = image()
    push(server, REPOSITORY, built, "v1")
    made = run("admin", "account", "create", OTHER, "--data", server.data, "--output", "json").json
    keys = {"other-account": Keys(made["accessKeyId"], made["secretAccessKey"])}
    with server.client("iam") as iam:
        for caller in ("read", "write", "boundary-limited"):
            _, keys[caller] = make_user(server, caller)
            allowed = ["*"] if caller == "boundary-limited" else sorted(CALLERS[caller])
            iam.put_user_policy(UserName=caller, PolicyName="p", PolicyDocument=policy(Action=allowed, Resource="*"))
        bound = policy(Action=sorted(CALLERS["boundary-limited"]), Resource="*")
        arn = iam.create_policy(PolicyName="bound", PolicyDocument=bound)["Policy"]["Arn"]
        iam.put_user_permissions_boundary(UserName="boundary-limited", PermissionsBoundary=arn)
    yield Stage(server, keys, _expired(server), built)
    server.stop()


def _expired(server: RunningServer) -> str:
    """A docker token of the root user that was good until a moment ago."""
    loaded = config.load(data=server.data, file=None, env={}, flags={})
    with wiring.opened_rows(loaded) as db:
        sealer = wiring.sealer_of(loaded, db)
    then = dt.datetime.now(dt.UTC) - dt.timedelta(hours=12, seconds=1)
    somebody = root(AccountId(ACCOUNT), "AKIATESTTESTTESTTEST")
    return tokens.issue(sealer, "login", somebody, now=then, seconds=43200)


# --- /v2/ -------------------------------------------------------------------------------------------------------------


def path_of(kind: str, built: Built) -> str:
    """A path of this kind, naming what is there or, where it would be changed, what is not."""
    return {
        "base": "/v2/",
        "catalog": "/v2/_catalog",
        "tags": f"/v2/{REPOSITORY}/tags/list",
        "referrers": f"/v2/{REPOSITORY}/referrers/{built.digest}",
        "manifest": f"/v2/{REPOSITORY}/manifests/sha256:{ABSENT}",
        "blob": f"/v2/{REPOSITORY}/blobs/sha256:{ABSENT}",
        "uploads": f"/v2/{REPOSITORY}/blobs/uploads/",
        "upload": f"/v2/{REPOSITORY}/blobs/uploads/no-such-upload",
    }[kind]


@pytest.mark.parametrize("caller", [*NOBODIES, *CALLERS])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[1]}-{route[0]}")
def test_a_route_opens_to_whom_it_should(stage: Stage, route: tuple[str, str], caller: str) -> None:
    kind, method = route
    host = {"Host": f"{ACCOUNT}.dkr.ecr.{REGION}.localhost:{stage.server.netloc.rpartition(':')[2]}"}
    answer = stage.server.request(method, path_of(kind, stage.built), headers=host, auth=stage.headers(caller))
    needed = set(ROUTES[route].actions)
    opens = caller in CALLERS and (not needed or bool(needed & CALLERS[caller]))

    assert answer.status < 500
    if caller in NOBODIES:
        assert answer.status == 401
    else:
        assert (answer.status not in (401, 403)) is opens, answer.body


# --- the AWS doors ----------------------------------------------------------------------------------------------------

_ARN: Final = f"arn:aws:iam::{ACCOUNT}"
_TRUST: Final = policy(Principal={"AWS": f"{_ARN}:root"}, Action="sts:AssumeRole")
# A value for each required parameter: of something that is not there, so that nothing is changed by those who may.
VALUES: Final[dict[str, Any]] = {
    "AccessKeyId": "AKIANOBODYNOBODYNOBO",
    "ActionNames": ["ecr:PutImage"],
    "AssumeRolePolicyDocument": _TRUST,
    "ClientID": "client",
    "Description": "nothing",
    "GroupName": "no-group",
    "InstanceProfileName": "no-profile",
    "Name": "no-name",
    "OpenIDConnectProviderArn": f"{_ARN}:oidc-provider/no.example.com",
    "PermissionsBoundary": f"{_ARN}:policy/no-policy",
    "PolicyArn": f"{_ARN}:policy/no-policy",
    "PolicyDocument": policy(Action="ecr:ListImages", Resource="*"),
    "PolicyInputList": [policy(Action="ecr:ListImages", Resource="*")],
    "PolicyName": "no-policy",
    "PolicySourceArn": f"{_ARN}:user/no-user",
    "RoleArn": f"{_ARN}:role/no-role",
    "RoleName": "no-role",
    "RoleSessionName": "session",
    "Status": "Inactive",
    "TagKeys": ["k"],
    "Tags": [{"Key": "k", "Value": "v"}],
    "ThumbprintList": ["0" * 40],
    "Url": "https://no.example.com",
    "UserName": "no-user",
    "VersionId": "v9",
    "WebIdentityToken": "no.token.here",
    "imageIds": [{"imageTag": "no-tag"}],
    "imageManifest": json.dumps({"schemaVersion": 2}),
    "imageScanningConfiguration": {},
    "imageTagMutability": "MUTABLE",
    "layerDigest": f"sha256:{ABSENT}",
    "layerDigests": [f"sha256:{ABSENT}"],
    "layerPartBlob": b"",
    "name": "BLOB_MOUNTING",
    "partFirstByte": 0,
    "partLastByte": 0,
    "policyText": "{}",
    "repositoryName": REPOSITORY,
    "resourceArn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}",
    "subjectId": {"imageDigest": f"sha256:{ABSENT}"},
    "tagKeys": ["k"],
    "tags": [{"Key": "k", "Value": "v"}],
    "uploadId": "00000000-0000-4000-8000-000000000000",
    "value": "ENABLED",
}
# What anyone may do whose signature holds; and what asks a policy that is not the caller's own.
_FREE: Final = {"sts:GetCallerIdentity", "sts:GetSessionToken"}
_REFUSED: Final = ("AccessDenied", "AccessDeniedException")


def parameters(made: Any, entry: Entry, *, elsewhere: bool) -> dict[str, Any]:
    """Every required parameter of an operation; `elsewhere`: of the first account's registry, named by its id."""
    shape = made.meta.service_model.operation_model(entry.name).input_shape
    if shape is None:
        return {}
    found = {name: VALUES[name] for name in shape.required_members}
    if entry.name == "CreateRepository":
        found["repositoryName"] = "matrix/app"  # exists: who may create is told so
    if elsewhere:
        foreign = {"registryId": ACCOUNT, "PermissionsBoundary": VALUES["PermissionsBoundary"]}
        found |= {name: value for name, value in foreign.items() if name in shape.members}
    return found


def told(stage: Stage, entry: Entry, caller: str) -> str:
    """The error's code, or empty where there is none."""
    keys = stage.keys.get(caller)
    with client(stage.server, entry.service, keys) as made:
        operation = made.meta.method_to_api_mapping
        method = next(name for name, api in operation.items() if api == entry.name)
        try:
            getattr(made, method)(**parameters(made, entry, elsewhere=caller == "other-account"))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""


SIGNED: Final = [entry for entry in OPERATIONS if not entry.unsigned and entry.name != "AssumeRole"]


@pytest.mark.real("boto3")
@pytest.mark.parametrize("caller", ["read", "write", "boundary-limited", "root"])
def test_an_operation_opens_to_whom_it_should(stage: Stage, caller: str) -> None:
    wrong = {}
    for entry in SIGNED:
        code = told(stage, entry, caller)
        opens = entry.action in CALLERS[caller] or entry.action in _FREE
        if (code not in _REFUSED) is not opens:
            wrong[entry.action] = code

    assert wrong == {}
    assert len(SIGNED) > 120


@pytest.mark.real("boto3")
def test_no_operation_reaches_into_another_account(stage: Stage) -> None:
    """T35, T36: all that names something of the first account is refused, or finds nothing."""
    named = {
        "registryId",
        "resourceArn",
        "PolicyArn",
        "PolicySourceArn",
        "OpenIDConnectProviderArn",
        "PermissionsBoundary",
    }
    wrong = {}
    for entry in SIGNED:
        with client(stage.server, entry.service, stage.keys["other-account"]) as made:
            shape = made.meta.service_model.operation_model(entry.name).input_shape
        if shape is None or not named & set(shape.members):
            continue
        code = told(stage, entry, "other-account")
        if code not in (*_REFUSED, "NoSuchEntity", "InvalidInput") and entry.name != "GetAuthorizationToken":
            wrong[entry.action] = code

    assert wrong == {}


def test_nothing_is_free_that_is_not_listed() -> None:
    free = {entry.action for entry in OPERATIONS if entry.on is NO_PERMISSION_NEEDED and not entry.unsigned}
    asking = {entry.action for entry in OPERATIONS if entry.on is BY_HANDLER}

    assert free - {"sts:AssumeRole"} == _FREE
    assert asking <= {"ecr:DescribeRepositories", "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"}


def test_the_stage_is_as_it_was(stage: Stage) -> None:
    """Whatever was tried above, the image is there, and its layer."""
    layer = digest_of(stage.built.blobs[1])

    assert stage.server.request("GET", f"/v2/{REPOSITORY}/manifests/v1").body == stage.built.body
    assert stage.server.request("HEAD", f"/v2/{REPOSITORY}/blobs/{layer}").status == 200
