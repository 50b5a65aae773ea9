"""Bytes in a bucket of an S3-compatible store.

    <prefix>/<region>/longshore-store.json       {"storeId": ..., "region": ...}
    <prefix>/<region>/blobs/ab/abcdef...-1234    finished bytes; `ab` are the key's first two letters
    <prefix>/<region>/tails/abcdef.../5678       the end of an upload that goes on: too short for a part

An upload gathers parts of `part_size` in a spool file of this machine and sends each when it is full; `state` names
those that count. What is left at the end of a request is an object of its own, a tail, read again when it can be
filled up or when the upload is finished. S3 cannot read the parts of an unfinished upload, so neither can `written`.

Who may write is settled twice: on one machine by the spool's lock, and between machines by the row, whose
compare-and-set names the tags of the parts that count. Whatever becomes readable lies at a key that its writer alone
has, so the loser of a race can spoil nothing; at worst a part that both numbered alike is lost, and with it the upload
(UploadLost), never a byte of a blob. A part is acknowledged by the service before the row names it, a blob before its
row (house law 1).

Memory: what an upload has gathered is in its spool file but for a quarter of a megabyte, and is sent from there in
small pieces. At most `_SENDERS` parts are on their way at once in a process, which leaves calls for all else.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
import json
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Container, Mapping
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import Counter

from registry import threads
from registry.ahead import Ahead
from registry.errors import StorageUnavailable
from registry.names import Region
from registry.options import MIB, Place
from registry.storage import spool
from registry.storage.base import Hold, Staged, Stored, StoreMismatch, UploadLost
from registry.storage.s3_bucket import Bucket, Found, Part, joined_etag
from registry.storage.s3_calls import Absent, Clash, NoUpload, Trouble
from registry.storage.spool import Body, Spool

IDENTITY_OBJECT: Final = "longshore-store.json"
PART_SIZE: Final = 8 * MIB
_MOST_PARTS: Final = 10_000
_MOST_TAILS: Final = 32  # tails of one upload; more are joined into one
_SENDERS: Final = 16
_LOST_SECONDS: Final = 30.0  # an object is gone when it was not found again and again for this long,
_LOST_PAUSE: Final = 300.0  # with no longer pause between two looks
_REMEMBERED: Final = 10_000
_LONGEST_IDENTITY: Final = 128

_log = logging.getLogger(__name__)
_OUT_OF_SIGHT = Counter("longshore_blobs_not_found_total", "Looks for a blob of a known key that did not find it.")


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an upload's row keeps for this store."""

    key: str = ""  # of the multipart upload: its bytes will be there
    upload: str = ""  # its id
    parts: tuple[Part, ...] = ()
    tails: tuple[tuple[str, int], ...] = ()  # (name, size) of what comes behind the parts
    spent: tuple[str, ...] = ()  # tails whose bytes are in a part or in another tail: litter once the row says so

    @classmethod
    def of(cls, staged: Staged) -> "State":
        return msgspec.convert(dict(staged.state), cls)

    def as_row(self) -> Mapping[str, object]:
        """As plain JSON."""
        found: dict[str, object] = msgspec.json.decode(msgspec.json.encode(self))
        return found

    @property
    def tail_size(self) -> int:
        return sum(size for _, size in self.tails)

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts) + self.tail_size


