"""Bytes in a local directory.

    <root>/longshore-store.json      {"storeId": ..., "region": ...}
    <root>/ab/abcdef...              one file a key; `ab` are the key's first two letters

An upload is written in place, at its final key, under an exclusive flock that spans processes. It counts as stored
only once a row names it; until then a crash leaves a file without a row, which garbage collection sweeps. The 256
directories are made and fsynced when the store is made, so that a finished file needs one fsync of itself and one of
its directory.
"""

import contextlib
import datetime as dt
import fcntl
import json
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Container
from pathlib import Path
from typing import ParamSpec, TypeVar

from registry import failpoints, threads
from registry.errors import StorageUnavailable
from registry.names import Region
from registry.storage.base import Hold, Staged, Stored, StoreMismatch, UploadBusy, UploadLost
from registry.storage.trouble import translated as _translated

P = ParamSpec("P")
T = TypeVar("T")

IDENTITY_FILE = "longshore-store.json"
_SHARDS = [f"{number:02x}" for number in range(256)]
_PIECE = 256 * 1024


class DiskStore:
    """A directory of one region's bytes."""

    def __init__(self, root: Path, region: Region, *, make: bool = True, store_id: str | None = None) -> None:
        """Open the store at `root`. Raises StoreMismatch for another region's, and where there is none.

        `make`: a missing store is made, with the identity `store_id` (a copy has its original's) or a fresh one.
        """
        self.root = root
        file = root / IDENTITY_FILE
        with _translated():
            if not file.exists():
                if not make:
                    raise StoreMismatch(f"{file} is missing: restore it from a backup")
                _make_identity(root, region, store_id or secrets.token_hex(16))
            self.store_id = _read_identity(file, region)

    async def prove(self) -> None:
        try:
            await _in_thread(os.stat, self.root / IDENTITY_FILE)
        except FileNotFoundError:
            raise StorageUnavailable from None

    async def close(self) -> None:
        pass

    async def begin(self) -> Staged:
        return Staged(key=secrets.token_hex(16), size=0, state={})

    @contextlib.asynccontextmanager
    async def hold(self, staged: Staged) -> AsyncIterator[Hold]:
        path = self._at(staged.key)
        make = 0 if staged.size else os.O_CREAT
        try:
            with _translated():
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | make, 0o600)
        except FileNotFoundError:
            raise UploadLost(staged.key) from None
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UploadBusy(staged.key) from None
            yield DiskHold(fd, path.parent, self)
        finally:
            os.close(fd)  # and with it the lock

    async def arrived(self, staged: Staged) -> int:
        found = await self.stat(staged.key)
        return 0 if found is None else found.size

    async def abort(self, staged: Staged) -> None:
        await self.delete(staged.key)

    async def stat(self, key: str) -> Stored | None:
        try:
            with _translated():
                found = os.stat(self._at(key))
        except FileNotFoundError:
            return None
        written_at = dt.datetime.fromtimestamp(found.st_mtime, dt.UTC)
        return Stored(key=key, size=found.st_size, identity=identity_of(found), written_at=written_at)

    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        with _translated():
            file = await threads.run(open, self._at(key), "rb", 0)
        with file:
            file.seek(start)
            left = stop - start if stop is not None else None
            while left is None or left > 0:
                wanted = _PIECE if left is None else min(_PIECE, left)
                piece = await _in_thread(file.read, wanted)
                if not piece:
                    return
                left = left - len(piece) if left is not None else None
                yield piece

    def path(self, key: str) -> Path:
        return self._at(key)

    async def url(self, key: str, seconds: int) -> str | None:
        return None

    async def is_lost(self, key: str) -> bool:
        return True

    async def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await _in_thread(os.unlink, self._at(key))

    async def keys(self, older_than: dt.datetime) -> AsyncIterator[str]:
        for shard in _SHARDS:
            for key in await _in_thread(_shard_keys, self.root / shard, older_than.timestamp()):
                yield key

    async def sweep_uploads(self, older_than: dt.datetime, open_keys: Container[str]) -> int:
        return 0  # an upload's only bytes are at its key

    def _at(self, key: str) -> Path:
        return self.root / key[:2] / key


