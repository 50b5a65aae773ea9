"""What rooms, `check` and `backup` make of a store that is far away: it may not see for a while what it has."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from longshore import backup, restore, wiring
from longshore import config as configuration
from longshore.config import Config, Server
from registry import images, integrity, layers, repositories, uploads
from registry.context import Deps
from registry.errors import BlobNotFound, InvalidLayer, RangeInvalid, StorageUnavailable, UploadNotFound
from registry.findings import Report
from registry.model import Blob, Repository
from registry.names import Digest, RepositoryName, Tag
from registry.records import blobs as rows
from registry.storage.base import Staged
from registry.storage.s3 import PART_SIZE, S3Store
from tests import builders
from tests.chunks import MIB, chunked, noise
from tests.places import APP, REGION, REGISTRY, database_of
from tests.s3_relay import On, Relay, hide, refuse
from tests.s3_servers import TestBucket

DATA = noise(3 * MIB)
DIGEST = Digest.of(DATA)


@pytest.fixture
def config(tmp_path: Path, bucket: TestBucket, s3_relay: Relay) -> Config:
    environment = bucket.environment(endpoint=s3_relay.url)
    return configuration.load(data=tmp_path / "data", file=None, env=environment, flags={})


@pytest.fixture
def _deps(config: Config) -> Iterator[Deps]:
    wiring.prepare(config, {}, "http://localhost:5000")
    deps = wiring.build(config, "http://localhost:5000")
    yield deps
    database_of(deps).close()


@pytest.fixture
async def deps(_deps: Deps) -> AsyncIterator[Deps]:
    yield _deps
    await _deps.stores.close()


@pytest.fixture
async def repository(deps: Deps) -> Repository:
    return await repositories.create(deps, REGISTRY, APP, repositories.Wish())


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that turns the clock by which the store judges what it does not see."""
    now = [1000.0]
    monkeypatch.setattr("registry.storage.s3.time.monotonic", lambda: now[0])

    def turn(seconds: float) -> None:
        now[0] += seconds

    return turn


def begin(deps: Deps, repository: Repository) -> uploads.Ticket:
    return uploads.open_ticket(deps, repository, uploads.begin(deps, repository))


async def push(deps: Deps, repository: Repository, data: bytes = DATA) -> Blob:
    ticket = begin(deps, repository)
    return (await uploads.finish(deps, repository, ticket, Digest.of(data), chunked(data))).blob


async def row(deps: Deps, digest: Digest = DIGEST) -> Blob:
    found = await deps.db.read(lambda tx: rows.find(tx, deps.stores.of(REGION).store_id, digest))
    assert found is not None
    return found


async def served(deps: Deps, repository: Repository, digest: Digest = DIGEST) -> bytes:
    opened = await layers.open_blob(deps, repository, digest, whole=True)
    pieces = opened.chunks if opened.read is None else opened.read(0, opened.blob.size)
    assert pieces is not None
    return b"".join([piece async for piece in pieces])


def key_of(deps: Deps, blob: Blob) -> str:
    store = deps.stores.of(REGION)
    assert isinstance(store, S3Store)
    return store.blob_path(blob.key)


# --- what is not seen -------------------------------------------------------------------------------------------------


async def test_f22_a_blob_out_of_sight_is_unavailable_and_not_marked(
    deps: Deps, repository: Repository, s3_relay: Relay, later: Callable[[float], None]
) -> None:
    other = await repositories.create(deps, REGISTRY, RepositoryName("team/other"), repositories.Wish())
    await push(deps, repository)
    s3_relay.script = [On("HeadObject", hide)]

    for look in (
        layers.stat(deps, repository, DIGEST),
        layers.open_blob(deps, repository, DIGEST, whole=True),
        layers.open_blob(deps, repository, DIGEST, whole=False),
        layers.mount(deps, other, DIGEST, [repository]),
    ):
        with pytest.raises(StorageUnavailable):
            await look
    assert not (await row(deps)).damaged
    s3_relay.script = []
    assert await served(deps, repository) == DATA


