"""A load balancer on loopback without sticky sessions: each request goes to the next server, also on one connection."""

import asyncio
import contextlib
import itertools
import re
import threading
from collections.abc import Sequence
from typing import Final

_PIECE: Final = 65536
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)


class RoundRobin:
    """Listens from the start to the end of the process; `targets` may be changed meanwhile."""

    def __init__(self, targets: Sequence[int] = (), *, port: int = 0) -> None:
        self.targets = list(targets)  # ports
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", port))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        onward: asyncio.StreamWriter | None = None
        pump: asyncio.Task[None] | None = None
        rest = _Rest()
        with contextlib.suppress(OSError):
            while data := await client.read(_PIECE):
                if onward is None or pump is None or rest.is_over:
                    # Another request: whoever sends it has the whole answer to the one before.
                    if onward is not None and pump is not None:
                        pump.cancel()
                        onward.close()
                    there, onward = await self._connect()
                    pump, rest = asyncio.create_task(_pump(there, back)), _Rest()
                rest.take(data)
                onward.write(data)
                await onward.drain()
        for one in (onward, back):
            if one is not None:
                one.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the next server that takes connections."""
        for _ in self.targets[1:]:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self._next())
        return await asyncio.open_connection("127.0.0.1", self._next())

    def _next(self) -> int:
        return self.targets[next(self._numbers) % len(self.targets)]


class _Rest:
    """How much of a request is still to come."""

    def __init__(self) -> None:
        self.is_over = False
        self._head, self._left = b"", -1
        self._is_chunked, self._tail = False, b""

    def take(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            length = _LENGTH.search(head)
            self._left = int(length[1]) if length else 0
            self._is_chunked = bool(_CHUNKED.search(head))
        if self._is_chunked:
            self._tail = (self._tail + data)[-7:]
            self.is_over = self._tail in (b"\r\n0\r\n\r\n", b"0\r\n\r\n")
        else:
            self._left = max(self._left - len(data), 0)
            self.is_over = self._left == 0


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until the server ends the connection; then the client's ends too."""
    with contextlib.suppress(OSError):
        while data := await source.read(_PIECE):
            sink.write(data)
            await sink.drain()
    sink.close()
