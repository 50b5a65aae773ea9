"""Rows of jobs: work that is to be done later, and who has it in hand.

A job is claimed with a lease, which its worker extends while it works. Whatever a worker then says of the job says it
`WHERE id = ? AND attempts = ?`: a worker that was halted past its lease, while another took the job over, finds no
such row. A lease further in the future than any can be was given by a clock that has been set back since, and counts
as over.

Where two databases differ: the claim takes its row with SKIP LOCKED on PostgreSQL, so that workers do not queue for
one row; SQLite, which leaves that clause out, runs one writer at a time anyway.
"""

import datetime as dt
import json
from collections.abc import Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa

from registry.model import Job, JobState, NewJob
from registry.records.engine import Tx
from registry.records.tables.work import jobs

_j = jobs.c
LONGEST_LEASE: Final = dt.timedelta(minutes=10)
_LONGEST_ERROR: Final = 2000  # characters


class LeaseLost(Exception):
    """The job is in other hands by now, or was cancelled: nothing of it may be written any more."""


# --- causes -----------------------------------------------------------------------------------------------------------


def add(tx: Tx, new: NewJob, now: dt.datetime) -> int | None:
    """Write a job; None where one of its kind waits under its `dedupe_key`, which then runs when the earlier would.

    On PostgreSQL two that are added at the same moment may both get in: that costs a run, and changes nothing.
    """
    if new.dedupe_key is not None:
        same = (_j.dedupe_key == new.dedupe_key) & (_j.kind == new.kind) & (_j.state == "waiting")
        if tx.execute(sa.select(_j.id).where(same).limit(1)).first() is not None:
            tx.execute(sa.update(jobs).where(same, _j.run_at > new.run_at).values(run_at=new.run_at))
            return None
    statement = sa.insert(jobs).values(
        kind=new.kind,
        payload=json.dumps(dict(new.payload), separators=(",", ":")),
        dedupe_key=new.dedupe_key,
        order_key=new.order_key,
        state="waiting",
        run_at=new.run_at,
        attempts=0,
        failures=0,
        created_at=now,
    )
    return int(tx.execute(statement.returning(_j.id)).scalar_one())


def is_on_its_way(tx: Tx, kind: str, *, key: str, by: dt.datetime) -> bool:
    """Whether a job of the kind runs, or waits and will run before then."""
    mine = (_j.dedupe_key == key) & (_j.kind == kind)
    soon = sa.or_(_j.state == "running", (_j.state == "waiting") & (_j.run_at <= by))
    return tx.execute(sa.select(_j.id).where(mine, soon).limit(1)).first() is not None


# --- workers ----------------------------------------------------------------------------------------------------------


def next_at(tx: Tx, kinds: Collection[str], *, besides: Collection[str] = ()) -> dt.datetime | None:
    """When the next job may be claimed, or the next lease ends; None where there is nothing to wait for. `besides`:
    beginnings of order keys that are not looked at."""
    waiting = tx.execute(_claimable(kinds, besides).with_only_columns(_j.run_at)).scalar()
    running = (_j.state == "running") & _j.kind.in_(sorted(kinds))
    ending = tx.execute(sa.select(sa.func.min(_j.lease_until)).where(running)).scalar()
    return min((moment for moment in (waiting, ending) if moment is not None), default=None)


def claim(
    tx: Tx,
    kinds: Collection[str],
    owner: str,
    now: dt.datetime,
    lease: dt.timedelta,
    *,
    besides: Collection[str] = (),
) -> Job | None:
    """Take the job that is due longest, with a lease. `besides`: as `next_at`."""
    due = _claimable(kinds, besides).with_only_columns(_j.id).where(_j.run_at <= now).with_for_update(skip_locked=True)
    statement = (
        sa.update(jobs)
        .where(_j.id == due.scalar_subquery(), _j.state == "waiting")
        .values(state="running", attempts=_j.attempts + 1, lease_owner=owner, lease_until=now + lease)
        .returning(jobs)
    )
    row = tx.execute(statement).one_or_none()
    return None if row is None else _job(row)


def orphans(tx: Tx, kinds: Collection[str], now: dt.datetime) -> list[Job]:
    """Jobs whose worker has let the lease run out."""
    over = sa.or_(_j.lease_until < now, _j.lease_until > now + 2 * LONGEST_LEASE)
    mine = (_j.state == "running") & _j.kind.in_(sorted(kinds))
    return [_job(row) for row in tx.execute(sa.select(jobs).where(mine, over).limit(100))]


def require(tx: Tx, job: Job) -> None:
    """Return if the job is still in the hands of who claimed it. Raises LeaseLost."""
    if tx.execute(sa.select(_j.id).where(_held(job)).with_for_update()).first() is None:
        raise LeaseLost


def extend(tx: Tx, job: Job, until: dt.datetime) -> None:
    """Raises LeaseLost."""
    _change(tx, job, lease_until=until)


def keep(tx: Tx, job: Job, payload: Mapping[str, object]) -> None:
    """Write down how far the work is: who takes the job up again begins there. Raises LeaseLost."""
    _change(tx, job, payload=json.dumps(dict(payload), separators=(",", ":")))


def finish(tx: Tx, job: Job) -> None:
    """Remove a job that is done. Raises LeaseLost."""
    if tx.execute(sa.delete(jobs).where(_held(job))).rowcount == 0:
        raise LeaseLost


