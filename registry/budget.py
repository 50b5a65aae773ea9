"""Bytes of request bodies that have to be whole in memory: one budget for the process, whichever door they came by.

A small body is held freely. A large one, a manifest or a layer part in JSON, must first get its size from the budget.
It waits in line for it, and its door tells it to try again when its time is up. So a crowd of large bodies costs time,
not memory (promises.md T19, P11). The budget is given back when the request has been answered, since what was parsed
from a body is as large as the body.
"""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator
from typing import Final

SMALL: Final = 64 * 1024  # bytes that a body may have without asking the budget
ALL: Final = 40 * 1024 * 1024  # one largest layer part fits, and parsing it takes twice more


class Budget:
    """Bytes that may be held at once, given out first come first served."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._line: collections.deque[tuple[int, asyncio.Future[None]]] = collections.deque()

    @property
    def free(self) -> int:
        return self._free

    @contextlib.asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        size = min(size, self._size)  # the very largest must come in too, alone
        await self._get(size)
        try:
            yield
        finally:
            self._give(size)

    async def _get(self, size: int) -> None:
        if not self._line and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give(size)  # it was given in the moment in which we stopped waiting
            else:
                if (size, turn) in self._line:  # else it was passed over already
                    self._line.remove((size, turn))
                self._give(0)  # who stood behind may fit
            raise

    def _give(self, size: int) -> None:
        self._free += size
        while self._line and self._line[0][0] <= self._free:
            wanted, turn = self._line.popleft()
            if not turn.done():
                self._free -= wanted
                turn.set_result(None)


LARGE: Final = Budget(ALL)
