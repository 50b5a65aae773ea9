"""The power goes: what was acknowledged is there (promises.md P1, F11, R2).

A disk of the test's own, with a journal, is taken as it lies at some moment, while the kernel still has in memory what
was written last; the server goes on from that. A forgotten fsync, of a file or of its directory, loses a blob here that
no kill would.

LONGSHORE_TEST_POWER_CUTS: how often.
LONGSHORE_TEST_SEED: of what the writers do and of the moments.
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.disks import Powered
from tests.faults.ledger import Ledger
from tests.faults.soundness import assert_sound
from tests.faults.writers import AwsDoor, Door, OciDoor, Writer
from tests.servers import RunningServer
from tests.waiting import until

pytestmark = pytest.mark.real("loop-device")

CUTS = int(os.environ.get("LONGSHORE_TEST_POWER_CUTS", "4"))
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))
WRITERS, BY_API = 6, 2  # of the six, two use the AWS door
DISK = (150 + 10 * CUTS) * 1024 * 1024  # bytes: room for all that the writers bring


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Powered]:
    found = Powered(tmp_path / "disk.img", tmp_path / "disk", DISK)
    yield found
    found.close()


@pytest.fixture
def server(disk: Powered) -> Iterator[RunningServer]:
    """A server with all that it has on the disk."""
    found = RunningServer(disk.path / "data")
    found.start()
    for name in ("first", "second"):
        found.create(name)
    yield found
    found.kill()


def test_nothing_acknowledged_is_lost_when_the_power_goes(
    disk: Powered, server: RunningServer, record_property: Callable[[str, object], None]
) -> None:
    ledger, rng = Ledger(), random.Random(SEED)
    with contextlib.ExitStack() as stack:
        doors: list[Door] = [AwsDoor(stack.enter_context(server.client())) for _ in range(BY_API)]
        doors += [stack.enter_context(contextlib.closing(OciDoor(server))) for _ in range(WRITERS - BY_API)]
        writers = [
            Writer(number, ledger, door, ("first", "second")[number % 2], SEED) for number, door in enumerate(doors)
        ]
        for number in range(CUTS):
            cut_while_writing(disk, server, ledger, writers, rng)
            server.start()

            assert ledger.audit(server, sample=None if number == CUTS - 1 else 30, seed=number) == []
    record_property("power", f"{CUTS} cuts, {ledger.acknowledged} acknowledged, {ledger.unanswered} unanswered")

    assert ledger.acknowledged > 5 * CUTS
    assert not [status for status in ledger.refused if status != 404], ledger.refused
    assert server.stop() == 0
    assert_sound(server.data)


def cut_while_writing(
    disk: Powered, server: RunningServer, ledger: Ledger, writers: list[Writer], rng: random.Random
) -> None:
    """Cut the power some moments after some number of changes."""
    changes, seconds = rng.randint(5, 40), rng.uniform(0, 0.05)
    stop, before = threading.Event(), ledger.acknowledged
    with ThreadPoolExecutor(len(writers)) as pool:
        ends = [pool.submit(writer.run, stop) for writer in writers]
        until(lambda: ledger.acknowledged >= before + changes, what="changes")
        time.sleep(seconds)
        os.kill(server.pid, signal.SIGSTOP)  # what it has answered by now must be on the disk by now
        disk.remember()
        server.kill()
        stop.set()
        for end in ends:
            end.result()
    disk.restart()
