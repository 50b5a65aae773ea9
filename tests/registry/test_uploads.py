"""The uploads room: tickets, rows, running hashes and the steps of a finish, on rows and files of their own."""

import asyncio
import dataclasses
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry import layers, repositories, uploads
from registry.context import Deps
from registry.errors import (
    InvalidLayer,
    LimitExceeded,
    RangeInvalid,
    RepositoryNotFound,
    StorageFull,
    TooLarge,
    UploadNotFound,
)
from registry.intake import BodyCut
from registry.model import Repository, Upload
from registry.names import Digest, RepositoryName
from registry.options import Limits, Settings
from registry.records import blobs as rows
from registry.storage.base import Staged, UploadBusy
from registry.storage.disk import DiskHold, DiskStore
from registry.uploads import Ticket
from tests.damage import stored_files
from tests.places import REGION, REGISTRY, chunks, database_of, rooms


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def deps(data: Path) -> Iterator[Deps]:
    with rooms(data) as found:
        yield found


@pytest.fixture
async def repository(deps: Deps) -> Repository:
    return await repositories.create(deps, REGISTRY, RepositoryName("team/app"), repositories.Wish())


def begin(deps: Deps, repository: Repository, algorithm: str = "sha256") -> Ticket:
    return uploads.open_ticket(deps, repository, uploads.begin(deps, repository, algorithm))


async def add(deps: Deps, repository: Repository, ticket: Ticket, part: bytes, start: int | None = None) -> Upload:
    return await uploads.append(deps, repository, ticket, chunks(part), start=start)


async def finish(
    deps: Deps, repository: Repository, ticket: Ticket, whole: bytes, last: bytes | None = None, **more: Any
) -> uploads.Finished:
    body = None if last is None else chunks(last)
    return await uploads.finish(deps, repository, ticket, Digest.of(whole), body, **more)


async def state_of(deps: Deps, ticket: Ticket) -> str | None:
    """The status of the upload's row; None: it has no row."""
    found = await deps.db.read(lambda tx: rows.upload(tx, ticket.id))
    return None if found is None else found[1]


def counted(asked: list[str], kind: str, real: Any) -> Any:
    """`real`, which leaves word in `asked`."""

    async def ask(unit: Any) -> Any:
        asked.append(kind)
        return await real(unit)

    return ask


def limited(deps: Deps, **limits: Any) -> Deps:
    return dataclasses.replace(deps, settings=Settings(limits=Limits(**limits)))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys whose bytes were read again."""
    found: list[str] = []
    real = DiskStore.read

    def read(store: DiskStore, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        found.append(key)
        return real(store, key, start, stop)

    monkeypatch.setattr(DiskStore, "read", read)
    return found


# --- tickets ----------------------------------------------------------------------------------------------------------


async def test_to_begin_writes_nothing(deps: Deps, data: Path, repository: Repository) -> None:
    """An upload that is begun and forgotten leaves neither a row nor a file."""
    before = stored_files(data)
    tickets = [begin(deps, repository) for _ in range(100)]

    assert stored_files(data) == before
    assert [await state_of(deps, ticket) for ticket in tickets[:3]] == [None] * 3
    assert len({ticket.id for ticket in tickets}) == 100


async def test_a_ticket_is_of_its_repository(deps: Deps, repository: Repository) -> None:
    other = await repositories.create(deps, REGISTRY, RepositoryName("team/other"), repositories.Wish())
    text = uploads.begin(deps, repository)

    with pytest.raises(UploadNotFound):
        uploads.open_ticket(deps, other, text)


@pytest.mark.parametrize("text", ["", ".", "x.y", "00000000-0000-4000-8000-000000000000", "a" * 5000, "ä.ö"])
async def test_a_text_that_is_no_ticket_opens_nothing(deps: Deps, repository: Repository, text: str) -> None:
    with pytest.raises(UploadNotFound):
        uploads.open_ticket(deps, repository, text)


# --- POST and PUT -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 70_000, 700_000])
async def test_a_whole_upload_is_one_transaction(
    deps: Deps, repository: Repository, size: int, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And, before it, one look at rows. Bytes that are known already are looked at too."""
    asked: list[str] = []
    for kind in ("write", "point", "read"):
        monkeypatch.setattr(deps.db, kind, counted(asked, kind, getattr(deps.db, kind)))
    body, ticket = os.urandom(size), begin(deps, repository)
    finished = await finish(deps, repository, ticket, body, body)
    new, asked[:] = list(asked), []
    again = await finish(deps, repository, begin(deps, repository), body, body)

    assert (finished.existed, finished.blob.size) == (False, size)
    assert new == ["point", "write"]
    assert again == uploads.Finished(blob=finished.blob, existed=True)
    assert asked == ["point", "write", "write"]
    assert reads == []
    assert await state_of(deps, ticket) == "finished"


