"""Layers, that is blobs, of a repository: is it there, open it, mount it from elsewhere, delete it.

A blob is reached through a link of the repository that asks, never by its digest alone. Bytes are verified before they
are trusted (promise P4): a file whose identity is the one that was noted when it was last hashed is sent as it is; any
other is hashed first or while it is sent, with the last piece held back until the hash is right. What turns out wrong
or missing is marked, is "unknown" from then on, and the next push of it puts good bytes in its place (P7).
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import hashlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from registry import grace, quotas
from registry.context import Deps
from registry.errors import (
    BlobArchived,
    BlobInUse,
    BlobNotFound,
    CorruptBlob,
    LayerInaccessible,
    StorageUnavailable,
    Unavailable,
)
from registry.model import Blob, Repository
from registry.names import Digest
from registry.records import blobs as rows
from registry.records import repositories as repository_rows
from registry.records.engine import Tx
from registry.storage.base import BlobStore
from registry.storage.disk import identity_of
from registry.storage.trouble import translated
from registry.undo_errors import RepositoryProtected

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A blob that may be sent: `file` by the kernel, by the store itself at `url`, by `read` from a first byte to
    before a last, or else as `chunks`, which fail at the end if the bytes are bad.

    `verified`: the file, where its identity is the one under which its bytes were verified.
    """

    blob: Blob
    verified: Path | None = None
    file: BinaryIO | None = None
    url: str | None = None
    read: Callable[[int, int], AsyncGenerator[bytes, None]] | None = None
    chunks: AsyncGenerator[bytes, None] | None = None


async def stat(deps: Deps, repository: Repository, digest: Digest) -> Blob:
    """The blob, after making sure that its bytes are there and are right, and stay for a while. Raises BlobNotFound,
    BlobArchived."""
    blob, unneeded_since = await _standing(deps, repository, digest)
    if not await _is_sound(deps, repository, blob):
        raise _missing(repository, digest)
    if unneeded_since is not None:
        await _confirm(deps, repository, digest, unneeded_since)
    return blob


async def open_blob(deps: Deps, repository: Repository, digest: Digest, *, whole: bool, url_seconds: int = 0) -> Opened:
    """The blob, ready to be sent. `whole`: from its first to its last byte. Raises BlobNotFound, BlobArchived.

    The caller closes `file`. `url_seconds`: how long a URL of the store must hold; 0: the caller wants none.
    """
    blob = await _linked(deps, repository, digest)
    try:
        return await _open_blob(deps, repository, blob, whole=whole, url_seconds=url_seconds)
    except BlobNotFound:
        now = await _linked(deps, repository, digest)
        if now.key == blob.key:
            raise
        # The bytes went to another place since the row was read.
        return await _open_blob(deps, repository, now, whole=whole, url_seconds=url_seconds)


async def mount(deps: Deps, repository: Repository, digest: Digest, sources: Sequence[Repository]) -> Blob | None:
    """Let the repository hand out a blob that one of `sources` holds; None where none does, or its bytes are bad.

    Sources must lie in the same region: bytes do not move. Raises QuotaExceeded.
    """
    for source in sources:
        blob = await _linked_or_none(deps, source, digest)
        if blob is None or blob.archived or not await _is_sound(deps, source, blob):
            continue
        linked = await deps.db.write(functools.partial(_link_from, deps, source, repository, digest))
        if linked is not None:
            return linked
    return None


async def holders(deps: Deps, repository: Repository, digest: Digest) -> list[Repository]:
    """Repositories of the same registry that hold the blob, at most a hundred."""

    def unit(tx: Tx) -> list[Repository]:
        found = (repository_rows.by_id(tx, one) for one in rows.somewhere(tx, repository.registry, digest))
        return [one for one in found if one is not None]

    return await deps.db.point(unit)


async def delete(deps: Deps, repository: Repository, digest: Digest) -> None:
    """Take the blob from the repository. Raises BlobNotFound, BlobInUse while a manifest needs it, RepositoryProtected.

    The bytes go later: other repositories may hold them.
    """

    def unit(tx: Tx) -> bool:
        blob = rows.linked(tx, repository.id, digest)
        if blob is None:
            return False
        if rows.is_referenced(tx, repository.id, digest):
            raise BlobInUse(digest)
        known = repository_rows.by_id(tx, repository.id)
        if known is not None and known.protected:
            raise RepositoryProtected(repository.name, repository.registry.account)
        rows.release(tx, blob, deps.clock.now())
        return rows.unlink(tx, repository.id, blob)

    if not await deps.db.write(unit):
        raise _missing(repository, digest)


