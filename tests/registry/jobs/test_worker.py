"""A worker beside its rows: outcomes, leases, periodic jobs, and the end of the process."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policies.retries import Retry
from registry.context import Deps
from registry.errors import DatabaseUnavailable, LimitExceeded
from registry.jobs.handlers import KINDS, Kind
from registry.jobs.work import Work
from registry.jobs.worker import Worker
from registry.model import Job, NewJob
from registry.options import Jobs
from registry.records import jobs as rows
from registry.records.engine import Tx
from tests import places

LONG_AGO, NEVER = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
AT_ONCE = Retry(most=3, first=dt.timedelta(0), longest=dt.timedelta(0))


class Shop:
    """Workers on an empty data directory, and what they told."""

    def __init__(self, deps: Deps) -> None:
        self.deps = deps
        self.told: Counter[tuple[str, str]] = Counter()

    async def add(self, kind: str = "toil", **more: Any) -> int | None:
        now = self.deps.clock.now()
        new = NewJob(**{"kind": kind, "run_at": now, **more})
        return await self.deps.db.write(lambda tx: rows.add(tx, new, now))

    async def all(self) -> list[Job]:
        return await self.deps.db.read(lambda tx: rows.page(tx, after=0, limit=100))

    async def until(self, condition: Callable[[list[Job]], bool]) -> None:
        """Wait until it is true of the jobs that there are."""
        async with asyncio.timeout(20):
            while True:
                if condition(await self.all()):
                    return
                await asyncio.sleep(0.01)

    async def until_empty(self) -> None:
        await self.until(lambda jobs: not jobs)

    @contextlib.asynccontextmanager
    async def open(self, kinds: dict[str, Kind], *, drain: float = 5, **settings: Any) -> AsyncIterator[asyncio.Event]:
        """While a worker runs; the event ends it."""
        jobs = Jobs(**{"slots": 1, "lease_seconds": 30, **settings})
        deps = dataclasses.replace(self.deps, settings=msgspec.structs.replace(self.deps.settings, jobs=jobs))
        stop = asyncio.Event()
        worker = Worker(deps, kinds=kinds, tell=lambda kind, outcome: self.told.update([(kind, outcome)]))
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(stop, drain=drain))
            yield stop
            stop.set()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with places.rooms(tmp_path / "data") as deps:
        yield Shop(deps)


def kind(handler, retry: Retry = AT_ONCE, **more: Any) -> dict[str, Kind]:
    return {"toil": Kind(run=handler, retry=retry, **more)}


async def test_a_job_is_done_and_gone(shop):
    seen = []

    async def toil(work: Work) -> None:
        seen.append(work.payload)

    await shop.add(payload={"n": 1})
    async with shop.open(kind(toil)):
        await shop.add(payload={"n": 2})
        await shop.until_empty()

    assert {str(one["n"]) for one in seen} == {"1", "2"}
    assert shop.told == {("toil", "done"): 2}


async def test_a_new_job_wakes_an_idle_worker(shop):
    done = asyncio.Event()

    async def toil(work: Work) -> None:
        done.set()

    async with shop.open(kind(toil)):
        await asyncio.sleep(0.2)
        await shop.add()
        async with asyncio.timeout(2):
            await done.wait()


async def test_a_job_that_fails_is_tried_again_and_then_given_up(shop):
    async def toil(work: Work) -> None:
        raise LimitExceeded("the well is dry")

    await shop.add()
    async with shop.open(kind(toil)):
        await shop.until(lambda jobs: jobs[0].state == "failed")
    (job,) = await shop.all()

    assert (job.attempts, job.failures, job.last_error) == (3, 3, "the well is dry")
    assert shop.told == {("toil", "failed"): 2, ("toil", "given-up"): 1}


async def test_what_nobody_foresaw_fails_the_job_and_not_the_worker(shop):
    tries = []

    async def toil(work: Work) -> None:
        tries.append(work.job.attempts)
        if len(tries) < 2:
            raise ZeroDivisionError("by nothing")

    await shop.add()
    async with shop.open(kind(toil)):
        await shop.until_empty()

    assert tries == [1, 2]


async def test_a_database_that_does_not_answer_is_asked_again(shop, monkeypatch):
    answers, point = iter([False, False]), shop.deps.db.point

    async def sometimes(unit):
        if next(answers, True):
            return await point(unit)
        raise DatabaseUnavailable

    async def toil(work: Work) -> None:
        return None

    monkeypatch.setattr("registry.jobs.worker._TROUBLE", 0.05)
    monkeypatch.setattr(shop.deps.db, "point", sometimes)
    await shop.add()
    async with shop.open(kind(toil)):
        await shop.until_empty()

    assert shop.told == {("toil", "done"): 1}


async def test_a_lease_is_extended_while_the_handler_works(shop):
    ends = []

    async def toil(work: Work) -> None:
        for _ in range(4):
            await asyncio.sleep(0.5)
            ends.append((await shop.all())[0].lease_until)

    await shop.add()
    async with shop.open(kind(toil), lease_seconds=1):
        await shop.until_empty()

    assert shop.told == {("toil", "done"): 1}
    assert ends == sorted(ends)
    assert len(set(ends)) > 1


async def test_a_job_that_is_cancelled_while_it_runs_writes_nothing_more(shop):
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def toil(work: Work) -> None:
        begun.set()
        await cancelled.wait()
        await work.deps.db.write(lambda tx: rows.add(tx, NewJob(kind="effect", run_at=NEVER), NEVER))

    job = await shop.add()
    async with shop.open(kind(toil)):
        await begun.wait()
        await shop.deps.db.write(lambda tx: rows.cancel(tx, job))
        cancelled.set()
        await shop.until(lambda _: bool(shop.told))

    assert await shop.all() == []
    assert shop.told == {("toil", "lease-lost"): 1}


async def test_two_workers_do_each_job_once(shop):
    seen: Counter[int] = Counter()

    async def toil(work: Work) -> None:
        seen[work.job.id] += 1

    wanted = {await shop.add() for _ in range(30)}
    async with shop.open(kind(toil), slots=4), shop.open(kind(toil), slots=4):
        await shop.until_empty()

    assert seen == dict.fromkeys(wanted, 1)


# --- the end of the process -------------------------------------------------------------------------------------------


async def test_a_stop_lets_the_job_in_hand_finish(shop):
    begun = asyncio.Event()

    async def toil(work: Work) -> None:
        begun.set()
        await asyncio.sleep(0.3)

    await shop.add()
    await shop.add()
    async with shop.open(kind(toil)) as stop:
        await begun.wait()
        stop.set()

    assert shop.told == {("toil", "done"): 1}
    assert [job.state for job in await shop.all()] == ["waiting"]


@pytest.mark.parametrize("polite", [True, False], ids=["between-steps", "broken-off"])
async def test_a_stop_puts_a_long_job_back(shop, polite):
    begun = asyncio.Event()

    async def toil(work: Work) -> None:
        begun.set()
        while True:
            await asyncio.sleep(0.01)
            if polite:
                work.pause()

    await shop.add()
    async with shop.open(kind(toil), drain=30 if polite else 0) as stop:
        await begun.wait()
        stop.set()
    (job,) = await shop.all()

    assert (job.state, job.failures, job.last_error) == ("waiting", 0, None)
    assert shop.told == {("toil", "put-back"): 1}


# --- periodic jobs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True], ids=["done", "given-up"])
async def test_a_periodic_job_has_a_next_one_whatever_came_of_it(shop, fails):
    ran = asyncio.Event()

    async def toil(work: Work) -> None:
        ran.set()
        if fails:
            raise LimitExceeded("not today")

    once = Retry(most=1, first=dt.timedelta(0), longest=dt.timedelta(0))
    periodic = kind(toil, once, every=lambda _: dt.timedelta(0))
    async with shop.open(periodic) as stop:
        async with asyncio.timeout(5):
            await ran.wait()
        stop.set()
    waiting = [job for job in await shop.all() if job.state == "waiting"]

    assert len(waiting) == 1
    assert waiting[0].attempts == 0


async def test_a_start_writes_a_periodic_job_once_and_brings_forward_what_waits_too_long(shop):
    async def toil(work: Work) -> None:
        return None

    hour = dt.timedelta(hours=1)
    for every in (24 * hour, 24 * hour, hour):
        async with shop.open(kind(toil, every=lambda _, every=every: every)):
            await asyncio.sleep(0.1)
    (job,) = await shop.all()

    assert dt.timedelta(0) < job.run_at - shop.deps.clock.now() <= hour


async def test_forgetting_is_a_job(shop):
    await shop.add("other")

    def give_up(tx: Tx) -> None:
        job = rows.claim(tx, ["other"], "me", NEVER, dt.timedelta(seconds=1))
        assert job is not None
        rows.give_up(tx, job, "why", LONG_AGO)

    await shop.deps.db.write(give_up)
    await shop.add("jobs.forget")
    async with shop.open(dict(KINDS)):
        await shop.until(lambda _: shop.told[("jobs.forget", "done")] > 0)

    assert {job.kind for job in await shop.all()} <= set(KINDS)
