"""Login: the challenge in both forms, the token service in both forms, and every credential that `/v2/` takes."""

import base64
import datetime as dt
import json
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from tests import iam, wire
from tests.builders import image, push, unique_name
from tests.forgery import sealer_of
from tests.servers import KEY_ID, SECRET, Answer, RunningServer, basic

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOBODY = "sha256:" + "0" * 64


def base(server: RunningServer, auth: str | None) -> Answer:
    return server.request("GET", "/v2/", auth=auth)


def token(server: RunningServer, auth: str | None = "", query: str = "") -> str:
    """A token of the token service; with the root key where nothing else is said."""
    answer = server.request("GET", f"/token{query}", auth=auth)
    assert answer.status == 200, answer.body
    found: str = answer.json["token"]
    return found


def form(server: RunningServer, **fields: str) -> Answer:
    return server.request("POST", "/token", urlencode(fields).encode(), FORM, auth=None)


def login_password(ecr: Any) -> str:
    """What `aws ecr get-login-password` prints."""
    sealed = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(sealed).decode().partition(":")
    assert user == "AWS"
    return password


# --- the challenge ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_basic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose challenge is Basic."""
    server = RunningServer(tmp_path_factory.mktemp("basic") / "data", LONGSHORE_AUTH__CHALLENGE="basic")
    server.start()
    yield server
    server.stop()


CHALLENGES = {
    "base": ("GET", "/v2/", ""),
    "catalog": ("GET", "/v2/_catalog", ""),
    "pull-manifest": ("GET", "/v2/a/b/manifests/v1", "repository:a/b:pull"),
    "head-blob": ("HEAD", f"/v2/a/b/blobs/{NOBODY}", "repository:a/b:pull"),
    "list-tags": ("GET", "/v2/a/b/tags/list", "repository:a/b:pull"),
    "begin-upload": ("POST", "/v2/a/b/blobs/uploads/", "repository:a/b:pull,push"),
    "push-manifest": ("PUT", "/v2/a/b/manifests/v1", "repository:a/b:pull,push"),
    "chunk": ("PATCH", "/v2/a/b/blobs/uploads/x", "repository:a/b:pull,push"),
    "delete": ("DELETE", "/v2/a/b/manifests/v1", "repository:a/b:delete"),
}


@pytest.mark.parametrize(("method", "path", "scope"), CHALLENGES.values(), ids=list(CHALLENGES))
def test_the_bearer_challenge_names_realm_service_and_scope(
    shared_server: RunningServer, method: str, path: str, scope: str
) -> None:
    answer = shared_server.request(method, path, auth=None)
    asked = f',scope="{scope}"' if scope else ""

    assert answer.status == 401
    assert answer.headers.get_all("WWW-Authenticate") == [
        f'Bearer realm="{shared_server.url}/token",service="{shared_server.netloc}"{asked}'
    ]


@pytest.mark.parametrize(("method", "path"), [one[:2] for one in CHALLENGES.values()], ids=list(CHALLENGES))
def test_the_basic_challenge_names_a_realm(by_basic: RunningServer, method: str, path: str) -> None:
    answer = by_basic.request(method, path, auth=None)

    assert answer.status == 401
    assert answer.headers.get_all("WWW-Authenticate") == [f'Basic realm="{by_basic.url}/",service="ecr.amazonaws.com"']


def test_both_credentials_are_taken_under_either_challenge(
    shared_server: RunningServer, by_basic: RunningServer
) -> None:
    for server in (shared_server, by_basic):
        assert base(server, server.basic).status == 200
        assert base(server, f"Bearer {token(server)}").status == 200


def test_the_realm_is_found_by_the_name_that_the_client_uses(shared_server: RunningServer) -> None:
    """Under a name of ours the client is sent on under that name; under any other to the configured one (T54)."""
    port = shared_server.netloc.partition(":")[2]
    for host, expected in (
        (f"localhost:{port}", f"http://localhost:{port}/token"),
        (
            f"000000000000.dkr.ecr.us-east-1.localhost:{port}",
            f"http://000000000000.dkr.ecr.us-east-1.localhost:{port}/token",
        ),
        ("evil.example", f"{shared_server.url}/token"),
    ):
        answer = wire.ask(shared_server, "GET", "/v2/", headers={"Host": host, "Authorization": "Basic Og=="})
        assert f'realm="{expected}"' in answer.headers["WWW-Authenticate"]


