"""Remarks on lawful policies: what is told, where, and that a remark is never wrong."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.access import Policies, Source, evaluate
from policies.documents import Policy
from policies.lint import Remark, lint
from tests.policies.asking import HERE, OURS, USER, allow, deny, grant, refuse, refuse_all_but, source
from tests.policies.reference import Dice, real

Json = dict[str, Any]

KNOWN = ["ecr:PutImage", "ecr:BatchGetImage", "ecr:GetAuthorizationToken", "iam:GetUser", "sts:AssumeRole"]


def read(*statements: Json, form: Any = "identity", version: str = "2012-10-17") -> Policy:
    found = source(*statements, form=form, version=version).policy
    assert found is not None
    return found


def remarks(*statements: Json, **options: Any) -> list[tuple[str, str]]:
    return [(each.path, each.text) for each in lint(read(*statements, **options), KNOWN)]


def when(**condition: Any) -> Json:
    """An Allow with a condition on one key."""
    return allow(Condition={name.replace("_", ":"): {"a:b": value} for name, value in condition.items()})


# --- actions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        ("ecr:PutImage", []),
        ("ECR:putimage", []),
        ("ecr:Put*", []),
        ("*", []),
        ("s3:Anything", []),
        ("ecr-public:Anything", []),
        ("ecr:PutImages", ["ecr:PutImages"]),
        ("ECR:Putt*", ["ECR:Putt*"]),
        ("iam:PutImage", ["iam:PutImage"]),
        (["ecr:PutImage", "ecr:Pull", "sts:?", "ecr:Push"], ["ecr:Pull", "sts:?", "ecr:Push"]),
    ],
)
def test_an_action_that_is_none(actions: Any, told: list[str]) -> None:
    expected = [f'"{name}" matches no action that there is' for name in told]

    assert remarks(allow(Action=actions)) == [("$.Statement[0].Action", text) for text in expected]
    assert [
        text for path, text in remarks(deny(Action=..., NotAction=actions)) if path.endswith("NotAction")
    ] == expected


def test_every_statement_is_looked_at() -> None:
    found = remarks(allow(Action="ecr:PutImage"), allow(Action="ecr:Nothing", Resource=OURS))

    assert [path for path, _ in found] == ["$.Statement[1].Action"]


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        (["ecr:PutImage", "ecr:BatchGetImage"], []),
        (["ecr:PutImage", "ecr:PutImage"], [("ecr:PutImage", "ecr:PutImage")]),
        (["ecr:PutImage", "ECR:putimage"], [("ECR:putimage", "ecr:PutImage")]),
        (["ecr:PutImage", "ecr:*"], [("ecr:PutImage", "ecr:*")]),
        (["ecr:*", "ecr:PutImage"], [("ecr:PutImage", "ecr:*")]),
        (["ecr:Put*", "ecr:*Image", "ecr:P*"], [("ecr:Put*", "ecr:P*")]),
        (["ecr:*Im*", "ecr:*Image*", "ecr:?utImage"], [("ecr:*Image*", "ecr:*Im*"), ("ecr:?utImage", "ecr:*Im*")]),
        (["ecr:Put?*", "ecr:Put*"], [("ecr:Put?*", "ecr:Put*")]),
        (["ecr:?utImage", "ecr:PutImage"], []),  # true, but not told: question marks are not looked into
    ],
)
def test_an_action_that_is_there_already(actions: list[str], told: list[tuple[str, str]]) -> None:
    expected = [f'"{text}" is already in "{wider}"' for text, wider in told]

    assert remarks(allow(Action=actions)) == [("$.Statement[0].Action", text) for text in expected]


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        ([OURS, "arn:aws:ecr:*:*:repository/*"], [(OURS, "arn:aws:ecr:*:*:repository/*")]),
        (["*", OURS], [(OURS, "*")]),
        ([OURS, OURS.replace("team", "Team")], []),
        (["arn:aws:ecr:*:*:repository/${aws:x}", "arn:aws:ecr:*:*:repository/*"], [0]),
        (["arn:aws:ecr:*:*:repository/${*}", "arn:aws:ecr:*:*:repository/${x}"], []),
    ],
)
def test_a_resource_that_is_there_already(resources: list[str], told: list[Any]) -> None:
    pairs = [(resources[0], resources[1]) if pair == 0 else pair for pair in told]
    expected = [f'"{text}" is already in "{wider}"' for text, wider in pairs]

    assert remarks(allow(Resource=resources)) == [("$.Statement[0].Resource", text) for text in expected]
    path = "$.Statement[0].NotResource"
    assert remarks(deny(Resource=..., NotResource=resources)) == [(path, text) for text in expected]


# --- too much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "path", "text"),
    [
        (grant("*"), "Principal", "everyone"),
        (grant({"AWS": [USER, "*"]}), "Principal", "everyone"),
        (grant(USER, Action=..., NotAction="ecr:PutImage"), "NotAction", "every other action"),
        (grant(USER, NotResource=OURS), "NotResource", "every other resource"),
    ],
)
def test_an_allow_that_is_too_wide(statement: Json, path: str, text: str) -> None:
    ((told, why),) = remarks(statement, form="resource")

    assert told == f"$.Statement[0].{path}"
    assert text in why
    if "NotPrincipal" not in statement:
        assert remarks(statement | {"Effect": "Deny"}, form="resource") == []


@pytest.mark.parametrize(
    "statement",
    [
        grant("*", Condition={"ArnEquals": {"aws:PrincipalArn": USER}}),
        grant(HERE),
        refuse("*"),
        refuse_all_but({"AWS": HERE}),
    ],
)
def test_who_is_named_or_limited_is_not_everyone(statement: Json) -> None:
    assert remarks(statement, form="resource") == []


def test_a_variable_in_a_policy_of_the_old_version() -> None:
    statement = allow(
        Resource=["arn:aws:ecr:*:*:repository/${a}", OURS], Condition={"StringLike": {"a:b": ["x", "${c}"]}}
    )

    assert remarks(statement) == []
    assert remarks(statement, version="2008-10-17") == [
        ("$.Statement[0]", '"arn:aws:ecr:*:*:repository/${a}" is no variable without Version 2012-10-17'),
        ("$.Statement[0]", '"${c}" is no variable without Version 2012-10-17'),
    ]
    excepted = allow(Resource=..., NotResource="arn:aws:ecr:*:*:${a}", Effect="Deny")
    assert len(remarks(excepted, version="2008-10-17")) == 1


# --- conditions -------------------------------------------------------------------------------------------------------

NEVER = [
    {"StringEquals": "a", "StringEqualsIfExists": "b"},
    {"StringEquals": "a", "StringNotEquals": ["a", "b"]},
    {"StringEquals": ["a", "b"], "StringLike": "c*"},
    {"StringLike": "c*", "StringEqualsIfExists": ["a", "b"]},
    {"StringEquals": "a", "Null": "true"},
    {"StringLike": "a*", "Null": "true"},
    {"StringLikeIfExists": "a*", "Null": []},
    {"StringEquals": []},
    {"Bool": "true", "BoolIfExists": "false"},
    {"NumericEquals": "1", "NumericLessThan": "1"},
    {"NumericLessThan": "5", "NumericGreaterThan": "5"},
    {"NumericLessThan": "5", "NumericGreaterThanEquals": "5"},
    {"NumericLessThanEquals": "5", "NumericGreaterThan": "5.0"},
    {"NumericLessThanEquals": ["1", "4"], "NumericGreaterThanEquals": ["5", "6"]},
    {"NumericLessThanIfExists": "4", "NumericGreaterThan": "5"},
    {"Null": "false", "NumericLessThan": "4", "NumericGreaterThan": "5"},
    {"DateLessThan": "2020-01-01", "DateGreaterThan": "2020-01-02"},
    {"DateEquals": "2020-01-01", "DateNotEquals": "2020-01-01T00:00:00Z"},
    {"BinaryEquals": "eA==", "BinaryEqualsIfExists": "eQ=="},
    {"NumericEquals": "1", "Null": "true"},
    {"DateEquals": "2020-01-01", "StringEquals": "x"},
    {"Bool": "true", "BoolIfExists": "false", "Null": "false"},
    {"StringLike": [], "StringNotEquals": "a"},
    {"NumericLessThan": [], "NumericGreaterThan": "1"},
]

SOMETIMES = [
    {"StringEquals": "a"},
    {"StringEquals": ["a", "b"], "StringNotEquals": "a"},
    {"StringEquals": "ab", "StringLike": "a*"},
    {"StringEqualsIfExists": "a", "StringLikeIfExists": "b*"},
    {"StringEqualsIfExists": "a", "Null": "true"},
    {"StringNotEquals": "a", "Null": "true"},
    {"StringEquals": "a", "Null": "false"},
    {"StringEquals": "a", "Null": ["true", "false"]},
    {"StringNotEquals": []},
    {"StringNotEquals": [], "StringLike": "a*"},
    {"Bool": "false"},
    {"StringLike": "a*", "StringNotLike": "a*"},  # never, but patterns are not compared
    {"StringEquals": "${aws:x}", "StringEqualsIfExists": "b"},
    {"StringEquals": "a", "ForAnyValue_StringEquals": "b"},
    {"ForAllValues_StringEquals": "a", "ForAnyValue_StringEquals": "b"},
    {"Bool": "true"},
    {"NumericLessThan": "5", "NumericGreaterThan": "4.999"},
    {"NumericLessThanEquals": "5", "NumericGreaterThanEquals": "5"},
    {"NumericLessThan": ["1", "9"], "NumericGreaterThan": ["5", "20"]},
    {"NumericNotEquals": "5", "NumericGreaterThan": "5"},
    {"NumericLessThanIfExists": "4", "NumericGreaterThanIfExists": "5"},
    {"NumericLessThan": "4", "DateGreaterThan": "2020-01-01"},
    {"DateEquals": "1970-01-01T00:01Z", "NumericEquals": "60"},  # 60 is both
    {"Bool": "true", "StringNotEquals": ["true", "false"]},  # True
    {"BinaryEquals": "eA==", "StringLike": "x*"},  # never, but bytes are listed by themselves only
    {"IpAddress": "10.0.0.0/8", "NotIpAddress": "10.0.0.0/8"},  # never, but ranges are not compared
    {},
]


@pytest.mark.parametrize("condition", NEVER, ids=str)
def test_a_condition_that_nothing_satisfies(condition: Json) -> None:
    assert remarks(when(**condition)) == [("$.Statement[0].Condition", 'no value of "a:b" satisfies all of it')]


@pytest.mark.parametrize("condition", SOMETIMES, ids=str)
def test_a_condition_that_something_may_satisfy(condition: Json) -> None:
    assert remarks(when(**condition)) == []


def test_conditions_are_compared_by_key() -> None:
    condition = {"StringEquals": {"a:b": "1", "a:c": "2"}, "StringLike": {"a:c": "1", "a:b": "1"}}

    assert remarks(allow(Condition=condition)) == [
        ("$.Statement[0].Condition", 'no value of "a:c" satisfies all of it')
    ]


# --- statements -------------------------------------------------------------------------------------------------------

IF_X = {"Condition": {"StringEquals": {"aws:x": "1"}}}
IF_X_AND_Y = {"Condition": {"StringEquals": {"aws:x": "1", "aws:y": "1"}}}
SAYS_NOTHING = "says nothing that $.Statement[{}] does not say"
DENIED = "allows only what $.Statement[{}] denies"


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (allow(), allow(), (1, SAYS_NOTHING)),
        (allow(), allow(Action="ecr:*"), (1, SAYS_NOTHING)),
        (allow(Action="ecr:*"), allow(), (0, SAYS_NOTHING)),
        (allow(Action="ecr:*"), allow(Action="ECR:PutImage", Resource=OURS), (1, SAYS_NOTHING)),
        (allow(Action=["ecr:P*", "iam:*"]), allow(Action=["iam:GetUser", "ecr:PutImage"]), (1, SAYS_NOTHING)),
        (allow(Action=["ecr:P*"]), allow(Action=["iam:GetUser", "ecr:PutImage"]), None),
        (allow(Action="ecr:*", Resource=OURS), allow(Action="ecr:PutImage"), None),
        (allow(), allow(**IF_X), (1, SAYS_NOTHING)),
        (allow(**IF_X), allow(), (0, SAYS_NOTHING)),
        (allow(**IF_X), allow(**IF_X_AND_Y), (1, SAYS_NOTHING)),
        (allow(**IF_X_AND_Y), allow(**IF_X), (0, SAYS_NOTHING)),
        (deny(), deny(Action="ecr:PutImage"), (1, SAYS_NOTHING)),
        (deny(), deny(), (1, SAYS_NOTHING)),
        (allow(Resource=OURS), allow(Resource=OURS.replace("team", "Team")), None),
        (deny(), allow(), (1, DENIED)),
        (allow(Action="ecr:PutImage"), deny(Action="ecr:*"), (0, DENIED)),
        (allow(Action="ecr:*"), deny(Action="ecr:PutImage"), None),
        (allow(), deny(**IF_X), None),
        (allow(**IF_X), deny(**IF_X), (0, DENIED)),
        (deny(Action=..., NotAction="ecr:*"), deny(Action=..., NotAction="ecr:*", Resource=OURS), (1, SAYS_NOTHING)),
        (deny(Action=..., NotAction="ecr:*"), deny(Action=..., NotAction="iam:*"), None),
        (deny(), deny(Action=..., NotAction="iam:*"), None),  # true, but not told
        (deny(Resource=..., NotResource=OURS), deny(Resource=OURS), None),
        (deny(Resource=..., NotResource=OURS), deny(Resource=..., NotResource=OURS, Action="ecr:*"), (1, SAYS_NOTHING)),
    ],
)
def test_a_statement_that_another_makes_superfluous(first: Json, second: Json, told: tuple[int, str] | None) -> None:
    found = remarks(first, second)

    expected = [] if told is None else [(f"$.Statement[{told[0]}]", told[1].format(1 - told[0]))]
    assert found == expected


@pytest.mark.parametrize("place", [0, 1, 2])
def test_all_other_statements_are_looked_at(place: int) -> None:
    """Also those behind one that has nothing to do with it."""
    statements = [allow(Action="iam:GetUser", Resource=each) for each in (USER, f"{USER}s")]
    statements.insert(place, allow(Action="ecr:PutImage"))

    assert remarks(*statements, allow(Action="ecr:*")) == [(f"$.Statement[{place}]", SAYS_NOTHING.format(3))]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (grant(USER), grant(USER, Action="ecr:*"), (1, SAYS_NOTHING)),
        (grant({"AWS": [USER, HERE]}), grant(USER), (1, SAYS_NOTHING)),
        (grant(USER), grant({"AWS": [USER, HERE]}), (0, SAYS_NOTHING)),
        (refuse("*"), refuse(USER), (1, SAYS_NOTHING)),
        (refuse("*"), grant(USER), (1, DENIED)),
        (grant(USER), grant(HERE), None),
        (refuse_all_but({"AWS": USER}), refuse_all_but({"AWS": USER}, Action="ecr:*"), (1, SAYS_NOTHING)),
        (refuse_all_but({"AWS": USER}), refuse(USER), None),
        (grant(USER), grant(USER, Resource=OURS), (1, SAYS_NOTHING)),
        (refuse(USER), refuse(USER, NotResource=OURS), (1, SAYS_NOTHING)),
        (refuse(USER, NotResource=OURS), refuse(USER, Resource="*"), None),
        (grant(USER, Resource=OURS), grant(USER), (0, SAYS_NOTHING)),
        (grant(USER, Resource=OURS), grant(USER, Resource="*"), (0, SAYS_NOTHING)),
    ],
)
def test_a_statement_of_a_resource_policy_that_another_makes_superfluous(
    first: Json, second: Json, told: tuple[int, str] | None
) -> None:
    expected = [] if told is None else [(f"$.Statement[{told[0]}]", told[1].format(1 - told[0]))]

    assert remarks(first, second, form="resource") == expected


def test_a_statement_is_told_once() -> None:
    assert remarks(allow(), allow(Action="ecr:*"), allow(Action="ecr:*")) == [
        ("$.Statement[1]", SAYS_NOTHING.format(0)),
        ("$.Statement[2]", SAYS_NOTHING.format(0)),
    ]
    assert remarks(deny(), allow(Action="ecr:*"), deny(Action="ecr:*")) == [
        ("$.Statement[1]", DENIED.format(0)),
        ("$.Statement[2]", SAYS_NOTHING.format(0)),
    ]


# --- no remark is wrong -----------------------------------------------------------------------------------------------


def without(policy: Policy, index: int) -> Policy:
    return dataclasses.replace(policy, statements=(*policy.statements[:index], *policy.statements[index + 1 :]))


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.sampled_from(["identity", "resource"]))
def test_what_is_told_to_say_nothing_can_be_taken_away(seed: int, form: str) -> None:
    dice = Dice(seed)
    document = dice.document(form, deny=0.3)
    policy = read(*document["Statement"], *dice.document(form)["Statement"], form=form, version=document["Version"])
    said = ("says nothing", "allows only what", "no value of")
    told = [each for each in lint(policy, KNOWN) if each.text.startswith(said)]
    for remark in told:
        less = without(policy, int(remark.path.split("[")[1].split("]")[0]))
        for _ in range(20):
            case = dice.case()
            if remark.text.startswith("no value of"):  # without a quantifier an operator is about one value
                case["keys"] = {key: value for key, value in case["keys"].items() if isinstance(value, str)}
            request, policies = real(case)
            before, after = (_with(policies, form, each) for each in (policy, less))

            assert evaluate(request, before).kind == evaluate(request, after).kind, remark


def _with(policies: Policies, form: str, policy: Policy) -> Policies:
    changed: dict[str, Any] = {form: (Source(name="p", policy=policy),)}
    return dataclasses.replace(policies, **changed)


def test_remarks_are_values() -> None:
    assert lint(read(allow()), KNOWN) == []
    assert Remark(path="$", text="x") == Remark(path="$", text="x")
