"""Who may do what: how the kinds of policies work together, within an account and across accounts (P10).

Each case names the page that it rests on, as `tests/policies/asking.py` says.
"""

import dataclasses
import json
from typing import Any

import pytest

from policies import access, callers
from policies.access import Matched, Policies, Request, Source, evaluate, stored
from policies.callers import Caller
from tests.policies.asking import (
    BOB,
    BOSS,
    BUILD,
    CODEBUILD,
    EVE,
    FEDERATED,
    GITHUB,
    HERE,
    NOBODY,
    OURS,
    PULL,
    ROLE,
    ROOT,
    SESSION,
    THEIRS,
    THERE,
    USER,
    allow,
    ask,
    deny,
    grant,
    policies,
    refuse,
    refuse_all_but,
    short,
    source,
)

LOGIC = "reference_policies_evaluation-logic"
BASICS = "reference_policies_evaluation-logic_policy-eval-basics"
DENY = "reference_policies_evaluation-logic_policy-eval-denyallow"
CROSS = "reference_policies_evaluation-logic-cross-account"
BOUNDARY = "access_policies_boundaries"
SESSIONS = "access_policies"
PRINCIPAL = "reference_policies_elements_principal"
NOT_PRINCIPAL = "reference_policies_elements_notprincipal"
ROLES = "id_roles_compare-resource-policies"
SCP = "org:orgs_manage_policies_scps_evaluation"
ECR = "ecr:repository-policies"

OTHER_USER = f"arn:aws:iam::{HERE}:user/Ann"
OTHER_ROLE = f"arn:aws:iam::{HERE}:role/build"  # same name, other path: another role
OTHER_SESSION = f"arn:aws:sts::{HERE}:assumed-role/build/run-8"
SERVICE = {"Service": "codebuild.amazonaws.com"}
PROVIDER = {"Federated": GITHUB.arn}
PUSH = "ecr:PutImage"
FROM_ROOT = Caller(kind="federated-user", account=HERE, arn=FEDERATED, behind=ROOT)
NONE: tuple[Any, ...] = ()
WHEN_ROLE = {"Condition": {"ArnEquals": {"aws:PrincipalArn": ROLE}}}
WHEN_SESSION = {"Condition": {"ArnEquals": {"aws:PrincipalArn": SESSION}}}

