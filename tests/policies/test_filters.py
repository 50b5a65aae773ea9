"""Tag mutability: which tags may move, and which filters belong to which mode."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.filters import MODES, check_mutability, may_move

NULL = "can't be null when imageTagMutability is set as"


@pytest.mark.parametrize(
    ("mode", "filters", "tag", "expected"),
    [
        ("MUTABLE", [], "latest", True),
        ("IMMUTABLE", [], "latest", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest"], "latest", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest"], "v1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*", "latest"], "dev-7", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*"], "dev", False),
        ("MUTABLE_WITH_EXCLUSION", ["v*"], "v1", False),
        ("MUTABLE_WITH_EXCLUSION", ["v*"], "latest", True),
        ("MUTABLE_WITH_EXCLUSION", ["v*.0"], "v1.0", False),
        ("MUTABLE_WITH_EXCLUSION", ["v1"], "v10", True),
        ("MUTABLE_WITH_EXCLUSION", ["v1"], "xv1", True),
        ("MUTABLE_WITH_EXCLUSION", ["v1"], "v1\n", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["v1"], "v1\n", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["v.1"], "vx1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["V1"], "v1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["v?"], "v1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["*"], "anything", True),
        ("IMMUTABLE_WITH_EXCLUSION", [], "v1", False),
        ("MUTABLE_WITH_EXCLUSION", [], "v1", True),
        ("ELSE", [], "v1", False),
    ],
)
def test_a_tag_moves_as_mode_and_exclusions_say(mode: str, filters: list[str], tag: str, expected: bool) -> None:
    assert expected is may_move(mode, filters, tag)


@given(st.lists(st.text("ab*", min_size=1, max_size=6), max_size=5), st.text("ab", min_size=1, max_size=8))
def test_the_two_exclusion_modes_are_each_others_opposite(filters: list[str], tag: str) -> None:
    mutable, immutable = (may_move(f"{mode}_WITH_EXCLUSION", filters, tag) for mode in ("MUTABLE", "IMMUTABLE"))

    assert mutable is not immutable


@pytest.mark.parametrize(
    ("mode", "filters"),
    [
        ("MUTABLE", None),
        ("IMMUTABLE", None),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest"]),
        ("MUTABLE_WITH_EXCLUSION", ["v*", "release-*", "a", "b", "c"]),
        ("MUTABLE_WITH_EXCLUSION", ["*-v*"]),
        ("MUTABLE_WITH_EXCLUSION", ["a" * 128]),
    ],
)
def test_good_settings_pass(mode: str, filters: list[str] | None) -> None:
    check_mutability(mode, filters)


@pytest.mark.parametrize(
    ("mode", "filters", "sentence"),
    [
        ("mutable", None, "Member must satisfy enum value set"),
        ("IMMUTABLE_WITH_EXCLUSION", None, f"{NULL} IMMUTABLE_WITH_EXCLUSION"),
        ("MUTABLE_WITH_EXCLUSION", None, f"{NULL} MUTABLE_WITH_EXCLUSION"),
        ("MUTABLE", ["v*"], "must be null when imageTagMutability is set as MUTABLE"),
        ("IMMUTABLE", [], "must be null when imageTagMutability is set as IMMUTABLE"),
        ("MUTABLE_WITH_EXCLUSION", [], "greater than or equal to 1"),
        ("MUTABLE_WITH_EXCLUSION", ["a"] * 6, "less than or equal to 5"),
        ("MUTABLE_WITH_EXCLUSION", [""], "regular expression"),
        ("MUTABLE_WITH_EXCLUSION", ["a" * 129], "regular expression"),
        ("MUTABLE_WITH_EXCLUSION", ["v?"], "regular expression"),
        ("MUTABLE_WITH_EXCLUSION", ["v1\n"], "regular expression"),
        ("MUTABLE_WITH_EXCLUSION", ["a/b"], "regular expression"),
        ("MUTABLE_WITH_EXCLUSION", ["é"], "regular expression"),
        ("MUTABLE_WITH_EXCLUSION", ["ok", "*a*b*"], "at most 2 wildcards"),
    ],
)
def test_bad_settings_are_refused_in_the_services_words(mode: str, filters: list[str] | None, sentence: str) -> None:
    with pytest.raises(ValueError, match="Invalid parameter at 'imageTagMutability") as trouble:
        check_mutability(mode, filters)

    assert sentence in str(trouble.value)


def test_every_mode_is_decided() -> None:
    assert {"MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"} == set(MODES)


@pytest.mark.parametrize(
    ("mode", "filters", "sentence"),
    [
        (
            "x",
            None,
            "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value "
            "set: [MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION]'",
        ),
        (
            "MUTABLE_WITH_EXCLUSION",
            ["***"],
            "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'A filter can "
            "have at most 2 wildcards (*): '***''",
        ),
    ],
)
def test_a_refusal_is_a_whole_sentence(mode: str, filters: list[str] | None, sentence: str) -> None:
    with pytest.raises(ValueError, match="Invalid") as trouble:
        check_mutability(mode, filters)

    assert str(trouble.value) == sentence
