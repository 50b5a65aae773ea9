"""Files into sockets, by the kernel.

What a socket takes at once goes out at once, from the loop's own thread and without a turn of the loop: that is all of
many a layer. Head and body leave in the same packets (TCP_CORK), as far as they fit. What is left then goes asyncio's
way, as does everything on a connection with TLS, which the kernel cannot encrypt.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import BinaryIO, Final

_AT_ONCE: Final = 2 * 1024 * 1024  # bytes of one call, during which nothing else of the process runs
_CORK: Final[int | None] = getattr(socket, "TCP_CORK", None)  # Linux


def is_plain(transport: asyncio.Transport) -> bool:
    """Whether the kernel may write to the transport's socket."""
    return transport.get_extra_info("sslcontext") is None and transport.get_extra_info("socket") is not None


@contextlib.contextmanager
def corked(transport: asyncio.Transport) -> Iterator[None]:
    """Hold packets that are not full until the block is over."""
    out = transport.get_extra_info("socket")
    if _CORK is None or not is_plain(transport):
        yield
        return
    out.setsockopt(socket.IPPROTO_TCP, _CORK, 1)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # closed meanwhile
            out.setsockopt(socket.IPPROTO_TCP, _CORK, 0)


def at_once(transport: asyncio.Transport, file: int, first: int, stop: int) -> int:
    """Send what the socket takes now of the file's bytes from `first` up to `stop`: where the rest begins.

    Raises OSError when the client is gone.
    """
    if transport.is_closing():
        raise ConnectionResetError("the client is gone")
    if transport.get_write_buffer_size() or not is_plain(transport):
        return first  # something is to go out before these
    try:
        return first + os.sendfile(
            transport.get_extra_info("socket").fileno(), file, first, min(stop - first, _AT_ONCE)
        )
    except (BlockingIOError, InterruptedError):
        return first


async def send(transport: asyncio.Transport, file: BinaryIO, first: int, stop: int) -> int:
    """Send the file's bytes from `first` up to `stop`: where they ended, which is sooner where the file does.

    Raises OSError when the client is gone.
    """
    at = at_once(transport, file.fileno(), first, stop)
    if at < stop:
        at += await asyncio.get_running_loop().sendfile(transport, file, at, stop - at)
    return at
