"""Moving bytes between the stores of a region: what holds after each step, and beside everyone else."""

import contextlib
import datetime as dt
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from registry import failpoints, grace, integrity, layers, relocation, repositories, scrub
from registry.context import Deps
from registry.errors import BlobArchived, BlobNotFound, StorageUnavailable
from registry.model import Blob, Repository, StoreRole
from registry.names import Digest, RepositoryName
from registry.records import blobs as rows
from registry.records.tables.installation import stores
from registry.storage.base import BlobStore
from registry.storage.disk import DiskStore
from tests.builders import image
from tests.collecting import SPENT, Ground
from tests.places import REGION, REGISTRY, database_of, flip, rooms

DATA = b"bytes on the move" * 1000
BUILT = image(layers=[DATA])
DIGEST = Digest.of(DATA)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    found = await repositories.create(ground.deps, REGISTRY, RepositoryName("team/app"), repositories.Wish())
    await ground.put(found, BUILT, "latest")
    return found


@pytest.fixture
async def other(ground: Ground) -> Repository:
    return await repositories.create(ground.deps, REGISTRY, RepositoryName("team/other"), repositories.Wish())


@pytest.fixture
def archive(deps: Deps, repository: Repository) -> DiskStore:
    """A second store. The rows call it the previous one, since of the archive nothing is handed out."""
    found = deps.stores.archive(REGION)
    assert isinstance(found, DiskStore)
    be(deps, found, "previous")
    return found


