"""The authorisation matrix (R12, T05, T08, T09, T35): each route and operation for each kind of caller, by the tables.

What a caller may do is written here as a set of actions; what the server says is compared with it for each entry. An
entry that is new is in the matrix by itself, so that nobody can forget its right. A refusal is the same whether or not
there is what was asked for (T12).
"""

import contextlib
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

import longshore.app
from longshore import config, wiring
from registry.auth import sessions, tokens
from registry.auth.principals import root
from registry.auth.sessions import Session
from registry.aws.door import BY_HANDLER, NO_PERMISSION_NEEDED, OPERATIONS, Entry
from registry.names import AccountId
from registry.v2.routes import ROUTES
from tests.builders import Built, digest_of, image, push
from tests.commands import longshore as run
from tests.iam import Keys, client, make_user, policy
from tests.servers import ACCOUNT, KEY_ID, REGION, Answer, RunningServer, basic

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
    clients: dict[tuple[str, str], Any]  # by caller and service
    open: contextlib.ExitStack  # them all

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

    def client(self, caller: str, service: str) -> Any:
        """boto3's, made once: that costs more than a call."""
        if (caller, service) not in self.clients:
            unsigned = {"config": Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})}
            made = client(self.server, service, self.keys.get(caller), **(unsigned if caller == "none" else {}))
            self.clients[(caller, service)] = self.open.enter_context(made)
        return self.clients[(caller, service)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    server = RunningServer(tmp_path_factory.mktemp("matrix") / "data")
    server.start()
    server.create(REPOSITORY)
    built = image()
    push(server, REPOSITORY, built, "v1")
    made = run("admin", "account", "create", OTHER, "--data", server.data, "--output", "json").json
    keys = {
        "other-account": Keys(made["accessKeyId"], made["secretAccessKey"]),
        "bad": Keys("AKIANOBODYNOBODYNOBO", "nothing"),
    }
    with server.client("iam") as iam:
        for caller in ("read", "write", "boundary-limited"):
            _, keys[caller] = make_user(server, caller)
            allowed = ["*"] if caller == "boundary-limited" else sorted(CALLERS[caller])
            iam.put_user_policy(UserName=caller, PolicyName="p", PolicyDocument=policy(Action=allowed, Resource="*"))
        bound = policy(Action=sorted(CALLERS["boundary-limited"]), Resource="*")
        arn = iam.create_policy(PolicyName="bound", PolicyDocument=bound)["Policy"]["Arn"]
        iam.put_user_permissions_boundary(UserName="boundary-limited", PermissionsBoundary=arn)
    token, keys["expired"] = _expired(server)
    with contextlib.ExitStack() as opened:
        yield Stage(server, keys, token, built, {}, opened)
    server.stop()


def _expired(server: RunningServer) -> tuple[str, Keys]:
    """A docker token of the root user, and temporary credentials, that were good until a moment ago."""
    loaded = config.load(data=server.data, file=None, env=server.environment, flags={})
    with wiring.opened_rows(loaded) as db:
        sealer = wiring.sealer_of(loaded, db)
    then = dt.datetime.now(dt.UTC) - dt.timedelta(hours=12, seconds=1)
    somebody = root(AccountId(ACCOUNT), "AKIATESTTESTTESTTEST")
    born = int(then.timestamp())
    session = Session(kind="root", account=ACCOUNT, entity=ACCOUNT, iat=born, exp=born + 43200, key=KEY_ID)
    made = sessions.issue(sealer, session)
    token = tokens.issue(sealer, "login", somebody, now=then, seconds=43200)
    return token, Keys(made.access_key_id, made.secret, made.token)


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


# Headers that log nobody in.
NO_LOGIN: Final = {
    "empty-basic": "Basic ",
    "basic-of-nothing": basic("", ""),
    "malformed-basic": "Basic %%%",
    "user-alone": "Basic QVdT",
    "empty-bearer": "Bearer ",
    "malformed-bearer": "Bearer nobody",
    "another-scheme": "Digest username=admin",
}


@pytest.mark.parametrize("header", NO_LOGIN)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[1]}-{route[0]}")
def test_a_route_opens_to_no_header_that_logs_nobody_in(stage: Stage, route: tuple[str, str], header: str) -> None:
    kind, method = route
    answer = stage.server.request(method, path_of(kind, stage.built), auth=NO_LOGIN[header])

    assert answer.status == 401


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
    "imageId": {"imageTag": "no-tag"},
    "imageIds": [{"imageTag": "no-tag"}],
    "imageManifest": json.dumps({"schemaVersion": 2}),
    "imageScanningConfiguration": {},
    "imageTagMutability": "MUTABLE",
    "layerDigest": f"sha256:{ABSENT}",
    "layerDigests": [f"sha256:{ABSENT}"],
    "layerPartBlob": b"",
    "lifecyclePolicyText": "{}".ljust(100),
    "name": "BLOB_MOUNTING",
    "partFirstByte": 0,
    "partLastByte": 0,
    "policyText": "{}",
    "principalArn": f"{_ARN}:role/no-role",
    "repositoryName": REPOSITORY,
    "resourceArn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}",
    "subjectId": {"imageDigest": f"sha256:{ABSENT}"},
    "tagKeys": ["k"],
    "tags": [{"Key": "k", "Value": "v"}],
    "targetStorageClass": "ARCHIVE",
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


