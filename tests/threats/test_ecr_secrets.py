"""Secrets: none that is known beforehand (T34), none that leaks (T51), none that timing tells (T33)."""

import base64
import functools
import hmac
import json
import re
import secrets
import string
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest

from registry.auth import authenticator, sigv4
from registry.auth.authenticator import Authenticator
from registry.auth.sealing import PURPOSES, Sealer
from registry.auth.stamped import Stamped
from registry.context import SystemClock
from registry.entities import AccessKey
from registry.errors import NotAuthenticated
from registry.names import AccountId
from registry.records import access_keys, schema
from registry.records.engine import Database
from tests.api import push_image, put_image, refusal
from tests.builders import digest_of, image
from tests.servers import ROOT, RunningServer, basic

pytestmark = pytest.mark.real("boto3")


# --- T34: no credential is known beforehand ---------------------------------------------------------------------------


def documented() -> set[str]:
    """Every word of the documentation that could be a name, a key or a password."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages if page.is_file())
    quoted = re.findall(r"[\"'`]([^\"'`\n]{1,100})[\"'`]", text)
    keys = re.findall(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\b[A-Za-z0-9/+_-]{30,44}\b", text)
    return {*quoted, *keys, "admin", "password", "longshore", "changeme", "test", "minioadmin", "Harbor12345", ""}


SAMPLE: Final = re.compile(r"```toml\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("configured", ["not-at-all", "by-the-sample"])
def test_no_documented_credential_opens_a_new_server(start_server, tmp_path, configured):
    arguments: list[str] = []
    if configured == "by-the-sample":
        *_, sample = SAMPLE.findall((ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))
        file = tmp_path / "longshore.toml"
        file.write_text(re.sub(r"(?m)^(tls_|host|port).*$", "", sample))  # what names this machine's own things
        arguments = ["--config", str(file)]
    server: RunningServer = start_server(
        *arguments, LONGSHORE_ROOT_ACCESS_KEY_ID="", LONGSHORE_ROOT_SECRET_ACCESS_KEY=""
    )
    words = sorted(documented())
    made = json.loads((server.data / "root-key.json").read_text())
    users = ["AWS", "root", "admin", "", made["accessKeyId"], "AKIAIOSFODNN7EXAMPLE"]
    opened = [
        (user, word)
        for user in users
        for word in words
        if server.request("GET", "/v2/", auth=basic(user, word)).status != 401
    ]

    assert len(words) > 100
    assert opened == []
    assert server.request("GET", "/v2/", auth=basic(made["accessKeyId"], made["secretAccessKey"])).status == 200


def test_two_servers_have_nothing_in_common(start_server):
    no_key = {"LONGSHORE_ROOT_ACCESS_KEY_ID": "", "LONGSHORE_ROOT_SECRET_ACCESS_KEY": ""}
    keys = [json.loads((start_server(**no_key).data / "root-key.json").read_text()) for _ in range(2)]

    assert keys[0]["accessKeyId"] != keys[1]["accessKeyId"]
    assert keys[0]["secretAccessKey"] != keys[1]["secretAccessKey"]
    assert all(len(key["secretAccessKey"]) >= 40 for key in keys)


# --- T51: no secret leaks ---------------------------------------------------------------------------------------------


def forms(secret: str) -> dict[str, bytes]:
    """How a secret may look where it must not be: as it is, and as programs write it."""
    raw = secret.encode()
    found = {"plain": raw, "url": quote(secret, safe="").encode(), "hex": raw.hex().encode()}
    for shift in range(3):
        # In base64 it looks differently after 0, 1 or 2 other bytes; the ends depend on the neighbours.
        middle = base64.b64encode(b"\0" * shift + raw)[shift + bool(shift) : -4]
        found[f"base64+{shift}"] = middle
        found[f"base64url+{shift}"] = middle.translate(bytes.maketrans(b"+/", b"-_"))
    return found


@pytest.mark.parametrize("before", [b"", b":", b"y:", b"xy:"], ids=len)
def test_the_forms_are_those_that_programs_write(before):
    secret = "a-secret/of+this-kind"
    written = base64.b64encode(before + secret.encode() + b"!")

    assert any(text in written for form, text in forms(secret).items() if form.startswith("base64"))


def test_no_secret_is_in_logs_counters_rows_or_errors(start_server):
    letters = string.ascii_letters + string.digits + "/+"
    canaries = {
        "root secret": "".join(secrets.choice(letters) for _ in range(40)),
        "master key": secrets.token_hex(32),
        "metrics token": secrets.token_urlsafe(24),
        "wrong secret": "".join(secrets.choice(letters) for _ in range(40)),
    }
    server: RunningServer = start_server(
        LONGSHORE_ROOT_SECRET_ACCESS_KEY=canaries["root secret"],
        LONGSHORE_SECRETS__MASTER_KEY=canaries["master key"],
        LONGSHORE_METRICS__TOKEN=canaries["metrics token"],
        LONGSHORE_LOG__ACCESS="all",
        LONGSHORE_LOG__LEVEL="debug",
    )
    errors = _use(server, canaries)
    metrics = server.request("GET", "/metrics", auth=f"Bearer {canaries['metrics token']}").body
    server.stop()
    places = {
        "an error": b"\n".join(errors),
        "the log": "\n".join(server.output).encode(),
        "the counters": metrics,
        **{str(file.relative_to(server.data)): file.read_bytes() for file in server.data.rglob("*") if file.is_file()},
    }

    assert len(errors) >= 12 and len(server.output) > 20
    assert b"longshore_requests_total" in metrics
    assert server.environment["LONGSHORE_ROOT_ACCESS_KEY_ID"].encode() in places["longshore.db"]  # the search can find
    leaks = [
        (what, form, place)
        for what, secret in canaries.items()
        for form, text in forms(secret).items()
        for place, content in places.items()
        if text in content
    ]
    assert leaks == []


def _use(server: RunningServer, canaries: dict[str, str]) -> list[bytes]:
    """Every way in which a secret comes in, right and wrong; adds the tokens that were given out. The error bodies."""
    key_id, root = server.environment["LONGSHORE_ROOT_ACCESS_KEY_ID"], canaries["root secret"]
    wrong = canaries["wrong secret"]
    with server.client(aws_secret_access_key=root) as ecr, server.client(aws_secret_access_key=wrong) as stranger:
        ecr.create_repository(repositoryName="app")
        built = image()
        push_image(ecr, "app", built)
        put_image(ecr, "app", built, "v1")
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        canaries["login"] = base64.b64decode(token).decode().partition(":")[2]
        url = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest_of(built.blobs[1]))["downloadUrl"]
        canaries["grant"] = url.rpartition("=")[2]
        told = [
            refusal(stranger.list_images, repositoryName="app"),
            refusal(ecr.list_images, repositoryName="NO NAME"),
            refusal(ecr.list_images, repositoryName="app", nextToken=canaries["login"]),
            refusal(ecr.put_image, repositoryName="app", imageManifest="{"),
        ]
    good = basic(key_id, root)
    bearer = server.request("GET", "/token?service=x", auth=good).json["token"]
    canaries["bearer"] = bearer
    grant_path = url.removeprefix(server.url)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    sent = [
        server.request("GET", "/v2/", auth=good),
        server.request("GET", "/v2/app/tags/list", auth=f"Bearer {bearer}"),
        server.request("GET", grant_path, auth=None),
        *(
            server.request(method, "/v2/app/manifests/v9", auth=auth)
            for method in ("GET", "DELETE")
            for auth in (
                good,
                basic(key_id, wrong),
                basic("AWS", wrong),
                basic("AWS", canaries["login"] + "x"),
                f"Bearer {wrong}",
                f"Bearer {bearer}x",
                f"Unknown {wrong}",
                "Basic " + wrong,
            )
        ),
        server.request("GET", grant_path + "x", auth=None),
        server.request("GET", "/v2/NO-NAME/tags/list", auth=f"Bearer {bearer}"),
        *(
            server.request(
                "POST", "/token", urlencode({"grant_type": "password", "username": key_id, "password": one}), form
            )
            for one in (root, wrong)
        ),
        server.request("GET", "/metrics", headers={"X-Forwarded-For": "10.0.0.1"}, auth=f"Bearer {wrong}"),
    ]
    return [*(json.dumps(one.response).encode() for one in told), *(one.body for one in sent if one.status >= 400)]


def test_a_generated_root_key_is_in_its_file_alone(start_server):
    server: RunningServer = start_server(LONGSHORE_ROOT_ACCESS_KEY_ID="", LONGSHORE_ROOT_SECRET_ACCESS_KEY="")
    made = json.loads((server.data / "root-key.json").read_text())
    server.request("GET", "/v2/", auth=basic(made["accessKeyId"], made["secretAccessKey"]))
    server.stop()
    holding = [
        str(file.relative_to(server.data))
        for file in server.data.rglob("*")
        if file.is_file() and made["secretAccessKey"].encode() in file.read_bytes()
    ]

    assert holding == ["root-key.json"]
    assert not [line for line in server.output if made["secretAccessKey"] in line]


# --- T33: an unknown key takes the way of a wrong secret --------------------------------------------------------------


class Counting:
    """The hmac module, with a count of what was asked of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def compare_digest(self, one: Any, other: Any) -> bool:
        self.calls.append("compare_digest")
        return hmac.compare_digest(one, other)

    def digest(self, key: bytes, message: bytes, algorithm: str) -> bytes:
        self.calls.append("digest")
        return hmac.digest(key, message, algorithm)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch):
    """An authenticator with an active and an inactive key, and the count of its cryptography."""
    counting = Counting()
    monkeypatch.setattr(sigv4, "hmac", counting)
    monkeypatch.setattr(authenticator, "hmac", counting)
    db = Database(tmp_path / "longshore.db")
    db.write_here(schema.upgrade)
    sealer = Sealer(dict.fromkeys(PURPOSES, b"k" * 32))
    for key_id, active in (("AKIAACTIVE", True), ("AKIAINACTIVE", False)):
        row = AccessKey(
            id=key_id,
            account=AccountId("000000000000"),
            owner_id="000000000000",
            sealed_secret=sealer.seal_bytes("secret", b"right"),
            active=active,
            created_at=SystemClock().now(),
        )
        db.write_here(functools.partial(access_keys.insert, key=row))
    yield Authenticator(db, sealer, Stamped(db)), counting.calls
    db.close()


