"""The layers room: what is trusted, what is hashed first, what is marked, and who may hand a blob out."""

import dataclasses
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from registry import images, layers, repositories, uploads
from registry.context import Deps
from registry.errors import (
    BlobInUse,
    BlobNotFound,
    CorruptBlob,
    DatabaseUnavailable,
    LayerInaccessible,
    LayersNotFound,
    StorageUnavailable,
)
from registry.model import Blob, Repository
from registry.names import Digest, RepositoryName
from registry.options import Settings, Storage
from registry.records import blobs as rows
from registry.storage.disk import DiskStore
from tests import builders
from tests.damage import flip_bit
from tests.places import REGION, REGISTRY, chunks, rooms

PIECE = 256 * 1024
DATA = os.urandom(3 * PIECE + 100)
DIGEST = Digest.of(DATA)

Verify = Literal["changed", "always", "never"]


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with rooms(tmp_path / "data") as found:
        yield found


@pytest.fixture
async def repository(deps: Deps) -> Repository:
    return await repositories.create(deps, REGISTRY, RepositoryName("team/app"), repositories.Wish())


@pytest.fixture
async def other(deps: Deps) -> Repository:
    return await repositories.create(deps, REGISTRY, RepositoryName("team/other"), repositories.Wish())


async def push(deps: Deps, repository: Repository, data: bytes = DATA) -> Blob:
    ticket = uploads.open_ticket(deps, repository, uploads.begin(deps, repository))
    return (await uploads.finish(deps, repository, ticket, Digest.of(data), chunks(data))).blob


def file_of(deps: Deps, blob: Blob) -> Path:
    path = deps.stores.of(REGION).path(blob.key)
    assert path is not None
    return path


def verifying(deps: Deps, how: Verify) -> Deps:
    """The same rooms under another `storage.verify_reads`."""
    settings = Settings(storage=Storage(verify_reads=how), registry=deps.settings.registry, limits=deps.settings.limits)
    return dataclasses.replace(deps, settings=settings)


async def row(deps: Deps, digest: Digest = DIGEST) -> Blob:
    found = await deps.db.read(lambda tx: rows.find(tx, deps.stores.of(REGION).store_id, digest))
    assert found is not None
    return found


async def served(deps: Deps, repository: Repository, digest: Digest = DIGEST, *, whole: bool = True) -> bytes:
    """What would be sent; CorruptBlob with what was sent before it, as a client would have it."""
    opened = await layers.open_blob(deps, repository, digest, whole=whole)
    if opened.file is not None:
        with opened.file:
            return opened.file.read()
    assert opened.chunks is not None
    sent = b""
    try:
        async for piece in opened.chunks:
            sent += piece
    except CorruptBlob:
        raise Cut(sent) from None
    return sent


class Cut(Exception):
    """The bytes turned out bad; `sent` went out before."""

    def __init__(self, sent: bytes) -> None:
        super().__init__(len(sent))
        self.sent = sent


class Watching:
    """How often the store's bytes were read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        real = DiskStore.read

        def read(store: DiskStore, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
            self.reads += 1
            return real(store, key, start, stop)

        monkeypatch.setattr(DiskStore, "read", read)


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watching:
    return Watching(monkeypatch)


# --- what is trusted --------------------------------------------------------------------------------------------------


async def test_what_was_just_pushed_is_sent_by_the_kernel(
    deps: Deps, repository: Repository, watching: Watching
) -> None:
    """Its identity was noted when it was hashed on the way in: nothing is hashed again."""
    blob = await push(deps, repository)
    opened = await layers.open_blob(deps, repository, DIGEST, whole=True)
    assert opened.file is not None
    opened.file.close()

    assert blob.identity is not None
    assert watching.reads == 0


async def test_a_touched_file_is_hashed_once(deps: Deps, repository: Repository, watching: Watching) -> None:
    blob = await push(deps, repository)
    os.utime(file_of(deps, blob))
    first, second = await served(deps, repository), await served(deps, repository)

    assert first == second == DATA
    assert watching.reads == 1
    assert (await row(deps)).identity != blob.identity


async def test_a_row_without_an_identity_is_hashed_once(deps: Deps, repository: Repository, watching: Watching) -> None:
    """Rows of a store that could not tell, or of a restore that does not believe the backup."""
    blob = await push(deps, repository)
    await deps.db.write(lambda tx: rows.set_identity(tx, blob, None))
    await layers.stat(deps, repository, DIGEST)
    await layers.stat(deps, repository, DIGEST)

    assert watching.reads == 1
    assert (await row(deps)).identity == blob.identity


@pytest.mark.parametrize(("how", "reads"), [("changed", 0), ("always", 2), ("never", 0)])
async def test_how_often_a_sound_blob_is_hashed(
    deps: Deps, repository: Repository, watching: Watching, how: Verify, reads: int
) -> None:
    await push(deps, repository)
    rooms_ = verifying(deps, how)

    assert [await served(rooms_, repository) for _ in range(2)] == [DATA, DATA]
    assert watching.reads == reads


async def test_a_part_of_a_touched_blob_is_sent_after_all_of_it_was_hashed(
    deps: Deps, repository: Repository, watching: Watching
) -> None:
    blob = await push(deps, repository)
    os.utime(file_of(deps, blob))
    opened = await layers.open_blob(deps, repository, DIGEST, whole=False)
    assert opened.file is not None
    opened.file.close()

    assert watching.reads == 1


async def test_a_sound_blob_is_served_while_the_database_takes_no_writes(
    deps: Deps, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F13: that its new identity cannot be noted only costs the next reader the hashing."""
    blob = await push(deps, repository)
    os.utime(file_of(deps, blob))

    async def refuse(_unit: Any) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(deps.db, "write", refuse)
    monkeypatch.setattr(deps.db, "housekeep", refuse)

    assert await served(deps, repository) == DATA


