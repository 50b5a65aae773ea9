"""Putting a backup back: into an empty data directory, every byte checked on its way.

While it is at work a file in the directory says so, and no server starts there. The file goes last; a restore that
fails takes everything away again that it wrote.

Files get new identities by being copied, which would make the server hash each blob again at its first pull. They were
hashed here, so the new identities are written into the rows.
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from longshore import archive, databases, wiring
from longshore.archive import Archive, BackupTrouble, Description
from longshore.config import Config
from registry.model import Blob, KnownStore, Upload
from registry.names import Region
from registry.records import blobs as blob_rows
from registry.records import checks, installation, schema
from registry.records.engine import Database, Tx
from registry.storage.disk import DiskStore, sync_directory

Watch = Callable[[str, int, int], None]  # (what is done, how far, of how much; 0: not known)

_PAGE: Final = 500
_AT_ONCE: Final = 4
_NOTHING: Final = {"lost+found"}  # what a fresh file system holds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A backup that was put back."""

    description: Description
    data: Path
    blobs: int
    bytes: int
    uploads: int
    damaged: int  # blobs whose bytes the backup does not have, or not as they should be; marked as such


def restore(config: Config, source: Path, *, partial: bool, watch: Watch) -> Restored:
    """Put a backup back. `partial`: go on where it is damaged, and mark in the rows what is lost.

    Raises BackupTrouble, CannotStart, SchemaTooNew, StoreMismatch, OSError; nothing is left behind then.
    """
    if databases.is_shared(config):
        raise BackupTrouble(
            "a backup holds an SQLite database, and database.url names PostgreSQL: restore it without that, or what "
            "pg_dump made, as docs/backup.md describes"
        )
    data, origin = Path(config.server.data), Archive(source)
    description = origin.description()
    if description is None:
        raise BackupTrouble(f"{source} holds no finished backup: `longshore backup` makes one")
    _check(source, data, description)
    with origin.held(alone=False), _being_made(data):
        work = _Work(origin, description, data, partial=partial, watch=watch)
        result = asyncio.run(work.run())
    return result


def _check(source: Path, data: Path, description: Description) -> None:
    if description.schema not in schema.known():
        raise BackupTrouble(
            f"the backup has schema {description.schema}, this program knows schemas up to {schema.HEAD}: restore it "
            "with the program that made it, or a newer one"
        )
    if not archive.apart(source, data):
        raise BackupTrouble(f"{source} and the data directory {data} lie in each other: choose another place")
    wiring.refuse_unfinished(data)
    if data.exists() and {entry.name for entry in data.iterdir()} - _NOTHING:
        raise BackupTrouble(
            f"{data} is not empty: stop the server and move the directory away, or name another by --data"
        )


@contextlib.contextmanager
def _being_made(data: Path) -> Iterator[None]:
    """A data directory that no server takes for a whole one, until the end; taken away again on failure."""
    made = archive.make_directory(data)
    marker = data / wiring.UNFINISHED
    try:
        marker.touch(mode=0o600)
        sync_directory(data)
        yield
        sync_directory(data)
        marker.unlink()
        sync_directory(data)
    except BaseException:
        if made is not None:
            shutil.rmtree(made)
        else:
            _empty(data)
        raise


def _empty(data: Path) -> None:
    for entry in data.iterdir():
        if entry.name not in _NOTHING:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


