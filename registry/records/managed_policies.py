"""Rows of managed policies and their versions."""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from registry.entities import ManagedPolicy, PolicyVersion, folded
from registry.names import AccountId
from registry.records.engine import Tx
from registry.records.tables.identities import managed_policies, policy_versions

_p, _v = managed_policies.c, policy_versions.c
_BEHIND_ALL = "\U0010ffff"


def find(tx: Tx, account: AccountId, name: str) -> ManagedPolicy | None:
    """The one of exactly that name."""
    found = taken(tx, account, name)
    return found if found is not None and found.name == name else None


def taken(tx: Tx, account: AccountId, name: str) -> ManagedPolicy | None:
    """The one that keeps others from having that name."""
    statement = sa.select(managed_policies).where(_p.account == account, _p.name_key == folded(name))
    row = tx.execute(statement).one_or_none()
    return None if row is None else _policy(row)


def by_ids(tx: Tx, ids: Iterable[str]) -> list[ManagedPolicy]:
    """Those that there are, by name."""
    statement = sa.select(managed_policies).where(_p.id.in_(list(ids))).order_by(_p.name_key)
    return [_policy(row) for row in tx.execute(statement)]


def page(tx: Tx, account: AccountId, *, prefix: str, after: str, limit: int | None) -> list[ManagedPolicy]:
    """Those whose path begins with `prefix` and whose folded name sorts behind `after`, by that name."""
    statement = (
        sa.select(managed_policies)
        .where(_p.account == account, _p.name_key > after, _p.path >= prefix, _p.path < prefix + _BEHIND_ALL)
        .order_by(_p.name_key)
        .limit(limit)
    )
    return [_policy(row) for row in tx.execute(statement)]


def count(tx: Tx, account: AccountId) -> int:
    return tx.execute(sa.select(sa.func.count()).where(_p.account == account)).scalar_one()


def count_versions(tx: Tx, account: AccountId) -> int:
    """Of all policies of the account."""
    statement = (
        sa.select(sa.func.count())
        .select_from(policy_versions)
        .join(managed_policies, _p.id == _v.policy_id)
        .where(_p.account == account)
    )
    return tx.execute(statement).scalar_one()


def insert(tx: Tx, new: ManagedPolicy, document: str) -> bool:
    """A policy with its first version; False where the name is taken."""
    assert new.account is not None
    if taken(tx, new.account, new.name) is not None:
        return False
    tx.execute(
        sa.insert(managed_policies).values(
            id=new.id,
            account=new.account,
            name=new.name,
            name_key=folded(new.name),
            path=new.path,
            description=new.description,
            created_at=new.created_at,
            **_changeable(new),
        )
    )
    tx.execute(
        sa.insert(policy_versions).values(
            policy_id=new.id, number=new.default_version, document=document, created_at=new.created_at
        )
    )
    return True


def update(tx: Tx, changed: ManagedPolicy) -> None:
    """Write all that may change."""
    tx.execute(sa.update(managed_policies).where(_p.id == changed.id).values(**_changeable(changed)))


def delete(tx: Tx, policy_id: str) -> None:
    """Remove the policy and its versions."""
    tx.execute(sa.delete(managed_policies).where(_p.id == policy_id))


# --- versions ---------------------------------------------------------------------------------------------------------


def versions(tx: Tx, policy_id: str) -> list[PolicyVersion]:
    """The newest first."""
    statement = sa.select(policy_versions).where(_v.policy_id == policy_id).order_by(_v.number.desc())
    return [_version(row) for row in tx.execute(statement)]


def version(tx: Tx, policy_id: str, number: int) -> PolicyVersion | None:
    statement = sa.select(policy_versions).where(_v.policy_id == policy_id, _v.number == number)
    row = tx.execute(statement).one_or_none()
    return None if row is None else _version(row)


def add_version(tx: Tx, policy: ManagedPolicy, document: str, *, default: bool, now: dt.datetime) -> PolicyVersion:
    number = policy.last_version + 1
    tx.execute(sa.insert(policy_versions).values(policy_id=policy.id, number=number, document=document, created_at=now))
    update(
        tx,
        dataclasses.replace(
            policy,
            last_version=number,
            default_version=number if default else policy.default_version,
            updated_at=now,
        ),
    )
    return PolicyVersion(number=number, document=document, created_at=now)


def delete_version(tx: Tx, policy_id: str, number: int) -> None:
    tx.execute(sa.delete(policy_versions).where(_v.policy_id == policy_id, _v.number == number))


def _changeable(policy: ManagedPolicy) -> dict[str, object]:
    return {
        "updated_at": policy.updated_at,
        "default_version": policy.default_version,
        "last_version": policy.last_version,
        "resource_tags": json.dumps(dict(policy.resource_tags)),
    }


def _policy(row: sa.Row[Any]) -> ManagedPolicy:
    return ManagedPolicy(
        id=row.id,
        account=AccountId(row.account),
        name=row.name,
        path=row.path,
        description=row.description,
        created_at=row.created_at,
        updated_at=row.updated_at,
        default_version=row.default_version,
        last_version=row.last_version,
        resource_tags=json.loads(row.resource_tags),
    )


def _version(row: sa.Row[Any]) -> PolicyVersion:
    return PolicyVersion(number=row.number, document=row.document, created_at=row.created_at)
