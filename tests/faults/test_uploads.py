"""Uploads that are interrupted, contended or given up (promises.md F01; docs/decisions/0006)."""

import functools
import os
import random
import threading
import time
from urllib.parse import urlsplit

import pytest

from tests.builders import digest_of, push_blob
from tests.conftest import Start
from tests.servers import Answer, RunningServer
from tests.waiting import until
from tests.wire import connect, root_head

CYCLES = int(os.environ.get("LONGSHORE_TEST_UPLOAD_KILLS", "8"))  # each with four uploads


def begin(server: RunningServer, repository: str) -> str:
    """A new upload's path."""
    answer = server.request("POST", f"/v2/{repository}/blobs/uploads/")
    assert answer.status == 202, answer.body
    return urlsplit(answer.headers["Location"]).path


def size_of(server: RunningServer, upload: str) -> int:
    """How many bytes the server says are safely in; `0-0` is read as none, since no test sends a single byte."""
    answer = server.request("GET", upload)
    assert answer.status == 204, (answer.status, answer.body)
    last = int(answer.headers["Range"].removeprefix("0-"))
    return last + 1 if last else 0


def content_range(before: bytes, chunk: bytes) -> str:
    return f"{len(before)}-{len(before) + len(chunk) - 1}"


def finish(server: RunningServer, upload: str, data: bytes) -> int:
    return server.request("PUT", f"{upload}?digest={digest_of(data)}").status


def stored(server: RunningServer, repository: str, data: bytes) -> bool:
    """Whether the server hands out exactly these bytes."""
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest_of(data)}")
    return answer.status == 200 and answer.body == data


# --- interrupted ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [0, 1000, 70_000, 700_000], ids=lambda sent: f"after {sent}")
def test_what_came_before_a_client_left_inside_a_chunk_stays_in(
    shared_server: RunningServer, repository: str, sent: int
) -> None:
    upload, data, rest = begin(shared_server, repository), os.urandom(sent + 5000), os.urandom(800_000)
    assert shared_server.request("PATCH", upload, data[:5000]).status == 202
    with connect(shared_server) as leaving:
        leaving.send(root_head(shared_server, "PATCH", upload, {"Content-Length": "900000"}) + data[5000:])
    until(lambda: shared_server.request("PATCH", upload).status == 202, what="the end of the first writer")

    assert size_of(shared_server, upload) == len(data)
    assert shared_server.request("PATCH", upload, rest, {"Content-Range": content_range(data, rest)}).status == 202
    assert finish(shared_server, upload, data + rest) == 201
    assert stored(shared_server, repository, data + rest)


def test_an_interrupted_last_chunk_leaves_the_upload_as_it_was(shared_server: RunningServer, repository: str) -> None:
    upload, data = begin(shared_server, repository), os.urandom(50_000)
    assert shared_server.request("PATCH", upload, data[:20_000]).status == 202
    with connect(shared_server) as leaving:
        path = f"{upload}?digest={digest_of(data)}"
        leaving.send(root_head(shared_server, "PUT", path, {"Content-Length": "30000"}) + data[20_000:40_000])
    until(lambda: shared_server.request("PATCH", upload).status == 202, what="the end of the first writer")

    assert size_of(shared_server, upload) == 20_000
    assert shared_server.request("PUT", path, data[20_000:]).status == 201
    assert stored(shared_server, repository, data)