# Within the account: what is asked, the outcome (as `asking.short` writes it), the page.
AT_HOME: list[tuple[dict[str, Any], str, str]] = [
    # users
    ({}, "-identity", LOGIC),
    ({"identity": allow()}, "+", LOGIC),
    ({"identity": allow(Action=PUSH)}, "-identity", LOGIC),
    ({"identity": (allow(Action=PUSH), allow(Action=PULL))}, "+", LOGIC),
    ({"identity": [allow(Action=PUSH), allow(Action=PULL)]}, "+", LOGIC),
    ({"identity": [allow(), deny(Action=PULL)]}, "!identity", DENY),
    ({"identity": [deny(Action=PULL), allow()]}, "!identity", DENY),
    ({"identity": (allow(), deny(Action=PULL))}, "!identity", DENY),
    ({"identity": [allow(), deny(Action=PUSH)]}, "+", DENY),
    ({"identity": deny()}, "!identity", DENY),
    ({"resource": grant(USER)}, "+", DENY),
    ({"resource": grant("*")}, "+", DENY),
    ({"resource": grant({"AWS": "*"})}, "+", PRINCIPAL),
    ({"resource": grant({"AWS": [OTHER_USER, USER]})}, "+", PRINCIPAL),
    ({"resource": grant(OTHER_USER)}, "-identity", PRINCIPAL),
    ({"resource": grant(USER.lower())}, "-identity", PRINCIPAL),
    ({"resource": grant(ROOT)}, "-identity", PRINCIPAL),
    ({"resource": grant(HERE)}, "-identity", PRINCIPAL),
    ({"resource": grant(HERE), "identity": allow()}, "+", PRINCIPAL),
    ({"resource": grant(THERE), "identity": allow()}, "+", LOGIC),
    ({"resource": grant(SERVICE)}, "-identity", PRINCIPAL),
    ({"resource": grant(USER, Action=PUSH)}, "-identity", DENY),
    ({"resource": grant(USER), "identity": deny()}, "!identity", DENY),
    ({"resource": refuse(USER), "identity": allow()}, "!resource", DENY),
    ({"resource": refuse(HERE), "identity": allow()}, "!resource", PRINCIPAL),
    ({"resource": refuse(ROOT), "identity": allow()}, "!resource", PRINCIPAL),
    ({"resource": refuse("*"), "identity": allow()}, "!resource", PRINCIPAL),
    ({"resource": refuse(OTHER_USER), "identity": allow()}, "+", PRINCIPAL),
    ({"resource": refuse(THERE), "identity": allow()}, "+", PRINCIPAL),
    ({"resource": [grant(USER), refuse("*")]}, "!resource", DENY),
    ({"resource": (grant(USER), refuse("*"))}, "!resource", DENY),
    ({"resource": (grant(OTHER_USER), grant(USER))}, "+", ECR),
    ({"identity": allow(), "boundary": allow()}, "+", BOUNDARY),
    ({"identity": allow(), "boundary": allow(Action="ecr:*")}, "+", BOUNDARY),
    ({"identity": allow(), "boundary": allow(Action="s3:*")}, "-boundary", BOUNDARY),
    ({"identity": allow(), "boundary": NONE}, "-boundary", BOUNDARY),
    ({"boundary": allow()}, "-identity", BOUNDARY),
    ({"identity": allow(), "boundary": [allow(), deny(Action=PULL)]}, "!boundary", BOUNDARY),
    ({"identity": allow(Action=PUSH), "boundary": allow(Action=PULL)}, "-identity", BOUNDARY),
    ({"resource": grant(USER), "boundary": NONE}, "+", DENY),
    ({"resource": grant("*"), "boundary": NONE}, "+", DENY),
    ({"resource": grant(HERE), "boundary": NONE, "identity": allow()}, "-boundary", BOUNDARY),
    ({"resource": grant(USER), "boundary": deny()}, "!boundary", DENY),
    ({"resource": grant(USER), "identity": allow(Action=PUSH), "boundary": NONE}, "+", DENY),
    # role sessions
    ({"caller": BUILD}, "-identity", LOGIC),
    ({"caller": BUILD, "identity": allow()}, "+", LOGIC),
    ({"caller": BUILD, "identity": allow(), "session": allow()}, "+", SESSIONS),
    ({"caller": BUILD, "identity": allow(), "session": NONE}, "-session", SESSIONS),
    ({"caller": BUILD, "identity": allow(), "session": allow(Action=PUSH)}, "-session", SESSIONS),
    ({"caller": BUILD, "identity": allow(Action=PUSH), "session": allow()}, "-identity", SESSIONS),
    ({"caller": BUILD, "session": allow()}, "-identity", SESSIONS),
    ({"caller": BUILD, "identity": allow(), "session": [allow(), deny()]}, "!session", SESSIONS),
    ({"caller": BUILD, "identity": allow(), "session": (allow(Action=PUSH), allow(Action=PULL))}, "+", SESSIONS),
    ({"caller": BUILD, "identity": allow(), "boundary": allow(), "session": allow()}, "+", BOUNDARY),
    ({"caller": BUILD, "identity": allow(), "boundary": NONE, "session": allow()}, "-boundary", BOUNDARY),
    ({"caller": BUILD, "identity": allow(), "boundary": allow(), "session": NONE}, "-session", BOUNDARY),
    ({"caller": BUILD, "resource": grant(SESSION)}, "+", DENY),
    ({"caller": BUILD, "resource": grant(SESSION), "boundary": NONE, "session": NONE}, "+", DENY),
    ({"caller": BUILD, "resource": grant(SESSION), "session": deny()}, "!session", DENY),
    ({"caller": BUILD, "resource": grant(OTHER_SESSION)}, "-identity", PRINCIPAL),
    ({"caller": BUILD, "resource": grant(ROLE)}, "+", DENY),
    ({"caller": BUILD, "resource": grant(OTHER_ROLE)}, "-identity", PRINCIPAL),
    ({"caller": BUILD, "resource": grant(ROLE), "boundary": NONE}, "-boundary", DENY),
    ({"caller": BUILD, "resource": grant(ROLE), "session": NONE}, "-session", DENY),
    ({"caller": BUILD, "resource": grant(ROLE), "boundary": allow(), "session": allow()}, "+", DENY),
    ({"caller": BUILD, "resource": grant(ROLE), "identity": deny()}, "!identity", DENY),
    ({"caller": BUILD, "resource": [grant(ROLE), grant(SESSION)], "session": NONE}, "+", DENY),
    ({"caller": BUILD, "resource": grant({"AWS": [ROLE, SESSION]}), "session": NONE}, "+", DENY),
    ({"caller": BUILD, "resource": grant("*"), "boundary": NONE, "session": NONE}, "+", PRINCIPAL),
    ({"caller": BUILD, "resource": grant("*", **WHEN_ROLE), "boundary": NONE, "session": NONE}, "+", PRINCIPAL),
    ({"caller": BUILD, "resource": grant("*", **WHEN_SESSION)}, "-identity", PRINCIPAL),
    ({"caller": BUILD, "resource": grant("*", **WHEN_ROLE), "session": deny()}, "!session", PRINCIPAL),
    ({"caller": BUILD, "resource": grant(HERE)}, "-identity", PRINCIPAL),
    ({"caller": BUILD, "resource": grant(USER)}, "-identity", PRINCIPAL),
    ({"caller": BUILD, "resource": refuse(ROLE), "identity": allow()}, "!resource", PRINCIPAL),
    ({"caller": BUILD, "resource": refuse(SESSION), "identity": allow()}, "!resource", PRINCIPAL),
    ({"caller": BUILD, "resource": refuse(OTHER_SESSION), "identity": allow()}, "+", PRINCIPAL),
    ({"caller": BUILD, "resource": [grant(SESSION), refuse(ROLE)]}, "!resource", DENY),
    # federated users
    ({"caller": EVE, "identity": allow()}, "-session", LOGIC),
    ({"caller": EVE, "identity": allow(), "session": allow()}, "+", LOGIC),
    ({"caller": EVE, "identity": allow(), "session": NONE}, "-session", LOGIC),
    ({"caller": EVE, "session": allow()}, "-identity", LOGIC),
    ({"caller": EVE, "identity": allow(), "session": allow(), "boundary": NONE}, "-boundary", BOUNDARY),
    ({"caller": EVE, "identity": allow(), "session": allow(), "boundary": allow()}, "+", BOUNDARY),
    ({"caller": EVE, "resource": grant(FEDERATED)}, "+", DENY),
    ({"caller": EVE, "resource": grant(FEDERATED), "session": NONE, "boundary": NONE}, "+", DENY),
    ({"caller": EVE, "resource": grant(USER)}, "-session", DENY),
    ({"caller": EVE, "resource": grant(USER), "session": allow()}, "+", DENY),
    ({"caller": EVE, "resource": grant(USER), "session": NONE}, "-session", DENY),
    ({"caller": EVE, "resource": grant(USER), "session": allow(), "boundary": NONE}, "-boundary", DENY),
    ({"caller": EVE, "resource": grant("*"), "session": NONE}, "+", DENY),
    ({"caller": EVE, "resource": refuse(USER), "identity": allow(), "session": allow()}, "!resource", PRINCIPAL),
    ({"caller": FROM_ROOT}, "-session", PRINCIPAL),
    ({"caller": FROM_ROOT, "session": allow(Action=PULL)}, "+", PRINCIPAL),
    ({"caller": FROM_ROOT, "session": allow(Action=PUSH)}, "-session", PRINCIPAL),
    # root
    ({"caller": BOSS}, "+", LOGIC),
    ({"caller": BOSS, "resource": refuse(HERE)}, "!resource", PRINCIPAL),
    ({"caller": BOSS, "resource": refuse("*")}, "!resource", DENY),
    ({"caller": BOSS, "resource": refuse(USER)}, "+", PRINCIPAL),
    ({"caller": BOSS, "scps": (NONE,)}, "-scp", SCP),
    ({"caller": BOSS, "session": allow(Action=PUSH)}, "-session", SESSIONS),
    ({"caller": BOSS, "identity": deny()}, "!identity", DENY),
    # services, providers, the anonymous
    ({"caller": CODEBUILD}, "-resource", PRINCIPAL),
    ({"caller": CODEBUILD, "identity": allow()}, "-resource", PRINCIPAL),
    ({"caller": CODEBUILD, "resource": grant(SERVICE)}, "+", PRINCIPAL),
    ({"caller": CODEBUILD, "resource": grant({"Service": "ecs.amazonaws.com"})}, "-resource", PRINCIPAL),
    ({"caller": CODEBUILD, "resource": grant("*")}, "+", PRINCIPAL),
    ({"caller": CODEBUILD, "resource": grant(HERE)}, "-resource", PRINCIPAL),
    ({"caller": CODEBUILD, "resource": [grant("*"), refuse(SERVICE)]}, "!resource", PRINCIPAL),
    ({"caller": GITHUB}, "-resource", PRINCIPAL),
    ({"caller": GITHUB, "resource": grant(PROVIDER), "trust": True}, "+", PRINCIPAL),
    ({"caller": GITHUB, "resource": grant(HERE), "trust": True}, "-resource", PRINCIPAL),
    ({"caller": NOBODY}, "-resource", PRINCIPAL),
    ({"caller": NOBODY, "identity": allow()}, "-resource", PRINCIPAL),
    ({"caller": NOBODY, "resource": grant("*")}, "+", PRINCIPAL),
    ({"caller": NOBODY, "resource": grant("*", Action=PUSH)}, "-resource", PRINCIPAL),
    ({"caller": NOBODY, "resource": grant(HERE)}, "-resource", PRINCIPAL),
    ({"caller": NOBODY, "resource": grant({"AWS": [HERE, "*"]})}, "+", PRINCIPAL),
    ({"caller": NOBODY, "resource": grant(USER)}, "-resource", PRINCIPAL),
    ({"caller": NOBODY, "resource": [grant("*"), refuse("*", Action=PUSH)]}, "+", PRINCIPAL),
    # service control policies
    ({"identity": allow(), "scps": (allow(),)}, "+", SCP),
    ({"identity": allow(), "scps": (allow(), allow())}, "+", SCP),
    ({"identity": allow(), "scps": (allow(), allow(Action=PUSH))}, "-scp", SCP),
    ({"identity": allow(), "scps": (allow(Action=PUSH), allow())}, "-scp", SCP),
    ({"identity": allow(), "scps": (allow(), (allow(Action=PUSH), allow(Action=PULL)))}, "+", SCP),
    ({"identity": allow(), "scps": (allow(), NONE, allow())}, "-scp", SCP),
    ({"identity": allow(), "scps": (allow(), [allow(), deny(Action=PULL)])}, "!scp", SCP),
    ({"identity": allow(), "scps": ([allow(), deny(Action=PUSH)],)}, "+", SCP),
    ({"scps": (allow(),)}, "-identity", SCP),
    ({"resource": grant(USER), "scps": (NONE,)}, "-scp", SCP),
    ({"resource": grant(USER), "scps": (allow(),)}, "+", SCP),
    ({"resource": grant("*"), "scps": (allow(), NONE)}, "-scp", SCP),
    ({"resource": grant(USER), "scps": (allow(Action="s3:*"),)}, "-scp", SCP),
    ({"caller": BUILD, "resource": grant(SESSION), "scps": (NONE,)}, "-scp", SCP),
    # trust policies
    ({"identity": allow(), "trust": True}, "-resource", ROLES),
    ({"identity": allow(), "resource": grant(HERE), "trust": True}, "+", ROLES),
    ({"resource": grant(HERE), "trust": True}, "-identity", ROLES),
    ({"resource": grant(USER), "trust": True}, "+", ROLES),
    ({"resource": grant(OTHER_USER), "identity": allow(), "trust": True}, "-resource", ROLES),
    ({"resource": refuse(USER), "identity": allow(), "trust": True}, "!resource", ROLES),
    ({"caller": BUILD, "resource": grant(ROLE), "trust": True}, "+", ROLES),
    ({"caller": BUILD, "resource": grant(ROLE), "session": NONE, "trust": True}, "-session", ROLES),
    ({"caller": CODEBUILD, "resource": grant(SERVICE), "trust": True}, "+", ROLES),
    # what is denied to all but some
    ({"identity": allow(), "resource": refuse_all_but({"AWS": [USER, HERE]})}, "+", NOT_PRINCIPAL),
    ({"identity": allow(), "resource": refuse_all_but({"AWS": USER})}, "!resource", NOT_PRINCIPAL),
    ({"identity": allow(), "resource": refuse_all_but({"AWS": ROOT})}, "!resource", NOT_PRINCIPAL),
    ({"identity": allow(), "resource": refuse_all_but({"AWS": [OTHER_USER, HERE]})}, "!resource", NOT_PRINCIPAL),
    ({"identity": allow(), "resource": refuse_all_but({"AWS": [USER, THERE]})}, "!resource", NOT_PRINCIPAL),
    ({"identity": allow(), "resource": refuse_all_but("*")}, "+", NOT_PRINCIPAL),
    ({"resource": refuse_all_but({"AWS": [USER, HERE]})}, "-identity", NOT_PRINCIPAL),
    (
        {"caller": BUILD, "identity": allow(), "resource": refuse_all_but({"AWS": [SESSION, ROLE, HERE]})},
        "+",
        NOT_PRINCIPAL,
    ),
    (
        {"caller": BUILD, "identity": allow(), "resource": refuse_all_but({"AWS": [SESSION, HERE]})},
        "!resource",
        NOT_PRINCIPAL,
    ),
    (
        {"caller": BUILD, "identity": allow(), "resource": refuse_all_but({"AWS": [ROLE, HERE]})},
        "!resource",
        NOT_PRINCIPAL,
    ),
    ({"caller": EVE, "resource": [grant("*"), refuse_all_but({"AWS": [FEDERATED, USER, HERE]})]}, "+", NOT_PRINCIPAL),
    ({"caller": EVE, "resource": [grant("*"), refuse_all_but({"AWS": [FEDERATED, HERE]})]}, "!resource", NOT_PRINCIPAL),
    ({"caller": FROM_ROOT, "resource": [grant("*"), refuse_all_but({"AWS": [FEDERATED, HERE]})]}, "+", NOT_PRINCIPAL),
    ({"caller": FROM_ROOT, "resource": grant(ROOT), "session": NONE}, "-session", PRINCIPAL),
    ({"caller": NOBODY, "resource": [grant("*"), refuse_all_but({"AWS": HERE})]}, "!resource", NOT_PRINCIPAL),
    ({"caller": NOBODY, "resource": [grant("*"), refuse_all_but("*")]}, "+", NOT_PRINCIPAL),
    ({"caller": CODEBUILD, "resource": [grant("*"), refuse_all_but(SERVICE)]}, "+", NOT_PRINCIPAL),
    ({"caller": CODEBUILD, "resource": [grant("*"), refuse_all_but({"AWS": HERE})]}, "!resource", NOT_PRINCIPAL),
    ({"caller": BOSS, "resource": refuse_all_but({"AWS": HERE})}, "+", NOT_PRINCIPAL),
    ({"caller": BOSS, "resource": refuse_all_but({"AWS": USER})}, "!resource", NOT_PRINCIPAL),
]

