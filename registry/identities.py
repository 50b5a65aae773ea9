"""Users, groups and roles: create, find, list, rename, tag, bound, delete.

What they have in common is here; `groups` knows members, `roles` trust policies, `access_keys` keys, and `attachments`
the policies that hang on them. Nothing that hangs on one goes with it unseen: it cannot be deleted before.

Sources: AWS IAM API reference.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from registry import managed_policies, tagging
from registry.context import Deps
from registry.entities import Account, Identity, Kind, new_id
from registry.identity_errors import DeleteConflict, EntityAlreadyExists, NoSuchEntity
from registry.names import AccountId
from registry.records import access_keys, accounts, attachments, stamps
from registry.records import identities as rows
from registry.records.engine import Tx

_QUOTAS: Final[Mapping[Kind, str]] = {"user": "TagsPerUser", "role": "TagsPerRole", "group": "TagsPerGroup"}


class Described(NamedTuple):
    """An identity, and the ARN of its permissions boundary."""

    identity: Identity
    boundary: str | None


# --- finding ----------------------------------------------------------------------------------------------------------


def require(tx: Tx, account: AccountId, kind: Kind, name: str) -> Identity:
    """Raises NoSuchEntity."""
    found = rows.find(tx, account, kind, name)
    if found is None:
        raise NoSuchEntity(f"The {kind} with name {name} cannot be found.")
    return found


async def find(deps: Deps, account: AccountId, kind: Kind, name: str) -> Identity | None:
    return await deps.db.point(lambda tx: rows.find(tx, account, kind, name))


async def get(deps: Deps, account: AccountId, kind: Kind, name: str) -> Identity:
    """Raises NoSuchEntity."""
    return await deps.db.point(lambda tx: require(tx, account, kind, name))


async def describe(deps: Deps, account: AccountId, kind: Kind, name: str) -> Described:
    """Raises NoSuchEntity."""

    def read(tx: Tx) -> Described:
        found = require(tx, account, kind, name)
        return Described(found, managed_policies.arn_of(tx, found.boundary_id))

    return await deps.db.read(read)


async def root(deps: Deps, account: AccountId) -> Account:
    """The account, which is what is known of its root user. Raises NoSuchEntity."""
    found = await deps.db.point(lambda tx: accounts.find(tx, account))
    if found is None:
        raise NoSuchEntity(f"The account {account} cannot be found.")
    return found


async def page(deps: Deps, account: AccountId, kind: Kind, *, prefix: str, after: str, limit: int) -> list[Identity]:
    """The first `limit` below a path whose folded name sorts behind `after`."""
    return await deps.db.read(lambda tx: rows.page(tx, account, kind, prefix=prefix, after=after, limit=limit))


# --- changing ---------------------------------------------------------------------------------------------------------


async def create(
    deps: Deps,
    account: AccountId,
    kind: Kind,
    name: str,
    *,
    path: str,
    boundary: str | None = None,
    resource_tags: Mapping[str, str] | None = None,
) -> Described:
    """A user or group. `boundary` is the ARN of a managed policy. Raises EntityAlreadyExists, NoSuchEntity."""
    new = Identity(
        id=new_id(kind),
        account=account,
        kind=kind,
        name=name,
        path=path,
        created_at=deps.clock.now(),
        resource_tags=resource_tags or {},
    )
    return await deps.db.write(stamps.changing(lambda tx: insert(tx, new, boundary)))


def insert(tx: Tx, new: Identity, boundary: str | None) -> Described:
    """Raises EntityAlreadyExists, NoSuchEntity."""
    new = _bounded(tx, new, boundary)
    if not rows.insert(tx, new):
        raise _taken(new)
    return Described(new, boundary)


async def rename(
    deps: Deps, account: AccountId, kind: Kind, name: str, *, new_name: str | None, new_path: str | None
) -> None:
    """It stays who it is: its id is the same. Raises NoSuchEntity, EntityAlreadyExists."""

    def unit(tx: Tx) -> None:
        found = require(tx, account, kind, name)
        changed = dataclasses.replace(found, name=new_name or found.name, path=new_path or found.path)
        if not rows.update(tx, changed):
            raise _taken(changed)

    await deps.db.write(stamps.changing(unit))


async def change(
    deps: Deps, account: AccountId, kind: Kind, name: str, how: Callable[[Tx, Identity], Identity]
) -> Identity:
    """Everything but the name. Raises NoSuchEntity, and what `how` raises."""

    def unit(tx: Tx) -> Identity:
        changed = how(tx, require(tx, account, kind, name))
        rows.update(tx, changed)
        return changed

    return await deps.db.write(stamps.changing(unit))


async def set_boundary(deps: Deps, account: AccountId, kind: Kind, name: str, arn: str | None) -> None:
    """None takes it away. Raises NoSuchEntity."""
    await change(deps, account, kind, name, lambda tx, found: _bounded(tx, found, arn))


async def add_tags(deps: Deps, account: AccountId, kind: Kind, name: str, added: Mapping[str, str]) -> None:
    """Raises NoSuchEntity, LimitExceeded."""

    def merged(_: Tx, found: Identity) -> Identity:
        together = tagging.merged(found.resource_tags, added, quota=_QUOTAS[kind])
        return dataclasses.replace(found, resource_tags=together)

    await change(deps, account, kind, name, merged)


async def remove_tags(deps: Deps, account: AccountId, kind: Kind, name: str, keys: Sequence[str]) -> None:
    """Raises NoSuchEntity."""

    def without(_: Tx, found: Identity) -> Identity:
        return dataclasses.replace(found, resource_tags=tagging.without(found.resource_tags, keys))

    await change(deps, account, kind, name, without)


async def delete(deps: Deps, account: AccountId, kind: Kind, name: str) -> None:
    """Raises NoSuchEntity, DeleteConflict."""

    def unit(tx: Tx) -> None:
        found = require(tx, account, kind, name)
        for what, hangs in _HANGING:
            if hangs(tx, found):
                raise DeleteConflict(f"Cannot delete entity, must {what} first.")
        rows.delete(tx, found.id)

    await deps.db.write(stamps.changing(unit))


# What must be done before one is deleted, and whether there is something to do.
_HANGING: Final[Sequence[tuple[str, Callable[[Tx, Identity], bool]]]] = (
    ("delete access keys", lambda tx, found: bool(access_keys.of_owner(tx, found.id))),
    ("remove users from group", lambda tx, found: bool(rows.members(tx, found.id, limit=1))),
    ("remove user from all groups", lambda tx, found: bool(rows.groups_of(tx, found.id, limit=1))),
    ("remove roles from instance profile", lambda tx, found: attachments.in_profile(tx, found.id)),
    ("detach all policies", lambda tx, found: bool(attachments.attached(tx, found.id))),
    ("delete policies", lambda tx, found: bool(attachments.inline(tx, found.id))),
)


def _bounded(tx: Tx, identity: Identity, arn: str | None) -> Identity:
    if arn is None:
        return dataclasses.replace(identity, boundary_id=None)
    policy = managed_policies.find(tx, identity.account, arn)
    if policy is None:
        raise NoSuchEntity(f"Scope ARN: {arn} does not exist or is not attachable.")
    return dataclasses.replace(identity, boundary_id=policy.id)


def _taken(identity: Identity) -> EntityAlreadyExists:
    return EntityAlreadyExists(f"{identity.kind.capitalize()} with name {identity.name} already exists.")