async def test_a_finished_upload_is_over(deps: Deps, repository: Repository) -> None:
    ticket = begin(deps, repository)
    await finish(deps, repository, ticket, b"abc", b"abc")

    for late in (
        uploads.status(deps, repository, ticket),
        add(deps, repository, ticket, b"de"),
        finish(deps, repository, ticket, b"else", b"else"),
        uploads.cancel(deps, repository, ticket),
    ):
        with pytest.raises(UploadNotFound):
            await late


@pytest.mark.parametrize("chunked", [True, False])
async def test_finishing_again_is_no_error(deps: Deps, repository: Repository, chunked: bool) -> None:
    """F04: the first answer may have been lost. With or without the bytes that came along."""
    ticket = begin(deps, repository)
    if chunked:
        await add(deps, repository, ticket, b"abc")
    first = await finish(deps, repository, ticket, b"abc", None if chunked else b"abc")
    again = [await finish(deps, repository, ticket, b"abc", last) for last in (None, b"abc")]

    assert [one.blob for one in again] == [first.blob] * 2
    assert all(one.existed for one in again)


async def test_finishing_again_is_an_error_when_the_blob_is_gone(deps: Deps, repository: Repository) -> None:
    ticket = begin(deps, repository)
    await finish(deps, repository, ticket, b"abc", b"abc")
    await layers.delete(deps, repository, Digest.of(b"abc"))

    with pytest.raises(UploadNotFound):
        await finish(deps, repository, ticket, b"abc", b"abc")


async def test_wrong_bytes_leave_nothing(deps: Deps, data: Path, repository: Repository) -> None:
    before, ticket = stored_files(data), begin(deps, repository)
    with pytest.raises(InvalidLayer):
        await finish(deps, repository, ticket, b"else", b"abc")

    assert stored_files(data) == before
    assert await state_of(deps, ticket) is None
    assert (await finish(deps, repository, ticket, b"abc", b"abc")).blob.size == 3


# --- chunks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_chunks_are_hashed_as_they_come(
    deps: Deps, repository: Repository, reads: list[str], algorithm: str
) -> None:
    """In one process nothing is read again, however many chunks there are."""
    ticket, parts = begin(deps, repository, algorithm), [os.urandom(size) for size in (5, 100_000, 0, 70_000)]
    size = 0
    for part in parts:
        upload = await add(deps, repository, ticket, part, size)
        size += len(part)
        assert upload.size == size
    whole = b"".join(parts)
    finished = await uploads.finish(deps, repository, ticket, Digest.of(whole, algorithm))

    assert finished.blob.digest == Digest.of(whole, algorithm)
    assert reads == []


async def test_what_another_process_received_is_read_again(
    deps: Deps, repository: Repository, reads: list[str]
) -> None:
    """Only its state is lost; with no more chunks the row's own digest is enough."""
    first, second = begin(deps, repository), begin(deps, repository)
    await add(deps, repository, first, b"abc")
    await add(deps, repository, second, b"abc")
    elsewhere = dataclasses.replace(deps, hashes=type(deps.hashes)())
    await finish(elsewhere, repository, first, b"abc")
    without = len(reads)
    await finish(elsewhere, repository, second, b"abcde", b"de")

    assert (without, len(reads)) == (0, 1)


async def test_a_digest_by_another_algorithm_is_read_for_at_the_end(
    deps: Deps, repository: Repository, reads: list[str]
) -> None:
    ticket = begin(deps, repository)
    await add(deps, repository, ticket, b"abc")
    finished = await uploads.finish(deps, repository, ticket, Digest.of(b"abc", "sha512"))

    assert finished.blob.digest.algorithm == "sha512"
    assert len(reads) == 1


