"""Which actions and resources a statement speaks of; each case names the page that it rests on."""

from typing import Any

import pytest

from policies import statements, wildcards
from policies.access import Policies, Request, evaluate, stored
from tests.policies.asking import BOB, HERE, OURS, PULL, THERE, allow, ask, deny, grant, refuse, short

ACTION = "reference_policies_elements_action"
NOT_ACTION = "reference_policies_elements_notaction"
RESOURCE = "reference_policies_elements_resource"
NOT_RESOURCE = "reference_policies_elements_notresource"
ARNS = "reference_identifiers"
ECR = "ecr:repository-policies"
ECR_IAM = "ecr:security_iam_service-with-iam"

# The Action element, the action asked for, whether it is meant, the page.
ACTIONS: list[tuple[Any, str, bool, str]] = [
    ("ecr:PutImage", "ecr:PutImage", True, ACTION),
    ("ECR:putimage", "ecr:PutImage", True, ACTION),
    ("ecr:PutImage", "ecr:putimage", True, ACTION),
    ("ecr:PutImage", "ecr:PutImageTagMutability", False, ACTION),
    ("ecr:PutImage", "ecs:PutImage", False, ACTION),
    ("ecr:PutImage", "xecr:PutImage", False, ACTION),
    ("*", "ecr:PutImage", True, ACTION),
    ("ecr:*", "ecr:PutImage", True, ACTION),
    ("ecr:*", "ecr-public:PutImage", False, ACTION),
    ("ecr:*", "ecs:RunTask", False, ACTION),
    ("ECR:*", "ecr:PutImage", True, ACTION),
    ("*:PutImage", "ecr:PutImage", True, ACTION),
    ("ecr:Put*", "ecr:PutImage", True, ACTION),
    ("ecr:put*", "ecr:PutImage", True, ACTION),
    ("ecr:Put*", "ecr:BatchGetImage", False, ACTION),
    ("ecr:*Image", "ecr:PutImage", True, ACTION),
    ("ecr:*Image", "ecr:ListImages", False, ACTION),
    ("ecr:*Image*", "ecr:ListImages", True, ACTION),
    ("ecr:Put?mage", "ecr:PutImage", True, ACTION),
    ("ecr:Put?Image", "ecr:PutImage", False, ACTION),
    ("ecr:?*", "ecr:PutImage", True, ACTION),
    ("ecr:P*I*e", "ecr:PutImage", True, ACTION),
    ("ecr:[P]utImage", "ecr:PutImage", False, ACTION),
    (["ecr:PutImage", "ecr:BatchGetImage"], "ecr:BatchGetImage", True, ACTION),
    (["ecr:Put*", "ecr:Batch*"], "ecr:BatchGetImage", True, ACTION),
    (["ecr:Put*", "ecr:*Get?mage"], "ecr:BatchGetImage", True, ACTION),
    (["ecr:Put*", "ecr:PutImage?"], "ecr:BatchGetImage", False, ACTION),
    (["ecr:Batch*", "ecr:Batch?x"], "ecr:BatchGetImage", True, ACTION),
]

# The Resource element, the resource asked for, whether it is meant, the page.
RESOURCES: list[tuple[Any, str, bool, str]] = [
    (OURS, OURS, True, RESOURCE),
    (OURS, OURS + "x", False, RESOURCE),
    (OURS, OURS[:-1], False, RESOURCE),
    (OURS, OURS.upper().replace("ARN", "arn"), False, ARNS),
    (OURS.replace("team", "Team"), OURS, False, ARNS),
    (OURS.replace("us-east-1", "us-west-2"), OURS, False, ARNS),
    ("*", OURS, True, RESOURCE),
    ("*", "*", True, ECR_IAM),
    (OURS, "*", False, ECR_IAM),
    ("arn:aws:ecr:*:*:*", "*", False, ECR_IAM),
    ("arn:aws:ecr:*:*:repository/*", OURS, True, RESOURCE),
    ("arn:aws:ecr:*:*:repository/team/*", OURS, True, RESOURCE),
    ("arn:aws:ecr:*:*:repository/t*p", OURS, True, RESOURCE),
    ("arn:aws:ecr:*:*:repository/team/ap?", OURS, True, RESOURCE),
    ("arn:aws:ecr:*:*:repository/team/app?", OURS, False, RESOURCE),
    ("arn:aws:ecr:*:*:repository/team", OURS, False, RESOURCE),
    ("arn:aws:ecr:*:*:repository/dev/*", OURS, False, RESOURCE),
    (f"arn:aws:ecr:us-east-1:{HERE}:*", OURS, True, RESOURCE),
    (f"arn:aws:ecr:us-east-?:{HERE}:*", OURS, True, RESOURCE),
    (f"arn:aws:ecr:us-east-1:{THERE}:*", OURS, False, RESOURCE),
    ("arn:*:ecr:*:*:repository/*", OURS, True, RESOURCE),
    ("arn:aws-cn:ecr:*:*:repository/*", OURS, False, ARNS),
    ("arn:aws:ecs:*:*:repository/*", OURS, False, ARNS),
    ("arn:aws:ecr", OURS, True, RESOURCE),
    ("arn:aws:ecr:us-east-1", OURS, True, RESOURCE),
    ("arn:aws:ecr:us-west-2", OURS, False, RESOURCE),
    (["arn:aws:ecr:*:*:repository/dev/*", OURS], OURS, True, RESOURCE),
    (["arn:aws:ecr:*:*:repository/dev/*", "arn:aws:ecr:*:*:repository/x"], OURS, False, RESOURCE),
    ("arn:aws:ecr:*:*:repository/[t]eam/app", OURS, False, RESOURCE),
    ("arn:aws:ecr:*:*:repository/team.app", OURS, False, RESOURCE),
]


