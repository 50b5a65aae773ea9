"""Bytes in a bucket, on real S3 servers."""

import asyncio
import datetime as dt
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from registry.errors import StorageUnavailable
from registry.storage.base import Staged, StoreMismatch, UploadBusy, UploadLost
from registry.storage.s3 import PART_SIZE, S3Store, State
from registry.storage.s3_bucket import Part
from tests.chunks import KIB, MIB, append, chunked, content, finish, noise, put
from tests.registry.storage.conftest import MakeStore
from tests.s3_relay import On, Relay, record
from tests.s3_servers import TestBucket

EVER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
NEVER = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
ROOT = "us-east-1/"


def blobs(bucket: TestBucket) -> list[str]:
    return bucket.all_keys(f"{ROOT}blobs/")


def tails(bucket: TestBucket) -> list[str]:
    return bucket.all_keys(f"{ROOT}tails/")


# --- in and out -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [0, 1, 64 * KIB, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE, 2 * PART_SIZE + 5 * MIB],
)
async def test_bytes_come_back_as_they_went_in(store: S3Store, bucket: TestBucket, size: int) -> None:
    data = noise(size)

    stored = await put(store, data)

    assert (stored.size, stored.identity is None) == (size, False)
    assert await content(store, stored.key) == data
    assert await store.stat(stored.key) == stored
    assert [len(blobs(bucket)), tails(bucket), bucket.uploads()] == [1, [], []]


@pytest.mark.parametrize("checksums", ["md5", "crc32", "sha256", "none"])
async def test_every_kind_of_checksum_is_accepted(make_store: MakeStore, checksums: str) -> None:
    store, data = make_store(checksums=checksums), noise(PART_SIZE + 100)

    assert await content(store, (await put(store, data)).key) == data
    assert await content(store, (await put(store, b"small")).key) == b"small"


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, (None, None)),
        ({"sse": "AES256"}, ("AES256", None)),
        ({"sse": "aws:kms", "sse_kms_key": "key/1"}, ("aws:kms", "key/1")),
    ],
    ids=["none", "AES256", "kms"],
)
async def test_encryption_is_asked_for_with_every_object(
    make_store: MakeStore, s3_relay: Relay, settings: dict[str, str], sent: tuple[str | None, str | None]
) -> None:
    """Whether the server encrypts is its own matter; versitygw takes no notice."""
    seen: list[Any] = []
    s3_relay.script = [On("PutObject", record(seen)), On("CreateMultipartUpload", record(seen))]
    store = make_store(endpoint=s3_relay.url, **settings)

    await put(store, b"small")
    await put(store, noise(PART_SIZE + 1))

    names = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
    assert [tuple(headers.get(name) for name in names) for headers in seen] == [sent] * 3


async def test_a_storage_class_is_asked_for_with_what_stays(make_store: MakeStore, s3_relay: Relay) -> None:
    """Not with what is read again soon: the store's identity, and tails of uploads."""
    seen: list[Any] = []
    s3_relay.script = [On("PutObject", record(seen)), On("CreateMultipartUpload", record(seen))]
    store = make_store(endpoint=s3_relay.url, storage_class="STANDARD_IA")

    await store.prove()
    await put(store, b"small")
    await put(store, noise(PART_SIZE + 1))
    begun = await store.begin()
    async with store.hold(begun) as hold:
        await hold.settle(await hold.append(begun, chunked(b"a tail")))

    assert [headers.get("x-amz-storage-class") for headers in seen] == [None, "STANDARD_IA", "STANDARD_IA", None]


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (0, None), (5, 11), (MIB - 1, MIB + 1), (3 * MIB - 1, None), (3 * MIB, None), (0, 10 * MIB), (7, 7)],
)
async def test_any_part_can_be_read(store: S3Store, start: int, stop: int | None) -> None:
    data = noise(3 * MIB)
    stored = await put(store, data)

    assert await content(store, stored.key, start, stop) == data[start:stop]


