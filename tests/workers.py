"""A server of several processes: which there are, and how a test chooses the one that answers."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.servers import RunningServer
from tests.waiting import until

WORKERS: Final = 3

# For what must not depend on the number of processes; `server` is a fixture of tests/e2e.
both = pytest.mark.parametrize("server", [1, WORKERS], ids=["one-process", "three-workers"], indirect=True)


def workers_of(server: RunningServer) -> list[int]:
    """The process ids of its workers that live, oldest first."""
    found: list[int] = []
    for task in Path(f"/proc/{server.pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return sorted(pid for pid in found if lives(pid))


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def alone(server: RunningServer, worker: int) -> Iterator[None]:
    """While the block runs, only this worker answers: the others are halted. None may have a request in hand."""
    others = [pid for pid in workers_of(server) if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def replaced(server: RunningServer, gone: int) -> list[int]:
    """The workers, once another stands in the place of `gone` and answers."""

    def complete() -> list[int]:
        found = workers_of(server)
        return found if gone not in found and len(found) == WORKERS else []

    newest = until(complete, what="another worker")[-1]
    with alone(server, newest):
        until(lambda: server.request("GET", "/readyz", auth=None).status == 200, what="the new worker's answer")
    return workers_of(server)
