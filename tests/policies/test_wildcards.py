"""The wildcard matcher against a slow reference, and the patterns that make naive matchers slow."""

import functools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies import wildcards
from policies.wildcards import Verbatim, matches


def reference(pattern: str, text: str, question: bool = True) -> bool:
    """The definition, word by word: slow, and plainly right."""

    @functools.cache
    def from_here(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            return any(from_here(p + 1, rest) for rest in range(t, len(text) + 1))
        return t < len(text) and (pattern[p] == text[t] or (question and pattern[p] == "?")) and from_here(p + 1, t + 1)

    return from_here(0, 0)


ALPHABET = "ab*?"


@settings(max_examples=1000)
@given(st.text(ALPHABET, max_size=8), st.text("ab?", max_size=8), st.booleans())
@example("*a*b?*", "aabab", True)
@example("", "", True)
@example("**", "", False)
@example("a*a", "a", True)
def test_equals_a_slow_reference(pattern: str, text: str, question: bool) -> None:
    assert reference(pattern, text, question) == matches(pattern, text, question=question)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_text_between_any_two_ends_matches_a_star(start: str, middle: str, end: str) -> None:
    assert matches(f"{start}*{end}", f"{start}{middle}{end}")


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("ecr:*", "ecr:GetAuthorizationToken", True),
        ("ecr:*", "ecs:RunTask", False),
        ("ecr:Get*Token", "ecr:GetAuthorizationToken", True),
        ("v1", "v10", False),
        ("v1", "xv1", False),
        ("v1", "v1\n", False),
        ("v1*", "v1\n", True),
        ("v?", "v1", True),
        ("v?", "v", False),
        ("v?", "v10", False),
        ("?", "\n", True),
        ("*", "", True),
        ("", "a", False),
        ("a*a", "a", False),
        ("ab*ba", "aba", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("a.c", "abc", False),
        ("a+", "aa", False),
        ("team/*", "team/a/b", True),
        ("*/b", "a/x/b", True),
        ("a\\*", "a*", False),
        ("Ecr:*", "ecr:x", False),
        ("*?*?*", "a", False),
        ("*?*?*", "ab", True),
        ("*a?c*", "xabcx", True),
        ("*a?c*", "xbbcx", False),
        ("*a?c*", "xabbx", False),
        ("*a?c*", "xcbcx", False),
        ("*a?a*b", "aaab", True),
        ("x*a?*", "xa", False),
        ("é*", "éa", True),
        ("*a?*b*", "aab", True),
        ("*a?*?b*", "xa1b1b", True),
        ("*??*", "ab", True),
        ("*a??*", "abc", True),
        ("*a?b?c*", "-a1b2c-", True),
        ("*a?b?c*", "-a1b2-c", False),
        ("*a?b?c*", "a1b-a2b3c", True),
    ],
)
def test_matches(pattern: str, text: str, expected: bool) -> None:
    assert expected is matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("ECR:get*", "ecr:GetDownloadUrlForLayer", True),
        ("ecr:Lin?", "ECR:LINK", True),
        ("ecr:k", "ecr:\u212a", False),  # KELVIN SIGN lowers to k
        ("ecr:\u0130", "ecr:i\u0307", False),
    ],
)
def test_folding_knows_ascii_letters_only(pattern: str, text: str, expected: bool) -> None:
    assert expected is matches(pattern, text, fold=True)


def test_lower_case_is_that_of_ascii_letters() -> None:
    assert wildcards.lower("AbZ") == "abz"
    assert wildcards.lower("A\u212aÉZ") == "a\u212aÉz"


def test_without_question_marks_a_question_mark_is_a_character() -> None:
    assert matches("v?", "v?", question=False)
    assert not matches("v?", "v1", question=False)


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 2000, "*a?" * 2000, "*?a" * 2000, "*" * 4000 + "b", "*" + "?" * 299 + "b", "*" + "a" * 200 + "b*" * 100],
)
def test_a_hostile_pattern_looks_at_each_character_few_times(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost is counted, not timed: every search begins where the one before it ended."""
    searched = 0
    find = wildcards._find

    def counting(piece: wildcards.Piece, text: str, start: int, end: int) -> int:
        nonlocal searched
        found = find(piece, text, start, end)
        searched += (end if found < 0 else found + len(piece.text)) - start
        return found

    monkeypatch.setattr(wildcards, "_find", counting)

    assert not matches(pattern, "a" * 300)
    assert searched <= 300


@pytest.mark.parametrize(("text", "expected"), [("a1x2b", True), ("a1x2c", False), ("a1y2b", False), ("a?x?b", True)])
def test_question_marks_on_both_sides_of_what_a_variable_stands_for(text: str, expected: bool) -> None:
    assert wildcards.compiled(("a?", Verbatim("x"), "?b")).matches(text) is expected