class S3Store:
    """A bucket's part with the bytes of one region."""

    def __init__(
        self,
        place: Place,
        region: Region,
        *,
        store_id: str,
        is_new: bool,
        spool_directory: Path,
        largest: int,
        bucket: Bucket | None = None,
    ) -> None:
        """`is_new`: no row names any bytes yet, so that an empty store may be made ours. `largest`: bytes of a blob."""
        self.store_id, self.region = store_id, region
        self.bucket = bucket or Bucket(place)
        self.root = f"{place.prefix.rstrip('/')}/{region}/".lstrip("/")
        self.part_size = max(PART_SIZE, -(-largest // _MOST_PARTS))
        self.spool_directory = spool_directory
        self.senders = asyncio.Semaphore(_SENDERS)
        self._redirects, self._is_new, self._is_proven = place.redirect, is_new, False
        self._proving = asyncio.Lock()
        self._sought: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> first and last vain look

    def __str__(self) -> str:
        return str(self.bucket)

    # --- the store itself ---------------------------------------------------------------------------------------------

    async def prove(self) -> None:
        found = await self.found()
        if found is None and self._is_new:
            ours = json.dumps({"storeId": self.store_id, "region": self.region}).encode()
            with contextlib.suppress(Clash):  # another process was first: then its identity holds
                await self.bucket.put_new(self.root + IDENTITY_OBJECT, ours)
            found = await self.found()
        if found is None:
            raise StoreMismatch(f"the blobs of region {self.region} are missing: {self._named} is not in {self.bucket}")
        if found != (self.store_id, self.region):
            raise StoreMismatch(
                f"{self.bucket} holds store {found[0]} of region {found[1]}, but the database speaks of store "
                f"{self.store_id} of region {self.region}: choose another storage.prefix, or restore the two together"
            )
        self._is_proven, self._is_new = True, False  # should it be empty later, then it has lost something

    async def close(self) -> None:
        await self.bucket.close()

    async def ready(self) -> Bucket:
        """The bucket, which is ours. Nothing may be read, and above all nothing deleted, in a bucket that is not."""
        if not self._is_proven:
            async with self._proving:
                if not self._is_proven:
                    try:
                        await self.prove()
                    except StoreMismatch as error:
                        _log.error("%s", error)
                        raise StorageUnavailable from error
        return self.bucket

    @property
    def _named(self) -> str:
        return self.root + IDENTITY_OBJECT

    async def found(self) -> tuple[str, str] | None:
        """The identity and the region that the bucket says; None: it holds no store here. Raises StoreMismatch."""
        try:
            found = json.loads(await self.bucket.get(self._named))
            return str(found["storeId"]), str(found["region"])
        except Absent:
            return None
        except (ValueError, KeyError, TypeError):
            raise StoreMismatch(f"{self._named} in {self.bucket} is damaged: restore it from a backup") from None

    # --- uploads ------------------------------------------------------------------------------------------------------

    async def begin(self) -> Staged:
        return Staged(key=secrets.token_hex(16), size=0, state={})

    @contextlib.asynccontextmanager
    async def hold(self, staged: Staged) -> AsyncIterator[Hold]:
        await self.ready()
        if State.of(staged).size != staged.size:
            raise UploadLost(staged.key)  # its bytes are in another store: what comes behind them is no blob
        with spool.taken(self.spool_directory, staged.key, self.part_size) as gathered:
            held = S3Hold(self, staged, gathered)
            yield held
            await held.tidy()

    async def arrived(self, staged: Staged) -> int:
        bucket, state, size = await self.ready(), State.of(staged), 0
        if state.upload:
            there = await bucket.parts(self.blob_path(state.key), state.upload)
            size += sum(part.size for number, part in enumerate(state.parts, 1) if there.get(number) == part.etag)
        for name, _ in state.tails:
            found = await bucket.head(self.tail_path(staged.key, name))
            size += found.size if found is not None else 0
        return size

    async def abort(self, staged: Staged) -> None:
        """Finished bytes stay: another writer's row may name them. Where none does they are litter, found by `keys`."""
        bucket, state = await self.ready(), State.of(staged)
        if state.upload:
            await bucket.abort(state.key and self.blob_path(state.key), state.upload)
        async for path, upload, _ in bucket.uploads(self.blob_path(staged.key)):
            await bucket.abort(path, upload)
        async for tail in bucket.list(self.tail_path(staged.key, "")):
            await bucket.delete(tail.key)

    async def sweep_uploads(self, older_than: dt.datetime, open_keys: Container[str]) -> int:
        bucket, swept = await self.ready(), 0
        async for path, upload, begun in bucket.uploads(f"{self.root}blobs/"):
            if begun < older_than and path.rpartition("/")[2].partition("-")[0] not in open_keys:
                await bucket.abort(path, upload)
                swept += 1
        async for tail in bucket.list(f"{self.root}tails/"):
            if tail.modified < older_than and tail.key.split("/")[-2] not in open_keys:
                await bucket.delete(tail.key)
                swept += 1
        return swept

    # --- finished bytes -----------------------------------------------------------------------------------------------

    async def stat(self, key: str) -> Stored | None:
        bucket = await self.ready()
        found = await bucket.head(self.blob_path(key))
        if found is None:
            return None
        self._sought.pop(key, None)
        return Stored(key=key, size=found.size, identity=identity_of(found), written_at=found.modified)

    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        bucket = await self.ready()
        try:
            async with contextlib.aclosing(bucket.read(self.blob_path(key), start, stop)) as pieces:
                async for piece in pieces:
                    yield piece
        except Absent:
            raise FileNotFoundError(key) from None

    def path(self, key: str) -> Path | None:
        return None

    async def url(self, key: str, seconds: int) -> str | None:
        return await self.bucket.url(self.blob_path(key), seconds) if self._redirects else None

    async def is_lost(self, key: str) -> bool:
        """An answer "not found" may come from a server that lags, from a bucket whose disk is not mounted, or from a
        service that does not know our credentials any more; so it must stand for a while, and the store be ours."""
        _OUT_OF_SIGHT.inc()
        now = time.monotonic()
        first, last = self._sought.pop(key, (now, now))
        if now - last > _LOST_PAUSE:
            first = now
        self._sought[key] = (first, now)
        while len(self._sought) > _REMEMBERED:
            self._sought.popitem(last=False)
        if now - first < _LOST_SECONDS:
            _log.error("S3: %s was not found in %s, though a row names it", self.blob_path(key), self.bucket)
            return False
        try:
            await self.prove()
        except StoreMismatch as error:
            raise StorageUnavailable from error
        return await self.stat(key) is None

    async def delete(self, key: str) -> None:
        bucket = await self.ready()
        await bucket.delete(self.blob_path(key))

    async def keys(self, older_than: dt.datetime) -> AsyncIterator[str]:
        bucket = await self.ready()
        async for found in bucket.list(f"{self.root}blobs/"):
            if found.modified < older_than:
                yield found.key.rpartition("/")[2]

    def blob_path(self, key: str) -> str:
        return f"{self.root}blobs/{key[:2]}/{key}"

    def tail_path(self, key: str, name: str) -> str:
        return f"{self.root}tails/{key}/{name}"


class S3Hold:
    """One upload, as its only writer on this machine sees it."""

    def __init__(self, store: S3Store, staged: Staged, gathered: Spool) -> None:
        self._store, self._bucket, self._key = store, store.bucket, staged.key
        self._spool = gathered  # holds what comes behind all parts and tails of the state but the unsaved tail
        self._unsaved = ""  # name of the state's last tail, while its bytes are in the spool alone
        self._litter: tuple[str, ...] = ()  # tails that nothing needs once the writer's row is written
        self._is_complete = False  # the parts became an object before, and only the row was not written

    def sink(self, staged: Staged) -> int | None:
        return None

    def written(self, staged: Staged) -> AsyncIterator[bytes] | None:
        return None

    async def append(self, staged: Staged, chunks: AsyncIterable[bytes]) -> Staged:
        state, size, source = State.of(staged), staged.size, aiter(chunks)
        await self._remove(state.spent)  # the row no longer names them
        state = await self._reopened(msgspec.structs.replace(state, spent=()))
        try:
            async with Ahead[Part]() as ahead:
                async for chunk in source:
                    size += len(chunk)
                    state = await self._take(state, chunk, ahead)
                state = await _with_part(state, ahead)
        except NoUpload:
            if await self._bucket.head(self._store.blob_path(state.key)) is None:
                raise UploadLost(staged.key) from None
            self._is_complete = True
            async for chunk in source:
                size += len(chunk)
        if self._spool.size and not self._is_complete:
            self._unsaved = secrets.token_hex(8)
            state = msgspec.structs.replace(state, tails=(*state.tails, (self._unsaved, self._spool.size)))
        return Staged(key=staged.key, size=size, state=state.as_row())

    async def settle(self, staged: Staged) -> None:
        if self._is_complete:
            raise UploadLost(staged.key)
        if self._unsaved:
            async with self._store.senders:
                body = await threads.run(self._spool.whole)
                await self._bucket.put(self._store.tail_path(self._key, self._unsaved), body)
            self._unsaved = ""
            self._spool.turn()

    async def finish(self, staged: Staged) -> Stored:
        state, certain = State.of(staged), True
        if state.upload:
            key, certain = state.key, await self._complete(state)
        else:
            key = f"{self._key}-{secrets.token_hex(4)}"
            async with self._store.senders:
                await self._bucket.put(self._store.blob_path(key), await self._end(state), lasting=True)
        found = await self._bucket.head(self._store.blob_path(key))
        if not certain and (found is None or found.size != staged.size):
            raise UploadLost(staged.key)
        if found is None or found.size != staged.size:
            # It was acknowledged a moment ago. But a client may only be told of what can be seen.
            raise StorageUnavailable from Trouble(f"head_object: {key} is not there whole after it was written")
        self._litter = (*state.spent, *(name for name, _ in state.tails))
        return Stored(key=key, size=found.size, identity=identity_of(found) if certain else None)

    async def tidy(self) -> None:
        """Remove the tails of a finished upload. What fails is swept later."""
        await self._remove(self._litter)

    # --- parts --------------------------------------------------------------------------------------------------------

    async def _take(self, state: State, chunk: bytes, ahead: Ahead[Part]) -> State:
        rest = memoryview(chunk)
        while rest:
            room = self._store.part_size - state.tail_size - self._spool.size
            if room <= 0:
                state = await self._send(await _with_part(state, ahead), ahead)
                continue
            self._spool.add(rest[:room])
            rest = rest[room:]
            if self._spool.wants_flush:
                await threads.run(self._spool.flush)
        return state

    async def _send(self, state: State, ahead: Ahead[Part]) -> State:
        """Begin to send what is there as the next part, while more is gathered: its tag comes later."""
        if not state.upload:
            key = f"{self._key}-{secrets.token_hex(4)}"
            upload = await self._bucket.begin(self._store.blob_path(key))
            state = msgspec.structs.replace(state, key=key, upload=upload)
        await self._store.senders.acquire()
        try:
            body = await self._end(state)
            self._spool.turn()
        except BaseException:
            self._store.senders.release()
            raise
        ahead.start(self._sent(state, len(state.parts) + 1, body))
        return _without_tails(state)

    async def _sent(self, state: State, number: int, body: Body) -> Part:
        try:
            return await self._bucket.put_part(self._store.blob_path(state.key), state.upload, number, body)
        finally:
            self._store.senders.release()

    async def _end(self, state: State) -> Body:
        """All bytes behind the parts. Raises UploadLost."""
        if not self._spool.has_before:
            async for piece in self._saved(state):
                await threads.run(self._spool.add_before, piece)
        return await threads.run(self._spool.whole)

    async def _saved(self, state: State) -> AsyncIterator[bytes]:
        """The tails that are in the store."""
        for name, _ in state.tails:
            if name == self._unsaved:
                continue
            try:
                async for piece in self._bucket.read(self._store.tail_path(self._key, name)):
                    yield piece
            except Absent:
                raise UploadLost(self._key) from None

    async def _reopened(self, state: State) -> State:
        """The state as it is written on: a tail that is in the spool goes on there, and too many become one."""
        if self._unsaved:
            state, self._unsaved = msgspec.structs.replace(state, tails=state.tails[:-1]), ""
        if len(state.tails) < _MOST_TAILS or self._spool.size:
            return state
        async for piece in self._saved(state):
            self._spool.add(piece)
            await threads.run(self._spool.flush)
        return _without_tails(state)

    async def _complete(self, state: State) -> bool:
        """Make an object of the parts. False: one is there, but whether of these parts cannot be said.

        A "no" may stand for a "yes" that was lost on the way, so what is there decides (promises.md F21).
        """
        path, parts = self._store.blob_path(state.key), state.parts
        if self._is_complete:
            return False
        try:
            if state.tails:
                async with self._store.senders:
                    body = await self._end(state)
                    parts = (*parts, await self._bucket.put_part(path, state.upload, len(parts) + 1, body))
            await self._bucket.complete(path, state.upload, parts)
        except (NoUpload, StorageUnavailable) as error:
            found = await self._bucket.head(path)
            if found is None and isinstance(error, NoUpload):
                raise UploadLost(self._key) from None
            if found is None:
                raise
            return found.etag == joined_etag(parts)
        return True

    async def _remove(self, tails: tuple[str, ...]) -> None:
        removals = (self._bucket.delete(self._store.tail_path(self._key, name)) for name in tails)
        with contextlib.suppress(StorageUnavailable):
            await asyncio.gather(*removals)


def _without_tails(state: State) -> State:
    """The state once the tails' bytes are elsewhere."""
    return msgspec.structs.replace(state, tails=(), spent=(*state.spent, *(name for name, _ in state.tails)))


async def _with_part(state: State, ahead: Ahead[Part]) -> State:
    """The state with the part that was on its way, if there was one."""
    part = await ahead.result()
    return state if part is None else msgspec.structs.replace(state, parts=(*state.parts, part))


def identity_of(found: Found) -> str:
    """What changes when anyone touches an object: its tag, size and time."""
    name = found.key.rpartition("-")[2]  # so that it never passes for that of the same bytes at another key
    text = f"{found.etag}-{found.size:x}-{int(found.modified.timestamp()):x}-{name}"
    return text if len(text) <= _LONGEST_IDENTITY else hashlib.sha256(text.encode()).hexdigest()
