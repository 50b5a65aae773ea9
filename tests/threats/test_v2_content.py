"""promises.md T52, T53, T54: what answers tell of the inside, pushed bytes as pages, poisoned names."""

import json
import random
import re
from typing import Any

import pytest

from tests import wire
from tests.builders import OCI_IMAGE, Built, digest_of, image, push, push_blob, put_manifest, unique_bytes
from tests.damage import file_of
from tests.servers import Answer, RunningServer

# A path from the root, a traceback, a database's or a framework's own words.
INSIDE = re.compile(
    r"(?<![\w.:/-])/(?!v2/|token)[a-z]+/[\w./-]+|Traceback|File \"|sqlite3?\b|sqlalchemy|psycopg|asyncpg|aiohttp"
    r"|msgspec|longshore\.db|\berrno\b|\[Errno|0x[0-9a-f]{6,}|\bNone\b",
    re.IGNORECASE,
)


def assert_tells_nothing(server: RunningServer, answer: Answer) -> None:
    """A client learns of its request, and of nothing behind it."""
    assert answer.status < 500
    for name, value in answer.headers.items():
        assert str(server.data) not in value, name
        assert not re.search(r"python|aiohttp", value, re.IGNORECASE), name
    if answer.status >= 400 and answer.body:
        body = answer.body.decode()
        assert set(answer.json) in ({"errors"}, {"__type", "message"})  # the AWS door answers at `/`
        assert not INSIDE.search(body), body
        assert str(server.data) not in body


# --- T52: details -----------------------------------------------------------------------------------------------------

WORDS = [
    "v2", "app", "..", "blobs", "uploads", "manifests", "tags", "list", "referrers", "_catalog", "v1", "x" * 300,
    "%00", "%2e", "sha256:" + "0" * 64, "sha256:zz", "sha512:" + "0" * 128, "0" * 64, "'", "{}", "\u00e4", "",
    "Upper", "a.b-c_d",
]  # fmt: skip
PARAMETERS = [
    "n",
    "last",
    "digest",
    "mount",
    "from",
    "tag",
    "artifactType",
    "digest-algorithm",
    "X-Longshore-Grant",
    "scope",
    "ns",
]
VALUES = [
    "",
    "0",
    "-1",
    "1e9",
    "x",
    "%00",
    "%ff",
    "sha256:" + "0" * 64,
    "sha256:",
    "../..",
    "' or 1=1--",
    "\u00e4",
    "A" * 500,
]
HEADERS = {
    "Content-Type": [OCI_IMAGE, "text/html", "", "a/b; c=d", "multipart/form-data; boundary=x", "\u00e4"],
    "Content-Range": ["0-1", "5-1", "bytes 0-1/2", "x", "-1-5", "99999999999999999999-1"],
    "Range": ["bytes=0-1", "bytes=-1", "bytes=9-1", "x=1-2"],
    "Accept": ["*/*", "text/html", ""],
    "If-None-Match": ["*", '"x"', ""],
    "Content-Encoding": ["gzip", "identity", "x"],
    "Host": ["evil.example", "111122223333.dkr.ecr.us-east-1.localhost", "a:b:c"],
    "X-Forwarded-For": ["1.2.3.4", "x"],
}
BODIES = [
    b"", b"{}", b"[", b"null", b"x" * 5000, b'{"schemaVersion":2}', b"[" * 5000, b'{"layers":[{}]}', b"\xff\xfe",
    b'{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:x","size":-1},"layers":[]}', b"NaN", b"1e400",
    b'{"a":1,"a":2}', b'{"mediaType":5}', b'"\\ud800"', b"9" * 5000,
]  # fmt: skip
METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]


