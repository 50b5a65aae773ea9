"""Connections: how many there may be, and what a client hears that does not speak HTTP.

The number is bounded for the process, by its file descriptors less a reserve for the database and the store, and for
one source address, so that whoever opens thousands of idle connections shuts out only themselves (promises.md T27,
F41). Malformed HTTP is answered in JSON, without repeating what was sent, and ends the connection.
"""

import asyncio
import collections
import os
import resource
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from longshore.observe import REFUSED
from longshore.replies import Key, Replies, is_lone_request
from registry.options import Limits
from registry.v2.errors import answer_of

_RESERVED = 128  # file descriptors for rows, bytes, logs


class Census:
    """Counts open connections and says whether one more may come in."""

    def __init__(self, limits: Limits) -> None:
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        # A connection may hold a second descriptor, the blob that it sends or receives.
        room = max((descriptors - _RESERVED) // 2, 16)
        self.most = min(limits.connections or room, room)
        self.most_of_one = limits.connections_per_source or max(self.most * 9 // 10, 1)
        self._by_source: collections.Counter[str] = collections.Counter()
        self._all = 0

    def enter(self, source: str) -> str | None:
        """Count a connection in; or why it must go."""
        if self._all >= self.most:
            return "all"
        if self._by_source[source] >= self.most_of_one:
            return "source"
        self._all += 1
        self._by_source[source] += 1
        return None

    def leave(self, source: str) -> None:
        self._all -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]


class Connection(RequestHandler):
    """One client connection.

    Bytes that are a whole request which was answered before may be answered from `replies`, but only while nothing
    else is on its way: no request at work, none waiting, and nothing of one in the parser.
    """

    __slots__ = ("_census", "_counted_as", "_is_between_requests", "_replies", "_source", "key")

    def __init__(self, manager: web.Server, *, census: Census, replies: Replies | None, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._census, self._replies = census, replies
        self._counted_as: str | None = None
        self._source = ""
        self._is_between_requests = replies is not None  # every byte so far belongs to a request that came whole
        self.key: Key | None = None  # of the request that is at work, if its answer may be kept

    def data_received(self, data: bytes) -> None:
        if self._is_between_requests and self._answer_again(data):
            return
        super().data_received(data)

    def _answer_again(self, data: bytes) -> bool:
        """Answer from what is kept, if it is there; else take note of the request, for its answer to be kept."""
        waiter, transport = self._waiter, self.transport
        is_waiting = waiter is not None and not waiter.done()
        is_first = waiter is None and not self._request_count
        if not (is_waiting or is_first) or not is_lone_request(data):
            # From here on the parser may hold part of a request, or one request be at work while another comes.
            self._is_between_requests, self.key = False, None
            return False
        self.key = (self._source, data)
        if not is_waiting or transport is None or self._close or self._force_close:
            return False
        assert self._replies is not None and isinstance(transport, asyncio.Transport)
        reply = self._replies.find(self.key, new_request_id)
        if reply is None:
            return False
        transport.write(reply)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        source = self._source = str(peer[0]) if isinstance(peer, tuple) else "local"
        refused = self._census.enter(source)
        super().connection_made(transport)
        if refused is None:
            self._counted_as = source
        else:
            REFUSED.labels(refused).inc()
            assert isinstance(transport, asyncio.Transport)
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._counted_as is not None:
            self._census.leave(self._counted_as)
            self._counted_as = None
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        code, text = "UNSUPPORTED", "this is not a valid HTTP request"
        if status >= 500:
            self.log_exception("request failed outside of every door", exc_info=exc)
            text = "the registry failed to answer"
        answer = answer_of(code, status, text)
        answer.force_close()
        return answer


class Server(web.Server):
    """aiohttp's low-level server, making Connections."""

    def __init__(
        self,
        handler: Any,
        *,
        census: Census,
        replies: Replies | None,
        loop: asyncio.AbstractEventLoop,
        **kwargs: Any,
    ) -> None:
        super().__init__(handler, loop=loop)
        self._census, self._replies, self._options, self._own_loop = census, replies, kwargs, loop

    def __call__(self) -> RequestHandler:
        return Connection(self, census=self._census, replies=self._replies, loop=self._own_loop, **self._options)


def new_request_id() -> str:
    """A random UUID (version 4), made without the uuid module's cost."""
    raw = bytearray(os.urandom(16))
    raw[6], raw[8] = raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
