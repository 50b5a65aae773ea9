"""Instance profiles: what hands a role to a machine. One holds at most one role. Source: AWS IAM API reference."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from registry import roles, tagging
from registry.context import Deps
from registry.entities import InstanceProfile, new_id
from registry.errors import LimitExceeded
from registry.identities import require as require_identity
from registry.identity_errors import DeleteConflict, EntityAlreadyExists, NoSuchEntity
from registry.names import AccountId
from registry.records import instance_profiles as rows
from registry.records import stamps
from registry.records.engine import Tx


def require(tx: Tx, account: AccountId, name: str) -> InstanceProfile:
    """Raises NoSuchEntity."""
    found = rows.find(tx, account, name)
    if found is None:
        raise NoSuchEntity(f"Instance Profile {name} cannot be found.")
    return found


async def find(deps: Deps, account: AccountId, name: str) -> InstanceProfile | None:
    return await deps.db.point(lambda tx: rows.find(tx, account, name))


async def get(deps: Deps, account: AccountId, name: str) -> InstanceProfile:
    """Raises NoSuchEntity."""
    return await deps.db.read(lambda tx: _shown(tx, require(tx, account, name)))


async def page(deps: Deps, account: AccountId, *, prefix: str, after: str, limit: int) -> list[InstanceProfile]:
    """The first `limit` below a path whose folded name sorts behind `after`."""
    return await deps.db.read(
        lambda tx: [_shown(tx, one) for one in rows.page(tx, account, prefix=prefix, after=after, limit=limit)]
    )


async def of_role(deps: Deps, account: AccountId, role: str) -> list[InstanceProfile]:
    """By name. Raises NoSuchEntity."""
    return await deps.db.read(
        lambda tx: [_shown(tx, one) for one in rows.of_role(tx, require_identity(tx, account, "role", role).id)]
    )


async def create(
    deps: Deps, account: AccountId, name: str, *, path: str, resource_tags: Mapping[str, str]
) -> InstanceProfile:
    """Raises EntityAlreadyExists."""
    new = InstanceProfile(
        id=new_id("instance-profile"),
        account=account,
        name=name,
        path=path,
        created_at=deps.clock.now(),
        resource_tags=resource_tags,
    )

    def unit(tx: Tx) -> InstanceProfile:
        if not rows.insert(tx, new):
            raise EntityAlreadyExists(f"Instance Profile {name} already exists.")
        return new

    return await deps.db.write(stamps.changing(unit))


async def delete(deps: Deps, account: AccountId, name: str) -> None:
    """Raises NoSuchEntity, DeleteConflict."""

    def unit(tx: Tx) -> None:
        found = require(tx, account, name)
        if found.role is not None:
            raise DeleteConflict("Cannot delete entity, must remove roles from instance profile first.")
        rows.delete(tx, found.id)

    await deps.db.write(stamps.changing(unit))


async def add_role(deps: Deps, account: AccountId, name: str, role: str) -> None:
    """Raises NoSuchEntity, LimitExceeded."""

    def added(tx: Tx, found: InstanceProfile) -> InstanceProfile:
        wanted = require_identity(tx, account, "role", role)
        if found.role is not None:
            raise LimitExceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
        return dataclasses.replace(found, role=wanted)

    await _change(deps, account, name, added)


async def remove_role(deps: Deps, account: AccountId, name: str, role: str) -> None:
    """Raises NoSuchEntity, also where the role is not in it."""

    def removed(_: Tx, found: InstanceProfile) -> InstanceProfile:
        if found.role is None or found.role.name != role:
            raise NoSuchEntity(f"The role with name {role} cannot be found.")
        return dataclasses.replace(found, role=None)

    await _change(deps, account, name, removed)


async def add_tags(deps: Deps, account: AccountId, name: str, added: Mapping[str, str]) -> None:
    """Raises NoSuchEntity, LimitExceeded."""
    await _retag(deps, account, name, lambda tags: tagging.merged(tags, added, quota="TagsPerInstanceProfile"))


async def remove_tags(deps: Deps, account: AccountId, name: str, keys: Sequence[str]) -> None:
    """Raises NoSuchEntity."""
    await _retag(deps, account, name, lambda tags: tagging.without(tags, keys))


async def _retag(
    deps: Deps, account: AccountId, name: str, how: Callable[[Mapping[str, str]], Mapping[str, str]]
) -> None:
    await _change(
        deps, account, name, lambda _, found: dataclasses.replace(found, resource_tags=how(found.resource_tags))
    )


async def _change(
    deps: Deps, account: AccountId, name: str, how: Callable[[Tx, InstanceProfile], InstanceProfile]
) -> None:
    await deps.db.write(stamps.changing(lambda tx: rows.update(tx, how(tx, require(tx, account, name)))))


def _shown(tx: Tx, profile: InstanceProfile) -> InstanceProfile:
    """With the trust policy of its role as it stands now."""
    return profile if profile.role is None else dataclasses.replace(profile, role=roles.shown(tx, profile.role))
