"""The listening socket: who comes in, counted from the first moment.

asyncio's own server makes a connection known when TLS has been agreed on, and gives that a minute. Until then nobody
counts it, so a few hundred clients that connect and say nothing would take every file descriptor that there is, those
of the database and the store too. Here each connection is counted when it is accepted, one too many is closed at once,
and a handshake has a few seconds (promises.md T27, F41).
"""

import asyncio
import logging
import socket
import ssl
from typing import Final

from longshore.connections import Census, Server
from longshore.observe import REFUSED

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 128  # connections that are accepted before the loop does something else
_HANDSHAKE: Final = 10.0  # seconds
_PAUSE: Final = 1.0  # seconds, when there are no file descriptors left


class Doorway:
    """Lets connections in, from `open` to `close`."""

    def __init__(self, server: Server, listener: socket.socket, census: Census, tls: ssl.SSLContext | None) -> None:
        self._server, self._listener, self._census, self._tls = server, listener, census, tls
        self._loop = asyncio.get_running_loop()
        self._coming_in: set[asyncio.Task[None]] = set()
        self._is_open = False

    def open(self) -> None:
        self._listener.setblocking(False)
        self._is_open = True
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Accept nobody any more; who is coming in may do so."""
        self._is_open = False
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            source = str(address[0])
            refused = self._census.enter(source)
            if refused is not None:
                REFUSED.labels(refused).inc()
                connection.close()
                continue
            connection.setblocking(False)
            task = self._loop.create_task(self._let_in(connection, source))
            self._coming_in.add(task)
            task.add_done_callback(self._coming_in.discard)

    async def _let_in(self, accepted: socket.socket, source: str) -> None:
        connection = self._server(counted_as=source)
        limit = _HANDSHAKE if self._tls is not None else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=self._tls, ssl_handshake_timeout=limit
            )
        except (OSError, ssl.SSLError):  # it went away, or does not speak TLS; asyncio has closed it
            connection.leave()

    def _rest(self, error: OSError) -> None:
        """The census leaves descriptors for this; something else has taken them."""
        _log.error("cannot accept connections: %s", error.strerror)
        self._loop.remove_reader(self._listener)
        self._loop.call_later(_PAUSE, lambda: self.open() if self._is_open else None)
