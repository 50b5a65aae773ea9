"""Garbage collection on rows and files: what goes, what stays, and what a pass that was cut short leaves."""

import asyncio
import datetime as dt
import functools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry import failpoints, gc, layers, repositories, uploads
from registry.context import Deps
from registry.errors import DatabaseUnavailable, LayersNotFound, StorageUnavailable
from registry.model import Repository, StoreRole
from registry.names import Digest, Region, RepositoryName
from registry.options import Gc
from registry.records import gc as rows
from registry.storage.base import Stores
from registry.storage.disk import IDENTITY_FILE, DiskStore
from tests.builders import image, index
from tests.collecting import GRACE, SPENT, TERMS, UPLOADS, Ground
from tests.places import REGION, REGISTRY, chunks, rooms

MOMENT = dt.timedelta(seconds=1)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data directory: to copy one costs less than to make one."""
    data = tmp_path_factory.mktemp("empty") / "data"
    with rooms(data):
        return data


@pytest.fixture
def deps(empty: Path, tmp_path: Path) -> Iterator[Deps]:
    with rooms(Path(shutil.copytree(empty, tmp_path / "data"))) as found:
        yield found


@pytest.fixture
def ground(deps: Deps) -> Ground:
    return Ground(deps)


@pytest.fixture
async def repository(ground: Ground) -> Repository:
    return await repositories.create(ground.deps, REGISTRY, RepositoryName("team/app"), repositories.Wish())


@pytest.fixture
async def other(ground: Ground) -> Repository:
    return await repositories.create(ground.deps, REGISTRY, RepositoryName("team/other"), repositories.Wish())


# --- what goes --------------------------------------------------------------------------------------------------------


async def test_a_blob_that_no_image_needs_goes_with_its_bytes(ground: Ground, repository: Repository) -> None:
    digest = await ground.push(repository, b"loose")
    ground.wait(SPENT)
    collected = await ground.collect()

    assert not await ground.has_link(repository, digest)
    assert ground.files() == {}
    assert (await ground.count("blobs"), await ground.count("burials")) == (0, 0)
    assert (collected.bytes, collected.regions[0].blobs.count, collected.repositories[0].layers.bytes) == (5, 1, 5)
    assert collected.is_whole


async def test_what_an_image_needs_stays_for_ever(ground: Ground, repository: Repository) -> None:
    one, two = image(), image()
    await ground.put(repository, one, "latest")
    await ground.put(repository, two)  # without a tag it is an image all the same
    await ground.put(repository, index(one, two))
    ground.wait(SPENT * 100)
    collected = await ground.collect()

    assert collected.bytes == 0
    assert [await ground.reads(repository, data) for data in (*one.blobs, *two.blobs)] == [True] * 4


@pytest.mark.parametrize("waited", [dt.timedelta(), GRACE, GRACE * 5 / 4], ids=["at once", "a period", "the quarter"])
async def test_what_was_pushed_stays_for_its_grace_period(
    ground: Ground, repository: Repository, waited: dt.timedelta
) -> None:
    await ground.push(repository, b"loose")
    ground.wait(waited)
    collected = await ground.collect()

    assert collected.bytes == 0
    assert await ground.reads(repository, b"loose")


async def test_the_grace_period_counts_from_the_deletion_of_the_last_image(
    ground: Ground, repository: Repository
) -> None:
    one, layer = image(), b"in both"
    both = [await ground.put(repository, image(layers=[layer])), await ground.put(repository, image(layers=[layer]))]
    await ground.put(repository, one)
    ground.wait(SPENT)
    await ground.delete(repository, both[0])
    ground.wait(SPENT)
    await ground.collect()
    assert await ground.reads(repository, layer)  # the second still needs it
    await ground.delete(repository, both[1])
    ground.wait(GRACE)
    await ground.collect()
    assert await ground.has_link(repository, Digest.of(layer))
    ground.wait(SPENT - GRACE)
    await ground.collect()

    assert not await ground.has_link(repository, Digest.of(layer))
    assert sorted(ground.files().values()) == sorted(map(len, one.blobs))


async def test_a_question_keeps_a_blob_for_a_whole_period(ground: Ground, repository: Repository) -> None:
    digest = await ground.push(repository, b"loose")
    for _ in range(5):
        ground.wait(GRACE)
        assert await ground.is_told(repository, digest)
        await ground.collect()
    assert await ground.reads(repository, b"loose")
    ground.wait(SPENT)
    await ground.collect()

    assert not await ground.is_told(repository, digest)


async def test_a_question_writes_only_where_it_must(
    ground: Ground, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for what an image needs, and not for what was touched lately (ruling 13)."""
    needed, loose = image(), await ground.push(repository, b"loose")
    await ground.put(repository, needed)
    writes = []
    real = ground.deps.db.housekeep

    async def housekeep(unit):
        writes.append(unit)
        return await real(unit)

    monkeypatch.setattr(ground.deps.db, "housekeep", housekeep)
    ground.wait(GRACE / 4)
    assert await ground.is_told(repository, loose)
    assert writes == []
    ground.wait(MOMENT)
    assert await ground.is_told(repository, Digest.of(needed.blobs[0]))
    assert writes == []
    assert await ground.is_told(repository, loose)

    assert len(writes) == 1


