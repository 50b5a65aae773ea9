"""SIGTERM under load (promises.md F46): nothing that has begun fails, nothing that was acknowledged is lost."""

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.accesslog import troubles
from tests.builders import digest_of, image, push, push_blob, unique_bytes
from tests.conftest import Start
from tests.servers import RunningServer
from tests.waiting import until

BIG = 24 * 1024 * 1024  # bytes; more than the sockets of a connection hold

workers = pytest.mark.parametrize("workers", [1, 3], ids=["one-process", "three-workers"])


@contextlib.contextmanager
def connections(server: RunningServer, number: int) -> Iterator[list[http.client.HTTPConnection]]:
    opened = [http.client.HTTPConnection(server.netloc, timeout=60) for _ in range(number)]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()


@contextlib.contextmanager
def stopping(server: RunningServer) -> Iterator["Future[int]"]:
    """While the server drains. The future is its exit code."""
    with ThreadPoolExecutor(1) as pool:
        netloc = server.netloc
        ended = pool.submit(server.stop)
        until(lambda: not accepts(netloc), what="the end of new connections")
        yield ended


def accepts(netloc: str) -> bool:
    probe = http.client.HTTPConnection(netloc, timeout=5)
    try:
        probe.connect()
    except (ConnectionRefusedError, TimeoutError):
        return False
    finally:
        probe.close()
    return True


@workers
@pytest.mark.parametrize("again", [False, True], ids=["pulled-first", "pulled-again"])
def test_pulls_in_flight_come_to_their_end(again: bool, workers: int, start_server: Start) -> None:
    server = start_server("--workers", str(workers))
    server.create("app")
    digest = push_blob(server, "app", unique_bytes(BIG))
    headers = {"Authorization": server.basic}
    with connections(server, 12) as opened:
        for connection in opened if again else []:
            connection.request("GET", f"/v2/app/blobs/{digest}", headers=headers)
            connection.getresponse().read()
        for connection in opened:
            connection.request("GET", f"/v2/app/blobs/{digest}", headers=headers)
        answers = [connection.getresponse() for connection in opened]
        with stopping(server) as ended:
            pulled = [digest_of(answer.read()) for answer in answers]
            code = ended.result()

    assert pulled == [digest] * 12
    assert code == 0
    assert troubles(server) == []


@workers
def test_pushes_in_flight_are_acknowledged_and_kept(workers: int, start_server: Start) -> None:
    server = start_server("--workers", str(workers))
    server.create("app")
    blobs = [unique_bytes(200_000) for _ in range(6)]
    with connections(server, len(blobs)) as opened:
        for connection, blob in zip(opened, blobs, strict=True):
            connection.putrequest("POST", f"/v2/app/blobs/uploads/?digest={digest_of(blob)}")
            connection.putheader("Authorization", server.basic)
            connection.putheader("Content-Length", str(len(blob)))
            connection.endheaders()
            connection.send(blob[:100_000])
        until(lambda: in_flight(server) == len(blobs) + 1, what="the server's attention")
        with stopping(server) as ended:
            for connection, blob in zip(opened, blobs, strict=True):
                connection.send(blob[100_000:])
            answers = [connection.getresponse().status for connection in opened]
            code = ended.result()
    server.start()
    kept = [server.request("GET", f"/v2/app/blobs/{digest_of(blob)}").body for blob in blobs]

    assert answers == [201] * len(blobs)
    assert code == 0
    assert troubles(server) == []
    assert kept == blobs


def in_flight(server: RunningServer) -> int:
    """Requests that the server has in hand, this question among them."""
    page = server.request("GET", "/metrics", auth=None).body.decode()
    [line] = [line for line in page.splitlines() if line.startswith("longshore_requests_in_flight ")]
    return int(float(line.split()[1]))


