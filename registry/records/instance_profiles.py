"""Rows of instance profiles, each with the role that it holds."""

import json
from typing import Any

import sqlalchemy as sa

from registry.entities import InstanceProfile, folded
from registry.names import AccountId
from registry.records import identities
from registry.records.engine import Tx
from registry.records.tables.identities import instance_profiles

_p = instance_profiles.c
_BEHIND_ALL = "\U0010ffff"


def find(tx: Tx, account: AccountId, name: str) -> InstanceProfile | None:
    """The one of exactly that name."""
    found = taken(tx, account, name)
    return found if found is not None and found.name == name else None


def taken(tx: Tx, account: AccountId, name: str) -> InstanceProfile | None:
    """The one that keeps others from having that name."""
    statement = sa.select(instance_profiles).where(_p.account == account, _p.name_key == folded(name))
    row = tx.execute(statement).one_or_none()
    return None if row is None else _profile(tx, row)


def page(tx: Tx, account: AccountId, *, prefix: str, after: str, limit: int) -> list[InstanceProfile]:
    """The first `limit` whose path begins with `prefix` and whose folded name sorts behind `after`, by that name."""
    statement = (
        sa.select(instance_profiles)
        .where(_p.account == account, _p.name_key > after, _p.path >= prefix, _p.path < prefix + _BEHIND_ALL)
        .order_by(_p.name_key)
        .limit(limit)
    )
    return [_profile(tx, row) for row in tx.execute(statement).all()]


def of_role(tx: Tx, role_id: str) -> list[InstanceProfile]:
    """By name."""
    statement = sa.select(instance_profiles).where(_p.role_id == role_id).order_by(_p.name_key)
    return [_profile(tx, row) for row in tx.execute(statement).all()]


def count(tx: Tx, account: AccountId) -> int:
    return tx.execute(sa.select(sa.func.count()).where(_p.account == account)).scalar_one()


def insert(tx: Tx, new: InstanceProfile) -> bool:
    """False where the name is taken."""
    if taken(tx, new.account, new.name) is not None:
        return False
    tx.execute(
        sa.insert(instance_profiles).values(
            id=new.id,
            account=new.account,
            name=new.name,
            name_key=folded(new.name),
            path=new.path,
            created_at=new.created_at,
            **_changeable(new),
        )
    )
    return True


def update(tx: Tx, changed: InstanceProfile) -> None:
    """Write all that may change: the role and the tags."""
    tx.execute(sa.update(instance_profiles).where(_p.id == changed.id).values(**_changeable(changed)))


def delete(tx: Tx, profile_id: str) -> None:
    tx.execute(sa.delete(instance_profiles).where(_p.id == profile_id))


def _changeable(profile: InstanceProfile) -> dict[str, object]:
    return {
        "resource_tags": json.dumps(dict(profile.resource_tags)),
        "role_id": None if profile.role is None else profile.role.id,
    }


def _profile(tx: Tx, row: sa.Row[Any]) -> InstanceProfile:
    return InstanceProfile(
        id=row.id,
        account=AccountId(row.account),
        name=row.name,
        path=row.path,
        created_at=row.created_at,
        resource_tags=json.loads(row.resource_tags),
        role=None if row.role_id is None else identities.by_id(tx, row.role_id),
    )
