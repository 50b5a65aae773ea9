"""Uploads: begin, append, finish, cancel.

An upload that came in by `/v2/` has no row before its first bytes: its id is a sealed token, so a POST costs no write,
and POST + PUT costs one transaction, which leaves a row to say that the id is used up. From the first PATCH on a row
says how many bytes are safely in and what their digest is. Order, for every chunk: take hold of the bytes (one writer,
over all processes), read the row, cut off what lies behind its size, write, fsync, move the row. A second writer never
waits; it is told where the upload stands.

Finishing verifies the digest, makes the bytes durable, and then, in one transaction, writes the blob's row, the
repository's link and the upload's end (house law: bytes before rows).
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import logging
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from typing import Final, Literal

import msgspec

from registry import failpoints, layers, limits, quotas, receiving
from registry.auth.sealing import BadSeal
from registry.context import Deps
from registry.errors import (
    DatabaseUnavailable,
    InvalidLayer,
    LimitExceeded,
    QuotaExceeded,
    RangeInvalid,
    RepositoryNotFound,
    Unavailable,
    UploadNotFound,
)
from registry.model import Blob, Repository, Upload
from registry.names import ALGORITHMS, Digest
from registry.records import blobs as rows
from registry.records import repositories as repository_rows
from registry.records.engine import Tx
from registry.storage.base import BlobStore, Hold, Staged, Stored, UploadBusy, UploadLost

SMALLEST_PART: Final = 5 * 1024 * 1024  # bytes; ECR's minimum for all parts but the last

_log = logging.getLogger(__name__)


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """What an upload id says: which upload, of which repository, hashed how, begun by whom (`Principal.owner`)."""

    id: str
    repository_id: int
    algorithm: str
    owner: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished upload. `existed`: the repository had the blob already."""

    blob: Blob
    existed: bool


_tickets = msgspec.json.Decoder(Ticket)


def begin(deps: Deps, repository: Repository, algorithm: str = "sha256", *, owner: str = "") -> str:
    """The id of a new upload: a UUID, which the specification asks for, and its seal. Nothing is written."""
    ticket = Ticket(str(uuid.uuid4()), repository.id, algorithm, owner)
    return f"{ticket.id}.{deps.sealer.seal('upload', msgspec.json.encode(ticket))}"


def open_ticket(deps: Deps, repository: Repository, text: str) -> Ticket:
    """The ticket in an upload id of `/v2/`. Raises UploadNotFound for one of another repository, or of nobody's."""
    upload_id, _, sealed = text.partition(".")
    try:
        ticket = _tickets.decode(deps.sealer.open("upload", sealed))
    except (BadSeal, msgspec.MsgspecError):
        raise _unknown(repository, text) from None
    if (ticket.id, ticket.repository_id) != (upload_id, repository.id) or ticket.algorithm not in ALGORITHMS:
        raise _unknown(repository, text)
    return ticket


async def begin_row(deps: Deps, repository: Repository, upload_id: str, *, owner: str = "") -> None:
    """Begin an upload whose id is not a ticket, for the AWS API, which wants a UUID.

    Raises LimitExceeded, QuotaExceeded.
    """
    await quotas.room(deps, repository)
    # Whoever has too many is told so without a place in the line of writers, where others wait.
    await deps.db.point(lambda tx: _check_open(tx, deps, owner))
    staged = await _store(deps, repository).begin()
    new = _new_row(deps, Ticket(upload_id, repository.id, "sha256", owner), staged)
    await deps.db.write(lambda tx: _insert(tx, deps, new))


async def status(deps: Deps, repository: Repository, ticket: Ticket) -> Upload | None:
    """The upload's row; None before its first bytes. Raises UploadNotFound where it is over."""
    return await deps.db.point(lambda tx: _open_row(tx, repository, ticket))


async def row_of(deps: Deps, repository: Repository, upload_id: str) -> Upload:
    """The row of an upload that has one. Raises UploadNotFound."""
    found = await status(deps, repository, Ticket(upload_id, repository.id, "sha256"))
    if found is None:
        raise _unknown(repository, upload_id)
    return found