# --- the token service ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["get", "get-with-login-password", "post", "post-with-login-password"])
def test_the_token_service_takes_what_basic_takes(shared_server: RunningServer, ecr: Any, way: str) -> None:
    user, password = ("AWS", login_password(ecr)) if "login" in way else (KEY_ID, SECRET)
    if way.startswith("get"):
        answer = shared_server.request("GET", "/token?service=x&scope=repository:a/b:pull", auth=basic(user, password))
    else:
        answer = form(
            shared_server, grant_type="password", username=user, password=password, service="x", client_id="containerd"
        )

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json) == {"token", "access_token", "expires_in", "issued_at"}
    assert answer.json["token"] == answer.json["access_token"]
    assert answer.json["expires_in"] == 900
    assert abs(dt.datetime.fromisoformat(answer.json["issued_at"]).timestamp() - time.time()) < 60
    assert base(shared_server, f"Bearer {answer.json['token']}").status == 200


@pytest.mark.parametrize(
    "query",
    ["", "?scope=repository:a/b:pull", "?scope=repository:a/b:pull,push&scope=repository:c/d:*", "?scope=",
     "?scope=nonsense", "?account=AWS&client_id=docker&offline_token=true&service=x"],
)  # fmt: skip
def test_a_token_says_who_asks_whatever_scope_was_asked_for(
    shared_server: RunningServer, repository: str, query: str
) -> None:
    """Rights are decided at each request, so a client that asks for too little is not stuck with it."""
    bearer = f"Bearer {token(shared_server, query=query)}"

    assert shared_server.request("POST", f"/v2/{repository}/blobs/uploads/", auth=bearer).status == 202


def test_bearer_seconds_are_the_operators(by_basic: RunningServer) -> None:
    claims = json.loads(sealer_of(by_basic).open("bearer", token(by_basic)))

    assert claims["exp"] - claims["iat"] == 900


@pytest.mark.parametrize(
    ("user", "password"),
    [(KEY_ID, "wrong"), ("AKIAUNKNOWNUNKNOWN00", SECRET), ("AWS", SECRET), ("", ""), (KEY_ID, ""), ("AWS", ""),
     (KEY_ID.lower(), SECRET), (KEY_ID, SECRET + "\x00"), ("ä" * 40, "ü")],
)  # fmt: skip
def test_wrong_credentials_are_401_in_every_form(shared_server: RunningServer, user: str, password: str) -> None:
    for answer in (
        shared_server.request("GET", "/token", auth=basic(user, password)),
        form(shared_server, grant_type="password", username=user, password=password),
        base(shared_server, basic(user, password)),
    ):
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("grant", ["refresh_token", "client_credentials", "", "PASSWORD"])
def test_another_grant_is_refused(shared_server: RunningServer, grant: str) -> None:
    answer = form(shared_server, grant_type=grant, username=KEY_ID, password=SECRET, refresh_token="x")

    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 401), (b"\xff\xfe=1", 400), (b"a=1&" * 60, 400), (b"a=" + b"b" * 40_000, 413), (b"{}", 401)],
    ids=["empty", "not-utf8", "many-fields", "long", "json"],
)
def test_a_form_that_is_none_is_refused(shared_server: RunningServer, body: bytes, status: int) -> None:
    assert shared_server.request("POST", "/token", body, FORM, auth=None).status == status


# --- nobody -----------------------------------------------------------------------------------------------------------


def test_without_a_login_there_is_a_token_that_opens_nothing_by_itself(
    shared_server: RunningServer, repository: str
) -> None:
    push(shared_server, repository, image(), "v1")
    bearer = f"Bearer {token(shared_server, None, f'?scope=repository:{repository}:pull')}"

    for method, path in (
        ("GET", "/v2/"),
        ("GET", "/v2/_catalog"),
        ("GET", f"/v2/{repository}/manifests/v1"),
        ("GET", f"/v2/{repository}/tags/list"),
        ("POST", f"/v2/{repository}/blobs/uploads/"),
        ("DELETE", f"/v2/{repository}/manifests/v1"),
        ("GET", "/v2/never/made/manifests/v1"),
    ):
        assert shared_server.request(method, path, auth=bearer).status == 401, (method, path)


