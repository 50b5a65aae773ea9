"""Requests to decide, in one line each: who asks, for what, and which statements stand in which policies.

Statements are dicts as in JSON, policies lists of them. Pages name where AWS says so: of docs.aws.amazon.com,
IAM/latest/UserGuide/<page>.html, AmazonECR/latest/userguide/<page>.html after "ecr:", and
organizations/latest/userguide/<page>.html after "org:".
"""

import json
from collections.abc import Mapping
from typing import Any

from policies.access import Decision, Form, Policies, Request, Source, evaluate
from policies.callers import Caller, context

Json = dict[str, Any]
Context = Mapping[str, str | tuple[str, ...]]

HERE, THERE = "111122223333", "444455556666"
USER = f"arn:aws:iam::{HERE}:user/Bob"
ROLE = f"arn:aws:iam::{HERE}:role/ci/build"
SESSION = f"arn:aws:sts::{HERE}:assumed-role/build/run-7"
FEDERATED = f"arn:aws:sts::{HERE}:federated-user/Eve"
ROOT = f"arn:aws:iam::{HERE}:root"

BOB = Caller(kind="user", account=HERE, arn=USER, user_id="AIDAEXAMPLE")
BUILD = Caller(kind="role-session", account=HERE, arn=SESSION, behind=ROLE, user_id="AROAEXAMPLE:run-7")
EVE = Caller(kind="federated-user", account=HERE, arn=FEDERATED, behind=USER, user_id=f"{HERE}:Eve")
BOSS = Caller(kind="root", account=HERE, arn=ROOT, user_id=HERE)
CODEBUILD = Caller(kind="service", arn="codebuild.amazonaws.com")
GITHUB = Caller(kind="provider", arn=f"arn:aws:iam::{HERE}:oidc-provider/token.actions.githubusercontent.com")
NOBODY = Caller(kind="anonymous")

PULL = "ecr:BatchGetImage"
OURS = f"arn:aws:ecr:us-east-1:{HERE}:repository/team/app"
THEIRS = f"arn:aws:ecr:us-east-1:{THERE}:repository/team/app"


def allow(**changes: object) -> Json:
    """A statement of an identity policy that allows everything; `...` takes an element away."""
    return _statement({"Effect": "Allow", "Action": "*", "Resource": "*", **changes})


def deny(**changes: object) -> Json:
    return allow(Effect="Deny", **changes)


def grant(to: object, **changes: object) -> Json:
    """A statement of a resource policy that allows everything to `to`: an ARN, or a Principal element."""
    principal = {"AWS": to} if isinstance(to, str) and to != "*" else to
    return _statement({"Effect": "Allow", "Principal": principal, "Action": "*", **changes})


def refuse(to: object, **changes: object) -> Json:
    return grant(to, Effect="Deny", **changes)


def refuse_all_but(who: object, **changes: object) -> Json:
    return grant(..., Effect="Deny", NotPrincipal=who, **changes)


def _statement(elements: Json) -> Json:
    return {name: value for name, value in elements.items() if value is not ...}


def source(*statements: Json, form: Form = "identity", name: str = "p", version: str = "2012-10-17") -> Source:
    found = Source.read(form, name, json.dumps({"Version": version, "Statement": list(statements)}))
    assert found.policy is not None, statements
    return found


def policies(
    *,
    identity: object = (),
    boundary: object = None,
    session: object = None,
    resource: object = (),
    scps: object = (),
    trust: bool = False,
    version: str = "2012-10-17",
) -> Policies:
    """Each layer: a statement, a list of them (one policy), or a tuple of such (several policies)."""

    def made(layer: Any, form: Form = "identity") -> tuple[Source, ...]:
        listed = layer if isinstance(layer, tuple) else (layer,)
        return tuple(
            source(*(each if isinstance(each, list) else [each]), form=form, name=f"p{number}", version=version)
            for number, each in enumerate(listed)
        )

    assert isinstance(scps, tuple)
    return Policies(
        identity=made(identity),
        boundary=None if boundary is None else made(boundary),
        session=None if session is None else made(session),
        resource=made(resource, "resource"),
        scps=tuple(made(level) for level in scps),
        trust=trust,
    )


def ask(
    caller: Caller = BOB, action: str = PULL, on: str = OURS, keys: Context | None = None, **layers: Any
) -> Decision:
    """The decision on a request. `keys` come on top of those that every such caller has."""
    owner = on.split(":")[4] if on != "*" else HERE
    request = Request(
        caller=caller,
        action=action,
        resource=on,
        resource_account=owner,
        context={**context(caller), **(keys or {})},
    )
    return evaluate(request, policies(**layers))


def short(decision: Decision) -> str:
    """`+`; `-layer` for the layer that lacks an Allow; `!layer` for the one with a Deny."""
    assert not decision.error, decision.error
    if decision.allowed:
        return "+"
    if decision.kind == "explicitDeny":
        return f"!{decision.deciding[0].layer}"
    return f"-{decision.missing[0]}"