async def test_absent_bytes(store: S3Store) -> None:
    await store.delete("0" * 32)

    assert await store.stat("0" * 32) is None
    with pytest.raises(FileNotFoundError):
        await content(store, "0" * 32)


async def test_deleted_bytes_are_gone(store: S3Store, bucket: TestBucket) -> None:
    stored = await put(store, b"some bytes")

    await store.delete(stored.key)

    assert (await store.stat(stored.key), blobs(bucket)) == (None, [])


async def test_the_identity_changes_with_the_bytes(store: S3Store, bucket: TestBucket) -> None:
    stored = await put(store, b"good")

    bucket.client.put_object(Bucket=bucket.name, Key=blobs(bucket)[0], Body=b"evil")
    found = await store.stat(stored.key)

    assert found is not None and found.size == stored.size
    assert found.identity != stored.identity


# --- uploads that go on -----------------------------------------------------------------------------------------------


async def test_an_upload_goes_on_at_any_server(make_store: MakeStore, bucket: TestBucket) -> None:
    data = noise(21 * MIB)
    staged = await make_store(machine="one").begin()

    for number, end in enumerate((3, 9, 10, 20)):
        staged = await append(make_store(machine=f"{number}"), staged, data[staged.size : end * MIB])
        assert staged.size == end * MIB
    store = make_store(machine="last")
    stored = await finish(store, staged, data[staged.size :])

    assert await content(store, stored.key) == data
    assert [len(blobs(bucket)), tails(bucket), bucket.uploads()] == [1, [], []]


@pytest.mark.parametrize("with_body", [True, False], ids=["last-bytes-in-PUT", "empty-PUT"])
async def test_small_chunks_are_kept_apart_from_parts_and_leave_nothing(
    store: S3Store, bucket: TestBucket, with_body: bool
) -> None:
    """S3 takes no part below 5 MiB but the last; 80 chunks of 160 KiB make one part, and tails that are joined."""
    data, size = noise(80 * 160 * KIB), 160 * KIB
    staged, most = await store.begin(), 0

    for first in range(0, len(data) - size, size):
        staged = await append(store, staged, data[first : first + size])
        state = State.of(staged)
        most = max(most, len(state.tails))
        assert {key.rpartition("/")[2] for key in tails(bucket)} == {name for name, _ in state.tails} | set(state.spent)
    if with_body:
        stored = await finish(store, staged, data[staged.size :])
    else:
        stored = await finish(store, await append(store, staged, data[staged.size :]))

    assert await content(store, stored.key) == data
    assert most <= 33
    assert [len(blobs(bucket)), tails(bucket), bucket.uploads()] == [1, [], []]


async def test_what_was_not_settled_is_not_in(store: S3Store) -> None:
    data = noise(18 * MIB)
    staged = await append(store, await store.begin(), data[: 9 * MIB])

    with pytest.raises(RuntimeError):
        async with store.hold(staged) as hold:
            await hold.append(staged, chunked(noise(9 * MIB, seed=2)))
            raise RuntimeError("the row was not written")
    stored = await finish(store, staged, data[9 * MIB :])

    assert await content(store, stored.key) == data


async def test_a_second_writer_of_this_machine_is_refused_at_once(make_store: MakeStore) -> None:
    store, other = make_store(), make_store()
    staged = await store.begin()

    async with store.hold(staged):
        with pytest.raises(UploadBusy):
            async with other.hold(staged):
                pass
    async with other.hold(staged) as hold:
        assert hold.sink(staged) is None


