"""Scrubbing: stored bytes are read and hashed, so that what rots is found before it is asked for (promises.md F44).

The server notices by itself what leaves a trace in a file's identity. Rot that leaves none is found only here. What is
not what its digest says, or is gone, is marked: clients are told that it is unknown, and the next push of it puts good
bytes in its place. What was marked and is good again, put back from a backup perhaps, loses its mark. No bytes are
touched.

A scrub goes through the blobs by their ids and notes now and then how far it is; one that was stopped goes on there. A
blob that is replaced or collected while it is read is no trouble: marks are bound to the key that was read.
"""

import asyncio
import dataclasses
import datetime as dt
import functools
import hashlib
import time
from collections.abc import Callable
from typing import Final, Literal

from registry.errors import StorageUnavailable
from registry.findings import ImageName
from registry.model import Blob
from registry.names import Digest, Region
from registry.records import blobs as blob_rows
from registry.records import checks, chores, installation
from registry.records.engine import Rows
from registry.storage.base import BlobStore, Stores

SCRUB: Final = "scrub"
MOST: Final = 1000  # troubles that are kept; all are counted
_PAGE: Final = 100
_NOTE_SECONDS: Final = 2.0  # between two notes of how far it is
_SHOWN_IMAGES: Final = 20

Watch = Callable[[str, int, int], None]  # (what is done, how far, of how much; 0: not known)
Why = Literal["missing", "cut short", "other bytes", "unreadable"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A blob whose bytes are not what they should be, and the images that need it, the first few of `image_count`."""

    digest: Digest
    region: Region
    key: str
    why: Why
    is_marked: bool  # clients are told that it is unknown. What may be there again in a moment is not marked
    images: tuple[ImageName, ...]
    image_count: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """What a scrub came to. `resumed_after`: so many blobs had one looked at that was stopped before."""

    blobs: int
    bytes: int
    healed: int  # were marked, and are good
    troubles: tuple[Trouble, ...]
    trouble_count: int
    resumed_after: int
    unreachable: tuple[str, ...]  # stores that were left alone, and why
    seconds: float

    @property
    def is_sound(self) -> bool:
        return not self.trouble_count and not self.unreachable


async def scrub(
    db: Rows,
    stores: Stores,
    *,
    now: dt.datetime,
    rate: int = 0,
    afresh: bool = False,
    watch: Watch = lambda step, done, total: None,
) -> Scrubbed:
    """Read every blob once. `rate`: bytes a second, on average; 0: as fast as it goes. `afresh`: from the beginning,
    also where one was stopped."""
    return await _Scrub(db, stores, now=now, rate=rate, watch=watch).run(afresh=afresh)


class _Scrub:
    """One scrub, as far as it has come."""

    def __init__(self, db: Rows, stores: Stores, *, now: dt.datetime, rate: int, watch: Watch) -> None:
        self._db, self._stores, self._now, self._rate, self._watch = db, stores, now, rate, watch
        self._began = self._noted = time.monotonic()
        self._opened: dict[str, tuple[Region, BlobStore]] = {}  # by the store's identity
        self._unreachable: list[str] = []
        self._troubles: list[Trouble] = []
        self._blobs = self._bytes = self._read = self._healed = self._count = self._before = self._total = 0

    async def run(self, *, afresh: bool) -> Scrubbed:
        chore = await self._db.read(functools.partial(chores.find, name=SCRUB))
        position = 0 if afresh else chore.position
        self._before = int(chore.facts.get("blobs", 0)) if position else 0
        self._total = (await self._db.read(checks.totals))["bytes"]
        await self._open_stores()
        while page := await self._db.read(functools.partial(blob_rows.page, after=position, limit=_PAGE)):
            for blob in page:
                if blob.store_id in self._opened:
                    await self._one(*self._opened[blob.store_id], blob)
                position = blob.id
                if time.monotonic() - self._noted > _NOTE_SECONDS:
                    await self._note(position)
        await self._note(0)
        return Scrubbed(
            blobs=self._blobs,
            bytes=self._bytes,
            healed=self._healed,
            troubles=tuple(self._troubles),
            trouble_count=self._count,
            resumed_after=self._before,
            unreachable=tuple(self._unreachable),
            seconds=time.monotonic() - self._began,
        )

    async def _open_stores(self) -> None:
        async for known, found in self._stores.proven(await self._db.read(installation.known_stores)):
            if isinstance(found, Exception):
                self._unreachable.append(f"region {known.region}: {found.__cause__ or found}")
            else:
                self._opened[known.store_id] = known.region, found

    async def _note(self, position: int) -> None:
        """Write down where to go on; 0: it is through."""
        self._noted = time.monotonic()
        chore = await self._db.read(functools.partial(chores.find, name=SCRUB))
        facts = {"blobs": self._before + self._blobs, "bytes": self._bytes, "troubles": self._count}
        ended_at = chore.ended_at if position else self._now + dt.timedelta(seconds=self._noted - self._began)
        started_at = chore.started_at if self._before else self._now
        noted = dataclasses.replace(chore, started_at=started_at, ended_at=ended_at, position=position, facts=facts)
        await self._db.housekeep(functools.partial(chores.note, chore=noted))

    async def _one(self, region: Region, store: BlobStore, blob: Blob) -> None:
        why, identity = await self._look(store, blob)
        self._blobs += 1
        self._bytes += blob.size
        if why is None:
            if blob.damaged:
                self._healed += await self._db.housekeep(
                    functools.partial(blob_rows.set_sound, blob=blob, identity=identity)
                )
            elif identity != blob.identity:
                await self._db.housekeep(functools.partial(blob_rows.set_identity, blob=blob, identity=identity))
            return
        # Only now is the row asked again: if it still names these bytes, it did so while they were bad.
        seen = await self._db.read(functools.partial(blob_rows.by_id, blob_id=blob.id))
        if seen is None or seen.key != blob.key:
            return
        certain = why in ("cut short", "other bytes") or (why == "missing" and await store.is_lost(blob.key))
        if certain:
            await self._db.housekeep(functools.partial(blob_rows.set_damaged, blob=blob))
        await self._report(region, blob, why, is_marked=certain or seen.damaged)

    async def _report(self, region: Region, blob: Blob, why: Why, *, is_marked: bool) -> None:
        self._count += 1
        if self._count > MOST:
            return
        images, count = await self._db.read(
            functools.partial(checks.images_with_blob, blob_id=blob.id, limit=_SHOWN_IMAGES)
        )
        self._troubles.append(
            Trouble(
                digest=blob.digest,
                region=region,
                key=blob.key,
                why=why,
                is_marked=is_marked,
                images=tuple(images),
                image_count=count,
            )
        )

    async def _look(self, store: BlobStore, blob: Blob) -> tuple[Why | None, str | None]:
        """What is wrong with the bytes; None: nothing, and this is their identity."""
        try:
            found = await store.stat(blob.key)
            if found is None:
                return "missing", None
            if found.size != blob.size:
                return "cut short" if found.size < blob.size else "other bytes", None
            state = hashlib.new(blob.digest.algorithm)
            async for piece in store.read(blob.key, 0, blob.size):
                await asyncio.to_thread(state.update, piece)
                await self._advance(len(piece))
        except FileNotFoundError:
            return "missing", None
        except StorageUnavailable:
            return "unreadable", None
        if f"{blob.digest.algorithm}:{state.hexdigest()}" != blob.digest:
            return "other bytes", None
        return None, found.identity

    async def _advance(self, size: int) -> None:
        self._read += size
        self._watch("hashing", self._read, self._total)
        if self._rate:
            ahead = self._read / self._rate - (time.monotonic() - self._began)
            if ahead > 0:
                await asyncio.sleep(ahead)
