"""Random policies and requests: the decision equals that of a slow evaluator in other words (promises.md R10).

LONGSHORE_TEST_POLICY_ROUNDS    how many cases; the figure of promises.md is 1,000,000 (ten minutes)
LONGSHORE_TEST_POLICY_SEED      where to begin
"""

import collections
import json
import os

import pytest

from policies.access import evaluate
from tests.policies.reference import ANY, ONE, Dice, decide, expand, like, real

ROUNDS = int(os.environ.get("LONGSHORE_TEST_POLICY_ROUNDS", "4000"))
SEED = int(os.environ.get("LONGSHORE_TEST_POLICY_SEED", "1"))
BATCH = 1_000


def test_a_slow_evaluator_decides_the_same() -> None:
    seen: collections.Counter[str] = collections.Counter()
    for seed in range(SEED, SEED + ROUNDS // BATCH):
        dice = Dice(seed)
        for _ in range(BATCH):
            case = dice.case()
            found = evaluate(*real(case))
            expected = decide(case)
            seen[expected] += 1

            assert (found.kind, found.error) == (expected, ""), f"seed {seed}: {json.dumps(case)}"

    assert min(seen.values()) >= ROUNDS // 20, "the cases are one-sided"
    assert set(seen) == {"allowed", "explicitDeny", "implicitDeny"}


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("a*?", ("a", ANY, ONE)),
        ("${*}", ("*",)),
        ("${x}", ("1",)),
        ("${y, '2'}", ("2",)),
        ("${y}", None),
        ("${x", ("$", "{", "x")),
    ],
)
def test_the_reference_itself_reads_variables(text: str, symbols: tuple[object, ...] | None) -> None:
    assert expand(text, "2012-10-17", {"x": "1"}) == symbols


def test_the_reference_itself_matches_patterns() -> None:
    assert like(("a", ANY, ONE), "abc")
    assert not like(("a", ANY, ONE), "a")
