"""What holds of lifecycle decisions whatever the repository and the rules are.

LONGSHORE_TEST_POLICY_ROUNDS    how many cases are held against the slow reference
LONGSHORE_TEST_POLICY_SEED      where to begin
"""

import collections
import dataclasses
import datetime as dt
import json
import os
import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from policies.lifecycle import Candidate, Decisions, decide, parse
from tests.policies import keeping
from tests.policies.keeping import NOW, rule, text
from tests.policies.lifecycle_reference import Dice, Json, Slow

ROUNDS = int(os.environ.get("LONGSHORE_TEST_POLICY_ROUNDS", "4000"))
SEED = int(os.environ.get("LONGSHORE_TEST_POLICY_SEED", "1"))
SEEDS = st.integers(0, 2**32)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    rules: Sequence[Json]
    images: Sequence[Candidate]
    used: dict[str, str]

    @classmethod
    def of(cls, seed: int) -> "Case":
        dice = Dice(seed)
        return cls(dice.rules(), dice.images(), dice.used())

    def decided(self) -> Decisions:
        return decide(parse(text(self.rules), extensions=True), self.images, NOW, in_use=self.used)


CASES = SEEDS.map(Case.of)


def fates(decisions: Decisions) -> dict[str, str]:
    return {each.digest: each.action for each in decisions.verdicts}


def applied(case: Case, decisions: Decisions) -> Case:
    """The repository after all verdicts: what expired is there no more, nor in what is left."""
    done = fates(decisions)
    left = [
        dataclasses.replace(
            image,
            parents=tuple(parent for parent in image.parents if done.get(parent) != "expire"),
            archived=image.archived or image.digest in done,
            transitioned_at=NOW if image.digest in done else image.transitioned_at,
        )
        for image in case.images
        if done.get(image.digest) != "expire"
    ]
    return Case(case.rules, left, case.used)


def test_a_slow_reference_decides_the_same() -> None:
    seen: collections.Counter[str] = collections.Counter()
    for seed in range(SEED, SEED + ROUNDS):
        case = Case.of(seed)
        found = fates(case.decided())
        expected = Slow(case.rules, case.images, NOW, case.used).fates
        seen.update(expected.values())
        seen["kept"] += len(case.images) - len(expected)

        assert found == expected, f"seed {seed}: {json.dumps(case.rules)}"

    assert min(seen["expire"], seen["archive"], seen["kept"]) >= ROUNDS // 8, f"the cases are one-sided: {seen}"


@given(CASES)
def test_every_image_has_one_answer(case: Case) -> None:
    decisions = case.decided()
    answered = [each.digest for each in decisions.verdicts] + [each.digest for each in decisions.kept]

    assert sorted(answered) == sorted(image.digest for image in case.images)
    assert decisions.summary.expiring == list(fates(decisions).values()).count("expire")
    assert sum(decisions.summary.transitioning.values()) == list(fates(decisions).values()).count("archive")


@given(CASES, st.randoms(use_true_random=False))
def test_the_order_of_rules_and_images_means_nothing(case: Case, chance: random.Random) -> None:
    rules, images = list(case.rules), list(case.images)
    chance.shuffle(rules)
    chance.shuffle(images)

    assert Case(rules, images, case.used).decided() == case.decided()


@given(CASES)
def test_a_verdict_is_that_of_the_first_rule_that_selects(case: Case) -> None:
    """An image with a say of its own goes by a rule with which it would go even if that rule were alone."""
    decisions = case.decided()
    slow = Slow(case.rules, case.images, NOW, {})
    having = {image.digest: image for image in case.images if not slow.has_no_say(image)}

    for verdict in decisions.verdicts:
        if verdict.digest in having:
            image = having[verdict.digest]
            first = next(each for each in slow.rules if slow.selects(each, image) and slow.wish(image))
            [by] = [each for each in slow.rules if each["rulePriority"] == verdict.rule_priority]
            assert slow.selects(by, image)
            assert slow.is_beyond(by, image)
            assert first["rulePriority"] <= verdict.rule_priority