# From another account: the same.
ABROAD: list[tuple[dict[str, Any], str, str]] = [
    ({}, "-identity", CROSS),
    ({"identity": allow()}, "-resource", CROSS),
    ({"resource": grant(HERE)}, "-identity", CROSS),
    ({"resource": grant(USER)}, "-identity", CROSS),
    ({"resource": grant("*")}, "-identity", CROSS),
    ({"identity": allow(), "resource": grant(HERE)}, "+", CROSS),
    ({"identity": allow(), "resource": grant(ROOT)}, "+", CROSS),
    ({"identity": allow(), "resource": grant(USER)}, "+", CROSS),
    ({"identity": allow(), "resource": grant("*")}, "+", CROSS),
    ({"identity": allow(), "resource": grant(THERE)}, "-resource", CROSS),
    ({"identity": allow(), "resource": grant(OTHER_USER)}, "-resource", CROSS),
    ({"identity": allow(Action=PUSH), "resource": grant(HERE)}, "-identity", CROSS),
    ({"identity": allow(), "resource": grant(HERE, Action=PUSH)}, "-resource", CROSS),
    ({"identity": allow(), "resource": (grant(THERE), grant(HERE))}, "+", ECR),
    ({"identity": allow(), "resource": [grant(HERE), refuse(USER)]}, "!resource", CROSS),
    ({"identity": [allow(), deny()], "resource": grant(HERE)}, "!identity", CROSS),
    ({"identity": allow(), "resource": grant(USER), "boundary": NONE}, "-boundary", CROSS),
    ({"identity": allow(), "resource": grant("*"), "boundary": NONE}, "-boundary", CROSS),
    ({"identity": allow(), "resource": grant(USER), "boundary": allow()}, "+", CROSS),
    ({"identity": allow(), "resource": grant(HERE), "scps": (NONE,)}, "-scp", CROSS),
    ({"identity": allow(), "resource": grant(HERE), "scps": (allow(), allow(Action=PULL))}, "+", CROSS),
    ({"caller": BUILD, "identity": allow(), "resource": grant(HERE)}, "+", CROSS),
    ({"caller": BUILD, "identity": allow(), "resource": grant(ROLE)}, "+", CROSS),
    ({"caller": BUILD, "identity": allow(), "resource": grant(SESSION)}, "+", CROSS),
    ({"caller": BUILD, "resource": grant(ROLE)}, "-identity", CROSS),
    ({"caller": BUILD, "resource": grant(SESSION)}, "-identity", CROSS),
    ({"caller": BUILD, "identity": allow(), "resource": grant(OTHER_SESSION)}, "-resource", CROSS),
    ({"caller": BUILD, "identity": allow(), "resource": grant(SESSION), "session": NONE}, "-session", CROSS),
    ({"caller": BUILD, "identity": allow(), "resource": grant(SESSION), "session": allow()}, "+", CROSS),
    ({"caller": BUILD, "identity": allow(), "resource": grant("*", **WHEN_ROLE), "boundary": NONE}, "-boundary", CROSS),
    ({"caller": BUILD, "identity": allow(), "resource": grant("*", **WHEN_ROLE)}, "+", CROSS),
    ({"caller": EVE, "identity": allow(), "resource": grant(FEDERATED)}, "-session", CROSS),
    ({"caller": EVE, "identity": allow(), "resource": grant(FEDERATED), "session": allow()}, "+", CROSS),
    ({"caller": EVE, "identity": allow(), "resource": grant(USER), "session": allow()}, "+", CROSS),
    ({"caller": EVE, "resource": grant(USER), "session": allow()}, "-identity", CROSS),
    ({"caller": BOSS}, "-resource", CROSS),
    ({"caller": BOSS, "resource": grant(HERE)}, "+", CROSS),
    ({"caller": BOSS, "resource": grant("*")}, "+", CROSS),
    ({"caller": BOSS, "resource": grant(USER)}, "-resource", CROSS),
    ({"caller": BOSS, "resource": grant(THERE)}, "-resource", CROSS),
    ({"caller": BOSS, "resource": grant(HERE), "scps": (NONE,)}, "-scp", CROSS),
    ({"caller": CODEBUILD, "resource": grant(SERVICE)}, "+", CROSS),
    ({"caller": NOBODY, "resource": grant("*")}, "+", CROSS),
    ({"caller": NOBODY, "resource": grant(HERE)}, "-resource", CROSS),
    ({"identity": allow(), "resource": grant(HERE), "trust": True}, "+", ROLES),
    ({"resource": grant(USER), "trust": True}, "-identity", ROLES),
    ({"identity": allow(), "trust": True}, "-resource", ROLES),
    ({"identity": allow(), "resource": refuse_all_but({"AWS": [USER, HERE]})}, "-resource", NOT_PRINCIPAL),
]