class _Work:
    """One restore, as far as it has come."""

    def __init__(self, origin: Archive, description: Description, data: Path, *, partial: bool, watch: Watch) -> None:
        self._origin, self._description, self._data = origin, description, data
        self._partial, self._watch = partial, watch
        self._stores: dict[str, tuple[DiskStore, DiskStore]] = {}  # (from, to) by identity
        self._by_region: dict[Region, tuple[DiskStore, DiskStore]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._touched: set[Path] = {data / "blobs"}  # directories with new names in them
        self._blobs = self._uploads = self._done = self._damaged = 0

    async def run(self) -> Restored:
        self._watch("database", 0, 0)
        await asyncio.to_thread(self._files)
        db = Database(self._data / wiring.DATABASE)
        try:
            await asyncio.to_thread(db.write_here, schema.upgrade)
            known = db.read_here(installation.known_stores)
            for one in sorted(known, key=lambda one: one.role != "main"):
                copied = self._origin.store(one, make=False)
                pair = self._stores[one.store_id] = (copied, self._own(one))
                if one.role == "main":
                    self._by_region[one.region] = pair
            await self._all_blobs(db)
            await self._all_uploads(db)
            for one in known:
                if one.role == "previous":
                    merge = functools.partial(_merge, old=one.store_id, main=self._by_region[one.region][1].store_id)
                    await asyncio.to_thread(db.write_here, merge)
                    await asyncio.to_thread(
                        db.write_here, functools.partial(installation.leave_store, region=one.region)
                    )
        finally:
            db.close()
        for directory in self._touched:
            await asyncio.to_thread(sync_directory, directory)
        return Restored(
            description=self._description,
            data=self._data,
            blobs=self._blobs,
            bytes=self._done,
            uploads=self._uploads,
            damaged=self._damaged,
        )

    def _own(self, known: KnownStore) -> DiskStore:
        """Where a store's bytes go. Here all that is not archived lies in one place."""
        if known.role == "previous":
            return self._by_region[known.region][1]
        place = "archive" if known.role == "archive" else "blobs"
        store = DiskStore(self._data / place / known.region, known.region, store_id=known.store_id)
        self._touched.add(store.root.parent)
        return store

    def _files(self) -> None:
        state = self._origin.state(self._description.state)
        if wiring.DATABASE not in self._description.files:
            raise BackupTrouble(f"{self._origin.root} holds no database: use another backup")
        for name, listed in self._description.files.items():
            parts = PurePosixPath(name).parts
            if len(parts) > 2 or ".." in parts or "/" in parts:
                raise BackupTrouble(f"{self._origin.root / archive.DESCRIPTION} is damaged: use another backup")
            to = self._data / name
            to.parent.mkdir(mode=0o700, exist_ok=True)
            try:
                found = archive.copy_file(state / name, to)
            except FileNotFoundError:
                raise BackupTrouble(f"{state / name} is missing: use another backup") from None
            if found != listed:
                raise BackupTrouble(f"{state / name} is damaged: use another backup")
            if to.parent != self._data:
                sync_directory(to.parent)
        (self._data / "blobs").mkdir(mode=0o700)

    async def _all_blobs(self, db: Database) -> None:
        last = 0
        while page := db.read_here(functools.partial(blob_rows.page, after=last, limit=_PAGE)):
            last = page[-1].id
            marks = await asyncio.gather(*(self._blob(blob) for blob in page))

            def unit(tx: Tx, marks: list[tuple[Blob, str | None]] = marks) -> None:
                for blob, identity in marks:
                    if identity is None:
                        blob_rows.set_damaged(tx, blob)
                    else:
                        blob_rows.set_identity(tx, blob, identity)

            await asyncio.to_thread(db.write_here, unit)

    async def _blob(self, blob: Blob) -> tuple[Blob, str | None]:
        """The blob, and the identity of its bytes here; None: they are not here. Raises BackupTrouble."""
        async with self._slots:
            why: str | None = "in a store that belongs to no region"
            if blob.store_id in self._stores:
                copied, own = self._stores[blob.store_id]
                to = own.path(blob.key)
                why = await archive.copy_bytes(
                    copied, blob.key, to, self._draft(blob.key), size=blob.size, like=blob.digest, whole=False
                )
            if why is not None:
                self._refuse(f"blob {blob.digest} is {why}", expected=blob.damaged)
                return blob, None
            self._blobs += 1
            self._touched.add(to.parent)
            self._advance(blob.size)
            stored = await own.stat(blob.key)
            assert stored is not None
            return blob, stored.identity

    async def _all_uploads(self, db: Database) -> None:
        last = ""
        while page := db.read_here(functools.partial(checks.open_uploads, after=last, limit=_PAGE)):
            last = page[-1][0].id
            lost = await asyncio.gather(*(self._upload(upload, region) for upload, region in page if upload.size))

            def unit(tx: Tx, lost: list[Upload | None] = lost) -> None:
                for upload in lost:
                    if upload is not None:
                        blob_rows.close_upload(tx, upload.id, "cancelled", upload.updated_at)

            await asyncio.to_thread(db.write_here, unit)

    async def _upload(self, upload: Upload, region: Region) -> Upload | None:
        """The upload, where its bytes are lost. Raises BackupTrouble."""
        async with self._slots:
            copied, own = self._by_region[region]
            to, draft = own.path(upload.key), self._draft(upload.key)
            why = await archive.copy_bytes(
                copied, upload.key, to, draft, size=upload.size, like=upload.digest, whole=False
            )
            if why is not None:
                self._refuse(f"upload {upload.id} is {why}", expected=False)
                return upload
            self._uploads += 1
            self._touched.add(to.parent)
            self._advance(upload.size)
            return None

    def _draft(self, key: str) -> Path:
        return self._data / "blobs" / f".{key}"

    def _refuse(self, what: str, *, expected: bool) -> None:
        """`expected`: the original did not have it either, and its rows say so."""
        if not expected and not self._partial:
            raise BackupTrouble(
                f"{what} in {self._origin.root}, so the backup is damaged: use another one, or restore all that is "
                "good of this one by --partial"
            )
        self._damaged += 1

    def _advance(self, size: int) -> None:
        self._done += size
        self._watch("bytes", self._done, self._description.bytes)


def _merge(tx: Tx, *, old: str, main: str) -> None:
    """Name the bytes of one store in another, where they lie under the same keys."""
    now, after = dt.datetime.now(dt.UTC), ""
    while page := blob_rows.in_store(tx, old, after=after, limit=_PAGE):
        after = page[-1].digest
        for blob in page:
            known = blob_rows.find(tx, main, blob.digest)
            if known is not None and known.damaged and not blob.damaged:
                blob_rows.replace(tx, known, key=blob.key, identity=blob.identity)
            if known is not None:
                blob_rows.join(tx, blob, known, now)
            else:
                blob_rows.relocate(tx, blob, store_id=main, key=blob.key, identity=blob.identity, damaged=blob.damaged)