@pytest.mark.parametrize("mine", [1 * MIB, 9 * MIB, 17 * MIB], ids=["tail", "part", "parts"])
@pytest.mark.parametrize("before", [0, 2 * MIB, 10 * MIB], ids=["fresh", "after-a-tail", "after-a-part"])
async def test_of_two_writers_the_one_that_the_row_names_counts(make_store: MakeStore, before: int, mine: int) -> None:
    """On two machines nothing keeps them apart. The loser comes last, so as to spoil what it can."""
    store, other = make_store(machine="one"), make_store(machine="two")
    start = noise(before)
    staged = await append(store, await store.begin(), start) if before else await store.begin()

    winner, loser = noise(mine, seed=1), noise(mine, seed=2)
    won = await append(store, staged, winner)
    await append(other, staged, loser)
    try:
        stored = await finish(store, won)
    except UploadLost:
        # Both numbered a part alike: the upload is lost, and the client begins again.
        assert before + mine > PART_SIZE and before > PART_SIZE
        return

    assert await content(store, stored.key) == start + winner


async def test_of_two_writers_that_finish_each_has_its_own_bytes(make_store: MakeStore) -> None:
    store, other = make_store(machine="one"), make_store(machine="two")
    staged = await append(store, await store.begin(), b"begun ")

    first = await finish(store, staged, b"by one")
    second = await finish(other, await append(other, await other.begin(), b"begun "), b"by two")

    assert first.key != second.key
    assert await content(store, first.key) == b"begun by one"


# --- the end, again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, PART_SIZE + 100], ids=["small", "parts"])
async def test_finishing_again_after_a_crash_comes_to_the_same_end(store: S3Store, size: int) -> None:
    data = noise(size)
    staged = await append(store, await store.begin(), data)
    with pytest.raises(RuntimeError):
        async with store.hold(staged) as hold:
            await hold.finish(staged)
            raise RuntimeError("the row was not written")

    stored = await finish(store, staged)

    assert await content(store, stored.key) == data


async def test_finishing_again_with_the_last_bytes_must_be_read_to_be_believed(store: S3Store) -> None:
    """The parts are an object already. That its bytes are these ones only their hash can say: no identity."""
    data = noise(2 * PART_SIZE + 100)
    staged = await append(store, await store.begin(), data[: PART_SIZE + 50])
    with pytest.raises(RuntimeError):
        async with store.hold(staged) as hold:
            await hold.finish(await hold.append(staged, chunked(data[staged.size :])))
            raise RuntimeError("the row was not written")

    stored = await finish(store, staged, data[staged.size :])

    assert (await content(store, stored.key), stored.identity) == (data, None)


async def test_other_last_bytes_than_those_that_were_finished_are_not_accepted(store: S3Store) -> None:
    data = noise(2 * PART_SIZE + 100)
    staged = await append(store, await store.begin(), data[: PART_SIZE + 50])
    with pytest.raises(RuntimeError):
        async with store.hold(staged) as hold:
            await hold.finish(await hold.append(staged, chunked(data[staged.size :])))
            raise RuntimeError("the row was not written")

    with pytest.raises(UploadLost):
        await finish(store, staged, data[staged.size : -1])
    with pytest.raises(UploadLost):
        await append(store, staged, data[staged.size :])


@pytest.mark.parametrize("what", ["upload", "tail"])
async def test_an_upload_whose_bytes_were_swept_is_lost(store: S3Store, bucket: TestBucket, what: str) -> None:
    staged = await append(store, await store.begin(), noise(PART_SIZE + 100))
    if what == "upload":
        state = State.of(staged)
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=store.blob_path(state.key), UploadId=state.upload)
    else:
        bucket.client.delete_object(Bucket=bucket.name, Key=tails(bucket)[0])

    with pytest.raises(UploadLost):
        await finish(store, staged)
    with pytest.raises(UploadLost):
        await finish(store, staged, noise(2 * PART_SIZE))


# --- what is left behind ----------------------------------------------------------------------------------------------


async def test_aborting_leaves_nothing_of_the_upload_and_nothing_else_is_touched(
    store: S3Store, bucket: TestBucket
) -> None:
    other = await append(store, await store.begin(), noise(PART_SIZE + 100))
    there = (tails(bucket), bucket.uploads())
    staged = await append(store, await store.begin(), noise(PART_SIZE + 200))
    staged = await append(store, staged, b"a second tail")

    await store.abort(staged)

    assert (tails(bucket), bucket.uploads()) == there
    await finish(store, other)


