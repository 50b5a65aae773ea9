"""Bytes in pieces, for stores, and whole again."""

import json
import random
from collections.abc import AsyncIterator

from registry.storage.base import BlobStore, Staged, Stored

KIB, MIB = 1024, 1024 * 1024


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that no part of them repeats."""
    return random.Random(f"{size} {seed}").randbytes(size)


async def chunked(data: bytes, size: int = 256 * KIB) -> AsyncIterator[bytes]:
    for first in range(0, len(data), size):
        yield data[first : first + size]


async def append(store: BlobStore, staged: Staged, data: bytes) -> Staged:
    """What a PATCH does: the bytes are in, and the result has been to the database and back."""
    async with store.hold(staged) as hold:
        staged = await hold.append(staged, chunked(data))
        await hold.settle(staged)
    return Staged(key=staged.key, size=staged.size, state=json.loads(json.dumps(dict(staged.state))))


async def finish(store: BlobStore, staged: Staged, data: bytes | None = None) -> Stored:
    """What a PUT does, with or without a body."""
    async with store.hold(staged) as hold:
        if data is not None:
            staged = await hold.append(staged, chunked(data))
        return await hold.finish(staged)


async def put(store: BlobStore, data: bytes) -> Stored:
    """What a POST with its PUT does."""
    return await finish(store, await store.begin(), data)


async def content(store: BlobStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(key, start, stop)])
