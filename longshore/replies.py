"""Replies that may be given again, at once, to the very same bytes from the same address.

A client that asks for a manifest or a small blob again sends the same request, byte for byte. The first time it passes
every door: HTTP is parsed, the caller identified, the right decided, the rows read. What answered it is kept here under
the request's own bytes, with the evidence on which it was given; the next time the evidence is looked at, which takes
microseconds, and the reply is written to the connection below the framework. Nothing is parsed here, so nothing can be
read in a second way: bytes that differ in anything go through the doors.

Of what is large only the head is kept, and the file that the body is a part of: it is opened, and looked at, each time,
and the kernel sends it.

Evidence never outlives its reasons: it names the number of the last commit (any commit, by any process, moves it) and,
where that moved, has its rows read again; a credential or a right that changed is a row that changed. Where there is
no such number the rows are asked each time, and the reply waits for that. A denial, a change and a failure are never
kept. `server.fast_replies` turns all this off; answers stay the same.
"""

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any, BinaryIO, Final

from aiohttp import hdrs, web

from longshore.observe import AGAIN, REQUESTS, SECONDS
from registry.errors import DatabaseUnavailable
from registry.v2.evidence import Evidence

_LONGEST_REQUEST: Final = 8192
_LONGEST_BODY: Final = 256 * 1024
_OVERHEAD: Final = 2048  # bytes of an entry beside request and body
_LEFT_OUT: Final = frozenset({"date", "x-amzn-requestid", "connection", "transfer-encoding"})
_STATUS: Final = {200: b"HTTP/1.1 200 OK\r\n", 206: b"HTTP/1.1 206 Partial Content\r\n"}

Key = tuple[str, bytes]  # the client's address, and the request


@dataclasses.dataclass(slots=True)
class _Kept:
    head: bytes  # up to the value of x-amzn-RequestId
    body: bytes
    part: tuple[int, int] | None  # of the evidence's file, which is the body then
    count: Callable[[], None]
    evidence: Evidence
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class FromFile:
    """A reply whose body is a part of an open file. Whoever gets it sends it, calls `sent`, and closes the file."""

    head: bytes
    file: BinaryIO
    first: int
    stop: int
    sent: Callable[[], None]


Reply = bytes | FromFile


class Replies:
    """The replies of one process, bounded by their bytes; the one that was used longest ago goes first."""

    def __init__(self, *, most_bytes: int) -> None:
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes, self._most_bytes = 0, most_bytes
        self._second, self._date = 0, b""
        self._observe = SECONDS.labels("v2").observe

    def find(self, key: Key, new_id: Callable[[], str]) -> Reply | Coroutine[Any, Any, Reply | None] | None:
        """The reply to a request, if there is one and its evidence holds; to be awaited where that must be asked."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        began = time.time()
        holds = kept.evidence.holds(began)
        if holds is None:
            return self._ask(key, kept, began, new_id)
        if not holds:
            self._drop(key)
            return None
        return self._reply(key, kept, began, new_id)

    async def _ask(self, key: Key, kept: _Kept, began: float, new_id: Callable[[], str]) -> Reply | None:
        try:
            holds = await kept.evidence.still_holds()
        except DatabaseUnavailable:
            return None  # which the doors will find too, and say
        if self._kept.get(key) is not kept:
            return None
        if not holds:
            self._drop(key)
            return None
        return self._reply(key, kept, began, new_id)

    def _reply(self, key: Key, kept: _Kept, began: float, new_id: Callable[[], str]) -> Reply | None:
        file = None
        if kept.part is not None:
            file = kept.evidence.opened()
            if file is None:
                self._drop(key)
                return None
        self._kept.move_to_end(key)
        if int(began) != self._second:
            self._second, self._date = int(began), formatdate(began, usegmt=True).encode()
        if kept.evidence.again is not None:
            kept.evidence.again()
        kept.count()
        AGAIN.inc()
        reply = b"".join((kept.head, new_id().encode(), b"\r\nDate: ", self._date, b"\r\n\r\n", kept.body))
        if file is None or kept.part is None:
            self._observe(time.time() - began)
            return reply
        return FromFile(reply, file, *kept.part, lambda: self._observe(time.time() - began))

    def keep(self, key: Key, request: web.BaseRequest, answer: web.StreamResponse, evidence: Evidence) -> None:
        """Keep what is answered, if it is such that it can be given again."""
        part = evidence.part
        found = answer.body if isinstance(answer, web.Response) else None
        body = found if isinstance(found, bytes) else b""
        line = f"{request.method} {request.raw_path} HTTP/1.1\r\n".encode(errors="surrogateescape")
        if not key[1].startswith(line):
            return  # not the request that these bytes are: nothing may ever be answered to them by this
        plain = request.version == (1, 1) and request.keep_alive and hdrs.CONNECTION not in request.headers
        if answer.status != 200 and (answer.status != 206 or part is None):
            return
        if not plain or len(key[1]) > _LONGEST_REQUEST or len(body) > _LONGEST_BODY:
            return
        if key in self._kept:
            self._drop(key)
        length = answer.headers.get(hdrs.CONTENT_LENGTH, str(len(body)))
        headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in _LEFT_OUT]
        lines = [f"{name}: {value}" for name, value in headers if name != hdrs.CONTENT_LENGTH]
        text = "\r\n".join([*lines, f"Content-Length: {length}", "x-amzn-RequestId: "])
        if request.method == hdrs.METH_HEAD:
            body = b""
        kept = _Kept(
            head=_STATUS[answer.status] + text.encode("ascii"),
            body=body,
            part=part,
            count=REQUESTS.labels("v2", request.method, str(answer.status)).inc,
            evidence=evidence,
            size=len(body) + len(key[1]) + _OVERHEAD,
        )
        self._kept[key] = kept
        self._bytes += kept.size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        self._bytes -= self._kept.pop(key).size


def is_lone_request(data: bytes) -> bool:
    """Whether these bytes are one whole GET or HEAD below /v2/, and nothing else."""
    return (
        data.startswith((b"GET /v2/", b"HEAD /v2/"))
        and data.find(b"\r\n\r\n") == len(data) - 4
        and len(data) <= _LONGEST_REQUEST
    )
