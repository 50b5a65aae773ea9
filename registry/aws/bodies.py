"""Request bodies of the AWS doors: whole, hashed, bounded in size, in time and, for all requests together, in memory.

An API body has to be whole before its signature can be checked, so anyone may make the server hold one. Small ones are
held freely. A large one (a layer part, a manifest) must first get its size from one budget of the process; it waits
in line for it, and is told to try again when its time is up (promises.md T19, T26, P11). Who names no key of this
installation gets nothing of the budget, and could not keep it from others.
"""

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import AsyncIterator

from aiohttp import ClientError, web

from registry.aws.errors import Refusal
from registry.budget import LARGE, SMALL, Budget

_GONE = (ConnectionError, ClientError, EOFError)  # what reading raises when the rest of the body will never come


@dataclasses.dataclass(slots=True)
class Body:
    """A body that came in; `take` hands over the bytes so that they can be freed once they are parsed."""

    data: bytes
    sha256: str

    def take(self) -> bytes:
        data, self.data = self.data, b""
        return data


@contextlib.asynccontextmanager
async def body_of(
    request: web.BaseRequest, *, limit: int, seconds: float, keep: bool = True, budget: Budget = LARGE
) -> AsyncIterator[Body]:
    """The body, of at most `limit` bytes and within `seconds`, for as long as the context lasts. Raises Refusal.

    With `keep` false a large one is read and thrown away: that of a stranger, whom its signature will not help.
    """
    declared = request.content_length
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Refusal("UnsupportedMediaTypeException", 415, "A request body must be sent without Content-Encoding.")
    if declared is not None and declared > limit:
        raise _too_large(limit)
    deadline = asyncio.get_running_loop().time() + seconds
    await _invite(request)
    async with contextlib.AsyncExitStack() as held:
        pieces: list[bytes] = []
        digest, size, budgeted = hashlib.sha256(), 0, False
        while True:
            if keep and not budgeted and max(size, declared or 0) > SMALL:
                await _hold(held, budget, declared if declared is not None else limit, deadline)
                budgeted = True
            piece = await _piece(request, deadline)
            if not piece:
                break
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            digest.update(piece)
            if keep or size <= SMALL:
                pieces.append(piece)
        body = Body(b"".join(pieces), digest.hexdigest())
        pieces.clear()
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
