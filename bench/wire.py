"""One connection, one request at a time: what preparing and pushing needs. Lean, so that it is not what is measured."""

import dataclasses
import hashlib
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlencode

PIECE: Final = 32 * 1024  # bytes of a chunk in a chunked body: what docker's client sends
_TIMEOUT: Final = 120.0  # seconds
_NO_BODY: Final = (204, 304)

Body = bytes | bytearray | memoryview


class Refused(Exception):
    """A server answered something else than the run needs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Link:
    """A keep-alive connection to a server on loopback."""

    def __init__(self, port: int, authorization: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._prefix = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        if authorization:
            self._prefix += f"Authorization: {authorization}\r\n"

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(
        self, method: str, path: str, body: Body = b"", headers: Mapping[str, str] | None = None, *, expect: int
    ) -> Reply:
        """Send a request and read its answer. Raises Refused for another status than the expected one."""
        given = dict(headers or {})
        if "Transfer-Encoding" not in given and (body or method not in ("GET", "HEAD")):
            given["Content-Length"] = str(len(body))
        head = self.head(method, path, given)
        if len(body) <= PIECE:
            self._socket.sendall(head + bytes(body))
        else:
            self._socket.sendall(head)
            self._socket.sendall(body)
        return self._expected(method, path, expect)

    def send(self, method: str, path: str, base: Body, size: int, *, expect: int) -> Reply:
        """As `call`, with a body of `size` bytes: `base`, again and again."""
        self._socket.sendall(self.head(method, path, {"Content-Length": str(size)}))
        view = memoryview(base)
        for first in range(0, size, len(base)):
            self._socket.sendall(view[: size - first])
        return self._expected(method, path, expect)

    def head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        """The head of a request, as it goes out."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path}{self._prefix}{lines}\r\n".encode()

    def _expected(self, method: str, path: str, expect: int) -> Reply:
        reply = self._read(method)
        if reply.status != expect:
            raise Refused(
                f"{method} {path.partition('?')[0]}: {reply.status} {reply.body[:300].decode(errors='replace')}"
            )
        return reply

    def _read(self, method: str) -> Reply:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        if method == "HEAD" or status in _NO_BODY:
            return Reply(status=status, headers=headers, body=b"")
        if headers.get("transfer-encoding") == "chunked":
            return Reply(status=status, headers=headers, body=self._chunks(rest))
        parts, left = [rest], int(headers.get("content-length", "0")) - len(rest)
        while left > 0:
            parts.append(self._receive())
            left -= len(parts[-1])
        return Reply(status=status, headers=headers, body=b"".join(parts))

    def _chunks(self, data: bytes) -> bytes:
        found = b""
        while True:
            while b"\r\n" not in data:
                data += self._receive()
            line, _, data = data.partition(b"\r\n")
            size = int(line, 16)
            while len(data) < size + 2:
                data += self._receive()
            if size == 0:
                return found
            found, data = found + data[:size], data[size + 2 :]

    def _receive(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            raise Refused("the server closed the connection")
        return data


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes and their digest; `chunked` holds the same bytes as a chunked body, where it was asked for."""

    data: Body
    digest: str
    chunked: Body = b""


def digest_of(data: Body) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def fresh(size: int, base: bytes, *, chunked: bool = False) -> Blob:
    """A blob that no server has seen: `base` cut to size, with a beginning of its own."""
    data = bytearray(base[:size])
    data[:32] = os.urandom(32)
    return Blob(data=data, digest=digest_of(data), chunked=_framed(data) if chunked else b"")


def push(link: Link, repository: str, blob: Blob) -> None:
    """POST, and everything in one PUT."""
    link.call("PUT", _with_digest(begin(link, repository), blob.digest), blob.data, expect=201)


def push_chunked(link: Link, repository: str, blob: Blob) -> None:
    """As docker does it: POST, everything in one PATCH with a chunked body, and an empty PUT."""
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/octet-stream"}
    location = begin(link, repository)
    location = path_of(link.call("PATCH", location, blob.chunked, headers, expect=202))
    link.call("PUT", _with_digest(location, blob.digest), expect=201)


def put_manifest(
    link: Link, repository: str, manifest: bytes, media_type: str, reference: str, tags: Iterable[str] = ()
) -> None:
    query = urlencode([("tag", tag) for tag in tags])
    path = f"/v2/{repository}/manifests/{reference}" + (f"?{query}" if query else "")
    link.call("PUT", path, manifest, {"Content-Type": media_type}, expect=201)


def begin(link: Link, repository: str) -> str:
    return path_of(link.call("POST", f"/v2/{repository}/blobs/uploads/", expect=202))


def path_of(reply: Reply) -> str:
    """Where to go on: a server may say it with its scheme and host."""
    location = reply.headers["location"]
    return location if location.startswith("/") else "/" + location.split("/", 3)[3]


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}"


def _framed(data: bytearray) -> bytes:
    parts: list[bytes | memoryview] = []
    view = memoryview(data)
    for first in range(0, len(data), PIECE):
        piece = view[first : first + PIECE]
        parts += [b"%x\r\n" % len(piece), piece, b"\r\n"]
    return b"".join([*parts, b"0\r\n\r\n"])
