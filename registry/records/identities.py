"""Rows of who may log in, and of the installation's own keys."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from registry.model import AccessKey
from registry.records.engine import Tx
from registry.records.tables import access_keys, installation_keys, stores

_k = access_keys.c


def access_key(tx: Tx, key_id: str) -> AccessKey | None:
    row = tx.execute(_BY_ID, {"id": key_id}).one_or_none()
    if row is None:
        return None
    return AccessKey(
        id=row.id, arn=row.arn, sealed_secret=row.sealed_secret, active=row.active, created_at=row.created_at
    )


def put_only_key(tx: Tx, account: str, key: AccessKey) -> None:
    """Make `key` the one key of its principal: any other ends with this."""
    tx.execute(sa.delete(access_keys).where(sa.or_(_k.arn == key.arn, _k.id == key.id)))
    tx.execute(
        sa.insert(access_keys).values(
            id=key.id,
            account=account,
            arn=key.arn,
            sealed_secret=key.sealed_secret,
            active=key.active,
            created_at=key.created_at,
        )
    )


def installation_secrets(tx: Tx) -> dict[str, bytes]:
    """The wrapped keys by purpose."""
    found = tx.execute(sa.select(installation_keys.c.purpose, installation_keys.c.wrapped)).all()
    return {purpose: wrapped for purpose, wrapped in found}


def add_installation_secrets(tx: Tx, wrapped: Mapping[str, bytes], now: dt.datetime) -> None:
    """Keep keys of the installation, by purpose, where there are none yet: each is made once."""
    known = installation_secrets(tx)
    for purpose in wrapped.keys() - known.keys():
        tx.execute(sa.insert(installation_keys).values(purpose=purpose, wrapped=wrapped[purpose], created_at=now))


def store_of(tx: Tx, region: str) -> str | None:
    """The identity of the blob store that a region's rows name."""
    return tx.execute(sa.select(stores.c.store_id).where(stores.c.region == region)).scalar_one_or_none()


def adopt_store(tx: Tx, region: str, store_id: str) -> str:
    """Note the identity of a region's store, unless one is known; the identity that is known now."""
    known = store_of(tx, region)
    if known is None:
        tx.execute(sa.insert(stores).values(region=region, store_id=store_id))
    return known or store_id


_BY_ID: sa.Select[Any] = sa.select(access_keys).where(_k.id == sa.bindparam("id"))