def pull_until_refused(
    server: RunningServer, path: str, after_each: Callable[[http.client.HTTPConnection], None]
) -> list[str]:
    """What each pull brought: its digest, or how it failed."""
    brought: list[str] = []
    connection = http.client.HTTPConnection(server.netloc, timeout=60)
    while True:
        try:
            if connection.sock is None:
                connection.connect()
        except ConnectionRefusedError:
            return brought
        try:
            connection.request("GET", path, headers={"Authorization": server.basic})
            brought.append(digest_of(connection.getresponse().read()))
        except (OSError, http.client.HTTPException) as error:
            brought.append(repr(error))
            connection.close()
        after_each(connection)


@workers
@pytest.mark.parametrize(
    ("kept", "what"),
    [(False, "blobs"), (True, "blobs"), (True, "manifests")],
    ids=["new-connections", "kept-connections", "replies-given-again"],
)
def test_no_pull_of_many_clients_fails(kept: bool, what: str, workers: int, start_server: Start) -> None:
    """Clients that begin new pulls until they are refused: each one that was accepted is answered whole."""
    server = start_server("--workers", str(workers))
    server.create("app")
    layer = unique_bytes(300_000)
    built = image(layers=[layer])
    push(server, "app", built)
    digest = digest_of(layer) if what == "blobs" else built.digest
    done = threading.Semaphore(0)

    def after_each(connection: http.client.HTTPConnection) -> None:
        if not kept:
            connection.close()
        done.release()

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(pull_until_refused, server, f"/v2/app/{what}/{digest}", after_each) for _ in range(8)]
        for _ in range(200):
            done.acquire(timeout=30)
        code = server.stop()
        brought = [one for client in clients for one in client.result()]

    assert len(brought) >= 200
    assert [one for one in brought if one != digest] == []
    assert code == 0
    assert troubles(server) == []


def test_an_upload_goes_on_after_a_restart(start_server: Start) -> None:
    server = start_server("--workers", "2")
    server.create("app")
    parts = [unique_bytes(70_000), unique_bytes(70_000)]
    upload = server.request("POST", "/v2/app/blobs/uploads/").headers["Location"]
    server.request("PATCH", upload, parts[0])
    server.stop()
    server.start()
    status = server.request("GET", upload)
    server.request("PATCH", upload, parts[1], {"Content-Range": "70000-139999"})
    closed = server.request("PUT", f"{upload}?digest={digest_of(b''.join(parts))}")

    assert (status.status, status.headers["Range"]) == (204, "0-69999")
    assert closed.status == 201


def test_an_upload_that_outlasts_the_drain_goes_on_where_the_server_says(start_server: Start) -> None:
    server = start_server(LONGSHORE_SERVER__DRAIN_SECONDS="1")
    server.create("app")
    data = unique_bytes(3_000_000)
    upload = server.request("POST", "/v2/app/blobs/uploads/").headers["Location"]
    server.request("PATCH", upload, data[:70_000])
    with connections(server, 1) as [connection]:
        connection.putrequest("PATCH", upload)
        connection.putheader("Authorization", server.basic)
        connection.putheader("Content-Length", str(len(data) - 70_000))
        connection.endheaders()
        connection.send(data[70_000:2_000_000])
        until(lambda: in_flight(server) == 2, what="the server's attention")
        with stopping(server) as ended:
            code = ended.result()
    server.start()
    size = int(server.request("GET", upload).headers["Range"].partition("-")[2]) + 1
    server.request("PATCH", upload, data[size:], {"Content-Range": f"{size}-{len(data) - 1}"})
    closed = server.request("PUT", f"{upload}?digest={digest_of(data)}")

    assert code == 0
    assert troubles(server) == []
    assert 70_000 < size <= 2_000_000
    assert closed.status == 201


def test_idle_connections_hold_nothing_up(start_server: Start) -> None:
    server = start_server()
    with connections(server, 8) as opened:
        for connection in opened:
            connection.request("GET", "/livez")
            connection.getresponse().read()
        began = time.monotonic()
        code = server.stop()
        took = time.monotonic() - began

    assert code == 0
    assert troubles(server) == []
    assert took < 10