async def test_f45_a_blob_that_stays_away_is_unknown_until_it_is_pushed_again(
    deps: Deps, repository: Repository, bucket: TestBucket, later: Callable[[float], None]
) -> None:
    blob = await push(deps, repository)
    bucket.client.delete_object(Bucket=bucket.name, Key=key_of(deps, blob))
    with pytest.raises(StorageUnavailable):
        await layers.stat(deps, repository, DIGEST)
    later(31)

    with pytest.raises(BlobNotFound):
        await layers.stat(deps, repository, DIGEST)
    assert (await row(deps)).damaged
    with pytest.raises(BlobNotFound):
        await layers.open_blob(deps, repository, DIGEST, whole=True)
    await push(deps, repository)
    assert await served(deps, repository) == DATA


async def test_p7_good_bytes_take_the_place_of_those_that_are_not_seen(
    deps: Deps, repository: Repository, s3_relay: Relay, later: Callable[[float], None]
) -> None:
    old = await push(deps, repository)
    s3_relay.script = [On("HeadObject", hide, key=old.key)]

    await push(deps, repository)

    new = await row(deps)
    assert (new.key == old.key, new.damaged) == (False, False)
    assert await served(deps, repository) == DATA


async def test_an_object_that_changed_is_verified_before_it_is_sent_in_part(
    deps: Deps, repository: Repository, bucket: TestBucket
) -> None:
    blob = await push(deps, repository)
    bucket.rewrite(key_of(deps, blob), DATA)

    opened = await layers.open_blob(deps, repository, DIGEST, whole=False)

    assert opened.read is not None
    assert b"".join([piece async for piece in opened.read(5, 2 * MIB)]) == DATA[5 : 2 * MIB]
    assert (await row(deps)).identity != blob.identity


# --- uploads ----------------------------------------------------------------------------------------------------------


async def test_of_two_writers_the_second_is_told_the_true_size(deps: Deps, repository: Repository) -> None:
    ticket = begin(deps, repository)
    await uploads.append(deps, repository, ticket, chunked(DATA), start=0)
    row_then = await uploads.row_of(deps, repository, ticket.id)
    store = deps.stores.of(REGION)

    async with store.hold(await _staged(deps, repository, ticket)):
        with pytest.raises(RangeInvalid) as caught:
            await uploads.append(deps, repository, ticket, chunked(b"more"), start=len(DATA))

    assert caught.value.size == row_then.size == len(DATA)


async def test_an_upload_whose_parts_are_gone_is_over(deps: Deps, repository: Repository, bucket: TestBucket) -> None:
    ticket, data = begin(deps, repository), noise(PART_SIZE + 100)
    await uploads.append(deps, repository, ticket, chunked(data), start=0)
    await deps.stores.of(REGION).sweep_uploads(dt.datetime(2100, 1, 1, tzinfo=dt.UTC), set())

    with pytest.raises(UploadNotFound):
        await uploads.finish(deps, repository, ticket, Digest.of(data))
    with pytest.raises(UploadNotFound):
        await uploads.status(deps, repository, ticket)


async def test_a_hash_that_is_lost_is_taken_again_at_the_end(deps: Deps, repository: Repository) -> None:
    """Another process has begun the uploads; parts cannot be read before they are one."""
    good, bad, data = begin(deps, repository), begin(deps, repository), noise(PART_SIZE + 100)
    for ticket in (good, bad):
        await uploads.append(deps, repository, ticket, chunked(data[:MIB]), start=0)
        deps.hashes.drop(ticket.id, MIB)
        row_now = await uploads.append(deps, repository, ticket, chunked(data[MIB:]), start=MIB)
        assert row_now.digest is None

    with pytest.raises(InvalidLayer, match=Digest.of(data)):
        await uploads.finish(deps, repository, bad, Digest.of(b"something else"))
    assert (await uploads.finish(deps, repository, good, Digest.of(data))).blob.size == len(data)
    assert await served(deps, repository, Digest.of(data)) == data


