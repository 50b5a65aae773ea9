"""Who a policy means by the names in it: the users and roles that had these names when it was put.

A name may be given again after its owner was deleted. A policy that was put before means the one who is gone and, like
AWS, nobody else (promises.md T03); so the unique id behind each name is kept beside the text. A name of an account of
this installation that nobody has is refused at once, as AWS refuses it: otherwise whoever takes the name next would
find rights waiting. Accounts that live elsewhere cannot be looked into; their names stand as they are.

Source: AWS IAM user guide, "AWS JSON policy elements: Principal".
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policies.documents import Policy
from policies.elements import PolicyInvalid
from policies.principals import Principal
from registry.entities import Bindings, Identity
from registry.names import AccountId
from registry.records import accounts, identities
from registry.records.engine import Tx

_BOUND: Final = ("user", "role", "session")


def bind(tx: Tx, policy: Policy) -> Bindings:
    """Unique id by each ARN that the policy names. Raises PolicyInvalid for a name that nobody has."""
    found: dict[str, str] = {}
    for path, named in _named(policy):
        account = AccountId(named.account)
        identity = _identity(tx, account, named)
        if identity is not None:
            found[named.name] = identity.id
        elif accounts.find(tx, account) is not None:
            raise PolicyInvalid(
                path, f"there is no {named.name}", text=f'Invalid principal in policy: "AWS":{json.dumps(named.name)}'
            )
    return found


def shown(tx: Tx, document: str, bindings: Bindings) -> str:
    """The text as it stands now: who was renamed by the new ARN, and, as at AWS, who is gone by the unique id."""
    changed: dict[str, str] = {}
    for arn, identity_id in bindings.items():
        found = identities.by_id(tx, identity_id)
        if found is None:
            changed[arn] = identity_id
        elif found.arn != arn and ":assumed-role/" not in arn:
            changed[arn] = found.arn
    return json.dumps(_replaced(json.loads(document), changed)) if changed else document


def _replaced(document: Any, changed: Mapping[str, str]) -> Any:
    """The document with other texts in its Principal elements."""

    def inside(value: Any) -> Any:
        if isinstance(value, str):
            return changed.get(value, value)
        if isinstance(value, list):
            return [inside(item) for item in value]
        return {key: inside(item) for key, item in value.items()} if isinstance(value, dict) else value

    listed = document["Statement"]
    statements = [
        {key: inside(value) if key in ("Principal", "NotPrincipal") else value for key, value in statement.items()}
        for statement in (listed if isinstance(listed, list) else [listed])
    ]
    return {**document, "Statement": statements}


def _named(policy: Policy) -> Iterator[tuple[str, Principal]]:
    for number, statement in enumerate(policy.statements):
        for element in ("principals", "not_principals"):
            for one in getattr(statement, element):
                if one.kind in _BOUND:
                    yield f"$.Statement[{number}]", one


def _identity(tx: Tx, account: AccountId, named: Principal) -> Identity | None:
    """Of a session its role: a session is nobody without it."""
    rest = named.name.split(":", 5)[5]
    if named.kind == "session":
        return identities.find(tx, account, "role", rest.split("/")[1])
    kind, _, path_and_name = rest.partition("/")
    found = identities.find(tx, account, "user" if kind == "user" else "role", path_and_name.rpartition("/")[2])
    return found if found is not None and found.arn == named.name else None
