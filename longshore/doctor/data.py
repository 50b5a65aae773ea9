"""The data directory: room, the disk's speed, the database, and the store of each region."""

import asyncio
import contextlib
import datetime as dt
import os
import secrets
import statistics
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from longshore import stores, wiring
from longshore.config import Config
from longshore.doctor import hooks
from longshore.doctor.finding import Finding, State
from registry.errors import LongshoreError
from registry.model import StoreRole
from registry.names import Region
from registry.records import installation, schema
from registry.records.engine import Opened
from registry.storage.base import BlobStore, StoreMismatch

PROBE_BYTES: Final = 9 * 1024 * 1024  # more than one part of an upload to S3
_PIECE: Final = 1024 * 1024
_GIB: Final = 1024**3
_FSYNCS: Final = 5
_SLOW_FSYNC: Final = 0.05  # seconds
_SKEW: Final = dt.timedelta(seconds=60)
_REFUSED_SKEW: Final = dt.timedelta(minutes=15)  # from here on S3 refuses signatures
_URL_SECONDS: Final = 60
_PATIENCE: Final = 60  # seconds for all that is asked of one store
_REMOTE: Final = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs")


def looks(config: Config) -> Iterator[Finding]:
    """Disk, database and stores, as far as they can be opened."""
    try:
        with wiring.opened(config) as (db, _stores):
            yield from _disk(Path(config.server.data))
            finding = _database(db)
            yield finding
            if finding.state != "trouble":
                yield from _stores_of(config, db)
                yield from hooks.webhooks(config, db)
    except wiring.CannotStart as error:
        yield Finding(look="data", state="trouble", found=str(error), to_do="start the server once, or name its data")


def _disk(data: Path) -> Iterator[Finding]:
    room = os.statvfs(data)
    free, share = room.f_bavail * room.f_frsize, room.f_bavail / max(room.f_blocks, 1)
    inodes = room.f_favail / room.f_files if room.f_files else 1.0
    state: State = (
        "trouble" if free < _GIB // 4 or inodes < 0.01 else "warning" if share < 0.1 or inodes < 0.1 else "ok"
    )
    yield Finding(
        look="disk",
        state=state,
        found=f"{free / _GIB:.1f} GiB ({share:.0%}) and {inodes:.0%} of the file numbers are free",
        to_do="" if state == "ok" else "make room, or move the data directory; pushes answer 503 when it is full",
    )
    kind = _filesystem(data)
    if kind in _REMOTE:
        yield Finding(
            look="disk",
            state="trouble",
            found=f"the data directory is on {kind}, whose locks and fsync SQLite cannot rely on",
            to_do="put the data directory on a local disk; let the bytes go to S3 if they shall lie elsewhere",
        )
    try:
        taken = statistics.median(_fsync(data) for _ in range(_FSYNCS))
    except OSError as error:
        to_do = "pushes answer 503 until this is mended: make room, or see what the kernel's log says of the disk"
        yield Finding(look="disk", state="trouble", found=f"cannot be written to: {error.strerror}", to_do=to_do)
        return
    slow = taken > _SLOW_FSYNC
    yield Finding(
        look="disk",
        state="warning" if slow else "ok",
        found=f"an fsync takes {taken * 1000:.1f} ms",
        to_do="every push waits for a few of these: use a faster disk" if slow else "",
    )