def put_back(tx: Tx, job: Job) -> None:
    """Give up the lease of a job that was not finished, through no fault of its own. Raises LeaseLost."""
    _wait(tx, job, job.run_at)


def put_off(tx: Tx, job: Job, run_at: dt.datetime, error: str) -> None:
    """Have a job that failed tried again. Raises LeaseLost."""
    _wait(tx, job, run_at, failures=job.failures + 1, last_error=error[:_LONGEST_ERROR])


def give_up(tx: Tx, job: Job, error: str, now: dt.datetime) -> None:
    """Keep a job that failed for good as a row that waits for its operator. Raises LeaseLost."""
    _change(
        tx,
        job,
        state="failed",
        run_at=now,
        failures=job.failures + 1,
        last_error=error[:_LONGEST_ERROR],
        lease_owner=None,
        lease_until=None,
    )


def forget_failed(tx: Tx, before: dt.datetime) -> None:
    """Remove jobs that were given up before then."""
    tx.execute(sa.delete(jobs).where(_j.state == "failed", _j.run_at < before))


# --- operators --------------------------------------------------------------------------------------------------------


def find(tx: Tx, job_id: int) -> Job | None:
    row = tx.execute(sa.select(jobs).where(_j.id == job_id)).one_or_none()
    return None if row is None else _job(row)


def page(tx: Tx, *, after: int, limit: int, state: JobState | None = None, kind: str | None = None) -> list[Job]:
    """Jobs behind the id `after`, oldest first."""
    statement = sa.select(jobs).where(_j.id > after).order_by(_j.id).limit(limit)
    if state is not None:
        statement = statement.where(_j.state == state)
    if kind is not None:
        statement = statement.where(_j.kind == kind)
    return [_job(row) for row in tx.execute(statement)]


def retry(tx: Tx, job_id: int, now: dt.datetime) -> bool:
    """Have a job tried now that was given up, or waits. False where it runs, or is not there."""
    mine = (_j.id == job_id) & (_j.state != "running")
    return tx.execute(sa.update(jobs).where(mine).values(state="waiting", run_at=now, failures=0)).rowcount > 0


def cancel(tx: Tx, job_id: int) -> bool:
    """Remove a job. One that runs can write nothing from now on. False where it is not there."""
    return tx.execute(sa.delete(jobs).where(_j.id == job_id)).rowcount > 0


def counts(tx: Tx) -> dict[tuple[str, str], int]:
    """How many there are, by kind and state."""
    statement = sa.select(_j.kind, _j.state, sa.func.count()).group_by(_j.kind, _j.state)
    return {(kind, state): count for kind, state, count in tx.execute(statement)}


def oldest(tx: Tx, now: dt.datetime) -> dict[str, dt.datetime]:
    """Since when the job that waits longest for a worker has been due, by kind."""
    due = sa.select(_j.kind, sa.func.min(_j.run_at)).where(_j.state == "waiting", _j.run_at <= now)
    return {kind: moment for kind, moment in tx.execute(due.group_by(_j.kind))}


# --- inside -----------------------------------------------------------------------------------------------------------


def _claimable(kinds: Collection[str], besides: Collection[str] = ()) -> sa.Select[Any]:
    """The waiting job that comes first, of those that stand behind no older one of their order."""
    ahead = jobs.alias("ahead")
    behind = sa.exists().where(
        ahead.c.order_key == _j.order_key, ahead.c.id < _j.id, ahead.c.state.in_(("waiting", "running"))
    )
    others = [sa.or_(_j.order_key.is_(None), ~_j.order_key.startswith(one, autoescape=True)) for one in besides]
    return (
        sa.select(jobs)
        .where(_j.state == "waiting", _j.kind.in_(sorted(kinds)), ~behind, *others)
        .order_by(_j.run_at, _j.id)
        .limit(1)
    )


def _held(job: Job) -> sa.ColumnElement[bool]:
    return (_j.id == job.id) & (_j.attempts == job.attempts) & (_j.state == "running")


def _change(tx: Tx, job: Job, **values: object) -> None:
    if tx.execute(sa.update(jobs).where(_held(job)).values(**values)).rowcount == 0:
        raise LeaseLost


def _wait(tx: Tx, job: Job, run_at: dt.datetime, **values: object) -> None:
    """Let a job wait again; where another one waits under its key by now, that one stands for both."""
    if job.dedupe_key is not None:
        same = (_j.dedupe_key == job.dedupe_key) & (_j.kind == job.kind) & (_j.state == "waiting")
        if tx.execute(sa.select(_j.id).where(same).limit(1)).first() is not None:
            finish(tx, job)
            tx.execute(sa.update(jobs).where(same, _j.run_at > run_at).values(run_at=run_at))
            return
    _change(tx, job, state="waiting", run_at=run_at, lease_owner=None, lease_until=None, **values)


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        payload=json.loads(row.payload),
        dedupe_key=row.dedupe_key,
        order_key=row.order_key,
        state=row.state,
        run_at=row.run_at,
        attempts=row.attempts,
        failures=row.failures,
        lease_owner=row.lease_owner,
        lease_until=row.lease_until,
        last_error=row.last_error,
        created_at=row.created_at,
    )
