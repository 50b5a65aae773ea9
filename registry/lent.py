"""A long body that one thread receives, hashes and writes, straight from the socket.

On its usual way a body goes through the event loop in small pieces, each copied, gathered and handed to a thread. Where
the client is as fast as the disk that is a third of the work. So the connection may lend its socket for the length of a
body: nothing else is read from it meanwhile, and the loop is free.

A thread is not held by a client that is slow: it takes what is there, waits for a moment, and goes back. The loop then
waits, which costs no thread, and judges the pace as it does for every body (promises.md T26). Nor is a thread held for
ever by one that is fast: after a turn the next in line has it. Its buffer is the thread's own, so memory grows with
threads, not with bodies.
"""

import asyncio
import contextlib
import select
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol, runtime_checkable

from registry import threads
from registry.intake import BodyCut, Hash, write_all
from registry.pace import Pace
from registry.write_back import WriteBack

LEAST: Final = 1024 * 1024  # bytes that are still to come; for fewer the change of hands is not worth it
_BUFFER: Final = 1024 * 1024
_TURN: Final = 16 * 1024 * 1024  # bytes after which a thread is given up to whoever waits for one
_MOMENT: Final = 10  # milliseconds that a thread waits for more
_LOOK: Final = 0.25  # seconds between looks at whether the body is wanted any more

_own = threading.local()


@runtime_checkable
class Lender(Protocol):
    """A connection that may lend its socket."""

    def lend(self, length: int) -> tuple[socket.socket, list[bytes], int] | None:
        """Read no more, and give the socket, what was read of the body, and how many of its `length` bytes are still
        to come. None: not now, or too few."""
        ...

    def has_ended(self) -> bool:
        """Whether nobody waits for the rest of the body any more."""
        ...

    def take_back(self, *, whole: bool) -> None:
        """Go on reading. `whole`: the body was read to its end, so that what comes next is another request."""
        ...


class Body:
    """A body on its way: its pieces, or, instead, its connection's socket."""

    def __init__(self, pieces: AsyncIterator[bytes], lend: Callable[[int], Awaitable["Lent | None"]]) -> None:
        self._pieces, self._lend = pieces, lend

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def lend(self, limit: int) -> "Lent | None":
        """The body for a thread, which must then `receive` it; None: take the pieces. `limit`: bytes at most."""
        return await self._lend(limit)


class Lent:
    """The rest of a body: `before`, which the connection had read already, and `left` bytes that are still to come."""

    def __init__(self, lender: Lender, lent: socket.socket, before: list[bytes], left: int, pace: Pace) -> None:
        """`lent` does not block, and is closed at the end."""
        self._lender, self._socket, self._before, self._left, self._pace = lender, lent, before, left, pace

    @property
    def size(self) -> int:
        return sum(map(len, self._before)) + self._left

    async def receive(self, fd: int, state: Hash, *, early: bool = False) -> tuple[int, BodyCut | None]:
        """Write all to `fd` and into the hash: (bytes written, why the body ended early). As `intake.receive`."""
        total = 0
        behind = WriteBack(fd) if early else None
        try:
            await threads.run(_keep, self._before, fd, state, behind)
            total = self.size - self._left
            while self._left:
                took, is_gone = await threads.run(_turn, self._socket, self._left, fd, state, behind)
                total, self._left = total + took, self._left - took
                if is_gone or self._lender.has_ended():
                    return total, BodyCut("the connection was lost")
                self._pace.came(took)
                if self._left and took < _TURN:
                    await self._more()
            return total, None
        except BodyCut as cut:
            return total, cut
        finally:
            self._socket.close()
            self._lender.take_back(whole=not self._left)

    async def _more(self) -> None:
        """Return when there is something to read, if only the end. Raises BodyCut."""
        loop = asyncio.get_running_loop()
        while True:
            readable = loop.create_future()
            loop.add_reader(self._socket.fileno(), _settle, readable)
            try:
                await asyncio.wait([readable], timeout=min(_LOOK, self._pace.left()))
            finally:
                loop.remove_reader(self._socket.fileno())
            if self._lender.has_ended():
                raise BodyCut("the connection was lost")
            if readable.done():
                return
            self._pace.came(0)


def _settle(readable: "asyncio.Future[None]") -> None:
    if not readable.done():
        readable.set_result(None)


# --- in the thread ----------------------------------------------------------------------------------------------------


def _keep(pieces: list[bytes], fd: int, state: Hash, behind: WriteBack | None) -> None:
    for piece in pieces:
        state.update(piece)
    write_all(pieces, fd, behind)


def _turn(lent: socket.socket, left: int, fd: int, state: Hash, behind: WriteBack | None) -> tuple[int, bool]:
    """Take what comes, up to `left` bytes: (how many, whether the client is gone)."""
    poll = select.poll()
    poll.register(lent, select.POLLIN)
    buffer, took, is_gone = _buffer(), 0, False
    while took < min(left, _TURN) and not is_gone:
        size, is_gone = _fill(lent, poll, buffer[: left - took])
        if size:
            state.update(buffer[:size])
            write_all([buffer[:size]], fd, behind)
            took += size
        elif not is_gone:
            break
    return took, is_gone


def _fill(lent: socket.socket, poll: select.poll, buffer: memoryview) -> tuple[int, bool]:
    """Fill the buffer as far as bytes come: (how far, whether the client is gone)."""
    size = 0
    while size < len(buffer):
        try:
            got = lent.recv_into(buffer[size:])
        except BlockingIOError:
            if not poll.poll(_MOMENT):
                break
            continue
        except OSError:
            return size, True
        if not got:
            return size, True
        size += got
    return size, False


def _buffer() -> memoryview:
    with contextlib.suppress(AttributeError):
        return _own.buffer  # type: ignore[no-any-return] # a thread's own has no type
    _own.buffer = memoryview(bytearray(_BUFFER))
    return _own.buffer  # type: ignore[no-any-return]
