"""Roles: what only they have, a trust policy and how long a session may last.

A trust policy says who may assume the role. It is bound to the unique ids of the users and roles that it names
(`auth.bindings`). Sources: AWS IAM API reference; AWS IAM user guide, "IAM and AWS STS quotas".
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

from policies import documents
from policies.documents import Policy
from policies.elements import PolicyInvalid
from registry import bindings, identities, managed_policies
from registry.context import Deps
from registry.entities import Identity, Trust, new_id
from registry.errors import LimitExceeded
from registry.identities import Described
from registry.identity_errors import MalformedPolicyDocument
from registry.names import AccountId
from registry.records import identities as rows
from registry.records import stamps
from registry.records.engine import Tx

SESSION_SECONDS: Final = 3600


async def create(
    deps: Deps,
    account: AccountId,
    name: str,
    *,
    trust: str,
    path: str,
    description: str | None,
    max_session_seconds: int,
    boundary: str | None,
    resource_tags: Mapping[str, str],
) -> Described:
    """Raises EntityAlreadyExists, NoSuchEntity, MalformedPolicyDocument, LimitExceeded."""
    policy = _parsed(trust)
    now = deps.clock.now()

    def unit(tx: Tx) -> Described:
        new = Identity(
            id=new_id("role"),
            account=account,
            kind="role",
            name=name,
            path=path,
            created_at=now,
            resource_tags=resource_tags,
            description=description,
            max_session_seconds=max_session_seconds,
            trust=_bound(tx, trust, policy),
        )
        return identities.insert(tx, new, boundary)

    return await deps.db.write(stamps.changing(unit))


async def describe(deps: Deps, account: AccountId, name: str) -> Described:
    """Raises NoSuchEntity."""

    def read(tx: Tx) -> Described:
        found = identities.require(tx, account, "role", name)
        return Described(shown(tx, found), managed_policies.arn_of(tx, found.boundary_id))

    return await deps.db.read(read)


async def page(deps: Deps, account: AccountId, *, prefix: str, after: str, limit: int) -> list[Identity]:
    """The first `limit` below a path whose folded name sorts behind `after`."""

    def read(tx: Tx) -> list[Identity]:
        found = rows.page(tx, account, "role", prefix=prefix, after=after, limit=limit)
        return [shown(tx, one) for one in found]

    return await deps.db.read(read)


def shown(tx: Tx, role: Identity) -> Identity:
    """The role with its trust policy as it stands now: whoever is gone is named by the unique id."""
    assert role.trust is not None
    text = bindings.shown(tx, role.trust.document, role.trust.bindings)
    return dataclasses.replace(role, trust=dataclasses.replace(role.trust, document=text))


async def update(
    deps: Deps, account: AccountId, name: str, *, description: str | None, max_session_seconds: int | None
) -> Identity:
    """What is None stays. Raises NoSuchEntity."""

    def changed(_: Tx, role: Identity) -> Identity:
        return dataclasses.replace(
            role,
            description=role.description if description is None else description,
            max_session_seconds=max_session_seconds or role.max_session_seconds,
        )

    return await identities.change(deps, account, "role", name, changed)


async def set_trust(deps: Deps, account: AccountId, name: str, trust: str) -> None:
    """Raises NoSuchEntity, MalformedPolicyDocument, LimitExceeded."""
    policy = _parsed(trust)
    await identities.change(
        deps,
        account,
        "role",
        name,
        lambda tx, role: dataclasses.replace(role, trust=_bound(tx, trust, policy)),
    )


def _parsed(trust: str) -> Policy:
    """A trust policy that can be kept, in its limit."""
    if managed_policies.size(trust) > documents.TRUST_POLICY:
        raise LimitExceeded(f"Cannot exceed quota for ACLSizePerRole: {documents.TRUST_POLICY}")
    try:
        policy = documents.parse_resource_policy(trust)
    except PolicyInvalid as error:
        raise MalformedPolicyDocument(str(error)) from None
    for statement in policy.statements:
        if statement.resources or statement.not_resources:
            raise MalformedPolicyDocument("Has prohibited field Resource")
        if not all(action.lower().startswith("sts:") for action in (*statement.actions, *statement.not_actions)):
            raise MalformedPolicyDocument("AssumeRole policy may only specify STS AssumeRole actions.")
    return policy


def _bound(tx: Tx, trust: str, policy: Policy) -> Trust:
    try:
        return Trust(document=trust, bindings=bindings.bind(tx, policy))
    except PolicyInvalid as error:
        raise MalformedPolicyDocument(error.text) from None
