"""Working on jobs: inside of a process that serves, or in one that does nothing else."""

import asyncio
import signal
from collections.abc import Callable, Iterator

from longshore import observe, wiring
from longshore.config import Config
from registry.context import Deps
from registry.jobs.handlers import DELIVERIES, LOGGING
from registry.jobs.worker import Outcome, Worker


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
    drain = config.server.drain_seconds
    await asyncio.gather(*(worker.run(stop, drain=drain) for worker in _workers(deps)))


def _workers(deps: Deps) -> Iterator[Worker]:
    """One for each thing that shall keep nothing else waiting."""

    def tell(kind: str, outcome: Outcome) -> None:
        observe.JOBS.labels(kind, outcome).inc()

    hooks = deps.settings.webhooks
    yield Worker(deps, tell=tell)
    yield Worker(deps, kinds=DELIVERIES, tell=tell, slots=hooks.slots, slots_each=hooks.slots_each)
    if deps.settings.events.log_file:
        yield Worker(deps, kinds=LOGGING, tell=tell, slots=1)
