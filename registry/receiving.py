"""Bytes of an upload on their way into the store: hashed as they come, and cut off where they are too many."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterable

from registry import intake, quotas
from registry.context import Deps
from registry.errors import TooLarge, Unavailable
from registry.intake import Hash
from registry.lent import Body
from registry.model import Upload
from registry.names import Digest
from registry.storage.base import BlobStore, Hold, Staged, Stored
from registry.storage.trouble import translated


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    staged: Staged
    state: Hash | None
    cut: intake.BodyCut | None

    def digest(self, algorithm: str) -> Digest | None:
        """Of all bytes so far; None: what was there before could not be read."""
        return None if self.state is None else Digest(f"{algorithm}:{self.state.hexdigest()}")


async def receive(
    deps: Deps,
    hold: Hold,
    row: Upload,
    algorithm: str,
    chunks: AsyncIterable[bytes],
    room: quotas.Room | None,
) -> Received:
    """Take what comes. Raises TooLarge or QuotaExceeded at the byte that is too much."""
    most = deps.settings.limits.layer_bytes
    if room is None or room.bytes >= most:
        return await _up_to(deps, hold, row, algorithm, chunks, most - row.size)
    try:
        return await _up_to(deps, hold, row, algorithm, chunks, room.bytes - row.size)
    except TooLarge:
        raise room.refusal from None


async def _up_to(
    deps: Deps, hold: Hold, row: Upload, algorithm: str, chunks: AsyncIterable[bytes], limit: int
) -> Received:
    staged = Staged(key=row.key, size=row.size, state=row.state)
    state = await _hash_so_far(deps, hold, row, algorithm)
    fd = hold.sink(staged)
    if fd is None:
        source = intake.Hashed(chunks, state, limit=limit)
        staged = await hold.append(staged, source.pieces())
        return Received(staged=staged, state=state, cut=source.cut)
    assert state is not None  # what is written to a file can be read from it
    try:
        with translated():
            early = deps.settings.storage.early_write_back
            lent = await chunks.lend(limit) if isinstance(chunks, Body) else None
            if lent is not None:
                size, cut = await lent.receive(fd, state, early=early)
            else:
                size, cut = await intake.receive(chunks, fd, state, limit=limit, early=early)
    except BaseException:
        with contextlib.suppress(Unavailable):
            hold.sink(staged)  # cuts off what came, so that a full disk has room again at once
        raise
    return Received(staged=dataclasses.replace(staged, size=staged.size + size), state=state, cut=cut)


async def _hash_so_far(deps: Deps, hold: Hold, row: Upload, algorithm: str) -> Hash | None:
    """The hash of the bytes that are in; None where they cannot be read before they are finished."""
    if row.size == 0:
        return intake.new_hash(algorithm)
    known = deps.hashes.get(row.id, row.size)
    if known is not None:
        return known
    written = hold.written(Staged(key=row.key, size=row.size, state=row.state))
    if written is None:
        return None
    state = intake.new_hash(row.algorithm)
    async for piece in written:
        state.update(piece)
    return state


async def hash_again(store: BlobStore, stored: Stored, algorithm: str) -> Digest:
    """The digest of bytes whose hash was not, or not so, taken while they came in."""
    state = intake.new_hash(algorithm)
    async for piece in store.read(stored.key, 0, stored.size):
        await asyncio.to_thread(state.update, piece)
    return Digest(f"{algorithm}:{state.hexdigest()}")
