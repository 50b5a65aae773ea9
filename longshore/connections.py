"""Connections: how many there may be, what a client hears that does not speak HTTP, and how they end.

The number is bounded for the process, by its file descriptors less a reserve for the database and the store, and for
one source address, so that whoever opens thousands of idle connections shuts out only themselves (promises.md T27,
F41). Malformed HTTP is answered in JSON, without repeating what was sent, and ends the connection.

When the server stops, requests in flight come to their end, their bodies included, and so do those that clients send
before they can know (promises.md F46). aiohttp by itself would take in no more bytes, and close at once what is idle.
"""

import asyncio
import collections
import contextlib
import os
import resource
import socket
import ssl
import struct
import sys
from collections.abc import Coroutine
from typing import Any, Final

from aiohttp import web

from longshore.lending import Lending
from longshore.observe import IN_FLIGHT, REFUSED
from longshore.replies import FromFile, Key, Replies, Reply, is_lone_request
from registry.options import Limits
from registry.v2 import sendfile
from registry.v2.errors import answer_of

_RESERVED = 128  # file descriptors for rows, bytes, logs
_DESCRIPTORS: Final = 65_536  # that are asked for; as many idle connections as they allow take 160 MB

_SO_ATTACH_FILTER: Final = 26  # which the socket module does not name
_ON_ITS_WAY: Final = 1.0  # seconds, from the stop on, in which an open connection may bring another request
_LOOK: Final = 0.05  # seconds between looks at what is left
_LAST: Final = 2.0  # seconds for what is cut off to be written down


class Census:
    """Counts open connections and says whether one more may come in."""

    def __init__(self, limits: Limits) -> None:
        descriptors = _descriptors()
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


