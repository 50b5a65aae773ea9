"""The port to where bytes lie, and the set of stores: of each region one for new bytes, and perhaps others.

Bytes are written once, at a key of their own that no other bytes ever had; which digest lies at which key is a row
(`records/blobs.py`). So committing an upload is one insert, nothing is ever renamed, and deleting an old key cannot
hit a new upload of the same digest. A blob that goes to another store gets a key there (`registry/relocation.py`).
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Container,
    Iterable,
    Mapping,
)
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from registry.errors import StorageUnavailable
from registry.model import KnownStore, StoreRole
from registry.names import Region

T = TypeVar("T")

_log = logging.getLogger(__name__)


class UploadBusy(Exception):
    """Another writer, perhaps in another process, has hold of the upload's bytes."""


class UploadLost(Exception):
    """Bytes of the upload that were safely in are not there any more: someone else removed them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Bytes on their way in. `state` is the store's own, plain JSON, kept in the upload's row."""

    key: str
    size: int
    state: Mapping[str, object]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Bytes that are in. `identity` changes when the bytes are touched by anyone.

    None: the store cannot tell. From `finish`: it cannot even say that these are this writer's bytes, so read them.
    """

    key: str
    size: int
    identity: str | None
    written_at: dt.datetime | None = dataclasses.field(default=None, compare=False)  # None: not asked for


class Hold(Protocol):
    """One upload's bytes, held by this writer alone. Either `sink` or `append`, then `settle`.

    Every method raises UploadLost where there are fewer bytes than `staged.size`.
    """

    def written(self, staged: Staged) -> AsyncIterator[bytes] | None:
        """The bytes so far; None: they cannot be read before they are finished."""
        ...

    def sink(self, staged: Staged) -> int | None:
        """A file descriptor to write to, at `staged.size`, with whatever lay behind it cut off; None: use `append`."""
        ...

    async def append(self, staged: Staged, chunks: AsyncIterable[bytes]) -> Staged:
        """Write the chunks behind `staged.size`. What was written is durable only after `settle`."""
        ...

    async def settle(self, staged: Staged) -> None:
        """Return when the first `staged.size` bytes would survive a power cut."""
        ...

    async def finish(self, staged: Staged) -> Stored:
        """Close the bytes for good; they would survive a power cut under the key of the result, which may be new.

        Doing it again with the same `staged`, after a crash or a lost answer, comes to the same end.
        """
        ...


class BlobStore(Protocol):
    """A place for bytes. Every method may raise StorageUnavailable or StorageFull."""

    store_id: str  # the identity written in the store itself

    async def prove(self) -> None:
        """Return if the store answers and is the one that the rows speak of. Raises StoreMismatch if it is another."""
        ...

    async def close(self) -> None:
        """Let go of connections. The store must not be used afterwards."""
        ...

    async def begin(self) -> Staged:
        """A fresh key. Nothing is written yet."""
        ...

    def hold(self, staged: Staged) -> AbstractAsyncContextManager[Hold]:
        """The right to write to the key. Raises UploadBusy at once when someone else has it, UploadLost.

        What the upload's row says must be read again under the hold: whoever had it before may have moved it on.
        """
        ...

    async def arrived(self, staged: Staged) -> int:
        """How many bytes of an unfinished upload are there, of those that `staged` speaks of or more."""
        ...

    async def abort(self, staged: Staged) -> None:
        """Forget bytes on their way in; absent is fine."""
        ...

    async def stat(self, key: str) -> Stored | None:
        """Size and identity of the bytes as they are now; None when they are not there."""
        ...

    def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to but excluding `stop`, or to their end if that comes first.

        Raises FileNotFoundError when they are not there.
        """
        ...

    def path(self, key: str) -> Path | None:
        """A local file that the kernel can send; None: not local."""
        ...

    async def url(self, key: str, seconds: int) -> str | None:
        """A URL that GETs the bytes for a while, without any other credential; None: clients must come to us."""
        ...

    async def is_lost(self, key: str) -> bool:
        """Whether bytes that a row names, and that were just not found, are gone for good.

        A store of many servers may not see them for a while: then, and until that is certain, False.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove finished or abandoned bytes; absent is fine."""
        ...

    def keys(self, older_than: dt.datetime) -> AsyncIterator[str]:
        """Every key with bytes last written before then, finished and abandoned alike."""
        ...

    async def sweep_uploads(self, older_than: dt.datetime, open_keys: Container[str]) -> int:
        """Forget what lies outside of `keys` of uploads begun before then, but for those of `open_keys`: how many."""
        ...


class Stores:
    """The stores of an installation, opened when they are first used.

    A region has one store for new bytes. What a row names may also lie in the one that was this before, or in the
    archive, so whoever reads bytes asks `holding`.
    """

    def __init__(
        self,
        open_store: Callable[[Region, StoreRole], BlobStore],
        roles: Callable[[Region], Mapping[str, StoreRole]] = lambda region: {},
    ) -> None:
        """`roles`: what the rows say a region's stores are, by identity; asked for stores that are not open."""
        self._open_store, self._roles = open_store, roles
        self._stores: dict[tuple[Region, StoreRole], BlobStore] = {}

    def of(self, region: Region) -> BlobStore:
        """Where new bytes of a region go. Raises StorageUnavailable, or StoreMismatch from a store that is not ours."""
        return self._opened(region, "main")

    def archive(self, region: Region) -> BlobStore:
        """Where bytes of a region's archived images lie; it is made when it is first asked for. Raises as `of`."""
        return self._opened(region, "archive")

    def holding(self, region: Region, store_id: str) -> BlobStore:
        """The store of the region that a blob's row names. Raises as `of`."""
        for (of, _), store in self._stores.items():
            if of == region and store.store_id == store_id:
                return store
        store = self._opened(region, self._roles(region).get(store_id, "main"))
        if store.store_id != store_id:
            _log.error("rows name store %s of region %s, which no setting of storage leads to", store_id, region)
            raise StorageUnavailable from StoreMismatch(f"no setting of storage leads to store {store_id}")
        return store

    async def proven(self, known: Iterable[KnownStore]) -> AsyncIterator[tuple[KnownStore, BlobStore | Exception]]:
        """Each store once it proved to be ours, or why it cannot be used: StoreMismatch, StorageUnavailable."""
        for one in known:
            try:
                store = self.holding(one.region, one.store_id)
                await store.prove()
            except (StoreMismatch, StorageUnavailable) as error:
                yield one, error
            else:
                yield one, store

    def _opened(self, region: Region, role: StoreRole) -> BlobStore:
        store = self._stores.get((region, role))
        if store is None:
            store = self._stores[region, role] = self._open_store(region, role)
        return store

    async def during(self, work: Awaitable[T]) -> T:
        """What `work` comes to, after which every store is closed: for commands, whose loop ends with it."""
        try:
            return await work
        finally:
            await self.close()

    async def close(self) -> None:
        """Close every store that was opened."""
        for store in self._stores.values():
            await store.close()
        self._stores.clear()


class StoreMismatch(Exception):
    """The store is not the one that the database's rows speak of. The message says which, for the operator."""
