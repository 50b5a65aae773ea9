"""kill -9 while bytes of archived images move, garbage collection beside it, on disk and in a bucket (P1, P2, P5).

LONGSHORE_TEST_ARCHIVE_KILLS: how often the server is killed at moments of no choice. LONGSHORE_TEST_SEED: of these.
"""

import contextlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import elsewhere
from tests.archives import change, statuses
from tests.builders import Built, digest_of, image, index, push, put_manifest, unique_bytes
from tests.conftest import Start
from tests.damage import database
from tests.faults.soundness import assert_sound
from tests.servers import RunningServer
from tests.waiting import until

KILLS = int(os.environ.get("LONGSHORE_TEST_ARCHIVE_KILLS", "6"))
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))
# Garbage is collected all the time, as soon as nothing needs it, whatever share of the bytes it is.
SETTINGS = {
    "LONGSHORE_GC__GRACE_SECONDS": "1",
    "LONGSHORE_GC__INTERVAL_SECONDS": "1",
    "LONGSHORE_GC__REFUSE_PERCENT": "100",
    "LONGSHORE_JOBS__LEASE_SECONDS": "1",
}
STORES = [
    "disk",
    pytest.param("s3", marks=pytest.mark.real("versitygw")),
]


@pytest.fixture(params=STORES)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data directory whose bytes are to lie on disk, or in a bucket."""
    found = tmp_path / "data"
    elsewhere.choose(found, database="sqlite", store=request.param, servers=1)
    return found


class Shelves:
    """Images of two repositories, some of which share layers, and what is known of them."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        base, shared = unique_bytes(20_000), unique_bytes(300_000)
        parts = [image(layers=[base, unique_bytes(1000)]) for _ in range(2)]
        self.active = image(layers=[base])  # never archived
        self.index = index(*parts)
        self.moving: dict[str, list[Built]] = {
            "one": [image(layers=[base, shared]), image(layers=[unique_bytes(50_000)]), self.index],
            "two": [image(layers=[shared]), image(layers=[base, unique_bytes(100)])],
        }
        for name, listed in self.moving.items():
            server.create(name)
            for one in (*(parts if name == "one" else []), self.active, *listed):
                push(server, name, one)
        self.blobs = {name: [*listed, *(parts if name == "one" else [])] for name, listed in self.moving.items()}

    def all_are(self, ecr: Any, status: str) -> bool:
        return all(statuses(ecr, name)[one.digest] == status for name, listed in self.moving.items() for one in listed)

    def want(self, ecr: Any, target: str) -> None:
        """Have all of them be there, those that may be asked to."""
        for name, listed in self.moving.items():
            for one in listed:
                with contextlib.suppress(ecr.exceptions.ImageStorageClassUpdateNotSupportedException):
                    change(ecr, name, one.digest, target)

    def assert_readable(self, ecr: Any) -> None:
        """What is active can be pulled, byte for byte; what is not can not. Meanwhile more may become active."""
        for name, listed in self.blobs.items():
            for one in (self.active, *listed):
                before = statuses(ecr, name)[one.digest]
                answer = self.server.request("GET", f"/v2/{name}/manifests/{one.digest}")
                after = statuses(ecr, name)[one.digest]
                assert answer.status == 404 or after == "ACTIVE", (name, before, after)
                assert answer.status == 200 or before != "ACTIVE", (name, before, after)
                for blob in one.blobs if answer.status == 200 else ():
                    got = self.server.request("GET", f"/v2/{name}/blobs/{digest_of(blob)}")
                    assert (got.status, got.body) == (200, blob), (name, one.digest)

    def places(self) -> dict[str, set[str]]:
        """In which stores the bytes of images lie, by status: an active image has none in the archive."""
        question = (
            "SELECT coalesce(i.status, 'ACTIVE'), s.role FROM manifest_references r "
            "JOIN links l ON l.repository_id = r.repository_id AND l.digest = r.digest "
            "JOIN blobs b ON b.id = l.blob_id JOIN stores s ON s.store_id = b.store_id "
            "LEFT JOIN image_storage i ON i.manifest_id = r.manifest_id"
        )
        found: dict[str, set[str]] = {}
        with database(self.server.data) as rows:
            for status, role in rows.execute(question).fetchall():
                found.setdefault(status, set()).add(role)
        return found


