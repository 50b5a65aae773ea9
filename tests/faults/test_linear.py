"""A tag is a linearizable register, also over workers and across kill -9 (promises.md P2, R4): with kept
replies on and two workers, as users have it.

LONGSHORE_TEST_LINEAR_SECONDS: how long the tag is written and read.
"""

import contextlib
import functools
import http.client
import itertools
import json
import math
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.exceptions
import pytest

from tests.builders import Built, digest_of, image, push_blob
from tests.conftest import Start
from tests.faults.linear import Operation, violations
from tests.servers import RunningServer
from tests.waiting import until

SECONDS = float(os.environ.get("LONGSHORE_TEST_LINEAR_SECONDS", "20"))
BETWEEN_KILLS = 4.0  # seconds
TAG = "/v2/register/manifests/latest"


# --- the checker ------------------------------------------------------------------------------------------------------


def write(value: str, begun: float, ended: float) -> Operation:
    return Operation("write", value, begun, ended)


def read(value: str, begun: float, ended: float) -> Operation:
    return Operation("read", value, begun, ended)


GOOD = {
    "one after the other": [write("a", 0, 1), read("a", 2, 3), write("b", 4, 5), read("b", 6, 7)],
    "a read beside a write sees the old value": [write("a", 0, 1), write("b", 2, 5), read("a", 3, 4), read("b", 6, 7)],
    "a read beside a write sees the new value": [write("a", 0, 1), write("b", 2, 5), read("b", 3, 4)],
    "a write without an answer that happened": [write("a", 0, 1), write("b", 2, math.inf), read("b", 9, 10)],
    "a write without an answer that did not": [write("a", 0, 1), write("b", 2, math.inf), read("a", 9, 10)],
    "two writes at once": [write("a", 0, 9), write("b", 1, 8), read("b", 10, 11)],
}
BAD = {
    "a stale read": [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)],
    "back and forth": [write("a", 0, 1), write("b", 2, 9), read("b", 3, 4), read("a", 5, 6)],
    "a value that nobody wrote": [write("a", 0, 1), read("b", 2, 3)],
    "a value from the future": [read("a", 0, 1), write("a", 2, 3)],
    "a write without an answer, back and forth": [
        write("a", 0, 1), write("b", 2, math.inf), read("b", 3, 4), read("a", 5, 6),
    ],
    "two readers that disagree": [
        write("a", 0, 9), write("b", 0, 9), read("a", 10, 11), read("b", 12, 13), read("a", 14, 15),
    ],
}  # fmt: skip


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_the_checker_accepts(history: list[Operation]) -> None:
    assert violations(history) == []


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_the_checker_refuses(history: list[Operation]) -> None:
    assert violations(history)


# --- the register -----------------------------------------------------------------------------------------------------


class Register:
    """The tag `latest` of a running server, and the history of what was done to it."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.history: list[Operation] = []
        self.wrong: list[str] = []
        self.stop = threading.Event()
        self._config, self._numbers = b"{}", itertools.count()
        server.create("register")
        push_blob(server, "register", self._config)
        self.put(lambda built: server.request("PUT", TAG, built.body, {"Content-Type": built.media_type}).status)

    def has_grown(self, beyond: int) -> bool:
        return len(self.history) > beyond

    def put(self, send: Callable[[Built], int]) -> None:
        """Write a value that nobody wrote before."""
        built = image(config=self._config, layers=[], annotations={"n": str(next(self._numbers))})
        begun = time.monotonic()
        ended = math.inf
        try:
            status = send(built)
            ended = time.monotonic()
            if status not in (200, 201):
                self.wrong.append(f"a write was answered {status}")
        finally:
            self.history.append(Operation("write", built.digest, begun, ended))

    def get(self, receive: Callable[[], str]) -> None:
        begun = time.monotonic()
        value = receive()
        self.history.append(Operation("read", value, begun, time.monotonic()))


class Gone(Exception):
    """The server died before it answered."""


def by_oci(register: Register, *, writes: bool, method: str = "GET") -> None:
    """Write or read by `/v2/` on one connection, which reaches one worker."""
    connection = http.client.HTTPConnection(register.server.netloc, timeout=30)
    key = {"Authorization": register.server.basic}

    def call(method: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
        try:
            connection.request(method, TAG, body, {**key, **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Gone from error

    def receive() -> str:
        status, headers, body = call(method)
        told = str(headers["Docker-Content-Digest"])
        if status != 200 or (method == "GET" and digest_of(body) != told):
            register.wrong.append(f"{method} was answered {status} with {len(body)} bytes and {told}")
        return told

    with contextlib.closing(connection), contextlib.suppress(Gone):
        while not register.stop.is_set():
            if writes:
                register.put(lambda built: call("PUT", built.body, **{"Content-Type": built.media_type})[0])
            else:
                register.get(receive)


def by_api(register: Register, ecr: Any, *, writes: bool) -> None:
    """Write by PutImage, or read by BatchGetImage."""

    def send(built: Built) -> int:
        told = ecr.put_image(repositoryName="register", imageTag="latest", imageManifest=built.body.decode())
        return int(told["ResponseMetadata"]["HTTPStatusCode"])

    def receive() -> str:
        told = ecr.batch_get_image(repositoryName="register", imageIds=[{"imageTag": "latest"}])
        if told["failures"]:
            register.wrong.append(json.dumps(told["failures"]))
        [one] = told["images"]
        if digest_of(one["imageManifest"].encode()) != one["imageId"]["imageDigest"]:
            register.wrong.append("BatchGetImage: the manifest has another digest")
        return str(one["imageId"]["imageDigest"])

    with contextlib.suppress(botocore.exceptions.BotoCoreError, botocore.exceptions.HTTPClientError):
        while not register.stop.is_set():
            if writes:
                register.put(send)
            else:
                register.get(receive)


def test_a_tag_is_one_register_for_all_workers_and_over_kills(start_server: Start) -> None:
    server, rng = start_server("--workers", "2"), random.Random(3)
    register = Register(server)
    segments = max(int(SECONDS / BETWEEN_KILLS), 2)
    with server.client() as ecr, ThreadPoolExecutor(9) as pool:
        for segment in range(segments):
            register.stop.clear()
            tasks = [pool.submit(by_oci, register, writes=True) for _ in range(2)]
            tasks += [pool.submit(by_oci, register, writes=False, method=way) for way in ("GET", "GET", "GET", "HEAD")]
            tasks += [pool.submit(by_api, register, ecr, writes=number == 0) for number in range(2)]
            before = len(register.history)
            until(functools.partial(register.has_grown, before + 10), what="operations")
            time.sleep(BETWEEN_KILLS * rng.uniform(0.7, 1))
            if segment == segments - 1:
                register.stop.set()
            else:
                server.kill()
            for task in tasks:
                task.result()
            if segment < segments - 1:
                server.start()
    reads = sum(operation.kind == "read" for operation in register.history)
    writes = len(register.history) - reads
    print(f"{reads} reads, {writes} writes, {segments - 1} kills")

    assert register.wrong == []
    assert violations(register.history) == []
    assert min(reads, writes) > 100
