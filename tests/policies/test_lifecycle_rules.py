"""Lifecycle policies as text: which are accepted, which are refused, where and in which words.

Each case changes one rule that is accepted: a dotted name with its new value, `...` to take it away. Pages are of
docs.aws.amazon.com, AmazonECR/latest/userguide/<page>.html; `observed` marks sentences that users of ECR have reported,
`ours` what no page says.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.lifecycle import Malformed, Policy, Rule, parse
from tests.policies.keeping import rule, text

PROPERTIES = "lifecycle_policy_parameters"
POLICIES = "LifecyclePolicies"
EXAMPLES = "lifecycle_policy_examples"
QUOTAS = "service-quotas"
OBSERVED = "observed"
OURS = "ours"

Json = dict[str, Any]
Changes = dict[str, Any]

ACTION = "instance failed to match exactly one schema (matched 0 out of 2)"
SELECTION = "instance failed to match exactly one schema (matched 0 out of 4)"
NO_POLICY = "Could not map policyString into LifecyclePolicy."
LAST = "Rule for tagStatus=ANY must have the lowest priority per storage class."
UNTAGGED = "Only one rule can select Untagged images per storage class."
SAME = "Rules must have a unique set of tag prefixes or patterns per storage class."
TWICE = "Rules must have unique priorities, but 1 is used twice."
NEEDS_TAGS = "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."


def missing(*names: str) -> str:
    return f"object has missing required properties ({json.dumps(names)})"


def foreign(*names: str) -> str:
    return f"object instance has properties which are not allowed by the schema: ({json.dumps(names)})"


def kind(found: str, allowed: str) -> str:
    return f'instance type ({found}) does not match any allowed primitive type (allowed: ["{allowed}"])'


def other(found: str, *words: str) -> str:
    return f"instance value ({found}) not found in enum :(possible values: {json.dumps(words)})"


def low(found: int, least: int = 1) -> str:
    return f"numeric instance is lower than the required minimum (minimum: {least}, found: {found})"


def changed(changes: Changes) -> Json:
    """The rule with the changes."""
    found = rule("1 pattern=prod* pushed>14")
    for name, value in changes.items():
        *outer, last = name.split(".")
        place: Json = found
        for each in outer:
            place = place[each]
        if value is ...:
            place.pop(last, None)
        else:
            place[last] = value
    return found


def told(document: str, *, extensions: bool = False) -> tuple[str, str, str]:
    with pytest.raises(Malformed) as trouble:
        parse(document, extensions=extensions)
    return trouble.value.path.removeprefix("$.rules[0]"), trouble.value.why, trouble.value.hint


ANY: Changes = {"selection.tagStatus": "any", "selection.tagPatternList": ...}
COUNT: Changes = {"selection.countType": "imageCountMoreThan", "selection.countUnit": ...}
ARCHIVE: Changes = {"action": {"type": "transition", "targetStorageClass": "archive"}}
ARCHIVED: Changes = {
    "selection.countType": "sinceImageTransitioned",
    "selection.storageClass": "archive",
    "selection.countNumber": 90,
}

# --- accepted: the changes, what is different in the rule, the page ---------------------------------------------------

ACCEPTED: list[tuple[Changes, Json, str]] = [
    ({}, {}, EXAMPLES),
    (
        {"description": "Expire images older than 14 days"},
        {"description": "Expire images older than 14 days"},
        EXAMPLES,
    ),
    ({"description": ""}, {}, PROPERTIES),
    ({"description": "x" * 256}, {"description": "x" * 256}, OURS),
    ({"rulePriority": 999}, {"priority": 999}, PROPERTIES),
    ({"rulePriority": 2**31 - 1}, {"priority": 2**31 - 1}, OURS),
    (ANY, {"tag_status": "any", "patterns": ()}, PROPERTIES),
    ({**ANY, "selection.tagStatus": "untagged"}, {"tag_status": "untagged", "patterns": ()}, PROPERTIES),
    (
        {"selection.tagPatternList": ["*test*1*2*3", "test*1*2*3*"]},
        {"patterns": ("*test*1*2*3", "test*1*2*3*")},
        PROPERTIES,
    ),
    ({"selection.tagPatternList": ["****"]}, {"patterns": ("****",)}, PROPERTIES),
    ({"selection.tagPatternList": ["a", "a"]}, {"patterns": ("a", "a")}, OURS),
    (
        {"selection.tagPatternList": ..., "selection.tagPrefixList": ["alpha", "beta"]},
        {"patterns": (), "prefixes": ("alpha", "beta")},
        PROPERTIES,
    ),
    ({"selection.storageClass": "standard"}, {}, PROPERTIES),
    ({"selection.countNumber": 1}, {"count": 1}, PROPERTIES),
    ({"selection.countNumber": 2**31 - 1}, {"count": 2**31 - 1}, OURS),
    (COUNT, {"count_type": "imageCountMoreThan"}, PROPERTIES),
    ({**COUNT, "selection.storageClass": "standard"}, {"count_type": "imageCountMoreThan"}, PROPERTIES),
    (ARCHIVE, {"action": "transition"}, PROPERTIES),
    ({**COUNT, **ARCHIVE}, {"count_type": "imageCountMoreThan", "action": "transition"}, PROPERTIES),
    (
        {"selection.countType": "sinceImagePulled", **ARCHIVE},
        {"count_type": "sinceImagePulled", "action": "transition"},
        PROPERTIES,
    ),
    (ARCHIVED, {"count_type": "sinceImageTransitioned", "storage_class": "archive", "count": 90}, PROPERTIES),
]


@pytest.mark.parametrize(("changes", "different", "page"), ACCEPTED, ids=range(len(ACCEPTED)))
def test_a_rule_is_accepted_and_read(changes: Changes, different: Json, page: str) -> None:
    plain: Json = {
        "priority": 1,
        "tag_status": "tagged",
        "patterns": ("prod*",),
        "count_type": "sinceImagePushed",
        "count": 14,
        "action": "expire",
    }

    assert parse(text([changed(changes)])) == Policy((Rule(**plain | different),))


# --- refused: the changes, the path within the rule, ECR's words, our hint, the page ----------------------------------

REFUSED: list[tuple[Changes, str, str, str, str]] = [
    # members
    ({"rulePriority": ...}, "", missing("rulePriority"), "", PROPERTIES),
    ({"selection": ...}, "", missing("selection"), "", PROPERTIES),
    ({"action": ...}, "", missing("action"), "", PROPERTIES),
    ({"selection": ..., "action": ...}, "", missing("action", "selection"), "", PROPERTIES),
    ({"priority": 1}, "", foreign("priority"), "", EXAMPLES),
    ({"zz": 1, "aa": 1}, "", foreign("aa", "zz"), "", EXAMPLES),
    ({"RulePriority": 1}, "", foreign("RulePriority"), "", EXAMPLES),
    ({"selection.tagStatus": ...}, ".selection", missing("tagStatus"), "", PROPERTIES),
    ({"selection.countType": ...}, ".selection", missing("countType"), "", PROPERTIES),
    ({"selection.countNumber": ...}, ".selection", missing("countNumber"), "", PROPERTIES),
    ({"selection": {}}, ".selection", missing("countNumber", "countType", "tagStatus"), "", PROPERTIES),
    ({"selection.tagList": ["x"]}, ".selection", foreign("tagList"), "", EXAMPLES),
    ({"action.type": ...}, ".action", missing("type"), "", PROPERTIES),
    ({"action.storageClass": "archive"}, ".action", foreign("storageClass"), "", EXAMPLES),
    # types
    ({"rulePriority": "1"}, ".rulePriority", kind("string", "integer"), "", PROPERTIES),
    ({"rulePriority": 1.0}, ".rulePriority", kind("number", "integer"), "", PROPERTIES),
    ({"rulePriority": True}, ".rulePriority", kind("boolean", "integer"), "", PROPERTIES),
    ({"description": None}, ".description", kind("null", "string"), "", PROPERTIES),
    ({"description": 5}, ".description", kind("integer", "string"), "", PROPERTIES),
    ({"selection": []}, ".selection", kind("array", "object"), "", EXAMPLES),
    ({"action": "expire"}, ".action", kind("string", "object"), "", EXAMPLES),
    ({"action.type": 1}, ".action.type", kind("integer", "string"), "", PROPERTIES),
    ({"selection.tagStatus": None}, ".selection.tagStatus", kind("null", "string"), "", PROPERTIES),
    ({"selection.tagPatternList": "prod*"}, ".selection.tagPatternList", kind("string", "array"), "", PROPERTIES),
    ({"selection.tagPatternList": ["a", 1]}, ".selection.tagPatternList[1]", kind("integer", "string"), "", PROPERTIES),
    ({"selection.tagPatternList": {}}, ".selection.tagPatternList", kind("object", "array"), "", PROPERTIES),
    ({"selection.countNumber": "14"}, ".selection.countNumber", kind("string", "integer"), "", PROPERTIES),
    ({"selection.countNumber": 14.5}, ".selection.countNumber", kind("number", "integer"), "", PROPERTIES),
    ({"selection.storageClass": None}, ".selection.storageClass", kind("null", "string"), "", PROPERTIES),
    # values
    ({"rulePriority": 0}, ".rulePriority", low(0), "", PROPERTIES),
    ({"rulePriority": -3}, ".rulePriority", low(-3), "", PROPERTIES),
    ({"rulePriority": 2**31}, ".rulePriority", NO_POLICY, "the number is greater than 2147483647", OURS),
    (
        {"description": "x" * 257},
        ".description",
        f'string "{"x" * 61}..." is too long (length: 257, maximum allowed: 256)',
        "",
        OURS,
    ),
    (
        {"selection.tagStatus": "Tagged"},
        ".selection.tagStatus",
        other("Tagged", "any", "tagged", "untagged"),
        "",
        PROPERTIES,
    ),
    ({"selection.tagStatus": ""}, ".selection.tagStatus", other("", "any", "tagged", "untagged"), "", PROPERTIES),
    (
        {"selection.tagStatus": "x" * 65},
        ".selection.tagStatus",
        other("x" * 61 + "...", "any", "tagged", "untagged"),
        "",
        OURS,
    ),
    ({"selection.tagStatus": "x" * 64}, ".selection.tagStatus", other("x" * 64, "any", "tagged", "untagged"), "", OURS),
    (
        {"selection.storageClass": "glacier"},
        ".selection.storageClass",
        other("glacier", "archive", "standard"),
        "",
        PROPERTIES,
    ),
    ({"action.type": "delete"}, ".action.type", other("delete", "expire", "transition"), "", PROPERTIES),
    ({"action.type": "keep"}, ".action.type", other("keep", "expire", "transition"), "", PROPERTIES),
    ({"selection.countNumber": 0}, ".selection.countNumber", low(0), "", PROPERTIES),
    ({"selection.countNumber": -1}, ".selection.countNumber", low(-1), "", PROPERTIES),
    (
        {"selection.countNumber": 2**31},
        ".selection.countNumber",
        NO_POLICY,
        "the number is greater than 2147483647",
        OURS,
    ),
    # tags
    ({"selection.tagPatternList": ...}, ".selection", NEEDS_TAGS, "", OBSERVED),
    (
        {"selection.tagPatternList": []},
        ".selection.tagPatternList",
        "array is too short: must have at least 1 elements but instance has 0 elements",
        "",
        PROPERTIES,
    ),
    (
        {"selection.tagPatternList": ["a", ""]},
        ".selection.tagPatternList[1]",
        'string "" is too short (length: 0, required at least: 1)',
        "",
        PROPERTIES,
    ),
    (
        {"selection.tagPrefixList": ["prod"]},
        ".selection",
        "Cannot specify both tagPrefixList and tagPatternList.",
        "",
        POLICIES,
    ),
    ({"selection.tagStatus": "any"}, ".selection", "Cannot specify tagPatternList when tagStatus=ANY.", "", PROPERTIES),
    (
        {"selection.tagStatus": "untagged"},
        ".selection",
        "Cannot specify tagPatternList when tagStatus=UNTAGGED.",
        "",
        PROPERTIES,
    ),
    (
        {**ANY, "selection.tagPrefixList": []},
        ".selection",
        "Cannot specify tagPrefixList when tagStatus=ANY.",
        "",
        PROPERTIES,
    ),
    (
        {"selection.tagStatus": "any", "selection.tagPrefixList": ["prod"]},
        ".selection",
        "Cannot specify tagPatternList when tagStatus=ANY.",
        "",
        PROPERTIES,
    ),
    (
        {"selection.tagPatternList": ["ok", "test*1*2*3*4*5*6"]},
        ".selection.tagPatternList[1]",
        "A tag pattern can have at most 4 wildcards (*).",
        "",
        PROPERTIES,
    ),
    (
        {"selection.tagPatternList": ["*****"]},
        ".selection.tagPatternList[0]",
        "A tag pattern can have at most 4 wildcards (*).",
        "",
        PROPERTIES,
    ),
    # what belongs together
    ({"selection.countUnit": ...}, ".selection", SELECTION, "sinceImagePushed needs the countUnit days", PROPERTIES),
    (
        {"selection.countUnit": "hours"},
        ".selection",
        SELECTION,
        "sinceImagePushed needs the countUnit days",
        PROPERTIES,
    ),
    ({"selection.countUnit": None}, ".selection", SELECTION, "sinceImagePushed needs the countUnit days", OBSERVED),
    (
        {"selection.countType": "imageCountMoreThan"},
        ".selection",
        SELECTION,
        "imageCountMoreThan has no countUnit",
        PROPERTIES,
    ),
    (
        {**COUNT, "selection.countUnit": None},
        ".selection",
        SELECTION,
        "imageCountMoreThan has no countUnit",
        OBSERVED,
    ),
    (
        {"selection.countType": "sinceImageDeleted"},
        ".selection",
        SELECTION,
        "countType must be one of imageCountMoreThan, sinceImagePushed, sinceImagePulled, sinceImageTransitioned",
        PROPERTIES,
    ),
    (
        {"selection.countType": ["sinceImagePushed"]},
        ".selection",
        SELECTION,
        "countType must be one of imageCountMoreThan, sinceImagePushed, sinceImagePulled, sinceImageTransitioned",
        PROPERTIES,
    ),
    (
        {**ARCHIVED, "selection.storageClass": ...},
        ".selection",
        SELECTION,
        "sinceImageTransitioned needs the storageClass archive",
        OBSERVED,
    ),
    (
        {**ARCHIVED, "selection.storageClass": "standard"},
        ".selection",
        SELECTION,
        "sinceImageTransitioned needs the storageClass archive",
        PROPERTIES,
    ),
    (
        {"selection.storageClass": "archive"},
        ".selection",
        SELECTION,
        "sinceImagePushed selects in the storageClass standard only",
        PROPERTIES,
    ),
    (
        {**COUNT, "selection.storageClass": "archive"},
        ".selection",
        SELECTION,
        "imageCountMoreThan selects in the storageClass standard only",
        PROPERTIES,
    ),
    ({**ARCHIVED, "selection.countNumber": 89}, ".selection.countNumber", low(89, 90), "", PROPERTIES),
    (
        {**ARCHIVED, **ARCHIVE},
        ".selection",
        "sinceImageTransitioned can be used with the action type expire only.",
        "",
        PROPERTIES,
    ),
    (
        {"selection.countType": "sinceImagePulled"},
        ".selection",
        "sinceImagePulled can be used with the action type transition only.",
        "",
        PROPERTIES,
    ),
    ({"action.targetStorageClass": "archive"}, ".action", ACTION, "expire has no targetStorageClass", PROPERTIES),
    ({"action.targetStorageClass": None}, ".action", ACTION, "expire has no targetStorageClass", OBSERVED),
    (
        {"action.type": "transition"},
        ".action",
        ACTION,
        "transition needs the targetStorageClass archive",
        PROPERTIES,
    ),
    (
        {"action": {"type": "transition", "targetStorageClass": "standard"}},
        ".action",
        ACTION,
        "transition needs the targetStorageClass archive",
        PROPERTIES,
    ),
]


@pytest.mark.parametrize(("changes", "path", "why", "hint", "page"), REFUSED, ids=range(len(REFUSED)))
def test_a_rule_is_refused_where_and_why(changes: Changes, path: str, why: str, hint: str, page: str) -> None:
    assert told(text([changed(changes)])) == (path, why, hint)


# --- rules together: the rules, the path and the words or None, the page ----------------------------------------------

TOGETHER: list[tuple[list[str], str | None, str]] = [
    (["1 any count>1"], None, POLICIES),
    (["1 prefix=a count>1", "2 any count>1"], None, POLICIES),
    (["2 any count>1", "1 prefix=a count>1"], None, POLICIES),
    (["1 any count>1", "2 prefix=a count>1"], f"$.rules[0] {LAST}", OBSERVED),
    (["5 prefix=a count>1", "4 any count>1", "9 untagged count>1"], f"$.rules[1] {LAST}", OBSERVED),
    (["1 any count>1", "2 any pushed>1"], f"$.rules[0] {LAST}", POLICIES),
    (["1 any count>1", "2 any archived>90"], None, EXAMPLES),
    (["2 any count>1", "1 any archived>90"], None, POLICIES),
    (["1 any archived>90", "2 prefix=a archived>90"], f"$.rules[0] {LAST}", POLICIES),
    (["1 untagged count>1", "2 untagged pushed>1"], f"$.rules[1] {UNTAGGED}", OBSERVED),
    (["1 untagged count>1", "2 untagged pushed>1 archive"], f"$.rules[1] {UNTAGGED}", POLICIES),
    (["1 untagged count>1", "2 untagged archived>90"], None, POLICIES),
    (["1 untagged archived>90", "2 untagged archived>91"], f"$.rules[1] {UNTAGGED}", POLICIES),
    (["1 prefix=a count>1", "2 prefix=a pushed>1"], f"$.rules[1] {SAME}", POLICIES),
    (["1 prefix=a,b count>1", "2 prefix=b,a pushed>1"], f"$.rules[1] {SAME}", POLICIES),
    (["1 prefix=a,a count>1", "2 prefix=a pushed>1"], f"$.rules[1] {SAME}", OURS),
    (["1 prefix=a,b count>1", "2 prefix=a pushed>1"], None, OURS),
    (["1 prefix=a count>1", "2 prefix=ab pushed>1"], None, POLICIES),
    (["1 pattern=a* count>1", "2 pattern=a* pushed>1"], f"$.rules[1] {SAME}", POLICIES),
    (["1 pattern=a count>1", "2 prefix=a pushed>1"], None, OURS),
    (["1 prefix=a count>1", "2 prefix=a archived>90"], None, POLICIES),
    (["1 prefix=a count>1", "1 prefix=b count>1"], f"$.rules[1].rulePriority {TWICE}", PROPERTIES),
    (["1 any count>1", "1 any archived>90"], f"$.rules[1].rulePriority {TWICE}", PROPERTIES),
    ([f"{number} prefix=a{number} count>1" for number in range(1, 51)], None, QUOTAS),
    (
        [f"{number} prefix=a{number} count>1" for number in range(1, 52)],
        "$.rules array is too long: must have at most 50 elements but instance has 51 elements",
        QUOTAS,
    ),
    ([], "$.rules array is too short: must have at least 1 elements but instance has 0 elements", OURS),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "refusal", "page"), TOGETHER, ids=range(len(TOGETHER)))
def test_rules_must_go_together(lines: list[str], refusal: str | None, page: str) -> None:
    document = text(map(rule, lines))
    if refusal is None:
        assert len(parse(document).rules) == len(lines)
        return
    with pytest.raises(Malformed) as trouble:
        parse(document)

    assert f"{trouble.value.path} {trouble.value.why}" == refusal


# --- the text ---------------------------------------------------------------------------------------------------------

TEXTS: list[tuple[str, str, str, str]] = [
    ("", "$", NO_POLICY, "not JSON: Expecting value at character 0"),
    ("{", "$", NO_POLICY, "not JSON: brackets do not match, or are nested more than 64 levels deep"),
    ("[]", "$", NO_POLICY, "expected an object"),
    ('"rules"', "$", NO_POLICY, "expected an object"),
    ("null", "$", NO_POLICY, "expected an object"),
    ("{}", "$", missing("rules"), ""),
    ('{"Rules": []}', "$", missing("rules"), ""),
    ('{"rules": [], "version": 1}', "$", foreign("version"), ""),
    ('{"rules": {}}', "$.rules", kind("object", "array"), ""),
    ('{"rules": null}', "$.rules", kind("null", "array"), ""),
    ('{"rules": [1]}', "", kind("integer", "object"), ""),
    ('{"rules": [], "rules": []}', "$", NO_POLICY, 'the key "rules" appears twice in one object'),
    ("[" * 65 + "]" * 65, "$", NO_POLICY, "not JSON: brackets do not match, or are nested more than 64 levels deep"),
    ('{"rules": NaN}', "$", NO_POLICY, "not JSON: NaN is no JSON value"),
    (" " * 30_721, "$", "Member must have length less than or equal to 30720", ""),
    (" " * 30_720, "$", NO_POLICY, "not JSON: Expecting value at character 30720"),
]


@pytest.mark.parametrize(("document", "path", "why", "hint"), TEXTS, ids=range(len(TEXTS)))
def test_a_text_that_is_no_policy_is_refused(document: str, path: str, why: str, hint: str) -> None:
    assert told(document) == (path, why, hint)


def test_the_longest_text_is_read() -> None:
    plain = text([rule("1 any count>1")])

    assert parse(plain.ljust(30_720)) == parse(plain)


def test_a_refusal_is_a_whole_sentence() -> None:
    with pytest.raises(Malformed) as plain:
        parse(text([changed({"action": ...})]))
    with pytest.raises(Malformed) as hinted:
        parse(text([rule("1 any count>1"), changed({"selection.countUnit": ...})]))

    assert str(plain.value) == (
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
        "'Lifecycle policy validation failure: "
        'object has missing required properties (["action"])\': $.rules[0]'
    )
    assert str(hinted.value) == (
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
        "'Lifecycle policy validation failure: "
        "instance failed to match exactly one schema (matched 0 out of 4)': $.rules[1].selection: "
        "sinceImagePushed needs the countUnit days"
    )


def test_names_that_are_not_known_are_told_briefly() -> None:
    names = {f"{number:02}{'x' * 100}": 1 for number in range(20)}
    _, why, _ = told(text([changed(names)]))

    assert why.count("...") == 10
    assert len(why) < 800


def test_rules_are_read_in_the_order_of_their_priorities() -> None:
    found = parse(text(map(rule, ["7 prefix=a count>1", "2 prefix=b count>1", "9 any count>1", "4 untagged count>1"])))

    assert [each.priority for each in found.rules] == [2, 4, 7, 9]


def test_the_tables_hold_many_distinct_refusals_each_with_its_page() -> None:
    refused = {json.dumps(changed(changes), sort_keys=True) for changes, *_ in REFUSED}
    pages = {PROPERTIES, POLICIES, EXAMPLES, QUOTAS, OBSERVED, OURS}

    assert len(refused) == len(REFUSED) >= 60
    assert {row[-1] for row in (*ACCEPTED, *REFUSED, *TOGETHER)} == pages


# --- extensions -------------------------------------------------------------------------------------------------------

KEEP: Changes = {"action.type": "keep"}
FREE: Changes = {**KEEP, "selection": {"tagStatus": "any"}}
KEPT: list[tuple[Changes, Json]] = [
    (KEEP, {"count_type": "sinceImagePushed"}),
    ({**KEEP, **COUNT}, {"count_type": "imageCountMoreThan"}),
    ({**KEEP, "selection.countType": "sinceImagePulled"}, {"count_type": "sinceImagePulled"}),
    (
        {**KEEP, **ARCHIVED, "selection.countNumber": 14},
        {"count_type": "sinceImageTransitioned", "storage_class": "archive"},
    ),
    (FREE, {"tag_status": "any", "patterns": (), "count_type": None, "count": 0}),
    (
        {**FREE, "selection.storageClass": "archive"},
        {"tag_status": "any", "patterns": (), "count_type": None, "count": 0, "storage_class": "archive"},
    ),
    ({"selection.countType": "sinceImagePulled"}, {"count_type": "sinceImagePulled", "action": "expire"}),
]


@pytest.mark.parametrize(("changes", "different"), KEPT, ids=range(len(KEPT)))
def test_with_extensions_more_is_accepted(changes: Changes, different: Json) -> None:
    plain: Json = {
        "priority": 1,
        "tag_status": "tagged",
        "patterns": ("prod*",),
        "count_type": "sinceImagePushed",
        "count": 14,
        "action": "keep",
    }
    document = text([changed(changes)])

    assert parse(document, extensions=True) == Policy((Rule(**plain | different),))
    with pytest.raises(Malformed):
        parse(document)


NOT_KEPT: list[tuple[Changes, str, str, str]] = [
    ({**KEEP, "action.targetStorageClass": "archive"}, ".action", ACTION, "keep has no targetStorageClass"),
    ({**KEEP, "selection.countNumber": ...}, ".selection", missing("countNumber"), ""),
    ({**KEEP, "selection.countType": ...}, ".selection", missing("countType"), ""),
    (
        {**KEEP, "selection.countType": ..., "selection.countNumber": ...},
        ".selection",
        missing("countNumber", "countType"),
        "",
    ),
    ({**KEEP, "selection.countNumber": 0}, ".selection.countNumber", low(0), ""),
    ({**KEEP, "selection.countUnit": ...}, ".selection", SELECTION, "sinceImagePushed needs the countUnit days"),
    ({**KEEP, **ARCHIVED, "selection.countNumber": 0}, ".selection.countNumber", low(0), ""),
    (
        {**KEEP, "selection.storageClass": "archive"},
        ".selection",
        SELECTION,
        "sinceImagePushed selects in the storageClass standard only",
    ),
    ({**FREE, "selection": {"tagStatus": "tagged"}}, ".selection", NEEDS_TAGS, ""),
    ({**FREE, "selection": {}}, ".selection", missing("tagStatus"), ""),
    ({"action.type": "retain"}, ".action.type", other("retain", "expire", "keep", "transition"), ""),
    ({**ARCHIVED, "selection.countNumber": 89}, ".selection.countNumber", low(89, 90), ""),
    ({"selection": {"tagStatus": "any"}}, ".selection", missing("countNumber", "countType"), ""),
]


@pytest.mark.parametrize(("changes", "path", "why", "hint"), NOT_KEPT, ids=range(len(NOT_KEPT)))
def test_with_extensions_not_everything_is_accepted(changes: Changes, path: str, why: str, hint: str) -> None:
    assert told(text([changed(changes)]), extensions=True) == (path, why, hint)


@pytest.mark.parametrize(
    "lines",
    [
        ["1 any keep", "2 any count>1"],
        ["1 any keep", "2 any count>1 keep", "3 any pulled>1 keep"],
        ["1 untagged count>1 keep", "2 untagged pushed>1"],
        ["1 prefix=a count>1 keep", "2 prefix=a pulled>1 keep", "3 prefix=a pushed>1"],
        ["3 any keep", "2 any count>1"],
    ],
    ids=str,
)
def test_keep_rules_may_select_what_other_rules_do(lines: list[str]) -> None:
    assert len(parse(text(map(rule, lines)), extensions=True).rules) == len(lines)


def test_keep_rules_have_priorities_of_their_own() -> None:
    _, why, _ = told(text(map(rule, ["1 any keep", "1 any count>1"])), extensions=True)

    assert why == TWICE


# --- any text ---------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 120)
    | st.sampled_from(["any", "tagged", "days", "archive", "keep", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "x"]), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(
    ["rulePriority", "description", "selection", "action", "action.type", "action.targetStorageClass", "x"]
    + [f"selection.{name}" for name in ("tagStatus", "tagPatternList", "countType", "countUnit", "countNumber")]
)


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.booleans())
def test_any_value_anywhere_is_read_or_refused(changes: Changes, extensions: bool) -> None:
    inner_last = dict(sorted(changes.items(), key=lambda item: -item[0].count(".")))
    document = text([changed(inner_last)])
    try:
        [found] = parse(document, extensions=extensions).rules
    except Malformed as trouble:
        assert trouble.path.startswith("$.rules[0]")
    else:
        assert found.priority >= 1
        assert found.action != "keep" or extensions


@given(st.text(max_size=300) | st.text('{}[]":,rules 1', max_size=300))
def test_any_text_is_read_or_refused(document: str) -> None:
    with pytest.raises(Malformed, match="Invalid parameter at 'LifecyclePolicyText'"):
        parse(document)
