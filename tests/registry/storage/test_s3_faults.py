"""What an S3 service may do wrong, done by a relay to a real one (promises.md F18 to F23).

Whatever happens: bytes that were acknowledged are right, and nothing that is short or wrong passes for whole.
"""

import asyncio
import os
import time
from pathlib import Path

import pytest

from registry.errors import StorageFull, StorageUnavailable
from registry.storage.s3 import PART_SIZE, S3Store
from registry.storage.s3_calls import Budget, Patience
from tests.chunks import MIB, append, content, finish, noise, put
from tests.registry.storage.conftest import QUICK, MakeStore
from tests.s3_relay import Fault, On, Relay, cut, error_in_200, fail_after, garble, hang_up, hide, refuse, stall
from tests.s3_servers import KEY_ID, SECRET, TestBucket

PUSHES = int(os.environ.get("LONGSHORE_TEST_S3_PUSHES", "60"))
TWO_PARTS = PART_SIZE + 100


# --- F18: refusals ----------------------------------------------------------------------------------------------------


async def test_f18_a_third_of_all_calls_may_fail(relayed: S3Store, s3_relay: Relay) -> None:
    s3_relay.script = [On("*", refuse(503, "SlowDown"), chance=0.3)]
    slots = asyncio.Semaphore(4)

    async def failed(number: int) -> bool:
        data = noise(10_000 + number)
        async with slots:
            try:
                stored = await put(relayed, data)
                assert await content(relayed, stored.key) == data
            except StorageUnavailable:
                return True
            return False

    failures = sum(await asyncio.gather(*(failed(number) for number in range(PUSHES))))

    # Four tries at 0.3 each leave 0.8 % of calls that fail, and a push and its pull are three; clients try again too.
    # Seven standard deviations more: chance alone passes that once in a million runs.
    expected = PUSHES * (1 - (1 - 0.3**4) ** 3)
    assert failures <= expected + 7 * expected**0.5


@pytest.mark.parametrize(
    "fault",
    [
        refuse(500, "InternalError"),
        refuse(503, "SlowDown"),
        refuse(400, "RequestTimeout"),
        hang_up,
        fail_after(500),
    ],
    ids=["500", "503", "400-timeout", "hang-up", "500-after-success"],
)
@pytest.mark.parametrize(
    "operation",
    ["PutObject", "HeadObject", "GetObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"],
)
async def test_f18_three_failures_of_a_call_pass_unnoticed(
    relayed: S3Store, s3_relay: Relay, operation: str, fault: Fault
) -> None:
    s3_relay.script = [On(operation, fault, times=3)]
    small, large = noise(1000), noise(TWO_PARTS)

    stored = [await put(relayed, small), await put(relayed, large)]

    assert [await content(relayed, one.key) for one in stored] == [small, large]
    assert s3_relay.script[0].times == 0


async def test_f18_a_call_is_tried_four_times_and_no_more(relayed: S3Store, s3_relay: Relay) -> None:
    s3_relay.calls.clear()
    s3_relay.script = [On("HeadObject", refuse(503, "SlowDown"))]

    with pytest.raises(StorageUnavailable) as caught:
        await relayed.stat("0" * 32)

    assert s3_relay.count("HeadObject") == 4
    assert "503" in str(caught.value.__cause__)


