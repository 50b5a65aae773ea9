"""The machine under the servers and the load: cores, and the processor time and memory of processes (Linux, /proc).

Servers run on the first core and the load on the last, where there are two; `foreign` is the part of the machine that
others used during a sample: where it is high, the sample says little.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CORES: Final = sorted(os.sched_getaffinity(0))
SERVER_CORES: Final = {CORES[0]}
LOAD_CORES: Final = {CORES[-1]}
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """Run the block, and what it starts, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a block took: seconds by the clock, the server's processor seconds, the share of all cores others had."""

    seconds: float
    processor: float
    foreign: float


class Meter:
    """Measures a block for the processes of one server."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid

    def __enter__(self) -> "Meter":
        self._server, self._own, self._all = self._read()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        seconds = time.perf_counter() - self._began
        server, own, everything = self._read()
        others = (everything - self._all) - (server - self._server) - (own - self._own)
        self.used = Used(
            seconds=seconds,
            processor=server - self._server,
            foreign=max(0.0, others) / (seconds * (os.cpu_count() or 1)),
        )

    def _read(self) -> tuple[float, float, float]:
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return processor_seconds(self._pid) if self._pid else 0.0, own, _busy_seconds()


def processor_seconds(pid: int) -> float:
    """User and system time of a process, its live descendants, and those that it has waited for."""
    total = 0
    for one in [pid, *_descendants(pid)]:
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += sum(int(field) for field in _stat(one)[11:15])
    return total / _TICKS


def resident(pid: int, field: str = "VmRSS") -> float:
    """MiB of memory of a process and its descendants; `VmHWM` is the most that it ever was."""
    total = 0
    for one in [pid, *_descendants(pid)]:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith(field + ":"):
                    total += int(line.split()[1])
    return total / 1024


def forget_peak(pid: int) -> None:
    """Let `VmHWM` begin anew, where the kernel allows it."""
    for one in [pid, *_descendants(pid)]:
        with contextlib.suppress(OSError):
            Path(f"/proc/{one}/clear_refs").write_text("5")


def warm_pages(directory: Path, size: int) -> None:
    """Fill and free this much page cache: a virtual machine pays for a page's first use, whoever it is that uses it."""
    file = directory / "warm"
    piece = bytes(1 << 20)
    with on(SERVER_CORES), open(file, "wb", buffering=0) as out:
        for _ in range(0, size, len(piece)):
            out.write(piece)
    file.unlink()


def description() -> str:
    """The machine in general words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    apart = "servers on one core, load on another" if len(CORES) > 1 else "servers and load on the same core"
    return (
        f"{len(CORES)} cores, {memory:.0f} GiB of memory, Linux {os.uname().release.split('-')[0]}, loopback; {apart}"
    )


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError, ValueError):
            for child in map(int, task.read_text().split()):
                found += [child, *_descendants(child)]
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the program's name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _busy_seconds() -> float:
    """Processor seconds that the whole machine has spent on something."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / _TICKS
