"""One step ahead: a step that runs while its caller prepares the next.

This is the only place of the registry that starts a task, and none outlives the block that it belongs to: whatever is
still running at the block's end, because the result is not wanted any more, is cancelled and waited for.
"""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """A block in which at most one step is under way."""

    def __init__(self) -> None:
        self._running: asyncio.Task[T] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            if not self._running.cancelled():
                self._running.exception()  # nobody else will ask for it
            self._running = None

    def start(self, step: Coroutine[Any, Any, T]) -> None:
        """Begin a step; the result of the one before must have been taken."""
        assert self._running is None
        self._running = asyncio.ensure_future(step)

    async def is_over(self, *, within: float) -> bool:
        """Whether the step has come to its end, which may take so many seconds."""
        assert self._running is not None
        done, _ = await asyncio.wait([self._running], timeout=within)
        return bool(done)

    async def result(self) -> T | None:
        """What the step came to, or its error; None where none was begun."""
        if self._running is None:
            return None
        try:
            return await self._running
        finally:
            self._running = None
