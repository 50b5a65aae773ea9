"""Policies that hang on users, groups and roles: managed ones that are attached, inline ones that are a part of them.

Inline policies of one identity share a limit, in characters that are no white space: 2,048 for a user, 5,120 for a
group, 10,240 for a role. Source: AWS IAM user guide, "IAM and AWS STS quotas".
"""

from collections.abc import Mapping
from typing import Final

from policies import documents
from registry import managed_policies
from registry.context import Deps
from registry.entities import Kind, ManagedPolicy
from registry.errors import LimitExceeded
from registry.identities import require
from registry.identity_errors import NoSuchEntity
from registry.names import AccountId
from registry.records import attachments as rows
from registry.records import stamps
from registry.records.engine import Tx

_INLINE: Final[Mapping[Kind, int]] = {
    "user": documents.USER_POLICY,
    "group": documents.GROUP_POLICY,
    "role": documents.ROLE_POLICY,
}


async def attach(deps: Deps, account: AccountId, kind: Kind, name: str, arn: str) -> None:
    """Fine where it is attached already. Raises NoSuchEntity."""

    def unit(tx: Tx) -> None:
        found = require(tx, account, kind, name)
        rows.attach(tx, found.id, managed_policies.attachable(tx, account, arn).id)

    await deps.db.write(stamps.changing(unit))


async def detach(deps: Deps, account: AccountId, kind: Kind, name: str, arn: str) -> None:
    """Raises NoSuchEntity, also where it is not attached."""

    def unit(tx: Tx) -> None:
        found = require(tx, account, kind, name)
        if not rows.detach(tx, found.id, managed_policies.require(tx, account, arn).id):
            raise NoSuchEntity(f"Policy {arn} was not found.")

    await deps.db.write(stamps.changing(unit))


async def attached(deps: Deps, account: AccountId, kind: Kind, name: str) -> list[ManagedPolicy]:
    """By name. Raises NoSuchEntity."""

    def read(tx: Tx) -> list[ManagedPolicy]:
        return managed_policies.of_ids(tx, rows.attached(tx, require(tx, account, kind, name).id))

    return await deps.db.read(read)


# --- inline policies --------------------------------------------------------------------------------------------------


async def put_inline(deps: Deps, account: AccountId, kind: Kind, name: str, policy: str, document: str) -> None:
    """Instead of one of that name that is there. Raises NoSuchEntity, MalformedPolicyDocument, LimitExceeded."""
    limit = _INLINE[kind]
    managed_policies.checked(document, limit=max(limit, managed_policies.size(document)))

    def unit(tx: Tx) -> None:
        found = require(tx, account, kind, name)
        every = {**rows.inline(tx, found.id), policy: document}
        if sum(map(managed_policies.size, every.values())) > limit:
            raise LimitExceeded(f"Maximum policy size of {limit} bytes exceeded for {kind} {name}")
        rows.put_inline(tx, found.id, policy, document)

    await deps.db.write(stamps.changing(unit))


async def inline(deps: Deps, account: AccountId, kind: Kind, name: str) -> dict[str, str]:
    """Documents by name, in order of name. Raises NoSuchEntity."""
    return await deps.db.read(lambda tx: rows.inline(tx, require(tx, account, kind, name).id))


async def get_inline(deps: Deps, account: AccountId, kind: Kind, name: str, policy: str) -> str:
    """Raises NoSuchEntity."""
    found = await inline(deps, account, kind, name)
    if policy not in found:
        raise _missing(kind, policy)
    return found[policy]


async def delete_inline(deps: Deps, account: AccountId, kind: Kind, name: str, policy: str) -> None:
    """Raises NoSuchEntity."""

    def unit(tx: Tx) -> None:
        if not rows.delete_inline(tx, require(tx, account, kind, name).id, policy):
            raise _missing(kind, policy)

    await deps.db.write(stamps.changing(unit))


def _missing(kind: Kind, policy: str) -> NoSuchEntity:
    return NoSuchEntity(f"The {kind} policy with name {policy} cannot be found.")