async def test_aborting_finds_parts_that_no_row_names(store: S3Store, bucket: TestBucket) -> None:
    staged = await store.begin()
    await append(store, staged, noise(PART_SIZE + 200))

    await store.abort(staged)

    assert (tails(bucket), bucket.uploads()) == ([], [])


async def test_sweeping_spares_what_is_open_and_what_is_young(store: S3Store, bucket: TestBucket) -> None:
    left, kept = [await append(store, await store.begin(), noise(PART_SIZE + 200)) for _ in range(2)]

    assert await store.sweep_uploads(NEVER, set()) == 0
    assert await store.sweep_uploads(EVER, {kept.key, left.key}) == 0
    assert await store.sweep_uploads(EVER, {kept.key}) == 2
    assert [len(tails(bucket)), len(bucket.uploads())] == [1, 1]
    await finish(store, kept)
    assert bucket.uploads() == []


async def test_every_finished_key_is_listed_page_by_page(store: S3Store, bucket: TestBucket) -> None:
    """S3 lists at most a thousand."""
    await store.prove()
    names = [f"{number:032x}-00000000" for number in range(1003)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: bucket.client.put_object(Bucket=bucket.name, Key=store.blob_path(name)), names))
    await append(store, await store.begin(), b"only a tail")

    assert [key async for key in store.keys(EVER)] == names
    assert [key async for key in store.keys(NEVER)] == []


# --- whose store it is ------------------------------------------------------------------------------------------------


async def test_a_store_is_one_databases_and_one_regions(make_store: MakeStore, bucket: TestBucket) -> None:
    await make_store(store_id="a" * 32).prove()
    await make_store(store_id="a" * 32, is_new=False).prove()
    await make_store(store_id="c" * 32, region="eu-west-1").prove()

    with pytest.raises(StoreMismatch, match=f"holds store {'a' * 32} .*choose another storage.prefix"):
        await make_store(store_id="b" * 32).prove()
    await make_store(store_id="b" * 32, prefix="of/another/").prove()
    assert bucket.all_keys() == [
        "eu-west-1/longshore-store.json",
        "of/another/us-east-1/longshore-store.json",
        "us-east-1/longshore-store.json",
    ]


async def test_of_two_databases_that_come_at_once_one_has_the_store(make_store: MakeStore) -> None:
    stores = [make_store(store_id=f"{number}" * 32) for number in range(8)]

    outcomes = await asyncio.gather(*(store.prove() for store in stores), return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", *["StoreMismatch"] * 7]


async def test_a_store_that_lost_its_identity_is_not_made_anew_over_rows(make_store: MakeStore) -> None:
    with pytest.raises(StoreMismatch, match="the blobs of region us-east-1 are missing"):
        await make_store(is_new=False).prove()


@pytest.mark.parametrize("text", [b"", b"[]", b'{"storeId": "x"}', b"\xff"])
async def test_a_damaged_identity_is_told(make_store: MakeStore, bucket: TestBucket, text: bytes) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key=f"{ROOT}longshore-store.json", Body=text)

    with pytest.raises(StoreMismatch, match="is damaged"):
        await make_store().prove()


