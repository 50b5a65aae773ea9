"""Garbage collection in a bucket: blobs, objects that no row names, parts of uploads that are over."""

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from registry import repositories, scrub, uploads
from registry.context import Deps
from registry.model import Repository
from registry.names import Digest, RepositoryName
from registry.options import Gc, Storage
from registry.storage.s3 import PART_SIZE
from tests.builders import image
from tests.collecting import GRACE, SPENT, TERMS, UPLOADS, Ground
from tests.places import REGION, REGISTRY, chunks, rooms
from tests.s3_servers import TestBucket

KEY = "ab" + "0" * 30


@pytest.fixture
def deps(bucket: TestBucket, tmp_path: Path) -> Iterator[Deps]:
    storage = Storage(**msgspec.structs.asdict(bucket.place(prefix="ours/")))
    with rooms(tmp_path / "data", storage=storage) as found:
        yield found


@pytest.fixture
async def ground(deps: Deps) -> AsyncIterator[Ground]:
    yield Ground(deps)
    await deps.stores.close()


@pytest.fixture
async def repository(ground: Ground) -> Repository:
    return await repositories.create(ground.deps, REGISTRY, RepositoryName("team/app"), repositories.Wish())


def blobs(bucket: TestBucket) -> list[str]:
    return bucket.all_keys(f"ours/{REGION}/blobs/")


async def content(ground: Ground, repository: Repository, data: bytes) -> bytes:
    store = ground.deps.stores.of(REGION)
    [key] = [key async for key in store.keys(ground.hands.time + dt.timedelta(days=1)) if key]
    return b"".join([piece async for piece in store.read(key)])


async def test_what_nothing_needs_goes_and_the_rest_stays(
    ground: Ground, repository: Repository, bucket: TestBucket
) -> None:
    kept = image(layers=[], config=b"kept")
    await ground.put(repository, kept)
    loose = await ground.push(repository, b"loose")
    said = await ground.collect(dry_run=True)
    assert said.bytes == 0
    ground.wait(SPENT)
    said, done = await ground.collect(dry_run=True), await ground.collect()

    assert said.regions[0].blobs == done.regions[0].blobs
    assert done.bytes == 5
    assert not await ground.is_told(repository, loose)
    assert len(blobs(bucket)) == 1
    assert await content(ground, repository, b"kept") == b"kept"


async def test_objects_that_no_row_names_go_and_others_keys_stay(ground: Ground, bucket: TestBucket) -> None:
    await ground.deps.stores.of(REGION).prove()
    ours, derived = f"ours/{REGION}/blobs/ab/{KEY}", f"ours/{REGION}/blobs/ab/{KEY}-01234567"
    others = ["README", f"theirs/{REGION}/blobs/ab/{KEY}", f"ours/{REGION}/blobs/ab/notes.txt", f"ours/{REGION}/else"]
    for key in (ours, derived, *others):
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"litter")
    ground.wait(2 * SPENT)  # objects have the service's time
    collected = await ground.collect()

    assert (collected.regions[0].unnamed.count, collected.regions[0].unnamed.bytes) == (2, 12)
    assert sorted(bucket.all_keys()) == sorted([*others, f"ours/{REGION}/longshore-store.json"])


async def test_young_objects_stay(ground: Ground, bucket: TestBucket) -> None:
    await ground.deps.stores.of(REGION).prove()
    bucket.client.put_object(Bucket=bucket.name, Key=f"ours/{REGION}/blobs/ab/{KEY}", Body=b"in flight")
    ground.wait(GRACE)
    collected = await ground.collect()

    assert collected.regions[0].unnamed.count == 0
    assert len(blobs(bucket)) == 1


async def test_uploads_that_nobody_goes_on_with_leave_no_parts(
    ground: Ground, repository: Repository, bucket: TestBucket
) -> None:
    """One with a row, whose parts the row names; and parts that no row knows of."""
    ticket = uploads.open_ticket(ground.deps, repository, uploads.begin(ground.deps, repository))
    await uploads.append(ground.deps, repository, ticket, chunks(b"x" * (PART_SIZE + 100)), start=None)
    stray = f"ours/{REGION}/blobs/ab/{KEY}"
    bucket.client.create_multipart_upload(Bucket=bucket.name, Key=stray)
    bucket.client.put_object(Bucket=bucket.name, Key=f"ours/{REGION}/tails/{KEY}/0123", Body=b"tail")
    assert (len(bucket.uploads()), len(bucket.all_keys(f"ours/{REGION}/tails/"))) == (2, 2)
    ground.wait(UPLOADS - dt.timedelta(minutes=1))
    await ground.collect()
    assert (len(bucket.uploads()), len(bucket.all_keys(f"ours/{REGION}/tails/"))) == (2, 2)
    ground.wait(dt.timedelta(minutes=2))
    collected = await ground.collect()

    assert (bucket.uploads(), bucket.all_keys(f"ours/{REGION}/tails/")) == ([], [])
    assert (collected.regions[0].uploads.count, collected.regions[0].parts) == (1, 2)


async def test_bytes_that_an_open_upload_may_still_become_stay(
    ground: Ground, repository: Repository, bucket: TestBucket
) -> None:
    """Its parts were joined, and then the server died before the row: who asks again gets the blob."""
    patient = Ground(ground.deps, Gc(grace_seconds=TERMS.grace_seconds, upload_seconds=10**7, refuse_percent=100))
    ticket = uploads.open_ticket(ground.deps, repository, uploads.begin(ground.deps, repository))
    data = b"y" * (PART_SIZE + 100)
    row = await uploads.append(ground.deps, repository, ticket, chunks(data), start=None)
    bucket.client.put_object(
        Bucket=bucket.name, Key=f"ours/{REGION}/blobs/{row.key[:2]}/{row.key}-01234567", Body=b"joined"
    )
    patient.wait(2 * SPENT)
    await patient.collect()
    assert len(blobs(bucket)) == 1
    finished = await uploads.finish(ground.deps, repository, ticket, Digest.of(data))

    assert finished.blob.size == len(data)


async def test_rot_in_a_bucket_is_marked(ground: Ground, repository: Repository, bucket: TestBucket) -> None:
    digest = await ground.push(repository, b"loose")
    [key] = blobs(bucket)
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"lOose")
    scrubbed = await scrub.scrub(ground.deps.db, ground.deps.stores, now=ground.hands.time)

    assert [(one.digest, one.why, one.is_marked) for one in scrubbed.troubles] == [(digest, "other bytes", True)]
    assert not await ground.is_told(repository, digest)
