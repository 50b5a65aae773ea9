"""Users and roles that a policy names, bound to who they were when it was put (promises.md T03).

A policy that hangs on a resource names users and roles by ARN, and an ARN holds only a name. So when such a policy is
put, each user and role that it names must exist, and their unique ids are kept beside the text. When it is asked, a
name means the caller only if the id does: a recreated user of the same name is somebody else, and a renamed one is the
same. When it is shown, whoever is gone stands there with the id, as at AWS.

Names of accounts that this installation does not have are bound to nobody, and so mean nobody.

Source: AWS IAM user guide, "AWS JSON policy elements: Principal", on IAM role and user principals.
"""

import dataclasses
import functools
import json
from collections.abc import Iterator
from typing import Any, Final

from policies.documents import Policy
from policies.elements import PolicyInvalid
from policies.principals import Principal
from registry.entities import Bindings, Identity, Kind
from registry.names import AccountId
from registry.records import accounts, identities
from registry.records.engine import Tx

_NOBODY: Final = "nobody"  # no ARN, so no caller has this name
_KINDS: Final[dict[str, Kind]] = {"user": "user", "role": "role", "session": "role"}


def bind(tx: Tx, policy: Policy) -> Bindings:
    """ARN -> unique id of each user and role that the policy names. Raises PolicyInvalid for one who is not there."""
    bindings: dict[str, str] = {}
    for principal in _named(policy):
        account = AccountId(principal.account)
        if principal.name in bindings or accounts.find(tx, account) is None:
            continue
        found = _entity(tx, principal, account)
        if found is None:
            sentence = f'Invalid principal in policy: "AWS":{json.dumps(principal.name)}'
            raise PolicyInvalid("$.Statement", f"there is no such {_KINDS[principal.kind]}", text=sentence)
        bindings[principal.name] = found.id
    return bindings


@functools.lru_cache(maxsize=1024)
def _bound(policy: Policy, bindings: tuple[tuple[str, str], ...], entity_id: str, entity_arn: str) -> Policy:
    ids = dict(bindings)

    def now(principal: Principal) -> Principal:
        if principal.kind not in _KINDS:
            return principal
        if not entity_id or ids.get(principal.name) != entity_id:
            return dataclasses.replace(principal, name=_NOBODY)
        return principal if principal.kind == "session" else dataclasses.replace(principal, name=entity_arn)

    statements = tuple(
        dataclasses.replace(
            statement,
            principals=tuple(map(now, statement.principals)),
            not_principals=tuple(map(now, statement.not_principals)),
        )
        for statement in policy.statements
    )
    return dataclasses.replace(policy, statements=statements)


def seen_by(policy: Policy, bindings: Bindings, *, entity_id: str, entity_arn: str) -> Policy:
    """The policy as it means one caller: by name where it was bound to their entity, else as nobody.

    A Deny that excepts somebody who is not bound excepts nobody: what is unsure stays denied.
    """
    if next(_named(policy), None) is None:
        return policy
    return _bound(policy, tuple(sorted(bindings.items())), entity_id, entity_arn)


def shown(tx: Tx, document: str, bindings: Bindings) -> str:
    """The text as it stands now: who was renamed by the new ARN, who is gone by the unique id."""
    changed: dict[str, str] = {}
    for arn, entity_id in bindings.items():
        found = identities.by_id(tx, entity_id)
        if found is None:
            changed[arn] = entity_id
        elif found.arn != arn and ":assumed-role/" not in arn:
            changed[arn] = found.arn
    return json.dumps(_replaced(json.loads(document), changed)) if changed else document


def _named(policy: Policy) -> Iterator[Principal]:
    for statement in policy.statements:
        for principal in (*statement.principals, *statement.not_principals):
            if principal.kind in _KINDS:
                yield principal


def _entity(tx: Tx, principal: Principal, account: AccountId) -> Identity | None:
    resource = principal.name.split(":", 5)[5]
    if principal.kind == "session":
        return identities.find(tx, account, "role", resource.split("/")[1])
    found = identities.find(tx, account, _KINDS[principal.kind], resource.rpartition("/")[2])
    return found if found is not None and found.arn.partition("::")[2] == principal.name.partition("::")[2] else None


def _replaced(document: Any, changed: dict[str, str]) -> Any:
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
