"""A worker: claims jobs that are due, runs them, and says what came of each.

    claim (lease, attempts + 1) → handler, lease extended meanwhile → done: the row goes, a periodic job's next comes
                                                                   → failed: again later, or given up for the operator
                                                                   → told to stop: put back as it was
    lease over (its worker died, or hung) → counts as a failure of the job, since it may be what killed the worker

Any number of workers, in any number of processes, may run: leases and fences make it harmless. An idle one looks twice
a second whether anything was committed to the database at all, which costs microseconds, and asks for jobs only then.
"""

import asyncio
import collections
import contextlib
import datetime as dt
import logging
import math
import os
import random
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Literal

from policies import retries
from registry.ahead import Ahead
from registry.context import Deps
from registry.errors import LongshoreError, Unavailable
from registry.jobs.handlers import KINDS, Kind
from registry.jobs.work import Interrupted, Work, begun
from registry.model import Job, NewJob
from registry.records import jobs as rows
from registry.records.engine import Tx
from registry.records.jobs import LeaseLost

Outcome = Literal["done", "failed", "given-up", "put-back", "lease-lost"]

_LOOK: Final = 0.5  # seconds between two looks at the number of the last commit
_LONGEST_LOOK: Final = 5.0  # seconds after which jobs are asked for, commits or not
_TROUBLE: Final = 2.0  # seconds of rest when the database does not answer

_log = logging.getLogger(__name__)


