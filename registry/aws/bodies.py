"""Request bodies of the AWS doors: whole, hashed, bounded in size, in time and, for all requests together, in memory.

An API body has to be whole before its signature can be checked, so anyone may make the server hold one. Small ones are
held freely. A large one (a layer part, a manifest) must first get its size from one budget of the process; it waits
in line for it, and is told to try again when its time is up (promises.md T19, T26, P11). The budget is given back when
the request has been answered, since what was parsed from a body is as large as the body.
"""

import asyncio
import collections
import contextlib
import dataclasses
import hashlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import ClientError, web

from registry.aws.errors import Refusal

SMALL: Final = 256 * 1024  # bytes that a body may have without asking the budget
BUDGET: Final = (
    40 * 1024 * 1024
)  # of all large bodies in memory; one largest layer part fits, and parsing it takes twice more

_GONE = (ConnectionError, ClientError, EOFError)  # what reading raises when the rest of the body will never come


@dataclasses.dataclass(slots=True)
class Body:
    """A body that came in; `take` hands over the bytes so that they can be freed once they are parsed."""

    data: bytes
    sha256: str

    def take(self) -> bytes:
        data, self.data = self.data, b""
        return data


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


_LARGE: Final = Budget(BUDGET)  # memory is the process's, and so is this


@contextlib.asynccontextmanager
async def body_of(
    request: web.BaseRequest, *, limit: int, seconds: float, budget: Budget = _LARGE
) -> AsyncIterator[Body]:
    """The body, of at most `limit` bytes and within `seconds`, for as long as the context lasts. Raises Refusal."""
    declared = request.content_length
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Refusal("UnsupportedMediaTypeException", 415, "A request body must be sent without Content-Encoding.")
    if declared is not None and declared > limit:
        raise _too_large(limit)
    deadline = asyncio.get_running_loop().time() + seconds
    await _invite(request)
    async with contextlib.AsyncExitStack() as held:
        data, digest = bytearray(), hashlib.sha256()
        budgeted = False
        while True:
            if not budgeted and max(len(data), declared or 0) > SMALL:
                await _hold(held, budget, declared if declared is not None else limit, deadline)
                budgeted = True
            piece = await _piece(request, deadline)
            if not piece:
                break
            if len(data) + len(piece) > limit:
                raise _too_large(limit)
            data += piece
            digest.update(piece)
        body = Body(bytes(data), digest.hexdigest())
        del data
        yield body


async def _hold(held: contextlib.AsyncExitStack, budget: Budget, size: int, deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await held.enter_async_context(budget.hold(size))
    except TimeoutError:
        raise Refusal("ServerException", 503, "The server is busy with other large requests; try again.") from None


async def _piece(request: web.BaseRequest, deadline: float) -> bytes:
    try:
        async with asyncio.timeout_at(deadline):
            return await request.content.readany()
    except TimeoutError:
        raise Refusal("RequestTimeoutException", 408, "The request body took too long to arrive.") from None
    except _GONE:
        raise _cut() from None


async def _invite(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.writer.output_size == 0:
        try:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        except _GONE:
            raise _cut() from None
        request.writer.output_size = 0  # the answer proper has not begun


def _cut() -> Refusal:
    return Refusal("IncompleteBodyException", 400, "The request body did not arrive whole.")


def _too_large(limit: int) -> Refusal:
    return Refusal("RequestEntityTooLargeException", 413, f"The request body may have at most {limit} bytes.")
