"""Both doors under requests that nobody would think of (promises.md P8, T52, R6).

No answer is a 5xx, none tells of the inside, the process lives, its memory stays, and afterwards the state is sound.
What a fifth of the answers, at least, do is succeed: otherwise nothing behind the doors is tried.

LONGSHORE_TEST_FUZZ_SECONDS: for all three tests together.
LONGSHORE_TEST_SEED: of the first batch of requests; the batch that fails says its own.
"""

import collections
import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from longshore.app import DOORS
from registry.aws import spec
from registry.aws.door import OPERATIONS
from registry.aws.errors import COMMON
from tests.faults.soundness import assert_sound, assert_tags_readable
from tests.fuzz.pool import Pool
from tests.fuzz.requests import Request, requests
from tests.fuzz.shapes import call
from tests.servers import Answer, RunningServer
from tests.threats.processes import MIB, memory
from tests.threats.signed import signed_head
from tests.wire import Broken, Wire, connect

SECONDS = float(os.environ.get("LONGSHORE_TEST_FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))
BATCH = 150  # requests of one seed
Part = tuple[st.SearchStrategy[Any], int]  # and how many of it at once
INSIDE = ("Traceback", "sqlite", "sqlalchemy", "site-packages", 'File "', ".py", "longshore.db")

assert DOORS  # importing them has put their operations on the AWS door's table


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    limits = {"LONGSHORE_LIMITS__BODY_FLOOR_SECONDS": "1", "LONGSHORE_LIMITS__JSON_SECONDS": "1"}
    server = RunningServer(
        tmp_path_factory.mktemp("fuzz") / "data", "--create-on-push", **limits, LONGSHORE_LIMITS__MANIFEST_SECONDS="1"
    )
    server.start()
    made = Pool(server)
    made.refill()
    yield made
    assert server.stop() == 0


class Run:
    """Batches of requests until the time is over, and what came of them."""

    def __init__(self, pool: Pool, seconds: float) -> None:
        self.pool, self.server = pool, pool.server
        self.statuses: collections.Counter[int] = collections.Counter()
        self._ends_at = time.monotonic() + seconds
        self._warm: int | None = None

    def batches(self, parts: Sequence[Part], check: Callable[[Any], None]) -> None:
        """All parts, one after the other, each with a seed of its own, again and again."""
        seed = SEED
        while time.monotonic() < self._ends_at or self._warm is None:
            self.pool.refill()
            for strategy, examples in parts:
                limited = settings(
                    max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
                )
                try:
                    hypothesis.seed(seed)(limited(hypothesis.given(strategy)(check)))()
                except BaseException as error:
                    error.add_note(f"LONGSHORE_TEST_SEED={seed}")
                    raise
                seed += 1
            if self._warm is None:
                self._warm = memory(self.server.pid)  # what is loaded when it is first used is there now

    def note(self, answer: Answer) -> None:
        self.statuses[answer.status] += 1

    def assert_unharmed(self) -> None:
        total = sum(self.statuses.values())
        print(f"{total} requests: {dict(sorted(self.statuses.items()))}")
        assert self._warm is not None
        assert memory(self.server.pid) - self._warm < 48 * MIB
        assert not [line for line in self.server.output if "Traceback" in line or '"level": "error"' in line]
        assert_sound(self.server.data)
        assert_tags_readable(self.server)


def assert_decent(answer: Answer, server: RunningServer) -> None:
    """No 5xx, and nothing of the inside."""
    told = f"{answer.headers}\n{answer.body[:100_000].decode(errors='replace')}"
    assert answer.status < 500, told
    assert str(server.data) not in told
    if answer.status >= 400:
        assert not [word for word in INSIDE if word in told], told


# --- the OCI door -----------------------------------------------------------------------------------------------------


def test_the_oci_door_answers_whatever_it_is_asked(pool: Pool) -> None:
    run = Run(pool, SECONDS * 0.4)

    def check(request: Request) -> None:
        with connect(run.server) as wire:
            wire.send(request.raw(run.server.netloc))
            answer = receive(wire, request.method)
        if answer is None:
            return
        run.note(answer)
        assert_decent(answer, run.server)
        if answer.status >= 400 and answer.body:
            told = json.loads(answer.body)
            code = told["errors"][0]["code"] if "errors" in told else told["__type"].rpartition("#")[2]
            assert code.replace("_", "").isalpha(), told

    run.batches([(requests(pool, pool.server.basic), BATCH)], check)

    run.assert_unharmed()
    succeeded = sum(count for status, count in run.statuses.items() if status < 300)
    assert succeeded >= 0.2 * sum(run.statuses.values())


def receive(wire: Wire, method: str) -> Answer | None:
    """The answer; None where the connection ends instead, which it may only for what is no HTTP."""
    try:
        return wire.receive(method)
    except Broken as broken:
        return broken.answer


# --- the AWS door -----------------------------------------------------------------------------------------------------


def test_every_operation_of_ecr_answers_whatever_it_is_given(pool: Pool) -> None:
    run, ecr = Run(pool, SECONDS * 0.4), spec.load("ecr")
    known = set(ecr.errors) | COMMON
    tried: set[str] = set()

    built = {entry.name for entry in OPERATIONS if entry.service == "ecr"}

    def part(name: str) -> Part:
        examples = (
            15 if name in built and name != "DeleteRepository" else 4
        )  # most of the time there shall be something
        return st.tuples(st.just(name), call(ecr, name, pool)), examples

    def check(given: tuple[str, Any]) -> None:
        operation, parameters = given
        tried.add(operation)
        body = json.dumps(parameters).encode(errors="surrogatepass")
        with connect(run.server) as wire:
            wire.send(signed_head(run.server, operation, body) + body)
            answer = wire.receive("POST")
        run.note(answer)
        assert_decent(answer, run.server)
        told = json.loads(answer.body)
        if answer.status != 200:
            assert told["__type"].rpartition("#")[2] in known, told
            assert told["message"]

    run.batches([part(name) for name in ecr.operations], check)

    run.assert_unharmed()
    assert tried == set(ecr.operations)
    assert run.statuses[200] >= 0.2 * sum(run.statuses.values())


# --- bytes ------------------------------------------------------------------------------------------------------------


def test_requests_with_broken_bytes_are_answered_or_hung_up_on(pool: Pool) -> None:
    run = Run(pool, SECONDS * 0.2)

    def broken(request: Request, seed: int, changes: int) -> bytes:
        raw, rng = bytearray(request.raw(run.server.netloc)), random.Random(seed)
        for _ in range(changes):
            at = rng.randrange(len(raw) + 1)
            raw[at : at + rng.randrange(4)] = rng.choice([b"", b"\r\n", b"\0", b"\n", b":", b" ", rng.randbytes(3)])
        return bytes(raw)

    def check(raw: bytes) -> None:
        with connect(run.server, seconds=0.3) as wire, contextlib.suppress(TimeoutError):  # it waits for the rest
            wire.send(raw)
            while (answer := receive(wire, "GET" if not raw.startswith(b"HEAD") else "HEAD")) is not None:
                run.note(answer)
                assert answer.status < 500
                if answer.status < 300 or raw.startswith(b"HEAD"):
                    break

    whole = requests(pool, pool.server.basic)
    run.batches([(st.builds(broken, whole, st.integers(0, 2**32), st.integers(1, 6)), BATCH)], check)

    run.assert_unharmed()
