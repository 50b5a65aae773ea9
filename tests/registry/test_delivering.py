"""Events on their way to webhooks: order, tries, pauses, and receivers that lie. Real HTTP, on rooms."""

import asyncio
import dataclasses
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from longshore.config import Config
from registry import delivering, repositories, webhook_signing, webhooks
from registry.context import Deps
from registry.errors import InvalidParameter, LimitExceeded
from registry.events import ImagePushed
from registry.jobs.handlers import DELIVERIES
from registry.jobs.worker import Worker
from registry.model import Job
from registry.names import Digest, RepositoryName, Tag
from registry.options import Egress, Webhooks
from registry.reactions import emit
from registry.records import jobs
from registry.records.deliveries import Delivery
from registry.records.listeners import Listener
from registry.webhooks import Standing, Wish
from tests import places, receivers
from tests.collecting import Hands
from tests.places import REGISTRY
from tests.receivers import Receiver, answer

SECRET = b"s" * 32
A, B = RepositoryName("team/a"), RepositoryName("team/b")
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


class Post:
    """Rooms with a clock to turn, one receiver, and what a test asks of both."""

    def __init__(self, deps: Deps, receiver: Receiver) -> None:
        self.hands = Hands()
        self.deps = dataclasses.replace(deps, clock=self.hands)
        self.receiver = receiver

    async def add(self, name: str = "hook", *, url: str = "", **more: Any) -> Listener:
        wish = Wish(name=name, url=url or self.receiver.url, secret=SECRET, **more)
        added = await webhooks.add(self.deps, REGISTRY, wish)
        assert added is not None
        return added

    async def push(self, *tags: str, repository: RepositoryName = A) -> None:
        """Have it told that these tags were pushed, one after the other."""
        for tag in tags:
            fact = ImagePushed(
                at=self.deps.clock.now(),
                registry=REGISTRY,
                repository=repository,
                digest=Digest("sha256:" + "0" * 64),
                tags=(Tag(tag),),
                media_type="m",
                artifact_type=None,
                subject=None,
            )
            await self.deps.db.write(lambda tx, fact=fact: emit(tx, fact))  # type: ignore[misc]

    async def work(self, hook: Listener, repository: RepositoryName = A) -> None:
        """What a worker does with the job of a queue."""
        await delivering.empty(self.deps, hook.id, repository, lambda: None)

    async def standing(self, name: str = "hook") -> Standing:
        found = await webhooks.find(self.deps, REGISTRY, name)
        assert found is not None
        return found

    async def waiting(self, hook: Listener) -> list[Delivery]:
        return await webhooks.events(self.deps, hook, "waiting", after=0, limit=100)

    async def dead(self, hook: Listener) -> list[Delivery]:
        return await webhooks.events(self.deps, hook, "dead", after=0, limit=100)

    async def jobs(self) -> list[Job]:
        return await self.deps.db.read(lambda tx: jobs.page(tx, after=0, limit=100, kind="webhook.deliver"))

    async def fail(self, hook: Listener, times: int) -> list[dt.timedelta]:
        """Try until it was refused so often; the pauses between, as the jobs have them."""
        pauses = []
        for _ in range(times):
            await self.work(hook)
            [first, *_] = await self.waiting(hook)
            found = await self.standing()
            assert first.next_at is not None
            pauses.append(first.next_at - self.hands.now())
            self.hands.time = max(first.next_at, found.webhook.rest_until or first.next_at)
        return pauses


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receivers.receiving() as found:
        yield found


@pytest.fixture
def deps(tmp_path: Path, receiver: Receiver) -> Iterator[Deps]:
    allow = Egress(allow=(f"127.0.0.1:{receiver.port}",))
    with places.rooms(tmp_path / "data", egress=allow, webhooks=Webhooks(seconds=1)) as found:
        yield found


@pytest.fixture
async def post(deps: Deps, receiver: Receiver) -> AsyncIterator[Post]:
    found = Post(deps, receiver)
    yield found
    await found.deps.egress.close()


# --- what is sent -----------------------------------------------------------------------------------------------------


async def test_an_event_comes_signed_with_its_id_and_its_time(post):
    hook = await post.add()
    await post.push("v1")
    await post.work(hook)
    [got] = post.receiver.got
    at = int(got.headers["webhook-timestamp"])
    expected = webhook_signing.headers(SECRET, got.event["id"], at, got.body)

    assert got.path == "/hook"
    assert got.event["detail"]["image-tag"] == "v1"
    assert {name: got.headers[name] for name in expected} == expected
    assert abs(at - post.hands.now().timestamp()) < 5
    assert (got.headers["content-type"], got.headers["user-agent"]) == ("application/json", "longshore")
    assert await post.waiting(hook) == []