def _filesystem(path: Path) -> str:
    """The kind of the file system that a path lies on; empty where the kernel does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    resolved, best, kind = path.resolve(), -1, ""
    for line in lines:
        before, _, behind = line.partition(" - ")
        point = Path(before.split(" ")[4].replace("\\040", " "))
        if resolved.is_relative_to(point) and len(point.parts) > best:
            best, kind = len(point.parts), behind.split(" ")[0]
    return kind


def _fsync(data: Path) -> float:
    file = data / f".doctor-{secrets.token_hex(8)}"
    begin = time.perf_counter()
    try:
        with file.open("xb") as out:
            out.write(b"\0" * 4096)
            out.flush()
            os.fsync(out.fileno())
        return time.perf_counter() - begin
    finally:
        file.unlink(missing_ok=True)


def _database(db: Opened) -> Finding:
    begin = time.perf_counter()
    try:
        db.read_here(schema.require)
        db.write_here(lambda tx: None)
    except (schema.SchemaTooNew, schema.SchemaTooOld) as error:
        return Finding(look="database", state="trouble", found=str(error), to_do="run the program that the data is for")
    except LongshoreError as error:
        return Finding(
            look="database",
            state="trouble",
            found=f"it cannot be written to: {error.message}",
            to_do="see `longshore check`; a damaged one comes back by `longshore restore`",
        )
    taken = (time.perf_counter() - begin) * 1000
    return Finding(look="database", state="ok", found=f"schema {schema.HEAD}; a transaction took {taken:.1f} ms")


def _stores_of(config: Config, db: Opened) -> Iterator[Finding]:
    regions = dict.fromkeys([config.registry.region, *db.read_here(installation.store_regions)])
    for region in regions:
        yield from asyncio.run(_store(config, db, Region(region)))
    for one in db.read_here(installation.known_stores):
        if one.role != "main":
            yield from asyncio.run(_store(config, db, one.region, one.role))


async def _store(config: Config, db: Opened, region: Region, role: StoreRole = "main") -> list[Finding]:
    look = f"store {region}" if role == "main" else f"{role} store {region}"
    try:
        store = stores.open_store(config, db, region, role)
        try:
            async with asyncio.timeout(_PATIENCE):
                await store.prove()
                if role == "previous":
                    to_do = "`longshore storage migrate` moves what lies there; drop storage.previous after it"
                    return [Finding(look=look, state="ok", found="is read, and not written to", to_do=to_do)]
                return [finding async for finding in _tried(store, look)]
        finally:
            await store.close()
    except (StoreMismatch, stores.StoreUnusable) as error:
        return [Finding(look=look, state="trouble", found=str(error), to_do="see storage.* in docs/configuration.md")]
    except (LongshoreError, TimeoutError) as error:
        told = str(error.__cause__ or "") or (error.message if isinstance(error, LongshoreError) else "")
        why = told or f"it does not answer within {_PATIENCE} s"
        to_do = "see that it runs, and that its endpoint, bucket and key are those of storage.*"
        return [Finding(look=look, state="trouble", found=f"cannot be used: {why}", to_do=to_do)]


async def _tried(store: BlobStore, look: str) -> AsyncIterator[Finding]:
    """Write, read, read by range, by URL, and delete a blob of more than one part."""
    content = secrets.token_bytes(_PIECE) * (PROBE_BYTES // _PIECE)
    begin = time.perf_counter()
    key = await _written(store, content)
    taken = time.perf_counter() - begin
    try:
        whole = b"".join([piece async for piece in store.read(key)])
        some = b"".join([piece async for piece in store.read(key, 5, 4_000_005)])
        if whole != content or some != content[5:4_000_005]:
            yield Finding(
                look=look,
                state="trouble",
                found="it gives back other bytes than it was given",
                to_do="do not use this store: look at what lies between, then at the store",
            )
            return
        yield Finding(
            look=look, state="ok", found=f"writes {len(content) / taken / 1e6:.0f} MB/s, reads whole and by range"
        )
        seen = await store.stat(key)
        if seen is not None and seen.written_at is not None:
            yield _clock(look, seen.written_at, dt.datetime.now(dt.UTC))
        if (url := await store.url(key, _URL_SECONDS)) is not None:
            yield await asyncio.to_thread(_redirect, look, url, content)
    finally:
        await store.delete(key)
    if await store.stat(key) is not None:
        yield Finding(
            look=look,
            state="warning",
            found="what was deleted can still be seen",
            to_do="turn versioning or retention off in this bucket, or what is deleted goes on taking room",
        )
    if not await stores.spares_what_is_there(store):
        yield Finding(
            look=look,
            state="warning",
            found="it overwrites an object that a conditional write should have spared",
            to_do="let only one installation use this bucket and prefix: the store cannot tell two apart at once",
        )


async def _written(store: BlobStore, content: bytes) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), _PIECE):
            yield content[at : at + _PIECE]

    begun = await store.begin()
    try:
        async with store.hold(begun) as hold:
            staged = await hold.append(begun, pieces())
            await hold.settle(staged)
            return (await hold.finish(staged)).key
    except LongshoreError:
        with contextlib.suppress(LongshoreError):
            await store.abort(begun)  # what is left of it on a full disk would be nobody's
        raise


def _clock(look: str, theirs: dt.datetime, ours: dt.datetime) -> Finding:
    apart = abs(theirs - ours)
    state: State = "trouble" if apart > _REFUSED_SKEW else "warning" if apart > _SKEW else "ok"
    return Finding(
        look=look,
        state=state,
        found=f"its clock and this machine's are {apart.total_seconds():.0f} s apart",
        to_do="" if state == "ok" else "keep both clocks by NTP: signatures and logins depend on them",
    )


def _redirect(look: str, url: str, content: bytes) -> Finding:
    try:
        with urllib.request.urlopen(url, timeout=_URL_SECONDS) as answer:  # noqa: S310 # the store's own
            if answer.read() == content:
                return Finding(look=look, state="ok", found="signed URLs give the bytes")
            why = "gives other bytes"
    except OSError as error:
        why = str(getattr(error, "reason", error))
    return Finding(
        look=look,
        state="trouble",
        found=f"a signed URL of {urlsplit(url).netloc} does not give the bytes: {why}",
        to_do="set storage.public_endpoint to what clients can reach, or storage.redirect to false",
    )
