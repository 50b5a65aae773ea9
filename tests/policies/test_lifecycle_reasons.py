"""Why an image goes or stays, in words.

A case: what it shows | the rules | the images | the reason that A is given, as `keeping.py` says.
"""

import pytest

from policies.lifecycle import Candidate, decide
from tests.policies.keeping import NOW, ago, decided, image, policy, reasons, rows

REASONS = """
expired by count | 3 pattern=prod* count>10
    | A prod0 12d; B prod1 11d; C prod2 10d; D prod3 9d; E prod4 8d; F prod5 7d
    ; G prod6 6d; H prod7 5d; I prod8 4d; J prod9 3d; K prod10 2d; L prod11 1d
    | expired by rule 3: 12 images match prod*, 10 are kept, this is the 12th newest
one is kept | 3 prefix=prod count>1
    | A prod1 2d; B prod2 1d | expired by rule 3: 2 images match prod*, 1 is kept, this is the 2nd newest
the newest | 1 untagged count>1 | A - 2d | kept by rule 1: 1 untagged image, 1 is kept, this is the newest
the second | 1 any count>2 | A - 2d; B - 1d | kept by rule 1: 2 images in all, 2 are kept, this is the 2nd newest
the third | 1 untagged count>3
    | A - 3d; B - 2d; C - 1d | kept by rule 1: 3 untagged images, 3 are kept, this is the 3rd newest
one in all | 1 any count>2 | A x 2d | kept by rule 1: 1 image in all, 2 are kept, this is the newest
one matches | 1 pattern=a*,*z count>2
    | A a-z 2d | kept by rule 1: 1 image matches a* and *z, 2 are kept, this is the newest
a day | 1 any pushed>1 | A x 1.5d | expired by rule 1: pushed 2026-02-28T00:00:00Z, more than 1 day ago
restored | 1 any pushed>2
    | A x 90d restored=3 | expired by rule 1: restored 2026-02-26T12:00:00Z, more than 2 days ago
archived | 1 any pulled>2 archive
    | A x 9d pulled=3 | archived by rule 1: last pulled 2026-02-26T12:00:00Z, more than 2 days ago
never pulled | 1 any pulled>2 archive
    | A x 9d | archived by rule 1: not pulled since it was pushed 2026-02-20T12:00:00Z, more than 2 days ago
not pulled since | 1 any pulled>2 archive
    | A x 9d pulled=5 restored=1
    | kept by rule 1: not pulled since it was restored 2026-02-28T12:00:00Z, not more than 2 days ago
from the archive | 7 any archived>90
    | A x 900d archived=100 | expired by rule 7: archived 2025-11-21T12:00:00Z, more than 90 days ago
no rule | 1 untagged pushed>1 | A x 9d | kept: no rule selects it
a part goes | 2 prefix=v pushed>1 | A - 9d in=I; I v 9d | expired with the index I, by rule 2
a part is archived | 2 any pushed>1 archive | A - 9d in=I; I v 9d | archived with the index I, by rule 2
a part stays | 2 any pushed>1 | A - 9d in=I; I v 1d | kept with the index I
a part stays in the archive | 2 any pushed>1 archive | A - 9d in=I archived=3; I v 9d | kept with the index I
a part of two stays with the one that stays | 2 prefix=v pushed>1
    | A - 9d in=I,J; I v 9d; J x 1d | kept with the index J
by the later rule of two | 2 prefix=v pushed>1; 3 prefix=x pushed>1
    | A - 9d in=J,I; I v 9d; J x 9d | expired with the index J, by rule 3
a referrer goes | 2 any pushed>1 | A - 9d on=B; B v 9d | expired with its subject B, by rule 2
a referrer stays | 2 any pushed>1 | A - 9d on=B; B v 1d | kept with its subject B
a tagged part waits | 2 prefix=x pushed>1
    | A x 5d in=I; I v 9d
    | kept because the index I lists it; else expired by rule 2: pushed 2026-02-24T12:00:00Z, more than 1 day ago
many patterns | 1 pattern=a*,b*,c*,d*,e* count>1
    | A a,b,c,d,e 1d | kept by rule 1: 1 image matches a* and b* and c* and 2 more, 1 is kept, this is the newest
three patterns | 1 pattern=a*,b*,c* count>1
    | A a,b,c 1d | kept by rule 1: 1 image matches a* and b* and c*, 1 is kept, this is the newest
a long pattern | 1 pattern=vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv* count>1
    | A vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv 1d
    | kept by rule 1: 1 image matches vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv..., 1 is kept, this is the newest
a pattern just too long | 1 pattern=vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv count>1
    | A vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv 1d
    | kept by rule 1: 1 image matches vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv..., 1 is kept, this is the newest
a pattern just short enough | 1 pattern=vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv count>1
    | A vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv 1d
    | kept by rule 1: 1 image matches vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv, 1 is kept, this is the newest
"""

