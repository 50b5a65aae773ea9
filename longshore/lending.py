"""A connection that lends its socket for the length of a body, and goes on afterwards as if nothing had been.

What the framework has read by then goes along; its parser waits for the rest of the body and will never see it. So a
body that was read to its end leaves the parser to be replaced, by one that expects a request. One that was not, because
the disk was full or the client gone, leaves it as it is: what still comes is read and dropped for a moment, and then
the connection is closed, which the answer has said.
"""

import asyncio
import socket
from typing import Any

from aiohttp import StreamReader
from aiohttp.http import HttpRequestParser
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestHandler, RequestPayloadError

from registry.lent import LEAST
from registry.v2 import sendfile


class Lending(RequestHandler):
    """aiohttp's connection, whose socket may be borrowed: a `registry.lent.Lender`."""

    __slots__ = ("_lent", "_lines")

    def __init__(self, manager: Any, *, auto_decompress: bool = True, **kwargs: Any) -> None:
        super().__init__(manager, auto_decompress=auto_decompress, **kwargs)
        self._lines = {name: kwargs[name] for name in ("max_field_size",) if name in kwargs}
        self._lines["auto_decompress"] = auto_decompress
        self._lent: StreamReader | None = None  # the body that is read elsewhere

    def lend(self, length: int) -> tuple[socket.socket, list[bytes], int] | None:
        """See `registry.lent.Lender`. The kernel's bytes are the client's only without TLS."""
        request, transport = self._current_request, self.transport
        if request is None or transport is None or transport.is_closing() or not sendfile.is_plain(transport):
            return None
        content = request.content
        if content.is_eof() or content.exception() is not None or length - content.total_bytes < LEAST:
            return None
        self._pause_reading_for_buffer()
        before = []
        while piece := content.read_nowait():  # which may let the parser bring more
            before.append(piece)
        self._lent = content
        return transport.get_extra_info("socket").dup(), before, length - content.total_bytes

    def has_ended(self) -> bool:
        """Whether the connection is lost, or told to end."""
        lent, transport = self._lent, self.transport
        return lent is None or lent.exception() is not None or transport is None or transport.is_closing()

    def take_back(self, *, whole: bool) -> None:
        """Read on. `whole`: from the beginning of the next request."""
        lent, self._lent = self._lent, None
        request = self._current_request
        if self.transport is None or request is None or lent is None:
            return
        if whole:
            lent.feed_eof()
            self._parser = self._fresh_parser(self._loop)
        else:
            request._message = request._message._replace(should_close=True)
        self._resume_reading_for_buffer()

    def _fresh_parser(self, loop: asyncio.AbstractEventLoop) -> HttpRequestParser:
        """As aiohttp makes one for a new connection."""
        return HttpRequestParser(
            self,
            loop,
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_headers=self.max_headers,
            payload_exception=RequestPayloadError,
            max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
            **self._lines,
        )