class DiskHold:
    """A file that is open and locked."""

    def __init__(self, fd: int, directory: Path, store: DiskStore) -> None:
        self._fd, self._directory, self._store = fd, directory, store

    def written(self, staged: Staged) -> AsyncIterator[bytes] | None:
        return self._store.read(staged.key, 0, staged.size)

    def sink(self, staged: Staged) -> int | None:
        # What an interrupted or losing writer left behind the acknowledged size must never become part of the blob.
        with _translated():
            self._cut(staged)
            os.lseek(self._fd, staged.size, os.SEEK_SET)
        return self._fd

    async def append(self, staged: Staged, chunks: AsyncIterable[bytes]) -> Staged:
        fd, size = self.sink(staged), staged.size
        assert fd is not None
        async for chunk in chunks:
            await _in_thread(write_all, fd, chunk)
            size += len(chunk)
        return Staged(key=staged.key, size=size, state=staged.state)

    async def settle(self, staged: Staged) -> None:
        await _in_thread(self._sync, staged)

    async def finish(self, staged: Staged) -> Stored:
        await _in_thread(self._sync, staged)
        with _translated():
            return Stored(key=staged.key, size=staged.size, identity=identity_of(os.fstat(self._fd)))

    def _sync(self, staged: Staged) -> None:
        self._cut(staged)
        failpoints.passing("disk-fsync")
        os.fsync(self._fd)
        # The first fsync of a new file is in vain while its name may be lost; later ones of a clean directory are free.
        sync_directory(self._directory)

    def _cut(self, staged: Staged) -> None:
        size = os.fstat(self._fd).st_size
        if size < staged.size:
            raise UploadLost(staged.key)  # to make it longer would fill it up with zeros that nobody sent
        if size > staged.size:
            os.ftruncate(self._fd, staged.size)


def found(root: Path, region: Region) -> str | None:
    """The identity of the store in a directory; None: it holds none. Raises StoreMismatch."""
    file = root / IDENTITY_FILE
    return _read_identity(file, region) if file.exists() else None


def identity_of(found: os.stat_result) -> str:
    """What changes when anyone touches a file: its device, inode, size and change time."""
    return f"{found.st_dev:x}-{found.st_ino:x}-{found.st_size:x}-{found.st_ctime_ns:x}"


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data`; `os.write` may stop early on a disk that fills up."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _make_identity(root: Path, region: Region, store_id: str) -> None:
    """Make a store; its identity is written last, when its directories are durable."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for shard in _SHARDS:
        (root / shard).mkdir(mode=0o700, exist_ok=True)
    sync_directory(root)
    draft = root / f".{IDENTITY_FILE}.{secrets.token_hex(8)}"  # two containers may have the same process id
    with open(draft, "w", encoding="utf-8") as out:
        json.dump({"storeId": store_id, "region": region}, out)
        out.flush()
        os.fsync(out.fileno())
    # A link fails where another process was first; then its identity holds.
    with contextlib.suppress(FileExistsError):
        os.link(draft, root / IDENTITY_FILE)
    draft.unlink()
    sync_directory(root)
    sync_directory(root.parent)


def _read_identity(file: Path, region: Region) -> str:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        store_id, stored_region = str(found["storeId"]), str(found["region"])
    except (ValueError, KeyError, TypeError):
        raise StoreMismatch(f"{file} is damaged: restore it from a backup") from None
    if stored_region != region:
        raise StoreMismatch(f"{file.parent} holds the bytes of region {stored_region}, not of {region}")
    return store_id


def _shard_keys(directory: Path, older_than: float) -> list[str]:
    found: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                if entry.stat().st_mtime < older_than:
                    found.append(entry.name)
    return sorted(found)


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    with _translated():
        return await threads.run(work, *args, **kwargs)
