"""Request bodies: as pieces while they come, or whole; bounded in size, in time and in memory.

aiohttp never closes a connection whose body drips in slowly, so both readers have a clock of their own (promises.md
T26). Nothing is decompressed: what is stored is what was sent.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import ClientError, web

from registry.budget import LARGE, SMALL
from registry.errors import TooLarge
from registry.intake import BodyCut
from registry.lent import Body, Lender, Lent
from registry.pace import Pace
from registry.v2.errors import OciError

# What reading a body raises when its end will never come: the connection is gone, or what it brought is not HTTP.
_GONE = (ConnectionError, ClientError, EOFError)


def has_body(request: web.BaseRequest) -> bool:
    return bool(request.content_length) or "chunked" in request.headers.get("Transfer-Encoding", "").lower()


async def invite(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send the body. Only now: a refused request never has to send it."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.writer.output_size == 0:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer proper has not begun


def body(request: web.BaseRequest, *, floor_seconds: int, lending: bool) -> Body:
    """The body as it comes. `lending`: or by the socket, where that can be."""

    async def lend(limit: int) -> Lent | None:
        length, lender = request.content_length, request.protocol
        if not lending or length is None or length > limit or not isinstance(lender, Lender):
            return None
        await invite(request)
        found = lender.lend(length)
        return None if found is None else Lent(lender, *found, Pace(floor_seconds))

    return Body(_pieces(request, floor_seconds), lend)


async def _pieces(request: web.BaseRequest, floor_seconds: int) -> AsyncIterator[bytes]:
    """Raises BodyCut when the client goes away or falls below the floor."""
    await invite(request)
    content, pace = request.content, Pace(floor_seconds, asyncio.get_running_loop().time)
    while True:
        try:
            async with asyncio.timeout_at(pace.due):
                piece = await content.readany()
        except TimeoutError:
            raise pace.too_slow() from None
        except _GONE as error:
            # The framework would drop what came while the request was still at the doors.
            if left := b"".join(content._buffer)[content._buffer_offset :]:
                yield left
            raise BodyCut("the connection was lost") from error
        if not piece:
            return
        pace.came(len(piece))
        yield piece


@contextlib.asynccontextmanager
async def whole(request: web.BaseRequest, what: str, *, limit: int, seconds: int) -> AsyncIterator[bytes]:
    """The body, at most `limit` bytes of it and within `seconds`. Raises TooLarge, BodyCut, OciError."""
    declared = request.content_length
    if (declared or 0) > limit:
        raise TooLarge(what, limit)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise OciError("UNSUPPORTED", 415, f"{what} must be sent without Content-Encoding")
    deadline = asyncio.get_running_loop().time() + seconds
    await invite(request)
    async with contextlib.AsyncExitStack() as held:
        pieces: list[bytes] = []
        size, budgeted = 0, False
        while True:
            if not budgeted and max(size, declared or 0) > SMALL:
                await _hold(held, limit if declared is None else declared, deadline)
                budgeted = True
            piece = await _piece(request, what, deadline)
            if not piece:
                break
            size += len(piece)
            if size > limit:
                raise TooLarge(what, limit)
            pieces.append(piece)
        body = b"".join(pieces)
        pieces.clear()
        yield body


async def _hold(held: contextlib.AsyncExitStack, size: int, deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await held.enter_async_context(LARGE.hold(size))
    except TimeoutError:
        raise OciError("UNSUPPORTED", 503, "the server is busy with other large requests; try again") from None


async def _piece(request: web.BaseRequest, what: str, deadline: float) -> bytes:
    try:
        async with asyncio.timeout_at(deadline):
            return await request.content.readany()
    except TimeoutError:
        raise BodyCut(f"{what} took too long to come") from None
    except _GONE as error:
        raise BodyCut("the connection was lost") from error