async def test_a_mount_keeps_the_bytes_for_whom_it_was_made(
    ground: Ground, repository: Repository, other: Repository
) -> None:
    digest = await ground.push(repository, b"loose")
    ground.wait(GRACE)
    assert await layers.mount(ground.deps, other, digest, [repository])
    ground.wait(SPENT - GRACE)
    collected = await ground.collect()

    assert not await ground.has_link(repository, digest)
    assert await ground.reads(other, b"loose")
    assert (collected.bytes, collected.repositories[0].layers.count) == (0, 1)


async def test_bytes_stay_while_any_repository_needs_them(
    ground: Ground, repository: Repository, other: Repository
) -> None:
    one = image()
    kept, gone = await ground.put(repository, one), await ground.put(other, one)
    await ground.delete(other, gone)
    ground.wait(SPENT)
    await ground.collect()
    assert [await ground.reads(repository, data) for data in one.blobs] == [True] * 2
    assert not await ground.is_told(other, Digest.of(one.blobs[0]))
    await ground.delete(repository, kept)
    ground.wait(SPENT)
    await ground.collect()

    assert ground.files() == {}


@pytest.mark.parametrize("how", ["the repository", "the blob"])
async def test_bytes_stay_for_a_grace_period_after_they_were_let_go(
    ground: Ground, repository: Repository, how: str
) -> None:
    """A database that is restored within it finds them there."""
    digest = await ground.push(repository, b"loose")
    ground.wait(SPENT)
    if how == "the blob":
        await layers.delete(ground.deps, repository, digest)
    else:
        await repositories.delete(ground.deps, REGISTRY, repository.name, force=True)
    ground.wait(GRACE)
    await ground.collect()
    assert len(ground.files()) == 1
    ground.wait(SPENT - GRACE)
    await ground.collect()

    assert ground.files() == {}
    assert await ground.count("blobs") == 0


# --- what happens meanwhile -------------------------------------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch):
    """Do something once, when a pass crosses a place."""
    waiting: dict[str, Any] = {}

    async def crossing(name: str) -> None:
        if name in waiting:
            await waiting.pop(name)

    monkeypatch.setattr(failpoints, "crossing", crossing)
    yield waiting
    for left in waiting.values():
        left.close()


@pytest.mark.parametrize("place", ["gc-mark", "gc-condemn"])
@pytest.mark.parametrize("how", ["question", "push", "mount", "manifest"])
async def test_a_condemned_blob_is_live_again_when_it_is_touched(
    ground: Ground, repository: Repository, other: Repository, meanwhile, place: str, how: str
) -> None:
    built = image(layers=[b"loose"], config=b"loose")
    digest = await ground.push(repository, b"loose")
    ground.wait(SPENT)
    meanwhile[place] = {
        "question": lambda: ground.is_told(repository, digest),
        "push": lambda: ground.push(repository, b"loose"),
        "mount": lambda: layers.mount(ground.deps, other, digest, [repository]),
        "manifest": lambda: ground.put(repository, built, blobs=False),
    }[how]()
    collected = await ground.collect()

    assert collected.bytes == 0
    assert await ground.reads(other if how == "mount" else repository, b"loose")
    assert await ground.has_link(repository, digest) is (how != "mount")
    assert meanwhile == {}
    condemned = "SELECT count(*) FROM links WHERE condemned_at IS NOT NULL"
    assert await ground.deps.db.read(lambda tx: tx.exec_driver_sql(condemned).scalar_one()) == 0


