"""Rows of jobs: claims, fences, keys, and what operators do to them."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.model import Job, NewJob
from registry.records import jobs as rows
from registry.records import schema
from registry.records.engine import Database
from registry.records.jobs import LeaseLost

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LEASE = dt.timedelta(seconds=30)
SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
KINDS = ("toil", "rest")


class Queue:
    """The table, with a worker and a time that a test need not name."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def add(self, kind: str = "toil", *, at: dt.datetime = NOW, **keys: Any) -> int | None:
        return self.db.write_here(lambda tx: rows.add(tx, NewJob(kind=kind, run_at=at, **keys), NOW))

    def claim(self, *, now: dt.datetime = NOW, owner: str = "one", kinds=KINDS) -> Job | None:
        return self.db.write_here(lambda tx: rows.claim(tx, kinds, owner, now, LEASE))

    def claimed(self) -> Job:
        found = self.claim()
        assert found is not None
        return found

    def do(self, change, *arguments) -> None:
        self.db.write_here(lambda tx: change(tx, *arguments))

    def all(self) -> list[Job]:
        return self.db.read_here(lambda tx: rows.page(tx, after=0, limit=100))

    def next_at(self) -> dt.datetime | None:
        return self.db.read_here(lambda tx: rows.next_at(tx, KINDS))

    def orphans(self, now: dt.datetime) -> list[Job]:
        return self.db.read_here(lambda tx: rows.orphans(tx, KINDS, now))


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    db = Database(tmp_path / "longshore.db")
    db.write_here(schema.upgrade)
    yield Queue(db)
    db.close()


def ids(jobs: list[Job]) -> list[int]:
    return [job.id for job in jobs]


# --- claims -----------------------------------------------------------------------------------------------------------


def test_jobs_are_claimed_once_each_the_one_that_is_due_longest_first(queue):
    late, early = queue.add(at=NOW), queue.add(at=NOW - SECOND)
    found = [queue.claim(), queue.claim(), queue.claim()]

    assert [job and job.id for job in found] == [early, late, None]
    assert [(job.state, job.attempts, job.lease_owner, job.lease_until) for job in found[:2]] == [
        ("running", 1, "one", NOW + LEASE)
    ] * 2


def test_a_job_that_is_not_due_or_of_an_unknown_kind_is_left(queue):
    queue.add(at=NOW + SECOND)
    queue.add("of-a-newer-program")

    assert queue.claim() is None
    assert queue.next_at() == NOW + SECOND
    assert queue.claim(now=NOW + SECOND) is not None


def test_the_end_of_a_lease_is_waited_for(queue):
    queue.add()
    queue.claimed()

    assert queue.next_at() == NOW + LEASE


def test_nothing_is_waited_for_where_there_is_nothing(queue):
    assert queue.next_at() is None


# --- fences -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda tx, job: rows.require(tx, job),
        lambda tx, job: rows.extend(tx, job, NOW + MINUTE),
        lambda tx, job: rows.keep(tx, job, {"far": 1}),
        lambda tx, job: rows.finish(tx, job),
        lambda tx, job: rows.put_back(tx, job),
        lambda tx, job: rows.put_off(tx, job, NOW, "why"),
        lambda tx, job: rows.give_up(tx, job, "why", NOW),
    ],
    ids=["require", "extend", "keep", "finish", "put-back", "put-off", "give-up"],
)
@pytest.mark.parametrize("case", ["taken-over", "waits-again", "cancelled"])
def test_who_lost_the_lease_changes_nothing(queue, change, case):
    queue.add()
    mine = queue.claimed()
    if case == "cancelled":
        queue.do(rows.cancel, mine.id)
    else:
        queue.do(rows.put_off, mine, NOW, "lost")
    if case == "taken-over":
        queue.claimed()
    before = queue.all()

    with pytest.raises(LeaseLost):
        queue.do(change, mine)

    assert queue.all() == before


def test_an_id_is_never_used_again(queue):
    queue.add()
    first = queue.claimed()
    queue.do(rows.finish, first)

    assert queue.add() > first.id


def test_a_lease_that_ran_out_is_found(queue):
    queue.add()
    job = queue.claimed()

    assert queue.orphans(NOW + LEASE) == []
    assert queue.orphans(NOW + LEASE + SECOND) == [job]


def test_a_lease_from_a_clock_that_was_set_back_since_is_over(queue):
    """F32: the worker died while the clock was a day ahead."""
    queue.add(at=NOW)
    job = queue.claim(now=NOW + dt.timedelta(days=1))

    assert queue.orphans(NOW) == [job]


def test_a_job_that_failed_waits_and_counts(queue):
    queue.add()
    job = queue.claimed()
    queue.do(rows.put_off, job, NOW + MINUTE, "x" * 10_000)
    (found,) = queue.all()

    assert (found.state, found.run_at, found.attempts, found.failures) == ("waiting", NOW + MINUTE, 1, 1)
    assert (found.lease_owner, found.lease_until, len(found.last_error)) == (None, None, 2000)