async def require_used(deps: Deps, repository: Repository, digest: Digest) -> Blob:
    """A blob that an image of the repository uses. Raises BlobNotFound, BlobArchived, LayerInaccessible."""
    blob = await stat(deps, repository, digest)
    if not await deps.db.point(lambda tx: rows.is_referenced(tx, repository.id, digest)):
        raise LayerInaccessible(repository.name, repository.registry.account, digest)
    return blob


async def url(deps: Deps, repository: Repository, blob: Blob, seconds: int) -> str | None:
    """A URL of the store itself that GETs the blob for a while; None: clients must come to us."""
    if deps.settings.storage.verify_reads == "always":
        return None
    return await _holding(deps, repository, blob).url(blob.key, seconds)


async def is_healthy(deps: Deps, store: BlobStore, blob: Blob, *, replaceable: bool = False) -> bool:
    """Whether the bytes behind a row are there and are right; what is found is noted in the row.

    `replaceable`: good bytes are at hand, so that it does not matter whether missing ones may turn up again.
    """
    found = await store.stat(blob.key)
    if found is None:
        await lose(deps, store, blob, replaceable=replaceable)
        return False
    if found.size != blob.size:
        await condemn(deps, blob, "cut short")
        return False
    if found.identity is not None and found.identity == blob.identity:
        return True
    if deps.settings.storage.verify_reads == "never":
        return True
    return await _verify(deps, store, blob)


async def lose(deps: Deps, store: BlobStore, blob: Blob, *, replaceable: bool = False) -> None:
    """Mark bytes that are gone. Raises StorageUnavailable while they may only be out of sight."""
    now = await deps.db.point(lambda tx: rows.by_id(tx, blob.id))
    if now is None or now.key != blob.key:
        return  # collected, or healed, since the row was read
    if await store.is_lost(blob.key):
        await condemn(deps, blob, "missing")
    elif not replaceable:
        raise StorageUnavailable


async def condemn(deps: Deps, blob: Blob, why: str) -> None:
    """Mark bytes that are not what they should be; `why` is for the log."""
    _log.error("blob %s is %s; it is unknown to clients until it is pushed again", blob.digest, why)
    await deps.db.housekeep(lambda tx: rows.set_damaged(tx, blob))


# --- inside -----------------------------------------------------------------------------------------------------------


async def _open_blob(deps: Deps, repository: Repository, blob: Blob, *, whole: bool, url_seconds: int) -> Opened:
    digest, store = blob.digest, _holding(deps, repository, blob)
    path = store.path(blob.key)
    try:
        opened = _open_file(deps, path, blob) if path is not None else await _open_far(deps, store, blob, url_seconds)
    except FileNotFoundError:
        await lose(deps, store, blob)
        raise _missing(repository, digest) from None
    if opened is not None:
        return opened
    if whole:
        return Opened(blob=blob, chunks=_verified(deps, store, blob))
    if not await _verify(deps, store, blob):
        raise _missing(repository, digest)
    return Opened(blob=blob, file=_open(path)) if path else Opened(blob=blob, read=_reader(store, blob))


async def _linked(deps: Deps, repository: Repository, digest: Digest) -> Blob:
    blob = await _linked_or_none(deps, repository, digest)
    if blob is None:
        raise _missing(repository, digest)
    return _at_hand(repository, blob)


async def _standing(deps: Deps, repository: Repository, digest: Digest) -> tuple[Blob, dt.datetime | None]:
    """The blob; and, where no manifest needs it, since when its grace period counts."""
    found = await deps.db.point(lambda tx: rows.standing(tx, repository.id, digest))
    if found is None or found[0].damaged:
        raise _missing(repository, digest)
    _at_hand(repository, found[0])
    return found


def _at_hand(repository: Repository, blob: Blob) -> Blob:
    """The blob. Raises BlobArchived."""
    if blob.archived:
        raise BlobArchived(repository.name, repository.registry.account, blob.digest, blob.size)
    return blob


async def _confirm(deps: Deps, repository: Repository, digest: Digest, since: dt.datetime) -> None:
    """Make sure that who is told of a blob has a grace period to use it. Raises BlobNotFound where it just went."""
    now = deps.clock.now()
    if grace.wants_stamp(since, now, deps.settings.gc.grace) and not await deps.db.housekeep(
        lambda tx: rows.touch_links(tx, repository.id, [digest], now)
    ):
        raise _missing(repository, digest)


