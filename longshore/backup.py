"""Making a backup beside a running server: first the database, then the bytes that its copy names, then the keys.

The database comes first, since bytes are there before the row that names them: whatever the copied rows name was
stored when they were copied. What can still happen is that bytes go before their turn comes: a damaged blob is pushed
again and its old bytes are deleted, an image is deleted and swept. Either changes the row *before* the bytes go. So
where bytes are not there the live row is asked. If it no longer names them, the copied state is out of date, and the
database is copied again: by then only the difference is missing. Bytes that are really lost, and those that still slip
away in the last of `ROUNDS`, are marked in the copied rows, so that a restored server knows what it lacks; and told.

An upload whose bytes went has ended meanwhile, and is ended in the copy too: who sent it was told nothing that a
restored server would have to keep.

The new state counts from the moment that `backup.json` is replaced; what only earlier states needed is deleted after.
"""

import asyncio
import dataclasses
import datetime as dt
import secrets
import shutil
import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Final

from longshore import archive, wiring
from longshore.archive import Archive, BackupTrouble, Description, File
from longshore.config import Config
from registry.errors import DatabaseDamaged
from registry.findings import ImageName
from registry.model import Blob, Upload
from registry.names import Digest, Region
from registry.records import blobs as blob_rows
from registry.records import checks, copies, installation, schema
from registry.records.engine import Database, Tx
from registry.storage.base import BlobStore, Stores
from registry.storage.disk import DiskStore, sync_directory

Watch = Callable[[str, int, int], None]  # (what is done, how far, of how much; 0: not known)

ROUNDS: Final = 5
MOST: Final = 1000  # lost blobs that are told one by one
TLS: Final = "tls"  # where `longshore cert` keeps its files
_PAGE: Final = 500
_AT_ONCE: Final = 4  # copies at work together
_SHOWN_IMAGES: Final = 20
_EVER: Final = dt.timedelta(days=36500)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Bytes that the data directory does not have as its rows say, and no earlier backup either."""

    digest: Digest
    why: str
    images: tuple[ImageName, ...]
    image_count: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A backup that was made."""

    description: Description
    copied: int
    copied_bytes: int
    removed: int  # files that only earlier backups needed
    uploads: int  # open ones, whose bytes are in it
    rounds: int  # how often the database was copied
    lost: tuple[Lost, ...]  # the first `MOST`; `description.lost` counts all
    seconds: float


def make(config: Config, destination: Path, *, verify: bool, watch: Watch) -> Made:
    """Back the data directory up. `verify`: hash what earlier backups copied, and copy again what is damaged there.

    Raises BackupTrouble, CannotStart, SchemaTooNew, SchemaTooOld, StoreMismatch, DatabaseDamaged, OSError.
    """
    started, data, target = time.monotonic(), Path(config.server.data), Archive(destination)
    _check_places(destination, data)
    with wiring.opened(config) as (db, stores):
        if not isinstance(db, Database):
            raise BackupTrouble(
                "the rows lie in PostgreSQL: back it up with pg_dump or your provider's snapshots before the blob "
                "store, as docs/backup.md describes"
            )
        db.read_here(schema.require)
        known = db.read_here(installation.known_stores)
        _check_same(target, {one.store_id for one in known})
        for one in known:
            stores.holding(one.region, one.store_id)
        made = archive.make_directory(destination)
        try:
            with target.held(alone=True):
                result = asyncio.run(stores.during(_Work(data, db, stores, target, verify=verify, watch=watch).run()))
        except BaseException:
            # What was copied is used by the next backup. Where nothing was, nothing is left behind.
            if made is not None and not target.copies():
                shutil.rmtree(made)
            raise
    return dataclasses.replace(result, seconds=time.monotonic() - started)


def _check_places(destination: Path, data: Path) -> None:
    if not archive.apart(destination, data):
        raise BackupTrouble(f"{destination} and the data directory {data} lie in each other: choose another place")
    is_ours = (destination / archive.LOCK).exists() or (destination / archive.DESCRIPTION).exists()
    if destination.exists() and not is_ours and any(destination.iterdir()):
        raise BackupTrouble(f"{destination} is not empty and holds no backup: name an empty or a new directory")