def test_a_job_that_is_put_back_has_not_failed(queue):
    queue.add()
    queue.do(rows.put_back, queue.claimed())
    again = queue.claimed()

    assert (again.attempts, again.failures) == (2, 0)


def test_what_was_kept_is_there_for_who_takes_the_job_up(queue):
    queue.add()
    job = queue.claimed()
    queue.do(rows.keep, job, {"after": 7})
    queue.do(rows.put_back, job)

    assert queue.claimed().payload == {"after": 7}


# --- keys -------------------------------------------------------------------------------------------------------------


def test_causes_with_one_key_become_one_job_that_runs_when_the_earliest_would(queue):
    first = queue.add(at=NOW + MINUTE, dedupe_key="k")
    second = queue.add(at=NOW + SECOND, dedupe_key="k")
    third = queue.add(at=NOW + 2 * MINUTE, dedupe_key="k")

    assert (second, third) == (None, None)
    assert [(job.id, job.run_at) for job in queue.all()] == [(first, NOW + SECOND)]


def test_a_cause_while_the_job_runs_becomes_another_job(queue):
    """The one that runs may have looked already."""
    queue.add(dedupe_key="k")
    queue.claimed()

    assert queue.add(dedupe_key="k") is not None


def test_another_kind_or_key_is_another_job(queue):
    queue.add(dedupe_key="k")

    assert queue.add("rest", dedupe_key="k") is not None
    assert queue.add(dedupe_key="l") is not None


def test_a_job_that_waits_again_beside_one_of_its_key_leaves_it_to_that_one(queue):
    queue.add(dedupe_key="k")
    job = queue.claimed()
    other = queue.add(at=NOW + dt.timedelta(hours=1), dedupe_key="k")
    queue.do(rows.put_off, job, NOW + MINUTE, "why")

    assert [(one.id, one.run_at) for one in queue.all()] == [(other, NOW + MINUTE)]


def test_of_one_order_only_the_oldest_runs(queue):
    first, second = queue.add(order_key="to-a"), queue.add(order_key="to-a", at=NOW - MINUTE)
    other = queue.add(order_key="to-b")
    claimed = [queue.claim(), queue.claim(), queue.claim()]
    queue.do(rows.put_off, claimed[0], NOW + MINUTE, "why")

    assert [job and job.id for job in claimed] == [first, other, None]
    assert queue.claim() is None, "the oldest waits, and so do those behind it"
    queue.do(rows.finish, queue.claim(now=NOW + MINUTE))
    assert queue.claimed().id == second


def test_one_that_was_given_up_holds_nobody_back(queue):
    queue.add(order_key="to-a")
    second = queue.add(order_key="to-a")
    queue.do(rows.give_up, queue.claimed(), "why", NOW)

    assert queue.claimed().id == second


# --- operators --------------------------------------------------------------------------------------------------------


def test_a_page_goes_on_behind_an_id(queue):
    first, second, third = queue.add(), queue.add("rest"), queue.add()
    queue.claimed()

    def page(**how) -> list[int]:
        return ids(queue.db.read_here(lambda tx: rows.page(tx, **{"after": 0, "limit": 100, **how})))

    assert page(limit=2) == [first, second]
    assert page(after=second) == [third]
    assert page(state="running") == [first]
    assert page(kind="rest") == [second]


def test_a_job_that_was_given_up_can_be_tried_again(queue):
    queue.add()
    job = queue.claimed()
    queue.do(rows.give_up, job, "why", NOW)

    assert queue.claim() is None
    assert queue.db.write_here(lambda tx: rows.retry(tx, job.id, NOW)) is True
    assert (again := queue.claimed()).failures == 0
    assert again.attempts == 2
    assert queue.db.write_here(lambda tx: rows.retry(tx, job.id, NOW)) is False, "it runs"


def test_jobs_given_up_long_ago_are_forgotten(queue):
    queue.add()
    queue.add(at=NOW - dt.timedelta(days=90))
    for at in (NOW - dt.timedelta(days=40), NOW):
        queue.do(rows.give_up, queue.claimed(), "why", at)
    queue.add(at=NOW - dt.timedelta(days=90))
    queue.do(rows.forget_failed, NOW - dt.timedelta(days=30))

    assert [(job.state, job.run_at) for job in queue.all()] == [
        ("failed", NOW),
        ("waiting", NOW - dt.timedelta(days=90)),
    ]


def test_the_state_of_the_queue_in_figures(queue):
    queue.add(at=NOW - MINUTE)
    queue.add(at=NOW - SECOND)
    queue.add(at=NOW + MINUTE)
    queue.add("rest", at=NOW + MINUTE)
    queue.claimed()

    assert queue.db.read_here(rows.counts) == {("toil", "running"): 1, ("toil", "waiting"): 2, ("rest", "waiting"): 1}
    assert queue.db.read_here(lambda tx: rows.oldest(tx, NOW)) == {"toil": NOW - SECOND}
