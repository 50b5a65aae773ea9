"""Groups: who is in them. A group is no principal: it only hands its policies on to its users."""

from registry.context import Deps
from registry.entities import Identity
from registry.identities import require
from registry.identity_errors import NoSuchEntity
from registry.names import AccountId
from registry.records import identities as rows
from registry.records import stamps
from registry.records.engine import Tx


async def add(deps: Deps, account: AccountId, group: str, user: str) -> None:
    """Fine where the user is in it already. Raises NoSuchEntity."""

    def unit(tx: Tx) -> None:
        rows.add_member(tx, require(tx, account, "group", group).id, require(tx, account, "user", user).id)

    await deps.db.write(stamps.changing(unit))


async def remove(deps: Deps, account: AccountId, group: str, user: str) -> None:
    """Raises NoSuchEntity, also where the user is not in it."""

    def unit(tx: Tx) -> None:
        group_id = require(tx, account, "group", group).id
        if not rows.remove_member(tx, group_id, require(tx, account, "user", user).id):
            raise NoSuchEntity(f"User {user} not in group {group}")

    await deps.db.write(stamps.changing(unit))


async def members(
    deps: Deps, account: AccountId, group: str, *, after: str, limit: int
) -> tuple[Identity, list[Identity]]:
    """The group, and the first `limit` of its users whose folded name sorts behind `after`. Raises NoSuchEntity."""

    def read(tx: Tx) -> tuple[Identity, list[Identity]]:
        found = require(tx, account, "group", group)
        return found, rows.members(tx, found.id, after=after, limit=limit)

    return await deps.db.read(read)


async def of_user(deps: Deps, account: AccountId, user: str, *, after: str, limit: int) -> list[Identity]:
    """The first `limit` of a user's groups whose folded name sorts behind `after`. Raises NoSuchEntity."""
    return await deps.db.read(
        lambda tx: rows.groups_of(tx, require(tx, account, "user", user).id, after=after, limit=limit)
    )