async def append(
    deps: Deps,
    repository: Repository,
    ticket: Ticket,
    chunks: AsyncIterable[bytes],
    *,
    start: int | None,
    length: int | None = None,
) -> Upload:
    """Add bytes at the end; the row as it is then. `start`: where the client believes the end is. `length`: how many
    bytes are to come, where that is known.

    Raises RangeInvalid with the true size, UploadNotFound, TooLarge, LimitExceeded, QuotaExceeded. A body that was cut
    keeps what came of it, and then raises BodyCut.
    """
    begun = await status(deps, repository, ticket)
    room = await quotas.room(deps, repository, size=_size(begun, length))
    async with _held(deps, repository, ticket, start, begun) as (hold, row):
        parts = limits.most(deps.settings.limits, "layer_parts")
        if parts is not None and row.parts >= parts:
            raise LimitExceeded(f"A layer may be sent in {parts} parts at most")
        received = await receiving.receive(deps, hold, row, ticket.algorithm, chunks, room)
        await hold.settle(received.staged)
        await failpoints.crossing("upload-synced")
        new = dataclasses.replace(
            row,
            size=received.staged.size,
            state=received.staged.state,
            digest=received.digest(row.algorithm),
            parts=row.parts + 1,
            small_part=row.small_part or 0 < row.last_part < SMALLEST_PART,
            last_part=received.staged.size - row.size,
            updated_at=deps.clock.now(),
        )
        await deps.db.write(lambda tx: _move(tx, deps, repository, row, new))
        deps.hashes.drop(row.id, row.size)
        if received.state is not None:
            deps.hashes.put(row.id, new.size, received.state)
        if received.cut is not None:
            raise received.cut
        return new


async def finish(
    deps: Deps,
    repository: Repository,
    ticket: Ticket,
    digest: Digest,
    chunks: AsyncIterable[bytes] | None = None,
    *,
    start: int | None = None,
    length: int | None = None,
) -> Finished:
    """Add the last bytes, if any, and make a blob of the upload. An upload that became this blob before is one still:
    the first answer may have been lost on the way.

    Raises InvalidLayer for other bytes than the digest's and QuotaExceeded for more than there is room for (the upload
    is over then), and as `append`.
    """
    begun = await deps.db.point(functools.partial(_begun, repository, ticket, digest))
    if begun == "over":
        return Finished(blob=await layers.stat(deps, repository, digest), existed=True)
    try:
        room = await quotas.room(deps, repository, size=_size(begun, length), digest=digest)
    except QuotaExceeded:
        if begun is not None:
            await _abandon(deps, repository, begun)
        raise
    async with _held(deps, repository, ticket, start, begun) as (hold, row):
        staged = Staged(key=row.key, size=row.size, state=row.state)
        algorithm = digest.algorithm if row.size == 0 else row.algorithm
        found = row.digest
        if chunks is not None:
            received = await receiving.receive(deps, hold, row, algorithm, chunks, room)
            if received.cut is not None:
                hold.sink(staged)
                raise received.cut
            staged, found = received.staged, received.digest(algorithm)
        if found is None or found == digest or found.algorithm != digest.algorithm:
            stored = await hold.finish(staged)
            await failpoints.crossing("upload-finished")
            if found != digest or stored.identity is None:
                found = await receiving.hash_again(_store(deps, repository), stored, digest.algorithm)
            if found == digest:
                try:
                    return await _commit(deps, repository, row, digest, stored)
                except QuotaExceeded:
                    await _undo(deps, repository, row, stored, fresh=begun is None)
                    raise
        await _abandon(deps, repository, row)
        raise InvalidLayer(digest, found)


async def was_finished(deps: Deps, repository: Repository, upload_id: str, digest: Digest) -> bool:
    """Whether the upload is over because it became this blob."""
    return await deps.db.point(lambda tx: _became(tx, repository, rows.upload(tx, upload_id), digest))


