"""Bodies that are too large, too slow, too small in their pieces, or JSON that hurts (promises.md T19, T21, T24, T26).

Memory is looked at while it happens (R7 in small).
"""

import contextlib
import json
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.builders import OCI_IMAGE, digest_of
from tests.conftest import Start
from tests.servers import KEY_ID, Answer, RunningServer
from tests.threats.conftest import SECONDS
from tests.threats.processes import MIB, growth
from tests.threats.signed import signed_head
from tests.waiting import until
from tests.wire import Broken, Wire, ask, connect, dial, root_head

CROWD = int(os.environ.get("LONGSHORE_TEST_CROWD", "40"))
MANIFEST, UPLOADS = "/v2/guarded/manifests/t", "/v2/guarded/blobs/uploads/"


def begin(server: RunningServer) -> str:
    return str(server.request("POST", UPLOADS).headers["Location"])


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


# --- too large --------------------------------------------------------------------------------------------------------


def put_declared(server: RunningServer, wire: Wire) -> None:
    wire.send(root_head(server, "PUT", MANIFEST, {"Content-Length": str(64 * MIB), "Content-Type": OCI_IMAGE}))


def put_chunked(server: RunningServer, wire: Wire) -> None:
    wire.send(root_head(server, "PUT", MANIFEST, {"Transfer-Encoding": "chunked", "Content-Type": OCI_IMAGE}))
    for _ in range(64):
        if wire.send(chunk(bytes(MIB))) < MIB:
            return


def call_declared(server: RunningServer, wire: Wire) -> None:
    wire.send(signed_head(server, "PutImage", b"{}", {"Content-Length": str(64 * MIB)}))


def call_chunked(server: RunningServer, wire: Wire) -> None:
    wire.send(signed_head(server, "PutImage", b"{}", {"Content-Length": "", "Transfer-Encoding": "chunked"}))
    for _ in range(64):
        if wire.send(chunk(bytes(MIB))) < MIB:
            return


@pytest.mark.parametrize("send", [put_declared, put_chunked, call_declared, call_chunked])
def test_a_crowd_of_large_bodies_is_refused_and_takes_little_memory(
    guarded: RunningServer, send: Callable[[RunningServer, Wire], None]
) -> None:
    def one(_number: int) -> int | None:
        with connect(guarded) as wire:
            send(guarded, wire)
            try:
                return wire.receive("POST").status
            except Broken:
                return None  # it was refused while we were still sending, and the answer was lost with the rest

    with growth(guarded) as grown, ThreadPoolExecutor(CROWD) as pool:
        statuses = list(pool.map(one, range(CROWD)))

    assert set(statuses) <= {413, None, *({408, 503} if send in (put_chunked, call_chunked) else {})}
    if send in (put_declared, call_declared):
        assert set(statuses) == {413}, "it is refused before it comes"
    assert grown.bytes < 100 * MIB, f"{grown.bytes / MIB:.0f} MiB"
    assert guarded.request("GET", "/readyz").status == 200


def test_a_blob_may_be_large_and_many_at_once_take_little_memory(guarded: RunningServer) -> None:
    data = bytes(16 * MIB)
    digest = digest_of(data)

    def one(_number: int) -> int:
        return ask(guarded, "POST", f"{UPLOADS}?digest={digest}", data).status

    with growth(guarded) as grown, ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(one, range(16)))

    assert statuses == [201] * 16
    assert grown.bytes < 100 * MIB, f"{grown.bytes / MIB:.0f} MiB"


def test_strangers_cannot_keep_memory_from_others(start_server: Start) -> None:
    """Each of them has a large body on its way, under a key that does not exist."""
    server = start_server()
    server.create("guarded")
    part = os.urandom(5 * MIB)
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stranger = stack.enter_context(connect(server))
            head = signed_head(server, "PutImage", b"{}", {"Content-Length": str(20 * MIB)})
            stranger.send(head.replace(KEY_ID.encode(), b"AKIAANOTHERANOTHERAN") + bytes(MIB))
        began = time.monotonic()
        with server.client() as ecr:
            upload = ecr.initiate_layer_upload(repositoryName="guarded")["uploadId"]
            span = {"partFirstByte": 0, "partLastByte": len(part) - 1, "layerPartBlob": part}
            ecr.upload_layer_part(repositoryName="guarded", uploadId=upload, **span)
        lasted = time.monotonic() - began

    assert lasted < 20, "it did not wait for the strangers, who have half a minute"


