"""When failed work is tried again: a table of failures, chances and moments."""

import datetime as dt

import pytest

from policies.retries import Retry, next_try

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
RULE = Retry(most=5, first=dt.timedelta(seconds=2), longest=dt.timedelta(seconds=10))
ENDLESS = Retry(most=None, first=dt.timedelta(seconds=2), longest=dt.timedelta(minutes=5))


@pytest.mark.parametrize(
    ("rule", "failures", "chance", "seconds"),
    [
        (RULE, 1, 0.0, 2),
        (RULE, 1, 1.0, 1),
        (RULE, 1, 0.5, 1.5),
        (RULE, 2, 0.0, 4),
        (RULE, 3, 0.0, 8),
        (RULE, 4, 0.0, 10),
        (RULE, 4, 1.0, 5),
        (RULE, 5, 0.0, None),
        (RULE, 6, 0.0, None),
        (ENDLESS, 8, 0.0, 256),
        (ENDLESS, 9, 0.0, 300),
        (ENDLESS, 1_000_000, 0.0, 300),
    ],
    ids=[
        "first",
        "first-shortened",
        "first-half-shortened",
        "doubled",
        "doubled-again",
        "longest",
        "longest-shortened",
        "given-up",
        "given-up-before",
        "endless",
        "endless-longest",
        "endless-beyond-numbers",
    ],
)
def test_a_pause_doubles_up_to_the_longest(rule, failures, chance, seconds):
    found = next_try(rule, failures, NOW, chance=chance)

    assert found == (None if seconds is None else NOW + dt.timedelta(seconds=seconds))
