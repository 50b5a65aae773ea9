"""Bytes that are not HTTP, or could be read in two ways (promises.md T25, T23, P8).

Each is answered once, in JSON that repeats nothing of it, and ends the connection: what stands behind it is not a
request.
"""

import json
import zlib

import pytest

from tests.builders import OCI_IMAGE, digest_of, image, push
from tests.servers import Answer, RunningServer
from tests.threats.processes import MIB, growth
from tests.threats.signed import signed_head
from tests.waiting import until
from tests.wire import Broken, Wire, ask, connect, root_head

ECHO = "Canary"
_ECHO = ECHO.encode()


@pytest.fixture(scope="module")
def upload(guarded: RunningServer) -> str:
    """An upload's path."""
    return str(guarded.request("POST", "/v2/guarded/blobs/uploads/").headers["Location"])


@pytest.fixture
def victim(guarded: RunningServer) -> str:
    """A tag that a request behind a malformed one would delete."""
    push(guarded, "guarded", image(), "victim")
    return "/v2/guarded/manifests/victim"


def answers(wire: Wire, method: str = "GET") -> list[Answer]:
    """All that the server says until it hangs up."""
    found = []
    while True:
        try:
            found.append(wire.receive(method))
        except Broken as broken:
            assert broken.answer is None
            return found


def is_error(answer: Answer, *, most: int = 499) -> bool:
    told = json.loads(answer.body)["errors"]
    return 400 <= answer.status <= most and bool(told[0]["code"]) and bool(told[0]["message"])