# --- many small pieces ------------------------------------------------------------------------------------------------


def test_a_body_of_single_bytes_holds_up_nobody(guarded: RunningServer) -> None:
    data = os.urandom(100_000)
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in data) + b"0\r\n\r\n"
    headers = {"Transfer-Encoding": "chunked"}
    seen: list[float] = []

    def send() -> Answer:
        with connect(guarded) as wire:
            wire.send(root_head(guarded, "POST", f"{UPLOADS}?digest={digest_of(data)}", headers) + body)
            return wire.receive("POST")

    with growth(guarded) as grown, ThreadPoolExecutor(4) as pool:
        running = [pool.submit(send) for _ in range(4)]
        while not all(one.done() for one in running) or len(seen) < 20:
            began = time.monotonic()
            assert guarded.request("GET", "/livez").status == 200
            seen.append(time.monotonic() - began)

    assert [one.result().status for one in running] == [201] * 4
    assert statistics.median(seen) < 0.2
    assert grown.bytes < 64 * MIB
    assert guarded.request("GET", f"/v2/guarded/blobs/{digest_of(data)}").body == data


def test_trailers_without_end_are_cut_off(guarded: RunningServer) -> None:
    with growth(guarded) as grown, connect(guarded) as wire:
        wire.send(
            root_head(guarded, "PATCH", begin(guarded), {"Transfer-Encoding": "chunked"}) + chunk(b"data") + b"0\r\n"
        )
        sent = wire.send(b"".join(b"X-Trailer-%d: %s\r\n" % (n, b"v" * 50) for n in range(100_000)))
        answers = []
        with_end = wire.send(b"\r\n")
        with contextlib.suppress(Broken):
            answers.append(wire.receive("PATCH").status)

    assert sent or with_end
    assert answers in ([], [400], [408])
    assert grown.bytes < 64 * MIB
    assert guarded.request("GET", "/livez").status == 200


# --- slow -------------------------------------------------------------------------------------------------------------


def dripping(wire: Wire, seconds: float) -> Iterator[None]:
    """A byte now and then, until the server hangs up or the time is over."""
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then and wire.send(b"x"):
        yield
        time.sleep(0.2)


@pytest.mark.parametrize("kind", ["PATCH", "PUT", "manifest", "call", "unsigned call"])
def test_a_slow_body_is_dropped(guarded: RunningServer, kind: str) -> None:
    heads = {
        "PATCH": lambda: root_head(guarded, "PATCH", begin(guarded), {"Content-Length": "100000"}),
        "PUT": lambda: root_head(
            guarded, "PUT", f"{begin(guarded)}?digest={digest_of(b'')}", {"Content-Length": "100000"}
        ),
        "manifest": lambda: root_head(
            guarded, "PUT", MANIFEST, {"Content-Length": "100000", "Content-Type": OCI_IMAGE}
        ),
        "call": lambda: signed_head(guarded, "PutImage", b"{}", {"Content-Length": "100000"}),
        "unsigned call": lambda: root_head(guarded, "POST", "/", {"Content-Length": "100000"}),
    }
    with connect(guarded) as wire:
        wire.send(heads[kind]())
        began = time.monotonic()
        for _ in dripping(wire, 20):
            pass
        lasted = time.monotonic() - began
        told = receive_or_none(wire)

    assert lasted < SECONDS + 2 + 6, "the floor, the time in which a refused body may still come, and a busy machine"
    assert told in (None, 408, 400, 401)


def receive_or_none(wire: Wire) -> int | None:
    try:
        return wire.receive("POST").status
    except Broken:
        return None


def test_a_body_just_above_the_floor_is_taken(guarded: RunningServer) -> None:
    data = os.urandom(1600 * SECONDS * 2)
    with connect(guarded) as wire:
        path = f"{UPLOADS}?digest={digest_of(data)}"
        wire.send(root_head(guarded, "POST", path, {"Content-Length": str(len(data))}))
        for at in range(0, len(data), 400):
            wire.send(data[at : at + 400])
            time.sleep(0.2)
        status = wire.receive("POST").status

    assert status == 201