async def test_a_queue_is_sent_in_the_order_of_its_causes(post):
    hook = await post.add()
    await post.push(*(f"v{number}" for number in range(20)))
    await post.work(hook)
    found = await post.standing()

    assert post.receiver.tags == [f"v{number}" for number in range(20)]
    assert (found.waiting, found.webhook.delivered, found.webhook.failed) == (0, 20, 0)


async def test_a_long_queue_lets_others_have_their_turn(post, monkeypatch):
    monkeypatch.setattr(delivering, "_TURN", 3)
    hook = await post.add()
    await post.push(*"abcde")
    [before] = await post.jobs()
    await post.deps.db.write(lambda tx: jobs.cancel(tx, before.id))
    await post.work(hook)

    assert post.receiver.tags == ["a", "b", "c"]
    assert len(await post.jobs()) == 1, "the rest has a job"


async def test_two_webhooks_get_one_event_under_one_id(post):
    one, two = await post.add("one"), await post.add("two")
    await post.push("v1")
    await post.work(one)
    await post.work(two)
    first, second = post.receiver.got

    assert first.event == second.event
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


# --- what fails -------------------------------------------------------------------------------------------------------


async def test_what_fails_waits_longer_each_time_and_keeps_its_order_and_id(post):
    hook = await post.add()
    post.receiver.reply = answer(500)
    await post.push("v1", "v2")
    pauses = await post.fail(hook, 14)
    post.receiver.reply = answer(204)
    await post.work(hook)
    seconds = [pause.total_seconds() for pause in pauses]
    ids = [one.event["id"] for one in post.receiver.got]

    assert all(2.5 * 2**n <= pause <= 5 * 2**n for n, pause in enumerate(seconds[:9])), seconds
    assert all(1800 <= pause <= 3600 for pause in seconds[10:]), seconds
    assert post.receiver.tags == [*["v1"] * 15, "v2"]
    assert len(set(ids[:15])) == 1


async def test_after_a_day_an_event_is_dead_and_the_next_has_its_try(post):
    hook = await post.add()
    post.receiver.reply = answer(500)
    await post.push("v1")
    while not await post.dead(hook):
        await post.work(hook)
        post.hands.time += MINUTE * 5
    tries = len(post.receiver.got)
    [dead] = await post.dead(hook)
    await post.push("v2")
    post.receiver.reply = answer(200)
    post.hands.time += HOUR
    await post.work(hook)

    assert 25 < tries < 50
    assert (dead.failures, dead.last_error) == (tries, "the receiver answered 500")
    assert dead.died_at is not None and DAY <= dead.died_at - dead.created_at < DAY + 2 * HOUR
    assert post.receiver.tags[-1] == "v2"


async def test_a_backlog_behind_a_dead_event_does_not_take_a_day_each(post):
    hook = await post.add()
    post.receiver.reply = answer(500)
    await post.push("v1", "v2", "v3")
    await post.work(hook)
    post.hands.time += DAY + HOUR
    for _ in range(3):
        await post.work(hook)
        post.hands.time += HOUR

    assert [one.event_id for one in await post.dead(hook)] == [
        one.event["id"] for one in {got.tag: got for got in post.receiver.got}.values()
    ]


async def test_a_clock_that_jumps_ahead_gives_nothing_up(post):
    """F32: the day that is waited for is counted by the clock that believes no jump."""

    class Jumped(Hands):
        def now(self) -> dt.datetime:
            return self.time + 2 * DAY

        def steady(self) -> dt.datetime:
            return self.time

    hook = await post.add()
    post.receiver.reply = answer(500)
    await post.push("v1")
    post.deps = dataclasses.replace(post.deps, clock=Jumped())
    await post.work(hook)

    assert len(await post.waiting(hook)) == 1
    assert await post.dead(hook) == []


async def test_a_clock_that_is_set_back_keeps_nothing_waiting_for_a_day(post):
    """F32: a pause that ends further away than any can is over."""
    hook = await post.add()
    post.receiver.reply = answer(500)
    await post.push("v1")
    await post.work(hook)
    post.hands.time += -DAY
    post.receiver.reply = answer(200)
    await post.work(hook)

    assert post.receiver.tags == ["v1", "v1"]
    assert await post.waiting(hook) == []


