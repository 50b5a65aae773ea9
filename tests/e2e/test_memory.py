"""Memory of the server while bytes pass through it (promises.md P11): bounded by a constant, whatever the body."""

import dataclasses
import functools
import hashlib
import http.client
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.machine import forget_peak, resident
from tests.builders import image, push
from tests.conftest import Start
from tests.servers import RunningServer

MIB = 1024 * 1024
LARGE = 1024  # MiB
MOST = 300.0  # MiB of a process, in all
MORE = 80.0  # MiB of a process, over what it has when idle
_BLOCK = os.urandom(MIB - 8)


@dataclasses.dataclass(frozen=True)
class Layer:
    """Bytes that are made while they are sent, different ones for each `number`."""

    number: int
    mebibytes: int

    @functools.cached_property
    def digest(self) -> str:
        state = hashlib.sha256()
        for piece in self.pieces():
            state.update(piece)
        return f"sha256:{state.hexdigest()}"

    def pieces(self, first: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """From one mebibyte to another."""
        for place in range(first, self.mebibytes if stop is None else stop):
            yield self.number.to_bytes(4) + place.to_bytes(4) + _BLOCK


@pytest.fixture
def server(start_server: Start) -> Iterator[RunningServer]:
    """A server that has served before, and whose memory so far is its idle memory."""
    server = start_server()
    server.create("app")
    push(server, "app", image(), "v1")
    server.request("GET", "/v2/app/manifests/v1")
    yield server
    server.stop()
    shutil.rmtree(server.data)  # gigabytes, which pytest would keep for three runs


def put(server: RunningServer, layer: Layer) -> int:
    """POST, and one PUT with all bytes."""
    location = server.request("POST", "/v2/app/blobs/uploads/").headers["Location"]
    length = {"Content-Length": str(layer.mebibytes * MIB), "Content-Type": "application/octet-stream"}
    return server.request("PUT", f"{location}?digest={layer.digest}", layer.pieces(), length).status


def patch(server: RunningServer, layer: Layer, parts: int) -> int:
    """POST, some PATCHes that do not say how long they are, and an empty PUT."""
    location = server.request("POST", "/v2/app/blobs/uploads/").headers["Location"]
    size = layer.mebibytes // parts
    for first in range(0, layer.mebibytes, size):
        answer = server.request("PATCH", location, layer.pieces(first, first + size))
        assert answer.headers["Range"] == f"0-{(first + size) * MIB - 1}"
        location = answer.headers["Location"]
    return server.request("PUT", f"{location}?digest={layer.digest}").status


def get(server: RunningServer, digest: str) -> str:
    """The digest of what comes for a digest."""
    connection = http.client.HTTPConnection(server.netloc, timeout=60)
    try:
        connection.request("GET", f"/v2/app/blobs/{digest}", headers={"Authorization": server.basic})
        answer, state = connection.getresponse(), hashlib.sha256()
        while piece := answer.read(MIB):
            state.update(piece)
        return f"sha256:{state.hexdigest()}"
    finally:
        connection.close()


def test_a_large_layer_passes_through_little_memory(server: RunningServer) -> None:
    forget_peak(server.pid)
    idle, first, second = resident(server.pid), Layer(1, LARGE), Layer(2, LARGE)
    statuses = [put(server, first), patch(server, second, parts=4)]
    pulled = [get(server, layer.digest) for layer in (first, second)]
    peak = resident(server.pid, "VmHWM")

    assert statuses == [201, 201]
    assert pulled == [first.digest, second.digest]
    assert peak < min(MOST, idle + MORE), f"{idle:.0f} MiB when idle"


def test_many_uploads_at_once_pass_through_little_memory(server: RunningServer) -> None:
    forget_peak(server.pid)
    idle = resident(server.pid)
    layers = [Layer(number, 64) for number in range(16)]
    with ThreadPoolExecutor(len(layers)) as pool:
        statuses = list(pool.map(lambda layer: put(server, layer), layers))
    peak = resident(server.pid, "VmHWM")

    assert statuses == [201] * len(layers)
    assert peak < min(MOST, idle + MORE), f"{idle:.0f} MiB when idle"
