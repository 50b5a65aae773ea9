"""Intake: bytes into a file and a hash, in order, bounded, and never behind the caller's back."""

import asyncio
import hashlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry import intake, write_back
from registry.errors import TooLarge
from registry.intake import BodyCut, RunningHashes

NO_LIMIT = 10**12


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Any]:
    with open(tmp_path / "file", "w+b", buffering=0) as opened:
        yield opened


def content(file: Any) -> bytes:
    return os.pread(file.fileno(), 10**9, 0)


async def each(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


SHAPES = {
    "nothing": [],
    "one-byte": [b"x"],
    "empty-chunks": [b"", b"a", b"", b"b", b""],
    "inline": [b"x" * 1000] * 60,
    "more-than-inline": [os.urandom(65_536), b"y"],
    "one-batch": [os.urandom(intake.BATCH)],
    "one-batch-and-a-byte": [os.urandom(intake.BATCH), b"z"],
    "many-batches": [os.urandom(100_000) for _ in range(40)],
    "many-tiny": [bytes([number % 256]) for number in range(5_000)],
    "one-huge": [os.urandom(5_000_000)],
}


@pytest.mark.parametrize("chunks", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_all_bytes_are_written_and_hashed_in_order(file: Any, chunks: list[bytes], algorithm: str) -> None:
    state = intake.new_hash(algorithm)

    size, cut = await intake.receive(each(*chunks), file.fileno(), state, limit=NO_LIMIT)

    whole = b"".join(chunks)
    assert (size, cut) == (len(whole), None)
    assert content(file) == whole
    assert state.hexdigest() == hashlib.new(algorithm, whole).hexdigest()


async def test_a_write_that_stops_early_goes_on(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`writev` may take a part of what it is given, in the middle of a piece."""
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, parts: real(fd, [b"".join(parts)[:1013]]))
    chunks, state = [os.urandom(700) for _ in range(30)], intake.new_hash("sha256")
    await intake.receive(each(*chunks), file.fileno(), state, limit=NO_LIMIT)

    assert content(file) == b"".join(chunks)


@pytest.mark.parametrize("sizes", [[11], [10, 1], [5, 5, 1], [1_000_000]])
async def test_one_byte_too_many_is_refused(file: Any, sizes: list[int]) -> None:
    with pytest.raises(TooLarge):
        await intake.receive(each(*(b"x" * size for size in sizes)), file.fileno(), intake.new_hash("sha256"), limit=10)
    hashed = intake.Hashed(each(*(b"x" * size for size in sizes)), intake.new_hash("sha256"), limit=10)
    with pytest.raises(TooLarge):
        _ = [piece async for piece in hashed.pieces()]


async def test_as_many_as_the_limit_get_in(file: Any) -> None:
    size, _ = await intake.receive(each(b"x" * 6, b"y" * 4), file.fileno(), intake.new_hash("sha256"), limit=10)

    assert size == 10


@pytest.mark.parametrize("came", [0, 100, 70_000, 2_000_000])
async def test_a_cut_body_is_written_as_far_as_it_came(file: Any, came: int) -> None:
    data, state = os.urandom(came), intake.new_hash("sha256")

    async def body() -> AsyncIterator[bytes]:
        for first in range(0, came, 50_000):
            yield data[first : first + 50_000]
        raise BodyCut("lost")

    size, cut = await intake.receive(body(), file.fileno(), state, limit=NO_LIMIT)

    assert (size, str(cut)) == (came, "lost")
    assert content(file) == data
    assert state.hexdigest() == hashlib.sha256(data).hexdigest()


async def test_a_failing_disk_ends_the_body(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure of a batch that was written beside is raised before much more is taken."""
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b"x" * intake.BATCH

    def full(_fd: int, _parts: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(OSError, match="No space"):
        await intake.receive(body(), file.fileno(), intake.new_hash("sha256"), limit=NO_LIMIT)

    assert taken <= 3


async def test_no_more_than_two_batches_wait(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """P11: a slow disk holds the client up, and not the bytes in memory."""
    given, written, ahead = 0, 0, 0
    real = os.writev

    async def body() -> AsyncIterator[bytes]:
        nonlocal given, ahead
        for _ in range(200):
            given += 65_536
            ahead = max(ahead, given - written)
            yield b"x" * 65_536

    def slow(fd: int, parts: Any) -> int:
        nonlocal written
        threading.Event().wait(0.002)
        done = real(fd, parts)
        written += done
        return done

    monkeypatch.setattr(os, "writev", slow)
    await intake.receive(body(), file.fileno(), intake.new_hash("sha256"), limit=NO_LIMIT)

    assert ahead <= 2 * intake.BATCH + 65_536


# --- cancelled --------------------------------------------------------------------------------------------------------


class SlowDisk:
    """A write that begins, and ends when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began, self.go, self.running = threading.Event(), threading.Event(), False
        real = os.writev

        def writev(fd: int, parts: Any) -> int:
            self.running = True
            self.began.set()
            self.go.wait(20)
            done = real(fd, parts)
            self.running = False
            return done

        monkeypatch.setattr(os, "writev", writev)

    async def begins(self) -> None:
        await asyncio.to_thread(self.began.wait, 20)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * intake.BATCH
        await asyncio.sleep(0)


async def stalled() -> AsyncIterator[bytes]:
    yield b"x" * intake.BATCH
    await asyncio.Event().wait()


async def ending() -> AsyncIterator[bytes]:
    yield b"x" * (intake.BATCH - 1)


@pytest.mark.parametrize(
    "body", [endless, stalled, ending], ids=["waiting-for-the-disk", "for-the-client", "at-the-end"]
)
@pytest.mark.parametrize("times", [1, 3])
async def test_nobody_writes_after_the_caller_was_given_back_the_file(
    file: Any, monkeypatch: pytest.MonkeyPatch, body: Any, times: int
) -> None:
    """The caller closes the file, and its number may be the database's by the time a forgotten thread writes to it."""
    disk = SlowDisk(monkeypatch)
    task = asyncio.ensure_future(intake.receive(body(), file.fileno(), intake.new_hash("sha256"), limit=NO_LIMIT))
    await disk.begins()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.01)
    early = task.done()
    disk.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not early
    assert not disk.running


# --- running hashes ---------------------------------------------------------------------------------------------------


def test_a_state_is_found_by_upload_and_size() -> None:
    hashes = RunningHashes()
    hashes.put("a", 3, hashlib.sha256(b"abc"))
    found = hashes.get("a", 3)
    assert found is not None
    found.update(b"d")
    again = hashes.get("a", 3)

    assert again is not None and again.hexdigest() == hashlib.sha256(b"abc").hexdigest()  # a copy was given out
    assert found.hexdigest() == hashlib.sha256(b"abcd").hexdigest()
    assert hashes.get("a", 4) is None
    assert hashes.get("b", 3) is None


def test_states_are_bounded_and_the_oldest_goes_first() -> None:
    hashes = RunningHashes(limit=3)
    for number in range(5):
        hashes.put(str(number), 1, hashlib.sha256())

    assert [hashes.get(str(number), 1) is not None for number in range(5)] == [False, False, True, True, True]


def test_a_state_that_is_dropped_is_gone() -> None:
    hashes = RunningHashes()
    hashes.put("a", 3, hashlib.sha256())
    hashes.drop("a", 3)
    hashes.drop("a", 3)

    assert hashes.get("a", 3) is None


# --- for stores that take chunks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False], ids=["hashed", "hash-unknown"])
async def test_a_body_that_is_passed_on_ends_where_it_was_cut(known: bool) -> None:
    """What came is kept; that more was to come is told beside it."""
    data = [b"a", b"b" * 200_000]

    async def body() -> AsyncIterator[bytes]:
        for chunk in data:
            yield chunk
        raise BodyCut("lost")

    state = intake.new_hash("sha256") if known else None
    hashed = intake.Hashed(body(), state, limit=NO_LIMIT)

    assert [piece async for piece in hashed.pieces()] == data
    assert str(hashed.cut) == "lost"
    assert state is None or state.hexdigest() == hashlib.sha256(b"".join(data)).hexdigest()


# --- early write-back -------------------------------------------------------------------------------------------------


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """First byte and number of those that the disk was to begin with."""
    found: list[tuple[int, int]] = []

    def begin(fd: int, first: int, size: int) -> bool:
        found.append((first, size))
        return real(fd, first, size)

    real = write_back.begin
    monkeypatch.setattr(write_back, "begin", begin)
    return found


@pytest.mark.parametrize("before", [0, 1000], ids=["new", "goes-on"])
async def test_the_disk_begins_with_a_long_body_before_its_end(
    file: Any, begun: list[tuple[int, int]], before: int
) -> None:
    file.write(bytes(before))
    chunks = [os.urandom(700_000) for _ in range(30)]
    size, _ = await intake.receive(each(*chunks), file.fileno(), intake.new_hash("sha256"), limit=NO_LIMIT, early=True)

    assert size == 21_000_000
    assert content(file)[before:] == b"".join(chunks)
    assert len(begun) == 2
    assert begun[0][0] == before and begun[0][0] + begun[0][1] == begun[1][0]
    assert all(write_back.PIECE <= length < write_back.PIECE + 2 * intake.BATCH for _, length in begun)


@pytest.mark.parametrize(("size", "early"), [(7_000_000, True), (21_000_000, False)], ids=["short", "turned-off"])
async def test_other_bodies_are_left_to_the_kernel(
    file: Any, begun: list[tuple[int, int]], size: int, early: bool
) -> None:
    body = os.urandom(size)
    await intake.receive(
        each(body[: size // 2], body[size // 2 :]),
        file.fileno(),
        intake.new_hash("sha256"),
        limit=NO_LIMIT,
        early=early,
    )

    assert content(file) == body
    assert begun == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has sync_file_range")
def test_the_kernel_takes_the_request(file: Any) -> None:
    file.write(bytes(100_000))

    assert write_back.begin(file.fileno(), 0, 100_000)
    assert not write_back.begin(-1, 0, 100_000)
