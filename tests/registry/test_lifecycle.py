"""Runs of lifecycle policies, on the rooms themselves."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import image_users, images, lifecycle
from registry.context import Deps, SystemClock
from registry.names import Digest, Tag, repository_arn
from registry.records import audit_log
from registry.records import lifecycle as rows
from tests import places
from tests.lifecycles import HOUR, UNTAGGED_AFTER_A_DAY, Shelf, newest, policy
from tests.places import REGISTRY


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with places.rooms(tmp_path / "data") as found:
        yield found


async def put(shelf: Shelf, text: str) -> None:
    await lifecycle.put_policy(shelf.deps, REGISTRY, shelf.name, text)


async def run(shelf: Shelf, **more) -> lifecycle.Ran:
    ran = await lifecycle.run(shelf.deps, shelf.id, **more)
    assert ran is not None
    return ran


def digests(sentences) -> list[Digest]:
    return [sentence.digest for sentence in sentences]


async def told(deps: Deps) -> list[audit_log.Entry]:
    """What the audit log tells of lifecycle policies."""
    mine = {"principal": lifecycle.ACTOR}
    return await deps.db.read(lambda tx: audit_log.page(tx, before=None, limit=100, matching=mine))


class Break(Exception):
    """The process dies here."""


def after(steps: int):
    """Dies between two steps, after so many."""
    left = iter(range(steps))

    def pause() -> None:
        if next(left, None) is None:
            raise Break

    return pause


# --- what goes --------------------------------------------------------------------------------------------------------


async def test_what_goes_is_what_the_preview_shows(deps):
    shelf = await Shelf(deps).make()
    await shelf.fill(60)
    text = policy(UNTAGGED_AFTER_A_DAY, newest(3, tagStatus="tagged", tagPrefixList=["dev-"]), newest(30))
    await put(shelf, text)
    before = await shelf.left()
    await lifecycle.start_preview(deps, REGISTRY, shelf.name, None)
    found = await deps.db.read(lambda tx: rows.evaluation(tx, shelf.id, "preview"))
    await lifecycle.make_preview(deps, found.id)
    shown = await lifecycle.preview(deps, REGISTRY, shelf.name, after=-1, limit=1000)
    ran = await run(shelf)

    assert shown.status == "COMPLETE"
    assert 10 < shown.expiring < len(before) - 10
    assert digests(ran.expired) == digests(shown.page)
    assert await shelf.left() == before - set(digests(shown.page))


async def test_a_run_that_is_broken_off_anywhere_goes_on_with_what_was_decided(deps, monkeypatch):
    """Rule 1 takes an untagged image that rule 2 counts: decided anew without it, the oldest tagged one would stay."""
    monkeypatch.setattr(lifecycle, "_BATCH", 1)
    steps = 0
    while True:
        shelf = await Shelf(deps, f"app{steps}").make()
        await shelf.image(hours=30)
        kept = [await shelf.image(f"t{hours}", hours=hours) for hours in (31, 32)]
        await shelf.image("oldest", hours=33)
        await put(shelf, policy(UNTAGGED_AFTER_A_DAY, newest(3)))
        try:
            await run(shelf, pause=after(steps))
        except Break:
            await run(shelf)
        else:
            break
        steps += 1

        assert await shelf.left() == set(kept), f"broken off after {steps} steps"
    assert steps == 4


async def test_an_index_goes_before_its_images_and_a_subject_before_its_signature(deps, monkeypatch):
    monkeypatch.setattr(lifecycle, "_BATCH", 1)
    shelf = await Shelf(deps).make()
    child = await shelf.image(hours=3)
    parent = await shelf.index(child, tags=("old",), hours=3)
    signature = await shelf.referrer(parent, hours=2)
    latest = await shelf.image("new")
    await put(shelf, policy(newest(1)))
    ran = await run(shelf)

    assert digests(ran.expired)[0] == parent
    assert set(digests(ran.expired)) == {parent, child, signature}
    assert await shelf.left() == {latest}


async def test_what_goes_together_goes_in_one_step(deps, monkeypatch):
    """After half of an index the next run would take what is left of it for images of its own."""
    monkeypatch.setattr(lifecycle, "_BATCH", 1)
    shelf = await Shelf(deps).make()
    children = [await shelf.image(hours=3) for _ in range(3)]
    await shelf.index(*children, tags=("old",), hours=3)
    older = await shelf.image("older", hours=4)
    latest = await shelf.image("new")
    await decided(shelf, policy(newest(1)))
    left = []
    for _ in range(3):
        with contextlib.suppress(Break):
            await run(shelf, pause=after(1))
        left.append(await shelf.left())

    assert len(left[0]) == 5, "the oldest"
    assert older not in left[0]
    assert left[1:] == [{latest}] * 2


async def test_a_run_is_told_with_its_time(deps):
    shelf = await Shelf(deps).make()
    await put(shelf, policy(newest(1)))
    before = deps.clock.now()
    ran = await run(shelf)
    stored = await lifecycle.get_policy(deps, REGISTRY, shelf.name)

    assert (ran.expired, ran.spared) == ([], [])
    assert before <= stored.evaluated_at <= deps.clock.now()
    assert stored.trouble is None


async def test_no_policy_no_run(deps):
    shelf = await Shelf(deps).make()

    assert await lifecycle.run(deps, shelf.id) is None
    assert await lifecycle.run(deps, 999_999) is None


async def test_each_image_that_goes_is_on_record(deps):
    shelf = await Shelf(deps).make()
    gone = await shelf.image("a", "b", hours=2)
    await shelf.image("c", hours=1)
    await put(shelf, policy(newest(1)))
    await run(shelf)
    arn = repository_arn(REGISTRY, shelf.name)
    entries = await deps.db.read(
        lambda tx: audit_log.page(tx, before=None, limit=9, matching={"principal": "lifecycle"})
    )
    (entry,) = entries
    (action,) = entry.event["serviceEventDetails"]["lifecycleEventImageActions"]

    assert (entry.action, entry.resource, entry.decision) == ("ecr:PolicyExecutionEvent", arn, "allowed")
    assert entry.event["userIdentity"] == {"accountId": REGISTRY.account, "invokedBy": "lifecycle"}
    assert action["lifecycleEventImage"]["digest"] == gone
    assert action["lifecycleEventImage"]["tagList"] == ["a", "b"]
    assert action["rulePriority"] == 1
    assert action["reason"] == "expired by rule 1: 2 images in all, 1 is kept, this is the 2nd newest"


# --- what changes meanwhile -------------------------------------------------------------------------------------------


async def decided(shelf: Shelf, text: str) -> None:
    """A run that was broken off before its first image went."""
    await put(shelf, text)
    with pytest.raises(Break):
        await run(shelf, pause=after(1))


@pytest.mark.parametrize("case", ["tagged", "untagged", "listed", "pushed-again", "used", "used-by-tag"])
async def test_an_image_that_has_changed_since_stays(deps, case):
    shelf = await Shelf(deps).make()
    old = await shelf.image("old", hours=2)
    await shelf.image("new", hours=1)
    await decided(shelf, policy(newest(1)))
    pulled = await images.get(deps, REGISTRY, shelf.name, old)
    match case:
        case "tagged":
            await images.put(deps, REGISTRY, shelf.name, pulled.body, pulled.media_type, tags=[Tag("stable")])
        case "untagged":
            await images.delete_tag(deps, REGISTRY, shelf.name, Tag("old"), last_takes_image=False)
        case "listed":
            await shelf.index(old, tags=("all",))
        case "pushed-again":
            await images.delete(deps, REGISTRY, shelf.name, old)
            await images.put(deps, REGISTRY, shelf.name, pulled.body, pulled.media_type, tags=[Tag("old")])
        case "used":
            await image_users.add(deps, REGISTRY, shelf.name, old, kind="service", user="web")
        case _:
            await image_users.add(deps, REGISTRY, shelf.name, Tag("old"), kind="service", user="web")
    ran = await run(shelf)

    assert (digests(ran.expired), digests(ran.spared)) == ([], [old])
    assert old in await shelf.left()


async def test_a_signature_stays_with_a_subject_that_is_spared(deps):
    shelf = await Shelf(deps).make()
    old = await shelf.image("old", hours=3)
    signature = await shelf.referrer(old, hours=2)
    await shelf.image("new", hours=1)
    await decided(shelf, policy(newest(1)))
    await image_users.add(deps, REGISTRY, shelf.name, old, kind="service", user="web")
    await run(shelf)

    assert {old, signature} < await shelf.left()


async def test_a_policy_that_is_put_anew_ends_the_run_of_the_old_one(deps):
    shelf = await Shelf(deps).make()
    old = await shelf.image("old", hours=2)
    await shelf.image("new", hours=1)
    await decided(shelf, policy(newest(1)))
    await put(shelf, policy(newest(2)))
    ran = await run(shelf)

    assert ran.expired == []
    assert old in await shelf.left()


async def test_a_policy_that_is_deleted_in_the_middle_of_a_run_ends_it(deps, monkeypatch):
    monkeypatch.setattr(lifecycle, "_BATCH", 1)
    shelf = await Shelf(deps).make()
    for hours in range(4):
        await shelf.image(f"t{hours}", hours=hours)
    await decided(shelf, policy(newest(1)))
    with pytest.raises(Break):
        await run(shelf, pause=after(1))
    await lifecycle.delete_policy(deps, REGISTRY, shelf.name)

    assert await lifecycle.run(deps, shelf.id) is None
    assert len(await shelf.left()) == 3


async def test_a_run_that_was_left_long_ago_is_decided_anew(deps, monkeypatch):
    shelf = await Shelf(deps).make()
    old = await shelf.image("old", hours=2)
    await shelf.image("new", hours=1)
    await decided(shelf, policy(newest(1)))
    newer = await shelf.image("newer")
    monkeypatch.setattr(lifecycle, "_STALE", dt.timedelta(0))
    await run(shelf)

    assert await shelf.left() == {newer}
    assert old not in await shelf.left()


async def test_two_runs_at_once_take_what_one_would(deps, monkeypatch):
    monkeypatch.setattr(lifecycle, "_BATCH", 1)
    shelf = await Shelf(deps).make()
    kept = {await shelf.image(f"t{hours}", hours=hours) for hours in range(3)}
    for hours in range(3, 9):
        await shelf.image(f"t{hours}", hours=hours)
    await decided(shelf, policy(newest(3)))
    await asyncio.gather(*(lifecycle.run(deps, shelf.id) for _ in range(2)))

    assert await shelf.left() == kept
    assert len(await told(deps)) == 6, "each image went once"


# --- who uses images --------------------------------------------------------------------------------------------------


async def test_an_image_that_is_used_is_kept_and_the_reason_says_by_whom(deps):
    shelf = await Shelf(deps).make()
    by_digest, by_tag = await shelf.image("a", hours=4), await shelf.image("b", hours=3)
    ended, latest = await shelf.image("c", hours=2), await shelf.image("d", hours=1)
    soon = deps.clock.now() + HOUR
    await image_users.add(deps, REGISTRY, shelf.name, by_digest, kind="service", user="shop/web")
    await image_users.add(deps, REGISTRY, shelf.name, Tag("b"), kind="cluster", user="edge", until=soon)
    await image_users.add(deps, REGISTRY, shelf.name, ended, kind="service", user="gone", until=deps.clock.now() - HOUR)
    await put(shelf, policy(newest(1)))
    decisions, _ = await lifecycle.explain(deps, REGISTRY, shelf.name)
    reasons = {kept.digest: kept.reason for kept in decisions.kept}
    ran = await run(shelf)

    assert digests(ran.expired) == [ended]
    assert await shelf.left() == {by_digest, by_tag, latest}
    assert reasons[by_digest].startswith("kept because service shop/web uses it; else expired by rule 1")
    assert reasons[by_tag].startswith(f"kept because cluster edge uses it until {soon:%Y-%m-%dT%H:%M:%SZ};")
    assert [use.name for use in await image_users.of(deps, REGISTRY, shelf.name)] == ["edge", "shop/web"]


async def test_a_use_is_moved_on_and_ended(deps):
    shelf = await Shelf(deps).make()
    digest = await shelf.image("a")
    for until in (deps.clock.now() + HOUR, None):
        await image_users.add(deps, REGISTRY, shelf.name, digest, kind="service", user="web", until=until)
    uses = await image_users.of(deps, REGISTRY, shelf.name)
    removed = await image_users.remove(deps, REGISTRY, shelf.name, None, kind="service", user="web")

    assert [(use.reference, use.until) for use in uses] == [(digest, None)]
    assert removed == 1
    assert await image_users.of(deps, REGISTRY, shelf.name) == []


# --- time -------------------------------------------------------------------------------------------------------------


class Hands:
    """A wall clock and a machine's running time that a test sets."""

    def __init__(self, monkeypatch) -> None:
        self.wall, self.running = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.timedelta(hours=5)
        monkeypatch.setattr(SystemClock, "now", lambda _: self.wall)
        monkeypatch.setattr("registry.context._running", lambda: self.running)

    def turn(self, wall: dt.timedelta, running: dt.timedelta | None = None) -> None:
        self.wall, self.running = self.wall + wall, self.running + (wall if running is None else running)