async def cancel(deps: Deps, repository: Repository, ticket: Ticket) -> None:
    """End the upload and forget its bytes. Raises UploadNotFound."""
    row = await status(deps, repository, ticket)
    store = _store(deps, repository)
    now = deps.clock.now()
    if row is None:
        # The ticket stays readable for as long as it exists, so its end must be written down.
        tombstone = _new_row(deps, ticket, await store.begin())
        closed = await deps.db.write(lambda tx: rows.insert_upload(tx, tombstone, status="cancelled"))
    else:
        closed = await deps.db.write(lambda tx: rows.close_upload(tx, row.id, "cancelled", now))
        if closed:  # else its bytes may be a blob's by now
            await store.abort(Staged(key=row.key, size=row.size, state=row.state))
    if not closed:
        raise _unknown(repository, ticket.id)


# --- inside -----------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _held(
    deps: Deps, repository: Repository, ticket: Ticket, start: int | None, begun: Upload | None
) -> AsyncIterator[tuple[Hold, Upload]]:
    """Hold of the upload's bytes, and its row as it is under that hold: `begun`, or a fresh one where none is written.

    Raises RangeInvalid with the true size when the client is elsewhere or another writer is at work.
    """
    store, fresh = _store(deps, repository), begun is None
    row = begun or _new_row(deps, ticket, await store.begin())
    staged = Staged(key=row.key, size=row.size, state=row.state)
    if start is not None and start != row.size:
        raise RangeInvalid(row.size)
    try:
        async with store.hold(staged) as hold:
            if not fresh:
                now = await status(deps, repository, ticket)
                if now is None or now.size != row.size:
                    raise RangeInvalid(row.size if now is None else now.size)
            yield hold, row
    except UploadBusy:
        raise RangeInvalid(row.size) from None
    except UploadLost:
        _log.error("upload %s: its bytes are gone from the store; it is over", row.id)
        await deps.db.write(lambda tx: rows.close_upload(tx, row.id, "cancelled", deps.clock.now()))
        raise _unknown(repository, ticket.id) from None
    except (DatabaseUnavailable, asyncio.CancelledError):
        raise  # a row that names these bytes may be written yet
    except BaseException:
        # Without a row nobody will find these bytes again. A row that was just written keeps them.
        if fresh:
            with contextlib.suppress(Exception):
                found = await deps.db.point(lambda tx: rows.upload(tx, row.id))
                if found is None or found[0].key != row.key:
                    await store.abort(staged)
        raise


async def _commit(deps: Deps, repository: Repository, row: Upload, digest: Digest, stored: Stored) -> Finished:
    """Write down what is in. Bytes of the digest that were in before are looked at first, where there are any: that is
    only known in the transaction, and most pushes bring new ones."""
    store = _store(deps, repository)
    good: str | None = None
    replaces: str | None = None
    while True:
        unit = functools.partial(_enter, deps, repository, row, digest, stored, good, replaces)
        try:
            finished, spare = await deps.db.write(unit)
            break
        except rows.Unproven as error:
            known = error.blob
            is_good = await layers.is_healthy(deps, store, known, replaceable=True)
            good, replaces = (known.key, None) if is_good else (None, known.key)
    await failpoints.crossing("upload-committed")
    deps.hashes.drop(row.id, row.size)
    if spare is not None:
        with contextlib.suppress(Unavailable):  # garbage collection finds it; the blob is in
            await store.delete(spare)
    return finished


def _enter(
    deps: Deps,
    repository: Repository,
    row: Upload,
    digest: Digest,
    stored: Stored,
    good: str | None,
    replaces: str | None,
    tx: Tx,
) -> tuple[Finished, str | None]:
    """The rows of a blob that is in, and the key that nobody needs any more. Raises as `rows.put`."""
    now = deps.clock.now()
    known = repository_rows.by_id(tx, repository.id)
    if known is None:
        raise RepositoryNotFound(repository.name, repository.registry.account)
    # An upload that came without chunks has no row; one says from now on that its id is used up.
    if not _use_up(tx, row, now):
        raise _unknown(repository, row.id)  # given up in the meantime, and its bytes with it
    blob, spare = rows.put(
        tx,
        store_id=_store(deps, repository).store_id,
        digest=digest,
        size=stored.size,
        key=stored.key,
        identity=stored.identity,
        replaces=replaces,
        now=now,
        good=good,
    )
    new = rows.link(tx, repository.id, blob, now)
    if new:
        quotas.blob_came(tx, deps, known, blob)
    return Finished(blob=blob, existed=not new), spare