async def test_last_bytes_that_differ_from_what_was_finished_make_no_blob(
    deps: Deps, repository: Repository, s3_relay: Relay
) -> None:
    """The parts became an object, and the answer was lost. Now come as many other bytes, and their digest."""
    ticket, data, begun = begin(deps, repository), noise(2 * PART_SIZE + 100), PART_SIZE + 50
    await uploads.append(deps, repository, ticket, chunked(data[:begun]), start=0)
    s3_relay.script = [On("HeadObject", refuse(503, "SlowDown"))]
    with pytest.raises(StorageUnavailable):
        await uploads.finish(deps, repository, ticket, Digest.of(data), chunked(data[begun:]))
    s3_relay.script = []
    other = data[:begun] + noise(len(data) - begun, seed=2)

    with pytest.raises(InvalidLayer, match=Digest.of(data)):
        await uploads.finish(deps, repository, ticket, Digest.of(other), chunked(other[begun:]))


# --- check and backup -------------------------------------------------------------------------------------------------


async def fill(deps: Deps, repository: Repository) -> builders.Built:
    """An image and an open upload with a part and a tail."""
    built = builders.image(layers=[noise(PART_SIZE + 5), b"small"])
    for blob in built.blobs:
        await push(deps, repository, blob)
    await images.put(deps, REGISTRY, APP, built.body, built.media_type, tags=[Tag("v1")])
    await uploads.append(deps, repository, begin(deps, repository), chunked(noise(PART_SIZE + 100)), start=0)
    return built


@pytest.fixture
def filled(config: Config) -> builders.Built:
    """A data directory with that in it, and nobody at work on it."""
    wiring.prepare(config, {}, "http://localhost:5000")
    deps = wiring.build(config, "http://localhost:5000")

    async def work() -> builders.Built:
        try:
            return await fill(deps, await repositories.create(deps, REGISTRY, APP, repositories.Wish()))
        finally:
            await deps.stores.close()

    try:
        return asyncio.run(work())
    finally:
        database_of(deps).close()


def check(config: Config, *, deep: bool = True) -> Report:
    with wiring.opened(config) as (db, stores):
        return asyncio.run(stores.during(integrity.check(db, stores, now=dt.datetime.now(dt.UTC), deep=deep)))


def test_check_finds_a_store_in_a_bucket_sound(config: Config, filled: builders.Built) -> None:
    report = check(config)

    assert (report.findings, report.blobs, report.uploads, report.is_sound) == ((), 3, 1, True)


@pytest.mark.parametrize(
    ("prefix", "kind"), [("blobs/", "blob-missing"), ("tails/", "upload"), ("longshore-store.json", "store")]
)
def test_check_finds_what_is_gone(
    config: Config, filled: builders.Built, bucket: TestBucket, prefix: str, kind: str
) -> None:
    for key in bucket.all_keys(f"us-east-1/{prefix}"):
        bucket.client.delete_object(Bucket=bucket.name, Key=key)

    report = check(config)

    assert {finding.kind for finding in report.findings} == {kind}
    assert not report.is_sound


def test_check_finds_parts_that_are_gone(config: Config, filled: builders.Built, bucket: TestBucket) -> None:
    for one in bucket.client.list_multipart_uploads(Bucket=bucket.name)["Uploads"]:
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=one["Key"], UploadId=one["UploadId"])

    (finding,) = check(config).findings

    assert finding.kind == "upload"
    assert finding.message.startswith(f"{PART_SIZE + 100} bytes were received, and 100 are there")


def test_a_backup_of_a_bucket_is_restored_onto_a_disk(config: Config, filled: builders.Built, tmp_path: Path) -> None:
    made = backup.make(config, tmp_path / "copy", verify=False, watch=lambda step, done, total: None)
    on_disk = Config(server=Server(data=str(tmp_path / "restored")))
    done = restore.restore(on_disk, tmp_path / "copy", partial=False, watch=lambda step, done, total: None)

    assert (made.lost, done.blobs, done.damaged) == ((), 3, 0)
    assert check(on_disk).is_sound


def test_a_backup_while_the_store_is_away_is_refused_and_not_full_of_losses(
    config: Config, filled: builders.Built, s3_relay: Relay, tmp_path: Path
) -> None:
    s3_relay.script = [On("*", refuse(503, "SlowDown"))]

    with pytest.raises(StorageUnavailable):
        backup.make(config, tmp_path / "copy", verify=False, watch=lambda step, done, total: None)


async def _staged(deps: Deps, repository: Repository, ticket: uploads.Ticket) -> Staged:
    found = await uploads.row_of(deps, repository, ticket.id)
    return Staged(key=found.key, size=found.size, state=found.state)
