"""Variables in policies; each case names the page that it rests on, as `tests/policies/asking.py` says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import variables
from policies.variables import Keys, Variable
from policies.wildcards import Verbatim
from tests.policies.asking import BUILD, HERE, NOBODY, OURS, Context, allow, ask, deny, grant, short

VARIABLES = "reference_policies_variables"
VERSION = "reference_policies_elements_version"
RESOURCE = "reference_policies_elements_resource"
NOT_RESOURCE = "reference_policies_elements_notresource"
MULTI = "reference_policies_condition-single-vs-multi-valued-context-keys"

TEAM = "aws:PrincipalTag/team"
REPOSITORIES = f"arn:aws:ecr:us-east-1:{HERE}:repository"

# The Resource of a policy, the resource of the request, its keys, whether it is meant, the page.
ON: list[tuple[Any, str, Context, bool, str]] = [
    ("${aws:username}/app", "Bob/app", {}, True, VARIABLES),
    ("${aws:username}/app", "bob/app", {}, False, VARIABLES),
    ("${aws:username}/app", "Ann/app", {}, False, VARIABLES),
    ("${AWS:UserName}/app", "Bob/app", {}, True, VARIABLES),
    ("${aws:username}", "Bob", {}, True, RESOURCE),
    ("${aws:username}/*", "Bob/a/b", {}, True, VARIABLES),
    ("${aws:username}*", "Bobby", {}, True, VARIABLES),
    ("*${aws:username}", "x/Bob", {}, True, VARIABLES),
    ("a-${aws:username}-?", "a-Bob-1", {}, True, VARIABLES),
    ("a-${aws:username}-?", "a-Bob-12", {}, False, VARIABLES),
    ("${aws:username}-${aws:userid}", "Bob-AIDAEXAMPLE", {}, True, VARIABLES),
    ("${aws:username}${aws:username}", "BobBob", {}, True, VARIABLES),
    ("${aws:username}${aws:username}", "Bob", {}, False, VARIABLES),
    (f"${{{TEAM}}}/app", "red/app", {TEAM: "red"}, True, VARIABLES),
    (f"${{{TEAM}}}/app", "red/app", {TEAM.upper(): "red"}, True, VARIABLES),
    (f"${{{TEAM}}}/app", "red/app", {TEAM: "blue"}, False, VARIABLES),
    (f"${{{TEAM}}}/app", "/app", {TEAM: ""}, True, VARIABLES),
    # what a variable stands for is no pattern
    (f"${{{TEAM}}}/app", "red/app", {TEAM: "*"}, False, VARIABLES),
    (f"${{{TEAM}}}/app", "red/app", {TEAM: "r?d"}, False, VARIABLES),
    (f"${{{TEAM}}}/app", "*/app", {TEAM: "*"}, True, VARIABLES),
    (f"${{{TEAM}}}/app", "Bob/app", {TEAM: "${aws:username}"}, False, VARIABLES),
    # a variable that stands for nothing
    (f"${{{TEAM}}}/app", "red/app", {}, False, VARIABLES),
    (f"${{{TEAM}}}*", "red/app", {}, False, VARIABLES),
    (f"*${{{TEAM}}}", "red/app", {}, False, VARIABLES),
    (f"${{{TEAM}}}/app", f"${{{TEAM}}}/app", {}, False, VARIABLES),
    (f"${{{TEAM}}}/${{aws:username}}", "red/Bob", {}, False, VARIABLES),
    ([f"{REPOSITORIES}/${{{TEAM}}}", f"{REPOSITORIES}/${{aws:username}}"], "Bob", {}, True, VARIABLES),
    ([f"{REPOSITORIES}/${{{TEAM}}}", f"{REPOSITORIES}/Bob"], "Bob", {}, True, VARIABLES),
    # keys with several values are no variables
    ("${aws:TagKeys}/app", "red/app", {"aws:TagKeys": ("red", "blue")}, False, MULTI),
    ("${aws:TagKeys}/app", "red/app", {"aws:TagKeys": ("red",)}, False, MULTI),
    ("${aws:TagKeys, 'red'}/app", "red/app", {"aws:TagKeys": ("blue",)}, True, MULTI),
    # defaults
    (f"${{{TEAM}, 'all'}}/app", "all/app", {}, True, VARIABLES),
    (f"${{{TEAM}, 'all'}}/app", "red/app", {TEAM: "red"}, True, VARIABLES),
    (f"${{{TEAM}, 'all'}}/app", "all/app", {TEAM: "red"}, False, VARIABLES),
    (f"${{{TEAM}, 'all'}}/app", "/app", {TEAM: ""}, True, VARIABLES),
    (f"${{{TEAM}, ''}}app", "app", {}, True, VARIABLES),
    (f"${{{TEAM},'all'}}/app", "all/app", {}, True, VARIABLES),
    (f"${{{TEAM}, '*'}}/app", "red/app", {}, False, VARIABLES),
    (f"${{{TEAM}, '*'}}/app", "*/app", {}, True, VARIABLES),
    (f"${{{TEAM}, all}}/app", "all/app", {}, False, VARIABLES),
    (f"${{{TEAM} 'all'}}/app", "all/app", {}, False, VARIABLES),
    # characters
    ("a${*}", "a*", {}, True, VARIABLES),
    ("a${*}", "ab", {}, False, VARIABLES),
    ("a${?}", "a?", {}, True, VARIABLES),
    ("a${?}", "ab", {}, False, VARIABLES),
    ("a${$}", "a$", {}, True, VARIABLES),
    ("${$}{aws:username}", "${aws:username}", {}, True, VARIABLES),
    ("${$}{aws:username}", "Bob", {}, False, VARIABLES),
    ("a${*}*", "a*b", {}, True, VARIABLES),
    ("a${*}*", "ab", {}, False, VARIABLES),
    # what is no variable
    ("$aws:username", "$aws:username", {}, True, VARIABLES),
    ("{aws:username}", "{aws:username}", {}, True, VARIABLES),
    ("${aws:username", "${aws:username", {}, True, VARIABLES),
    ("${a${aws:username}", "${aBob", {}, True, VARIABLES),
    ("${}", "", {}, False, VARIABLES),
    ("${}", "${}", {}, False, VARIABLES),
]

# The operator, the policy's value, the request's value, its other keys, whether it holds, the page.
WHEN: list[tuple[str, Any, str | tuple[str, ...], Context, bool, str]] = [
    ("StringEquals", "${aws:username}", "Bob", {}, True, VARIABLES),
    ("StringEquals", "${aws:username}", "Ann", {}, False, VARIABLES),
    ("StringEquals", "x-${aws:username}", "x-Bob", {}, True, VARIABLES),
    ("StringEquals", f"${{{TEAM}}}", "red", {TEAM: "red"}, True, VARIABLES),
    ("StringEquals", f"${{{TEAM}}}", "red", {}, False, VARIABLES),
    ("StringEquals", f"${{{TEAM}}}", "", {}, False, VARIABLES),
    ("StringEquals", [f"${{{TEAM}}}", "red"], "red", {}, True, VARIABLES),
    ("StringEquals", ["red", f"${{{TEAM}}}"], "blue", {TEAM: "blue"}, True, VARIABLES),
    ("StringEquals", f"${{{TEAM}, 'red'}}", "red", {}, True, VARIABLES),
    ("StringEquals", "${*}", "*", {}, True, VARIABLES),
    ("StringEquals", "${*}", "${*}", {}, False, VARIABLES),
    ("StringEquals", "a${*}b${?}", "a*b?", {}, True, VARIABLES),
    ("StringEquals", "a${aws:username}b", "aBobb", {}, True, VARIABLES),
    ("StringNotEquals", f"${{{TEAM}}}", "red", {}, True, VARIABLES),
    ("StringNotEquals", f"${{{TEAM}}}", "red", {TEAM: "red"}, False, VARIABLES),
    ("StringNotEquals", f"${{{TEAM}}}", "red", {TEAM: "blue"}, True, VARIABLES),
    ("StringNotEquals", [f"${{{TEAM}}}", "red"], "red", {}, False, VARIABLES),
    ("StringEqualsIgnoreCase", "${aws:username}", "BOB", {}, True, VARIABLES),
    ("StringNotEqualsIgnoreCase", "${aws:username}", "BOB", {}, False, VARIABLES),
    ("StringLike", "${aws:username}/*", "Bob/x", {}, True, VARIABLES),
    ("StringLike", "${aws:username}/*", "Ann/x", {}, False, VARIABLES),
    ("StringLike", f"${{{TEAM}}}", "red", {TEAM: "*"}, False, VARIABLES),
    ("StringLike", f"${{{TEAM}}}", "*", {TEAM: "*"}, True, VARIABLES),
    ("StringLike", f"${{{TEAM}}}*", "red", {}, False, VARIABLES),
    ("StringLike", "a${*}b*", "a*bc", {}, True, VARIABLES),
    ("StringLike", "a${*}b*", "axbc", {}, False, VARIABLES),
    ("StringLike", ["x", "${aws:username}*"], "Bobby", {}, True, VARIABLES),
    ("StringNotLike", f"${{{TEAM}}}*", "red", {}, True, VARIABLES),
    ("StringNotLike", f"${{{TEAM}}}*", "red", {TEAM: "r"}, False, VARIABLES),
    ("ArnLike", "arn:aws:iam::*:user/${aws:username}", f"arn:aws:iam::{HERE}:user/Bob", {}, True, VARIABLES),
    ("ArnLike", "arn:aws:iam::*:user/${aws:username}", f"arn:aws:iam::{HERE}:user/Ann", {}, False, VARIABLES),
    ("ArnLike", "${aws:PrincipalArn}", f"arn:aws:iam::{HERE}:user/Bob", {}, True, VARIABLES),
    ("ArnLike", "${aws:PrincipalArn}*", f"arn:aws:iam::{HERE}:user/Bobby", {}, True, VARIABLES),
    ("ArnEquals", "arn:aws:iam::${aws:PrincipalAccount}:user/*", f"arn:aws:iam::{HERE}:user/x", {}, True, VARIABLES),
    ("ArnEquals", f"arn:aws:iam::${{{TEAM}}}:user/x", "arn:aws:iam::1:user/x", {TEAM: "*"}, False, VARIABLES),
    ("ArnEquals", f"arn:aws:iam::${{{TEAM}}}", "arn:aws:iam::1:*", {TEAM: "1:*"}, True, VARIABLES),
    ("ArnEquals", f"arn:aws:iam::${{{TEAM}}}", "arn:aws:iam::1:role/x", {TEAM: "1:*"}, False, VARIABLES),
    ("ArnEquals", f"arn:aws:iam::${{{TEAM}}}", "arn:aws:iam::1:role/x", {TEAM: "1"}, False, VARIABLES),
    ("ArnEquals", f"arn:aws:iam::1:user/${{{TEAM}}}", "arn:aws:iam::1:user/x", {}, False, VARIABLES),
    ("ArnNotEquals", f"arn:aws:iam::1:user/${{{TEAM}}}", "arn:aws:iam::1:user/x", {}, True, VARIABLES),
    ("ArnNotLike", "arn:aws:iam::*:user/${aws:username}", f"arn:aws:iam::{HERE}:user/Bob", {}, False, VARIABLES),
    ("Bool", "${aws:SecureTransport}", "true", {"aws:SecureTransport": "true"}, True, VARIABLES),
    ("Bool", "${aws:SecureTransport}", "true", {"aws:SecureTransport": "false"}, False, VARIABLES),
    ("Bool", "${aws:SecureTransport}", "True", {"aws:SecureTransport": "tRUE"}, True, VARIABLES),
    ("Bool", "${aws:SecureTransport}", "x", {"aws:SecureTransport": "x"}, False, VARIABLES),
    ("Bool", "${aws:SecureTransport}", "false", {}, False, VARIABLES),
    ("ForAllValues:StringEquals", ["${aws:username}", "x"], ("Bob", "x"), {}, True, VARIABLES),
    ("ForAnyValue:StringNotEquals", f"${{{TEAM}}}", ("x",), {}, True, VARIABLES),
]


@pytest.mark.parametrize(("text", "resource", "keys", "meant", "page"), ON)
def test_in_a_resource(text: Any, resource: str, keys: Context, meant: bool, page: str) -> None:
    texts = text if isinstance(text, list) else f"{REPOSITORIES}/{text}"
    where: dict[str, Any] = {"on": f"{REPOSITORIES}/{resource}", "keys": keys}
    allowed = short(ask(identity=allow(Resource=texts), **where))
    excepted = short(ask(identity=allow(Resource=..., NotResource=texts), **where))
    denied = short(ask(identity=[allow(), deny(Resource=texts)], **where))

    assert allowed == ("+" if meant else "-identity")
    assert excepted == ("-identity" if meant else "+")
    assert denied == ("!identity" if meant else "+")


@pytest.mark.parametrize(("operator", "of_policy", "of_request", "keys", "holds", "page"), WHEN)
def test_in_a_condition(
    operator: str, of_policy: Any, of_request: str | tuple[str, ...], keys: Context, holds: bool, page: str
) -> None:
    condition = {operator: {"a:b": of_policy}}
    asked = {**keys, "a:b": of_request}

    assert short(ask(identity=allow(Condition=condition), keys=asked)) == ("+" if holds else "-identity")
    assert short(ask(identity=[allow(), deny(Condition=condition)], keys=asked)) == ("!identity" if holds else "+")


@pytest.mark.parametrize(
    ("statement", "keys"),
    [
        (allow(Resource=f"{REPOSITORIES}/${{aws:username}}"), {}),
        (allow(Resource=f"{REPOSITORIES}/B${{*}}"), {}),
        (allow(Condition={"StringEquals": {"a:b": "${aws:username}"}}), {"a:b": "Bob"}),
        (allow(Condition={"StringEquals": {"a:b": "${*}"}}), {"a:b": "*"}),
        (allow(Condition={"Bool": {"a:b": "${aws:SecureTransport}"}}), {"a:b": "true", "aws:SecureTransport": "true"}),
    ],
)
def test_the_old_version_has_no_variables(statement: dict[str, Any], keys: Context) -> None:
    """Pages: reference_policies_elements_version, reference_policies_variables."""
    resource = f"{REPOSITORIES}/Bob" if "username" in statement["Resource"] else f"{REPOSITORIES}/B*"

    assert short(ask(identity=statement, on=resource, keys=keys)) == "+"
    assert short(ask(identity=statement, on=resource, keys=keys, version="2008-10-17")) == "-identity"


@pytest.mark.parametrize(
    ("statement", "on", "keys"),
    [
        (allow(Resource=f"{REPOSITORIES}/${{aws:username}}"), f"{REPOSITORIES}/${{aws:username}}", {}),
        (allow(Resource=f"{REPOSITORIES}/${{a*}}"), f"{REPOSITORIES}/${{abc}}", {}),
        (allow(Condition={"StringEquals": {"a:b": "${aws:username}"}}), OURS, {"a:b": "${aws:username}"}),
        (allow(Condition={"StringLike": {"a:b": "${*}"}}), OURS, {"a:b": "${x}"}),
    ],
)
def test_in_the_old_version_a_variable_is_text(statement: dict[str, Any], on: str, keys: Context) -> None:
    """Page: reference_policies_elements_version."""
    assert short(ask(identity=statement, on=on, keys=keys, version="2008-10-17")) == "+"
    assert short(ask(identity=statement, on=on, keys=keys)) == "-identity"


@pytest.mark.parametrize("layer", ["identity", "boundary", "session", "scps"])
def test_every_kind_of_policy_has_variables(layer: str) -> None:
    """Page: reference_policies_variables."""
    statement = allow(Resource=f"{REPOSITORIES}/${{aws:PrincipalAccount}}")
    layers: dict[str, Any] = {"identity": allow(), layer: (statement,)}

    assert ask(BUILD, on=f"{REPOSITORIES}/{HERE}", **layers).allowed
    assert not ask(BUILD, on=f"{REPOSITORIES}/x", **layers).allowed


def test_a_resource_policy_has_variables_and_anonymous_callers_have_defaults() -> None:
    """Page: reference_policies_variables, "Specifying default values"."""
    statement = grant("*", Condition={"StringEquals": {"a:b": "${aws:userid, 'anonymous'}"}})

    assert ask(NOBODY, resource=statement, keys={"a:b": "anonymous"}).allowed
    assert ask(BUILD, resource=statement, keys={"a:b": "AROAEXAMPLE:run-7"}).allowed
    assert not ask(BUILD, resource=statement, keys={"a:b": "anonymous"}).allowed


def test_the_tables_hold_many_distinct_cases_of_both_outcomes_each_with_its_page() -> None:
    rows = [*(repr(row[:3]) for row in ON), *(repr(row[:4]) for row in WHEN)]
    outcomes = [row[-2] for row in [*ON, *WHEN]]

    assert len(set(rows)) == len(rows) >= 95
    assert min(outcomes.count(True), outcomes.count(False)) >= 40
    assert all(row[-1] for row in [*ON, *WHEN])


# --- the parts themselves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("${a{b}", (Variable("a{b"),)),
        ("a${b", ("a", "${b")),
        ("a*", ("a*",)),
        ("${a}", (Variable("a"),)),
        ("x${A:b}y", ("x", Variable("a:b"), "y")),
        ("${a}${b}", (Variable("a"), Variable("b"))),
        ("${*}", (Verbatim("*"),)),
        ("${a, 'b'}", (Variable("a", "b"),)),
        ("${a,   'b, c'}", (Variable("a", "b, c"),)),
        ("${a, 'b}", (Variable("a, 'b"),)),
        ("${a, 'b'c}", (Variable("a, 'b'c"),)),
        ("${,'b'}", (Variable(",'b'"),)),
        ("${${a}", ("${", Variable("a"))),
        ("$${a}}", ("$", Variable("a"), "}")),
    ],
)
def test_a_text_is_read_into_parts(text: str, parts: tuple[object, ...]) -> None:
    found = variables.read(text, "2012-10-17")

    assert found == parts
    assert [type(part) for part in found] == [type(part) for part in parts]


@given(st.text("${}*?a,' ", max_size=30))
def test_any_text_can_be_read_and_without_variables_it_is_itself(text: str) -> None:
    parts = variables.read(text, "2012-10-17")

    assert variables.read(text, "2008-10-17") == (text,)
    if all(type(part) is str for part in parts):
        assert "".join(str(part) for part in parts) == text


def test_a_text_that_grows_beyond_measure_is_an_error_and_not_a_mismatch() -> None:
    long = {"a:b": "x" * 1_000}

    assert ask(identity=allow(Condition={"StringNotEquals": {"a:c": "${a:b}" * 65}}), keys={**long, "a:c": "y"}).allowed
    found = ask(identity=allow(Condition={"StringNotEquals": {"a:c": "${a:b}" * 66}}), keys={**long, "a:c": "y"})
    assert not found.allowed
    assert "more than 65536 characters" in found.error


@pytest.mark.parametrize("text", ["${" * 5_000, "$" * 10_000, "${a" * 3_000, "${a, '" * 1_500, "{" * 10_000])
def test_hostile_text_is_cut_and_put_together_again(text: str) -> None:
    parts = variables.read(text, "2012-10-17")

    assert "".join(str(part) for part in parts) == text
    assert len(parts) <= text.count("${") + 1


def test_keys_are_counted_as_absent_only_when_asked_for_in_vain() -> None:
    keys = Keys({"A:b": "x", "a:many": ("x", "y"), "a:none": ()})

    assert (keys.of("a:b"), keys.of("a:many"), keys.of("a:none"), keys.of("a:c")) == (("x",), ("x", "y"), (), ())
    assert (keys.single("a:b"), keys.single("a:many"), keys.single("a:d")) == ("x", None, None)
    assert (keys.has("a:b"), keys.has("a:many"), keys.has("a:none"), keys.has("a:e")) == (True, True, False, False)
    assert keys.absent == {"a:none", "a:c", "a:d"}
    assert keys.asked == {"a:b", "a:many", "a:none", "a:c", "a:d", "a:e"}
