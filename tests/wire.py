"""HTTP as bytes on a socket, for what no client library would send, and for answers that end early."""

import contextlib
import http.client
import select
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.servers import Answer, RunningServer

_PATIENCE = 20  # seconds; a server that is silent for longer hangs


class Broken(Exception):
    """The connection ended before the answer did. `answer` is what came of it."""

    def __init__(self, answer: Answer | None) -> None:
        super().__init__("the answer was cut off")
        self.answer = answer


class _Reader:
    """What HTTPResponse takes for its socket: a reader of its own would read into the next answer, and lose it."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def makefile(self, _mode: str) -> "_Reader":
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """HTTPResponse closes what it read from; the connection goes on."""

    def shut(self) -> None:
        self._file.close()


class Wire:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket, self._reader = connection, _Reader(connection)

    def send(self, data: bytes) -> int:
        """How many of the bytes the server took before it hung up: all of them, mostly."""
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < len(data):
                sent += self._socket.send(data[sent : sent + 65536])
        return sent

    def receive(self, method: str = "GET") -> Answer:
        """The next answer. Raises Broken."""
        response = http.client.HTTPResponse(self._reader, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
        except (http.client.HTTPException, ConnectionError, ValueError):
            raise Broken(None) from None
        try:
            return Answer(response.status, response.headers, response.read())
        except http.client.IncompleteRead as error:
            raise Broken(Answer(response.status, response.headers, error.partial)) from None
        except ConnectionError:
            raise Broken(Answer(response.status, response.headers, b"")) from None
        finally:
            response.close()

    def take(self, size: int) -> bytes:
        """The next bytes that come, at most `size`."""
        return self._socket.recv(size)

    def has_news(self) -> bool:
        """Whether something came, an answer or the end."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def half_close(self) -> None:
        """Say that nothing more comes."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Go away without a word, as a machine does that is switched off and asked again."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reader.shut()
        self._socket.close()

    def is_closed(self) -> bool:
        """Whether the server says nothing more and hangs up."""
        try:
            return self._reader.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self._reader.shut()


def dial(server: RunningServer, *, source: str = "", seconds: float = _PATIENCE) -> socket.socket:
    """A connection; `source`: the loopback address that it comes from."""
    at = urlsplit(server.url)
    given = (source, 0) if source else None
    return socket.create_connection((at.hostname or "", at.port or 0), timeout=seconds, source_address=given)


@contextlib.contextmanager
def connect(server: RunningServer, *, source: str = "", seconds: float = _PATIENCE) -> Iterator[Wire]:
    with dial(server, source=source, seconds=seconds) as connection, contextlib.closing(Wire(connection)) as wire:
        yield wire


def head(method: str, target: str | bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """The head of a request, with just these headers; a target may hold any byte."""
    raw = target if isinstance(target, bytes) else target.encode()
    lines = [f"{name}: {value}".encode() for name, value in (headers or {}).items()]
    return b"\r\n".join([method.encode() + b" " + raw + b" HTTP/1.1", *lines, b"", b""])


def root_head(server: RunningServer, method: str, target: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The head of a request of the root user."""
    return head(method, target, {"Host": server.netloc, "Authorization": server.basic, **(headers or {})})


def ask(
    server: RunningServer,
    method: str,
    target: str | bytes,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The answer to one request of the root user on a connection of its own; `target` goes out as it is."""
    given = {"Host": server.netloc, "Authorization": server.basic, "Connection": "close", **(headers or {})}
    if body:
        given.setdefault("Content-Length", str(len(body)))
    with connect(server) as wire:
        wire.send(head(method, target, given) + body)
        return wire.receive(method)