async def _linked_or_none(deps: Deps, repository: Repository, digest: Digest) -> Blob | None:
    blob = await deps.db.point(lambda tx: rows.linked(tx, repository.id, digest))
    return None if blob is None or blob.damaged else blob


def _link_from(deps: Deps, source: Repository, target: Repository, digest: Digest, tx: Tx) -> Blob | None:
    found = rows.linked(tx, source.id, digest)  # again, inside the transaction: it may be gone by now
    now = repository_rows.by_id(tx, target.id)
    if found is None or found.damaged or found.archived or now is None:
        return None
    if rows.link(tx, target.id, found, deps.clock.now()):
        quotas.blob_came(tx, deps, now, found)
    return found


def _open_file(deps: Deps, path: Path, blob: Blob) -> Opened | None:
    """The blob's file, if it may be sent as it is. Raises FileNotFoundError."""
    file, policy = _open(path), deps.settings.storage.verify_reads
    found = os.fstat(file.fileno())
    if policy == "changed" and identity_of(found) == blob.identity:
        return Opened(blob=blob, file=file, verified=path)
    if policy == "never" and found.st_size == blob.size:
        return Opened(blob=blob, file=file)
    file.close()
    return None


async def _open_far(deps: Deps, store: BlobStore, blob: Blob, url_seconds: int) -> Opened | None:
    """A blob of a store that is not on this machine, if it may be sent as it is. Raises FileNotFoundError."""
    found, policy = await store.stat(blob.key), deps.settings.storage.verify_reads
    if found is None:
        raise FileNotFoundError(blob.key)
    if found.size != blob.size or policy == "always" or (policy == "changed" and found.identity != blob.identity):
        return None
    direct = await store.url(blob.key, url_seconds) if url_seconds else None
    return Opened(blob=blob, url=direct, read=_reader(store, blob))


def _reader(store: BlobStore, blob: Blob) -> Callable[[int, int], AsyncGenerator[bytes, None]]:
    async def read(first: int, stop: int) -> AsyncGenerator[bytes, None]:
        try:
            async with contextlib.aclosing(store.read(blob.key, first, stop)) as pieces:
                async for piece in pieces:
                    yield piece
        except FileNotFoundError:
            raise StorageUnavailable from None  # it was there a moment ago

    return read


def _open(path: Path) -> BinaryIO:
    """The file, in the loop's thread: a cached inode opens at once. Raises FileNotFoundError, StorageUnavailable."""
    with translated():
        return open(path, "rb", buffering=0)


async def _is_sound(deps: Deps, repository: Repository, blob: Blob) -> bool:
    return await is_healthy(deps, _holding(deps, repository, blob), blob)


def _holding(deps: Deps, repository: Repository, blob: Blob) -> BlobStore:
    return deps.stores.holding(repository.registry.region, blob.store_id)


async def _verify(deps: Deps, store: BlobStore, blob: Blob) -> bool:
    """Hash the stored bytes; note their identity if they are right, mark them if not."""
    with contextlib.suppress(CorruptBlob):
        async for _ in _verified(deps, store, blob):
            pass
        return True
    return False


async def _verified(deps: Deps, store: BlobStore, blob: Blob) -> AsyncGenerator[bytes, None]:
    """The stored bytes, the last piece only when all of them have the blob's digest. Raises CorruptBlob."""
    before = await store.stat(blob.key)
    state, size, held = hashlib.new(blob.digest.algorithm), 0, b""
    try:
        async for piece in store.read(blob.key):
            size += len(piece)
            if size > blob.size:
                break  # what is held may be all that the client waits for
            if held:
                yield held
            await asyncio.to_thread(state.update, piece)
            held = piece
    except FileNotFoundError:
        before = None
    if before is None:
        await lose(deps, store, blob)
        raise CorruptBlob(blob.digest)
    if size != blob.size or f"{blob.digest.algorithm}:{state.hexdigest()}" != blob.digest:
        await condemn(deps, blob, "not what its digest says")
        raise CorruptBlob(blob.digest)
    if before.identity != blob.identity:
        # Only spares the next reader the hashing: a database that takes no writes now is no reason not to serve.
        with contextlib.suppress(Unavailable):
            await deps.db.housekeep(lambda tx: rows.set_identity(tx, blob, before.identity))
    if held:
        yield held


def _missing(repository: Repository, digest: Digest) -> BlobNotFound:
    return BlobNotFound(repository.name, repository.registry.account, [digest])
