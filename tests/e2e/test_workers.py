"""Several processes on one port: any of them goes on where another left off, and one that dies is replaced."""

import contextlib
import http.client
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.builders import digest_of, image, push, push_blob, unique_bytes, unique_name
from tests.conftest import Start
from tests.servers import RunningServer
from tests.waiting import until
from tests.workers import WORKERS, alone, lives, replaced, workers_of

BIG = 24 * 1024 * 1024  # bytes; more than the sockets of a connection hold


@pytest.fixture
def own_server(start_server: Start) -> RunningServer:
    """For tests that hurt it."""
    return start_server("--workers", str(WORKERS))


@contextlib.contextmanager
def open_pull(server: RunningServer, path: str) -> Iterator[http.client.HTTPResponse]:
    """A GET whose answer has begun, and waits for its reader."""
    connection = http.client.HTTPConnection(server.netloc, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": server.basic})
        yield connection.getresponse()
    finally:
        connection.close()


# --- together they are one server -------------------------------------------------------------------------------------


def test_an_upload_may_change_the_worker_at_every_step(workers_server: RunningServer) -> None:
    name = unique_name()
    workers_server.create(name)
    first, second, third = workers_of(workers_server)
    parts = [unique_bytes(70_000) for _ in range(3)]
    digest = digest_of(b"".join(parts))
    with alone(workers_server, first):
        upload = workers_server.request("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        workers_server.request("PATCH", upload, parts[0])
    with alone(workers_server, second):
        status = workers_server.request("GET", upload)
        workers_server.request("PATCH", upload, parts[1])
    with alone(workers_server, third):
        closed = workers_server.request("PUT", f"{upload}?digest={digest}", parts[2])
    with alone(workers_server, first):
        got = workers_server.request("GET", f"/v2/{name}/blobs/{digest}")

    assert (status.status, status.headers["Range"]) == (204, "0-69999")
    assert closed.status == 201
    assert got.body == b"".join(parts)


def test_a_tag_moves_for_all_workers_at_once(workers_server: RunningServer) -> None:
    """promises.md P2."""
    name = unique_name()
    workers_server.create(name)
    images = [image() for _ in range(2 * WORKERS)]
    seen = []
    for number, built in enumerate(images):
        here, there = (workers_of(workers_server)[(number + step) % WORKERS] for step in (0, 1))
        with alone(workers_server, here):
            push(workers_server, name, built, "latest")
        with alone(workers_server, there):
            seen.append(workers_server.request("GET", f"/v2/{name}/manifests/latest").body)

    assert seen == [built.body for built in images]


def test_a_token_of_one_worker_opens_all(workers_server: RunningServer) -> None:
    with alone(workers_server, workers_of(workers_server)[0]):
        token = workers_server.request("GET", "/token").json["token"]
    answers = []
    for worker in workers_of(workers_server):
        with alone(workers_server, worker):
            answers.append(workers_server.request("GET", "/v2/", auth=f"Bearer {token}").status)

    assert answers == [200] * WORKERS


def test_parts_sent_over_many_connections_become_one_blob(workers_server: RunningServer) -> None:
    name = unique_name()
    workers_server.create(name)

    def upload(number: int) -> int:
        parts = [unique_bytes(20_000) for _ in range(5)]
        location = workers_server.request("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        for part in parts:
            location = workers_server.request("PATCH", location, part).headers["Location"]
        digest = digest_of(b"".join(parts))
        return workers_server.request("PUT", f"{location}?digest={digest}").status

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(upload, range(36))) == [201] * 36


def test_metrics_are_those_of_all_workers(workers_server: RunningServer) -> None:
    def counted() -> float:
        page = workers_server.request("GET", "/metrics", auth=None).body.decode()
        found = re.search(r'requests_total\{door="v2",method="HEAD",status="200"\} ([0-9.]+)', page)
        return float(found[1]) if found else 0.0

    before = counted()
    for times, worker in enumerate(workers_of(workers_server), start=1):
        with alone(workers_server, worker):
            for _ in range(times):
                workers_server.request("HEAD", "/v2/")
    after = []
    for worker in workers_of(workers_server):
        with alone(workers_server, worker):
            after.append(counted() - before)

    assert after == [1 + 2 + 3] * WORKERS


# --- one dies ---------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_replaced_and_nobody_waits(own_server: RunningServer) -> None:
    own_server.create("app")
    digest = push_blob(own_server, "app", unique_bytes())
    victim = workers_of(own_server)[0]
    os.kill(victim, signal.SIGKILL)
    meanwhile = [own_server.request("GET", f"/v2/app/blobs/{digest}").status for _ in range(30)]
    now = replaced(own_server, victim)

    assert meanwhile == [200] * 30
    assert len(now) == WORKERS
    assert sum("died" in line for line in own_server.output) == 1


def test_what_a_killed_worker_had_in_hand_is_not_counted_for_ever(own_server: RunningServer) -> None:
    own_server.create("app")
    digest = push_blob(own_server, "app", unique_bytes(BIG))
    victim = workers_of(own_server)[0]
    with alone(own_server, victim), open_pull(own_server, f"/v2/app/blobs/{digest}"):
        os.kill(victim, signal.SIGKILL)
    replaced(own_server, victim)
    page = own_server.request("GET", "/metrics", auth=None).body.decode()

    assert re.findall(r"^longshore_requests_in_flight (.+)$", page, re.M) == ["1.0"]  # this very one


def test_workers_end_by_themselves_when_their_parent_is_killed(own_server: RunningServer) -> None:
    own_server.create("app")
    data = unique_bytes(BIG)
    digest = push_blob(own_server, "app", data)
    workers = workers_of(own_server)
    with open_pull(own_server, f"/v2/app/blobs/{digest}") as pull:
        os.kill(own_server.pid, signal.SIGKILL)
        until(lambda: sum(map(lives, workers)) == 1, what="the end of those that have nothing to do")
        pulled = pull.read()
    until(lambda: not any(map(lives, workers)), what="the end of the last worker")
    own_server.wait()
    own_server.start()

    assert digest_of(pulled) == digest
    assert own_server.request("HEAD", f"/v2/app/blobs/{digest}").status == 200