class Worker:
    """Runs up to `slots` jobs at a time; None: `settings.jobs.slots`. `tell` hears of each outcome, by kind.

    `slots_each`: as many, at most, of jobs whose order keys begin alike up to their second colon: `webhook:7:`.
    """

    def __init__(
        self,
        deps: Deps,
        *,
        kinds: Mapping[str, Kind] = KINDS,
        tell: Callable[[str, Outcome], None] = lambda kind, outcome: None,
        slots: int | None = None,
        slots_each: int | None = None,
    ) -> None:
        self._deps, self._kinds, self._tell = deps, kinds, tell
        self._slots, self._slots_each = slots or deps.settings.jobs.slots, slots_each
        self._looking = asyncio.Lock()  # one slot looks for all that are idle
        self._in_hand: collections.Counter[str] = collections.Counter()  # jobs by the beginning of their order keys
        self._freed = asyncio.Event()  # one of them came to its end, or it is time to stop
        self._lease = dt.timedelta(seconds=deps.settings.jobs.lease_seconds)
        self._owner = f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"

    async def run(self, stop: asyncio.Event, *, drain: float) -> None:
        """Work until `stop` is set; then jobs in hand have `drain` seconds."""
        while not stop.is_set() and not await _answered(self._begin_periodic(), stop):
            pass
        await asyncio.gather(*(self._slot(stop, drain) for _ in range(self._slots)), self._wake_at(stop))

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._freed.set()

    async def _slot(self, stop: asyncio.Event, drain: float) -> None:
        while not stop.is_set():
            await _answered(self._step(stop, drain), stop)

    async def _step(self, stop: asyncio.Event, drain: float) -> None:
        async with self._looking:
            if stop.is_set():
                return
            seen = self._deps.db.version()  # before the look, so that a commit in between is noticed
            self._freed.clear()
            await self._take_over()
            job = await self._claim()
            if job is None:
                await self._wait(stop, seen)
                return
            self._in_hand[_group(job)] += 1
        try:
            await self._do(job, stop, drain)
        finally:
            self._in_hand[_group(job)] -= 1
            self._freed.set()

    # --- what is due --------------------------------------------------------------------------------------------------

    async def _claim(self) -> Job | None:
        now = self._deps.clock.now()
        full = self._full()
        at = await self._deps.db.point(lambda tx: rows.next_at(tx, self._kinds, besides=full))
        if at is None or at > now:
            return None
        return await self._deps.db.housekeep(
            lambda tx: rows.claim(tx, self._kinds, self._owner, now, self._lease, besides=full)
        )

    def _full(self) -> list[str]:
        """Beginnings of order keys of which as many jobs are in hand as may be."""
        if self._slots_each is None:
            return []
        self._in_hand = +self._in_hand
        return [group for group, count in self._in_hand.items() if group and count >= self._slots_each]

    async def _take_over(self) -> None:
        """Count the jobs of lost workers as failed, so that they are tried again or given up."""
        now = self._deps.clock.now()
        if await self._deps.db.point(lambda tx: rows.orphans(tx, self._kinds, now)):
            for job, outcome in await self._deps.db.housekeep(lambda tx: self._orphans_failed(tx, now)):
                _log.warning("job %s (%s): its worker %s is gone", job.id, job.kind, job.lease_owner)
                self._tell(job.kind, outcome)

    def _orphans_failed(self, tx: Tx, now: dt.datetime) -> list[tuple[Job, Outcome]]:
        """They are looked for again, in the transaction that writes: a worker may just have extended its lease."""
        return [
            (job, self._failed(tx, job, f"its worker {job.lease_owner} was lost", now, soon=True))
            for job in rows.orphans(tx, self._kinds, now)
        ]

    async def _wait(self, stop: asyncio.Event, seen: int | None) -> None:
        """Until there may be something to do."""
        db, clock = self._deps.db, self._deps.clock
        full = self._full()
        due = await db.point(lambda tx: rows.next_at(tx, self._kinds, besides=full))
        for _ in range(round(_LONGEST_LOOK / _LOOK)):
            left = _LOOK if due is None else min(_LOOK, max((due - clock.now()).total_seconds(), 0.01))
            if await _is_set(self._freed, within=left) or stop.is_set() or (due is not None and due <= clock.now()):
                return
            if seen is None or db.version() != seen:
                return

    # --- one job ------------------------------------------------------------------------------------------------------

    async def _do(self, job: Job, stop: asyncio.Event, drain: float) -> None:
        work = begun(self._deps, job, stop)
        try:
            await self._run(work, drain)
            await self._done(job)
        except Interrupted:
            await self._deps.db.housekeep(lambda tx: rows.put_back(tx, job))
            self._tell(job.kind, "put-back")
        except LeaseLost:
            _log.warning("job %s (%s): attempt %s lost its lease", job.id, job.kind, job.attempts)
            self._tell(job.kind, "lease-lost")
        except Exception as error:
            told = error.message if isinstance(error, LongshoreError) else f"{type(error).__name__}: {error}"
            unforeseen = None if isinstance(error, LongshoreError) else error
            _log.error("job %s (%s) failed: %s", job.id, job.kind, told, exc_info=unforeseen)
            await self._fail(job, told)

    async def _run(self, work: Work, drain: float) -> None:
        """Run the handler. Raises what it raises; LeaseLost; Interrupted where the process ends before it does."""
        loop, lease = asyncio.get_running_loop(), self._lease.total_seconds()
        extended, deadline = loop.time(), math.inf
        async with Ahead[None]() as ahead:
            ahead.start(_handled(self._kinds[work.job.kind], work))
            while not await ahead.is_over(within=min(_LOOK, lease / 4)):
                if work.stop.is_set():
                    deadline = min(deadline, loop.time() + drain)
                if loop.time() >= deadline:
                    raise Interrupted
                if loop.time() - extended >= lease / 3:
                    await self._extend(work.job)
                    extended = loop.time()
            await ahead.result()

    async def _extend(self, job: Job) -> None:
        until = self._deps.clock.now() + self._lease
        try:
            await self._deps.db.housekeep(lambda tx: rows.extend(tx, job, until))
        except Unavailable as error:
            _log.warning("job %s (%s): its lease could not be extended: %s", job.id, job.kind, error.message)

    async def _done(self, job: Job) -> None:
        now = self._deps.clock.now()

        def unit(tx: Tx) -> None:
            rows.finish(tx, job)
            self._add_next(tx, job.kind, now)

        await self._deps.db.housekeep(unit)
        self._tell(job.kind, "done")

    async def _fail(self, job: Job, error: str) -> None:
        now = self._deps.clock.now()
        try:
            outcome = await self._deps.db.housekeep(lambda tx: self._failed(tx, job, error, now))
        except LeaseLost:
            outcome = "lease-lost"
        self._tell(job.kind, outcome)

    def _failed(self, tx: Tx, job: Job, error: str, now: dt.datetime, *, soon: bool = False) -> Outcome:
        """`soon`: after the shortest pause, since what failed has waited for its lease to run out. Raises LeaseLost."""
        kind = self._kinds[job.kind]
        at = retries.next_try(kind.retry, job.failures + 1, now, chance=random.random())  # noqa: S311 # no secret
        if at is None:
            rows.give_up(tx, job, error, now)
            kind.given_up(tx, job, now)
            self._add_next(tx, job.kind, now)
            return "given-up"
        rows.put_off(tx, job, min(at, now + kind.retry.first) if soon else at, error)
        return "failed"

    # --- periodic jobs ------------------------------------------------------------------------------------------------

    def _add_next(self, tx: Tx, kind: str, now: dt.datetime) -> None:
        every = self._kinds[kind].every
        if every is not None:
            rows.add(tx, NewJob(kind=kind, dedupe_key=kind, run_at=now + every(self._deps.settings)), now)

    async def _begin_periodic(self) -> None:
        """Write the first job of each periodic kind. One that waits too long, by a clock that was wrong or a setting
        that was another, is brought forward."""
        now, settings = self._deps.clock.now(), self._deps.settings
        latest = {kind: now + entry.every(settings) for kind, entry in self._kinds.items() if entry.every is not None}
        missing = await self._deps.db.read(
            lambda tx: [kind for kind, by in latest.items() if not rows.is_on_its_way(tx, kind, key=kind, by=by)]
        )

        def unit(tx: Tx) -> None:
            for kind in missing:
                self._add_next(tx, kind, now)

        if missing:
            await self._deps.db.housekeep(unit)


async def _handled(kind: Kind, work: Work) -> None:
    await kind.run(work)


async def _answered(step: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Whether a step went well. A worker outlives whatever happens to it, after a rest."""
    try:
        await step
    except Unavailable as error:
        _log.warning("jobs: %s", error.message)
    except Exception as error:
        _log.error("jobs: a step failed", exc_info=error)
    else:
        return True
    await _is_set(stop, within=_TROUBLE)
    return False


def _group(job: Job) -> str:
    """What its order key has in common with others; "" where it has none."""
    return "".join(f"{part}:" for part in (job.order_key or "").split(":", 2)[:2] if part)


async def _is_set(stop: asyncio.Event, *, within: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), within)
    return stop.is_set()