def _id(row: tuple[dict[str, Any], str, str]) -> str:
    asked = {name: value.arn if isinstance(value, Caller) else value for name, value in row[0].items()}
    return f"{row[1]} {asked}"


@pytest.mark.parametrize(("asked", "outcome", "page"), AT_HOME, ids=map(_id, AT_HOME))
def test_within_an_account(asked: dict[str, Any], outcome: str, page: str) -> None:
    assert short(ask(on=OURS, **asked)) == outcome


@pytest.mark.parametrize(("asked", "outcome", "page"), ABROAD, ids=map(_id, ABROAD))
def test_across_accounts(asked: dict[str, Any], outcome: str, page: str) -> None:
    assert short(ask(on=THEIRS, **asked)) == outcome


def test_the_tables_hold_many_distinct_cases_of_both_outcomes_each_with_its_page() -> None:
    rows = [*AT_HOME, *ABROAD]
    cases = {f"{place}{_id(row)}" for place, table in (("home", AT_HOME), ("abroad", ABROAD)) for row in table}

    assert len(cases) == len(rows) >= 200
    assert min(sum(row[1] == "+" for row in rows), sum(row[1] != "+" for row in rows)) >= 60
    assert all(row[2] for row in rows)


# --- what a decision tells --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "clause"),
    [
        ({}, "because no identity-based policy allows the ecr:BatchGetImage action"),
        ({"identity": allow(), "boundary": NONE}, "because no permissions boundary allows the"),
        ({"caller": BUILD, "identity": allow(), "session": NONE}, "because no session policy allows the"),
        ({"identity": allow(), "scps": (NONE,)}, "because no service control policy allows the"),
        ({"identity": allow(), "on": THEIRS}, "because no resource-based policy allows the"),
        ({"identity": allow(), "trust": True}, "because no role trust policy allows the"),
        ({"on": THEIRS, "trust": True}, "because no identity-based policy allows the"),
        ({"caller": BUILD, "identity": allow(), "on": THEIRS, "session": NONE}, "because no session policy allows the"),
        ({"identity": deny()}, "with an explicit deny in an identity-based policy"),
        ({"boundary": deny()}, "with an explicit deny in a permissions boundary"),
        ({"session": deny()}, "with an explicit deny in a session policy"),
        ({"scps": (deny(),)}, "with an explicit deny in a service control policy"),
        ({"resource": refuse("*")}, "with an explicit deny in a resource-based policy"),
        ({"resource": refuse("*"), "trust": True}, "with an explicit deny in the role trust policy"),
        ({"identity": deny(), "trust": True}, "with an explicit deny in an identity-based policy"),
        ({"identity": allow()}, ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_denial_is_told_in_the_words_of_aws(asked: dict[str, Any], clause: str) -> None:
    """Page: troubleshoot_access-denied."""
    told = ask(**asked).clause

    assert told.startswith(clause) and (bool(told) is bool(clause))
    assert "allows the" not in told or told.endswith(f"allows the {PULL} action")


def test_a_missing_allow_is_not_told_of_another_layer_with_trust() -> None:
    assert "identity-based" in ask(resource=grant(HERE), trust=True).clause


def test_all_layers_without_an_allow_are_named() -> None:
    found = ask(BUILD, on=THEIRS, boundary=NONE, session=NONE, scps=(allow(), NONE))

    assert found.missing == ("scp", "identity", "boundary", "session", "resource")
    assert not found.allowed


def test_nothing_is_missing_where_it_is_allowed_or_denied() -> None:
    assert ask(identity=allow()).missing == ()
    assert ask(identity=deny(), boundary=NONE).missing == ()


def test_a_denial_is_told_of_the_first_layer_in_the_order_of_evaluation() -> None:
    everywhere: dict[str, Any] = {
        "scps": (deny(),),
        "resource": refuse("*"),
        "identity": deny(),
        "boundary": deny(),
        "session": deny(),
    }
    order = list(everywhere)
    told = []
    while everywhere:
        told.append(short(ask(**everywhere)).lstrip("!"))
        del everywhere[order[len(order) - len(everywhere)]]

    assert told == ["scp", "resource", "identity", "boundary", "session"]


def test_the_deciding_statements_are_named_with_their_policy_and_place() -> None:
    found = ask(
        identity=(allow(Action=PUSH), [allow(Action="s3:*"), allow(Sid="pulls")]), scps=(allow(), allow(Sid="deep"))
    )

    assert found.deciding == (
        Matched(layer="scp", level=0, source="p0", sid="", position=0, effect="Allow", way="direct"),
        Matched(layer="scp", level=1, source="p0", sid="deep", position=0, effect="Allow", way="direct"),
        Matched(layer="identity", level=0, source="p1", sid="pulls", position=1, effect="Allow", way="direct"),
    )


def test_a_denial_names_the_denying_statements_and_keeps_the_allowing_ones() -> None:
    found = ask(
        identity=[allow(Sid="yes"), deny(Sid="no")],
        resource=grant(HERE, Sid="account"),
        boundary=allow(),
        session=allow(),
    )

    assert [each.sid for each in found.deciding] == ["no"]
    assert [(each.layer, each.level, each.sid, each.position, each.way) for each in found.matched] == [
        ("resource", 0, "account", 0, "account"),
        ("identity", 0, "yes", 0, "direct"),
        ("identity", 0, "no", 1, "direct"),
        ("boundary", 0, "", 0, "direct"),
        ("session", 0, "", 0, "direct"),
    ]


def test_an_implicit_denial_has_no_deciding_statement() -> None:
    found = ask(identity=allow(), boundary=NONE)

    assert found.deciding == ()
    assert len(found.matched) == 1


def test_the_keys_that_a_request_lacks_are_named() -> None:
    conditions = {
        "StringEquals": {"aws:RequestTag/Team": "a", "aws:username": "Bob"},
        "Bool": {"aws:SecureTransport": "true"},
        "Null": {"aws:TokenIssueTime": "true"},
    }
    here = f"arn:aws:ecr:*:*:repository/${{aws:PrincipalTag/Team}}/{'*'}"
    found = ask(identity=[allow(Condition=conditions), allow(Action=PUSH, **WHEN_ROLE), allow(Resource=here)])

    assert found.absent_keys == ("aws:principaltag/team", "aws:requesttag/team", "aws:securetransport")
    assert found.asked_keys == tuple(sorted({*found.absent_keys, "aws:tokenissuetime", "aws:username"}))
    assert not found.allowed


# --- trouble ----------------------------------------------------------------------------------------------------------


def decided(**changes: Any) -> access.Decision:
    values: dict[str, Any] = {"caller": BOB, "action": PULL, "resource": OURS, "resource_account": HERE}
    return evaluate(Request(**{**values, **changes}), policies(identity=allow()))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"context": {"aws:x": 1}}, "TypeError: the condition key aws:x"),
        ({"context": {"aws:x": None}}, "TypeError: the condition key aws:x"),
        ({"context": {"aws:x": ["a"]}}, "TypeError: the condition key aws:x"),
        ({"context": {"aws:x": ("a", 1)}}, "TypeError: the condition key aws:x"),
        ({"context": {"aws:x": "a", "AWS:X": "b"}}, "ValueError: a condition key is there twice"),
        ({"context": None}, "AttributeError"),
        ({"resource_account": ""}, "ValueError: the resource belongs to nobody"),
        ({"action": None}, "AttributeError"),
        ({"caller": None}, "AttributeError"),
    ],
)
def test_what_cannot_be_decided_is_denied(changes: dict[str, Any], error: str) -> None:
    found = decided(**changes)

    assert decided().allowed
    assert (found.kind, found.clause) == ("implicitDeny", "because the policies could not be evaluated")
    assert found.error.startswith(error)
    assert not found.allowed