async def signed_by(known: Authenticator, key_id: str, secret: str) -> str:
    now = SystemClock().now().replace(microsecond=0)
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    claim = sigv4.Claim(
        access_key_id=key_id,
        date=stamp[:8],
        region="us-east-1",
        service="ecr",
        signed_headers=("host", "x-amz-date"),
        signature="",
        timestamp=now,
    )
    request = sigv4.SignedRequest(
        method="POST",
        raw_path="/",
        raw_query="",
        headers=(("Host", "x"), ("X-Amz-Date", stamp)),
        body_sha256="0" * 64,
    )
    signature = sigv4.signature(claim, request, secret)
    try:
        await known.signed(sigv4.Claim(**{**_fields(claim), "signature": signature}), request, now)
    except NotAuthenticated as error:
        return error.code
    return "in"


def _fields(claim: sigv4.Claim) -> dict[str, Any]:
    return {name: getattr(claim, name) for name in claim.__slots__}


async def test_every_signature_costs_the_same(asked):
    known, calls = asked
    costs: dict[str, list[str]] = {}
    outcomes: dict[str, str] = {}
    for what, key_id, secret in (
        ("right", "AKIAACTIVE", "right"),
        ("wrong", "AKIAACTIVE", "wrong"),
        ("unknown", "AKIANOBODY", "right"),
        ("inactive", "AKIAINACTIVE", "right"),
    ):
        calls.clear()
        outcomes[what] = await signed_by(known, key_id, secret)
        costs[what] = list(calls)

    assert outcomes == {
        "right": "in",
        "wrong": "InvalidSignatureException",
        "unknown": "UnrecognizedClientException",
        "inactive": "UnrecognizedClientException",
    }
    assert costs["right"].count("compare_digest") == 2  # the signature, and the session token
    assert costs["right"] == costs["wrong"] == costs["unknown"] == costs["inactive"]


async def test_every_password_costs_the_same(asked):
    known, calls = asked
    costs: dict[str, list[str]] = {}
    told: set[str] = set()
    for what, key_id, secret in (
        ("right", "AKIAACTIVE", "right"),
        ("wrong", "AKIAACTIVE", "wrong"),
        ("unknown", "AKIANOBODY", "right"),
        ("inactive", "AKIAINACTIVE", "right"),
    ):
        calls.clear()
        if what == "right":
            await known.password(key_id, secret, SystemClock().now())
        else:
            with pytest.raises(NotAuthenticated) as caught:
                await known.password(key_id, secret, SystemClock().now())
            told.add(str(caught.value))
        costs[what] = list(calls)

    assert len(told) == 1  # nobody learns whether there is such a key
    assert costs["right"] == costs["wrong"] == costs["unknown"] == costs["inactive"] == ["compare_digest"]