async def test_nothing_is_touched_in_a_store_that_is_not_ours(make_store: MakeStore, bucket: TestBucket) -> None:
    stored = await put(make_store(store_id="a" * 32), b"not yours")
    there, foreign = bucket.all_keys(), make_store(store_id="b" * 32, machine="two")

    for step in (
        foreign.delete(stored.key),
        foreign.abort(Staged(key=stored.key.partition("-")[0], size=0, state={})),
        foreign.sweep_uploads(EVER, set()),
        foreign.stat(stored.key),
        put(foreign, b"mine"),
        anext(foreign.keys(EVER)),
        content(foreign, stored.key),
    ):
        with pytest.raises(StorageUnavailable):
            await step
    assert bucket.all_keys() == there


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"bucket": "there-is-none"}, "NoSuchBucket"),
        ({"secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"endpoint": "http://127.0.0.1:9"}, "EndpointConnectionError"),
        ({"endpoint": "http://localhost:1"}, "EndpointConnectionError"),
    ],
    ids=["no-bucket", "bad-secret", "refused", "nobody"],
)
async def test_why_a_store_cannot_be_used_is_told_to_the_operator_alone(
    make_store: MakeStore, more: dict[str, str], why: str
) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        await make_store(**more).prove()

    assert why in str(caught.value.__cause__)
    assert str(caught.value) == "the blob store is not available at the moment; try again"


# --- signed URLs ------------------------------------------------------------------------------------------------------


async def test_a_signed_url_opens_the_bytes_as_a_download(make_store: MakeStore) -> None:
    store = make_store(redirect=True)
    stored = await put(store, b"0123456789")

    url = await store.url(stored.key, 60)
    assert url is not None and "X-Amz-Signature=" in url
    request = urllib.request.Request(url, headers={"Range": "bytes=2-4"})
    with await asyncio.to_thread(urllib.request.urlopen, request) as answer:
        body, headers = answer.read(), answer.headers

    assert (answer.status, body) == (206, b"234")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == "attachment"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        await asyncio.to_thread(urllib.request.urlopen, url.replace(stored.key[:8], "0" * 8))


async def test_signed_urls_are_for_clients_that_reach_the_service_elsewhere(
    make_store: MakeStore, s3_relay: Relay
) -> None:
    store = make_store(redirect=True, public_endpoint=s3_relay.url)
    stored = await put(store, b"some bytes")

    url = await store.url(stored.key, 60)

    assert url is not None and url.startswith(f"{s3_relay.url}/")
    with await asyncio.to_thread(urllib.request.urlopen, url) as answer:
        assert answer.read() == b"some bytes"


async def test_without_redirects_there_are_no_urls(store: S3Store) -> None:
    stored = await put(store, b"some bytes")

    assert await store.url(stored.key, 60) is None
    assert store.path(stored.key) is None


# --- memory -----------------------------------------------------------------------------------------------------------


async def test_bytes_of_slow_clients_wait_on_disk(make_store: MakeStore, tmp_path: Any) -> None:
    """Forty uploads that stop short of a part: what they brought is in their spool files, which go with them."""
    store = make_store()
    await store.prove()
    piece, stopped = noise(1 * MIB), asyncio.Event()

    async def slow() -> None:
        async def chunks() -> Any:
            for _ in range(7):
                yield piece
            arrived.release()
            await stopped.wait()

        staged = await store.begin()
        async with store.hold(staged) as hold:
            await hold.append(staged, chunks())

    arrived = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(slow())
        for _ in range(40):
            await arrived.acquire()
        sizes = [path.stat().st_size for path in (tmp_path / "one").iterdir()]
        stopped.set()

    assert len(sizes) == 40 and min(sizes) >= 6 * MIB
    assert list((tmp_path / "one").iterdir()) == []


def test_parts_grow_with_the_largest_blob(make_store: MakeStore) -> None:
    """S3 takes ten thousand parts."""
    assert make_store(largest=52_000 * MIB).part_size == PART_SIZE
    assert make_store(largest=500_000 * MIB).part_size * 10_000 >= 500_000 * MIB


def test_the_state_in_the_row_is_small(make_store: MakeStore) -> None:
    state = State(key="k", upload="u", parts=(Part(size=PART_SIZE, etag="0" * 32),) * 6500)

    assert len(str(dict(state.as_row()))) < 64 * 6500
    assert State.of(Staged(key="k", size=0, state=state.as_row())) == state