def random_request(rng: random.Random, repository: str) -> tuple[str, str, bytes, dict[str, str]]:
    """Half of them near something that is there, so that not all fail at the first look."""
    word = rng.choice(WORDS)
    kinds = ["manifests/v1", "tags/list", "blobs/uploads/"]
    kinds += [f"{kind}/{word}" for kind in ("blobs", "manifests", "referrers", "blobs/uploads")]
    if rng.random() < 0.6:
        path = f"/v2/{repository}/{rng.choice(kinds)}"
    else:
        path = "/" + "/".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 7)))
    pairs = [f"{rng.choice(PARAMETERS)}={rng.choice(VALUES)}" for _ in range(rng.choice((0, 0, 1, 2)))]
    headers = {name: rng.choice(values) for name, values in HEADERS.items() if rng.random() < 0.15}
    method = rng.choice(METHODS)
    body = rng.choice(BODIES) if method in ("PUT", "POST", "PATCH") else b""
    return method, path + ("?" + "&".join(pairs) if pairs else ""), body, headers


def test_T52_no_answer_tells_of_the_inside(shared_server: RunningServer, repository: str) -> None:
    """Two thousand requests out of hostile parts; the seed is fixed, so that a failure can be had again."""
    rng = random.Random(7)
    push(shared_server, repository, image(), "v1")
    seen = []
    for _ in range(2000):
        method, target, body, headers = random_request(rng, repository)
        if method == "DELETE" and target.startswith(f"/v2/{repository}/manifests/v1"):
            continue
        encoded = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        answer = wire.ask(shared_server, method, target.encode(), body, encoded)
        seen.append(answer.status)
        assert_tells_nothing(shared_server, answer)

    assert sum(status < 300 for status in seen) > len(seen) // 20
    assert not [line for line in shared_server.output if "Traceback" in line]


def test_T52_no_answer_names_the_programs_below(shared_server: RunningServer, repository: str) -> None:
    """Nor one that the kernel sends: a blob too large for one write."""
    digest = push_blob(shared_server, repository, unique_bytes(300_000))
    for path in (f"/v2/{repository}/blobs/{digest}", "/v2/", "/nowhere", "/livez", "/metrics", "/token"):
        assert shared_server.request("GET", path).headers["Server"] == "longshore"


def test_T52_a_failure_of_the_store_tells_nothing(shared_server: RunningServer, repository: str) -> None:
    digest = push_blob(shared_server, repository, unique_bytes())
    path = file_of(shared_server.data, digest)
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.symlink_to(path.name)
    answer = shared_server.request("GET", f"/v2/{repository}/blobs/{digest}")
    path.unlink()
    aside.rename(path)

    assert (answer.status, answer.code) == (503, "UNSUPPORTED")
    assert not INSIDE.search(answer.body.decode())
    assert int(answer.headers["Retry-After"]) > 0


def test_T52_what_is_not_http_is_not_repeated(shared_server: RunningServer) -> None:
    for raw in (
        b"GET /v2/ HTTP/9.9\r\nsecret: token\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00secret\r\n\r\n",
        b"secret\r\n\r\n",
    ):
        with wire.connect(shared_server) as connection:
            connection.send(raw)
            answer = connection.receive()

            assert (answer.status, answer.code) == (400, "UNSUPPORTED")
            assert b"secret" not in answer.body
            assert connection.is_closed()


# --- T53: pushed bytes as pages ---------------------------------------------------------------------------------------

SCRIPT = b"<html><script>alert(document.domain)</script></html>"


@pytest.mark.parametrize("accept", ["text/html", "*/*", "image/svg+xml", "application/javascript"])
@pytest.mark.parametrize("size", [0, 100_000], ids=["small", "large"])
@pytest.mark.parametrize("wanted", [None, "bytes=0-20"], ids=["whole", "part"])
def test_T53_no_browser_takes_a_blob_for_a_page(
    shared_server: RunningServer, repository: str, accept: str, size: int, wanted: str | None
) -> None:
    data = SCRIPT + b" " * size
    digest = push_blob(shared_server, repository, data)
    headers = {"Accept": accept, **({"Range": wanted} if wanted else {})}

    for method in ("GET", "HEAD"):
        answer = shared_server.request(method, f"/v2/{repository}/blobs/{digest}", headers=headers)

        assert answer.status in (200, 206)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "media_type", ["text/html", "image/svg+xml", "application/javascript", "application/xhtml+xml"]
)
def test_T53_no_browser_takes_a_manifest_for_a_page(
    shared_server: RunningServer, repository: str, media_type: str
) -> None:
    """A manifest may have any media type, and is served under it."""
    built = Built(json.dumps({"x": SCRIPT.decode(), "n": unique_bytes(8).hex()}).encode(), media_type)
    assert put_manifest(shared_server, repository, built, "v1").status == 201

    answer = shared_server.request("GET", f"/v2/{repository}/manifests/v1", headers={"Accept": "text/html"})

    assert answer.body == built.body
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["/v2/<script>/tags/list", "/v2/a/manifests/<script>", "/<script>", "/v2/_catalog?n=<script>"]
)
def test_T53_an_error_is_json_and_no_page(shared_server: RunningServer, path: str) -> None:
    answer = wire.ask(shared_server, "GET", path, headers={"Accept": "text/html"})

    assert answer.status in (400, 404)
    assert answer.headers["Content-Type"] == "application/json"


