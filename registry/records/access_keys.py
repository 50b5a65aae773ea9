"""Rows of access keys, each with the user whose it is."""

import datetime as dt
from typing import Any, NamedTuple

import sqlalchemy as sa

from registry.entities import AccessKey, Identity
from registry.names import AccountId
from registry.records import identities as identity_rows
from registry.records.engine import Tx
from registry.records.tables.identities import access_keys

_k = access_keys.c


class Owned(NamedTuple):
    """A key, and the user whose it is; None: the account's root user."""

    key: AccessKey
    user: Identity | None


def find(tx: Tx, key_id: str) -> AccessKey | None:
    row = tx.execute(_BY_ID, {"id": key_id}).one_or_none()
    return None if row is None else _key(row)


def owned(tx: Tx, key_id: str) -> Owned | None:
    """A key with its owner. None also for a key whose user is gone."""
    key = find(tx, key_id)
    if key is None:
        return None
    if key.is_root:
        return Owned(key, None)
    user = identity_rows.by_id(tx, key.owner_id)
    return None if user is None else Owned(key, user)


def of_owner(tx: Tx, owner_id: str) -> list[AccessKey]:
    """In the order in which they were made."""
    statement = sa.select(access_keys).where(_k.owner_id == owner_id).order_by(_k.created_at, _k.id)
    return [_key(row) for row in tx.execute(statement)]


def insert(tx: Tx, key: AccessKey) -> None:
    tx.execute(
        sa.insert(access_keys).values(
            id=key.id,
            account=key.account,
            owner_id=key.owner_id,
            sealed_secret=key.sealed_secret,
            active=key.active,
            installed=key.installed,
            created_at=key.created_at,
        )
    )


def installed(tx: Tx, account: AccountId) -> AccessKey | None:
    """The key that a start brought for the account."""
    row = tx.execute(sa.select(access_keys).where(_k.account == account, _k.installed)).one_or_none()
    return None if row is None else _key(row)


def install(tx: Tx, key: AccessKey) -> None:
    """Make `key` the one that the start brought: one that an earlier start brought for the account ends with this."""
    mine = sa.and_(_k.account == key.account, _k.installed)
    tx.execute(sa.delete(access_keys).where(sa.or_(mine, _k.id == key.id)))
    insert(tx, key)


def set_active(tx: Tx, key_id: str, active: bool) -> None:
    tx.execute(sa.update(access_keys).where(_k.id == key_id).values(active=active))


def delete(tx: Tx, key_id: str) -> None:
    tx.execute(sa.delete(access_keys).where(_k.id == key_id))


def note_use(tx: Tx, key_id: str, *, service: str, region: str, now: dt.datetime) -> None:
    tx.execute(
        sa.update(access_keys)
        .where(_k.id == key_id)
        .values(last_used_at=now, last_used_service=service, last_used_region=region)
    )


_BY_ID: sa.Select[Any] = sa.select(access_keys).where(_k.id == sa.bindparam("id"))


def _key(row: sa.Row[Any]) -> AccessKey:
    return AccessKey(
        id=row.id,
        account=AccountId(row.account),
        owner_id=row.owner_id,
        sealed_secret=row.sealed_secret,
        active=row.active,
        created_at=row.created_at,
        installed=row.installed,
        last_used_at=row.last_used_at,
        last_used_service=row.last_used_service,
        last_used_region=row.last_used_region,
    )
