"""Work on the house that comes again and again: whose turn it is, and what it came to.

Several processes may each believe that it is time. One of them takes hold of the chore and says so again while it is at
it; a hold lapses by itself, since its holder may have been killed. What each pass came to is added up in the chore's
row, which is where `/metrics` reads it: a pass by a command counts like one by the server.
"""

import dataclasses
import datetime as dt
import functools
import logging
import os
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

from registry import gc
from registry.collected import Collected
from registry.gc import Watch
from registry.options import Gc
from registry.records import chores as rows
from registry.records.chores import Chore
from registry.records.engine import Rows, Tx
from registry.storage.base import Stores

GC: Final = "gc"
_HELD: Final = dt.timedelta(seconds=60)
_SAY_AGAIN: Final = 15.0  # seconds

_log = logging.getLogger(__name__)


async def collect_when_due(
    db: Rows, stores: Stores, terms: Gc, *, now: dt.datetime, every: dt.timedelta
) -> Collected | None:
    """A pass of garbage collection, unless one was begun less than `every` ago or another process is at it."""
    hold = _Hold(db, GC, now)
    if await hold.take(begun_before=now - every):
        return await _collect(db, stores, terms, hold, now=now)
    return None


async def collect_now(
    db: Rows, stores: Stores, terms: Gc, *, now: dt.datetime, force: bool = False, watch: Watch
) -> Collected:
    """A pass of garbage collection, also while another is at work: that does no harm."""
    hold = _Hold(db, GC, now)
    await hold.take()
    return await _collect(db, stores, terms, hold, now=now, force=force, watch=watch)


async def figures(db: Rows) -> Chore:
    """What garbage collection came to so far."""
    return await db.read(functools.partial(rows.find, name=GC))


async def _collect(
    db: Rows, stores: Stores, terms: Gc, hold: "_Hold", *, now: dt.datetime, **options: Any
) -> Collected:
    try:
        collected = await gc.collect(db, stores, terms, now=now, still_at_it=hold.say_again, **options)
        ended_at = now + dt.timedelta(seconds=collected.seconds)
        await db.housekeep(functools.partial(_note, collected=collected, ended_at=ended_at))
        return collected
    finally:
        hold.leave()


def _note(tx: Tx, *, collected: Collected, ended_at: dt.datetime) -> None:
    chore = rows.find(tx, GC)
    facts = _added(chore.facts, collected)
    rows.note(tx, dataclasses.replace(chore, ended_at=ended_at, facts=facts))


def _added(before: Mapping[str, Any], collected: Collected) -> dict[str, Any]:
    """Sums over all passes, and the last one by itself."""
    regions = collected.regions
    now = {
        "passes": 1,
        "refusals": int(collected.refused is not None),
        "bytes": collected.bytes,
        "blobs": sum(region.blobs.count for region in regions),
        "uploads": sum(region.uploads.count for region in regions),
        "unnamed": sum(region.unnamed.count for region in regions),
        "failed": sum(region.failed for region in regions),
    }
    sums = {name: int(before.get(name, 0)) + count for name, count in now.items()}
    return {**sums, "lastSeconds": round(collected.seconds, 3), "lastBytes": collected.bytes}


class _Hold:
    """One process's hold of a chore. It saves work, and protects nothing."""

    def __init__(self, db: Rows, name: str, now: dt.datetime) -> None:
        self._db, self._name, self._now, self._began = db, name, now, time.monotonic()
        self._holder = f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._said = self._began

    async def take(self, begun_before: dt.datetime | None = None) -> bool:
        """Whether it is ours now."""
        taking = functools.partial(
            rows.take,
            name=self._name,
            holder=self._holder,
            now=self._now,
            until=self._now + _HELD,
            begun_before=begun_before,
        )
        return await self._db.housekeep(taking)

    def say_again(self) -> None:
        """That we are at it, if it is long since we said so."""
        if time.monotonic() - self._said > _SAY_AGAIN:
            self._said = time.monotonic()
            until = self._now + dt.timedelta(seconds=self._said - self._began) + _HELD
            self._db.note(functools.partial(rows.keep, name=self._name, holder=self._holder, until=until))

    def leave(self) -> None:
        self._db.note(functools.partial(rows.leave, name=self._name, holder=self._holder))
