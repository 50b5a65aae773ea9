"""The server's own garbage collection: a pass whenever one is due, by one process of all that share the data."""

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from registry import chores, grace
from registry.context import Deps
from registry.errors import LongshoreError
from registry.options import Gc

_LOOK_SECONDS: Final = 60.0  # at most, between two looks whether a pass is due

_log = logging.getLogger(__name__)


def warning(terms: Gc) -> str | None:
    """What the operator should be told of these settings."""
    if terms.grace >= grace.SHORTEST:
        return None
    return (
        f"gc.grace_seconds is {terms.grace_seconds}: a push that takes longer may lose layers before its manifest "
        "comes. An hour or more is safe, a day is the default"
    )


@contextlib.asynccontextmanager
async def going_on(deps: Deps) -> AsyncIterator[None]:
    """The time in which passes are made. What is at work at its end stops between two steps."""
    if not deps.settings.gc.interval_seconds:
        yield
        return
    task = asyncio.create_task(_forever(deps))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _forever(deps: Deps) -> None:
    every = dt.timedelta(seconds=deps.settings.gc.interval_seconds)
    clock = _Steady(deps)
    while True:
        try:
            collected = await chores.collect_when_due(
                deps.db, deps.stores, deps.settings.gc, now=clock.now(), every=every
            )
        except LongshoreError as error:
            _log.warning("gc: %s", error.message)
        except Exception:
            _log.exception("gc: a pass failed")
        else:
            if collected is not None and collected.refused is not None:
                _log.error("gc: nothing was collected: %s; see `longshore gc`", collected.refused)
            elif collected is not None and collected.bytes:
                _log.info("gc: %s bytes freed in %.1f s", collected.bytes, collected.seconds)
        await asyncio.sleep(min(deps.settings.gc.interval_seconds, _LOOK_SECONDS))


class _Steady:
    """The wall clock, but never further ahead of its start than time has really passed.

    A clock that jumps ahead would end the grace period of everything at once.
    """

    def __init__(self, deps: Deps) -> None:
        self._clock = deps.clock
        self._start, self._began = deps.clock.now(), time.monotonic()

    def now(self) -> dt.datetime:
        return min(self._clock.now(), self._start + dt.timedelta(seconds=time.monotonic() - self._began))