@pytest.mark.parametrize("place", ["gc-sweep", "gc-bury", "gc-delete"])
async def test_of_a_blob_that_is_going_nobody_is_told(
    ground: Ground, repository: Repository, meanwhile, place: str
) -> None:
    """From the sweep on it is unknown, and what is pushed then is other bytes at another key."""
    digest = await ground.push(repository, b"loose")
    before = set(ground.files())
    ground.wait(SPENT)

    async def act() -> None:
        assert not await ground.is_told(repository, digest)
        with pytest.raises(LayersNotFound):
            await ground.put(repository, image(layers=[b"loose"], config=b"loose"), blobs=False)
        await ground.push(repository, b"loose")

    meanwhile[place] = act()
    await ground.collect()

    assert meanwhile == {}
    assert await ground.reads(repository, b"loose")
    assert len(ground.files()) == 1
    assert (set(ground.files()) == before) is (place == "gc-sweep")  # its bytes were not yet buried


@pytest.mark.parametrize("place", [name for name in failpoints.PLACES if name.startswith("gc-")])
async def test_a_pass_that_was_cut_short_is_gone_on_with(ground: Ground, repository: Repository, place: str) -> None:
    """F07: what the next pass leaves is what a whole one would have left."""
    kept, gone = image(), image()
    await ground.put(repository, kept, "kept")
    deleted = await ground.put(repository, gone, "gone")
    ticket = uploads.open_ticket(ground.deps, repository, uploads.begin(ground.deps, repository))
    await uploads.append(ground.deps, repository, ticket, chunks(b"part of it"), start=None)
    await ground.delete(repository, deleted)
    ground.wait(UPLOADS + SPENT)
    failpoints.arm(f"{place}:error")
    with pytest.raises(StorageUnavailable) if place != "gc-upload" else pytest.MonkeyPatch.context():
        await ground.collect()
    failpoints.arm("")
    assert [await ground.reads(repository, data) for data in kept.blobs] == [True] * 2
    await ground.collect()
    await ground.collect()

    assert sorted(ground.files().values()) == sorted(map(len, kept.blobs))
    assert await ground.count("burials") == 0
    assert [await ground.reads(repository, data) for data in kept.blobs] == [True] * 2


async def test_two_passes_at_once_do_no_harm(ground: Ground, repository: Repository) -> None:
    kept = image()
    await ground.put(repository, kept)
    for number in range(250):
        await ground.push(repository, f"loose {number}".encode())
    ground.wait(SPENT)
    both = await asyncio.gather(ground.collect(), ground.collect())

    assert sorted(ground.files().values()) == sorted(map(len, kept.blobs))
    assert sum(one.regions[0].blobs.count for one in both) >= 250
    assert await ground.count("burials") == 0


