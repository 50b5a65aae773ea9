"""What only a directory can be asked: its files, their durability, and what the operating system says."""

import asyncio
import contextlib
import datetime as dt
import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry.errors import StorageFull, StorageUnavailable
from registry.names import Region
from registry.storage import disk
from registry.storage.base import Staged, StoreMismatch, UploadBusy, UploadLost
from registry.storage.disk import IDENTITY_FILE, DiskStore

REGION = Region("us-east-1")


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store", REGION)


async def put(store: DiskStore, data: bytes) -> Staged:
    staged = await store.begin()
    async with store.hold(staged) as hold:
        fd = hold.sink(staged)
        assert fd is not None
        disk.write_all(fd, data)
        staged = Staged(key=staged.key, size=len(data), state={})
        await hold.finish(staged)
    return staged


# --- the directory ----------------------------------------------------------------------------------------------------


async def test_a_key_is_a_file_that_only_this_user_may_read(store: DiskStore) -> None:
    staged = await put(store, b"abc")
    path = store.path(staged.key)

    assert path == store.root / staged.key[:2] / staged.key
    assert path.read_bytes() == b"abc"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_store_of_another_region_is_refused(tmp_path: Path) -> None:
    """Two regions on one directory would sweep each other's bytes."""
    DiskStore(tmp_path, REGION)
    with pytest.raises(StoreMismatch, match="holds the bytes of region us-east-1, not of eu-west-1"):
        DiskStore(tmp_path, Region("eu-west-1"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"storeId": "x"}', "null", '"x"'])
def test_a_damaged_identity_is_refused_and_not_made_new(tmp_path: Path, text: str) -> None:
    DiskStore(tmp_path, REGION)
    (tmp_path / IDENTITY_FILE).write_text(text)
    with pytest.raises(StoreMismatch, match="damaged"):
        DiskStore(tmp_path, REGION)

    assert (tmp_path / IDENTITY_FILE).read_text() == text


def test_a_store_that_should_be_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreMismatch, match="missing"):
        DiskStore(tmp_path / "store", REGION, make=False)

    assert not (tmp_path / "store").exists()