def be(deps: Deps, store: BlobStore, role: StoreRole) -> None:
    """Have the rows call a store so."""
    change = sa.update(stores).where(stores.c.store_id == store.store_id).values(role=role)
    database_of(deps).write_here(lambda tx: tx.execute(change))


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Do something once, when a move crosses a place."""
    waiting: dict[str, Any] = {}

    async def crossing(name: str) -> None:
        if name in waiting:
            await waiting.pop(name)

    monkeypatch.setattr(failpoints, "crossing", crossing)
    yield waiting
    for left in waiting.values():
        left.close()


async def row(ground: Ground, repository: Repository, digest: Digest = DIGEST) -> Blob:
    found = await ground.deps.db.read(lambda tx: rows.linked(tx, repository.id, digest))
    assert found is not None
    return found


async def move(ground: Ground, repository: Repository, target: BlobStore) -> relocation.Outcome:
    blob = await row(ground, repository)
    return await relocation.move(ground.deps, REGION, blob.id, target)


def files(store: DiskStore) -> list[str]:
    return sorted(path.name for path in store.root.glob("??/*"))


def main_of(ground: Ground) -> DiskStore:
    found = ground.deps.stores.of(REGION)
    assert isinstance(found, DiskStore)
    return found


async def is_sound(ground: Ground) -> bool:
    """Whether a check of everything finds rows and bytes in accord, but for litter."""
    db = database_of(ground.deps)
    report = await integrity.check(db, ground.deps.stores, now=ground.hands.time, deep=True)
    assert report.blobs
    return not [one for one in report.findings if one.kind != "litter"]


async def test_an_archive_is_made_when_it_is_first_used(deps: Deps, tmp_path: Path) -> None:
    deps.stores.of(REGION)
    assert not (tmp_path / "data" / "archive").exists()
    deps.stores.archive(REGION)

    assert (tmp_path / "data" / "archive" / REGION / "longshore-store.json").exists()


async def test_a_moved_blob_is_read_where_it_is_now(ground: Ground, repository: Repository, archive: DiskStore) -> None:
    before = await row(ground, repository)
    assert await move(ground, repository, archive) == "moved"
    now = await row(ground, repository)

    assert (now.id, now.store_id) == (before.id, archive.store_id)
    assert await ground.reads(repository, DATA) and await ground.is_told(repository, DIGEST)
    assert archive.path(now.key).read_bytes() == DATA
    assert await is_sound(ground)


async def test_it_comes_back_the_same_way(ground: Ground, repository: Repository, archive: DiskStore) -> None:
    await move(ground, repository, archive)
    assert await move(ground, repository, main_of(ground)) == "moved"
    assert await move(ground, repository, main_of(ground)) == "there"

    assert (await row(ground, repository)).store_id == main_of(ground).store_id
    assert await ground.reads(repository, DATA) and await is_sound(ground)


async def test_old_bytes_stay_as_long_as_a_url_may_lead_to_them(
    ground: Ground, repository: Repository, archive: DiskStore
) -> None:
    old = main_of(ground).path((await row(ground, repository)).key)
    await move(ground, repository, archive)
    ground.wait(grace.LINGER - dt.timedelta(minutes=1))
    await ground.collect()
    assert old.read_bytes() == DATA
    ground.wait(dt.timedelta(minutes=2))
    said = await ground.collect(dry_run=True)
    collected = await ground.collect()

    assert said.bytes == collected.bytes == len(DATA)
    assert not old.exists() and await ground.reads(repository, DATA)
    assert [region.region for region in collected.regions] == [REGION] and await ground.count("burials") == 0


async def test_collection_takes_nothing_that_was_moved(
    ground: Ground, repository: Repository, archive: DiskStore
) -> None:
    await move(ground, repository, archive)
    ground.wait(SPENT)
    collected = await ground.collect()

    assert collected.is_whole and (collected.refused, collected.bytes) == (None, len(DATA))
    assert await ground.reads(repository, DATA) and len(files(archive)) == 1


async def test_what_nothing_needs_any_more_goes_from_the_archive_too(
    ground: Ground, repository: Repository, archive: DiskStore
) -> None:
    await move(ground, repository, archive)
    await ground.delete(repository, Digest(BUILT.digest))
    ground.wait(SPENT)
    await ground.collect()
    ground.wait(grace.LINGER)
    await ground.collect()

    assert files(archive) == [] == files(main_of(ground))


async def test_a_file_without_a_row_goes_from_the_archive_too(
    ground: Ground, repository: Repository, archive: DiskStore
) -> None:
    litter = archive.path("ab" + "0" * 30)
    litter.write_bytes(b"x")
    os.utime(litter, (ground.hands.time.timestamp(),) * 2)
    ground.wait(SPENT)
    collected = await ground.collect()

    assert not litter.exists() and collected.regions[0].unnamed.count == 1


async def test_every_repository_reads_it_there(
    ground: Ground, repository: Repository, other: Repository, archive: DiskStore
) -> None:
    assert await layers.mount(ground.deps, other, DIGEST, [repository]) is not None
    await move(ground, repository, archive)

    assert await ground.reads(other, DATA)
    assert [one.name for one in await layers.holders(ground.deps, other, DIGEST)] == [repository.name, other.name]


async def test_a_push_of_a_moved_blob_brings_it_back_for_everyone(
    ground: Ground, repository: Repository, other: Repository, archive: DiskStore
) -> None:
    await layers.mount(ground.deps, other, DIGEST, [repository])
    await move(ground, repository, archive)
    await ground.push(repository, DATA)

    assert (await row(ground, repository)).store_id == main_of(ground).store_id
    assert (await row(ground, other)) == (await row(ground, repository))
    assert await ground.reads(repository, DATA) and await ground.reads(other, DATA) and await is_sound(ground)
    ground.wait(SPENT)
    await ground.collect()
    assert len(files(archive)) == 1
    ground.wait(grace.LINGER)
    await ground.collect()
    assert files(archive) == []


async def test_where_the_same_bytes_are_there_already_links_lead_to_them(
    ground: Ground, repository: Repository, other: Repository, archive: DiskStore
) -> None:
    await layers.mount(ground.deps, other, DIGEST, [repository])
    await move(ground, repository, archive)
    there = await row(ground, repository)
    await ground.push(repository, DATA)
    assert (await row(ground, repository)).id != there.id
    assert await move(ground, repository, archive) == "moved"

    assert await row(ground, other) == await row(ground, repository) == there
    assert await is_sound(ground) and await ground.reads(other, DATA) and len(files(archive)) == 1


async def test_a_push_of_damaged_bytes_heals_them_for_everyone_wherever_they_lie(
    ground: Ground, repository: Repository, other: Repository, archive: DiskStore
) -> None:
    await layers.mount(ground.deps, other, DIGEST, [repository])
    await move(ground, repository, archive)
    archive.path((await row(ground, repository)).key).unlink()
    assert not await ground.is_told(other, DIGEST)
    await ground.push(repository, DATA)

    assert await ground.reads(repository, DATA) and await ground.reads(other, DATA)


@pytest.mark.parametrize("spoil", [flip, Path.unlink], ids=["rotten", "missing"])
async def test_bytes_that_are_not_right_are_marked_and_stay(
    ground: Ground, repository: Repository, archive: DiskStore, spoil: Callable[[Path], None]
) -> None:
    before = await row(ground, repository)
    spoil(main_of(ground).path(before.key))
    assert await move(ground, repository, archive) == "damaged"
    now = await row(ground, repository)

    assert (now.store_id, now.key, now.damaged) == (before.store_id, before.key, True)
    assert files(archive) == []


async def test_good_bytes_take_the_place_of_bad_ones(
    ground: Ground, repository: Repository, archive: DiskStore
) -> None:
    await move(ground, repository, archive)
    bad = await row(ground, repository)
    await ground.push(repository, DATA)
    flip(archive.path(bad.key))
    assert await move(ground, repository, archive) == "moved"
    now = await row(ground, repository)

    assert (now.id, now.damaged) == (bad.id, False) and now.key != bad.key
    assert await ground.reads(repository, DATA) and await is_sound(ground)


async def test_a_row_that_is_gone_has_nothing_to_move(ground: Ground, archive: DiskStore) -> None:
    assert await relocation.move(ground.deps, REGION, 10**6, archive) == "gone"


# --- beside others ----------------------------------------------------------------------------------------------------


async def test_of_two_movers_one_moves(
    ground: Ground, repository: Repository, archive: DiskStore, meanwhile: dict[str, Any]
) -> None:
    blob = await row(ground, repository)
    meanwhile["move-copied"] = move(ground, repository, archive)
    outcome = await relocation.move(ground.deps, REGION, blob.id, archive)

    assert outcome == "there" and len(files(archive)) == 1
    assert await ground.reads(repository, DATA) and await ground.count("burials") == 1


async def test_bytes_that_went_with_another_mover_are_no_damage(
    ground: Ground, repository: Repository, archive: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob, real = await row(ground, repository), DiskStore.read

    async def read(store: DiskStore, key: str, *span: int) -> AsyncGenerator[bytes, None]:
        monkeypatch.setattr(DiskStore, "read", real)
        await move(ground, repository, archive)
        store.path(key).unlink()
        async for piece in real(store, key, *span):  # which says that they are not there
            yield piece

    monkeypatch.setattr(DiskStore, "read", read)
    outcome = await relocation.move(ground.deps, REGION, blob.id, archive)

    assert outcome == "gone" and len(files(archive)) == 1 and await ground.reads(repository, DATA)


async def test_a_blob_that_is_collected_meanwhile_is_gone(
    ground: Ground, repository: Repository, archive: DiskStore, meanwhile: dict[str, Any]
) -> None:
    async def collect() -> None:
        await ground.delete(repository, Digest(BUILT.digest))
        ground.wait(SPENT)
        await ground.collect()

    blob = await row(ground, repository)
    meanwhile["move-copied"] = collect()
    outcome = await relocation.move(ground.deps, REGION, blob.id, archive)

    assert outcome == "gone" and files(archive) == [] == files(main_of(ground))


async def test_a_push_that_comes_to_the_target_first_wins(
    ground: Ground, repository: Repository, other: Repository, archive: DiskStore, meanwhile: dict[str, Any]
) -> None:
    await move(ground, repository, archive)
    blob = await row(ground, repository)
    meanwhile["move-copied"] = ground.push(other, DATA)
    outcome = await relocation.move(ground.deps, REGION, blob.id, main_of(ground))
    now = await row(ground, other)

    assert outcome == "moved" and (await row(ground, repository)).id == now.id != blob.id
    assert main_of(ground).path(now.key).exists() and await is_sound(ground)


@pytest.mark.parametrize("place", ["move-copied", "move-named"])
async def test_a_move_that_was_stopped_is_made_by_the_next(
    ground: Ground, repository: Repository, archive: DiskStore, place: str
) -> None:
    failpoints.arm(f"{place}:error")
    with contextlib.ExitStack() as stack:
        stack.callback(failpoints.arm, "")
        with pytest.raises(StorageUnavailable):
            await move(ground, repository, archive)
    assert await ground.reads(repository, DATA) and await is_sound(ground)
    outcome = await move(ground, repository, archive)

    assert outcome == ("moved" if place == "move-copied" else "there")
    ground.wait(SPENT)
    collected = await ground.collect()
    assert collected.refused is None and len(files(archive)) == 1 and await ground.reads(repository, DATA)


async def test_who_read_the_row_before_a_move_gets_the_bytes_even_when_they_are_gone(
    ground: Ground, repository: Repository, archive: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await row(ground, repository)
    await move(ground, repository, archive)
    main_of(ground).path(old.key).unlink()
    real, seen = rows.linked, [old]
    monkeypatch.setattr(rows, "linked", lambda tx, one, digest: seen.pop() if seen else real(tx, one, digest))

    assert await ground.reads(repository, DATA) and not seen
    assert not (await row(ground, repository)).damaged


async def test_a_scrub_reads_every_store(ground: Ground, repository: Repository, archive: DiskStore) -> None:
    await move(ground, repository, archive)
    flip(archive.path((await row(ground, repository)).key))
    found = await scrub.scrub(ground.deps.db, ground.deps.stores, now=ground.hands.time)

    assert [(one.digest, one.why) for one in found.troubles] == [(DIGEST, "other bytes")]
    with pytest.raises(BlobNotFound):
        await layers.stat(ground.deps, repository, DIGEST)


async def test_an_archive_that_is_missing_is_told_and_left_alone(
    ground: Ground, repository: Repository, archive: DiskStore, tmp_path: Path
) -> None:
    await move(ground, repository, archive)
    be(ground.deps, archive, "archive")
    shutil.move(tmp_path / "data" / "archive", tmp_path / "elsewhere")
    with rooms_again(tmp_path / "data") as deps:
        again = Ground(deps)
        collected = await again.collect()
        with pytest.raises(BlobArchived):
            await layers.stat(deps, repository, DIGEST)

    assert len(collected.unreachable) == 1 and "archive" in collected.unreachable[0]


@contextlib.contextmanager
def rooms_again(data: Path) -> Iterator[Deps]:
    from longshore import wiring
    from longshore.config import Config, Server

    deps = wiring.build(Config(server=Server(data=str(data))), "http://localhost:5000")
    try:
        yield deps
    finally:
        database_of(deps).close()
