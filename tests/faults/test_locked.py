"""A database that someone else holds (promises.md F24): writes wait a little and say "try again", reads go on."""

import concurrent.futures
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.builders import digest_of, image, push, push_blob, put_manifest
from tests.conftest import Start
from tests.servers import Answer, RunningServer

_LONGEST_WRITE = 5.0  # seconds
_SLACK = 1.5  # for a machine that is busy with other things


class Timed(NamedTuple):
    seconds: float
    answer: Answer


@contextlib.contextmanager
def locked(server: RunningServer) -> Iterator[None]:
    connection = sqlite3.connect(server.data / "longshore.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def timed(server: RunningServer, method: str, path: str, body: bytes | None = None) -> Timed:
    began = time.monotonic()
    answer = server.request(method, path, body)
    return Timed(time.monotonic() - began, answer)


def test_writes_wait_five_seconds_at_most_and_reads_do_not_notice(start_server: Start) -> None:
    server = start_server("--workers", "2")
    server.create("held")
    built = image()
    push(server, "held", built, "v1")
    blob = push_blob(server, "held", os.urandom(100_000))
    reads = [f"/v2/held/manifests/{built.digest}", f"/v2/held/blobs/{blob}", "/v2/held/tags/list?n=500", "/readyz"]
    over = threading.Event()

    def read_on() -> list[Timed]:
        found = []
        while not over.wait(0.05):
            found += [timed(server, "GET", path) for path in reads]
        return found

    def write_later(seconds: float) -> Timed:
        over.wait(seconds)
        return timed(server, "POST", f"/v2/held/blobs/uploads/?digest={digests[seconds]}", bodies[seconds])

    delays = [number * 0.25 for number in range(20)]
    bodies = {delay: os.urandom(1000) for delay in delays}
    digests = {delay: digest_of(bodies[delay]) for delay in delays}
    with concurrent.futures.ThreadPoolExecutor(30) as pool, locked(server):
        reader = pool.submit(read_on)
        writes = list(pool.map(write_later, delays))
        over.set()
        seen = reader.result()

    assert [one.answer.status for one in writes] == [503] * len(writes)
    assert all(one.answer.headers["Retry-After"] and one.answer.code == "UNSUPPORTED" for one in writes)
    assert max(one.seconds for one in writes) < _LONGEST_WRITE + _SLACK
    assert {one.answer.status for one in seen} == {200}
    assert max(one.seconds for one in seen) < _SLACK
    assert len(seen) > 100
    for delay in delays:
        assert server.request("HEAD", f"/v2/held/blobs/{digests[delay]}").status in (200, 404)
        assert push_blob(server, "held", bodies[delay]) == digests[delay]
    assert put_manifest(server, "held", built, "v2").status == 201


def test_the_aws_door_says_so_in_its_own_words(start_server: Start) -> None:
    server = start_server()
    with locked(server), server.client() as ecr:
        try:
            ecr.create_repository(repositoryName="held")
        except ecr.exceptions.ClientError as error:
            told = error.response

    assert told["Error"]["Code"] == "ServerException"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert told["ResponseMetadata"]["HTTPHeaders"]["retry-after"]
    assert server.create("held")["repositoryName"] == "held"