@given(CASES)
def test_a_keep_rule_lets_nothing_go(case: Case) -> None:
    slow = Slow(case.rules, case.images, NOW, {})
    kept = {image.digest for image in case.images if slow.wish(image) == "keep"}

    assert not kept & set(fates(case.decided()))


@given(CASES)
def test_what_is_in_use_does_not_go(case: Case) -> None:
    assert not set(case.used) & set(fates(case.decided()))


@given(CASES)
def test_deciding_again_expires_nothing_more(case: Case) -> None:
    after = applied(case, case.decided())

    assert not after.decided().verdicts


def test_an_artifact_that_loses_its_subject_and_not_its_index_does_not_count_from_then_on() -> None:
    rules = [rule("1 prefix=subject pushed>3"), rule("2 pattern=* count>2")]
    listed = ["A subject 9d", "I - 0d", "S signature 1d on=A in=I", "B b 2d", "C c 3d"]
    case = Case(rules, [keeping.image(line) for line in listed], {})
    after = applied(case, case.decided())

    assert fates(case.decided()) == {"A": "expire"}
    assert not after.decided().verdicts


@given(CASES, st.data())
def test_a_run_that_is_broken_off_leads_to_nothing_else(case: Case, data: st.DataObject) -> None:
    """After some groups the next run lets go what was left to do, or less: what went counts no more."""
    decisions = case.decided()
    done = data.draw(st.integers(0, len(decisions.groups)))
    half = applied(case, dataclasses.replace(decisions, groups=decisions.groups[:done]))

    assert fates(half.decided()).items() <= fates(decisions).items()


@given(CASES)
def test_nothing_that_an_index_lists_goes_while_the_index_stays(case: Case) -> None:
    done = fates(case.decided())
    was_archived = {image.digest for image in case.images if image.archived}

    for image in case.images:
        if image.digest in done:
            ends = {done.get(parent, "archive" if parent in was_archived else "stays") for parent in image.parents}
            assert ends <= ({"expire"} if done[image.digest] == "expire" else {"expire", "archive"})


@given(CASES)
def test_verdicts_stand_after_those_of_their_index_and_subject_and_with_them(case: Case) -> None:
    decisions = case.decided()
    order = {each.digest: place for place, each in enumerate(decisions.verdicts)}
    group = {each.digest: number for number, members in enumerate(decisions.groups) for each in members}

    for image in case.images:
        for master in (*image.parents, image.subject):
            if master in order and image.digest in order:
                assert order[master] < order[image.digest]
                assert group[master] == group[image.digest]


@given(CASES)
def test_an_image_that_is_archived_is_not_archived_again_and_stays_for_ninety_days(case: Case) -> None:
    done = fates(case.decided())

    for image in case.images:
        if image.archived and image.digest in done:
            assert done[image.digest] == "expire"


@given(CASES, st.integers(1, 10))
def test_age_alone_never_saves_an_image(case: Case, days: int) -> None:
    """Where no rule counts images, what goes today goes on any later day, unless something is pulled or pushed."""
    rules = [each for each in case.rules if each["action"]["type"] != "keep"]
    aged = [each for each in rules if each["selection"]["countType"] != "imageCountMoreThan"]
    if aged:
        policy = parse(text(aged), extensions=True)
        today = decide(policy, case.images, NOW, in_use=case.used)
        later = decide(policy, case.images, NOW + dt.timedelta(days=days), in_use=case.used)

        assert {each.digest for each in today.verdicts} <= {each.digest for each in later.verdicts}


@given(CASES, st.sampled_from("ABCDEFGHIJ"))
def test_one_more_use_only_saves(case: Case, digest: str) -> None:
    more = Case(case.rules, case.images, {**case.used, digest: "another runs it"})

    assert set(fates(more.decided())) <= set(fates(case.decided()))


@given(SEEDS)
def test_without_extensions_rules_of_ecr_are_decided_the_same(seed: int) -> None:
    dice = Dice(seed)
    rules, images = dice.rules(plain=True), dice.images()
    plain, extended = (decide(parse(text(rules), extensions=on), images, NOW) for on in (False, True))

    assert plain == extended
