"""The BlobStore port: what every store does, by either way in. A new store is one more line in STORES."""

import datetime as dt
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from registry.names import Region
from registry.storage.base import BlobStore, Hold, Staged, Stored, UploadBusy, UploadLost
from registry.storage.disk import DiskStore, write_all
from registry.storage.s3 import S3Store
from tests import s3_servers

MIB = 1024 * 1024
REGION = Region("us-east-1")

Open = Callable[[], BlobStore]


def on_disk(_request: pytest.FixtureRequest, directory: Path) -> Open:
    return lambda: DiskStore(directory, REGION)


def in_a_bucket(request: pytest.FixtureRequest, directory: Path) -> Open:
    place = request.getfixturevalue("new_bucket_of")(request.param).place()
    settings: dict[str, Any] = {"store_id": "00" * 16, "is_new": True, "spool_directory": directory, "largest": 1 << 30}
    return lambda: S3Store(place, REGION, **settings)


# name -> a function that opens the store of a test's own; twice: two processes on one store
STORES: dict[str, Callable[[pytest.FixtureRequest, Path], Open]] = {
    "disk": on_disk,
    "versitygw": in_a_bucket,
    "minio": in_a_bucket,
}


@pytest.fixture(params=["disk", *s3_servers.KINDS])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[BlobStore] = []
    make = STORES[request.param](request, tmp_path / "store")

    def open_one() -> BlobStore:
        opened.append(make())
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def store(open_store: Open) -> BlobStore:
    return open_store()


