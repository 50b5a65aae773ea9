"""Work in a thread that is over before its caller goes on, cancelled or not.

A thread cannot be stopped. Whoever awaits it in the usual way and is cancelled goes on at once, closes its file, and
the thread writes to what has that file's number next: another upload, or the database.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def start(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """Begin work in a thread. Whatever happens, `over` must be awaited for it."""
    return asyncio.get_running_loop().run_in_executor(None, functools.partial(work, *args, **kwargs))


async def over(running: asyncio.Future[T]) -> T:
    """The result of work, when it is over. A cancellation is passed on, and only then."""
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # nobody else will ask for it
        raise cancelled
    return running.result()


async def run(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await over(start(work, *args, **kwargs))