@contextlib.contextmanager
def serving(server: RunningServer) -> Iterator[Any]:
    with server.client() as ecr:
        yield ecr


def go_on(server: RunningServer) -> None:
    """Start again without the failpoint."""
    server.environment = {key: one for key, one in server.environment.items() if key != "LONGSHORE_FAILPOINT"}
    server.start()


@pytest.mark.parametrize("place", ["move-copied", "move-named"])
def test_a_server_that_dies_while_bytes_go_to_the_archive(start_server: Start, data: Path, place: str) -> None:
    server = start_server(data=data, LONGSHORE_FAILPOINT=f"{place}:kill:2", **SETTINGS)
    shelves = Shelves(server)
    with serving(server) as ecr, contextlib.suppress(Exception):
        shelves.want(ecr, "ARCHIVE")
    server.wait()
    go_on(server)
    with serving(server) as ecr:
        shelves.assert_readable(ecr)
        shelves.want(ecr, "ARCHIVE")
        until(lambda: shelves.all_are(ecr, "ARCHIVED") and no_jobs(server), seconds=60, what="the archive")
        shelves.assert_readable(ecr)
        archived = shelves.places()
        shelves.want(ecr, "STANDARD")
        until(lambda: shelves.all_are(ecr, "ACTIVE"), seconds=60, what="the way back")
        shelves.assert_readable(ecr)

    assert archived == {"ACTIVE": {"main"}, "ARCHIVED": {"main", "archive"}}
    assert shelves.places() == {"ACTIVE": {"main"}}
    assert_sound(data)


@pytest.mark.parametrize("place", ["move-copied", "move-named", "archive-brought"])
def test_a_server_that_dies_while_bytes_come_back(start_server: Start, data: Path, place: str) -> None:
    server = start_server(data=data, **SETTINGS)
    shelves = Shelves(server)
    with serving(server) as ecr:
        shelves.want(ecr, "ARCHIVE")
        until(lambda: shelves.all_are(ecr, "ARCHIVED") and no_jobs(server), seconds=60, what="the archive")
    server.stop()
    server.environment = {**server.environment, "LONGSHORE_FAILPOINT": f"{place}:kill"}
    server.start()
    with serving(server) as ecr, contextlib.suppress(Exception):
        shelves.want(ecr, "STANDARD")
    server.wait()
    go_on(server)
    with serving(server) as ecr:
        shelves.assert_readable(ecr)
        shelves.want(ecr, "STANDARD")
        until(lambda: shelves.all_are(ecr, "ACTIVE"), seconds=60, what="the way back")
        shelves.assert_readable(ecr)

    assert shelves.places() == {"ACTIVE": {"main"}}
    assert_sound(data)


def test_images_go_and_come_however_often_the_server_is_killed(
    start_server: Start, data: Path, record_property
) -> None:
    server, rng = start_server(data=data, **SETTINGS), random.Random(SEED)
    shelves = Shelves(server)
    met = 0
    for number in range(KILLS):
        target = "STANDARD" if number % 2 else "ARCHIVE"
        with serving(server) as ecr:
            shelves.want(ecr, target)
            if number % 3 == 2:  # somebody pushes one of them again
                put_manifest(server, "two", shelves.moving["two"][0])
        time.sleep(rng.uniform(0, 0.3))
        met += not no_jobs(server)
        server.kill()
        server.start()
        with serving(server) as ecr:
            shelves.assert_readable(ecr)
    with serving(server) as ecr:
        until(lambda: no_jobs(server), seconds=60, what="the end of all jobs")
        shelves.want(ecr, "STANDARD")
        until(lambda: shelves.all_are(ecr, "ACTIVE") and no_jobs(server), seconds=60, what="the way back")
        shelves.assert_readable(ecr)
    record_property("archive", f"{KILLS} kills, {met} while bytes moved")

    assert shelves.places() == {"ACTIVE": {"main"}}
    assert_sound(data)


def no_jobs(server: RunningServer) -> bool:
    """Whether nothing of the archive is left to do."""
    with database(server.data) as rows:
        waiting = "SELECT count(*) FROM jobs WHERE kind IN ('archive.send', 'archive.bring')"
        return tuple(rows.execute(waiting).fetchone()) == (0,)