@pytest.mark.parametrize("start", [0, 2, 4, 10**15])
async def test_a_chunk_from_elsewhere_is_refused_with_the_true_size(
    deps: Deps, repository: Repository, start: int
) -> None:
    ticket = begin(deps, repository)
    await add(deps, repository, ticket, b"abc", 0)
    for late in (
        add(deps, repository, ticket, b"xyz", start),
        finish(deps, repository, ticket, b"abcxyz", b"xyz", start=start),
    ):
        with pytest.raises(RangeInvalid) as refused:
            await late
        assert refused.value.size == 3

    assert (await finish(deps, repository, ticket, b"abcde", b"de", start=3)).blob.size == 5


async def cut_after(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    raise BodyCut("the connection was lost")


async def test_a_cut_chunk_keeps_what_came(deps: Deps, repository: Repository) -> None:
    ticket = begin(deps, repository)
    with pytest.raises(BodyCut):
        await uploads.append(deps, repository, ticket, cut_after(b"ab", b"c"), start=None)
    found = await uploads.status(deps, repository, ticket)

    assert found is not None and found.size == 3
    assert (await finish(deps, repository, ticket, b"abcde", b"de", start=3)).blob.size == 5


async def test_a_cut_last_chunk_keeps_what_was_there(deps: Deps, data: Path, repository: Repository) -> None:
    before, fresh, begun = stored_files(data), begin(deps, repository), begin(deps, repository)
    await add(deps, repository, begun, b"abc")
    for ticket in (fresh, begun):
        with pytest.raises(BodyCut):
            await uploads.finish(deps, repository, ticket, Digest.of(b"abcde"), cut_after(b"d"))
    found = await uploads.status(deps, repository, begun)

    assert found is not None and found.size == 3
    assert len(stored_files(data) - before) == 1  # the one that has a row
    assert (await finish(deps, repository, begun, b"abcde", b"de")).blob.size == 5


async def test_small_parts_are_remembered_for_the_api(deps: Deps, repository: Repository) -> None:
    """ECR refuses a small part that another follows; `/v2/` does not."""
    ticket = begin(deps, repository)
    seen = [(await add(deps, repository, ticket, b"x" * size)).small_part for size in (5 * 1024 * 1024, 10, 0, 10)]

    assert seen == [False, False, True, True]


# --- one writer -------------------------------------------------------------------------------------------------------


async def test_a_second_writer_is_refused_and_leaves_no_byte(deps: Deps, repository: Repository) -> None:
    ticket, started, go = begin(deps, repository), asyncio.Event(), asyncio.Event()
    await add(deps, repository, ticket, b"abc")

    async def slow() -> AsyncIterator[bytes]:
        yield b"de"
        started.set()
        await go.wait()
        yield b"f"

    first = asyncio.ensure_future(uploads.append(deps, repository, ticket, slow(), start=3))
    await started.wait()
    for late in (
        add(deps, repository, ticket, b"XYZ", 3),
        finish(deps, repository, ticket, b"abcXYZ", b"XYZ", start=3),
    ):
        with pytest.raises(RangeInvalid) as refused:
            await late
        assert refused.value.size == 3
    go.set()

    assert (await first).size == 6
    assert (await finish(deps, repository, ticket, b"abcdef")).blob.size == 6


async def test_a_writer_with_a_stale_size_is_refused_before_it_writes(
    deps: Deps, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is read again under the hold: between the two another writer may have come and gone, and what it was
    told is in must not be written over."""
    raced: list[Staged] = []
    ticket, real = begin(deps, repository), DiskStore.hold
    row = await add(deps, repository, ticket, b"abc")
    moved = dataclasses.replace(row, size=5, digest=Digest.of(b"abcde"))

    def hold(store: DiskStore, staged: Staged) -> Any:
        if not raced:
            raced.append(staged)
            with open(store.path(staged.key), "ab") as file:
                file.write(b"de")
            database_of(deps).write_here(lambda tx: rows.move_upload(tx, moved, seen=3))
        return real(store, staged)

    monkeypatch.setattr(DiskStore, "hold", hold)
    with pytest.raises(RangeInvalid) as refused:
        await add(deps, repository, ticket, b"XYZ", 3)
    finished = await finish(deps, repository, ticket, b"abcde")
    opened = await layers.open_blob(deps, repository, finished.blob.digest, whole=True)
    assert opened.file is not None
    with opened.file:
        stored = opened.file.read()

    assert refused.value.size == 5
    assert stored == b"abcde"


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [True, False])
async def test_a_cancelled_upload_is_over_and_leaves_no_file(
    deps: Deps, data: Path, repository: Repository, written: bool
) -> None:
    before, ticket = stored_files(data), begin(deps, repository)
    if written:
        await add(deps, repository, ticket, b"abc")
    await uploads.cancel(deps, repository, ticket)

    assert stored_files(data) == before
    assert await state_of(deps, ticket) == "cancelled"
    for late in (
        uploads.status(deps, repository, ticket),
        add(deps, repository, ticket, b"abc"),
        finish(deps, repository, ticket, b"abc", b"abc"),
        uploads.cancel(deps, repository, ticket),
    ):
        with pytest.raises(UploadNotFound):
            await late


async def test_a_layer_over_the_limit_leaves_nothing(deps: Deps, data: Path, repository: Repository) -> None:
    narrow, before, ticket = limited(deps, layer_bytes=10), stored_files(data), begin(deps, repository)
    with pytest.raises(TooLarge):
        await add(narrow, repository, ticket, b"x" * 11)
    with pytest.raises(TooLarge):
        await finish(narrow, repository, ticket, b"x" * 11, b"x" * 11)

    assert stored_files(data) == before
    assert (await finish(narrow, repository, ticket, b"x" * 10, b"x" * 10)).blob.size == 10


async def test_the_limit_is_of_all_chunks_together(deps: Deps, repository: Repository) -> None:
    narrow, ticket = limited(deps, layer_bytes=10), begin(deps, repository)
    await add(narrow, repository, ticket, b"x" * 6)
    with pytest.raises(TooLarge):
        await add(narrow, repository, ticket, b"x" * 5)

    assert (await finish(narrow, repository, ticket, b"x" * 10, b"x" * 4)).blob.size == 10


async def test_one_owner_has_so_many_open_uploads(deps: Deps, data: Path, repository: Repository) -> None:
    """T60: the next one is refused, and leaves no file; whole uploads are none, and others have their own."""
    narrow, tickets = limited(deps, open_uploads=2), [begin(deps, repository) for _ in range(3)]
    for ticket in tickets[:2]:
        await add(narrow, repository, ticket, b"abc")
    before = stored_files(data)
    with pytest.raises(LimitExceeded):
        await add(narrow, repository, tickets[2], b"abc")
    with pytest.raises(LimitExceeded):
        await uploads.begin_row(narrow, repository, "00000000-0000-4000-8000-000000000000")
    after = stored_files(data)
    await uploads.begin_row(narrow, repository, "00000000-0000-4000-8000-000000000001", owner="AIDAOTHER")
    await finish(narrow, repository, tickets[2], b"def", b"def")
    await finish(narrow, repository, tickets[0], b"abc")

    assert after == before
    assert (await add(narrow, repository, begin(deps, repository), b"abc")).size == 3


@pytest.mark.parametrize("way", ["append", "finish"])
async def test_a_repository_that_goes_meanwhile_ends_the_upload(
    deps: Deps, data: Path, repository: Repository, way: str
) -> None:
    before, ticket = stored_files(data), begin(deps, repository)

    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        await repositories.delete(deps, REGISTRY, repository.name, force=True)

    with pytest.raises(RepositoryNotFound):
        if way == "append":
            await uploads.append(deps, repository, ticket, body(), start=None)
        else:
            await uploads.finish(deps, repository, ticket, Digest.of(b"abc"), body())

    assert stored_files(data) == before


async def test_a_disk_that_is_full_is_told_and_the_upload_stands(
    deps: Deps, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F12: what was acknowledged stays, and there is room again at once."""
    ticket = begin(deps, repository)
    await add(deps, repository, ticket, b"abc")

    def full(_fd: int, _parts: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "writev", full)
        with pytest.raises(StorageFull):
            await add(deps, repository, ticket, b"de" * 100_000)
    found = await uploads.status(deps, repository, ticket)

    assert found is not None and found.size == 3
    assert (await finish(deps, repository, ticket, b"abcde", b"de")).blob.size == 5


# --- law 1: bytes before rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["append", "finish"])
async def test_bytes_are_durable_before_a_row_speaks_of_them(
    deps: Deps, repository: Repository, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    steps: list[str] = []
    sync, write = DiskHold._sync, deps.db.write

    def note_sync(hold: DiskHold, staged: Staged) -> None:
        sync(hold, staged)
        steps.append("bytes")

    async def note_write(unit: Any) -> Any:
        steps.append("row")
        return await write(unit)

    monkeypatch.setattr(DiskHold, "_sync", note_sync)
    monkeypatch.setattr(deps.db, "write", note_write)
    ticket = begin(deps, repository)
    if way == "append":
        await add(deps, repository, ticket, b"abc")
    else:
        await finish(deps, repository, ticket, b"abc", b"abc")

    assert steps == ["bytes", "row"]


async def test_a_row_that_cannot_be_written_leaves_a_file_for_nobody(
    deps: Deps, data: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F03: no answer was given; the same push works when the database does."""
    before, ticket = stored_files(data), begin(deps, repository)

    async def fail(_unit: Any) -> None:
        raise StorageFull

    with monkeypatch.context() as patched:
        patched.setattr(deps.db, "write", fail)
        with pytest.raises(StorageFull):
            await finish(deps, repository, ticket, b"abc", b"abc")

    assert stored_files(data) == before
    assert (await finish(deps, repository, ticket, b"abc", b"abc")).existed is False


# --- a store that takes no file ---------------------------------------------------------------------------------------


@pytest.fixture
def chunk_store(deps: Deps, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk as a store that gives no file to write to, as one behind a network."""
    real = DiskHold.append

    async def append(hold: DiskHold, staged: Staged, given: Any) -> Staged:
        with monkeypatch.context() as patched:
            patched.setattr(DiskHold, "sink", original)
            return await real(hold, staged, given)

    original = DiskHold.sink
    monkeypatch.setattr(DiskHold, "append", append)
    monkeypatch.setattr(DiskHold, "sink", lambda hold, staged: None)
    monkeypatch.setattr(DiskStore, "path", lambda store, key: None)


@pytest.mark.usefixtures("chunk_store")
async def test_chunks_go_into_a_store_that_gives_no_file(deps: Deps, repository: Repository) -> None:
    ticket, parts = begin(deps, repository), [os.urandom(size) for size in (10, 300_000, 70_000)]
    for part in parts[:-1]:
        await add(deps, repository, ticket, part)
    whole = b"".join(parts)
    finished = await finish(deps, repository, ticket, whole, parts[-1])
    opened = await layers.open_blob(deps, repository, Digest.of(whole), whole=True)
    assert opened.read is not None

    assert finished.blob.size == len(whole)
    assert b"".join([piece async for piece in opened.read(0, len(whole))]) == whole


@pytest.mark.usefixtures("chunk_store")
async def test_a_store_that_gives_no_file_has_limits_too(deps: Deps, data: Path, repository: Repository) -> None:
    narrow, before = limited(deps, layer_bytes=10), stored_files(data)
    with pytest.raises(TooLarge):
        await finish(narrow, repository, begin(deps, repository), b"x" * 11, b"x" * 11)

    assert stored_files(data) == before


async def test_a_busy_key_is_told_as_the_place_where_the_upload_stands(deps: Deps, repository: Repository) -> None:
    ticket = begin(deps, repository)
    row = await add(deps, repository, ticket, b"abc")
    store = deps.stores.of(REGION)
    async with store.hold(Staged(key=row.key, size=3, state={})):
        with pytest.raises(RangeInvalid) as refused:
            await add(deps, repository, ticket, b"de")
        with pytest.raises(UploadBusy):
            async with store.hold(Staged(key=row.key, size=3, state={})):
                pass

    assert refused.value.size == 3
    assert json.loads(json.dumps(dict(row.state))) == row.state