# --- what is not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, PIECE, 3 * PIECE - 1, len(DATA) - 1], ids=["first", "second-piece", "third", "last"])
async def test_a_flipped_bit_is_found_before_the_last_piece_goes_out(
    deps: Deps, repository: Repository, at: int
) -> None:
    flip_bit(file_of(deps, await push(deps, repository)), at)
    with pytest.raises(Cut) as cut:
        await served(deps, repository)

    assert len(cut.value.sent) <= len(DATA) - 100
    assert (await row(deps)).damaged


@pytest.mark.parametrize("whole", [True, False])
async def test_what_was_found_bad_is_unknown_from_then_on(deps: Deps, repository: Repository, whole: bool) -> None:
    flip_bit(file_of(deps, await push(deps, repository)))
    with pytest.raises(BlobNotFound):
        await layers.stat(deps, repository, DIGEST)

    for look in (
        layers.stat(deps, repository, DIGEST),
        layers.open_blob(deps, repository, DIGEST, whole=whole),
        layers.require_used(deps, repository, DIGEST),
    ):
        with pytest.raises(BlobNotFound):
            await look


async def test_silent_rot_is_seen_by_always_and_by_no_other(deps: Deps, repository: Repository) -> None:
    """Rot below the file system changes no inode; `scrub` and `check --deep` find it otherwise."""
    blob = await push(deps, repository)
    flip_bit(file_of(deps, blob))
    found = await deps.stores.of(REGION).stat(blob.key)
    assert found is not None
    await deps.db.write(lambda tx: rows.set_identity(tx, blob, found.identity))

    assert await served(verifying(deps, "changed"), repository) != DATA
    assert await served(verifying(deps, "never"), repository) != DATA
    with pytest.raises(Cut):
        await served(verifying(deps, "always"), repository)


async def test_a_missing_file_is_marked_and_the_log_says_so(
    deps: Deps, repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    file_of(deps, await push(deps, repository)).unlink()
    with pytest.raises(BlobNotFound):
        await layers.open_blob(deps, repository, DIGEST, whole=True)

    assert (await row(deps)).damaged
    assert f"blob {DIGEST} is missing" in caplog.text


async def test_trouble_with_the_file_is_no_verdict_on_its_bytes(deps: Deps, repository: Repository) -> None:
    """F15: 503, and the blob is well again when the disk is."""
    path = file_of(deps, await push(deps, repository))
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.mkdir()
    with pytest.raises(StorageUnavailable):
        await layers.open_blob(deps, repository, DIGEST, whole=True)
    path.rmdir()
    aside.rename(path)

    assert await served(deps, repository) == DATA


async def test_a_late_verdict_on_old_bytes_leaves_the_new_ones_alone(deps: Deps, repository: Repository) -> None:
    """A reader that began before a push healed the blob, and ends after it."""
    old = await push(deps, repository)
    flip_bit(file_of(deps, old))
    opened = await layers.open_blob(deps, repository, DIGEST, whole=True)
    assert opened.chunks is not None
    await anext(opened.chunks)
    new = await push(deps, repository)
    with pytest.raises(CorruptBlob):
        async for _ in opened.chunks:
            pass

    assert new.key != old.key
    assert not (await row(deps)).damaged
    assert await served(deps, repository) == DATA


# --- P7: healing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm", [flip_bit, Path.unlink, lambda path: os.truncate(path, 5)], ids=["flipped", "lost", "cut"]
)
@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "unnoticed"])
async def test_one_push_heals_the_blob_for_everyone(
    deps: Deps, repository: Repository, other: Repository, harm: Callable[[Path], Any], noticed: bool
) -> None:
    old = await push(deps, repository)
    await push(deps, other)
    harm(file_of(deps, old))
    if noticed:
        with pytest.raises(BlobNotFound):
            await layers.stat(deps, repository, DIGEST)
    new = await push(deps, other)

    assert new.key != old.key
    assert [await served(deps, one) for one in (repository, other)] == [DATA, DATA]
    assert not file_of(deps, old).exists()


