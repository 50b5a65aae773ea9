"""Several servers on one PostgreSQL database: one of them dies, or the database does (promises.md F25, P1, P2).

LONGSHORE_TEST_RESTARTS: how often the database is restarted under load, every second time by a crash.
LONGSHORE_TEST_SERVER_KILLS: how often a server is killed.
"""

import contextlib
import functools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import elsewhere
from tests.builders import image, push
from tests.faults.ledger import Ledger
from tests.faults.soundness import assert_sound
from tests.faults.writers import AwsDoor, OciDoor, Writer
from tests.pg_servers import PostgresService
from tests.servers import RunningServer
from tests.waiting import until

pytestmark = pytest.mark.real("postgresql")

RESTARTS = int(os.environ.get("LONGSHORE_TEST_RESTARTS", "2"))
KILLS = int(os.environ.get("LONGSHORE_TEST_SERVER_KILLS", "2"))
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))
HEALED = 5.0  # seconds, from when the database answers again
SLACK = 2.0  # for a machine that is busy with other things


@pytest.fixture
def service() -> Iterator[PostgresService]:
    """A PostgreSQL server that a test may stop."""
    found = PostgresService()
    found.make()
    found.start()
    yield found
    found.remove()


@pytest.fixture
def pair(service: PostgresService, tmp_path: Path) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two servers; they share a store on disk, which is the same to both as a bucket is."""
    data = tmp_path / "data"
    elsewhere.choose(data, database="postgresql", servers=1, url=service.new_database())
    one, two = (RunningServer(data, LONGSHORE_LOG__LEVEL="warning") for _ in range(2))
    for server in (one, two):
        server.start()
    for name in ("first", "second"):
        one.create(name)
    yield one, two
    for server in (one, two):
        server.stop()


@contextlib.contextmanager
def writing(servers: tuple[RunningServer, ...], ledger: Ledger, first: int = 0) -> Iterator[None]:
    """While the block runs, three writers of each server change things, by both doors; until their server is gone."""
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        writers = []
        for at, server in enumerate(servers):
            doors = [AwsDoor(stack.enter_context(server.client()))]
            doors += [stack.enter_context(contextlib.closing(OciDoor(server))) for _ in range(2)]  # type: ignore[misc]
            writers += [
                Writer(first + 3 * at + number, ledger, door, ("first", "second")[number % 2], SEED)
                for number, door in enumerate(doors)
            ]
        with ThreadPoolExecutor(len(writers)) as pool:
            ends = [pool.submit(writer.run, stop) for writer in writers]
            try:
                yield
            finally:
                stop.set()
                for end in ends:
                    end.result()


def test_a_server_that_is_killed_loses_nothing_that_it_acknowledged(pair, record_property):
    one, two = pair
    ledger, rng = Ledger(), random.Random(SEED)
    in_flight = 0
    for cycle in range(KILLS):
        with writing(pair, ledger, first=10 * cycle):
            before, unanswered = ledger.acknowledged, ledger.unanswered
            written(ledger, before + 20)
            time.sleep(rng.uniform(0, 0.05))
            one.kill()
            beside = ledger.acknowledged
            written(ledger, beside + 10)
            in_flight += ledger.unanswered > unanswered

        assert ledger.audit(two, seed=cycle) == []
        one.start()
    record_property("kill", f"{ledger.acknowledged} acknowledged, {ledger.unanswered} unanswered")

    assert ledger.audit(one) == []
    assert in_flight >= KILLS // 2, "too few kills met a request in flight"
    assert set(ledger.refused) <= {404}, ledger.refused
    assert_sound(one.data)


def test_F25_a_database_that_is_restarted_is_found_again_and_nothing_is_lost(
    pair: tuple[RunningServer, RunningServer], service: PostgresService, record_property: Callable[[str, object], None]
) -> None:
    """What was on its way is answered "not now", and is old or new; no request is answered 500."""
    ledger = Ledger()
    waits: list[float] = []
    for number in range(RESTARTS):
        with writing(pair, ledger, first=10 * number):
            before = ledger.acknowledged
            written(ledger, before + 20)
            service.restart(signal.SIGQUIT if number % 2 else signal.SIGINT)
            began = time.monotonic()
            for server in pair:
                until(functools.partial(pushes, server), seconds=30, what="a push after the restart")
            waits.append(time.monotonic() - began)
        assert ledger.audit(pair[number % 2], seed=number) == []
    record_property("restarts", f"{len(waits)}, healed within {max(waits):.1f} s, {ledger.acknowledged} acknowledged")

    assert max(waits) < HEALED + SLACK
    assert set(ledger.refused) <= {404, 503}, ledger.refused
    assert_sound(pair[0].data)


def written(ledger: Ledger, changes: int) -> None:
    """Wait until so many changes are acknowledged."""
    until(lambda: ledger.acknowledged >= changes, seconds=60, what="changes")


def pushes(server: RunningServer) -> bool:
    path = f"/v2/first/blobs/uploads/?digest={EMPTY}"
    return server.request("POST", path, b"").status == 201


EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_without_the_database_nobody_is_let_in_and_nobody_waits_long(
    pair: tuple[RunningServer, RunningServer], service: PostgresService
) -> None:
    """Rights that cannot be confirmed are not taken for granted (5 s): also for what was answered a moment ago."""
    one, _ = pair
    push(one, "first", image(), "v1")
    path = "/v2/first/manifests/v1"
    before = [one.request("GET", path).status for _ in range(3)]
    service.stop()
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(one.request, "GET", asked_for) for asked_for in (path, "/readyz")]
        pushed = pool.submit(pushes, one)
        answers = [one_of.result() for one_of in asked]
        was_pushed = pushed.result()
    waited = time.monotonic() - began
    live = one.request("GET", "/livez").status
    service.start()
    after = until(lambda: one.request("GET", path).status == 200, seconds=HEALED + SLACK)

    assert before == [200] * 3
    assert ([answer.status for answer in answers], was_pushed) == ([503, 503], False)
    assert answers[0].headers["Retry-After"]
    assert waited < 10
    assert (live, after) == (200, True)


def test_a_server_that_is_halted_in_a_transaction_holds_up_the_others_for_seconds_only(
    pair: tuple[RunningServer, RunningServer],
) -> None:
    """A machine that stops, or a network that does: PostgreSQL gives the transaction up."""
    one, two = pair
    ledger = Ledger()
    with writing((one,), ledger):
        written(ledger, 10)
        os.kill(one.pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            for _ in range(20):
                until(lambda: pushes(two), seconds=30, what="a push beside it")
            waited = time.monotonic() - began
        finally:
            os.kill(one.pid, signal.SIGCONT)

    assert waited < 20
    assert ledger.audit(two) == []
