"""Blobs that are larger than what a socket takes at once: whole, in order, or not at all.

By the doors and, for a request that comes again, below them (`server.fast_replies`): both ways are held to the same.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import push_blob
from tests.servers import RunningServer
from tests.threats.processes import descriptors
from tests.waiting import until
from tests.wire import connect, dial, root_head

BIG = 14 * 1024 * 1024  # bytes; more than the sockets of a connection hold


@pytest.fixture(scope="module", params=[True, False], ids=["given-again", "made-anew"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    directory = tmp_path_factory.mktemp("sendfile")
    server = RunningServer(directory / "data", LONGSHORE_SERVER__FAST_REPLIES=str(request.param).lower())
    server.start()
    server.create("app")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def data() -> bytes:
    return os.urandom(BIG)


@pytest.fixture(scope="module")
def path(server: RunningServer, data: bytes) -> str:
    """Of a blob that was pulled before, by the very request that comes again."""
    path = f"/v2/app/blobs/{push_blob(server, 'app', data)}"
    with connect(server) as wire:
        wire.send(root_head(server, "GET", path))
        wire.receive()
    return path


def test_parts_and_wholes_come_in_turn_on_one_connection(server: RunningServer, path: str, data: bytes) -> None:
    spans = [None, (0, BIG - 1), (1, 100_000), (BIG - 70_000, BIG - 1), (5, 9)] * 2
    with connect(server) as wire:
        for span in spans:
            wanted = {"Range": f"bytes={span[0]}-{span[1]}"} if span else {}
            wire.send(root_head(server, "GET", path, wanted))
            answer = wire.receive()

            assert answer.status == (206 if span else 200)
            assert answer.headers["Content-Range"] == (f"bytes {span[0]}-{span[1]}/{BIG}" if span else None)
            assert answer.headers["x-amzn-RequestId"]
            assert answer.body == (data[span[0] : span[1] + 1] if span else data)


def test_who_asks_on_while_a_blob_is_sent_is_answered_behind_it(server: RunningServer, path: str, data: bytes) -> None:
    with connect(server) as wire:
        for request in (path, path, "/v2/", path):
            wire.send(root_head(server, "GET", request))
        answers = [wire.receive() for _ in range(4)]

    assert [answer.body for answer in answers] == [data, data, b"{}", data]


def test_who_has_said_all_still_gets_all(server: RunningServer, path: str, data: bytes) -> None:
    with dial(server) as connection:
        connection.sendall(root_head(server, "GET", path))
        connection.recv(1000, socket.MSG_PEEK)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(1 << 20), b""))

    assert received.partition(b"\r\n\r\n")[2] == data


def test_who_goes_away_in_the_middle_leaves_nothing_open(server: RunningServer, path: str) -> None:
    before = descriptors(server.pid)
    for _ in range(5):
        with dial(server) as connection:
            connection.sendall(root_head(server, "GET", path))
            assert connection.recv(1000)

    until(lambda: descriptors(server.pid) <= before, what="the end of all connections and files")
    assert not [line for line in server.output if "Traceback" in line]


def test_a_file_that_is_cut_off_while_it_is_sent_is_no_full_answer(server: RunningServer) -> None:
    data = os.urandom(BIG)
    path = f"/v2/app/blobs/{push_blob(server, 'app', data)}"
    request = root_head(server, "GET", path)
    [file] = [one for one in server.data.glob("blobs/*/*/*") if one.is_file() and is_of(one, data)]
    with connect(server) as wire:
        wire.send(request)
        whole = wire.receive().body
    with dial(server) as connection:
        connection.sendall(request)
        received = connection.recv(1000)
        os.truncate(file, BIG - 1)
        received += b"".join(iter(lambda: taken(connection), b""))
    again = server.request("HEAD", path)

    assert whole == data
    assert received.startswith(b"HTTP/1.1 200 OK\r\n") and f"Content-Length: {BIG}\r\n".encode() in received
    assert 0 < len(received.partition(b"\r\n\r\n")[2]) < BIG
    assert again.status == 404


def taken(connection: socket.socket) -> bytes:
    """The next bytes; none at the end, however that comes."""
    try:
        return connection.recv(1 << 20)
    except ConnectionError:
        return b""


def is_of(file: Path, data: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(64) == data[:64]
