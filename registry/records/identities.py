"""Rows of users, groups and roles, and of who is in which group."""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from registry.entities import Identity, Kind, Trust, folded
from registry.names import AccountId
from registry.records.engine import Tx
from registry.records.tables.identities import group_members, identities

_i, _m = identities.c, group_members.c
_BEHIND_ALL = "\U0010ffff"  # sorts behind every character of a path


def find(tx: Tx, account: AccountId, kind: Kind, name: str) -> Identity | None:
    """The one of exactly that name."""
    found = taken(tx, account, kind, name)
    return found if found is not None and found.name == name else None


def taken(tx: Tx, account: AccountId, kind: Kind, name: str) -> Identity | None:
    """The one that keeps others from having that name: names are unique without regard to case."""
    row = tx.execute(_BY_NAME, {"account": account, "kind": kind, "name_key": folded(name)}).one_or_none()
    return None if row is None else _identity(row)


def by_id(tx: Tx, identity_id: str) -> Identity | None:
    row = tx.execute(_BY_ID, {"id": identity_id}).one_or_none()
    return None if row is None else _identity(row)


def by_ids(tx: Tx, ids: Iterable[str]) -> list[Identity]:
    """Those that there are, by kind and name."""
    statement = sa.select(identities).where(_i.id.in_(list(ids))).order_by(_i.kind, _i.name_key)
    return [_identity(row) for row in tx.execute(statement)]


def page(tx: Tx, account: AccountId, kind: Kind, *, prefix: str, after: str, limit: int) -> list[Identity]:
    """The first `limit` whose path begins with `prefix` and whose folded name sorts behind `after`, by that name."""
    statement = (
        sa.select(identities)
        .where(
            _i.account == account,
            _i.kind == kind,
            _i.name_key > after,
            _i.path >= prefix,
            _i.path < prefix + _BEHIND_ALL,
        )
        .order_by(_i.name_key)
        .limit(limit)
    )
    return [_identity(row) for row in tx.execute(statement)]


def count(tx: Tx, account: AccountId, kind: Kind) -> int:
    statement = sa.select(sa.func.count()).where(_i.account == account, _i.kind == kind)
    return tx.execute(statement).scalar_one()


def insert(tx: Tx, new: Identity) -> bool:
    """False where the name is taken."""
    if taken(tx, new.account, new.kind, new.name) is not None:
        return False
    tx.execute(
        sa.insert(identities).values(
            id=new.id, account=new.account, kind=new.kind, created_at=new.created_at, **_changeable(new)
        )
    )
    return True


def update(tx: Tx, changed: Identity) -> bool:
    """Write all that may change; False where another one has the name."""
    other = taken(tx, changed.account, changed.kind, changed.name)
    if other is not None and other.id != changed.id:
        return False
    tx.execute(sa.update(identities).where(_i.id == changed.id).values(**_changeable(changed)))
    return True


def delete(tx: Tx, identity_id: str) -> None:
    """Remove it, and every row that hangs on it but access keys."""
    tx.execute(sa.delete(identities).where(_i.id == identity_id))


def note_use(tx: Tx, identity_id: str, *, region: str, now: dt.datetime) -> None:
    tx.execute(sa.update(identities).where(_i.id == identity_id).values(last_used_at=now, last_used_region=region))


# --- groups -----------------------------------------------------------------------------------------------------------


def add_member(tx: Tx, group_id: str, user_id: str) -> bool:
    """False where the user is in the group already."""
    mine = (_m.group_id == group_id) & (_m.user_id == user_id)
    if tx.execute(sa.select(_m.user_id).where(mine)).first() is not None:
        return False
    tx.execute(sa.insert(group_members).values(group_id=group_id, user_id=user_id))
    return True


def remove_member(tx: Tx, group_id: str, user_id: str) -> bool:
    """False where the user is not in the group."""
    mine = (_m.group_id == group_id) & (_m.user_id == user_id)
    return tx.execute(sa.delete(group_members).where(mine)).rowcount > 0


def members(tx: Tx, group_id: str, *, after: str = "", limit: int | None = None) -> list[Identity]:
    """Users of a group, by name."""
    return _joined(tx, _m.user_id, _m.group_id == group_id, after, limit)


def groups_of(tx: Tx, user_id: str, *, after: str = "", limit: int | None = None) -> list[Identity]:
    """Groups that a user is in, by name."""
    return _joined(tx, _m.group_id, _m.user_id == user_id, after, limit)


def _joined(
    tx: Tx, other: sa.Column[Any], where: sa.ColumnElement[bool], after: str, limit: int | None
) -> list[Identity]:
    statement = (
        sa.select(identities)
        .join(group_members, other == _i.id)
        .where(where, _i.name_key > after)
        .order_by(_i.name_key)
        .limit(limit)
    )
    return [_identity(row) for row in tx.execute(statement)]


# --- inside -----------------------------------------------------------------------------------------------------------

_BY_ID: sa.Select[Any] = sa.select(identities).where(_i.id == sa.bindparam("id"))
_BY_NAME: sa.Select[Any] = sa.select(identities).where(
    _i.account == sa.bindparam("account"), _i.kind == sa.bindparam("kind"), _i.name_key == sa.bindparam("name_key")
)


def _changeable(identity: Identity) -> dict[str, object]:
    trust = identity.trust
    return {
        "name": identity.name,
        "name_key": folded(identity.name),
        "path": identity.path,
        "resource_tags": json.dumps(dict(identity.resource_tags)),
        "boundary_id": identity.boundary_id,
        "description": identity.description,
        "max_session_seconds": identity.max_session_seconds if identity.kind == "role" else None,
        "trust_policy": None if trust is None else trust.document,
        "trust_bindings": None if trust is None else json.dumps(dict(trust.bindings)),
    }


def _identity(row: sa.Row[Any]) -> Identity:
    found = Identity(
        id=row.id,
        account=AccountId(row.account),
        kind=row.kind,
        name=row.name,
        path=row.path,
        created_at=row.created_at,
        resource_tags=json.loads(row.resource_tags),
        boundary_id=row.boundary_id,
    )
    if row.kind != "role":
        return found
    return dataclasses.replace(
        found,
        description=row.description,
        max_session_seconds=row.max_session_seconds,
        trust=Trust(document=row.trust_policy, bindings=json.loads(row.trust_bindings)),
        last_used_at=row.last_used_at,
        last_used_region=row.last_used_region,
    )