CHUNK = f"6\r\n{ECHO}\r\n0\r\n\r\n"
# name -> (headers, body) of a PATCH
BODIES = {
    "length and chunked": ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nCanar"),
    "two lengths": ("Content-Length: 5\r\nContent-Length: 6\r\n", ECHO),
    "the same length twice": ("Content-Length: 6\r\nContent-Length: 6\r\n", ECHO),
    "a list of lengths": ("Content-Length: 6, 6\r\n", ECHO),
    "length with a plus": ("Content-Length: +6\r\n", ECHO),
    "negative length": ("Content-Length: -6\r\n", ECHO),
    "hexadecimal length": ("Content-Length: 0x6\r\n", ECHO),
    "length beyond 64 bits": (f"Content-Length: {10**23}\r\n", ECHO),
    "no length": ("Content-Length: \r\n", ECHO),
    "chunked not last": ("Transfer-Encoding: chunked, identity\r\n", CHUNK),
    "another coding first": ("Transfer-Encoding: gzip, chunked\r\n", CHUNK),
    "another coding alone": ("Transfer-Encoding: gzip\r\n", CHUNK),
    "chunked twice": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNK),
    "nearly chunked": ("Transfer-Encoding: xchunked\r\n", CHUNK),
    "chunked with a parameter": ("Transfer-Encoding: chunked;a=b\r\n", CHUNK),
    "space before the colon": ("Transfer-Encoding : chunked\r\n", CHUNK),
    "chunk size beyond 64 bits": ("Transfer-Encoding: chunked\r\n", f"{'f' * 17}\r\n{ECHO}\r\n0\r\n\r\n"),
    "negative chunk size": ("Transfer-Encoding: chunked\r\n", f"-6\r\n{ECHO}\r\n0\r\n\r\n"),
    "chunk size with 0x": ("Transfer-Encoding: chunked\r\n", f"0x6\r\n{ECHO}\r\n0\r\n\r\n"),
    "chunk longer than its size": ("Transfer-Encoding: chunked\r\n", f"3\r\n{ECHO}\r\n0\r\n\r\n"),
    "line feed in a chunk extension": ("Transfer-Encoding: chunked\r\n", f"6;a\n{ECHO}\r\n0\r\n\r\n"),
    "trailer with a bare line feed": ("Transfer-Encoding: chunked\r\n", f"6\r\n{ECHO}\r\n0\r\nA: b\nC: d\r\n\r\n"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_whose_end_is_in_doubt_ends_the_connection(
    guarded: RunningServer, upload: str, victim: str, name: str
) -> None:
    headers, body = BODIES[name]
    with connect(guarded) as wire:
        first = root_head(guarded, "PATCH", upload)[:-2] + f"{headers}\r\n{body}".encode()
        wire.send(first + root_head(guarded, "DELETE", victim))
        found = answers(wire)

    assert len(found) == 1 and is_error(found[0]), found
    assert ECHO not in found[0].body.decode()
    assert guarded.request("GET", victim).status == 200, "the request behind it was executed"


HEADS = {
    "folded header": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-A: b\r\n Canary\r\n\r\n",
    "two hosts": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: Canary\r\n\r\n",
    "no host": b"GET /v2/ HTTP/1.1\r\n\r\n",
    "line feeds alone": b"GET /v2/ HTTP/1.1\nHost: Canary\n\n",
    "one line feed alone": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-A: Canary\nX-B: c\r\n\r\n",
    "one carriage return alone": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-A: Canary\rX-B: c\r\n\r\n",
    "NUL in a header": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-A: Can\0ary\r\n\r\n",
    "NUL in the path": b"GET /v2/Canary\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a header without a colon": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nCanary\r\n\r\n",
    "a space in a header's name": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nCan ary: b\r\n\r\n",
    "a long line": b"GET /v2/" + _ECHO * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long header": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-A: " + _ECHO * 3000 + b"\r\n\r\n",
    "20,000 headers": b"GET /v2/ HTTP/1.1\r\nHost: a\r\n"
    + b"".join(b"X-%d: Canary\r\n" % n for n in range(20_000))
    + b"\r\n",
    "a method that is none": b"Can@ry /v2/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a version that is none": b"GET /v2/Canary HTTP/9.9\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nCanary",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + _ECHO * 20,
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_is_no_http_ends_the_connection(guarded: RunningServer, victim: str, name: str) -> None:
    with connect(guarded) as wire:
        wire.send(HEADS[name] + root_head(guarded, "DELETE", victim))
        found = answers(wire)

    assert len(found) == 1 and is_error(found[0], most=400), found
    assert ECHO not in found[0].body.decode()
    assert guarded.request("GET", victim).status == 200, "the request behind it was executed"


def test_a_good_request_before_a_malformed_one_is_not_taken_for_it(guarded: RunningServer, victim: str) -> None:
    """One at a time: the first was answered when the second comes."""
    with connect(guarded) as wire:
        wire.send(root_head(guarded, "GET", "/v2/"))
        first = wire.receive()
        wire.send(HEADS["two hosts"] + root_head(guarded, "DELETE", victim))
        found = answers(wire)

    assert first.status == 200
    assert len(found) == 1 and is_error(found[0])
    assert guarded.request("GET", victim).status == 200


@pytest.mark.parametrize("extension", [";a", ";a=b", ';a="b;c"', ";" + "a" * 50_000], ids=lambda text: text[:8])
def test_chunk_extensions_are_no_bytes_of_the_body(guarded: RunningServer, extension: str) -> None:
    data = f"{ECHO}{extension[:20]}".encode()
    path = f"/v2/guarded/blobs/uploads/?digest={digest_of(data)}"
    with connect(guarded) as wire:
        wire.send(root_head(guarded, "POST", path, {"Transfer-Encoding": "chunked"}))
        wire.send(f"{len(data):x}{extension}\r\n".encode() + data + f"\r\n0{extension}\r\n\r\n".encode())
        pushed = wire.receive()
        wire.send(root_head(guarded, "GET", f"/v2/guarded/blobs/{digest_of(data)}"))
        got = wire.receive()

    assert (pushed.status, got.body) == (201, data)


# --- bodies that are compressed ---------------------------------------------------------------------------------------


CODINGS = ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "anything"]


@pytest.mark.parametrize("coding", CODINGS)
def test_a_blob_is_stored_as_it_was_sent_whatever_coding_is_named(guarded: RunningServer, coding: str) -> None:
    data = zlib.compress(f"{ECHO} {coding}".encode() * 1000, wbits=31)
    path = f"/v2/guarded/blobs/uploads/?digest={digest_of(data)}"
    pushed = ask(guarded, "POST", path, data, {"Content-Encoding": coding})
    got = ask(guarded, "GET", f"/v2/guarded/blobs/{digest_of(data)}", headers={"Accept-Encoding": coding})

    assert pushed.status in (201, 415)
    assert pushed.status == 415 or (got.status, got.body, got.headers.get("Content-Encoding")) == (200, data, None)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_manifest_or_call_is_refused(guarded: RunningServer, coding: str) -> None:
    body = zlib.compress(image().body, wbits=31)
    headers = {"Content-Encoding": coding, "Content-Type": OCI_IMAGE}
    by_oci = ask(guarded, "PUT", "/v2/guarded/manifests/t", body, headers)
    with connect(guarded) as wire:
        wire.send(signed_head(guarded, "PutImage", body, {"Content-Encoding": coding}) + body)
        by_api = wire.receive()

    assert (by_oci.status, by_oci.code) == (415, "UNSUPPORTED")
    assert by_api.status == 415
    assert by_api.json["__type"].endswith("UnsupportedMediaTypeException")


def test_nothing_is_inflated(guarded: RunningServer) -> None:
    """A gigabyte of zeros in a megabyte, at every place that takes a body."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()
    upload = str(guarded.request("POST", "/v2/guarded/blobs/uploads/").headers["Location"])
    with growth(guarded) as grown:
        patched = ask(guarded, "PATCH", upload, bomb, {"Content-Encoding": "gzip"})
        put = ask(guarded, "PUT", "/v2/guarded/manifests/t", bomb, {"Content-Encoding": "gzip"})
        with connect(guarded) as wire:
            wire.send(signed_head(guarded, "CreateRepository", bomb, {"Content-Encoding": "gzip"}) + bomb)
            called = wire.receive()
    status = until(lambda: guarded.request("GET", upload), what="the upload's status")

    assert (patched.status, put.status, called.status) == (202, 415, 415)
    assert status.headers["Range"] == f"0-{len(bomb) - 1}"
    assert grown.bytes < 64 * MIB
