"""What a running server takes of its machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.servers import RunningServer
from tests.workers import workers_of

MIB = 1024 * 1024


def memory(pid: int, field: str = "VmRSS") -> int:
    """Bytes, as the kernel counts them. VmHWM: the most since the last `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no {field}")


def descriptors(pid: int) -> int:
    """How many files and sockets it has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def sockets(pid: int) -> int:
    """How many sockets, which nothing but connections opens and closes; threads open the database when they need it."""
    return sum(_target(link).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # closed since the folder was read
        return ""


class Growth:
    """How much more memory than before a server's processes took at most, in bytes; known after the block."""

    def __init__(self) -> None:
        self.bytes = 0


@contextlib.contextmanager
def growth(server: RunningServer) -> Iterator[Growth]:
    found = Growth()
    before = {pid: memory(pid) for pid in [server.pid, *workers_of(server)]}
    for pid in before:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # begin the peak anew
    yield found
    found.bytes = max(memory(pid, "VmHWM") - rss for pid, rss in before.items())
