"""Working on jobs: inside of a process that serves, or in one that does nothing else."""

import asyncio
import signal
from collections.abc import Callable

from longshore import observe, wiring
from longshore.config import Config
from registry.context import Deps
from registry.jobs.worker import Worker


def run(config: Config, announce: Callable[[], None]) -> None:
    """Work until SIGTERM or SIGINT. Raises CannotStart."""
    asyncio.run(_run(config, announce))


async def _run(config: Config, announce: Callable[[], None]) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with wiring.rooms(config) as deps:
        announce()
        await work(config, deps, stop)


async def work(config: Config, deps: Deps, stop: asyncio.Event) -> None:
    """Work until `stop` is set, and bring what is in hand to an end."""
    worker = Worker(deps, tell=lambda kind, outcome: observe.JOBS.labels(kind, outcome).inc())
    await worker.run(stop, drain=config.server.drain_seconds)