async def test_f18_a_service_that_is_down_gets_no_storm_of_retries(relayed: S3Store, s3_relay: Relay) -> None:
    s3_relay.calls.clear()
    s3_relay.script = [On("HeadObject", refuse(503, "SlowDown"))]

    outcomes = await asyncio.gather(*(relayed.stat("0" * 32) for _ in range(120)), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert 120 <= s3_relay.count("HeadObject") <= 120 + 100


def test_f18_retries_are_earned_by_calls_that_succeed() -> None:
    budget = Budget(capacity=2)

    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.give()
    assert not budget.take()
    budget.give()
    assert [budget.take() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("code", ["XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"])
async def test_a_full_service_is_told_as_such(relayed: S3Store, s3_relay: Relay, code: str) -> None:
    s3_relay.script = [On("PutObject", refuse(507, code))]

    with pytest.raises(StorageFull):
        await put(relayed, b"one byte too many")


async def test_bytes_that_change_on_their_way_are_refused_and_sent_again(relayed: S3Store, s3_relay: Relay) -> None:
    s3_relay.script = [On("PutObject", garble(), times=1), On("UploadPart", garble(), times=1)]
    small, large = noise(1000), noise(TWO_PARTS)

    stored = [await put(relayed, small), await put(relayed, large)]

    assert [await content(relayed, one.key) for one in stored] == [small, large]
    assert [rule.times for rule in s3_relay.script] == [0, 0]


# --- F19: stalls ------------------------------------------------------------------------------------------------------


async def test_f19_a_call_ends_within_its_time(make_store: MakeStore, s3_relay: Relay) -> None:
    store = make_store(endpoint=s3_relay.url, patience=Patience(call=3))
    await store.prove()
    s3_relay.script = [On("*", stall(60))]
    started = time.monotonic()

    with pytest.raises(StorageUnavailable) as caught:
        await store.stat("0" * 32)

    assert 2.5 < time.monotonic() - started < 6
    assert "no answer" in str(caught.value.__cause__)


async def test_f19_while_the_service_stalls_calls_do_not_pile_up(make_store: MakeStore, s3_relay: Relay) -> None:
    """At most 64 wait for an answer; the rest is turned away soon, and all of it ends."""
    store = make_store(endpoint=s3_relay.url, patience=Patience(call=2, slot=0.2))
    await store.prove()
    s3_relay.calls.clear()
    s3_relay.script = [On("*", stall(60))]

    started, ends = time.monotonic(), []

    async def stat() -> None:
        with pytest.raises(StorageUnavailable):
            await store.stat("0" * 32)
        ends.append(time.monotonic() - started)

    await asyncio.gather(*(stat() for _ in range(100)))

    assert s3_relay.count("HeadObject") == 64
    assert sorted(ends)[35] < 1.5 < sorted(ends)[36]
    s3_relay.script = []
    assert await store.stat("0" * 32) is None


async def test_f19_a_stalled_answer_goes_on_elsewhere(make_store: MakeStore, s3_relay: Relay) -> None:
    """Silence in the middle of a body: the rest is asked for anew."""
    store = make_store(endpoint=s3_relay.url, patience=Patience(silence=0.5))
    data = noise(4 * MIB)
    stored = await put(store, data)
    s3_relay.script = [On("GetObject", cut(0.5, hold=60), times=1)]

    assert await content(store, stored.key) == data


# --- F20: answers that end early --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.99])
async def test_f20_an_answer_that_breaks_off_is_resumed(relayed: S3Store, s3_relay: Relay, fraction: float) -> None:
    data = noise(3 * MIB)
    stored = await put(relayed, data)
    s3_relay.script = [On("GetObject", cut(fraction), times=3)]

    assert await content(relayed, stored.key) == data
    assert await content(relayed, stored.key, 7, 2 * MIB) == data[7 : 2 * MIB]
    assert s3_relay.script[0].times == 0


async def test_f20_an_answer_that_brings_nothing_more_is_an_error(relayed: S3Store, s3_relay: Relay) -> None:
    data = noise(3 * MIB)
    stored = await put(relayed, data)
    s3_relay.script = [On("GetObject", cut(0.5), times=1), On("GetObject", cut(0.0))]
    came = 0

    with pytest.raises(StorageUnavailable):
        async for piece in relayed.read(stored.key):
            came += len(piece)

    assert came < len(data)


async def test_f20_an_object_that_changes_while_it_is_read_is_not_pieced_together(
    relayed: S3Store, s3_relay: Relay, bucket: TestBucket
) -> None:
    stored = await put(relayed, noise(3 * MIB, seed=1))
    s3_relay.script = [On("GetObject", cut(0.5), times=1)]

    with pytest.raises(StorageUnavailable):
        async for _ in relayed.read(stored.key):
            if s3_relay.script[0].times == 0:
                bucket.client.put_object(
                    Bucket=bucket.name, Key=relayed.blob_path(stored.key), Body=noise(3 * MIB, seed=2)
                )


async def test_f20_an_object_that_goes_while_it_is_read_is_an_error(
    relayed: S3Store, s3_relay: Relay, bucket: TestBucket
) -> None:
    stored = await put(relayed, noise(3 * MIB))
    s3_relay.script = [On("GetObject", cut(0.5), times=1)]

    with pytest.raises(StorageUnavailable):
        async for _ in relayed.read(stored.key):
            bucket.client.delete_object(Bucket=bucket.name, Key=relayed.blob_path(stored.key))


# --- F21: the end of an upload ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        [On("CompleteMultipartUpload", error_in_200(after=False), times=1)],
        [On("CompleteMultipartUpload", error_in_200(after=True))],
        [On("CompleteMultipartUpload", fail_after(500))],
        [
            On("CompleteMultipartUpload", fail_after(500), times=1),
            On("CompleteMultipartUpload", refuse(404, "NoSuchUpload")),
        ],
        [On("CompleteMultipartUpload", hang_up, times=2)],
        [On("UploadPart", hang_up, times=2)],
        [On("UploadPart", fail_after(503), times=2)],
    ],
    ids=[
        "error-in-200",
        "error-in-200-though-done",
        "500-though-done",
        "500-then-unknown",
        "complete-cut",
        "part-cut",
        "part-503-though-done",
    ],
)
async def test_f21_a_lost_answer_loses_no_upload(relayed: S3Store, s3_relay: Relay, script: list[On]) -> None:
    data = noise(2 * PART_SIZE + 100)
    s3_relay.script = [On(**vars(rule)) for rule in script]

    stored = await put(relayed, data)

    assert await content(relayed, stored.key) == data
    assert stored.identity is not None
    assert stored == await relayed.stat(stored.key)