@pytest.mark.parametrize(
    ("status", "value", "least", "most"),
    [
        (429, "600", 600, 601),
        (503, "1200", 1200, 1201),
        (503, "999999999", 3599, 3601),
        (503, "1", 2, 6),
        (503, "soon", 2, 6),
        (503, "-5", 2, 6),
        (503, "9" * 5000, 2, 6),
        (503, "Fri, 31 Dec 9999 23:59:59 GMT", 3599, 3601),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", 2, 6),
        (500, "600", 2, 6),
    ],
    ids=["429", "503", "too-long", "too-short", "no-number", "negative", "endless", "late", "past", "500"],
)
async def test_a_receiver_may_say_when_it_wants_to_be_asked_again_within_bounds(post, status, value, least, most):
    hook = await post.add()
    post.receiver.reply = answer(status, Retry_After=value)
    await post.push("v1")
    [pause] = await post.fail(hook, 1)

    assert least <= pause.total_seconds() <= most


async def test_a_receiver_that_wants_no_more_pauses_the_webhook(post):
    hook = await post.add()
    post.receiver.reply = answer(410)
    await post.push("v1")
    await post.work(hook)
    await post.push("v2")
    paused = await post.standing()
    await post.work(hook)
    post.receiver.reply = answer(200)
    await webhooks.resume(post.deps, hook)
    await post.work(hook)
    after = await post.standing()

    assert (paused.webhook.paused, paused.waiting) == (delivering.GONE, 2)
    assert post.receiver.tags == ["v1", "v1", "v2"]
    assert (after.webhook.paused, after.waiting) == (None, 0)


async def test_who_fails_three_times_in_a_row_is_left_alone_with_all_queues(post):
    hook = await post.add()
    post.receiver.reply = answer(500)
    names = [RepositoryName(f"team/r{number}") for number in range(8)]
    for name in names:
        await post.push("v1", repository=name)
    for name in names:
        await post.work(hook, name)
    tried = len(post.receiver.got)
    found = await post.standing()

    assert tried == 3
    assert found.webhook.rest_until is not None
    assert len(await post.jobs()) == 8, "each queue has its job for later"


async def test_a_queue_that_fails_holds_up_no_other_of_its_webhook(post):
    """An event that its receiver can not take, and events of another repository."""
    hook = await post.add()
    post.receiver.reply = lambda got, client: answer(500 if got.tag == "bad" else 200)(got, client)
    await post.push("bad", "next")
    await post.push("good", repository=B)
    await post.work(hook)
    await post.work(hook, B)

    assert post.receiver.tags == ["bad", "good"]
    assert [one.repository for one in await post.waiting(hook)] == [A, A]


async def test_the_dead_are_bounded_in_number(post):
    settings = msgspec.structs.replace(post.deps.settings, webhooks=Webhooks(seconds=1, keep_dead=2))
    post.deps = dataclasses.replace(post.deps, settings=settings)
    hook = await post.add()
    post.receiver.reply = answer(500)
    await post.push("v1", "v2", "v3", "v4")
    post.hands.time += 2 * DAY
    while await post.waiting(hook):
        await post.work(hook)
        post.hands.time += HOUR

    assert [json.loads(one.event)["detail"]["image-tag"] for one in await post.dead(hook)] == ["v3", "v4"]


async def test_dead_events_are_sent_again_before_what_waits(post):
    hook = await post.add()
    post.receiver.reply = answer(500)
    await post.push("v1", "v2")
    post.hands.time += 2 * DAY
    for _ in range(2):
        await post.work(hook)
        post.hands.time += HOUR
    await post.push("v3")
    post.receiver.reply = answer(200)
    [one, two] = await post.dead(hook)
    sent = await webhooks.resend(post.deps, hook, [one.id])
    post.receiver.got.clear()
    await post.work(hook)
    dropped = await webhooks.drop(post.deps, hook, [])

    assert (sent, dropped) == (1, 1)
    assert post.receiver.tags == ["v1", "v3"]
    assert [two.id] != [one.id] and await post.dead(hook) == []


# --- receivers that lie -----------------------------------------------------------------------------------------------

LIES = {
    "wrong-length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    "negative-length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "no-answer": b"",
    "half-a-line": b"HTTP/1.1 20",
    "no-http": b"SSH-2.0-hello\r\n\r\n",
    "huge-header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "many-headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(40_000)) + b"\r\n",
    "status-999": b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    "only-continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "compressed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nxxxx",
}


@pytest.mark.parametrize("lie", LIES, ids=str)
async def test_a_receiver_that_lies_costs_a_try_at_most(post, lie):
    """T44. What counts is a status of 2xx; an answer that is none is a failure like others."""
    hook = await post.add()
    post.receiver.reply = receivers.raw(LIES[lie])
    await post.push("v1")
    async with asyncio.timeout(5):
        await post.work(hook)
    left = await post.waiting(hook)
    post.receiver.reply = answer(200)
    post.hands.time += HOUR
    await post.work(hook)

    assert bool(left) == (lie not in ("wrong-length", "compressed"))
    assert not left or left[0].last_error
    assert await post.waiting(hook) == []


