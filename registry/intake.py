"""Bytes from a client into a file, hashed on the way, without holding up the event loop or growing with the blob.

Pieces as they come from the socket are gathered into batches; a worker thread hashes and writes one batch while the
next is gathered. One thread hop for each half megabyte costs little; one for each piece would cost more than it saves.
"""

import asyncio
import hashlib
import os
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Final, Protocol

from registry import threads
from registry.errors import TooLarge
from registry.write_back import WriteBack

BATCH: Final = 512 * 1024  # bytes
_INLINE: Final = 64 * 1024  # a body this small is hashed and written where it is: the hop would take longer
_IOV_MAX: Final = 512


class BodyCut(Exception):
    """The client went away, or became too slow, before the end of the body."""


class Hash(Protocol):
    """What hashlib's objects are."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> "Hash": ...


class RunningHashes:
    """Hash states of uploads that this process has seen, by (upload id, size).

    A shortcut only: hashlib's state cannot be saved, so an upload that goes on elsewhere is read again.
    """

    def __init__(self, limit: int = 1024) -> None:
        self._states: OrderedDict[tuple[str, int], Hash] = OrderedDict()
        self._limit = limit

    def put(self, upload_id: str, size: int, state: Hash) -> None:
        self._states[(upload_id, size)] = state
        while len(self._states) > self._limit:
            self._states.popitem(last=False)

    def get(self, upload_id: str, size: int) -> Hash | None:
        """A state that the caller may go on with."""
        found = self._states.get((upload_id, size))
        return None if found is None else found.copy()

    def drop(self, upload_id: str, size: int) -> None:
        self._states.pop((upload_id, size), None)


def new_hash(algorithm: str) -> Hash:
    return hashlib.new(algorithm)


async def receive(
    chunks: AsyncIterable[bytes], fd: int, state: Hash, *, limit: int, early: bool = False
) -> tuple[int, BodyCut | None]:
    """Write all chunks to `fd` and into the hash: (bytes written, why the body ended early).

    `early`: the disk begins to write before all is here. On an early end, what came before it is written and hashed.
    Raises TooLarge beyond `limit` bytes, OSError of the file.
    """
    total, size = 0, 0
    batch: list[bytes] = []
    running: asyncio.Future[None] | None = None
    cut: BodyCut | None = None
    behind = WriteBack(fd) if early else None
    try:
        try:
            async for chunk in chunks:
                batch.append(chunk)
                size += len(chunk)
                if total + size > limit:
                    raise TooLarge("a layer", limit)
                if size >= BATCH or len(batch) >= _IOV_MAX:
                    if running is not None:
                        await threads.over(running)
                    running = threads.start(_take, batch, fd, state, behind)
                    total, size, batch = total + size, 0, []
        except BodyCut as error:
            cut = error
    finally:
        # Whatever happens, nobody may write to `fd` after this returns: its number may be another file's by then.
        if running is not None:
            await threads.over(running)
    if size > _INLINE:
        await threads.run(_take, batch, fd, state, behind)
    elif batch:
        _take(batch, fd, state)
    return total + size, cut


class Hashed:
    """Chunks on their way to a store that takes chunks rather than a file, each added to the hash, if there is one.

    A body that was cut ends early, without an error; `cut` says why.
    """

    def __init__(self, chunks: AsyncIterable[bytes], state: Hash | None, *, limit: int) -> None:
        self._chunks, self._state, self._limit = chunks, state, limit
        self.cut: BodyCut | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises TooLarge beyond the limit."""
        total = 0
        try:
            async for chunk in self._chunks:
                total += len(chunk)
                if total > self._limit:
                    raise TooLarge("a layer", self._limit)
                if self._state is not None and len(chunk) > _INLINE:
                    await threads.run(self._state.update, chunk)
                elif self._state is not None:
                    self._state.update(chunk)
                yield chunk
        except BodyCut as error:
            self.cut = error


def write_all(pieces: Sequence[bytes | memoryview], fd: int, behind: WriteBack | None = None) -> None:
    """Write the pieces to `fd`, where it stands. At most as many as one call of the system takes."""
    left = pieces
    while left:
        written = os.writev(fd, left)
        while left and written >= len(left[0]):
            written -= len(left[0])
            left = left[1:]
        if written:
            left = [left[0][written:], *left[1:]]
    if behind is not None:
        behind.wrote(sum(len(piece) for piece in pieces))


def _take(batch: list[bytes], fd: int, state: Hash, behind: WriteBack | None = None) -> None:
    for piece in batch:
        state.update(piece)
    write_all(batch, fd, behind)
