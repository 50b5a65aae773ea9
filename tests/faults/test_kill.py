"""kill -9: what was acknowledged is there, what was not is old or new (promises.md P1, P2, F02, F05, F29,
R1).

LONGSHORE_TEST_KILL_CYCLES: how many cycles, four of five with one process and the fifth with two workers.
LONGSHORE_TEST_SEED: of what the writers do and of the moments at which the server dies.
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.builders import digest_of
from tests.conftest import Start
from tests.faults.ledger import Ledger, Register
from tests.faults.soundness import assert_sound
from tests.faults.writers import AwsDoor, Door, OciDoor, Writer
from tests.servers import RunningServer
from tests.waiting import until

CYCLES = int(os.environ.get("LONGSHORE_TEST_KILL_CYCLES", "50"))
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))
WRITERS, BY_API = 8, 2  # of the eight, two use the AWS door


@pytest.mark.parametrize(
    ("workers", "wanted"), [("1", CYCLES * 4 // 5), ("2", CYCLES // 5)], ids=["one process", "two workers"]
)
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    start_server: Start, workers: str, wanted: int, record_property: Callable[[str, object], None]
) -> None:
    server, ledger, rng = start_server("--workers", workers), Ledger(), random.Random(SEED)
    for name in ("first", "second"):
        server.create(name)
    with contextlib.ExitStack() as stack:
        doors: list[Door] = [AwsDoor(stack.enter_context(server.client())) for _ in range(BY_API)]
        doors += [stack.enter_context(contextlib.closing(OciDoor(server))) for _ in range(WRITERS - BY_API)]
        writers = [
            Writer(number, ledger, door, ("first", "second")[number % 2], SEED) for number, door in enumerate(doors)
        ]
        counted = cycles = 0
        breaches: list[str] = []
        while counted < wanted and not breaches:
            counted += kill_while_writing(server, ledger, writers, rng)
            cycles += 1
            server.start()
            last = counted >= wanted
            breaches = ledger.audit(server, sample=None if last else 30, seed=cycles)
            assert cycles <= 2 * wanted, "too few kills met a request in flight"
    figures = f"{cycles} cycles, {ledger.acknowledged} acknowledged, {ledger.unanswered} unanswered"
    record_property("kill", figures)
    print(figures)

    assert breaches == []
    assert counted >= 0.8 * cycles
    assert ledger.acknowledged > 5 * cycles
    assert not [status for status in ledger.refused if status not in (404,)], ledger.refused
    assert server.stop() == 0
    assert_sound(server.data)


def kill_while_writing(server: RunningServer, ledger: Ledger, writers: list[Writer], rng: random.Random) -> bool:
    """Kill some moments after some number of changes; whether that met a request in flight."""
    changes, seconds = rng.randint(1, 40), rng.uniform(0, 0.05)
    stop, before = threading.Event(), ledger.acknowledged
    with ThreadPoolExecutor(len(writers)) as pool:
        ends = [pool.submit(writer.run, stop) for writer in writers]
        until(lambda: ledger.acknowledged >= before + changes, what="changes")
        time.sleep(seconds)
        unanswered = ledger.unanswered
        server.kill()
        stop.set()
        for end in ends:
            end.result()
    return ledger.unanswered > unanswered


def test_many_pushes_at_once_are_all_acknowledged_and_kept_once(start_server: Start) -> None:
    """F29: 64 clients push a blob of their own, and the same new blob, at the same moment."""
    server, ledger, clients = start_server("--workers", "2"), Ledger(), 64
    server.create("crowd")
    rounds = [os.urandom(size) for size in (20_000, 300_000)]
    barrier = threading.Barrier(clients)

    def push(number: int) -> list[int]:
        statuses: list[int] = []
        with contextlib.closing(OciDoor(server)) as door:
            for data in (data for same in rounds for data in (same, same + bytes([number]))):
                register = Register("crowd", "blobs", digest_of(data))
                barrier.wait()
                with ledger.change({register: register.reference}) as change:
                    change.status = door.push_blob("crowd", data, random.Random(number))
                statuses.append(change.status or 0)
        return statuses

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(push, range(clients)))
    server.kill()
    server.start()

    assert answers == [[201] * 4] * clients
    assert ledger.audit(server) == []
    assert server.stop() == 0
    assert_sound(server.data)
    kept = [path for path in (server.data / "blobs").rglob("*") if path.is_file() and len(path.name) == 32]
    assert len(kept) == len(rounds) * (clients + 1)