@pytest.mark.parametrize("layer", ["identity", "boundary", "session", "resource", "scps"])
def test_a_stored_policy_that_cannot_be_read_denies(layer: str) -> None:
    """promises.md T39."""
    broken = stored("identity", "arn:broken", '{"Statement": [{"effect": "Deny"}]}')
    given = policies(identity=allow(), boundary=allow(), session=allow(), scps=(allow(),))
    there = getattr(given, layer) or ()
    spoiling: dict[str, Any] = {layer: ((broken,),) if layer == "scps" else (*there, broken)}
    spoilt = dataclasses.replace(given, **spoiling)
    request = Request(caller=BOSS, action=PULL, resource=OURS, resource_account=HERE)

    assert broken.policy is None
    assert evaluate(request, given).allowed
    assert not evaluate(request, spoilt).allowed
    assert evaluate(request, spoilt).error == "ValueError: the policy arn:broken cannot be read"


def test_a_policy_that_was_made_by_hand_of_values_that_are_none_is_refused() -> None:
    good = source(allow(Condition={"NumericEquals": {"a:b": "1"}})).policy
    assert good is not None
    (statement,) = good.statements
    bad = dataclasses.replace(statement.conditions[0], values=("one",))

    with pytest.raises(ValueError, match="not of its operator's kind"):
        Source(
            name="p",
            policy=dataclasses.replace(good, statements=(dataclasses.replace(statement, conditions=(bad,)),)),
        )