def _use_up(tx: Tx, row: Upload, now: dt.datetime) -> bool:
    """End the upload, which may have a row or none; False where it has ended. What is likelier is tried first."""
    if row.parts:
        return rows.close_upload(tx, row.id, "finished", now) or rows.insert_upload(tx, row, status="finished")
    return rows.insert_upload(tx, row, status="finished") or rows.close_upload(tx, row.id, "finished", now)


async def _abandon(deps: Deps, repository: Repository, row: Upload) -> None:
    now = deps.clock.now()
    await deps.db.write(lambda tx: rows.close_upload(tx, row.id, "cancelled", now))
    await _store(deps, repository).abort(Staged(key=row.key, size=row.size, state=row.state))


async def _undo(deps: Deps, repository: Repository, row: Upload, stored: Stored, *, fresh: bool) -> None:
    """Forget bytes that are whole and durable, and that the repository may not have. `fresh`: no row tells of them."""
    store, now = _store(deps, repository), deps.clock.now()
    with contextlib.suppress(Unavailable):  # garbage collection finds them
        if await deps.db.write(lambda tx: rows.close_upload(tx, row.id, "cancelled", now)) or fresh:
            await store.delete(stored.key)


def _size(begun: Upload | None, length: int | None) -> int:
    """Bytes that the upload will have at least."""
    return (0 if begun is None else begun.size) + (length or 0)


def _begun(repository: Repository, ticket: Ticket, digest: Digest, tx: Tx) -> Upload | Literal["over"] | None:
    """As `_open_row`; "over" where the upload became this blob."""
    found = rows.upload(tx, ticket.id)
    return "over" if _became(tx, repository, found, digest) else _is_open(repository, ticket, found)


def _became(tx: Tx, repository: Repository, found: tuple[Upload, str] | None, digest: Digest) -> bool:
    over = found is not None and found[1] == "finished" and found[0].repository_id == repository.id
    return over and bool(rows.held(tx, repository.id, [digest]))


def _open_row(tx: Tx, repository: Repository, ticket: Ticket) -> Upload | None:
    """The upload's row; None before its first bytes. Raises UploadNotFound where it is over."""
    return _is_open(repository, ticket, rows.upload(tx, ticket.id))


def _is_open(repository: Repository, ticket: Ticket, found: tuple[Upload, str] | None) -> Upload | None:
    if found is None:
        return None
    row, state = found
    if row.repository_id != repository.id or state != "open":
        raise _unknown(repository, ticket.id)
    return row


def _move(tx: Tx, deps: Deps, repository: Repository, seen: Upload, new: Upload) -> None:
    if seen.parts == 0 and rows.upload(tx, new.id) is None:
        if repository_rows.by_id(tx, repository.id) is None:
            raise RepositoryNotFound(repository.name, repository.registry.account)
        _insert(tx, deps, new)
    elif not rows.move_upload(tx, new, seen=seen.size):
        found = rows.upload(tx, new.id)
        if found is None or found[1] != "open":
            raise _unknown(repository, new.id)
        raise RangeInvalid(found[0].size)


def _insert(tx: Tx, deps: Deps, new: Upload) -> None:
    _check_open(tx, deps, new.owner)
    rows.insert_upload(tx, new)


def _check_open(tx: Tx, deps: Deps, owner: str) -> None:
    limit = deps.settings.limits.open_uploads
    if rows.count_open_uploads(tx, owner) >= limit:
        raise LimitExceeded(f"You have {limit} unfinished uploads; finish or cancel some")


def _new_row(deps: Deps, ticket: Ticket, staged: Staged) -> Upload:
    return Upload(
        id=ticket.id,
        repository_id=ticket.repository_id,
        owner=ticket.owner,
        key=staged.key,
        size=0,
        digest=None,
        algorithm=ticket.algorithm,
        parts=0,
        small_part=False,
        last_part=0,
        state=staged.state,
        updated_at=deps.clock.now(),
    )


def _store(deps: Deps, repository: Repository) -> BlobStore:
    return deps.stores.of(repository.registry.region)


def _unknown(repository: Repository, upload_id: str) -> UploadNotFound:
    return UploadNotFound(upload_id, repository.name, repository.registry.account)
