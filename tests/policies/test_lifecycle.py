"""Decisions on lifecycle policies as a whole: boundaries, order, what is told, and what they cost.

Which image goes stands in the tables of test_lifecycle_cases.py, why in those of test_lifecycle_reasons.py.
"""

import dataclasses
import datetime as dt
from typing import Any

import pytest

from policies.lifecycle import Candidate, Kept, Summary, Verdict, decide
from policies.lifecycle_ties import Ties
from tests.policies.keeping import NOW, ago, decided, image, policy, short

# --- boundaries -------------------------------------------------------------------------------------------------------

INSTANT = dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("bound", "field"),
    [
        ("pushed>14", "pushed_at"),
        ("pushed>14 archive", "activated_at"),
        ("pulled>14 archive", "pulled_at"),
        ("pulled>14 archive", "pushed_at"),
        ("pulled>14 archive", "activated_at"),
        ("archived>90", "transitioned_at"),
    ],
    ids=str,
)
def test_exactly_so_many_days_are_not_more(bound: str, field: str) -> None:
    archived = field == "transitioned_at"
    rules = policy(f"1 any {bound}")
    at = ago(90 if archived else 14)
    pushed: dict[str, Any] = (
        {"pushed_at": ago(900)} if field in ("activated_at", "transitioned_at") else {"pushed_at": ago(2000)}
    )
    on_time, too_late = (
        Candidate(digest="A", archived=archived, **(pushed | {field: when})) for when in (at, at - INSTANT)
    )

    assert not decide(rules, [on_time], NOW).verdicts
    assert decide(rules, [too_late], NOW).verdicts
    assert decide(rules, [on_time], NOW + INSTANT).verdicts


def test_images_are_ordered_to_the_microsecond() -> None:
    first, second = (Candidate(digest=digest, pushed_at=when) for digest, when in (("B", NOW - INSTANT), ("A", NOW)))

    assert short(decide(policy("1 any count>1"), [second, first], NOW)) == "-B"


def test_a_pull_at_the_very_moment_of_being_restored_counts() -> None:
    restored = Candidate(digest="A", pushed_at=ago(90), activated_at=ago(20), pulled_at=ago(20))

    assert (
        decide(policy("1 any pulled>9 archive"), [restored], NOW)
        .verdicts[0]
        .reason.startswith("archived by rule 1: last pulled ")
    )


def test_an_image_of_which_it_is_not_known_when_it_was_archived_stays() -> None:
    unknown = Candidate(digest="A", pushed_at=ago(900), archived=True)
    decisions = decide(policy("1 any archived>90"), [unknown], NOW)

    assert decisions.kept == (
        Kept(digest="A", rule_priority=1, reason="kept by rule 1: it is not known when it was archived"),
    )


def test_images_of_which_it_is_not_known_when_they_were_archived_are_ordered_by_their_push() -> None:
    unknown = [Candidate(digest=digest, pushed_at=ago(days), archived=True) for digest, days in (("A", 2), ("B", 1))]
    decisions = decide(policy("1 any archived>90"), unknown, NOW)

    assert [each.digest for each in decisions.kept] == ["B", "A"]


def test_times_of_any_zone_are_compared() -> None:
    east = dt.timezone(dt.timedelta(hours=9))
    image = Candidate(digest="A", pushed_at=ago(2).astimezone(east))

    assert decide(policy("1 any pushed>1"), [image], NOW.astimezone(east)).verdicts
    assert not decide(policy("1 any pushed>2"), [image], NOW.astimezone(east)).verdicts


# --- the whole of it --------------------------------------------------------------------------------------------------


def test_every_image_has_one_answer_with_all_that_is_told_of_it() -> None:
    decisions = decided("1 prefix=v count>1; 2 any pulled>9 archive", "A v1,x 3d; B v2 2d; C y 20d; D - 5d")
    archived = "archived by rule 2: not pulled since it was pushed 2026-02-09T12:00:00Z, more than 9 days ago"
    expired = "expired by rule 1: 2 images match v*, 1 is kept, this is the 2nd newest"

    assert decisions.verdicts == (
        Verdict(digest="A", tags=("v1", "x"), action="expire", rule_priority=1, reason=expired),
        Verdict(digest="C", tags=("y",), action="archive", rule_priority=2, reason=archived),
    )
    assert [(each.digest, each.rule_priority) for each in decisions.kept] == [("B", 1), ("D", 2)]
    assert decisions.summary == Summary(expiring=1, transitioning={"archive": 1})


