"""Garbage collection: what nothing needs any more goes, while pushes and pulls go on.

    1  look       stored keys that no row names are counted; too many of them, and nothing is done (promises.md F27)
       end        deleted images whose window is over let go of what they hold
    2  condemn    links that no manifest needs and that are out of their grace period are marked
    3  sweep      marked links go; one that was touched or is needed again is live again
    4  bury       rows of blobs that no repository hands out and no deleted image holds go, and their bytes after them
                  (house law 1)
    5  tidy       uploads that nobody goes on with, keys that no row names, old rows of uploads

What may go is decided in `grace.py` and again, on the rows as they are, in each transaction of `records/gc.py`. Those
are small, and between two of them others have their turn. Wherever this is killed, the next pass goes on: marks and
burials are rows, and bytes without a row are found by their keys. Two passes at once do no harm, so the hold that a
pass takes only saves work.

A pass never touches a store that does not prove to be the one that the rows speak of, nor a key that is not written
like one of ours.
"""

import asyncio
import collections
import contextlib
import dataclasses
import datetime as dt
import functools
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Literal, TypeVar

from registry import failpoints, grace, undo
from registry.collected import Collected, RegionShare, RepositoryShare, Tally
from registry.errors import DatabaseUnavailable, StorageFull, StorageUnavailable
from registry.model import StoreRole, Upload
from registry.names import Region
from registry.options import Gc
from registry.records import blobs as blob_rows
from registry.records import gc as rows
from registry.records import installation
from registry.records.engine import Rows, Tx
from registry.records.gc import FIRST, Amount, Burial, LinkKey
from registry.storage.base import BlobStore, Staged, Stores, UploadBusy, UploadLost

T = TypeVar("T")

Step = Literal["keys", "links", "sweep", "blobs", "uploads", "unnamed"]
Watch = Callable[[str, int, int], None]  # (what is looked at, how far, of how many; 0: not known)

YOUNGEST_KEY: Final = dt.timedelta(hours=1)  # bytes younger than this may be a push whose row is not written yet
_PAGE: Final = 2000  # rows that one read goes through
_BATCH: Final = 100  # rows that one write changes
_KEYS: Final = 500  # stored keys that are looked up together
_MOST_KEYS: Final = 50_000  # keys without a row that one pass takes; the next takes more
_TRIES: Final = 5  # for a write that does not get its turn
_KEY: Final = re.compile(r"[0-9a-f]{32}(-[0-9a-f]{8})?")
_EVER: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_log = logging.getLogger(__name__)


async def collect(
    db: Rows,
    stores: Stores,
    terms: Gc,
    *,
    now: dt.datetime,
    force: bool = False,
    dry_run: bool = False,
    watch: Watch = lambda step, done, total: None,
    still_at_it: Callable[[], None] = lambda: None,
) -> Collected:
    """One pass. `force`: also where the database looks older than the store. `dry_run`: only say what would go.

    `still_at_it` is called again and again. Raises DatabaseUnavailable where rows cannot be reached for long.
    """
    work = _Pass(db, stores, terms, now=now, dry_run=dry_run, watch=watch, still_at_it=still_at_it)
    began = time.monotonic()
    refused = await work.look()
    if dry_run:
        await work.survey()
    elif refused is None or force:
        await work.do()
    return await work.result(None if force else refused, seconds=time.monotonic() - began)


@dataclasses.dataclass(slots=True)
class _Region:
    """What went so far of a region."""

    name: Region
    took: dict[str, Tally] = dataclasses.field(default_factory=lambda: collections.defaultdict(Tally))
    failed: int = 0
    stored: int = 0  # bytes, those without a row among them
    unnamed: int = 0  # bytes that no row names


@dataclasses.dataclass(slots=True)
class _Store:
    """A store that proved to be ours."""

    region: _Region
    role: StoreRole
    store: BlobStore
    unnamed: list[tuple[str, int]] = dataclasses.field(default_factory=list)  # keys that no row names, with their sizes