def test_many_that_make_a_store_at_once_make_one(tmp_path: Path) -> None:
    found: list[str] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait(20)
        found.append(DiskStore(tmp_path, REGION).store_id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert set(found) == {json.loads((tmp_path / IDENTITY_FILE).read_text())["storeId"]}


# --- identity ---------------------------------------------------------------------------------------------------------


def rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def put_back_its_times(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"X" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    draft = path.with_suffix(".new")
    draft.write_bytes(path.read_bytes())
    draft.replace(path)


def close_to_others(path: Path) -> None:
    path.chmod(0o400)


def cut(path: Path) -> None:
    os.truncate(path, 1)


@pytest.mark.parametrize("touch", [rewrite, put_back_its_times, replace, close_to_others, cut])
async def test_an_identity_changes_when_anyone_touches_the_file(
    store: DiskStore, touch: Callable[[Path], None]
) -> None:
    """A modification time can be set back by anyone who may write; a change time cannot."""
    staged = await put(store, b"abc")
    before = await store.stat(staged.key)
    await asyncio.sleep(0.02)  # change times have the grain of the kernel's clock tick
    touch(store.path(staged.key))
    after = await store.stat(staged.key)

    assert before is not None and after is not None
    assert after.identity != before.identity


# --- durability -------------------------------------------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, in order."""
    calls: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        found = os.fstat(fd)
        calls.append("directory" if stat.S_ISDIR(found.st_mode) else f"file of {found.st_size}")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return calls


async def test_finishing_syncs_the_file_and_then_its_directory(store: DiskStore, synced: list[str]) -> None:
    """P1: bytes first, then the name under which they are found."""
    await put(store, b"abc")

    assert synced == ["file of 3", "directory"]


async def test_a_settled_chunk_is_synced_as_well(store: DiskStore, synced: list[str]) -> None:
    staged = await store.begin()
    async with store.hold(staged) as hold:
        fd = hold.sink(staged)
        assert fd is not None
        disk.write_all(fd, b"abcde")
        await hold.settle(Staged(key=staged.key, size=5, state={}))

    assert synced == ["file of 5", "directory"]


async def test_a_sync_that_fails_is_no_success(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """F16: the bytes may be lost although they were written."""

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageUnavailable):
        await put(store, b"abc")


def test_writing_goes_on_where_the_system_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.write` may take less than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    with open(tmp_path / "file", "wb") as file:
        disk.write_all(file.fileno(), b"abcdefgh")

    assert (tmp_path / "file").read_bytes() == b"abcdefgh"


# --- trouble ----------------------------------------------------------------------------------------------------------


async def hold_it(store: DiskStore, staged: Staged) -> None:
    async with store.hold(staged):
        pass


async def cut_it(store: DiskStore, staged: Staged) -> None:
    async with store.hold(staged) as hold:
        hold.sink(Staged(key=staged.key, size=1, state={}))


async def stat_it(store: DiskStore, staged: Staged) -> None:
    await store.stat(staged.key)


async def delete_it(store: DiskStore, staged: Staged) -> None:
    await store.delete(staged.key)


TROUBLES = {
    errno.ENOSPC: StorageFull,
    errno.EDQUOT: StorageFull,
    errno.EFBIG: StorageFull,
    errno.EIO: StorageUnavailable,
    errno.EROFS: StorageUnavailable,
    errno.EACCES: StorageUnavailable,
    errno.EMFILE: StorageUnavailable,
}


@pytest.mark.parametrize("number", TROUBLES, ids=errno.errorcode.get)
@pytest.mark.parametrize(
    ("call", "work"),
    [("open", hold_it), ("ftruncate", cut_it), ("stat", stat_it), ("unlink", delete_it)],
    ids=["open", "ftruncate", "stat", "unlink"],
)
async def test_what_the_system_says_is_a_domain_error(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch, call: str, work: Any, number: int
) -> None:
    staged = await put(store, b"abc")

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched, pytest.raises(TROUBLES[number]):
        patched.setattr(os, call, fail)
        await work(store, staged)


async def test_a_file_that_is_a_directory_is_trouble_and_not_absence(store: DiskStore) -> None:
    staged = await put(store, b"abc")
    store.path(staged.key).unlink()
    store.path(staged.key).mkdir()

    with pytest.raises(StorageUnavailable):
        [piece async for piece in store.read(staged.key)]
    with pytest.raises(StorageUnavailable):
        await store.delete(staged.key)


HOLD_THE_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "rb")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_is_one_over_processes(store: DiskStore) -> None:
    staged = asyncio.run(put(store, b"abc"))
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(store.path(staged.key))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UploadBusy):
            asyncio.run(hold_it(store, staged))
        other.communicate()

    asyncio.run(hold_it(store, staged))


async def test_a_file_that_goes_while_its_directory_is_listed_is_left_out(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delete between the look at the directory and the look at the file."""
    staged, real = await put(store, b"abc"), os.scandir

    def scandir(path: Path) -> Any:
        with real(path) as entries:
            found = list(entries)
        if path == store.path(staged.key).parent:
            store.path(staged.key).unlink()
        return contextlib.nullcontext(found)

    monkeypatch.setattr(os, "scandir", scandir)

    assert [key async for key in store.keys(dt.datetime.now(dt.UTC) + dt.timedelta(days=1))] == []


async def test_no_descriptor_is_left_open(store: DiskStore) -> None:
    """Whether refused, failed or finished."""
    await put(store, b"the executor's threads are there")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        staged = await put(store, b"abc")
        [piece async for piece in store.read(staged.key)]
        async with store.hold(staged):
            with pytest.raises(UploadBusy):
                await hold_it(store, staged)
        await store.delete(staged.key)
        with pytest.raises(FileNotFoundError):
            [piece async for piece in store.read(staged.key)]
        with pytest.raises(UploadLost):
            await hold_it(store, staged)

    assert len(os.listdir("/proc/self/fd")) <= before
