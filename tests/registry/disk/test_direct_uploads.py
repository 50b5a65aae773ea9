"""Long layers: a thread receives them straight from the socket (`storage.direct_uploads`), or the framework does.

Both ways are held to the same: what is stored, what the connection is good for afterwards, and what becomes of a client
that is slow, stops half way or goes away.
"""

import contextlib
import os
from collections.abc import Iterator

import pytest

from tests import wire
from tests.builders import digest_of, push_blob, unique_bytes, unique_name
from tests.servers import RunningServer
from tests.waiting import until
from tests.wire import Wire, connect, root_head

MIB = 1024 * 1024
LENGTHS = (MIB - 1, MIB, MIB + 1, 3 * MIB + 17, 40 * MIB)


@pytest.fixture(scope="module", params=["true", "false"], ids=["direct", "piece-by-piece"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(
        tmp_path_factory.mktemp("uploads") / "data",
        LONGSHORE_STORAGE__DIRECT_UPLOADS=request.param,
        LONGSHORE_LIMITS__BODY_FLOOR_SECONDS="2",
    )
    running.start()
    running.create("layers")
    yield running
    running.stop()


def begin(server: RunningServer) -> str:
    return str(server.request("POST", "/v2/layers/blobs/uploads/").headers["Location"])


def head(server: RunningServer, method: str, path: str, length: int, **more: str) -> bytes:
    return root_head(server, method, path, {"Content-Length": str(length), **more})


def arrived(server: RunningServer, location: str) -> int:
    """How many bytes of an upload are safely in."""
    first, _, last = server.request("GET", location).headers["Range"].partition("-")
    return 0 if last == first else int(last) + 1


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("pause", [0, 1, 700_000], ids=["at-once", "after-a-byte", "after-much"])
def test_every_byte_is_stored_and_the_connection_goes_on(server: RunningServer, length: int, pause: int) -> None:
    data, digest = (content := os.urandom(length)), digest_of(content)
    location = begin(server)

    with connect(server) as client:
        client.send(head(server, "PATCH", location, length) + data[:pause])
        if pause:
            assert server.request("GET", location).status == 204  # by now the head was read, and what came with it
        client.send(data[pause:])
        patched = client.receive("PATCH")
        client.send(head(server, "PUT", f"{location}?digest={digest}", 0))
        put = client.receive("PUT")
        client.send(head(server, "GET", f"/v2/layers/blobs/{digest}", 0))
        got = client.receive("GET")

    assert (patched.status, patched.headers["Range"]) == (202, f"0-{length - 1}")
    assert put.status == 201
    assert got.body == data


def test_a_request_that_comes_right_behind_a_body_is_answered(server: RunningServer) -> None:
    data = unique_bytes(5 * MIB)

    with connect(server) as client:
        path = f"/v2/layers/blobs/uploads/?digest={digest_of(data)}"
        client.send(head(server, "POST", path, len(data)) + data + head(server, "GET", "/v2/", 0))
        first, second = client.receive("POST"), client.receive("GET")

    assert (first.status, second.status) == (201, 200)


def test_several_layers_come_over_one_connection(server: RunningServer) -> None:
    with connect(server) as client:
        for _ in range(5):
            data = unique_bytes(2 * MIB)
            client.send(head(server, "POST", f"/v2/layers/blobs/uploads/?digest={digest_of(data)}", len(data)))
            client.send(data)

            assert client.receive("POST").status == 201


def test_a_client_that_waits_is_asked_for_the_body(server: RunningServer) -> None:
    data = unique_bytes(3 * MIB)

    with connect(server) as client:
        path = f"/v2/layers/blobs/uploads/?digest={digest_of(data)}"
        client.send(head(server, "POST", path, len(data), Expect="100-continue"))
        invitation = client.take(25)
        client.send(data)
        answer = client.receive("POST")

    assert invitation == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.status == 201


@pytest.mark.parametrize("sent", [0, 10, MIB + 5, 9 * MIB])
def test_what_came_of_a_body_that_was_cut_is_kept(server: RunningServer, sent: int) -> None:
    data, location = unique_bytes(10 * MIB), begin(server)

    with connect(server) as client:
        client.send(head(server, "PATCH", location, len(data)) + data[:sent])
        client.half_close()
        with contextlib.suppress(wire.Broken, ConnectionError):
            client.receive("PATCH")
    # The connection may be gone before the server has let go of the upload.
    until(lambda: server.request("GET", location).status == 204 and arrived(server, location) == sent)
    headers = {"Content-Range": f"{sent}-{len(data) - 1}"}

    assert until(lambda: server.request("PATCH", location, data[sent:], headers).status == 202)
    assert server.request("PUT", f"{location}?digest={digest_of(data)}").status == 201


def test_other_bytes_than_the_digest_s_are_refused_and_the_connection_goes_on(server: RunningServer) -> None:
    data = unique_bytes(2 * MIB)

    with connect(server) as client:
        client.send(head(server, "POST", f"/v2/layers/blobs/uploads/?digest={digest_of(b'other')}", len(data)) + data)
        answer = client.receive("POST")
        client.send(head(server, "GET", "/v2/", 0))

        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
        assert client.receive("GET").status == 200


def test_clients_that_stop_in_the_middle_hold_up_nobody_and_are_told_to_go(server: RunningServer) -> None:
    """More of them than there are threads."""
    with contextlib.ExitStack() as stack:
        stuck: list[tuple[str, Wire]] = []
        for _ in range(60):
            location, client = begin(server), stack.enter_context(connect(server))
            client.send(head(server, "PATCH", location, 50 * MIB) + bytes(2 * MIB))
            stuck.append((location, client))
        push_blob(server, "layers", unique_bytes(8 * MIB))
        ends = [ended(client) for _, client in stuck]

    assert all(ends)
    assert {arrived(server, location) for location, _ in stuck} == {2 * MIB}


def ended(client: Wire) -> bool:
    """Whether the server ends the connection, with an answer or without one."""
    with contextlib.suppress(wire.Broken, ConnectionError):
        return client.receive("PATCH").status == 408
    return True


def test_a_drip_below_the_floor_is_cut(server: RunningServer) -> None:
    location = begin(server)
    with connect(server) as client:
        client.send(head(server, "PATCH", location, 50 * MIB) + bytes(2 * MIB))
        # A byte at a time, as long as they are taken: the server's own clock ends it.
        until(lambda: not client.send(b"x") or client.has_news())

        assert ended(client)


def test_an_abandoned_upload_can_be_cancelled_and_its_number_is_nobody_else_s(server: RunningServer) -> None:
    """A body whose connection is reset: no thread writes to its file any more."""
    location = begin(server)
    with connect(server) as client:
        client.send(head(server, "PATCH", location, 50 * MIB) + bytes(4 * MIB))
        client.reset()
    name, data = unique_name(), unique_bytes(4 * MIB)
    server.create(name)
    push_blob(server, name, data)

    assert server.request("GET", f"/v2/{name}/blobs/{digest_of(data)}").body == data
    assert server.request("DELETE", location).status in (204, 416)
