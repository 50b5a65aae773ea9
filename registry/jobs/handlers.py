"""Kinds of jobs: the room's function that does one, how stubbornly it is tried, and how often it comes by itself.

A handler may run again after it ran half or whole, so what it does twice must be what it did once. It returns when the
job is done; it raises what went wrong.
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from policies.retries import Retry
from registry import archived_bytes, delivering, event_log, history, lifecycle, undo
from registry.errors import Unavailable
from registry.jobs.work import Interrupted, Work
from registry.model import Job
from registry.options import Settings
from registry.reactions import DELIVER, LOG, queue_job
from registry.records import deliveries, listeners
from registry.records import jobs as rows
from registry.records.engine import Tx
from registry.records.jobs import LeaseLost

Handler = Callable[[Work], Awaitable[None]]

_log = logging.getLogger(__name__)

PATIENT: Final = Retry(most=10, first=dt.timedelta(seconds=1), longest=dt.timedelta(minutes=5))
ENDLESS: Final = Retry(most=None, first=dt.timedelta(seconds=1), longest=dt.timedelta(minutes=5))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`every`: the pause between the end of one and the next of a kind that nobody has to ask for. `given_up`: what is
    written in the transaction that gives one up."""

    run: Handler
    retry: Retry = PATIENT
    given_up: Callable[[Tx, Job, dt.datetime], None] = lambda tx, job, now: None
    every: Callable[[Settings], dt.timedelta] | None = None


async def forget(work: Work) -> None:
    """Remove jobs, and events on their way to webhooks, that were given up long ago."""
    deps = work.deps
    before = deps.clock.now() - dt.timedelta(days=deps.settings.jobs.keep_failed_days)
    dead_before = deps.clock.steady() - dt.timedelta(days=deps.settings.webhooks.keep_days)

    def unit(tx: Tx) -> None:
        rows.forget_failed(tx, before)
        deliveries.forget_dead(tx, dead_before)

    await deps.db.write(unit)


async def end_undo(work: Work) -> None:
    """Let go of what was deleted and whose window is over, and of history that is too old."""
    deps = work.deps
    await undo.end(deps.db.write, now=deps.clock.steady())
    await history.prune(deps)


async def run_policies(work: Work) -> None:
    """Carry out every repository's lifecycle policy, one repository after the other; trouble with one keeps no other
    waiting."""
    after = _number(work.payload, "after")
    while (found := await lifecycle.next_repository(work.deps, after=after)) is not None:
        try:
            ran = await lifecycle.run(work.deps, found.id, pause=work.pause)
            if ran is not None and (ran.expired or ran.archived or ran.spared):
                told = f"{len(ran.expired)} images expired, {len(ran.archived)} archived"
                left = f"{len(ran.spared)} had changed and are left to the next run"
                _log.info("lifecycle: %s: %s, %s", found.name, told, left)
        except (Interrupted, LeaseLost, Unavailable):
            raise
        except Exception as error:
            _log.error("lifecycle: the policy of %s failed", found.name, exc_info=error)
            await lifecycle.note_trouble(work.deps, found.id, f"{type(error).__name__}: {error}")
        after = found.id
        await work.keep({"after": after})


async def make_preview(work: Work) -> None:
    await lifecycle.make_preview(work.deps, _number(work.payload, "evaluation"))


def fail_preview(tx: Tx, job: Job, now: dt.datetime) -> None:
    lifecycle.fail_preview(tx, _number(job.payload, "evaluation"), now)


async def send_to_archive(work: Work) -> None:
    await archived_bytes.send(work.deps, _ids(work.payload), pause=work.pause)


async def bring_from_archive(work: Work) -> None:
    by = work.payload["by"]
    assert isinstance(by, str)
    await archived_bytes.bring(work.deps, _ids(work.payload), by=by, pause=work.pause)


async def sweep_archive(work: Work) -> None:
    await archived_bytes.sweep(work.deps, pause=work.pause)


def _ids(payload: Mapping[str, object]) -> list[int]:
    found = payload["images"]
    assert isinstance(found, list)
    return found


async def deliver(work: Work) -> None:
    """Send the events of one queue to its webhook."""
    repository = work.payload.get("repository")
    assert isinstance(repository, str)
    await delivering.empty(work.deps, _number(work.payload, "listener"), repository, work.pause)


async def log_events(work: Work) -> None:
    await event_log.write(work.deps, _number(work.payload, "listener"), work.pause)


async def rouse(work: Work) -> None:
    """Give each queue its job, should one have lost it: by an operator who cancelled it, or a clock that was wrong."""
    now = work.deps.clock.now()

    def unit(tx: Tx) -> None:
        for listener in listeners.every(tx):
            if listener.paused is None:
                for repository in deliveries.queues(tx, listener.id):
                    rows.add(tx, queue_job(listener, repository, now), now)

    await work.deps.db.write(unit)


def _number(payload: Mapping[str, object], name: str) -> int:
    found = payload.get(name, 0)
    assert isinstance(found, int)
    return found


KINDS: Final[Mapping[str, Kind]] = {
    "jobs.forget": Kind(run=forget, every=lambda settings: dt.timedelta(days=1)),
    "undo.end": Kind(run=end_undo, retry=ENDLESS, every=lambda settings: dt.timedelta(hours=1)),
    "lifecycle.run": Kind(
        run=run_policies,
        retry=ENDLESS,
        every=lambda settings: dt.timedelta(seconds=settings.lifecycle.every_seconds),
    ),
    "lifecycle.preview": Kind(run=make_preview, given_up=fail_preview),
    "archive.send": Kind(run=send_to_archive),  # what it gives up is taken up by the next sweep
    "archive.bring": Kind(run=bring_from_archive, retry=ENDLESS),
    "archive.sweep": Kind(run=sweep_archive, every=lambda settings: dt.timedelta(days=1)),
    "webhook.rouse": Kind(run=rouse, every=lambda settings: dt.timedelta(hours=1)),
}

# Kinds of their own workers, so that neither waits for the other.
DELIVERIES: Final[Mapping[str, Kind]] = {DELIVER: Kind(run=deliver, retry=ENDLESS)}
LOGGING: Final[Mapping[str, Kind]] = {LOG: Kind(run=log_events, retry=ENDLESS)}