async def test_pages_and_batches_are_joined(
    ground: Ground, repository: Repository, other: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PAGE", "_BATCH", "_KEYS"):
        monkeypatch.setattr(gc, name, 2)
    kept = image(layers=[b"one", b"two", b"three"])
    await ground.put(repository, kept)
    for number in range(7):
        await ground.push(other if number % 2 else repository, f"loose {number}".encode())
    for number in range(3):
        (ground.root / "ab" / f"ab{number:030}").write_bytes(b"litter")
    ground.wait(SPENT + UPLOADS)
    collected = await ground.collect()

    assert sorted(ground.files().values()) == sorted(map(len, kept.blobs))
    assert collected.regions[0].blobs.count == 7
    assert collected.regions[0].unnamed.count == 3
    assert collected.forgotten_uploads == 11
    assert await ground.count("uploads") == 0


async def test_others_have_their_turn_between_two_writes(
    ground: Ground, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc, "_BATCH", 1)
    for number in range(5):
        await ground.push(repository, f"loose {number}".encode())
    ground.wait(SPENT)
    passing = asyncio.ensure_future(ground.collect())
    pushed = 0
    while not passing.done():
        await ground.push(repository, f"more {pushed}".encode())
        pushed += 1

    assert (await passing).regions[0].blobs.count == 5
    assert pushed > 3


async def test_a_write_that_does_not_get_its_turn_is_tried_again(
    ground: Ground, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ground.push(repository, b"loose")
    ground.wait(SPENT)
    real, failures = ground.deps.db.housekeep, [DatabaseUnavailable(), DatabaseUnavailable()]

    async def housekeep(unit):
        if failures:
            raise failures.pop()
        return await real(unit)

    async def sleep(_seconds: float) -> None:
        return None

    monkeypatch.setattr(ground.deps.db, "housekeep", housekeep)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    collected = await ground.collect()

    assert (collected.bytes, failures) == (5, [])


# --- uploads ----------------------------------------------------------------------------------------------------------


async def upload(ground: Ground, repository: Repository, part: bytes) -> uploads.Ticket:
    ticket = uploads.open_ticket(ground.deps, repository, uploads.begin(ground.deps, repository))
    await uploads.append(ground.deps, repository, ticket, chunks(part), start=None)
    return ticket


async def test_an_upload_that_nobody_goes_on_with_is_given_up(ground: Ground, repository: Repository) -> None:
    await upload(ground, repository, b"old")
    ground.wait(UPLOADS)
    young = await upload(ground, repository, b"young")
    ground.wait(MOMENT)
    collected = await ground.collect()

    assert (collected.regions[0].uploads.count, collected.regions[0].uploads.bytes) == (1, 3)
    assert list(ground.files().values()) == [5]
    status = await uploads.status(ground.deps, repository, young)
    assert status is not None and status.size == 5


async def test_an_upload_that_is_being_written_to_is_left_alone(ground: Ground, repository: Repository) -> None:
    ticket = await upload(ground, repository, b"begin")
    ground.wait(UPLOADS * 2)

    async def slowly() -> AsyncIterator[bytes]:
        yield b" and"
        await ground.collect()
        yield b" end"

    await uploads.append(ground.deps, repository, ticket, slowly(), start=None)
    finished = await uploads.finish(ground.deps, repository, ticket, Digest.of(b"begin and end"))

    assert finished.blob.size == 13
    assert await ground.reads(repository, b"begin and end")


async def test_rows_of_uploads_that_are_over_are_forgotten(ground: Ground, repository: Repository) -> None:
    await ground.put(repository, image())
    ground.wait(UPLOADS)
    await ground.push(repository, b"later")
    ground.wait(MOMENT)
    collected = await ground.collect()

    assert (collected.forgotten_uploads, await ground.count("uploads")) == (2, 1)


# --- bytes without a row ----------------------------------------------------------------------------------------------


def litter(ground: Ground, name: str, *, age: dt.timedelta, size: int = 10) -> Path:
    path = ground.root / name[:2] / name
    path.write_bytes(b"x" * size)
    then = (ground.hands.time - age).timestamp()
    os.utime(path, (then, then))
    return path


KEY = "ab" + "0" * 30


async def test_files_that_no_row_names_go_when_they_are_old(ground: Ground, repository: Repository) -> None:
    old, young = litter(ground, KEY, age=SPENT), litter(ground, "cd" + "0" * 30, age=GRACE)
    collected = await ground.collect()

    assert (old.exists(), young.exists()) == (False, True)
    assert (collected.regions[0].unnamed.count, collected.regions[0].unnamed.bytes) == (1, 10)


async def test_young_files_stay_however_short_the_grace_period_is(deps: Deps) -> None:
    """They may be a push whose row is not written yet."""
    ground = Ground(deps, Gc(grace_seconds=0, refuse_percent=100))
    young = litter(ground, KEY, age=gc.YOUNGEST_KEY)
    old = litter(ground, "cd" + "0" * 30, age=gc.YOUNGEST_KEY + MOMENT)
    await ground.collect()

    assert (young.exists(), old.exists()) == (True, False)


@pytest.mark.parametrize("name", ["README", "ab0", "ab" + "0" * 31, "AB" + "0" * 30, f".{KEY}", f"{KEY}.bak"])
async def test_files_with_names_that_are_not_ours_are_left_alone(ground: Ground, name: str) -> None:
    path = ground.root / "ab" / name
    path.write_bytes(b"an operator's own")
    os.utime(path, (0, 0))
    await ground.collect()

    assert path.exists()


async def test_an_old_file_that_is_being_written_to_is_left_alone(ground: Ground, repository: Repository) -> None:
    """A first chunk has no row yet, and a slow client may leave its file untouched for long."""

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x" * 600_000
        for path in ground.root.glob("??/*"):
            os.utime(path, (0, 0))
        assert (await ground.collect()).regions[0].unnamed.count == 0
        yield b"y"

    ticket = uploads.open_ticket(ground.deps, repository, uploads.begin(ground.deps, repository))
    data = b"x" * 600_000 + b"y"
    await uploads.finish(ground.deps, repository, ticket, Digest.of(data), slowly())

    assert await ground.reads(repository, data)


async def test_bytes_of_uploads_whose_repository_is_gone_go(ground: Ground, repository: Repository) -> None:
    await upload(ground, repository, b"begun")
    await repositories.delete(ground.deps, REGISTRY, repository.name, force=True)
    ground.wait(2 * SPENT)  # a file has the time of the disk
    await ground.collect()

    assert ground.files() == {}


# --- what a pass refuses ----------------------------------------------------------------------------------------------


@pytest.fixture
async def restored(deps: Deps) -> Ground:
    """A store with more in it than its database knows of, and lawful garbage beside that."""
    ground = Ground(deps, Gc(grace_seconds=int(GRACE.total_seconds()), refuse_percent=25))
    repository = await repositories.create(ground.deps, REGISTRY, RepositoryName("team/app"), repositories.Wish())
    await ground.push(repository, b"x" * 74)
    ground.wait(SPENT)
    litter(ground, KEY, age=SPENT, size=26)
    return ground


async def test_a_database_that_is_older_than_its_store_takes_nothing_away(restored: Ground) -> None:
    before = restored.files()
    collected = await restored.collect()

    assert collected.refused is not None and "26 of 100 bytes" in collected.refused
    assert not collected.is_whole
    assert (restored.files(), collected.bytes) == (before, 0)
    assert await restored.count("links WHERE condemned_at IS NOT NULL") == 0


async def test_a_dry_run_says_what_it_would_be_refused(restored: Ground) -> None:
    collected = await restored.collect(dry_run=True)

    assert collected.refused is not None
    assert collected.regions[0].unnamed.bytes == 26


async def test_with_force_it_goes(restored: Ground) -> None:
    collected = await restored.collect(force=True)

    assert (collected.refused, collected.bytes, restored.files()) == (None, 100, {})
    assert collected.is_whole


async def test_any_share_may_go_that_rows_explain(ground: Ground, repository: Repository) -> None:
    strict = Ground(ground.deps, Gc(grace_seconds=TERMS.grace_seconds, refuse_percent=0))
    await strict.push(repository, b"all there is")
    strict.wait(SPENT)
    collected = await strict.collect()

    assert (collected.refused, strict.files()) == (None, {})


async def test_a_foreign_store_is_never_touched(ground: Ground, repository: Repository) -> None:
    await ground.push(repository, b"loose")
    old = litter(ground, KEY, age=SPENT)
    ground.wait(SPENT)
    before = ground.files()
    (ground.root / IDENTITY_FILE).write_text('{"storeId": "another", "region": "us-east-1"}')

    def opened(region: Region, role: StoreRole) -> DiskStore:
        store = DiskStore(ground.root, region)
        if store.store_id != "ours":
            raise StorageUnavailable from OSError("it is another store")
        return store

    collected = await ground.collect(stores=Stores(opened))

    assert ground.files() == before and old.exists()
    assert len(collected.unreachable) == 1 and not collected.is_whole


async def test_bytes_that_cannot_be_deleted_now_are_tried_again(ground: Ground, repository: Repository) -> None:
    class Stubborn(DiskStore):
        async def delete(self, key: str) -> None:
            raise StorageUnavailable from OSError(5, "Input/output error")

    await ground.push(repository, b"loose")
    ground.wait(SPENT)
    collected = await ground.collect(stores=Stores(lambda region, role: Stubborn(ground.root, REGION)))
    assert (collected.bytes, collected.regions[0].failed, collected.is_whole) == (0, 1, False)
    assert (await ground.count("blobs"), await ground.count("burials"), len(ground.files())) == (0, 1, 1)
    collected = await ground.collect()

    assert (collected.bytes, ground.files(), await ground.count("burials")) == (5, {}, 0)


# --- what it says -----------------------------------------------------------------------------------------------------


async def test_a_dry_run_changes_nothing_and_tells_exactly_what_a_pass_takes(
    ground: Ground, repository: Repository, other: Repository
) -> None:
    shared, kept = b"in two repositories", image(layers=[b"kept"])
    await ground.put(repository, kept)
    await ground.push(repository, shared)
    await ground.push(other, shared)
    await ground.push(other, b"in one")
    await ground.push(other, b"kept")
    gone = await repositories.create(ground.deps, REGISTRY, RepositoryName("team/gone"), repositories.Wish())
    await ground.push(gone, b"of nobody")
    await repositories.delete(ground.deps, REGISTRY, gone.name, force=True)
    await upload(ground, repository, b"half")
    litter(ground, KEY, age=dt.timedelta())
    ground.wait(UPLOADS + SPENT)
    await ground.push(other, b"new")
    before, rows_before = ground.files(), await ground.dump()
    said = await ground.collect(dry_run=True)
    assert (ground.files(), await ground.dump()) == (before, rows_before)
    done = await ground.collect()

    [would], [did] = said.regions, done.regions
    assert (would.blobs, would.uploads, would.unnamed) == (did.blobs, did.uploads, did.unnamed)
    assert did.blobs.bytes == len(shared) + len(b"in one") + len(b"of nobody")
    assert said.repositories == done.repositories
    assert {one.name: one.layers.count for one in done.repositories} == {"team/app": 1, "team/other": 3}
    assert sum(before.values()) - sum(ground.files().values()) == said.bytes == done.bytes


async def test_progress_is_told(ground: Ground, repository: Repository) -> None:
    await ground.push(repository, b"loose")
    litter(ground, KEY, age=SPENT)
    ground.wait(SPENT)
    told: list[str] = []
    await ground.collect(watch=lambda step, done, total: told.append(step))

    assert {"links", "sweep", "blobs", "unnamed"} <= set(told)


async def test_no_statement_of_a_write_goes_through_a_whole_table(
    ground: Ground, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F43: what is done under the write lock costs the same however much there is."""
    await ground.push(repository, b"loose")
    ground.wait(SPENT)
    plans: list[str] = []
    real = ground.deps.db.housekeep

    async def housekeep(unit):
        def traced(tx):
            raw = tx.connection.driver_connection
            texts: list[str] = []
            raw.set_trace_callback(texts.append)
            outcome = unit(tx)
            raw.set_trace_callback(None)
            for text in texts:
                if text.upper().startswith(("SELECT", "UPDATE", "DELETE")):
                    plans.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {text}"))
            return outcome

        return await real(traced)

    monkeypatch.setattr(ground.deps.db, "housekeep", housekeep)
    await ground.collect()

    assert len(plans) > 10
    assert [plan for plan in plans if plan.startswith("SCAN") and "ROW" not in plan and "USING INDEX" not in plan] == []


def test_the_names_of_places_are_those_that_are_crossed() -> None:
    root = Path(gc.__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in root.rglob("*.py") if path.name != "failpoints.py")

    assert [name for name in failpoints.PLACES if f'("{name}")' not in text] == []


async def test_a_blob_that_was_linked_since_it_was_found_is_not_buried(ground: Ground, repository: Repository) -> None:
    await ground.push(repository, b"loose")
    ground.wait(SPENT)
    bury = functools.partial(rows.bury, ids=[1, 2], before=ground.hands.time, now=ground.hands.time, due={})

    assert await ground.deps.db.write(bury) == []
    assert (await ground.count("blobs"), await ground.count("burials")) == (1, 0)
