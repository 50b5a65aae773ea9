"""Garbage collection beside a real server that is pushed to, killed at named places, and restored from a backup.

promises.md P5, F02-F07, F16, F27, F44, R3. LONGSHORE_TEST_GC_SECONDS: how long pushers and collector run against each
other. LONGSHORE_TEST_GC_KILLS: how often the collector is killed at each place.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry import failpoints
from tests import elsewhere
from tests.builders import digest_of, image, push, push_blob, put_manifest, unique_bytes
from tests.commands import Ran, longshore
from tests.conftest import Start
from tests.damage import database, file_of
from tests.faults.pushers import at_work, crowd
from tests.faults.soundness import assert_sound
from tests.faults.writers import Gone, OciDoor
from tests.servers import RunningServer
from tests.waiting import until

SECONDS = float(os.environ.get("LONGSHORE_TEST_GC_SECONDS", "4"))
KILLS = int(os.environ.get("LONGSHORE_TEST_GC_KILLS", "1"))
PUSHERS = 4
# Nothing but what the tests do collects, at once, whatever share of the bytes it is.
QUICK = {
    "LONGSHORE_GC__GRACE_SECONDS": "1",
    "LONGSHORE_GC__INTERVAL_SECONDS": "0",
    "LONGSHORE_GC__UPLOAD_SECONDS": "1",
    "LONGSHORE_GC__REFUSE_PERCENT": "100",
    "LONGSHORE_UNDO__WINDOW_SECONDS": "0",
}
GRACE_IS_OVER = 1.3  # seconds


def gc(server: RunningServer, *arguments: str, **environment: str) -> Ran:
    where = elsewhere.environment(server.data)
    return longshore("gc", "--data", server.data, *arguments, **{**QUICK, **where, **environment})


def stored(server: RunningServer) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (server.data / "blobs").glob("*/??/*")}


def age(server: RunningServer) -> None:
    """Make files look old: without a row they are left alone for an hour."""
    for path in (server.data / "blobs").glob("*/??/*"):
        os.utime(path, (0, 0))


# --- beside pushers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"], ids=["one process", "two workers"])
def test_no_acknowledged_image_is_broken_while_garbage_goes(
    start_server: Start, workers: str, record_property: Callable[[str, object], None]
) -> None:
    server = start_server("--workers", workers, **QUICK)
    pushers, stop, codes = crowd(server, PUSHERS), threading.Event(), []

    def collect() -> None:
        while not stop.is_set():
            codes.append(gc(server).code)

    collecting = threading.Thread(target=collect)
    with at_work(pushers):
        collecting.start()
        time.sleep(SECONDS)
        until(
            lambda: len(codes) > 2 and sum(pusher.deleted for pusher in pushers) > 8,
            seconds=120,
            what="some deletes and collections",
        )
    stop.set()
    collecting.join()
    broken = [trouble for pusher in pushers for trouble in pusher.broken()]
    time.sleep(GRACE_IS_OVER)
    last = gc(server, "--output", "json")
    figures = (
        f"{sum(len(p.seconds) for p in pushers)} pushes, {sum(p.deleted for p in pushers)} deletes, "
        f"{sum(p.asked for p in pushers)} layers not sent again, {len(codes)} collections"
    )
    record_property("gc", figures)
    print(figures)

    assert broken == []
    assert [refusal for pusher in pushers for refusal in pusher.refused] == []
    assert set(codes) == {0} and last.code == 0
    needed = {digest for pusher in pushers for digest in pusher.needed()}
    with database(server.data) as db:
        rows = db.execute("SELECT digest, size FROM blobs").fetchall()
    assert {digest for digest, _ in rows} == needed
    assert sum(stored(server).values()) == sum(size for _, size in rows)
    assert [trouble for pusher in pushers for trouble in pusher.broken()] == []
    assert_sound(server.data)


@pytest.mark.skipif(SECONDS < 30, reason="a ratio of times is measured by hand: LONGSHORE_TEST_GC_SECONDS=30 or more")
def test_pushes_are_at_most_three_times_slower(start_server: Start) -> None:
    server = start_server(**QUICK)
    pushers, p99 = crowd(server, PUSHERS), []
    for collecting in (False, True):
        for pusher in pushers:
            pusher.seconds.clear()
        with at_work(pushers):
            until_time = time.monotonic() + SECONDS
            while time.monotonic() < until_time:
                if collecting:
                    gc(server)
                else:
                    time.sleep(0.1)
        p99.append(statistics.quantiles([one for p in pushers for one in p.seconds], n=100)[-1])
    print(f"p99 of a push: {p99[0] * 1000:.0f} ms without, {p99[1] * 1000:.0f} ms during collections")

    assert p99[1] <= 3 * p99[0]


def test_the_server_collects_by_itself_and_one_process_of_all(start_server: Start) -> None:
    server = start_server("--workers", "2", **{**QUICK, "LONGSHORE_GC__INTERVAL_SECONDS": "1"})
    server.create("app")
    kept = push(server, "app", image(), "kept")
    digest = push_blob(server, "app", unique_bytes())
    until(lambda: server.request("GET", f"/v2/app/blobs/{digest}").status == 404, what="the collection")
    until(lambda: figures_of(server)["longshore_gc_bytes_total"], what="the end of it")
    figures = figures_of(server)

    assert server.request("GET", f"/v2/app/manifests/{kept}").status == 200
    assert len(stored(server)) == 2
    assert (figures["longshore_gc_bytes_total"], figures["longshore_gc_blobs_total"]) == (64, 1)
    assert time.time() - figures["longshore_gc_last_end_timestamp_seconds"] < 30
    with database(server.data) as db:
        [(started, facts)] = db.execute("SELECT started_at, facts FROM chores WHERE name = 'gc'").fetchall()
    assert started and json.loads(facts)["passes"] >= 2
    assert any("gc.grace_seconds is 1" in line for line in server.output)
    assert server.stop() == 0


def figures_of(server: RunningServer) -> dict[str, float]:
    page = server.request("GET", "/metrics", auth=None).body.decode()
    told = (line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("longshore_gc_"))
    return {name: float(value) for name, value in told}


def test_a_server_without_an_interval_leaves_garbage_to_the_command(start_server: Start) -> None:
    server = start_server(**QUICK)
    with database(server.data) as db:
        assert tuple(db.execute("SELECT started_at FROM chores WHERE name = 'gc'").fetchone()) == (None,)


# --- killed -----------------------------------------------------------------------------------------------------------

OF_GC = [name for name in failpoints.PLACES if name.startswith("gc-") and name != "gc-upload"]


@pytest.mark.parametrize("place", OF_GC)
def test_a_collector_that_is_killed_beside_pushers_harms_nothing(start_server: Start, place: str) -> None:
    """F07."""
    server = start_server(**QUICK)
    pushers = crowd(server, 2)
    for number in range(KILLS):
        push_blob(server, "crowd-0", unique_bytes(1000))
        time.sleep(GRACE_IS_OVER)
        with at_work(pushers):
            killed = gc(server, LONGSHORE_FAILPOINT=f"{place}:kill:{1 + number % 3 if KILLS > 1 else 1}")
        assert killed.code == -9 or KILLS > 1, killed.err
    assert [trouble for pusher in pushers for trouble in pusher.broken()] == []
    time.sleep(GRACE_IS_OVER)
    assert gc(server).code == 0

    assert [trouble for pusher in pushers for trouble in pusher.broken()] == []
    assert [refusal for pusher in pushers for refusal in pusher.refused] == []
    with database(server.data) as db:
        [(named,)] = db.execute("SELECT sum(size) FROM blobs").fetchall()
        assert tuple(db.execute("SELECT count(*) FROM burials").fetchone()) == (0,)
    assert sum(stored(server).values()) == named
    assert_sound(server.data)


@contextlib.contextmanager
def dying(server: RunningServer) -> Iterator[None]:
    """The block runs against a server that dies at its failpoint in it; afterwards it is there again, without one."""
    yield
    assert server.wait() == -9
    server.environment = {**server.environment, "LONGSHORE_FAILPOINT": ""}
    server.start()


def tries_to_push(server: RunningServer, data: bytes) -> None:
    with contextlib.closing(OciDoor(server)) as door, pytest.raises(Gone):
        door._call("POST", f"/v2/app/blobs/uploads/?digest={digest_of(data)}", data)


@pytest.mark.parametrize(
    ("place", "is_there", "files"),
    [("disk-fsync", 404, 1), ("upload-finished", 404, 1), ("upload-committed", 200, 1)],
    ids=["F02 before it is durable", "F03 before its row", "F04 before the answer"],
)
def test_a_push_that_is_killed_is_there_or_not_and_leaves_nothing(
    start_server: Start, place: str, is_there: int, files: int
) -> None:
    server, data = start_server(**QUICK, LONGSHORE_FAILPOINT=f"{place}:kill"), unique_bytes(200_000)
    server.create("app")
    with dying(server):
        tries_to_push(server, data)
    assert len(stored(server)) == files
    assert server.request("HEAD", f"/v2/app/blobs/{digest_of(data)}").status == is_there
    built = image(layers=[data])
    push(server, "app", built, "again")
    age(server)
    assert gc(server).code == 0

    assert server.request("GET", f"/v2/app/blobs/{digest_of(data)}").body == data
    assert len(stored(server)) == 2
    assert_sound(server.data)


@pytest.mark.parametrize(("place", "status"), [("manifest-rows", 404), ("manifest-committed", 200)])
def test_a_tag_is_old_or_new_when_the_server_dies_while_it_moves(start_server: Start, place: str, status: int) -> None:
    """F05."""
    server, old, new = start_server(**QUICK, LONGSHORE_FAILPOINT=f"{place}:kill:2"), image(), image()
    server.create("app")
    push(server, "app", old, "latest")
    for data in new.blobs:
        push_blob(server, "app", data)
    with dying(server), contextlib.closing(OciDoor(server)) as door, pytest.raises(Gone):
        door.put_manifest("app", new, "latest")

    found = server.request("GET", "/v2/app/manifests/latest")
    assert found.body == (new.body if status == 200 else old.body)
    assert server.request("GET", f"/v2/app/manifests/{new.digest}").status == status
    assert put_manifest(server, "app", new, "latest").status == 201
    assert_sound(server.data)


@pytest.mark.parametrize(("place", "is_there"), [("repository-rows", True), ("repository-committed", False)])
def test_a_repository_goes_as_a_whole_or_not_at_all(start_server: Start, place: str, is_there: bool) -> None:
    """F06."""
    server, built = start_server(**QUICK, LONGSHORE_FAILPOINT=f"{place}:kill"), image()
    server.create("app")
    server.create("other")
    push(server, "app", built, "latest")
    push(server, "other", image(), "latest")
    with dying(server), server.client() as ecr, contextlib.suppress(Exception):
        ecr.delete_repository(repositoryName="app", force=True)

    status = 200 if is_there else 404
    paths = ("tags/list", "manifests/latest", *(f"blobs/{digest_of(data)}" for data in built.blobs))
    assert [server.request("GET", f"/v2/app/{path}").status for path in paths] == [status] * 4
    time.sleep(GRACE_IS_OVER)
    assert gc(server).code == 0
    assert len(stored(server)) == (4 if is_there else 2)
    assert_sound(server.data)


def test_bytes_that_could_not_be_synced_are_not_acknowledged(start_server: Start) -> None:
    """F16: the failed bytes are written anew, never believed on the word of a second fsync."""
    server, data = start_server(**QUICK, LONGSHORE_FAILPOINT="disk-fsync:error:2"), unique_bytes(90_000)
    server.create("app")
    upload = server.request("POST", "/v2/app/blobs/uploads/").headers["Location"]
    assert server.request("PATCH", upload, data[:30_000]).status == 202
    assert server.request("PATCH", upload, data[30_000:60_000]).status == 503
    assert server.request("GET", upload).headers["Range"] == "0-29999"
    assert server.request("PATCH", upload, data[30_000:]).status == 202

    assert server.request("PUT", f"{upload}?digest={digest_of(data)}").status == 201
    assert server.request("GET", f"/v2/app/blobs/{digest_of(data)}").body == data
    assert_sound(server.data)


def test_failpoints_are_for_loopback(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data", "--host", "0.0.0.0", LONGSHORE_FAILPOINT="gc-mark:kill")

    with pytest.raises(AssertionError, match="LONGSHORE_FAILPOINT is for tests on loopback"):
        server.start()


# --- restored ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(elsewhere.DATABASE != "sqlite", reason="the backup is a copy of the file")
def test_a_database_restored_beside_a_newer_store_costs_no_byte(start_server: Start) -> None:
    """F27: what came after the backup stays until the operator says otherwise."""
    server = start_server(**{**QUICK, "LONGSHORE_GC__REFUSE_PERCENT": "25"})
    server.create("app")
    push(server, "app", image(layers=[unique_bytes(5000)]), "before")
    push_blob(server, "app", unique_bytes(100))  # garbage that even the old rows explain
    server.stop()
    with contextlib.closing(sqlite3.connect(server.data / "longshore.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(server.data / "longshore.db", server.data.with_name("old.db"))
    server.start()
    for number in range(3):
        push(server, "app", image(layers=[unique_bytes(5000)]), f"after-{number}")
    server.stop()
    for name in ("longshore.db-wal", "longshore.db-shm"):
        (server.data / name).unlink(missing_ok=True)
    shutil.copy(server.data.with_name("old.db"), server.data / "longshore.db")
    age(server)
    before = stored(server)
    server.start()
    time.sleep(GRACE_IS_OVER)
    refused = gc(server, LONGSHORE_GC__REFUSE_PERCENT="25")

    assert refused.code == 1 and "likely older than the store" in refused.err
    assert stored(server) == before
    forced = gc(server, "--force", LONGSHORE_GC__REFUSE_PERCENT="25")
    assert forced.code == 0
    assert len(stored(server)) == 2
    assert_sound(server.data)


def test_a_corrupt_blob_is_marked_by_scrub_and_healed_by_a_push(start_server: Start) -> None:
    """F44, in the other repository that holds it too."""
    server, built = start_server(**QUICK), image(layers=[unique_bytes(5000)])
    for name in ("app", "other"):
        server.create(name)
        push(server, name, built, "latest")
    digest = digest_of(built.blobs[1])
    file_of(server.data, digest).write_bytes(b"x" * 5000)
    where = elsewhere.environment(server.data)
    ran = longshore("scrub", "--data", server.data, **where)
    assert (ran.code, "app:latest" in ran.out, "other:latest" in ran.out) == (1, True, True)
    assert server.request("GET", f"/v2/app/blobs/{digest}").status == 404
    push(server, "app", built, "latest")

    assert server.request("GET", f"/v2/other/blobs/{digest}").body == built.blobs[1]
    assert longshore("scrub", "--data", server.data, **where).code == 0
    assert len(stored(server)) == 2
