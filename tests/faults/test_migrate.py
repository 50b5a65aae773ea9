"""Bytes go from a disk to a real bucket and back while pushes and pulls go on, and the mover is killed on its way.

LONGSHORE_TEST_MIGRATE_BLOBS: how many there are; 10,000 make a large run.
"""

import dataclasses
import hashlib
import http.client
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from tests import elsewhere
from tests.builders import digest_of
from tests.commands import Ran, longshore
from tests.s3_servers import TestBucket
from tests.servers import ROOT, RunningServer, clean_environment

BLOBS: Final = int(os.environ.get("LONGSHORE_TEST_MIGRATE_BLOBS", "150"))
SEED: Final = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))
NAME: Final = "team/app"
_KEEP: Final = "LONGSHORE_GC__INTERVAL_SECONDS"

pytestmark = [
    pytest.mark.skipif(elsewhere.DATABASE != "sqlite" or elsewhere.STORE != "disk", reason="it has a way of its own"),
    pytest.mark.skipif(elsewhere.SERVERS > 1, reason="it starts the servers that it needs"),
]


def content(number: int) -> bytes:
    """A layer's bytes: up to some 60 kB, no two alike."""
    return hashlib.sha256(f"{SEED} {number}".encode()).digest() * (1 + (number * 7919) % (1900 if number % 10 else 40))


@dataclasses.dataclass
class Registry:
    """A server whose bytes lie here or there, with what was pushed to it so far."""

    server: RunningServer
    bucket: TestBucket
    pushed: list[int] = dataclasses.field(default_factory=list)

    def start(self, main: str, previous: str = "") -> None:
        """Start it, or start it again, with its bytes at another place."""
        self.server.stop()
        self.server.environment = {
            name: value for name, value in self.server.environment.items() if "STORAGE__" not in name
        } | self.settings(main, previous)
        self.server.start()

    def settings(self, main: str, previous: str = "") -> dict[str, str]:
        found: dict[str, str] = {}
        for table, place in (("", main), ("PREVIOUS__", previous)):
            given = self.bucket.environment() if place == "bucket" else {"LONGSHORE_STORAGE__KIND": place}
            found |= {name.replace("STORAGE__", f"STORAGE__{table}"): value for name, value in given.items() if place}
        return found

    def connection(self) -> http.client.HTTPConnection:
        at = urlsplit(self.server.url)
        return http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)

    def push(self, connection: http.client.HTTPConnection, number: int) -> None:
        data, headers = content(number), {"Authorization": self.server.basic}
        connection.request("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}", data, headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (201, b"")
        self.pushed.append(number)

    def pull(self, connection: http.client.HTTPConnection, number: int) -> None:
        data = content(number)
        connection.request("GET", f"/v2/{NAME}/blobs/{digest_of(data)}", headers={"Authorization": self.server.basic})
        answer = connection.getresponse()
        assert (answer.status, answer.read() == data) == (200, True), number

    def for_all(self, numbers: list[int], do: Callable[[http.client.HTTPConnection, int], None]) -> None:
        """Over a few connections at once."""

        def some(mine: list[int]) -> None:
            connection = self.connection()
            for number in mine:
                do(connection, number)
            connection.close()

        with ThreadPoolExecutor(4) as workers:
            list(workers.map(some, [numbers[first::4] for first in range(4)]))

    def migrate(self, *arguments: str, failpoint: str = "") -> Ran:
        ran = subprocess.run(
            [sys.executable, "-m", "longshore", "storage", "migrate", "--data", str(self.server.data), *arguments],
            cwd=ROOT,
            env=clean_environment(**self.server.environment, LONGSHORE_FAILPOINT=failpoint),
            capture_output=True,
            text=True,
            timeout=3000,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)


class Traffic:
    """A client that pushes and pulls until it is told to stop; what goes wrong is raised then."""

    def __init__(self, registry: Registry, numbers: Iterator[int]) -> None:
        self._registry, self._numbers, self._random = registry, numbers, random.Random(SEED)
        self._stop, self._errors = threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.done = 0

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        if self._errors:
            raise self._errors[0]

    def _run(self) -> None:
        connection = self._registry.connection()
        try:
            while not self._stop.is_set():
                self._registry.push(connection, next(self._numbers))
                for _ in range(3):
                    self._registry.pull(connection, self._random.choice(self._registry.pushed))
                self.done += 1
        except BaseException as error:
            self._errors.append(error)
        finally:
            connection.close()


@pytest.fixture
def registry(tmp_path: Path, bucket: TestBucket) -> Iterator[Registry]:
    server = RunningServer(tmp_path / "data")
    server.start()
    server.create(NAME)
    yield Registry(server, bucket)
    server.stop()


def test_everything_goes_to_a_bucket_and_back_while_pushes_go_on(
    registry: Registry, record_property: Callable[[str, object], None]
) -> None:
    numbers = itertools.count()
    registry.for_all(list(itertools.islice(numbers, BLOBS)), registry.push)
    told: list[dict[str, Any]] = []
    for main, previous, places in (("bucket", "disk", ("copied", "named")), ("disk", "bucket", ("named", "copied"))):
        registry.start(main, previous)
        began = time.monotonic()
        with Traffic(registry, numbers) as traffic:
            for place in places:
                killed = registry.migrate(failpoint=f"move-{place}:kill:{max(BLOBS // 4, 1)}")
                assert killed.code == -9, killed
            ended = registry.migrate("--output", "json")
        assert (ended.code, ended.json["complete"]) == (0, True), ended
        [one] = ended.json["regions"]
        assert 0 < one["moved"]["count"] < len(registry.pushed) and one["left"]["count"] == 0 and traffic.done
        told.append({**one, "to": main, "blobs": len(registry.pushed), "seconds": round(time.monotonic() - began, 1)})
        registry.start(main)
        registry.for_all(list(registry.pushed), registry.pull)
    checked = longshore(
        "check", "--deep", "--data", registry.server.data, "--output", "json", **registry.settings("disk")
    )

    record_property("migrated", json.dumps(told))
    print(f"\nmoved there and back: {json.dumps(told)}, {sum(len(content(one)) for one in registry.pushed)} bytes")
    assert {one["kind"] for one in checked.json["findings"]} <= {"litter"}, checked.out[:2000]
    assert checked.json["checked"]["blobs"] == len(registry.pushed) > BLOBS
