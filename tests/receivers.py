"""A webhook's receiver on loopback: real HTTP, which answers as a test wants it to, also as no server should."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Got(NamedTuple):
    """A request that came in."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    @property
    def tag(self) -> Any:
        return self.event["detail"].get("image-tag")


Reply = Callable[[Got, socket.socket], None]


def answer(status: int, body: bytes = b"", **headers: str) -> Reply:
    """An answer as it should be. `_` in a header's name is written `-`."""
    lines = [f"HTTP/1.1 {status} As Told", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda _got, client: client.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def raw(data: bytes) -> Reply:
    return lambda _got, client: client.sendall(data)


class Receiver:
    """Keeps what came in, in order. `reply` says how each is answered, and may be changed at any time."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._over = threading.Event()
        self.got: list[Got] = []
        self.open = 0  # requests that are being answered
        self.most = 0  # the most of them at a time
        self.reply: Reply = answer(200)
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"

    @property
    def tags(self) -> list[Any]:
        return [one.tag for one in self.got]

    def hang(self, _got: Got, _client: socket.socket) -> None:
        """Answer nothing until the receiver is closed."""
        self._over.wait(60)

    def endless(self, _got: Got, client: socket.socket) -> None:
        """200, and bytes without end."""
        client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self._over.is_set():
            client.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._take, args=(client,), daemon=True).start()

    def _take(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):
            client.settimeout(30)
            reader = client.makefile("rb")
            path = reader.readline().split()[1].decode()
            headers = {}
            while line := reader.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            got = Got(path, headers, reader.read(int(headers["content-length"])))
            self.got.append(got)
            self.open += 1
            self.most = max(self.most, self.open)
            try:
                self.reply(got, client)
            finally:
                self.open -= 1

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        receiver = Receiver(listener)
        thread = threading.Thread(target=receiver.serve, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.close()
            thread.join()