def test_an_upload_goes_on_after_its_slow_chunk_was_dropped(guarded: RunningServer) -> None:
    upload, data = begin(guarded), os.urandom(30_000)
    with connect(guarded) as wire:
        wire.send(root_head(guarded, "PATCH", upload, {"Content-Length": "30000"}) + data[:10_000])
        told = wire.receive("PATCH")
    there = int(guarded.request("GET", upload).headers["Range"].removeprefix("0-")) + 1
    patched = ask(guarded, "PATCH", upload, data[there:], {"Content-Range": f"{there}-29999"})

    assert (told.status, told.code) == (408, "BLOB_UPLOAD_INVALID")
    assert there == 10_000
    assert patched.status == 202
    assert ask(guarded, "PUT", f"{upload}?digest={digest_of(data)}").status == 201


def test_a_crowd_of_slow_bodies_is_gone_soon_and_disturbs_nobody(guarded: RunningServer) -> None:
    uploads = [begin(guarded) for _ in range(10)]
    with growth(guarded) as grown:
        crowd: list[socket.socket] = []
        try:
            for number in range(CROWD * 5):
                wire = dial(guarded)
                crowd.append(wire)
                wire.sendall(root_head(guarded, "PATCH", uploads[number % 10], {"Content-Length": "100000"}) + b"abc")
            probes = [probe(guarded) for _ in range(20)]
            began = time.monotonic()
            gone = sum(closes(wire, began + SECONDS + 15) for wire in crowd)
        finally:
            for wire in crowd:
                wire.close()

    assert gone == len(crowd)
    assert statistics.median(probes) < 0.2
    assert grown.bytes < 64 * MIB


def probe(server: RunningServer) -> float:
    began = time.monotonic()
    assert server.request("GET", "/v2/").status == 200
    return time.monotonic() - began


def closes(connection: socket.socket, deadline: float) -> bool:
    """Whether the server ends the connection before then, whatever it says first."""
    try:
        while True:
            connection.settimeout(max(deadline - time.monotonic(), 0.01))
            if not connection.recv(65536):
                return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


# --- JSON -------------------------------------------------------------------------------------------------------------


HOSTILE = {
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep inside a name": b'{"repositoryName":' + b"[" * 1000 + b"]" * 1000 + b"}",
    "not a number": b'{"maxResults":NaN,"schemaVersion":NaN}',
    "infinity": b'{"maxResults":-Infinity,"schemaVersion":Infinity}',
    "an endless number": b'{"maxResults":' + b"9" * 100_000 + b',"schemaVersion":' + b"9" * 100_000 + b"}",
    "a huge exponent": b'{"maxResults":1e999999999,"schemaVersion":1e999999999}',
    "a name twice": b'{"repositoryName":"a","repositoryName":"b","schemaVersion":2,"schemaVersion":2}',
    "half a character": b'{"repositoryName":"\\ud800","mediaType":"\\udfff"}',
    "not UTF-8": b'{"repositoryName":"\xff\xfe","mediaType":"\xc0\xaf"}',
    "NUL": b'{"repositoryName":"a\\u0000b","mediaType":"a\\u0000b"}',
    "cut off": b'{"repositoryName":"a',
    "two documents": b'{"repositoryName":"a"}{"repositoryName":"b"}',
    "a list": b'["repositoryName"]',
    "UTF-16": '{"repositoryName":"ab"}'.encode("utf-16"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_refused_at_both_doors(guarded: RunningServer, name: str) -> None:
    body = HOSTILE[name]
    by_oci = ask(guarded, "PUT", MANIFEST, body, {"Content-Type": OCI_IMAGE})
    with connect(guarded) as wire:
        wire.send(signed_head(guarded, "DescribeRepositories", body.replace(b'"repositoryName":"', b'"registryId":"')))
        wire.send(body.replace(b'"repositoryName":"', b'"registryId":"'))
        by_api = wire.receive("POST")
    inside = json.dumps({"repositoryName": "guarded", "imageManifest": body.decode("latin-1")}).encode()
    with connect(guarded) as wire:
        wire.send(signed_head(guarded, "PutImage", inside) + inside)
        inside_api = wire.receive("POST")

    assert (by_oci.status, by_oci.code) == (400, "MANIFEST_INVALID")
    assert by_api.status == 400
    assert by_api.json["__type"].rpartition("#")[2] in ("SerializationException", "InvalidParameterException")
    assert inside_api.status == 400
    assert inside_api.json["__type"].rpartition("#")[2] in ("SerializationException", "InvalidParameterException")
    assert until(lambda: guarded.request("GET", "/livez").status == 200)