KEPT_REASONS = """
a keep rule | 1 pattern=v*,*1 keep | A v1 5d | kept by rule 1: every image that matches v* and *1 is kept
a keep rule for all | 1 any keep | A v1 5d | kept by rule 1: every image is kept
a keep rule for untagged | 1 untagged keep | A - 5d | kept by rule 1: every untagged image is kept
the newest | 1 any count>3 keep | A - 5d | kept by rule 1: 1 image in all, 3 are kept, this is the newest
the young | 1 any pulled>6 keep
    | A - 9d pulled=5 | kept by rule 1: last pulled 2026-02-24T12:00:00Z, not more than 6 days ago
beyond | 1 any pulled>4 keep | A - 9d pulled=5 | kept: no rule selects it
its signature | 1 pattern=sig keep; 2 any pushed>1
    | A v1 1.5d; S sig 1d on=A
    | kept because S would go with it, and rule 1 keeps it;
    else expired by rule 2: pushed 2026-02-28T00:00:00Z, more than 1 day ago
"""


@pytest.mark.parametrize(("rules", "images", "reason"), [pytest.param(*case[1:], id=case[0]) for case in rows(REASONS)])
def test_the_reason_says_what_happened_to_the_image(rules: str, images: str, reason: str) -> None:
    assert reasons(decided(rules, images))["A"] == reason


@pytest.mark.parametrize(
    ("rules", "images", "reason"), [pytest.param(*case[1:], id=case[0]) for case in rows(KEPT_REASONS)]
)
def test_the_reason_names_the_rule_that_keeps(rules: str, images: str, reason: str) -> None:
    assert reasons(decided(rules, images, extensions=True))["A"] == reason


@pytest.mark.parametrize(
    ("number", "word"),
    [(4, "4th"), (10, "10th"), (11, "11th"), (12, "12th"), (13, "13th"), (20, "20th"), (21, "21st"), (22, "22nd"),
     (23, "23rd"), (24, "24th"), (100, "100th"), (101, "101st"), (110, "110th"), (111, "111th"), (112, "112th"),
     (121, "121st")],
    ids=str,
)  # fmt: skip
def test_places_are_told_in_words(number: int, word: str) -> None:
    images = [Candidate(digest=f"{at:03}", pushed_at=ago(at)) for at in range(1, 130)]
    found = reasons(decide(policy("1 any count>1"), images, NOW))

    assert found[f"{number:03}"].endswith(f"this is the {word} newest")


def test_digests_are_cut_in_reasons() -> None:
    whole = "sha256:" + "0123456789abcdef" * 4
    images = [Candidate(digest=whole, tags=("v1",), pushed_at=ago(1)), image("A - 1d in=" + whole)]
    found = decide(policy("1 any pushed>9"), images, NOW)

    assert reasons(found)["A"] == "kept with the index sha256:0123456789ab"


def test_what_is_in_use_says_by_whom_and_what_else_would_become_of_it() -> None:
    decisions = decided("4 any pushed>1", "I x 5d; A - 5d in=I", in_use={"A": "service web runs it"})
    wish = "else expired by rule 4: pushed 2026-02-24T12:00:00Z, more than 1 day ago"

    assert reasons(decisions) == {
        "I": f"kept because A would go with it, and service web runs it; {wish}",
        "A": "kept with the index I",
    }
    assert [(each.digest, each.rule_priority) for each in decisions.kept] == [("I", 4), ("A", None)]


def test_what_no_rule_wants_is_not_kept_because_of_its_use() -> None:
    decisions = decided("1 any pushed>9", "A x 5d", in_use={"A": "service web runs it"})

    assert reasons(decisions) == {"A": "kept by rule 1: pushed 2026-02-24T12:00:00Z, not more than 9 days ago"}


def test_where_the_repository_is_protected_nothing_expires_and_the_archive_is_open() -> None:
    pairs = [image("I x 5d"), image("A - 5d in=I"), image("B v1 9d")]
    kept = decide(policy("4 any pushed>1"), pairs, NOW, protected=True)
    archived = decide(policy("4 any pushed>1 archive"), pairs, NOW, protected=True)

    assert kept.verdicts == ()
    assert reasons(kept)["I"] == (
        "kept because the repository is protected; else expired by rule 4: pushed 2026-02-24T12:00:00Z, "
        "more than 1 day ago"
    )
    assert reasons(kept)["A"] == "kept with the index I"
    assert {each.digest for each in archived.verdicts} == {"I", "A", "B"}


def test_what_no_rule_wants_is_not_kept_because_it_is_protected() -> None:
    decisions = decide(policy("1 any pushed>9"), [image("A x 5d")], NOW, protected=True)

    assert reasons(decisions) == {"A": "kept by rule 1: pushed 2026-02-24T12:00:00Z, not more than 9 days ago"}