class Way:
    """One of the two ways in: `sink` gives a file descriptor, `append` takes chunks."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def write(self, hold: Hold, staged: Staged, *chunks: bytes) -> Staged:
        if self.name == "append":
            return await hold.append(staged, _each(chunks))
        fd = hold.sink(staged)
        if fd is None:
            pytest.skip("this store takes chunks only")
        for chunk in chunks:
            write_all(fd, chunk)
        return Staged(key=staged.key, size=staged.size + sum(map(len, chunks)), state=staged.state)

    async def put(self, store: BlobStore, *chunks: bytes) -> Stored:
        """A finished upload of these chunks."""
        staged = await store.begin()
        async with store.hold(staged) as hold:
            return await hold.finish(await self.write(hold, staged, *chunks))


@pytest.fixture(params=["sink", "append"])
def way(request: pytest.FixtureRequest) -> Way:
    return Way(request.param)


async def _each(chunks: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(store: BlobStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(key, start, stop)])


async def keys(store: BlobStore, *, ahead: float = 60) -> set[str]:
    """Keys of bytes last written before so many seconds from now."""
    return {key async for key in store.keys(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ahead))}


SIZES = {
    "nothing": (),
    "one-byte": (b"x",),
    "chunks": (b"abc", b"", b"d" * 70_000),
    "large": (os.urandom(3 * MIB + 7),),
}


# --- in and out -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", SIZES.values(), ids=list(SIZES))
async def test_what_was_put_is_read(store: BlobStore, way: Way, chunks: tuple[bytes, ...]) -> None:
    data = b"".join(chunks)

    stored = await way.put(store, *chunks)

    assert stored.size == len(data)
    assert await read(store, stored.key) == data


async def test_a_second_process_reads_it_too(open_store: Callable[[], BlobStore], way: Way) -> None:
    stored = await way.put(open_store(), b"abc")
    other = open_store()

    assert await read(other, stored.key) == b"abc"
    assert await other.stat(stored.key) == stored


async def test_a_store_keeps_its_identity(open_store: Open) -> None:
    assert open_store().store_id == open_store().store_id


PARTS = [(0, None), (0, 0), (0, 1), (5, 9), (9, 9), (5, None), (0, 10**9), (MIB, MIB + 3), (2 * MIB, None)]


@pytest.mark.parametrize(("start", "stop"), PARTS)
async def test_a_part_is_read_without_the_rest(store: BlobStore, way: Way, start: int, stop: int | None) -> None:
    data = os.urandom(MIB + 100)
    stored = await way.put(store, data)

    assert await read(store, stored.key, start, stop) == data[start:stop]


async def test_a_reader_may_stop_early(store: BlobStore, way: Way) -> None:
    stored = await way.put(store, os.urandom(3 * MIB))
    pieces = store.read(stored.key)
    first = await anext(pieces)
    await pieces.aclose()

    assert 0 < len(first) <= MIB


async def test_pieces_are_small_whatever_the_size_is(store: BlobStore, way: Way) -> None:
    """Memory is bounded by a piece and not by the blob."""
    stored = await way.put(store, os.urandom(5 * MIB))

    assert max([len(piece) async for piece in store.read(stored.key)]) <= MIB


async def test_no_two_keys_are_alike(store: BlobStore) -> None:
    begun = {(await store.begin()).key for _ in range(1000)}

    assert len(begun) == 1000


async def test_the_state_of_an_upload_is_plain_json(store: BlobStore, way: Way) -> None:
    """It is kept in a row."""
    staged = await store.begin()
    async with store.hold(staged) as hold:
        staged = await way.write(hold, staged, b"abc")
        await hold.settle(staged)

    assert json.loads(json.dumps(dict(staged.state))) == staged.state


# --- what is not there ------------------------------------------------------------------------------------------------


async def test_bytes_that_are_not_there_are_told(store: BlobStore) -> None:
    key = (await store.begin()).key
    with pytest.raises(FileNotFoundError):
        await read(store, key)

    assert await store.stat(key) is None


async def test_what_is_deleted_is_gone_and_may_be_deleted_again(store: BlobStore, way: Way) -> None:
    stored = await way.put(store, b"abc")
    kept = await way.put(store, b"def")
    for _ in range(2):
        await store.delete(stored.key)

    assert await store.stat(stored.key) is None
    assert await keys(store) == {kept.key}
    assert await read(store, kept.key) == b"def"


async def test_what_is_aborted_is_gone_and_may_be_aborted_again(store: BlobStore, way: Way) -> None:
    staged = await store.begin()
    async with store.hold(staged) as hold:
        written = await way.write(hold, staged, b"abc")
        await hold.settle(written)
    for _ in range(2):
        await store.abort(written)

    assert await store.stat(staged.key) is None
    assert await keys(store) == set()


async def test_an_upload_that_was_never_written_may_be_aborted(store: BlobStore) -> None:
    await store.abort(await store.begin())

    assert await keys(store) == set()


# --- identity ---------------------------------------------------------------------------------------------------------


async def test_an_identity_stays_while_nobody_touches_the_bytes(store: BlobStore, way: Way) -> None:
    stored = await way.put(store, b"abc")
    await read(store, stored.key)

    assert await store.stat(stored.key) == stored


async def test_two_bytes_have_two_identities(store: BlobStore, way: Way) -> None:
    first, second = await way.put(store, b"abc"), await way.put(store, b"abc")

    assert first.identity is None or first.identity != second.identity


# --- in several requests ----------------------------------------------------------------------------------------------


async def test_an_upload_goes_on_where_it_was_settled(open_store: Callable[[], BlobStore], way: Way) -> None:
    """Each chunk by another process, which knows what the row says."""
    staged = await open_store().begin()
    for chunk in (b"a" * 100_000, b"b", b"c" * 70_000):
        store = open_store()
        async with store.hold(staged) as hold:
            staged = await way.write(hold, staged, chunk)
            await hold.settle(staged)
    async with store.hold(staged) as hold:
        stored = await hold.finish(staged)

    assert await read(store, stored.key) == b"a" * 100_000 + b"b" + b"c" * 70_000


async def test_what_was_not_settled_is_cut_off_by_the_next(store: BlobStore, way: Way) -> None:
    """A writer that ended before its row moved leaves bytes that nobody acknowledged."""
    staged = await store.begin()
    async with store.hold(staged) as hold:
        settled = await way.write(hold, staged, b"abc")
        await hold.settle(settled)
        await way.write(hold, settled, b"LOST" * 1000)
    async with store.hold(settled) as hold:
        stored = await hold.finish(await way.write(hold, settled, b"de"))

    assert await read(store, stored.key) == b"abcde"


async def test_a_finish_without_more_bytes_cuts_off_what_was_not_settled(store: BlobStore, way: Way) -> None:
    staged = await store.begin()
    async with store.hold(staged) as hold:
        settled = await way.write(hold, staged, b"abc")
        await hold.settle(settled)
        await way.write(hold, settled, b"LOST")
    async with store.hold(settled) as hold:
        stored = await hold.finish(settled)

    assert (stored.size, await read(store, stored.key)) == (3, b"abc")


async def test_an_upload_is_readable_as_far_as_it_is_settled(store: BlobStore, way: Way) -> None:
    """To be hashed again, where the running hash is lost."""
    staged = await store.begin()
    async with store.hold(staged) as hold:
        staged = await way.write(hold, staged, b"abc", b"def")
        await hold.settle(staged)

        written = hold.written(staged)
        if written is None:
            pytest.skip("this store's uploads cannot be read before they are finished")
        assert b"".join([piece async for piece in written]) == b"abcdef"


async def test_chunks_that_break_off_leave_what_was_settled(store: BlobStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"LOST"
        raise ConnectionResetError

    staged = await store.begin()
    async with store.hold(staged) as hold:
        settled = await hold.append(staged, _each((b"abc",)))
        await hold.settle(settled)
        with pytest.raises(ConnectionResetError):
            await hold.append(settled, broken())
    async with store.hold(settled) as hold:
        stored = await hold.finish(settled)

    assert await read(store, stored.key) == b"abc"


# --- one writer -------------------------------------------------------------------------------------------------------


async def test_a_second_writer_is_refused_at_once(open_store: Open) -> None:
    """From this process or from another."""
    first, second = open_store(), open_store()
    staged = await first.begin()
    async with first.hold(staged):
        for store in (first, second):
            with pytest.raises(UploadBusy):
                async with store.hold(staged):
                    pass
    async with second.hold(staged):
        pass


async def test_a_writer_that_fails_lets_go(store: BlobStore) -> None:
    staged = await store.begin()
    with pytest.raises(ZeroDivisionError):
        async with store.hold(staged):
            raise ZeroDivisionError
    async with store.hold(staged):
        pass


async def test_two_uploads_are_written_at_once(store: BlobStore, way: Way) -> None:
    one, two = await store.begin(), await store.begin()
    async with store.hold(one) as first, store.hold(two) as second:
        one, two = await way.write(first, one, b"a" * 9), await way.write(second, two, b"b" * 9)
        one, two = await way.write(first, one, b"a" * 9), await way.write(second, two, b"b" * 9)
        stored = await first.finish(one), await second.finish(two)

    assert [await read(store, each.key) for each in stored] == [b"a" * 18, b"b" * 18]


async def test_an_upload_whose_bytes_are_gone_is_lost_and_not_filled_up(store: BlobStore, way: Way) -> None:
    """Never zeros in the place of what was acknowledged."""
    staged = await store.begin()
    async with store.hold(staged) as hold:
        staged = await way.write(hold, staged, b"abc")
        await hold.settle(staged)
    await store.abort(staged)

    with pytest.raises(UploadLost):
        async with store.hold(staged) as hold:
            await hold.finish(await way.write(hold, staged, b"def"))


# --- for garbage collection -------------------------------------------------------------------------------------------


async def test_what_is_abandoned_is_a_key_or_swept(store: BlobStore, way: Way) -> None:
    finished = (await way.put(store, b"abc")).key
    staged = await store.begin()
    async with store.hold(staged) as hold:
        staged = await way.write(hold, staged, b"def")
        await hold.settle(staged)

    for key in await keys(store) - {finished}:
        assert key == staged.key
        await store.delete(key)
    await store.sweep_uploads(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60), set())

    assert await store.arrived(staged) == 0
    assert await keys(store) == {finished}
    assert await keys(store, ahead=-60) == set()


async def test_keys_may_go_while_they_are_listed(store: BlobStore, way: Way) -> None:
    """Deletes go on beside a sweep."""
    put = {(await way.put(store, b"x")).key for _ in range(60)}
    seen = set()
    async for key in store.keys(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)):
        seen.add(key)
        for other in sorted(put - seen)[:2]:
            put.discard(other)
            await store.delete(other)

    assert put <= seen