@pytest.mark.parametrize(("element", "action", "meant", "page"), ACTIONS)
def test_actions(element: Any, action: str, meant: bool, page: str) -> None:
    assert short(ask(action=action, identity=allow(Action=element))) == ("+" if meant else "-identity")
    assert short(ask(action=action, identity=allow(Action=..., NotAction=element))) == ("-identity" if meant else "+")
    assert short(ask(action=action, identity=[allow(), deny(Action=element)])) == ("!identity" if meant else "+")
    denied = short(ask(action=action, identity=[allow(), deny(Action=..., NotAction=element)]))
    assert denied == ("+" if meant else "!identity")


@pytest.mark.parametrize(("element", "resource", "meant", "page"), RESOURCES)
def test_resources(element: Any, resource: str, meant: bool, page: str) -> None:
    assert short(ask(on=resource, identity=allow(Resource=element))) == ("+" if meant else "-identity")
    excepted = short(ask(on=resource, identity=allow(Resource=..., NotResource=element)))
    assert excepted == ("-identity" if meant else "+")
    assert short(ask(on=resource, identity=[allow(), deny(Resource=element)])) == ("!identity" if meant else "+")
    denied = short(ask(on=resource, identity=[allow(), deny(Resource=..., NotResource=element)]))
    assert denied == ("+" if meant else "!identity")


@pytest.mark.parametrize(
    ("element", "outcome"),
    [({}, "+"), ({"Resource": "*"}, "+"), ({"Resource": OURS}, "+"), ({"Resource": OURS + "2"}, "-identity")],
)
def test_a_repository_policy_is_about_its_repository_unless_it_says_otherwise(
    element: dict[str, Any], outcome: str
) -> None:
    """Page: ecr:repository-policies."""
    assert short(ask(resource=grant("*", **element))) == outcome
    assert short(ask(identity=allow(), resource=refuse("*", **element))) == outcome.replace("+", "!resource").replace(
        "-identity", "+"
    )


def test_the_tables_hold_many_distinct_cases_of_both_outcomes_each_with_its_page() -> None:
    rows = [repr(row[:2]) for row in [*ACTIONS, *RESOURCES]]
    outcomes = [row[2] for row in [*ACTIONS, *RESOURCES]]

    assert len(set(rows)) == len(rows) >= 55
    assert min(outcomes.count(True), outcomes.count(False)) >= 25
    assert all(row[-1] for row in [*ACTIONS, *RESOURCES])


# --- cost, counted and not timed: promises.md T37 ---------------------------------------------------------------------


def filled(element: str, pieces: str) -> str:
    """A policy of about 10 KB of pieces as one element's values."""
    values = ",".join(f'"{pieces}{number}"' for number in range(10_000 // (len(pieces) + 7)))
    elements = {"Action": '"*"', "Resource": '"*"', element: f"[{values}]"}
    body = ",".join(f'"{name}":{value}' for name, value in elements.items())
    return f'{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",{body}}}}}'


@pytest.mark.parametrize(
    ("element", "pieces"),
    [
        ("Action", "ecr:*a*b?c"),
        ("Action", "ecr:a*"),
        ("Action", "ecr:PutImage"),
        ("Resource", "arn:aws:ecr:*:*:*a*b?c"),
        ("Resource", "arn:aws:ecr:*:*:${aws:username}*"),
        ("Resource", "arn:aws:ecr:*:*:" + "*a" * 300),
    ],
)
def test_a_large_policy_looks_once_at_each_of_its_patterns(
    element: str, pieces: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = filled(element, pieces)
    made = stored("identity", "large", text)
    looked = 0
    matches = wildcards.Pattern.matches

    def counting(pattern: wildcards.Pattern, text: str) -> bool:
        nonlocal looked
        looked += 1
        return matches(pattern, text)

    monkeypatch.setattr(wildcards.Pattern, "matches", counting)
    asked = ask(identity=allow())  # other policies, to see that the count is that of this one
    assert asked.allowed and looked == 1
    looked = 0
    found = evaluate(request(), Policies(identity=(made,)))

    assert not found.allowed and not found.error
    assert looked <= text.count(pieces) + 1


def request() -> Request:
    return Request(caller=BOB, action=PULL, resource=OURS, resource_account=HERE, context={"aws:username": "a" * 64})


def test_beginnings_with_a_star_are_tried_together() -> None:
    """The commonest pattern of actions costs no matching of its own, and covers what only goes on after it."""
    (rule,) = statements.rules(_policy('["ecr:Get*","ecr:GetX","ecr:Get?y*","ecr:Put*Image"]'))
    about = rule._what

    assert [about(text) for text in ("ecr:getaway", "ecr:getxy", "ecr:putimage", "ecr:put", "ecr:ge")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def _policy(actions: str) -> Any:
    made = stored("identity", "p", f'{{"Statement":{{"Effect":"Allow","Action":{actions},"Resource":"*"}}}}')
    assert made.policy is not None
    return made.policy
