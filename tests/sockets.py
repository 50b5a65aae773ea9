"""Requests as bytes on a socket: half of one, two at once, or what no HTTP library would send."""

import contextlib
import http.client
import socket
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

from tests.servers import Answer, RunningServer


class Wire:
    """A connection that sends what it is told. `source`: the address that it comes from."""

    def __init__(self, server: RunningServer, *, source: str | None = None, seconds: float = 30) -> None:
        at = urlsplit(server.url)
        self._basic = server.basic
        self.socket = socket.create_connection(
            (at.hostname, at.port), timeout=seconds, source_address=(source, 0) if source else None
        )
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_what_is_taken(self, data: bytes) -> None:
        """Send until the server does not want any more."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            self.socket.sendall(data)

    def head(self, method: str, path: str, headers: Mapping[str, str] | None = None, *, auth: bool = True) -> bytes:
        """A request's head, with the root key unless told otherwise."""
        given = {"Host": "localhost", **({"Authorization": self._basic} if auth else {}), **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def answer(self, *, method: str = "GET") -> Answer:
        """The next answer. Raises ConnectionError where the connection ends instead."""
        status_line = self._file.readline(65537)
        if not status_line:
            raise ConnectionResetError("the server closed the connection")
        status = int(status_line.split()[1])
        headers = http.client.parse_headers(self._file)
        length = 0 if method == "HEAD" or status in (100, 204, 304) else int(headers.get("Content-Length", "0"))
        body = self._file.read(length)
        if len(body) < length:
            raise ConnectionResetError("the server closed the connection inside an answer")
        return Answer(status, headers, body)

    def is_closed(self, seconds: float = 10) -> bool:
        """Whether the server ends the connection, without another byte, within that time."""
        self.socket.settimeout(seconds)
        try:
            return self._file.read(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False
