"""One job as its handler sees it.

A handler is given `Deps` whose database is `Fenced`: each thing that it, or a room that it calls, writes is written
only if the job is still this worker's, and in the same transaction. So a worker that was halted past its lease finds
itself refused at the next write, whatever it believes.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping

from registry.context import Deps
from registry.model import Job
from registry.records import jobs as rows
from registry.records.engine import Rows, T, Tx, Unit
from registry.through import Through


class Interrupted(Exception):
    """The process is about to end, and the handler stops where its work can be taken up again."""


class Fenced(Through):
    """The database as the worker of one job has it."""

    def __init__(self, db: Rows, job: Job) -> None:
        super().__init__(db)
        self._job = job

    async def write(self, unit: Unit[T]) -> T:
        """Raises LeaseLost, and what the unit raises."""

        def fenced(tx: Tx) -> T:
            rows.require(tx, self._job)
            return unit(tx)

        return await self._db.housekeep(fenced)

    async def housekeep(self, unit: Unit[T]) -> T:
        return await self.write(unit)


@dataclasses.dataclass(slots=True, kw_only=True)
class Work:
    """A claimed job. `deps` are the process's, with the fenced database."""

    deps: Deps
    job: Job
    payload: Mapping[str, object]  # as it was put, or last kept
    stop: asyncio.Event  # set when the process shall end

    def pause(self) -> None:
        """To be called between steps. Raises Interrupted when it is time to stop."""
        if self.stop.is_set():
            raise Interrupted

    async def keep(self, payload: Mapping[str, object]) -> None:
        """Have the job begin there if another worker has to take it up. Raises LeaseLost."""
        await self.deps.db.write(self.keeping(payload))
        self.payload = payload

    def keeping(self, payload: Mapping[str, object]) -> Callable[[Tx], None]:
        """`keep` as a unit, for a transaction that writes more."""
        return lambda tx: rows.keep(tx, self.job, payload)


def begun(deps: Deps, job: Job, stop: asyncio.Event) -> Work:
    fenced = dataclasses.replace(deps, db=Fenced(deps.db, job))
    return Work(deps=fenced, job=job, payload=job.payload, stop=stop)