def answer(stage: Stage, entry: Entry, caller: str, **instead: Any) -> Mapping[str, Any]:
    """The error: Code and Message; empty where there is none. `instead`: other values of parameters."""
    made = stage.client(caller, entry.service)
    method = next(name for name, api in made.meta.method_to_api_mapping.items() if api == entry.name)
    given = parameters(made, entry, elsewhere=caller == "other-account")
    try:
        getattr(made, method)(**{**given, **instead})
    except ClientError as error:
        found: Mapping[str, Any] = error.response["Error"]
        return found
    return {}


def told(stage: Stage, entry: Entry, caller: str, **instead: Any) -> str:
    """The error's code, or empty where there is none."""
    return str(answer(stage, entry, caller, **instead).get("Code", ""))


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
        made = stage.client("other-account", entry.service)
        shape = made.meta.service_model.operation_model(entry.name).input_shape
        if shape is None or not named & set(shape.members):
            continue
        code = told(stage, entry, "other-account")
        if code not in (*_REFUSED, "NoSuchEntity", "InvalidInput") and entry.name != "GetAuthorizationToken":
            wrong[entry.action] = code

    assert wrong == {}


# What a caller hears who is nobody, by the service's own word for it.
STRANGERS: Final = {
    "none": {"MissingAuthenticationToken", "MissingAuthenticationTokenException"},
    "bad": {"InvalidClientTokenId", "UnrecognizedClientException"},
    "expired": {"ExpiredToken", "ExpiredTokenException"},
}


@pytest.mark.real("boto3")
@pytest.mark.parametrize("caller", NOBODIES)
def test_no_operation_answers_to_nobody(stage: Stage, caller: str) -> None:
    entries = [entry for entry in OPERATIONS if not entry.unsigned]
    codes = {entry.action: told(stage, entry, caller) for entry in entries}

    assert {action: code for action, code in codes.items() if code not in STRANGERS[caller]} == {}
    assert len(codes) > 120


def test_every_operation_is_in_the_matrix() -> None:
    """Those that are not among the others have rows of their own, below."""
    assert {entry.action for entry in OPERATIONS} - {entry.action for entry in SIGNED} == {
        "sts:AssumeRole",
        "sts:AssumeRoleWithWebIdentity",
    }
    assert {*NOBODIES, *CALLERS} == {
        "none",
        "bad",
        "expired",
        "other-account",
        "read",
        "write",
        "boundary-limited",
        "root",
    }


@pytest.mark.real("boto3")
@pytest.mark.parametrize("caller", CALLERS)
def test_a_role_opens_to_whom_it_trusts(stage: Stage, caller: str) -> None:
    """AssumeRole: the role's trust decides, where it names a user; a root user assumes none, whatever it says."""
    name = f"trusts-{caller}"
    account = OTHER if caller == "other-account" else ACCOUNT
    is_root = caller in ("other-account", "root")
    trusted = f"arn:aws:iam::{account}:{'root' if is_root else f'user/{caller}'}"
    with stage.server.client("iam") as iam:
        trust = policy(Principal={"AWS": trusted}, Action="sts:AssumeRole")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    (entry,) = (one for one in OPERATIONS if one.action == "sts:AssumeRole")

    assert told(stage, entry, caller, RoleArn=f"{_ARN}:role/{name}") == ("AccessDenied" if is_root else "")


@pytest.mark.real("boto3")
@pytest.mark.parametrize("caller", ["other-account", "read"])
def test_a_role_that_is_not_there_is_refused_like_one_that_trusts_others(stage: Stage, caller: str) -> None:
    name = f"closed-to-{caller}"
    with stage.server.client("iam") as iam:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_TRUST)
    (entry,) = (one for one in OPERATIONS if one.action == "sts:AssumeRole")
    there, absent = (answer(stage, entry, caller, RoleArn=f"{_ARN}:role/{one}") for one in (name, "no-such-role"))

    assert there["Code"] == absent["Code"] == "AccessDenied"
    assert there["Message"] == absent["Message"].replace("no-such-role", name)