DAY, NOTHING = dt.timedelta(days=1), dt.timedelta(0)


@pytest.mark.parametrize(
    ("turns", "ahead"),
    [
        ([(30 * DAY, 30 * DAY)], NOTHING),
        ([(DAY, NOTHING)], -DAY),
        ([(DAY, NOTHING), (HOUR, HOUR)], -DAY),
        ([(DAY, NOTHING), (DAY, DAY)], NOTHING),
        ([(DAY, NOTHING), (-DAY, NOTHING)], NOTHING),
        ([(DAY, NOTHING), (-DAY, NOTHING), (DAY, NOTHING), (23 * HOUR, 23 * HOUR)], -DAY),
        ([(-DAY, NOTHING)], NOTHING),
        ([(dt.timedelta(seconds=30), NOTHING)], NOTHING),
    ],
    ids=[
        "runs",
        "jumps",
        "jumped-a-while-ago",
        "jumped-a-day-ago",
        "jumps-back",
        "jumps-twice",
        "set-back",
        "adjusted",
    ],
)
def test_a_clock_that_jumps_ahead_makes_nothing_older(monkeypatch, turns, ahead):
    """F32."""
    hands = Hands(monkeypatch)
    clock = SystemClock()
    for wall, running in turns:
        hands.turn(wall, running)
        found = clock.steady()

    assert found == hands.wall + ahead


async def test_nothing_expires_by_a_jump_of_the_clock(deps, monkeypatch):
    shelf = await Shelf(deps).make()
    await shelf.image(hours=2)
    await put(shelf, policy(UNTAGGED_AFTER_A_DAY))
    hands = Hands(monkeypatch)
    hands.wall = shelf.now
    shelf.deps = dataclasses.replace(deps, clock=SystemClock())
    hands.turn(30 * DAY, NOTHING)
    jumped = await run(shelf)
    hands.turn(DAY)
    believed = await run(shelf)

    assert len(jumped.expired) == 0
    assert len(believed.expired) == 1