def test_a_summary_counts_what_goes_with_others_too() -> None:
    images = "I v1 9d; A - 5d in=I; S - 5d on=I; B w 5d; C w2 4d"
    both = decided("1 prefix=v pushed>1; 2 any count>1 archive", images)

    assert both.summary == Summary(expiring=3, transitioning={"archive": 1})
    assert decided("1 any count>1 archive", images).summary == Summary(expiring=0, transitioning={"archive": 4})
    assert decided("1 prefix=z pushed>1", images).summary == Summary(expiring=0, transitioning={})


def test_what_belongs_together_goes_together_and_in_order() -> None:
    """An index before its parts and a subject before its referrers, whatever the rules and ages; groups by rule."""
    images = "A x 20d in=J; J y 19d in=I; I z 18d; S - 30d on=A; K w 5d; L w 6d; M x 2d; N - 3d on=M; O - 9d on=M"
    decisions = decided("1 prefix=x pushed>1; 2 prefix=y pushed>1; 3 any pushed>1", images)

    assert [[each.digest for each in group] for group in decisions.groups] == [
        ["M", "O", "N"],
        ["I", "J", "A", "S"],
        ["L"],
        ["K"],
    ]
    assert short(decisions) == "-M -O -N -I -J -A -S -L -K"


def test_a_part_of_two_indexes_holds_their_groups_together() -> None:
    decisions = decided("1 any pushed>1", "I v1 9d; J v2 7d; K v3 8d; A - 5d in=I,J; B - 5d in=K,Z; C - 5d in=K")

    assert [[each.digest for each in group] for group in decisions.groups] == [["I", "J", "A"], ["K", "C"]]


def test_images_that_stay_are_told_from_the_newest_on() -> None:
    decisions = decided("1 prefix=v pushed>9", "A - 3d; C v 1d; B - 1d; D - 2d archived=1.5")

    assert [each.digest for each in decisions.kept] == ["C", "B", "D", "A"]


def test_nothing_is_changed_in_what_is_given() -> None:
    given: Any = [image("I v1 90d"), image("A - 90d in=I pulled=2")]
    before = [dataclasses.replace(each) for each in given]
    decide(policy("1 any pulled>9 archive"), given, NOW)

    assert given == before


def test_a_depth_is_one_more_than_that_of_the_deepest_master() -> None:
    listed = "I v1 9d; J - 9d in=I; A - 9d in=I,J; S - 9d on=A; R x 9d in=R; B - 9d in=R; C y 9d in=Z"
    ties = Ties.among([image(line) for line in listed.split("; ")])

    assert ties.depths == {"I": 0, "J": 1, "A": 2, "S": 3, "C": 0}
    assert ties.followers == {"J", "A", "S", "B"}


# --- size -------------------------------------------------------------------------------------------------------------


def test_indexes_in_indexes_cost_a_step_each() -> None:
    """Forty levels, each listing the next twice; ten thousand levels; an index of ten thousand parts."""
    twice = [image(f"{level} - 5d in={level - 1},{level - 1}") for level in range(1, 40)]
    deep = [image(f"{level} - 5d in={level - 1}") for level in range(1, 10_000)]
    wide = [image(f"{number} - 5d in=0") for number in range(1, 10_000)]

    for parts in (twice, deep, wide):
        images = [image("0 v1 5d"), *parts]
        assert len(decide(policy("1 any pushed>1"), images, NOW).verdicts) == len(images)
        used = decide(policy("1 any pushed>1"), images, NOW, in_use={images[-1].digest: "service web runs it"})
        assert not used.verdicts


def test_a_pattern_is_held_against_the_tags_that_begin_like_it_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from policies import wildcards

    tried: list[str] = []
    plain = wildcards.Pattern.matches

    def matches(self: wildcards.Pattern, text: str) -> bool:
        tried.append(text)
        return plain(self, text)

    monkeypatch.setattr(wildcards.Pattern, "matches", matches)
    images = [image(f"{number:04} v{number:04},w{number:04} 5d") for number in range(500)]
    found = decide(policy("1 pattern=v00*7 count>1; 2 pattern=w0007,v00*7 pushed>1"), images, NOW)

    assert len(found.verdicts) == 9
    assert len(tried) == 101