async def test_f21_an_upload_that_could_not_be_completed_goes_on_later(relayed: S3Store, s3_relay: Relay) -> None:
    data = noise(TWO_PARTS)
    staged = await append(relayed, await relayed.begin(), data)
    s3_relay.script = [On("CompleteMultipartUpload", error_in_200(after=False))]
    with pytest.raises(StorageUnavailable):
        await finish(relayed, staged)

    s3_relay.script = []
    stored = await finish(relayed, staged)

    assert await content(relayed, stored.key) == data


async def test_f21_what_cannot_be_seen_is_not_acknowledged(relayed: S3Store, s3_relay: Relay) -> None:
    s3_relay.script = [On("HeadObject", hide)]

    with pytest.raises(StorageUnavailable):
        await put(relayed, b"written, and out of sight")
    with pytest.raises(StorageUnavailable):
        await put(relayed, noise(TWO_PARTS))


async def test_f21_parts_that_could_not_be_sent_are_not_in(
    relayed: S3Store, s3_relay: Relay, bucket: TestBucket
) -> None:
    data = noise(3 * PART_SIZE)
    staged = await append(relayed, await relayed.begin(), data[:MIB])
    s3_relay.script = [On("UploadPart", refuse(500, "InternalError"))]
    with pytest.raises(StorageUnavailable):
        await append(relayed, staged, noise(2 * PART_SIZE, seed=2))

    s3_relay.script = []
    stored = await finish(relayed, staged, data[MIB:])

    assert await content(relayed, stored.key) == data
    await relayed.abort(staged)
    assert bucket.uploads() == []


# --- F22: bytes out of sight ------------------------------------------------------------------------------------------