def test_T53_a_list_is_json(shared_server: RunningServer, repository: str) -> None:
    subject = image()
    push(shared_server, repository, image(subject=subject.descriptor(), annotations={"a": "</script><script>"}))
    for path in ("tags/list", f"referrers/{subject.digest}"):
        answer = shared_server.request("GET", f"/v2/{repository}/{path}", headers={"Accept": "text/html"})

        assert answer.headers["Content-Type"].endswith("json")


# --- T54: poisoned names ----------------------------------------------------------------------------------------------

POISON = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Server": "evil.example",
    "X-Original-URL": "/evil",
    "X-Rewrite-URL": "/evil",
    "X-Host": "evil.example",
    "Forwarded": "host=evil.example;proto=https",
    "Origin": "https://evil.example",
    "Referer": "https://evil.example/",
}


@pytest.mark.parametrize("names", [*([name] for name in POISON), list(POISON)], ids=[*POISON, "all"])
def test_T54_no_header_leads_a_client_elsewhere(
    shared_server: RunningServer, repository: str, names: list[str]
) -> None:
    poison: dict[str, Any] = {name: POISON[name] for name in names}
    built = image()
    for blob in built.blobs:
        push_blob(shared_server, repository, blob)
    data = unique_bytes()
    asked = {}
    for name, (method, path, body) in {
        "begin": ("POST", f"/v2/{repository}/blobs/uploads/", b""),
        "single": ("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(data)}", data),
        "manifest": ("PUT", f"/v2/{repository}/manifests/{built.digest}?tag=a&tag=b", built.body),
    }.items():
        answer = wire.ask(shared_server, method, path, body, {"Content-Type": OCI_IMAGE, **poison})
        assert answer.status in (201, 202)
        asked[name] = answer.headers["Location"]
    page = wire.ask(shared_server, "GET", f"/v2/{repository}/tags/list?n=1", headers=poison)
    login = wire.ask(shared_server, "GET", "/v2/", headers={"Authorization": "Basic Og==", **poison})

    assert all(location.startswith(f"/v2/{repository}/") for location in asked.values())
    assert page.headers["Link"].startswith(f"</v2/{repository}/tags/list?")
    assert f'realm="{shared_server.url}/token"' in login.headers["WWW-Authenticate"]
    for answer in (page, login):
        assert "evil" not in str(answer.headers) + answer.body.decode()


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:5000", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example",
     "000000000000.dkr.ecr.us-east-1.evil.example", "[::1]@evil.example", "localhost#evil", "localhost/evil", '"evil'],
)  # fmt: skip
def test_T54_a_host_that_is_not_ours_is_not_repeated(shared_server: RunningServer, host: str) -> None:
    answer = wire.ask(shared_server, "GET", "/v2/", headers={"Host": host, "Authorization": "Basic Og=="})

    assert answer.status in (400, 401)
    if answer.status == 401:
        assert f'realm="{shared_server.url}/token"' in answer.headers["WWW-Authenticate"]
    assert "evil" not in str(answer.headers) + answer.body.decode()


def test_T54_two_hosts_are_refused(shared_server: RunningServer) -> None:
    with wire.connect(shared_server) as connection:
        connection.send(f"GET /v2/ HTTP/1.1\r\nHost: {shared_server.netloc}\r\nHost: evil.example\r\n\r\n".encode())

        assert connection.receive().status == 400