async def test_pushing_a_sound_blob_again_keeps_the_old_bytes(deps: Deps, repository: Repository) -> None:
    old, new = await push(deps, repository), await push(deps, repository)

    assert new == old
    assert file_of(deps, new).read_bytes() == DATA


# --- links ------------------------------------------------------------------------------------------------------------


async def test_a_blob_is_reached_through_the_repository_that_holds_it(
    deps: Deps, repository: Repository, other: Repository
) -> None:
    await push(deps, repository)
    for look in (
        layers.stat(deps, other, DIGEST),
        layers.open_blob(deps, other, DIGEST, whole=True),
        layers.delete(deps, other, DIGEST),
    ):
        with pytest.raises(BlobNotFound):
            await look


async def test_a_mount_hands_out_the_same_bytes(deps: Deps, repository: Repository, other: Repository) -> None:
    blob = await push(deps, repository)

    assert await layers.mount(deps, other, DIGEST, [repository]) == blob
    assert await served(deps, other) == DATA


async def test_a_mount_tries_its_sources_in_turn(deps: Deps, repository: Repository, other: Repository) -> None:
    await push(deps, repository)

    assert await layers.mount(deps, other, DIGEST, []) is None
    assert await layers.mount(deps, other, DIGEST, [other]) is None
    assert await layers.mount(deps, other, DIGEST, [other, repository]) is not None


async def test_no_mount_of_bad_bytes(deps: Deps, repository: Repository, other: Repository) -> None:
    flip_bit(file_of(deps, await push(deps, repository)))

    assert await layers.mount(deps, other, DIGEST, [repository]) is None
    assert await layers.holders(deps, other, DIGEST) == []


async def test_no_mount_into_a_repository_that_went_meanwhile(
    deps: Deps, repository: Repository, other: Repository
) -> None:
    await push(deps, repository)
    await repositories.delete(deps, REGISTRY, other.name, force=True)

    assert await layers.mount(deps, other, DIGEST, [repository]) is None


async def test_who_holds_a_blob(deps: Deps, repository: Repository, other: Repository) -> None:
    await push(deps, repository)
    one = await layers.holders(deps, other, DIGEST)
    await push(deps, other)
    both = await layers.holders(deps, other, DIGEST)

    assert [found.name for found in one] == [repository.name]
    assert {found.name for found in both} == {repository.name, other.name}


async def test_a_deleted_blob_leaves_its_bytes_to_others(deps: Deps, repository: Repository, other: Repository) -> None:
    await push(deps, repository)
    await push(deps, other)
    await layers.delete(deps, repository, DIGEST)

    assert await served(deps, other) == DATA
    with pytest.raises(BlobNotFound):
        await layers.stat(deps, repository, DIGEST)


# --- P3: the pin ------------------------------------------------------------------------------------------------------


async def image_of(deps: Deps, repository: Repository) -> builders.Built:
    built = builders.image(layers=[DATA])
    for blob in built.blobs:
        await push(deps, repository, blob)
    await images.put(deps, REGISTRY, repository.name, built.body, built.media_type)
    return built


async def test_a_blob_of_an_image_is_pinned(deps: Deps, repository: Repository) -> None:
    built = await image_of(deps, repository)
    with pytest.raises(BlobInUse):
        await layers.delete(deps, repository, DIGEST)
    assert (await layers.require_used(deps, repository, DIGEST)).digest == DIGEST
    await images.delete(deps, REGISTRY, repository.name, Digest(built.digest))
    with pytest.raises(LayerInaccessible):
        await layers.require_used(deps, repository, DIGEST)

    await layers.delete(deps, repository, DIGEST)


async def test_an_image_whose_blob_was_deleted_is_refused(deps: Deps, repository: Repository) -> None:
    built = builders.image(layers=[DATA])
    for blob in built.blobs:
        await push(deps, repository, blob)
    await layers.delete(deps, repository, DIGEST)

    with pytest.raises(LayersNotFound) as refused:
        await images.put(deps, REGISTRY, repository.name, built.body, built.media_type)
    assert refused.value.digests == [DIGEST]