def test_without_a_login_what_a_policy_opens_to_everyone_can_be_pulled(
    shared_server: RunningServer, repository: str, ecr: Any
) -> None:
    built = image()
    push(shared_server, repository, built, "v1")
    statement = {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage"]}
    ecr.set_repository_policy(
        repositoryName=repository, policyText=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    bearer = f"Bearer {token(shared_server, None, f'?scope=repository:{repository}:pull')}"

    assert shared_server.request("GET", f"/v2/{repository}/manifests/v1", auth=bearer).body == built.body
    assert shared_server.request("GET", f"/v2/{repository}/manifests/v1", auth=None).body == built.body
    assert shared_server.request("DELETE", f"/v2/{repository}/manifests/v1", auth=bearer).status == 401


@pytest.mark.parametrize("scope", ["repository:a/b:pull,push", "repository:a/b:delete", "repository:a/b:*"])
def test_without_a_login_no_token_is_given_to_who_wants_to_change(shared_server: RunningServer, scope: str) -> None:
    """docker would try it, six times, where it should ask for a login."""
    answer = shared_server.request("GET", f"/token?scope={scope}", auth=None)

    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


# --- credentials that are none ----------------------------------------------------------------------------------------

MALFORMED = {
    "empty-basic": "Basic",
    "basic-of-nothing": "Basic Og==",
    "no-colon": "Basic " + base64.b64encode(b"nocolon").decode(),
    "not-base64": "Basic !!!!",
    "not-utf8": "Basic " + base64.b64encode(b"\xff:\xfe").decode(),
    "empty-bearer": "Bearer",
    "bearer-of-nothing": "Bearer  ",
    "bearer-of-something": "Bearer abc",
    "another-scheme": "Digest username=AWS",
    "no-scheme": "AKIATESTTESTTESTTEST",
    "a-signature": "AWS4-HMAC-SHA256 Credential=AKIATESTTESTTESTTEST/20260101/us-east-1/ecr/aws4_request",
    "long": "Bearer " + "A" * 7000,
}


@pytest.mark.parametrize("header", MALFORMED.values(), ids=list(MALFORMED))
def test_a_header_that_is_no_credential_is_401(shared_server: RunningServer, repository: str, header: str) -> None:
    for path in ("/v2/", f"/v2/{repository}/tags/list"):
        answer = shared_server.request("GET", path, auth=header)

        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert "WWW-Authenticate" in answer.headers


def test_two_credentials_are_none(shared_server: RunningServer) -> None:
    with wire.connect(shared_server) as connection:
        line = f"Authorization: {shared_server.basic}\r\n".encode()
        connection.send(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n" + line + line + b"\r\n")

        assert connection.receive().status in (400, 401)


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc", "bearer", "BEARER"])
def test_the_schemes_name_has_no_case(shared_server: RunningServer, scheme: str) -> None:
    credential = token(shared_server) if scheme.lower() == "bearer" else shared_server.basic.partition(" ")[2]

    assert base(shared_server, f"{scheme} {credential}").status == 200


def test_a_credential_of_one_kind_is_none_of_another(shared_server: RunningServer, ecr: Any) -> None:
    bearer, password = token(shared_server), login_password(ecr)
    upload = shared_server.request("POST", f"/v2/{_made(ecr)}/blobs/uploads/").headers["Location"].rpartition(".")[2]

    for header in (f"Bearer {password}", basic("AWS", bearer), f"Bearer {upload}", basic("AWS", upload)):
        assert base(shared_server, header).status == 401
    assert base(shared_server, basic("AWS", password)).status == 200


def _made(ecr: Any) -> str:
    name = unique_name()
    ecr.create_repository(repositoryName=name)
    return name


# --- the end of a credential ------------------------------------------------------------------------------------------


def aged(server: RunningServer, kind: Any, text: str, seconds: int) -> str:
    """The token as it would have been, made so many seconds earlier."""
    sealer = sealer_of(server)
    claims = json.loads(sealer.open(kind, text))
    claims |= {"iat": claims["iat"] - seconds, "exp": claims["exp"] - seconds}
    return sealer.seal(kind, json.dumps(claims).encode())


@pytest.mark.parametrize(("early", "status"), [(-100, 200), (5, 401)], ids=["in-time", "expired"])
def test_a_bearer_token_ends(shared_server: RunningServer, early: int, status: int) -> None:
    header = f"Bearer {aged(shared_server, 'bearer', token(shared_server), 900 + early)}"

    assert base(shared_server, header).status == status


@pytest.mark.parametrize(("early", "status"), [(-100, 200), (5, 401)], ids=["in-time", "expired"])
def test_a_docker_login_ends_after_twelve_hours(
    shared_server: RunningServer, ecr: Any, early: int, status: int
) -> None:
    password = aged(shared_server, "login", login_password(ecr), 43200 + early)

    answer = base(shared_server, basic("AWS", password))

    assert answer.status == status
    assert status == 200 or "expired" in answer.json["errors"][0]["message"]
    assert shared_server.request("GET", "/token", auth=basic("AWS", password)).status == status


class Credentials(NamedTuple):
    """Every form in which one access key can be used."""

    by_key: str
    by_login: str
    by_token: str


@pytest.fixture
def user(shared_server: RunningServer) -> Iterator[tuple[str, iam.Keys, Credentials]]:
    """A user who may ask for a login, and nothing else."""
    name = unique_name("user")
    _, keys = iam.make_user(shared_server, name)
    with iam.client(shared_server, "iam") as client:
        client.put_user_policy(
            UserName=name,
            PolicyName="login",
            PolicyDocument=iam.policy(Action="ecr:GetAuthorizationToken", Resource="*"),
        )
    with iam.client(shared_server, "ecr", keys) as client:
        password = login_password(client)
    by_key = basic(keys.access_key_id, keys.secret)
    yield (
        name,
        keys,
        Credentials(by_key=by_key, by_login=basic("AWS", password), by_token=f"Bearer {token(shared_server, by_key)}"),
    )


def test_each_form_of_a_users_credential_logs_in(
    shared_server: RunningServer, user: tuple[str, iam.Keys, Credentials]
) -> None:
    assert [base(shared_server, one).status for one in user[2]] == [200, 200, 200]


def test_a_key_that_is_taken_away_ends_every_form(
    shared_server: RunningServer, user: tuple[str, iam.Keys, Credentials]
) -> None:
    """T04, P9: and one that is given back opens them again."""
    name, keys, credentials = user
    seen = []
    with iam.client(shared_server, "iam") as client:
        for state in ("Inactive", "Active"):
            client.update_access_key(UserName=name, AccessKeyId=keys.access_key_id, Status=state)
            seen.append([base(shared_server, one).status for one in credentials])
        client.delete_access_key(UserName=name, AccessKeyId=keys.access_key_id)
        seen.append([base(shared_server, one).status for one in credentials])

    assert seen == [[401] * 3, [200] * 3, [401] * 3]


def test_the_root_key_of_another_start_is_gone(tmp_path: Any) -> None:
    server = RunningServer(tmp_path / "data")
    server.start()
    old = [server.basic, f"Bearer {token(server)}"]
    server.stop()
    server.environment["LONGSHORE_ROOT_ACCESS_KEY_ID"] = "AKIAANOTHERKEYANOTHE"
    server.start()
    seen = [base(server, one).status for one in old]
    new = base(server, basic("AKIAANOTHERKEYANOTHE", SECRET)).status
    server.stop()

    assert (seen, new) == ([401, 401], 200)


def test_a_token_tells_nothing_to_who_has_not_the_keys(shared_server: RunningServer) -> None:
    """Sealed: no claim can be read, and no two tokens are alike."""
    first, second = token(shared_server), token(shared_server)
    raw = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4))

    assert first != second
    assert re.fullmatch(r"[\w-]+", first)
    assert KEY_ID.encode() not in raw and b"exp" not in raw


@pytest.mark.parametrize("user", ["a\0b", "\0", "a\nb", "\x7f"])
def test_a_user_that_nobody_can_be_is_not_logged_in(shared_server: RunningServer, user: str) -> None:
    """Nothing asks the rows for a name with such characters: a database may not even take it as one."""
    assert shared_server.request("GET", "/v2/", auth=basic(user, SECRET)).status == 401
