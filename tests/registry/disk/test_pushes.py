"""Pushes to a store on disk: one writer of an upload at a time, and one file for each blob, as can be seen there."""

import contextlib

import pytest

from tests import wire
from tests.builders import digest_of, push_blob, unique_bytes, unique_name
from tests.conftest import Start
from tests.damage import stored_files
from tests.registry.v2.test_push import at_once, begin, close, patch, pulled
from tests.servers import RunningServer
from tests.waiting import until

KIB = 1024


@pytest.fixture
def source(shared_server: RunningServer) -> str:
    """Another repository."""
    name = unique_name()
    shared_server.create(name)
    return name


def test_end_5_one_writer_at_a_time(shared_server: RunningServer, repository: str) -> None:
    """While one chunk comes in, another gets 416 at once and harms nothing."""
    location = begin(shared_server, repository)
    patch(shared_server, location, b"abc", 0)
    headers = {"Host": shared_server.netloc, "Authorization": shared_server.basic}
    with contextlib.ExitStack() as stack:
        connections: list[wire.Wire] = []

        def holds() -> bool:
            """Whether a chunk is coming in. One that meets an empty chunk of ours is sent away: the next one then."""
            if not connections or connections[-1].has_news():
                connections.append(stack.enter_context(wire.connect(shared_server)))
                connections[-1].send(wire.head("PATCH", location, {**headers, "Content-Length": "4"}) + b"de")
            return patch(shared_server, location, b"").status == 416 and not connections[-1].has_news()

        until(holds)
        first = connections[-1]

        refused = patch(shared_server, location, b"XY", 3)
        first.send(b"fg")
        answer = first.receive()

    assert (refused.status, refused.headers["Range"]) == (416, "0-2")
    assert (answer.status, answer.headers["Range"]) == (202, "0-6")
    assert close(shared_server, location, digest_of(b"abcdefg")).status == 201


def test_the_same_blob_is_stored_once(shared_server: RunningServer, repository: str, source: str) -> None:
    before = stored_files(shared_server.data)
    data = unique_bytes(100 * KIB)
    for name in (repository, source, repository):
        push_blob(shared_server, name, data)

    assert len(stored_files(shared_server.data) - before) == 1


def test_F29_a_new_blob_pushed_by_many_at_once_is_stored_once_and_all_get_201(start_server: Start) -> None:
    server = start_server("--workers", "2")
    for name in ("one", "two", "three"):
        server.create(name)
    before = stored_files(server.data)
    data = unique_bytes(200 * KIB)
    digest, statuses = digest_of(data), []

    def send(repository: str) -> None:
        statuses.append(server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data).status)

    at_once(*[(send, ("one", "two", "three")[number % 3]) for number in range(12)])

    assert statuses == [201] * 12
    assert len(stored_files(server.data) - before) == 1
    assert {pulled(server, name, digest) for name in ("one", "two", "three")} == {data}
