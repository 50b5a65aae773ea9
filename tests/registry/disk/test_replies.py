"""Replies that are given again, from outside: the same answers as without, and not a moment too long."""

import http.client
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import builders, wire
from tests.builders import push, push_blob, put_manifest
from tests.servers import Answer, RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Two workers: what one keeps, the other may change."""
    server = RunningServer(tmp_path_factory.mktemp("replies") / "data", "--workers", "2")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def ask(server: RunningServer) -> Iterator[Callable[..., Answer]]:
    """A function that sends requests over one connection."""
    at = urlsplit(server.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)

    def send(path: str, method: str = "GET", **headers: str) -> Answer:
        connection.request(method, path, headers={"Authorization": server.basic, **headers})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    yield send
    connection.close()


@pytest.fixture
def repository(server: RunningServer) -> str:
    name = builders.unique_name()
    server.create(name)
    return name


def hits(server: RunningServer) -> float:
    """How many replies were given again, over all workers."""
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("longshore_replies_given_again_total"))


def headers_of(answer: Answer) -> dict[str, Any]:
    return {
        name.lower(): value
        for name, value in answer.headers.items()
        if name.lower() not in ("date", "x-amzn-requestid")
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_reply_that_is_given_again_is_the_first_one(server, ask, repository, method, by) -> None:
    image = builders.image()
    push(server, repository, image, "v1")
    path = f"/v2/{repository}/manifests/{'v1' if by == 'tag' else image.digest}"
    before = hits(server)
    first, second, third = (ask(path, method) for _ in range(3))

    assert first.status == second.status == third.status == 200
    assert first.body == second.body == third.body == (image.body if method == "GET" else b"")
    assert headers_of(first) == headers_of(second) == headers_of(third)
    assert len({answer.headers["x-amzn-RequestId"] for answer in (first, second, third)}) == 3
    assert hits(server) == before + 2


def test_a_tag_that_moves_is_seen_at_once(server, ask, repository) -> None:
    """By whichever worker it is moved."""
    path = f"/v2/{repository}/manifests/latest"
    for _ in range(20):
        image = builders.image()
        push(server, repository, image, "latest")

        assert ask(path).body == image.body
        assert ask(path).body == image.body


def test_what_is_deleted_is_gone_at_once(server, ask, repository) -> None:
    image = builders.image()
    path = f"/v2/{repository}/manifests/{push(server, repository, image)}"
    there = [ask(path).status for _ in range(2)]
    deleted = server.request("DELETE", path).status
    gone = ask(path)
    put_manifest(server, repository, image)

    assert (there, deleted, gone.status, gone.code) == ([200, 200], 202, 404, "MANIFEST_UNKNOWN")
    assert ask(path).status == 200


def test_a_repository_that_is_made_again_is_another_one(server, ask, repository) -> None:
    image = builders.image()
    push(server, repository, image, "v1")
    path = f"/v2/{repository}/manifests/v1"
    there = [ask(path).status for _ in range(2)]
    with server.client() as ecr:
        ecr.delete_repository(repositoryName=repository, force=True)
        gone = ask(path)
        ecr.create_repository(repositoryName=repository)

    assert (there, gone.status, gone.code) == ([200, 200], 404, "NAME_UNKNOWN")
    assert ask(path).code == "MANIFEST_UNKNOWN"


def test_another_credential_is_judged_by_itself(server, ask, repository) -> None:
    push(server, repository, builders.image(), "v1")
    path = f"/v2/{repository}/manifests/v1"
    mine = [ask(path).status for _ in range(2)]

    assert mine == [200, 200]
    assert ask(path, Authorization="Basic bm9ib2R5Om5vdGhpbmc=").status == 401
    assert server.request("GET", path, auth=None).status == 401
    assert ask(path).status == 200


def test_a_request_behind_another_is_answered_in_its_turn(server, repository) -> None:
    """Pipelined: the second stands in the same bytes as the first."""
    images = [builders.image() for _ in range(2)]
    for number, image in enumerate(images):
        push(server, repository, image, f"v{number}")
    known = {"Host": server.netloc, "Authorization": server.basic}
    first, second = (wire.head("GET", f"/v2/{repository}/manifests/v{number}", known) for number in range(2))
    at = urlsplit(server.url)
    with (
        socket.create_connection((at.hostname or "", at.port or 0), 20) as connection,
        connection.makefile("rb") as answers,
    ):

        def receive() -> bytes:
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            return answers.read(int(http.client.parse_headers(answers)["Content-Length"]))

        for request in (first, second):
            connection.sendall(request)
            receive()
        connection.sendall(first + second + first)
        bodies = [receive() for _ in range(3)]

    assert bodies == [images[0].body, images[1].body, images[0].body]


@pytest.mark.parametrize("wanted", [{}, {"Range": "bytes=100-199999"}], ids=["whole", "a-part"])
def test_a_large_blob_that_is_given_again_is_the_first_one(server, ask, repository, wanted) -> None:
    data = builders.unique_bytes(300_000)
    path = f"/v2/{repository}/blobs/{push_blob(server, repository, data)}"
    before = hits(server)
    answers = [ask(path, **wanted) for _ in range(3)]
    heads = [headers_of(answer) for answer in answers]

    assert [answer.status for answer in answers] == [206 if wanted else 200] * 3
    assert [answer.body for answer in answers] == [data[100:200_000] if wanted else data] * 3
    assert heads[0] == heads[1] == heads[2]
    assert len({answer.headers["x-amzn-RequestId"] for answer in answers}) == 3
    assert hits(server) == before + 2


@pytest.mark.parametrize("size", [1000, 200_000], ids=["kept-whole", "sent-from-its-file"])
@pytest.mark.parametrize("damage", ["flipped", "gone", "unlinked"])
def test_a_blob_is_given_again_while_its_file_is_the_one_that_was_verified(
    server, ask, repository, damage, size
) -> None:
    data = builders.unique_bytes(size)
    path = f"/v2/{repository}/blobs/{push_blob(server, repository, data)}"
    before = hits(server)
    served = [ask(path).body for _ in range(3)]
    again = hits(server) - before
    if damage == "unlinked":
        server.request("DELETE", path)
    else:
        (file,) = (one for one in server.data.glob("blobs/*/*/*") if one.is_file() and one.read_bytes() == data)
        file.unlink() if damage == "gone" else file.write_bytes(data[::-1])
    after = ask(path)
    push_blob(server, repository, data)

    assert (served, again) == ([data] * 3, 2)
    assert after.body != data and after.status in (404, 503)
    assert ask(path).body == data


def test_it_can_be_turned_off(start_server) -> None:
    server = start_server(LONGSHORE_SERVER__FAST_REPLIES="false")
    server.create("app")
    push(server, "app", builders.image(), "v1")
    statuses = {server.request("GET", "/v2/app/manifests/v1").status for _ in range(3)}

    assert statuses == {200}
    assert hits(server) == 0
