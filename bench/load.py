"""Requests as fast as they are answered: N connections, each with one request in flight, for a fixed time.

`rate` is our own loop over epoll. Bodies are counted and dropped in the kernel (MSG_TRUNC), so that what the client
copies is not what is measured. `wrk` does the same for small answers with less effort, where it is installed: one core
of load then reaches further. Every load warms up first, and fails when an answer is not 200.
"""

import dataclasses
import itertools
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Final

from bench.wire import Refused

WARM_UP: Final = 0.3  # seconds
_PIECE: Final = 1 << 20
_PATIENCE: Final = 60.0  # seconds without any answer
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_WRK_RATE: Final = re.compile(r"Requests/sec: +([0-9.]+)")
_WRK_BAD: Final = re.compile(r"Non-2xx or 3xx responses: ([0-9]+)|Socket errors: connect ([0-9]+)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How many answers came in how many seconds; `served` counts those of the warm-up too."""

    answers: int
    seconds: float
    served: int


def request(method: str, port: int, path: str, authorization: str = "", accept: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"Authorization: {authorization}"] if authorization else []
    lines += [f"Accept: {accept}"] if accept else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class _Connection:
    """A socket with one request in flight, and what is left of its answer."""

    __slots__ = ("head", "left", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), _PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.head, self.left = b"", 0


def rate(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Done:
    """Send the requests in turn, over and over."""
    following = itertools.cycle(requests)
    has_body = not requests[0].startswith(b"HEAD")
    opened: dict[int, _Connection] = {}
    poll = select.epoll()
    try:
        for _ in range(connections):
            connection = _Connection(port)
            opened[connection.socket.fileno()] = connection
            poll.register(connection.socket.fileno(), select.EPOLLIN)
            connection.socket.send(next(following))
        warm, _ = _drive(poll, opened, following, has_body, WARM_UP)
        answers, took = _drive(poll, opened, following, has_body, seconds)
        return Done(answers=answers, seconds=took, served=warm + answers)
    finally:
        poll.close()
        for connection in opened.values():
            connection.socket.close()


def _drive(
    poll: select.epoll, opened: dict[int, _Connection], following: Iterator[bytes], has_body: bool, seconds: float
) -> tuple[int, float]:
    """Go on until the time is over: the answers that were finished in it, and how long it was."""
    buffer = memoryview(bytearray(_PIECE))
    answers, began = 0, time.perf_counter()
    heard = began
    while (now := time.perf_counter()) - began < seconds:
        ready = poll.poll(0.5)
        if not ready and now - heard > _PATIENCE:
            raise Refused("no answer")
        for number, _ in ready:
            heard = now
            connection = opened[number]
            if _finished(connection, buffer, has_body):
                answers += 1
                connection.socket.send(next(following))
    return answers, time.perf_counter() - began


def _finished(connection: _Connection, buffer: memoryview, has_body: bool) -> bool:
    """Read what is there; whether that was the end of an answer."""
    try:
        if connection.left:
            # More than one piece each time, but not for ever: the others have their turn too.
            for _ in range(8):
                got = connection.socket.recv_into(buffer, min(connection.left, _PIECE), socket.MSG_TRUNC)
                if not got:
                    raise Refused("the server closed the connection")
                connection.left -= got
                if not connection.left:
                    return True
            return False
        got = connection.socket.recv_into(buffer, 1 << 16)
    except BlockingIOError:
        return False
    if not got:
        raise Refused("the server closed the connection")
    data = connection.head + bytes(buffer[:got])
    end = data.find(b"\r\n\r\n")
    if end < 0:
        connection.head = data
        return False
    connection.head = b""
    if data[9:12] != b"200":
        raise Refused(data[:200].decode(errors="replace"))
    if has_body:
        length = _LENGTH.search(data, 0, end + 2)
        if length is None:
            raise Refused("an answer without Content-Length")
        connection.left = int(length[1]) - (len(data) - end - 4)
    return not connection.left


def wrk(port: int, path: str, headers: dict[str, str], connections: int, seconds: float) -> Done:
    """One path, by wrk. `seconds` are rounded up."""
    program = shutil.which("wrk")
    assert program is not None
    whole = max(round(seconds + 0.49), 1)
    options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = [program, "-t1", f"-c{connections}", f"-d{whole}s", *options, f"http://127.0.0.1:{port}{path}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=whole + _PATIENCE).stdout
    bad, found = _WRK_BAD.search(text), _WRK_RATE.search(text)
    if bad is not None or found is None:
        raise Refused(f"wrk: {text}")
    answers = int(float(found[1]) * whole)
    return Done(answers=answers, seconds=whole, served=answers)