def test_the_token_service_knows_nobody_by_a_bad_or_old_login(stage: Stage) -> None:
    """It stands beside the routes: whoever brings no login gets a token for nobody, and whoever brings a wrong one
    none."""
    answers = {
        caller: stage.server.request("GET", "/token", auth=stage.headers(caller)) for caller in (*NOBODIES, *CALLERS)
    }
    by_nobodys = stage.server.request(
        "GET", f"/v2/{REPOSITORY}/tags/list", auth=f"Bearer {answers['none'].json['token']}"
    )

    assert {caller: one.status for caller, one in answers.items()} == {
        caller: 401 if caller in ("bad", "expired") else 200 for caller in answers
    }
    assert by_nobodys.status == 401


def test_nothing_is_free_that_is_not_listed() -> None:
    free = {entry.action for entry in OPERATIONS if entry.on is NO_PERMISSION_NEEDED and not entry.unsigned}
    asking = {entry.action for entry in OPERATIONS if entry.on is BY_HANDLER}

    assert free - {"sts:AssumeRole"} == _FREE
    assert asking <= {"ecr:DescribeRepositories", "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"}


# --- T12: a refusal tells nothing of what is there --------------------------------------------------------------------

NOT_THERE: Final = "matrix/not"
_VARYING: Final = ("Date", "x-amzn-RequestId", "Content-Length")
REFUSED: Final = [
    (route, caller)
    for route in ROUTES
    for caller in (*NOBODIES, "other-account", "boundary-limited")
    if route[0] not in ("base", "catalog") and not set(ROUTES[route].actions) & CALLERS.get(caller, frozenset())
]


def shown(found: Answer, name: str) -> tuple[int, dict[str, str], bytes]:
    """All that a caller sees, with the one name in the place of the other."""
    headers = {name: value for name, value in found.headers.items() if name not in _VARYING}
    text = {header: value.replace(name, REPOSITORY) for header, value in headers.items()}
    return found.status, text, found.body.replace(name.encode(), REPOSITORY.encode())


@pytest.mark.parametrize(
    ("route", "caller"), REFUSED, ids=[f"{method}-{kind}-{caller}" for (kind, method), caller in REFUSED]
)
def test_a_route_refuses_alike_what_is_there_and_what_is_not(stage: Stage, route: tuple[str, str], caller: str) -> None:
    kind, method = route
    host = {"Host": f"{ACCOUNT}.dkr.ecr.{REGION}.localhost:{stage.server.netloc.rpartition(':')[2]}"}
    path, layer = path_of(kind, stage.built), digest_of(stage.built.blobs[1])
    there = path.replace(f"manifests/sha256:{ABSENT}", "manifests/v1").replace(
        f"blobs/sha256:{ABSENT}", f"blobs/{layer}"
    )
    answers = [
        shown(stage.server.request(method, one, headers=host, auth=stage.headers(caller)), name)
        for one, name in ((there, REPOSITORY), (path, REPOSITORY), (path.replace(REPOSITORY, NOT_THERE), NOT_THERE))
    ]

    assert answers[0][0] in (401, 403)
    assert answers[1] == answers[0]
    assert answers[2] == answers[0]


@pytest.mark.real("boto3")
@pytest.mark.parametrize("caller", ["other-account", "boundary-limited"])
def test_an_operation_refuses_alike_what_is_there_and_what_is_not(stage: Stage, caller: str) -> None:
    """Repositories by name or ARN; users, roles and policies by theirs."""
    arn = VALUES["resourceArn"]
    others = {
        "repositoryName": (REPOSITORY, NOT_THERE),
        "resourceArn": (arn, arn.replace(REPOSITORY, NOT_THERE)),
        "UserName": ("read", "no-user"),
        "PolicyArn": (f"{_ARN}:policy/bound", f"{_ARN}:policy/no-policy"),
    }
    seen, unlike = 0, {}
    for entry in SIGNED:
        made = stage.client(caller, entry.service)
        shape = made.meta.service_model.operation_model(entry.name).input_shape
        named = [name for name in others if shape is not None and name in shape.members]
        if not named or entry.action in CALLERS[caller] | _FREE:
            continue
        if caller == "other-account" and not {"registryId", "resourceArn", "PolicyArn"} & set(shape.members):
            continue  # it names something of their own account
        there, absent = (
            answer(stage, entry, caller, **{name: others[name][number] for name in named}) for number in (0, 1)
        )
        text = absent.get("Message", "")
        for name in named:
            text = text.replace(others[name][1], others[name][0])
        seen += 1
        if (there.get("Code"), there.get("Message", "")) != (absent.get("Code"), text):
            unlike[entry.action] = (there, absent)

    assert unlike == {}
    assert seen > 20


def test_the_stage_is_as_it_was(stage: Stage) -> None:
    """Whatever was tried above, the image is there, and its layer."""
    layer = digest_of(stage.built.blobs[1])

    assert stage.server.request("GET", f"/v2/{REPOSITORY}/manifests/v1").body == stage.built.body
    assert stage.server.request("HEAD", f"/v2/{REPOSITORY}/blobs/{layer}").status == 200