# --- sources ----------------------------------------------------------------------------------------------------------


def test_a_source_is_kept_by_form_name_and_text() -> None:
    identity = json.dumps({"Statement": allow()})
    resource = json.dumps({"Statement": grant("*")})

    assert stored("identity", "a", identity) is stored("identity", "a", identity)
    assert stored("identity", "a", identity) is not stored("identity", "b", identity)
    assert stored("identity", "a", resource).policy is None
    assert stored("resource", "a", identity).policy is None
    assert stored("resource", "a", resource).policy is not None


@pytest.mark.parametrize(("size", "is_read"), [(1_000_000, True), (1_000_001, False)])
def test_a_stored_identity_policy_is_not_measured_again(size: int, is_read: bool) -> None:
    """What was lawful when it was written stays so; only what nobody can have written is too large."""
    frame = len(json.dumps({"Statement": allow(Sid="")}, separators=(",", ":")))
    text = json.dumps({"Statement": allow(Sid="x" * (size - frame))}, separators=(",", ":"))

    assert len(text) == size
    assert (Source.read("identity", "managed by us", text).policy is not None) is is_read


def test_sources_and_requests_are_values() -> None:
    text = json.dumps({"Statement": allow()})

    assert Source.read("identity", "a", text) == Source.read("identity", "a", text)
    assert hash(Source.read("identity", "a", text)) == hash(Source.read("identity", "a", text))
    assert Source.read("identity", "a", text) != Source.read("identity", "b", text)
    assert "rules" not in repr(Source.read("identity", "a", text))
    assert Policies() == Policies()


