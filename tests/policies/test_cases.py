"""The tables of cases themselves: there are enough of them, no two are the same, each rests on a page of AWS."""

import re
from collections.abc import Sequence
from typing import Any, Final

import pytest

from tests.policies import test_access, test_operators, test_statements, test_variables

# Tables whose last column is the page and the one before it the outcome: allowed, held or meant, or not.
DECISIONS: Final[dict[str, Sequence[tuple[Any, ...]]]] = {
    "within an account": test_access.AT_HOME,
    "across accounts": test_access.ABROAD,
    "one condition key": test_operators.ONE_KEY,
    "several condition keys": test_operators.MORE_KEYS,
    "actions": test_statements.ACTIONS,
    "resources": test_statements.RESOURCES,
    "variables in resources": test_variables.ON,
    "variables in conditions": test_variables.WHEN,
}
PAGE: Final = re.compile(r"(?:ecr:|org:)?[a-z_]+[A-Za-z0-9_-]+")


def opens(case: tuple[Any, ...]) -> bool:
    """Whether the outcome is a yes."""
    return case[-2] in ("+", True)


@pytest.mark.parametrize("table", DECISIONS)
def test_every_case_names_the_page_that_it_rests_on(table: str) -> None:
    assert [case for case in DECISIONS[table] if not PAGE.fullmatch(case[-1])] == []


@pytest.mark.parametrize("table", DECISIONS)
def test_no_case_stands_there_twice(table: str) -> None:
    questions = [repr(case[:-2]) for case in DECISIONS[table]]

    assert sorted({one for one in questions if questions.count(one) > 1}) == []


@pytest.mark.parametrize("table", DECISIONS)
def test_every_table_has_both_outcomes(table: str) -> None:
    assert {opens(case) for case in DECISIONS[table]} == {True, False}


def test_there_are_hundreds_of_each_outcome() -> None:
    outcomes = {(name, repr(case[:-2])): opens(case) for name, table in DECISIONS.items() for case in table}
    yes = sum(outcomes.values())

    assert yes >= 300
    assert len(outcomes) - yes >= 300
