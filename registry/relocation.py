"""Moving one blob's bytes from the store that its row names to another store of the region.

    1  copy      the bytes are streamed to a fresh key of the other store, and hashed on the way
    2  name      in one transaction the row names them there, if it still names the old ones, and those are buried
    3  bury      garbage collection deletes the old bytes, `grace.LINGER` later: who read the row before, or was given
                 a URL of the store, still finds them

House law 1 holds at every step: bytes before the row, the row before the burial. Killed after 1, a copy is left that no
row names, which garbage collection sweeps; killed after 2, the move is made. So it may be done again at any time.

Whoever changes the row meanwhile wins: another mover, garbage collection, a push that found the old bytes bad. The copy
goes then. A push that brought the same bytes to the other store by itself wins too: links lead to its row, and the old
row goes. What is not what its digest says is not moved, but marked, as it would be if a client had asked for it.
"""

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Final, Literal

from registry import failpoints, grace, layers
from registry.context import Deps
from registry.errors import StorageUnavailable, Unavailable
from registry.model import Blob
from registry.names import Digest, Region
from registry.records import blobs as rows
from registry.records import gc as gc_rows
from registry.records.engine import Tx
from registry.records.gc import Burial
from registry.storage.base import BlobStore, Stored

# What a move came to: made; not needed, as the bytes are there; nothing left to move; not possible, as the bytes are
# missing or not what their digest says; not made, as they had to stay when it came to it.
Outcome = Literal["moved", "there", "gone", "damaged", "kept"]

_GONE: Final[Outcome] = "gone"


async def move(
    deps: Deps,
    region: Region,
    blob_id: int,
    target: BlobStore,
    *,
    may: Callable[[Tx, Blob], bool] = lambda tx, blob: True,
) -> Outcome:
    """Move a blob's bytes to `target`, a store of the same region. Raises StorageUnavailable, StorageFull.

    Every repository of the region that may hand the blob out hands it out from there. `may`: asked in the transaction
    that names the bytes there; where it says no, all stays as it is.
    """
    blob = await deps.db.point(lambda tx: rows.by_id(tx, blob_id))
    if blob is None:
        return _GONE
    if blob.store_id == target.store_id:
        return "damaged" if blob.damaged else "there"
    known = await deps.db.point(lambda tx: rows.find(tx, target.store_id, blob.digest))
    if known is not None and not known.damaged and await layers.is_healthy(deps, target, known, replaceable=True):
        outcome, _ = await deps.db.housekeep(functools.partial(_name, deps, blob, target, None, may))
        if outcome != "damaged":
            return outcome
    source = deps.stores.holding(region, blob.store_id)
    stored = await _copied(deps, source, blob, target)
    if stored is None:
        now = await deps.db.point(lambda tx: rows.by_id(tx, blob_id))
        return "damaged" if now is not None and now.damaged else _GONE  # with them whoever moved them meanwhile
    await failpoints.crossing("move-copied")
    outcome, spare = await deps.db.housekeep(functools.partial(_name, deps, blob, target, stored, may))
    await failpoints.crossing("move-named")
    if spare is not None:
        with contextlib.suppress(Unavailable):  # garbage collection finds it
            await target.delete(spare)
    return outcome


async def give_up(deps: Deps, blob_id: int, target: BlobStore) -> bool:
    """Let a damaged blob's row name `target`, where it has no bytes: it stays unknown until it is pushed again. False
    where the row is no longer so."""
    fresh = await target.begin()

    def unit(tx: Tx) -> bool:
        now = deps.clock.now()
        row = rows.by_id(tx, blob_id)
        if row is None or not row.damaged or row.store_id == target.store_id:
            return False
        known = rows.find(tx, target.store_id, row.digest)
        if known is None:
            rows.relocate(tx, row, store_id=target.store_id, key=fresh.key, identity=None, damaged=True)
        else:
            rows.join(tx, row, known, now)
        due = now + grace.LINGER
        gc_rows.note_burials(tx, [Burial(store_id=row.store_id, key=row.key, size=row.size, due=due)], now)
        return True

    return await deps.db.housekeep(unit)


# --- inside -----------------------------------------------------------------------------------------------------------


async def _copied(deps: Deps, source: BlobStore, blob: Blob, target: BlobStore) -> Stored | None:
    """The bytes as they are in `target`; None where they are missing or wrong, which is noted in the row."""
    staged, hashed = await target.begin(), _Hashed(source, blob)
    try:
        async with target.hold(staged) as hold:
            staged = await hold.append(staged, hashed.pieces())
            if hashed.digest == blob.digest:
                return await _certain(await hold.finish(staged), blob, target)
    except FileNotFoundError:
        await target.abort(staged)
        await layers.lose(deps, source, blob)
        return None
    except BaseException:
        with contextlib.suppress(Exception):
            await target.abort(staged)
        raise
    await target.abort(staged)
    await layers.condemn(deps, blob, "not what its digest says")
    return None


async def _certain(stored: Stored, blob: Blob, target: BlobStore) -> Stored:
    """The bytes that were written, read again where the store cannot say that they are these."""
    if stored.identity is None:
        again = _Hashed(target, dataclasses.replace(blob, key=stored.key))
        async for _ in again.pieces():
            pass
        if again.digest != blob.digest:
            raise StorageUnavailable from OSError(f"{stored.key} is not what was written")
    return stored


class _Hashed:
    """A blob's stored bytes on their way, hashed; a byte more than it has is enough to know that they are wrong."""

    def __init__(self, source: BlobStore, blob: Blob) -> None:
        self._source, self._blob = source, blob
        self._state = hashlib.new(blob.digest.algorithm)

    async def pieces(self) -> AsyncIterator[bytes]:
        async with contextlib.aclosing(self._source.read(self._blob.key, 0, self._blob.size + 1)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(self._state.update, piece)
                yield piece

    @property
    def digest(self) -> Digest:
        return Digest(f"{self._blob.digest.algorithm}:{self._state.hexdigest()}")


def _name(
    deps: Deps, seen: Blob, target: BlobStore, stored: Stored | None, may: Callable[[Tx, Blob], bool], tx: Tx
) -> tuple[Outcome, str | None]:
    """Name the copy: (what that comes to, the key of a copy that nobody needs). Without a copy, only where the target
    has good bytes already; else "damaged"."""
    now, spare = deps.clock.now(), None if stored is None else stored.key
    row = rows.by_id(tx, seen.id)
    if row is None or (row.store_id, row.key) != (seen.store_id, seen.key):
        at_home = row is not None and row.store_id == target.store_id
        return "there" if at_home else _GONE, spare
    if not may(tx, row):
        return "kept", spare
    known = rows.find(tx, target.store_id, seen.digest)
    old = Burial(store_id=seen.store_id, key=seen.key, size=seen.size, due=now + grace.LINGER)
    if known is not None and not known.damaged:
        rows.join(tx, row, known, now)
        gc_rows.note_burials(tx, [old], now)
        return "moved", spare
    if stored is None:
        return "damaged", None
    if known is None:
        rows.relocate(tx, row, store_id=target.store_id, key=stored.key, identity=stored.identity)
        gc_rows.note_burials(tx, [old], now)
    else:
        rows.replace(tx, known, key=stored.key, identity=stored.identity)
        rows.join(tx, row, known, now)
        bad = Burial(store_id=known.store_id, key=known.key, size=known.size)
        gc_rows.note_burials(tx, [old, bad], now)
    return "moved", None