def _check_same(target: Archive, known: Set[str]) -> None:
    found = target.description()
    if found is not None and not known & set(found.stores.values()):
        raise BackupTrouble(f"{target.root} holds the backup of another installation: name another directory")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A store, and the backup's copy of it."""

    source: BlobStore
    copy: DiskStore


class _Work:
    """One backup, as far as it has come."""

    def __init__(
        self, data: Path, db: Database, stores: Stores, target: Archive, *, verify: bool, watch: Watch
    ) -> None:
        self._data, self._db, self._stores, self._target = data, db, stores, target
        self._verify, self._watch = verify, watch
        self._pairs: dict[str, _Pair] = {}  # by the store's identity
        self._by_region: dict[Region, _Pair] = {}  # of these, what uploads are in
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._copied = self._copied_bytes = 0
        self._touched: set[Path] = set()  # directories with new names in them
        self._begin_round()

    def _begin_round(self) -> None:
        self._stale = self._done = self._total = self._blobs = self._uploads = self._lost_count = 0
        self._lost: list[Lost] = []

    async def run(self) -> Made:
        self._clear()
        for number in range(1, ROUNDS + 1):
            self._begin_round()
            now = dt.datetime.now(dt.UTC)
            state_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
            state = _new_directory(self._target.state(state_id))
            await self._round(state, final=number == ROUNDS)
            if self._stale == 0 or number == ROUNDS:
                break
            shutil.rmtree(state)
        files = await asyncio.to_thread(self._complete, state)
        description = self._describe(state_id, state, now, files)
        self._clear()
        removed = await self._prune(state)
        return Made(
            description=description,
            copied=self._copied,
            copied_bytes=self._copied_bytes,
            removed=removed,
            uploads=self._uploads,
            rounds=number,
            lost=tuple(self._lost),
            seconds=0.0,
        )

    async def _round(self, state: Path, *, final: bool) -> None:
        """Copy the database, and all bytes that this copy names and that are not there yet."""
        self._watch("database", 0, 0)
        copy = state / wiring.DATABASE
        await asyncio.to_thread(copies.take, self._data / wiring.DATABASE, copy)
        with copies.opened(copy) as tx:
            troubles = await asyncio.to_thread(checks.trouble_of_file, tx)
            if troubles:
                raise DatabaseDamaged(troubles[0])
            self._total = checks.totals(tx)["bytes"]
            for one in installation.known_stores(tx):
                copied = self._target.store(one, make=True)
                pair = _Pair(source=self._stores.holding(one.region, one.store_id), copy=copied)
                self._pairs[one.store_id] = pair
                if one.role == "main":
                    self._by_region[one.region] = pair
            last = 0
            while page := blob_rows.page(tx, after=last, limit=_PAGE):
                last = page[-1].id
                await asyncio.gather(*(self._blob(tx, blob, final=final) for blob in page))
            after = ""
            while found := checks.open_uploads(tx, after=after, limit=_PAGE):
                after = found[-1][0].id
                await asyncio.gather(*(self._upload(tx, upload, region) for upload, region in found if upload.size))

    async def _blob(self, tx: Tx, blob: Blob, *, final: bool) -> None:
        async with self._slots:
            why = await self._copy_blob(blob)
            self._advance(blob.size)
            self._blobs += 1
            if why is None:
                return
            live = self._db.read_here(lambda live: blob_rows.by_id(live, blob.id))
            if live is None or live.key != blob.key:
                self._stale += 1
                why = "deleted while the backup ran"
                if not final:
                    return
            blob_rows.set_damaged(tx, blob)
            self._lost_count += 1
            if len(self._lost) < MOST:
                images, count = checks.images_with_blob(tx, blob.id, _SHOWN_IMAGES)
                self._lost.append(Lost(digest=blob.digest, why=why, images=tuple(images), image_count=count))

    async def _copy_blob(self, blob: Blob) -> str | None:
        """What is wrong with the blob's bytes; None: the backup has them."""
        pair = self._pairs.get(blob.store_id)
        if pair is None:
            return "in a store that belongs to no region"
        found = await pair.copy.stat(blob.key)
        if found is not None and found.size == blob.size:
            if not self._verify:
                return None
            path, algorithm = pair.copy.path(blob.key), blob.digest.algorithm
            if await asyncio.to_thread(archive.hashed, path, algorithm) == blob.digest.hex:
                return None
        return await self._copy(pair, blob.key, blob.size, blob.digest, whole=True)

    async def _upload(self, tx: Tx, upload: Upload, region: Region) -> None:
        async with self._slots:
            pair, why = self._by_region[region], None
            found = await pair.copy.stat(upload.key)
            # Any copy that is as long will do: an upload's first bytes never change.
            if found is None or found.size < upload.size:
                why = await self._copy(pair, upload.key, upload.size, upload.digest, whole=False)
            self._advance(upload.size)
            if why is None:
                self._uploads += 1
            else:
                blob_rows.close_upload(tx, upload.id, "cancelled", upload.updated_at)

    async def _copy(self, pair: _Pair, key: str, size: int, digest: Digest | None, *, whole: bool) -> str | None:
        to, draft = pair.copy.path(key), self._target.drafts / key
        why = await archive.copy_bytes(pair.source, key, to, draft, size=size, like=digest, whole=whole)
        if why is not None:
            await pair.source.prove()  # bytes are lost only in a store that answers; of another nothing can be said
        else:
            self._touched.add(to.parent)
            self._copied, self._copied_bytes = self._copied + 1, self._copied_bytes + size
        return why

    def _advance(self, size: int) -> None:
        self._done += size
        self._watch("bytes", self._done, self._total)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _complete(self, state: Path) -> dict[str, File]:
        """Put the keys beside the copied database, and make everything durable."""
        files = {wiring.DATABASE: archive.look(state / wiring.DATABASE)}
        certificates = sorted((self._data / TLS).glob("*.*"))
        for source in (self._data / wiring.MASTER_KEY, self._data / wiring.ROOT_KEY, *certificates):
            if source.is_file():
                name = source.relative_to(self._data).as_posix()
                (state / name).parent.mkdir(mode=0o700, exist_ok=True)
                files[name] = archive.copy_file(source, state / name)
        archive.sync(state / wiring.DATABASE)
        stores = (self._target.root / archive.BLOBS, self._target.root / archive.STORES)
        places = (state / TLS, state, state.parent, *stores, self._target.root)
        for directory in (*self._touched, *places):
            if directory.exists():
                sync_directory(directory)
        return files

    def _describe(self, state_id: str, state: Path, now: dt.datetime, files: dict[str, File]) -> Description:
        with copies.opened(state / wiring.DATABASE) as tx:
            description = Description(
                format=archive.FORMAT,
                state=state_id,
                created_at=now,
                schema=schema.version(tx) or "",
                stores={one.region: one.store_id for one in installation.known_stores(tx) if one.role == "main"},
                files=files,
                blobs=self._blobs,
                bytes=self._total,
                lost=self._lost_count,
            )
        self._target.describe(description)
        return description

    def _clear(self) -> None:
        """Delete what killed backups left half done, and all states but the one that counts."""
        counts = self._target.description()
        shutil.rmtree(self._target.drafts, ignore_errors=True)
        self._target.drafts.mkdir(mode=0o700)
        states = self._target.root / archive.STATES
        for state in states.iterdir() if states.exists() else ():
            if counts is None or state.name != counts.state:
                shutil.rmtree(state)

    async def _prune(self, state: Path) -> int:
        """Delete bytes that only earlier states needed; how many files that were."""
        removed, ever = 0, dt.datetime.now(dt.UTC) + _EVER
        used = {pair.copy.root for pair in self._pairs.values()}
        for root in self._target.copies():
            if root not in used:  # of a store that rows do not name any more
                removed += sum(1 for _ in root.glob("??/*"))
                shutil.rmtree(root)
        with copies.opened(state / wiring.DATABASE) as tx:
            for pair in self._pairs.values():
                batch: list[str] = []
                async for key in pair.copy.keys(ever):
                    batch.append(key)
                    if len(batch) == _PAGE:
                        removed += await _delete_unnamed(tx, pair.copy, batch)
                        batch = []
                removed += await _delete_unnamed(tx, pair.copy, batch)
        return removed


def _new_directory(path: Path) -> Path:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700)
    return path


async def _delete_unnamed(tx: Tx, store: DiskStore, keys: list[str]) -> int:
    unnamed = set(keys) - checks.named_keys(tx, store.store_id, keys)
    for key in unnamed:
        await store.delete(key)
    return len(unnamed)