class _Pass:
    """One pass, as far as it has come."""

    def __init__(
        self,
        db: Rows,
        stores: Stores,
        terms: Gc,
        *,
        now: dt.datetime,
        dry_run: bool,
        watch: Watch,
        still_at_it: Callable[[], None],
    ) -> None:
        self._db, self._stores, self._terms, self._now = db, stores, terms, now
        self._dry_run, self._watch, self._still_at_it = dry_run, watch, still_at_it
        self._before = grace.due_before(now, terms.grace)
        self._opened: dict[str, _Store] = {}  # by the store's identity
        self._regions: dict[Region, _Region] = {}
        self._unreachable: list[str] = []
        self._layers: dict[int, Tally] = collections.defaultdict(Tally)  # by repository
        self._forgotten = 0

    async def look(self) -> str | None:
        """Open the stores and count what no row names. Why nothing should be collected; None: nothing speaks
        against it."""
        await self._open_stores()
        named = await self._db.read(rows.stored_bytes)
        for store_id, opened in self._opened.items():
            unnamed = await self._find_unnamed(opened)
            opened.region.unnamed += unnamed.bytes
            opened.region.stored += named.get(store_id, 0) + unnamed.bytes
        # Over all stores of a region: one that is being emptied may hold little else.
        reasons = [
            f"{region.unnamed} of {region.stored} bytes in the store of region {region.name} are named by no row"
            for region in self._regions.values()
            if grace.refuses(region.unnamed, region.stored, self._terms.refuse_percent)
        ]
        return "; ".join(reasons) or None

    async def do(self) -> None:
        """Collect."""
        for opened in self._opened.values():
            await self._delete_buried(opened)
        await undo.end(self._write, now=self._now)
        await self._condemn()
        await self._sweep()
        await self._bury()
        await self._end_uploads()
        for opened in self._opened.values():
            await self._delete_unnamed(opened)
            await self._sweep_parts(opened)
        await self._forget_uploads()

    async def survey(self) -> None:
        """Count what `do` would take, in the same pages."""
        async for after, last in self._link_pages():
            for one in await self._db.read(
                functools.partial(rows.unneeded, after=after, last=last, before=self._before)
            ):
                self._layers[one.repository_id] += Tally(one.links, one.bytes)
        async for first, end in self._blob_pages():
            await self._count(rows.due_blobs, first, end, as_="blobs")
            await self._count(rows.held_blobs, first, end, as_="held")
        for opened in self._opened.values():
            async for page in self._burials(opened):
                opened.region.took["blobs"] += Tally(len(page), sum(one.size for one in page))
            opened.region.took["unnamed"] += Tally(len(opened.unnamed), sum(size for _, size in opened.unnamed))
        async for stale in self._stale_uploads():
            for upload, region in stale:
                for opened in self._main_of(region):
                    opened.region.took["uploads"] += Tally(1, upload.size)

    async def _count(self, amounts: Callable[..., list[Amount]], after: int, last: int, *, as_: str) -> None:
        asked = functools.partial(amounts, after=after, last=last, before=self._before, now=self._now)
        for amount in await self._db.read(asked):
            if amount.store_id in self._opened:
                self._opened[amount.store_id].region.took[as_] += Tally(amount.count, amount.bytes)

    async def result(self, refused: str | None, *, seconds: float) -> Collected:
        names = await self._db.read(functools.partial(rows.repository_names, ids=list(self._layers)))
        return Collected(
            dry_run=self._dry_run,
            refused=refused,
            regions=tuple(
                RegionShare(
                    region=region.name,
                    blobs=region.took["blobs"],
                    held=region.took["held"],
                    uploads=region.took["uploads"],
                    unnamed=region.took["unnamed"],
                    parts=region.took["parts"].count,
                    failed=region.failed,
                )
                for region in self._regions.values()
            ),
            repositories=tuple(
                RepositoryShare(registry=registry, name=name, layers=self._layers[one])
                for one, (registry, name) in sorted(names.items(), key=lambda item: item[1])
            ),
            forgotten_uploads=self._forgotten,
            unreachable=tuple(self._unreachable),
            seconds=seconds,
        )

    # --- looking ------------------------------------------------------------------------------------------------------

    async def _open_stores(self) -> None:
        async for known, found in self._stores.proven(await self._db.read(installation.known_stores)):
            if isinstance(found, Exception):
                self._unreachable.append(f"region {known.region}: {found.__cause__ or found}")
                continue
            region = self._regions.setdefault(known.region, _Region(known.region))
            self._opened[known.store_id] = _Store(region, known.role, found)

    async def _find_unnamed(self, opened: _Store) -> Tally:
        """Note the store's keys that no row names and that are old enough to go; how much no row names at all."""
        found, batch, seen = Tally(), list[str](), 0
        async for key in opened.store.keys(self._now - YOUNGEST_KEY):
            if _KEY.fullmatch(key):
                batch.append(key)
            if len(batch) == _KEYS:
                found += await self._without_row(opened, batch)
                seen += len(batch)
                batch = []
                self._tell("keys", seen, 0)
        return found + await self._without_row(opened, batch)

    async def _without_row(self, opened: _Store, keys: Sequence[str]) -> Tally:
        found = Tally()
        unnamed = functools.partial(rows.unnamed, store_id=opened.store.store_id, keys=keys)
        for key in await self._db.read(unnamed) if keys else ():
            stored = await opened.store.stat(key)
            if stored is None or stored.written_at is None:
                continue
            found += Tally(1, stored.size)
            if stored.written_at < self._before and len(opened.unnamed) < _MOST_KEYS:
                opened.unnamed.append((key, stored.size))
        return found

    async def _link_pages(self) -> AsyncIterator[tuple[LinkKey, LinkKey]]:
        after, seen = FIRST, 0
        while last := await self._db.read(functools.partial(rows.link_page, after=after, limit=_PAGE)):
            yield after, last
            after, seen = last, seen + _PAGE
            self._tell("links", seen, 0)
            await asyncio.sleep(0)

    async def _blob_pages(self) -> AsyncIterator[tuple[int, int]]:
        after, seen = 0, 0
        while last := await self._db.read(functools.partial(rows.blob_page, after=after, limit=_PAGE)):
            yield after, last
            after, seen = last, seen + _PAGE
            self._tell("blobs", seen, 0)
            await asyncio.sleep(0)

    # --- rows, and the bytes after them -------------------------------------------------------------------------------

    async def _condemn(self) -> None:
        async for after, last in self._link_pages():
            due = await self._db.read(functools.partial(rows.due_links, after=after, last=last, before=self._before))
            if due:
                await failpoints.crossing("gc-mark")
            for first in range(0, len(due), _BATCH):
                keys = due[first : first + _BATCH]
                await self._write(functools.partial(rows.condemn, keys=keys, before=self._before, now=self._now))
                await failpoints.crossing("gc-condemn")

    async def _sweep(self) -> None:
        taken, swept = 1, 0
        while taken:
            taken, gone = await self._write(functools.partial(rows.sweep_links, before=self._before, limit=_BATCH))
            for one in gone:
                self._layers[one.repository_id] += Tally(one.links, one.bytes)
            if gone:
                await failpoints.crossing("gc-sweep")
            swept += taken
            self._tell("sweep", swept, 0)

    async def _bury(self) -> None:
        store_ids = list(self._opened)
        # Bytes that are not where new ones go may have been handed out a moment ago, under a row that led there.
        later = {
            one: None if opened.role == "main" else self._now + grace.LINGER for one, opened in self._opened.items()
        }
        async for after, last in self._blob_pages():
            dead = await self._db.read(
                functools.partial(rows.unlinked, after=after, last=last, before=self._before, store_ids=store_ids)
            )
            for first in range(0, len(dead), _BATCH):
                ids = dead[first : first + _BATCH]
                bury = functools.partial(rows.bury, ids=ids, before=self._before, now=self._now, due=later)
                gone = [one for one in await self._write(bury) if one.due is None]
                await failpoints.crossing("gc-bury")
                for store_id, opened in self._opened.items():
                    await self._delete_bytes(opened, [one for one in gone if one.store_id == store_id])
            await self._count(rows.held_blobs, after, last, as_="held")

    async def _delete_buried(self, opened: _Store) -> None:
        """What an earlier pass had no time for."""
        async for page in self._burials(opened):
            await self._delete_bytes(opened, page)

    async def _burials(self, opened: _Store) -> AsyncIterator[list[Burial]]:
        after, store_id = "", opened.store.store_id
        while page := await self._db.read(
            functools.partial(rows.burials_of, store_id=store_id, now=self._now, after=after, limit=_BATCH)
        ):
            after = page[-1].key
            yield page

    async def _delete_bytes(self, opened: _Store, buried: Sequence[Burial]) -> None:
        deleted = [one for one in buried if await self._delete(opened, one.key)]
        if deleted:
            await failpoints.crossing("gc-delete")
            keys = [one.key for one in deleted]
            await self._write(functools.partial(rows.forget, store_id=opened.store.store_id, keys=keys))
            opened.region.took["blobs"] += Tally(len(deleted), sum(one.size for one in deleted))

    async def _delete(self, opened: _Store, key: str) -> bool:
        """Whether the bytes are gone. What fails stays noted, and is tried again by the next pass."""
        try:
            await opened.store.delete(key)
        except (StorageUnavailable, StorageFull) as error:
            _log.warning("gc: %s of region %s cannot be deleted: %s", key, opened.region.name, error.__cause__ or error)
            opened.region.failed += 1
            return False
        return True

    # --- uploads, and bytes without a row -----------------------------------------------------------------------------

    async def _stale_uploads(self) -> AsyncIterator[list[tuple[Upload, Region]]]:
        before, after = self._now - dt.timedelta(seconds=self._terms.upload_seconds), (_EVER, "")
        while page := await self._db.read(
            functools.partial(rows.stale_uploads, before=before, after=after, limit=_BATCH)
        ):
            after = (page[-1][0].updated_at, page[-1][0].id)
            yield page

    async def _end_uploads(self) -> None:
        ended = 0
        async for page in self._stale_uploads():
            for upload, region in page:
                for opened in self._main_of(region):
                    opened.region.took["uploads"] += await self._end_upload(opened, upload)
                ended += 1
                self._tell("uploads", ended, 0)

    async def _end_upload(self, opened: _Store, upload: Upload) -> Tally:
        """Give an upload up, unless someone is writing to it."""
        staged = Staged(key=upload.key, size=upload.size, state=upload.state)
        async with contextlib.AsyncExitStack() as held:
            try:
                await held.enter_async_context(_alone(opened.store, staged))
                if not await self._write(functools.partial(rows.end_upload, upload=upload, now=self._now)):
                    return Tally()
                await failpoints.crossing("gc-upload")
                await opened.store.abort(staged)
            except UploadBusy:
                return Tally()
            except (StorageUnavailable, StorageFull) as error:
                _log.warning("gc: upload %s cannot be cleared away: %s", upload.id, error.__cause__ or error)
                opened.region.failed += 1
                return Tally()
        return Tally(1, upload.size)

    async def _delete_unnamed(self, opened: _Store) -> None:
        for number, (key, size) in enumerate(opened.unnamed, 1):
            with contextlib.suppress(UploadBusy):
                async with _alone(opened.store, Staged(key=key, size=size, state={})):
                    again = functools.partial(rows.unnamed, store_id=opened.store.store_id, keys=[key])
                    if await self._db.read(again) and await self._delete(opened, key):
                        opened.region.took["unnamed"] += Tally(1, size)
            self._tell("unnamed", number, len(opened.unnamed))

    async def _sweep_parts(self, opened: _Store) -> None:
        age = max(dt.timedelta(seconds=self._terms.upload_seconds), YOUNGEST_KEY)
        open_keys = await self._db.read(blob_rows.upload_keys)
        try:
            opened.region.took["parts"] += Tally(await opened.store.sweep_uploads(self._now - age, open_keys), 0)
        except (StorageUnavailable, StorageFull) as error:
            _log.warning("gc: unfinished uploads of region %s: %s", opened.region.name, error.__cause__ or error)
            opened.region.failed += 1

    async def _forget_uploads(self) -> None:
        before = self._now - dt.timedelta(seconds=self._terms.upload_seconds)
        while count := await self._write(functools.partial(rows.prune_uploads, before=before, limit=_BATCH)):
            self._forgotten += count

    # --- inside -------------------------------------------------------------------------------------------------------

    def _main_of(self, region: Region) -> list[_Store]:
        """The store that uploads are in."""
        mains = (opened for opened in self._opened.values() if opened.role == "main")
        return [opened for opened in mains if opened.region.name == region]

    async def _write(self, unit: Callable[[Tx], T]) -> T:
        """Write, and then give way for as long as that took: pushes wait for one batch at most, and for none twice."""
        for left in reversed(range(_TRIES)):
            began = time.monotonic()
            try:
                outcome = await self._db.housekeep(unit)
            except DatabaseUnavailable:
                if not left:
                    raise
                await asyncio.sleep(1)
                continue
            await asyncio.sleep(min(time.monotonic() - began, 1))
            return outcome
        raise AssertionError("unreachable")

    def _tell(self, step: Step, done: int, total: int) -> None:
        self._watch(step, done, total)
        self._still_at_it()


@contextlib.asynccontextmanager
async def _alone(store: BlobStore, staged: Staged) -> AsyncIterator[None]:
    """While no writer has hold of the bytes, where that can be told: in a file. Raises UploadBusy."""
    if store.path(staged.key) is None:
        yield
        return
    try:
        async with store.hold(staged):
            yield
    except UploadLost:
        yield
