"""What a backup is: a directory with one state of an installation, and every byte that its rows name.

    backup.json                  which state counts, and what it is made of; replaced last, in one step
    backup.lock                  held alone by who writes, together by who reads
    states/<id>/longshore.db     the database, in one file
    states/<id>/master.key ...   keys and certificates, under the names that they have in the data directory
    blobs/<region>/              stores, with the identity and the keys of the originals
    stores/<identity>/           others of a region that has several
    drafts/                      copies that are not whole yet

A file of a store is whole and on the disk before it gets its name. Keys are never used twice, so a file that an earlier
backup left is the one that a later one needs. Until `backup.json` is replaced, the backup of before counts.
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from longshore import files
from registry.errors import StorageUnavailable
from registry.model import KnownStore
from registry.names import Digest
from registry.storage import disk
from registry.storage.base import BlobStore
from registry.storage.disk import DiskStore, sync_directory

FORMAT: Final = 1
DESCRIPTION, LOCK, STATES, DRAFTS = "backup.json", "backup.lock", "states", "drafts"
BLOBS, STORES = "blobs", "stores"
_PIECE: Final = 1024 * 1024


class BackupTrouble(Exception):
    """A backup cannot be made or used. One line that says what to do."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a state."""

    size: int
    sha256: str


class Description(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`backup.json`."""

    format: int
    state: str
    created_at: dt.datetime  # when the database was copied: what was acknowledged before is in the backup
    schema: str
    stores: dict[str, str]  # identity of what new bytes go to, by region
    files: dict[str, File]  # of the state, by their names in a data directory
    blobs: int
    bytes: int  # of blobs and open uploads
    lost: int  # of the blobs: those whose bytes the original did not have either


@dataclasses.dataclass(frozen=True, slots=True)
class Archive:
    """A directory that holds a backup, or will."""

    root: Path

    @property
    def drafts(self) -> Path:
        return self.root / DRAFTS

    def state(self, state_id: str) -> Path:
        return self.root / STATES / state_id

    def description(self) -> Description | None:
        """What the directory holds; None: no finished backup. Raises BackupTrouble."""
        path = self.root / DESCRIPTION
        try:
            found = msgspec.json.decode(path.read_bytes())
            if isinstance(found, dict) and isinstance(found.get("format"), int) and found["format"] > FORMAT:
                raise BackupTrouble(f"{path} was written by a newer program: use that one")
            return msgspec.convert(found, Description)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:
            raise BackupTrouble(f"{path} is damaged: make a new backup into another directory") from None

    def describe(self, description: Description) -> None:
        """Make this the state that counts, in one step."""
        content = msgspec.json.format(msgspec.json.encode(description), indent=2) + b"\n"
        files.replace(self.root / DESCRIPTION, content)

    def store(self, known: KnownStore, *, make: bool) -> DiskStore:
        """The copy of a store. Raises BackupTrouble for another store's, StoreMismatch where there is none."""
        root, own = self.root / BLOBS / known.region, self.root / STORES / known.store_id
        there = disk.found(root, known.region)
        is_free = there is None and known.role == "main" and not own.exists()
        if there != known.store_id and not is_free:
            root = own
        if make:
            root.parent.mkdir(mode=0o700, exist_ok=True)
        store = DiskStore(root, known.region, make=make, store_id=known.store_id)
        if store.store_id != known.store_id:
            raise BackupTrouble(
                f"{store.root} holds the bytes of store {store.store_id}, not of {known.store_id}: "
                "back up into another directory"
            )
        return store

    def copies(self) -> list[Path]:
        """Where copies of stores lie."""
        places = (self.root / BLOBS, self.root / STORES)
        return [entry for place in places if place.exists() for entry in place.iterdir()]

    @contextlib.contextmanager
    def held(self, *, alone: bool) -> Iterator[None]:
        """Hold the directory against others' backups and restores. Raises BackupTrouble where one is at work."""
        path = self.root / LOCK
        if not alone and not path.exists():
            yield  # a copy of a backup, made by other means; nobody backs up into it
            return
        fd = os.open(path, (os.O_RDWR | os.O_CREAT if alone else os.O_RDONLY) | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupTrouble(f"another backup or restore is at work on {self.root}: try again later") from None
            yield
        finally:
            os.close(fd)


def make_directory(path: Path) -> Path | None:
    """Make a directory that would survive a power cut; the topmost one that had to be made, None: it was there."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in missing:
        sync_directory(one.parent)
    return missing[-1] if missing else None


def apart(one: Path, other: Path) -> bool:
    """Whether neither directory lies in the other."""
    here, there = one.resolve(), other.resolve()
    return here != there and here not in there.parents and there not in here.parents


# --- copying ----------------------------------------------------------------------------------------------------------


async def copy_bytes(
    source: BlobStore, key: str, to: Path, draft: Path, *, size: int, like: Digest | None, whole: bool
) -> str | None:
    """Copy the first `size` bytes of a key. What is wrong with them, and then nothing is copied; None: nothing is.

    `like`: the digest that they must have. `whole`: no more bytes than these may be there.
    """
    state = hashlib.new(like.algorithm) if like is not None else None
    written = 0
    with _private(draft) as out:
        try:
            async for piece in source.read(key, 0, size + 1 if whole else size):
                await asyncio.to_thread(_take, out, state, piece)
                written += len(piece)
        except FileNotFoundError:
            return "missing"
        except StorageUnavailable as error:
            return f"unreadable ({error.__cause__ or error})"
        if written != size:
            return "longer than its row says" if written > size else f"cut short ({written} of {size} bytes)"
        if state is not None and like is not None and state.hexdigest() != like.hex:
            return "not what its digest says"
        await asyncio.to_thread(os.fsync, out.fileno())
    os.replace(draft, to)
    return None


def _private(path: Path) -> BinaryIO:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    return open(fd, "wb", buffering=0)


def _take(out: BinaryIO, state: "hashlib._Hash | None", piece: bytes) -> None:
    if state is not None:
        state.update(piece)
    view = memoryview(piece)
    while view:
        view = view[out.write(view) :]


def copy_file(source: Path, to: Path) -> File:
    """Copy a file of a data directory or a state (0600), on disk when this returns."""
    with open(source, "rb") as read, _private(to) as out:
        shutil.copyfileobj(read, out, _PIECE)
        os.fsync(out.fileno())
    return look(to)


def look(path: Path) -> File:
    """Size and digest of a file."""
    return File(size=path.stat().st_size, sha256=hashed(path, "sha256"))


def hashed(path: Path, algorithm: str) -> str:
    """The hexadecimal digest of a file."""
    with open(path, "rb") as read:
        return hashlib.file_digest(read, algorithm).hexdigest()


def sync(path: Path) -> None:
    """Return when the file's content would survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
