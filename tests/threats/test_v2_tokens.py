"""promises.md T01, T02: forged tokens, and tokens whose claims are missing or odd."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests import canary
from tests.builders import image, push
from tests.canary import Canary
from tests.forgery import altered, sealer_of
from tests.servers import KEY_ID, Answer, RunningServer, basic


@pytest.fixture(scope="module")
def listener() -> Iterator[Canary]:
    with canary.listening() as found:
        yield found


@pytest.fixture
def path(shared_server: RunningServer, repository: str) -> str:
    """A manifest that is there."""
    push(shared_server, repository, image(), "v1")
    return f"/v2/{repository}/manifests/v1"


def genuine(server: RunningServer) -> dict[str, Any]:
    """The claims of a token that the server gave out."""
    token = server.request("GET", "/token").json["token"]
    found: dict[str, Any] = json.loads(sealer_of(server).open("bearer", token))
    return found


def sealed(server: RunningServer, claims: Any) -> str:
    """A token of these claims as the server itself would seal it: only its contents are wrong."""
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return sealer_of(server).seal("bearer", body)


def ask(server: RunningServer, path: str, token: str) -> Answer:
    return server.request("GET", path, auth=f"Bearer {token}")


# --- T01: tokens of another make --------------------------------------------------------------------------------------

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(header: dict[str, Any], claims: dict[str, Any], *, by: str) -> str:
    text = f"{b64(json.dumps({'typ': 'JWT', **header}).encode())}.{b64(json.dumps(claims).encode())}"
    match by:
        case "nobody":
            signature = b""
        case "the-public-key-as-secret":
            signature = hmac.digest(PEM, text.encode(), hashlib.sha256)
        case _:
            signature = KEY.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{b64(signature)}"


def own_jwk() -> dict[str, str]:
    numbers = KEY.public_key().public_numbers()
    return {
        "kty": "RSA",
        "kid": "1",
        "n": b64(numbers.n.to_bytes(256)),
        "e": b64(numbers.e.to_bytes(3)),
        "alg": "RS256",
    }


FORGED = ["alg-none", "hs256-by-public-key", "embedded-jwk", "embedded-x5c", "jku", "x5u"]


@pytest.mark.parametrize("form", FORGED)
def test_T01_a_forged_token_is_401_and_no_key_is_fetched(
    shared_server: RunningServer, path: str, listener: Canary, form: str
) -> None:
    now = int(time.time())
    claims = {
        "iss": shared_server.url, "aud": "bearer", "sub": genuine(shared_server)["sub"], "key": KEY_ID,
        "iat": now, "nbf": now, "exp": now + 900,
        "access": [{"type": "repository", "name": path.split("/")[2], "actions": ["*"]}],
    }  # fmt: skip
    der = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    forged = {
        "alg-none": jwt({"alg": "none"}, claims, by="nobody"),
        "hs256-by-public-key": jwt({"alg": "HS256"}, claims, by="the-public-key-as-secret"),
        "embedded-jwk": jwt({"alg": "RS256", "kid": "1", "jwk": own_jwk()}, claims, by="own-key"),
        "embedded-x5c": jwt({"alg": "RS256", "x5c": [base64.b64encode(der).decode()]}, claims, by="own-key"),
        "jku": jwt({"alg": "RS256", "jku": f"{listener.url}/keys.json"}, claims, by="own-key"),
        "x5u": jwt({"alg": "RS256", "x5u": f"{listener.url}/key.pem"}, claims, by="own-key"),
    }

    for answer in (
        ask(shared_server, path, forged[form]),
        shared_server.request("GET", path, auth=basic("AWS", forged[form])),
        shared_server.request("GET", "/token", auth=basic("AWS", forged[form])),
    ):
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert listener.hits == 0


def test_T01_no_character_of_a_token_may_change(shared_server: RunningServer, path: str) -> None:
    token = shared_server.request("GET", "/token").json["token"]
    statuses = {ask(shared_server, path, text).status for text in altered(token)}

    assert statuses == {401}
    assert ask(shared_server, path, token).status == 200


@pytest.mark.parametrize(
    "change",
    [lambda text: text[:-1], lambda text: text[:-4], lambda text: text + "A", lambda text: text + "=",
     lambda text: text + "." + text, lambda text: text[:20], lambda text: "A" + text, lambda text: text.swapcase()],
)  # fmt: skip
def test_T01_a_token_is_taken_whole_or_not(shared_server: RunningServer, path: str, change: Any) -> None:
    assert ask(shared_server, path, change(shared_server.request("GET", "/token").json["token"])).status == 401


def test_T01_a_token_of_another_installation_is_401(shared_server: RunningServer, path: str, start_server: Any) -> None:
    """Same credentials, same claims, other keys."""
    other = start_server()

    assert ask(shared_server, path, other.request("GET", "/token").json["token"]).status == 401
    assert ask(shared_server, path, sealed(other, genuine(shared_server))).status == 401


# --- T02: claims, sealed by the true key ------------------------------------------------------------------------------


def test_T02_the_claims_themselves_are_good(shared_server: RunningServer, path: str) -> None:
    """What the tests below change one thing of."""
    assert ask(shared_server, path, sealed(shared_server, genuine(shared_server))).status == 200


@pytest.mark.parametrize("claim", ["aud", "sub", "key", "iat", "exp"])
def test_T02_a_token_without_a_claim_is_401(shared_server: RunningServer, path: str, claim: str) -> None:
    claims = genuine(shared_server)
    del claims[claim]

    assert ask(shared_server, path, sealed(shared_server, claims)).status == 401


TIMES: list[Any] = ["a string", "", "1", None, True, [], {}, -1, 0, 1.5, 10**30, -(10**30), 1e300]


@pytest.mark.parametrize("value", TIMES, ids=repr)
@pytest.mark.parametrize("claim", ["iat", "exp"])
def test_T02_a_time_of_another_form_never_opens_more(
    shared_server: RunningServer, path: str, claim: str, value: Any
) -> None:
    """An early `iat` is lawful and opens nothing by itself; everything else is 401, and nothing a failure of ours."""
    answer = ask(shared_server, path, sealed(shared_server, {**genuine(shared_server), claim: value}))

    assert answer.status == (200 if (claim, repr(value)) == ("iat", "0") else 401)


@pytest.mark.parametrize("text", [b"1e400", b"NaN", b"Infinity", b"-Infinity", b"0x10", b"9" * 5000, b"01"])
@pytest.mark.parametrize("claim", ["iat", "exp"])
def test_T02_a_number_that_json_has_not_is_401(
    shared_server: RunningServer, path: str, claim: str, text: bytes
) -> None:
    claims = json.dumps({**genuine(shared_server), claim: "here"}).encode().replace(b'"here"', text)

    assert ask(shared_server, path, sealed(shared_server, claims)).status == 401


@pytest.mark.parametrize("seconds", [0, -1, -(10**9)], ids=["now", "a-second-ago", "long-ago"])
def test_T02_a_token_that_is_over_is_401(shared_server: RunningServer, path: str, seconds: int) -> None:
    claims = {**genuine(shared_server), "exp": int(time.time()) + seconds}

    assert ask(shared_server, path, sealed(shared_server, claims)).status == 401


def test_T02_a_token_from_the_future_is_401(shared_server: RunningServer, path: str) -> None:
    now = int(time.time())
    near, far = ({**genuine(shared_server), "iat": now + ahead, "exp": now + 10**6} for ahead in (60, 3600))

    assert ask(shared_server, path, sealed(shared_server, near)).status == 200  # another server's clock
    assert ask(shared_server, path, sealed(shared_server, far)).status == 401


@pytest.mark.parametrize(
    ("claim", "value"),
    [("aud", "login"), ("aud", ""), ("aud", "BEARER"), ("aud", ["bearer"]), ("aud", None),
     ("sub", ""), ("sub", "111122223333"), ("sub", "arn:aws:iam::111122223333:root"), ("sub", None), ("sub", 5),
     ("key", ""), ("key", "AKIAUNKNOWNUNKNOWN00"), ("key", None), ("key", ["AKIATESTTESTTESTTEST"]), ("key", "ä"),
     ("key", "A" * 5000), ("session", "AAAA"), ("session", 5), ("session", None), ("more", 1)],
    ids=repr,
)  # fmt: skip
def test_T02_a_claim_of_another_value_is_401(shared_server: RunningServer, path: str, claim: str, value: Any) -> None:
    answer = ask(shared_server, path, sealed(shared_server, {**genuine(shared_server), claim: value}))

    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"5", b'"text"', b"{", b"\xff\xfe", b"{}" * 2, b"[" * 4000])
def test_T02_a_token_that_holds_no_claims_is_401(shared_server: RunningServer, path: str, body: bytes) -> None:
    assert ask(shared_server, path, sealed(shared_server, body)).status == 401


def test_T02_nobody_with_a_key_is_still_nobody(shared_server: RunningServer, path: str) -> None:
    claims = {**genuine(shared_server), "sub": "*"}

    assert ask(shared_server, path, sealed(shared_server, claims)).status == 401


def test_T02_nothing_failed_on_the_way(shared_server: RunningServer) -> None:
    """What a test above did not see: a failure that was told as 401."""
    assert not [line for line in shared_server.output if "Traceback" in line]
