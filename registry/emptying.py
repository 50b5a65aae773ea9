"""Emptying a region's previous store: every blob that a row names there goes to where new bytes go.

Blobs are gone through by their digests, a few at a time, again and again until a round finds nothing more: a server
that was not restarted yet may still have stored some. What is done is said by the rows, so one that was stopped
anywhere is simply begun again, and two at once do no harm. Memory does not grow with what is moved.

Bytes that are missing or damaged cannot be moved, and stay named where they are, until they are pushed again: that puts
good ones where new bytes go. Whoever gives them up has their rows moved without bytes.
"""

import asyncio
import dataclasses
import functools
import logging
import time
from collections.abc import Callable
from typing import Final

from registry import relocation
from registry.context import Deps
from registry.errors import Unavailable
from registry.model import Blob
from registry.names import Digest, Region
from registry.records import blobs as rows
from registry.records import gc as gc_rows
from registry.records import installation
from registry.storage.base import BlobStore

Watch = Callable[[str, int, int], None]  # (what is done, how far, of how much; 0: not known)

MOST: Final = 1000  # damaged blobs that are told one by one; all are counted
_PAGE: Final = 200
_AT_ONCE: Final = 8
_FAILURES: Final = 20  # in a row, after which a store does not work

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Emptied:
    """What was done, and what is still in the previous store of a region."""

    region: Region
    moved: int
    moved_bytes: int
    damaged: tuple[Digest, ...]  # the first `MOST` of those that stay because their bytes are missing or wrong
    damaged_count: int
    given_up: int  # damaged ones that were left behind without their bytes
    failed: int  # moves that a store did not make; they are made when this is done again
    left: int
    left_bytes: int
    buried: int  # no row names them any more, and garbage collection deletes them
    buried_bytes: int
    seconds: float

    @property
    def is_whole(self) -> bool:
        """Whether no row names anything in the previous store any more."""
        return self.left == 0


async def regions(deps: Deps) -> list[Region]:
    """The regions that have a previous store."""
    known = await deps.db.read(installation.known_stores)
    return [one.region for one in known if one.role == "previous"]


async def empty(
    deps: Deps,
    region: Region,
    *,
    dry_run: bool = False,
    give_up: bool = False,
    watch: Watch = lambda step, done, total: None,
) -> Emptied:
    """Move everything that lies in the region's previous store. `give_up`: let go of what is damaged.

    Raises StorageUnavailable, StorageFull, DatabaseUnavailable where moving is not possible at all.
    """
    store_id = await deps.db.read(lambda tx: installation.store_of(tx, region, "previous"))
    assert store_id is not None, "asked for a region without a previous store"
    work = _Emptying(deps, region, store_id, give_up=give_up, watch=watch)
    if not dry_run:
        await deps.stores.holding(region, store_id).prove()
        await deps.stores.of(region).prove()
        await work.run()
    return await work.result()


class _Emptying:
    """One store being emptied, as far as it has come."""

    def __init__(self, deps: Deps, region: Region, store_id: str, *, give_up: bool, watch: Watch) -> None:
        self._deps, self._region, self._store_id = deps, region, store_id
        self._give_up, self._watch = give_up, watch
        self._target: BlobStore = deps.stores.of(region)
        self._began = time.monotonic()
        self._moved = self._moved_bytes = self._given_up = self._failures = 0
        self._done = self._total = 0
        self._damaged: set[Digest] = set()
        self._failed: set[Digest] = set()
        self._trouble: Unavailable | None = None  # after which going on is of no use

    async def run(self) -> None:
        _, self._total = await self._deps.db.read(functools.partial(rows.amount_in, store_id=self._store_id))
        before = -1
        while before != self._moved + self._given_up:
            before, after, self._failed = self._moved + self._given_up, "", set()
            while page := await self._page(after):
                after = page[-1].digest
                await self._move_all(page)

    async def _page(self, after: str) -> list[Blob]:
        return await self._deps.db.read(
            functools.partial(rows.in_store, store_id=self._store_id, after=after, limit=_PAGE)
        )

    async def _move_all(self, blobs: list[Blob]) -> None:
        waiting = iter([blob for blob in blobs if blob.digest not in self._damaged])

        async def mover() -> None:
            for blob in waiting:
                if self._trouble is None:
                    await self._move(blob)

        await asyncio.gather(*(mover() for _ in range(_AT_ONCE)))
        if self._trouble is not None:
            raise self._trouble

    async def _move(self, blob: Blob) -> None:
        try:
            outcome = await relocation.move(self._deps, self._region, blob.id, self._target)
        except Unavailable as error:
            self._failed.add(blob.digest)
            self._failures += 1
            _log.warning("blob %s was not moved: %s", blob.digest, error.__cause__ or error.message)
            if self._failures >= _FAILURES:
                self._trouble = error
            return
        self._failures = 0
        self._done += blob.size
        self._watch("moving", self._done, max(self._total, self._done))
        if outcome == "moved":
            self._moved, self._moved_bytes = self._moved + 1, self._moved_bytes + blob.size
        elif outcome == "damaged" and self._give_up:
            self._given_up += await relocation.give_up(self._deps, blob.id, self._target)
        elif outcome == "damaged":
            self._damaged.add(blob.digest)

    async def result(self) -> Emptied:
        left, left_bytes = await self._deps.db.read(functools.partial(rows.amount_in, store_id=self._store_id))
        buried = await self._deps.db.read(functools.partial(gc_rows.amount_buried, store_id=self._store_id))
        return Emptied(
            region=self._region,
            moved=self._moved,
            moved_bytes=self._moved_bytes,
            damaged=tuple(sorted(self._damaged)[:MOST]),
            damaged_count=len(self._damaged),
            given_up=self._given_up,
            failed=len(self._failed),
            left=left,
            left_bytes=left_bytes,
            buried=buried.count,
            buried_bytes=buried.bytes,
            seconds=time.monotonic() - self._began,
        )