class Connection(Lending):
    """One client connection.

    Bytes that are a whole request which was answered before may be answered from `replies`, but only while nothing
    else is on its way: no request at work, none waiting, and nothing of one in the parser. What of such an answer the
    socket does not take at once is sent by a task of the connection's own; until it is over no byte is read.
    """

    __slots__ = ("_asking", "_census", "_counted_as", "_is_between_requests", "_replies", "_sending", "_source", "key")

    def __init__(
        self,
        manager: web.Server,
        *,
        census: Census,
        replies: Replies | None,
        counted_as: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(manager, **kwargs)
        self._census, self._replies = census, replies
        self._counted_as = counted_as  # the source, once it is counted
        self._source = ""
        self._is_between_requests = replies is not None  # every byte so far belongs to a request that came whole
        self.key: Key | None = None  # of the request that is at work, if its answer may be kept
        self._asking: asyncio.Task[None] | None = None  # whether a kept reply still holds; nothing is read meanwhile
        self._sending: asyncio.Task[None] | None = None  # the rest of a kept reply's file; nor is it then

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
        if transport.get_write_buffer_size():
            return False  # a client that does not read would have replies pile up; the framework waits for it
        reply = self._replies.find(self.key, new_request_id)
        if reply is None:
            return False
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if isinstance(reply, bytes | FromFile):
            self._give(transport, reply)
        else:
            transport.pause_reading()
            self._asking = self._loop.create_task(self._answer_when_known(data, reply))
        return True

    async def _answer_when_known(self, data: bytes, found: Coroutine[Any, Any, Reply | None]) -> None:
        """Answer `data` from what is kept, if it turns out to hold; else let it through every door."""
        reply = await found
        self._asking = None
        transport = self.transport
        if transport is None or reply is None or not self._is_between_requests:
            if isinstance(reply, FromFile):
                reply.file.close()
            if transport is None:
                return
            super().data_received(data)
        else:
            assert isinstance(transport, asyncio.Transport)
            self._give(transport, reply)
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._read_on()

    def _give(self, transport: asyncio.Transport, reply: Reply) -> None:
        """Send a reply, and what the socket does not take of its file in a task."""
        if isinstance(reply, bytes):
            transport.write(reply)
            return
        try:
            with sendfile.corked(transport):
                transport.write(reply.head)
                at = sendfile.at_once(transport, reply.file.fileno(), reply.first, reply.stop)
        except OSError:
            reply.file.close()
            transport.abort()
            return
        if at == reply.stop:
            reply.file.close()
            reply.sent()
            return
        transport.pause_reading()
        self._sending = self._loop.create_task(self._send_rest(transport, reply, at))
        self._sending.add_done_callback(lambda _: self._end_to_send(reply))

    async def _send_rest(self, transport: asyncio.Transport, reply: FromFile, at: int) -> None:
        with IN_FLIGHT.track_inprogress():
            try:
                at = await sendfile.send(transport, reply.file, at, reply.stop)
            except OSError:
                transport.abort()  # the client is gone
                return
        if at == reply.stop:
            reply.sent()
        else:
            transport.abort()  # the file was cut off since it was opened: never a full answer

    def _end_to_send(self, reply: FromFile) -> None:
        reply.file.close()
        self._sending = None
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._read_on()

    def _read_on(self) -> None:
        if self._sending is None and not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()

    def _process_keepalive(self) -> None:
        if self._sending is not None:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def answer_nothing_again(self) -> None:
        """Let all requests through from now on: only an answer that is made anew can end the connection."""
        self._is_between_requests, self.key = False, None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        source = self._source = str(peer[0]) if isinstance(peer, tuple) else "local"
        refused = self._census.enter(source) if self._counted_as is None else None
        super().connection_made(transport)
        if refused is None:
            self._counted_as = source
        else:
            REFUSED.labels(refused).inc()
            assert isinstance(transport, asyncio.Transport)
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.leave()
        for task in (self._asking, self._sending):
            if task is not None:
                task.cancel()
        super().connection_lost(exc)

    def leave(self) -> None:
        """Be counted no more."""
        if self._counted_as is not None:
            self._census.leave(self._counted_as)
            self._counted_as = None

    @property
    def is_busy(self) -> bool:
        """Whether a request is in hand or waits for its turn."""
        answers_again = self._asking is not None or self._sending is not None
        return self._request_in_progress or bool(self._messages) or answers_again

    def cut(self) -> None:
        """End the body that is coming in, as if the client had gone away: an upload keeps what came of it."""
        if self._current_request is not None:
            self._current_request._cancel(ConnectionResetError("the server stops"))

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
        answer.headers["Server"] = "longshore"
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
        super().__init__(handler, request_factory=self._request, loop=loop)
        self._census, self._replies, self._options, self._own_loop = census, replies, kwargs, loop
        self._is_stopping = False

    def __call__(self, *, counted_as: str | None = None) -> Connection:
        return Connection(
            self,
            census=self._census,
            replies=self._replies,
            counted_as=counted_as,
            loop=self._own_loop,
            **self._options,
        )

    async def take_in(self, accepted: list[socket.socket], tls: ssl.SSLContext | None) -> None:
        """Serve connections that were accepted elsewhere."""
        made = (self._own_loop.connect_accepted_socket(self, one, ssl=tls) for one in accepted)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ON_ITS_WAY):
                await asyncio.gather(*made, return_exceptions=True)

    def pre_shutdown(self) -> None:
        """Only remember it: aiohttp would close every connection for what its client sends."""
        self._is_stopping, self._replies = True, None
        for connection in self._open():
            connection.answer_nothing_again()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Close each connection when nothing is in hand on it; what still is after `timeout` seconds is cut off."""
        started = self._own_loop.time()
        end = started + (timeout or 0)
        idle: set[Connection] = set()
        await asyncio.sleep(_LOOK)  # for connections that the loop has accepted, and not yet made
        while (left := self._open()) and self._own_loop.time() < end:
            was_idle, idle = idle, {connection for connection in left if not connection.is_busy}
            if self._own_loop.time() > started + _ON_ITS_WAY:
                for connection in was_idle & idle:
                    connection.force_close()
            await asyncio.sleep(_LOOK)
        for connection in self._open():
            connection.cut()
        await super().shutdown(_LAST)

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        """A request; during the stop, one whose answer says that it is the connection's last."""
        if self._is_stopping:
            message = message._replace(should_close=True)
        return web.BaseRequest(message, payload, protocol, writer, task, self._own_loop)

    def _open(self) -> list[Connection]:
        return [one for one in self.connections if isinstance(one, Connection)]


def _descriptors() -> int:
    """How many file descriptors the process may have, after asking for more where it is allowed to: the usual limit, a
    thousand, is there for programs of another kind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return _DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def turn_away(listener: socket.socket) -> None:
    """Drop the packets of those who begin to connect from now on; who has connected waits to be accepted as before.

    A listener that is closed resets everyone who waits in it, and between the last look and the end someone may always
    come. Dropped, they try again within a second, and then find the next server, or none. It is one socket for all
    processes that share it. Linux only; elsewhere, and where it is not allowed, the gap stays.
    """
    import ctypes  # only needed at the end

    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0 bytes
    program = struct.pack("HP", 1, ctypes.addressof(drop_all))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def waiting(listener: socket.socket) -> list[socket.socket]:
    """Accept all who wait at a listener that is about to be closed."""
    found = []
    with contextlib.suppress(OSError):
        while True:
            found.append(listener.accept()[0])
    return found


def new_request_id() -> str:
    """A random UUID (version 4), made without the uuid module's cost."""
    raw = bytearray(os.urandom(16))
    raw[6], raw[8] = raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
