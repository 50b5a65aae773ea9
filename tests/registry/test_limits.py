"""Limits of numbers: which figures hold, and how a rate is counted."""

from typing import Any

import pytest

from registry import limits
from registry.errors import TooManyRequests
from registry.limits import Rates
from registry.options import Limits


class Hands:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def taken(rates: Rates, count: int, account: str = "1", region: str = "r", action: str = "a") -> int:
    """How many of so many requests at one moment are let through."""
    through = 0
    for _ in range(count):
        try:
            rates.take(account, region, action)
        except TooManyRequests:
            continue
        through += 1
    return through


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.mark.parametrize("what", ["repositories", "images", "image_tags", "layer_parts"])
def test_no_count_is_limited_unless_the_operator_says_so(what: limits.Counted) -> None:
    assert limits.most(Limits(), what) is None
    given: dict[str, Any] = {what: 7}

    assert limits.most(Limits(**given), what) == 7
    assert limits.most(Limits(profile="aws", **given), what) == 7


def test_the_profile_brings_the_quotas_of_ecr() -> None:
    """Source: ECR user guide, "Amazon ECR service quotas"."""
    aws = Limits(profile="aws")

    assert {what: limits.most(aws, what) for what in ("repositories", "images", "image_tags", "layer_parts")} == {
        "repositories": 100_000,
        "images": 100_000,
        "image_tags": 1_000,
        "layer_parts": 4_200,
    }
    assert limits.rates(Limits()) == {}
    assert limits.rates(aws) == {
        "ecr:GetAuthorizationToken": 500,
        "ecr:BatchCheckLayerAvailability": 1_000,
        "ecr:BatchGetImage": 2_000,
        "ecr:GetDownloadUrlForLayer": 3_000,
        "ecr:InitiateLayerUpload": 100,
        "ecr:UploadLayerPart": 500,
        "ecr:CompleteLayerUpload": 100,
        "ecr:PutImage": 10,
    }


def test_a_seconds_worth_may_come_at_once_and_then_the_rate_holds(hands: Hands) -> None:
    rates = Rates({"a": 10}, now=hands)
    first = taken(rates, 25)
    hands.seconds += 0.5
    half_a_second_later = taken(rates, 25)
    hands.seconds += 3600
    after_an_hour = taken(rates, 25)

    assert (first, half_a_second_later, after_an_hour) == (10, 5, 10)


def test_what_is_refused_costs_nothing(hands: Hands) -> None:
    """Who goes on asking is let through as soon as who waited would be."""
    rates = Rates({"a": 10}, now=hands)
    taken(rates, 10_000)
    hands.seconds += 0.1

    assert taken(rates, 5) == 1


@pytest.mark.parametrize(
    "other", [{"account": "2"}, {"region": "s"}, {"action": "b"}], ids=lambda other: next(iter(other))
)
def test_nobody_else_waits(hands: Hands, other: dict[str, str]) -> None:
    rates = Rates({"a": 10, "b": 10}, now=hands)
    taken(rates, 100)

    assert taken(rates, 100, **other) == 10


def test_an_action_without_a_figure_is_not_counted(hands: Hands) -> None:
    assert taken(Rates({"a": 10}, now=hands), 500, action="c") == 500
    assert taken(Rates(), 500) == 500


def test_each_of_several_processes_allows_its_share(hands: Hands) -> None:
    rates = Rates({"a": 10, "b": 1}, share=1 / 4, now=hands)
    at_once = [taken(rates, 100, action=action) for action in ("a", "b")]
    hands.seconds += 4
    four_seconds_later = taken(rates, 100, action="b")

    assert at_once == [2, 1]  # one at least: else nothing would ever be let through
    assert four_seconds_later == 1


def test_what_is_remembered_is_bounded(hands: Hands) -> None:
    """Many regions, each asked once: who is forgotten begins anew, which gives nobody more than a second's worth."""
    rates = Rates({"a": 1}, now=hands)
    for number in range(20_000):
        rates.take("1", f"region-{number}", "a")

    assert len(rates._buckets) == 8_192