# --- callers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "keys"),
    [
        (
            BOB,
            {
                "aws:PrincipalArn": USER,
                "aws:PrincipalAccount": HERE,
                "aws:PrincipalType": "User",
                "aws:userid": "AIDAEXAMPLE",
                "aws:username": "Bob",
            },
        ),
        (
            BUILD,
            {
                "aws:PrincipalArn": ROLE,
                "aws:PrincipalAccount": HERE,
                "aws:PrincipalType": "AssumedRole",
                "aws:userid": "AROAEXAMPLE:run-7",
            },
        ),
        (
            EVE,
            {
                "aws:PrincipalArn": FEDERATED,
                "aws:PrincipalAccount": HERE,
                "aws:PrincipalType": "FederatedUser",
                "aws:userid": f"{HERE}:Eve",
            },
        ),
        (
            Caller(kind="root", account=HERE, arn=ROOT),
            {"aws:PrincipalArn": ROOT, "aws:PrincipalAccount": HERE, "aws:PrincipalType": "Account"},
        ),
        (CODEBUILD, {}),
        (GITHUB, {}),
        (NOBODY, {}),
    ],
    ids=lambda value: value.kind if isinstance(value, Caller) else "",
)
def test_every_kind_of_caller_brings_its_keys(caller: Caller, keys: dict[str, str]) -> None:
    """Page: reference_policies_condition-keys."""
    assert callers.context(caller) == keys


def test_a_user_with_a_path_is_named_without_it() -> None:
    caller = dataclasses.replace(BOB, arn=f"arn:aws:iam::{HERE}:user/division/team/Bob")

    assert callers.context(caller)["aws:username"] == "Bob"


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "user", "arn": USER},
        {"kind": "user", "account": HERE},
        {"kind": "user", "account": HERE, "arn": USER, "behind": ROLE},
        {"kind": "role-session", "account": HERE, "arn": SESSION},
        {"kind": "federated-user", "account": HERE, "arn": FEDERATED},
        {"kind": "root", "arn": ROOT},
        {"kind": "service", "account": HERE, "arn": "ecs.amazonaws.com"},
        {"kind": "service"},
        {"kind": "provider"},
        {"kind": "anonymous", "account": HERE},
        {"kind": "anonymous", "arn": "*"},
    ],
    ids=str,
)
def test_a_caller_has_the_names_of_its_kind(fields: dict[str, Any]) -> None:
    """Two callers without an account would else be at home with each other."""
    with pytest.raises(ValueError, match=f"a caller of kind {fields['kind']} has other names"):
        Caller(**fields)