@pytest.mark.parametrize("how", ["hang", "endless"])
async def test_a_receiver_that_does_not_end_is_left_in_time(post, how):
    hook = await post.add()
    post.receiver.reply = getattr(post.receiver, how)
    await post.push("v1")
    async with asyncio.timeout(5):
        await post.work(hook)
    left = await post.waiting(hook)

    assert [one.last_error for one in left] == (
        ["http://127.0.0.1 did not answer within 1 seconds"] if how == "hang" else []
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_wherever_it_leads(post, status):
    """T42: not to a private address, and not to the receiver itself."""
    hook = await post.add()
    with receivers.receiving() as canary:
        post.receiver.reply = answer(status, Location=canary.url)
        await post.push("v1")
        await post.work(hook)
        [left] = await post.waiting(hook)

        assert canary.got == []
    assert left.last_error == f"the receiver answered {status}: redirects are not followed"


async def test_nothing_of_an_answer_comes_back_but_its_status(post):
    """Who may name a URL learns nothing of what answers there."""
    hook = await post.add()
    post.receiver.reply = answer(500, b"the password is swordfish", X_Secret="swordfish")
    await post.push("v1")
    await post.work(hook)
    found = await post.standing()
    told = repr((await post.waiting(hook), found, await webhooks.test(post.deps, REGISTRY, hook)))

    assert "swordfish" not in told


# --- who is added -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wish",
    [
        {"name": ""},
        {"name": "a/b"},
        {"name": "x" * 65},
        {"types": ("pull",)},
        {"filters": ("Team/*",)},
        {"filters": ("",)},
        {"filters": ("a",) * 51},
        {"url": "ftp://hook.example"},
        {"url": "hook.example"},
        {"url": "http://user:secret@hook.example"},
        {"url": "http://"},
        {"url": "http://hook.example/" + "x" * 3000},
    ],
    ids=lambda wish: "-".join(f"{name}={value!s:.20}" for name, value in wish.items()),
)
async def test_what_cannot_be_a_webhook_is_refused(post, wish):
    known = {"name": "hook", "url": post.receiver.url, "secret": SECRET}
    with pytest.raises(InvalidParameter):
        await webhooks.add(post.deps, REGISTRY, Wish(**{**known, **wish}))

    assert await webhooks.page(post.deps, REGISTRY, after="", limit=10) == []


async def test_a_registry_has_only_so_many(post, monkeypatch):
    monkeypatch.setattr(webhooks, "_MOST", 2)
    await post.add("one")
    await post.add("two")
    with pytest.raises(LimitExceeded):
        await post.add("three")


async def test_the_secret_is_sealed(post):
    hook = await post.add()

    assert SECRET not in hook.sealed_secret
    assert "sealed_secret" not in repr(hook)


# --- beside others ----------------------------------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


async def test_webhooks_that_hang_keep_no_other_waiting(post):
    """Four that hang, with many queues each, use two connections each; a fifth is served beside them."""
    settings = msgspec.structs.replace(post.deps.settings, webhooks=Webhooks(seconds=30))
    post.deps = dataclasses.replace(post.deps, settings=settings)
    with receivers.receiving() as hung:
        allowed = Config(egress=Egress(allow=("127.0.0.1",))).egress
        await post.deps.egress.close()
        post.deps = dataclasses.replace(post.deps, egress=type(post.deps.egress)(allowed.allow))
        hung.reply = hung.hang
        for number in range(3):
            await post.add(f"hung{number}", url=hung.url)
        names = [RepositoryName(f"team/r{number}") for number in range(10)]
        for name in names:
            await post.push("v1", repository=name)
        await post.add("well")
        stop = asyncio.Event()
        hooks = Webhooks()
        worker = Worker(post.deps, kinds=DELIVERIES, slots=hooks.slots, slots_each=hooks.slots_each)
        running = asyncio.create_task(worker.run(stop, drain=0))
        await until(lambda: hung.open == 6)
        for name in names:
            await post.push("v2", repository=name)
        await until(lambda: len(post.receiver.got) == 10)
        stop.set()
        await running

    assert hung.most == 6, "two to each of three"
    assert post.receiver.tags == ["v2"] * 10


async def test_a_removed_webhook_leaves_nothing(post):
    hook = await post.add()
    await post.push("v1")
    await webhooks.remove(post.deps, hook)
    await post.work(hook)

    assert post.receiver.got == []
    assert await webhooks.find(post.deps, REGISTRY, "hook") is None
    assert (await repositories.page(post.deps, REGISTRY, after="", limit=1)) == []
