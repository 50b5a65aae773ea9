"""When a link may go, and when too much would go: tables, and what holds for all times."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import grace

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
INSTANT = dt.timedelta(microseconds=1)
GRACES = st.timedeltas(min_value=dt.timedelta(), max_value=dt.timedelta(days=400))
AGES = st.timedeltas(min_value=dt.timedelta(), max_value=dt.timedelta(days=1000))


@pytest.mark.parametrize(
    ("age", "needed", "state"),
    [
        (dt.timedelta(), False, "live"),
        (DAY, False, "live"),
        (DAY * 5 / 4, False, "live"),
        (DAY * 5 / 4 + INSTANT, False, "condemned"),
        (DAY * 500, False, "condemned"),
        (DAY * 500, True, "live"),
    ],
    ids=["new", "a grace period old", "as old as can be", "too old", "very old", "very old and needed"],
)
def test_a_link_is_condemned_by_its_age_unless_it_is_needed(age: dt.timedelta, needed: bool, state: str) -> None:
    assert grace.state_after_look(NOW - age, needed=needed, now=NOW, grace=DAY) == state


@pytest.mark.parametrize(
    ("age", "wants"), [(dt.timedelta(), False), (6 * HOUR, False), (6 * HOUR + INSTANT, True), (DAY, True)]
)
def test_a_question_moves_a_stamp_that_is_older_than_a_quarter(age: dt.timedelta, wants: bool) -> None:
    assert grace.wants_stamp(NOW - age, NOW, DAY) is wants


@given(grace_period=GRACES, age=AGES, later=st.floats(min_value=0, max_value=1))
def test_who_was_told_that_a_blob_is_there_has_it_for_a_whole_grace_period(
    grace_period: dt.timedelta, age: dt.timedelta, later: float
) -> None:
    """Whatever the stamp was when the question came, and whenever within the period the collector looks."""
    touched_at = NOW - age
    if grace.wants_stamp(touched_at, NOW, grace_period):
        touched_at = NOW
    look = NOW + grace_period * later

    assert grace.state_after_look(touched_at, needed=False, now=look, grace=grace_period) == "live"


@given(grace_period=GRACES, age=AGES)
def test_what_nobody_asks_for_goes_after_one_and_a_quarter(grace_period: dt.timedelta, age: dt.timedelta) -> None:
    look = NOW + grace_period * 5 / 4 + 2 * INSTANT

    assert grace.state_after_look(NOW - age, needed=False, now=look, grace=grace_period) == "condemned"


@pytest.mark.parametrize(
    ("unnamed", "stored", "percent", "refuses"),
    [
        (0, 0, 25, False),
        (0, 100, 0, False),
        (25, 100, 25, False),
        (26, 100, 25, True),
        (1, 100, 0, True),
        (100, 100, 99, True),
        (100, 100, 100, False),
        (2**60, 2**61, 25, True),
    ],
)
def test_too_many_bytes_without_a_row_are_refused(unnamed: int, stored: int, percent: int, refuses: bool) -> None:
    assert grace.refuses(unnamed, stored, percent) is refuses
