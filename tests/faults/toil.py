"""A worker process of the tests' own: `python -m tests.faults.toil DATA`. Each step of its jobs leaves one row."""

import asyncio
import dataclasses
import datetime as dt
import signal
import sys
from pathlib import Path

from policies.retries import Retry
from registry.context import Deps
from registry.jobs.handlers import Kind
from registry.jobs.work import Work
from registry.jobs.worker import Worker
from registry.options import Jobs, Settings
from registry.records import jobs as rows
from registry.records.engine import Tx
from tests import places

STEPS = 6
ENDLESS = Retry(most=None, first=dt.timedelta(seconds=0.1), longest=dt.timedelta(seconds=0.2))


async def toil(work: Work) -> None:
    """One row for each step, in the transaction that says how far the job is."""
    for step in range(int(str(work.payload.get("done", 0))), STEPS):
        await asyncio.sleep(0.02)

        def unit(tx: Tx, step: int = step) -> None:
            tx.exec_driver_sql(f"INSERT INTO tally (job, step) VALUES ({work.job.id}, {step})")
            rows.keep(tx, work.job, {"done": step + 1})

        await work.deps.db.write(unit)


async def work_on(deps: Deps) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = Settings(jobs=Jobs(slots=3, lease_seconds=1))
    worker = Worker(dataclasses.replace(deps, settings=settings), kinds={"toil": Kind(run=toil, retry=ENDLESS)})
    print("works", flush=True)
    await worker.run(stop, drain=5)


if __name__ == "__main__":
    with places.rooms(Path(sys.argv[1])) as found:
        asyncio.run(work_on(found))