class Hands:
    """The clock that the store looks at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("registry.storage.s3.time.monotonic", lambda: self.now)


async def test_f22_bytes_are_lost_only_when_they_stay_away(
    relayed: S3Store, s3_relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, hands = await put(relayed, b"some bytes"), Hands(monkeypatch)
    s3_relay.script = [On("HeadObject", hide)]

    seen = []
    for pause in (0, 10, 19.5, 1):
        hands.now += pause
        assert await relayed.stat(stored.key) is None
        seen.append(await relayed.is_lost(stored.key))

    assert seen == [False, False, False, True]


async def test_f22_bytes_that_turn_up_again_are_not_lost(
    relayed: S3Store, s3_relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, hands = await put(relayed, b"some bytes"), Hands(monkeypatch)
    s3_relay.script = [On("HeadObject", hide, times=2)]

    assert await relayed.stat(stored.key) is None
    assert not await relayed.is_lost(stored.key)
    hands.now += 31
    assert await relayed.stat(stored.key) is None
    assert not await relayed.is_lost(stored.key)  # looked once more, and there it was
    assert await relayed.stat(stored.key) == stored
    s3_relay.script = [On("HeadObject", hide)]
    assert not await relayed.is_lost(stored.key)  # counted from the beginning


async def test_f22_two_looks_far_apart_prove_nothing(
    relayed: S3Store, s3_relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, hands = await put(relayed, b"some bytes"), Hands(monkeypatch)
    s3_relay.script = [On("HeadObject", hide)]

    assert not await relayed.is_lost(stored.key)
    hands.now += 3600
    assert not await relayed.is_lost(stored.key)


async def test_f22_in_an_emptied_bucket_nothing_is_lost(
    relayed: S3Store, bucket: TestBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is not mounted looks like this: every blob would be condemned."""
    stored, hands = await put(relayed, b"some bytes"), Hands(monkeypatch)
    for key in bucket.all_keys():
        bucket.client.delete_object(Bucket=bucket.name, Key=key)

    assert not await relayed.is_lost(stored.key)
    hands.now += 31
    with pytest.raises(StorageUnavailable):
        await relayed.is_lost(stored.key)
    assert bucket.all_keys() == []


# --- F23: credentials and clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "RequestTimeTooSkewed"), (400, "ExpiredToken"), (403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch")],
)
@pytest.mark.parametrize("operation", ["GetObject", "HeadObject"], ids=["told", "by-status-alone"])
async def test_f23_credentials_are_looked_up_once_more(
    relayed: S3Store, s3_relay: Relay, operation: str, status: int, code: str
) -> None:
    """An answer to HEAD has no body, and so no code."""
    stored = await put(relayed, b"some bytes")
    s3_relay.script = [On(operation, refuse(status, code), times=1)]

    assert await relayed.stat(stored.key) == stored
    assert await content(relayed, stored.key) == b"some bytes"


async def test_f23_what_stays_refused_is_not_tried_for_ever(relayed: S3Store, s3_relay: Relay) -> None:
    s3_relay.calls.clear()
    s3_relay.script = [On("HeadObject", refuse(403, "RequestTimeTooSkewed"))]

    with pytest.raises(StorageUnavailable):
        await relayed.stat("0" * 32)

    assert s3_relay.count("HeadObject") == 2


async def test_f23_many_calls_that_are_refused_look_up_credentials_once(
    make_store: MakeStore, s3_relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(endpoint=s3_relay.url, patience=Patience())
    await store.prove()
    calls, made = store.bucket._calls, []
    connect = calls._connect

    async def counted() -> None:
        made.append(time.monotonic())
        await connect()

    monkeypatch.setattr(calls, "_connect", counted)
    s3_relay.script = [On("HeadObject", refuse(403, "ExpiredToken"), times=40)]

    await asyncio.gather(*(store.stat("0" * 32) for _ in range(40)))

    assert len(made) == 1


async def test_f23_credentials_that_were_rotated_are_found(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(secret: str) -> None:
        text = f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {secret}\n"
        (tmp_path / "credentials").write_text(text)

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write("the-old-secret")
    store = make_store(access_key_id="", secret_access_key="", patience=QUICK)
    with pytest.raises(StorageUnavailable):
        await store.prove()

    write(SECRET)

    await store.prove()


async def test_f23_answers_that_are_being_read_outlive_a_renewal(relayed: S3Store, s3_relay: Relay) -> None:
    data = noise(4 * MIB)
    stored = await put(relayed, data)
    pieces = relayed.read(stored.key)
    came = [await anext(pieces)]

    for _ in range(2):
        s3_relay.script = [On("HeadObject", refuse(403, "ExpiredToken"), times=1)]
        await relayed.stat("0" * 32)
    came += [piece async for piece in pieces]

    assert b"".join(came) == data