def test_uploads_go_on_where_they_stood_when_the_server_was_killed(start_server: Start) -> None:
    """F01: the offset told is at least what was acknowledged, and the blob has its digest whatever the moment was."""
    server, rng = start_server("--workers", "2"), random.Random(1)
    server.create("killed")
    for _ in range(CYCLES):
        running = [Chunked(server, "killed", rng.randbytes(rng.randrange(20_000, 900_000)), rng) for _ in range(4)]
        for upload in running:
            upload.begin_a_chunk()
        time.sleep(rng.uniform(0, 0.03))
        server.kill()
        server.start()
        for upload in running:
            found = size_of(server, upload.path)
            assert upload.acknowledged <= found <= upload.sent
            rest = upload.data[found:]
            half = rest[: len(rest) // 2]
            patched = server.request("PATCH", upload.path, half, {"Content-Range": f"{found}-{found + len(half) - 1}"})
            assert patched.status == 202
            put = f"{upload.path}?digest={digest_of(upload.data)}"
            assert server.request("PUT", put, rest[len(half) :]).status == 201
            assert stored(server, "killed", upload.data)


class Chunked:
    """An upload on its way: some acknowledged, some sent and not answered."""

    def __init__(self, server: RunningServer, repository: str, data: bytes, rng: random.Random) -> None:
        self.server, self.data, self._rng = server, data, rng
        self.path = begin(server, repository)
        self.acknowledged = rng.randrange(1000, len(data) // 2)
        self.sent = rng.randrange(self.acknowledged + 1, len(data))
        assert server.request("PATCH", self.path, data[: self.acknowledged]).status == 202

    def begin_a_chunk(self) -> None:
        """Send a chunk up to `sent`, which is its end or one byte before it, and leave without an answer."""
        length = self.sent - self.acknowledged + self._rng.randrange(2)
        with connect(self.server) as wire:
            head = root_head(self.server, "PATCH", self.path, {"Content-Length": str(length)})
            wire.send(head + self.data[self.acknowledged : self.sent])


# --- two at one upload ------------------------------------------------------------------------------------------------


def test_an_empty_chunk_beside_the_first_one_does_not_change_which_bytes_count(
    shared_server: RunningServer, repository: str
) -> None:
    upload, data = begin(shared_server, repository), os.urandom(200_000)
    with connect(shared_server) as slow:
        slow.send(root_head(shared_server, "PATCH", upload, {"Content-Length": str(len(data))}) + data[:1000])
        until(lambda: shared_server.request("PATCH", upload).status in (202, 416), what="an answer to the empty chunk")
        slow.send(data[1000:])
        told = slow.receive()
    if told.status == 416:  # the empty chunk was first: the client sees where it stands and sends again
        assert size_of(shared_server, upload) == 0
        assert shared_server.request("PATCH", upload, data).status == 202

    assert finish(shared_server, upload, data) == 201
    assert stored(shared_server, repository, data)


def test_giving_up_an_upload_that_another_request_just_finished_takes_nothing_away(start_server: Start) -> None:
    """DELETE and PUT of one upload at once, many times: what was acknowledged is there."""
    server, rng = start_server(), random.Random(8)
    server.create("contended")
    outcomes: set[tuple[int, int]] = set()
    for number in range(600):
        if number >= 60 and len(outcomes) == 2:
            break  # either of them was first at times
        upload, data = begin(server, "contended"), rng.randbytes(5000)
        assert server.request("PATCH", upload, data).status == 202
        found: dict[str, int] = {}
        start = threading.Barrier(2)

        def give_up(upload: str = upload, found: dict[str, int] = found, start: threading.Barrier = start) -> None:
            start.wait()
            found["delete"] = server.request("DELETE", upload).status

        other = threading.Thread(target=give_up)
        other.start()
        start.wait()
        time.sleep(rng.choice([0, 0, 0.001, 0.003]))  # sometimes behind: which of the two is first shall vary
        put = finish(server, upload, data)
        other.join()
        outcomes.add((put, found["delete"]))
        assert stored(server, "contended", data) is (put == 201), (put, found)

    assert outcomes <= {(201, 404), (404, 204)}
    assert len(outcomes) == 2, "the two never met"


def test_the_second_writer_is_told_where_the_upload_stands_and_leaves_no_byte_in_it(
    shared_server: RunningServer, repository: str
) -> None:
    """One writer at a time: the loser, who sends other bytes, of the same and of a greater length, writes none."""
    upload = begin(shared_server, repository)
    first, second, third = os.urandom(300_000), os.urandom(200_000), os.urandom(50)
    assert shared_server.request("PATCH", upload, first).status == 202
    with connect(shared_server) as slow:
        slow.send(root_head(shared_server, "PATCH", upload, {"Content-Length": str(len(second))}) + second[:100_000])
        for rival in (b"X" * len(second), b"X" * 500_000, b""):
            told = until(functools.partial(refused, shared_server, upload, rival), what="a 416")
            assert told is not None
            assert told.headers["Range"] == f"0-{len(first) - 1}"
            assert told.code == "BLOB_UPLOAD_INVALID"
        assert shared_server.request("PUT", f"{upload}?digest={digest_of(first)}").status == 416
        slow.send(second[100_000:])
        assert slow.receive().status == 202

    assert size_of(shared_server, upload) == len(first + second)
    assert shared_server.request("PATCH", upload, third).status == 202
    assert finish(shared_server, upload, first + second + third) == 201
    assert stored(shared_server, repository, first + second + third)


def refused(server: RunningServer, upload: str, data: bytes) -> Answer | None:
    answer = server.request("PATCH", upload, data)
    return answer if answer.status == 416 else None


@pytest.mark.parametrize("start", [0, 999, 1001, 10**12], ids=["again", "before", "behind", "far"])
def test_a_chunk_from_elsewhere_is_refused_with_the_true_range(
    shared_server: RunningServer, repository: str, start: int
) -> None:
    upload, data = begin(shared_server, repository), os.urandom(1000)
    assert shared_server.request("PATCH", upload, data).status == 202
    answer = shared_server.request("PATCH", upload, b"x" * 10, {"Content-Range": f"{start}-{start + 9}"})

    assert (answer.status, answer.headers["Range"]) == (416, "0-999")
    assert finish(shared_server, upload, data) == 201


# --- answers that were lost on the way --------------------------------------------------------------------------------


def test_finishing_again_is_answered_as_the_first_time(shared_server: RunningServer, repository: str) -> None:
    """F04: the server may die between its commit and its answer."""
    upload, data = begin(shared_server, repository), os.urandom(1000)
    assert shared_server.request("PATCH", upload, data).status == 202
    answers = [finish(shared_server, upload, data) for _ in range(3)]

    assert answers == [201, 201, 201]
    assert finish(shared_server, upload, b"something else") == 404
    assert shared_server.request("GET", upload).status == 404
    assert stored(shared_server, repository, data)


def test_completing_a_layer_again_says_that_it_is_there(shared_server: RunningServer, repository: str) -> None:
    data = os.urandom(1000)
    codes = []
    with shared_server.client() as ecr:
        upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
        ecr.upload_layer_part(
            repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=999, layerPartBlob=data
        )
        for digest in (digest_of(data), digest_of(data), digest_of(b"something else")):
            try:
                ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])
                codes.append("")
            except ecr.exceptions.ClientError as error:
                codes.append(error.response["Error"]["Code"])

    assert codes == ["", "LayerAlreadyExistsException", "UploadNotFoundException"]


# --- bytes that someone else removed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["removed", "cut"])
@pytest.mark.parametrize("request_kind", ["PATCH", "PUT"])
def test_an_upload_whose_bytes_are_gone_is_over_and_never_filled_up_with_zeros(
    start_server: Start, damage: str, request_kind: str
) -> None:
    server = start_server()
    server.create("damaged")
    upload, data = begin(server, "damaged"), os.urandom(5000)
    assert server.request("PATCH", upload, data).status == 202
    [file] = [path for path in (server.data / "blobs").rglob("*") if path.is_file() and len(path.name) == 32]
    if damage == "removed":
        file.unlink()
    else:
        os.truncate(file, 4999)

    if request_kind == "PATCH":
        assert server.request("PATCH", upload, b"more").status == 404
    else:
        assert finish(server, upload, data) == 404
    assert server.request("GET", upload).status == 404
    assert not stored(server, "damaged", data)
    push_blob(server, "damaged", data)
    assert stored(server, "damaged", data)
