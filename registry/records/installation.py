"""Rows of the installation itself: its keys, and the blob stores that its rows speak of."""

import datetime as dt
from collections.abc import Mapping

import sqlalchemy as sa

from registry.records.engine import Tx
from registry.records.tables.installation import installation_keys, stores


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


def store_regions(tx: Tx) -> list[str]:
    """The regions that have a blob store."""
    return list(tx.execute(sa.select(stores.c.region).order_by(stores.c.region)).scalars())


def adopt_store(tx: Tx, region: str, store_id: str) -> str:
    """Note the identity of a region's store, unless one is known; the identity that is known now."""
    known = store_of(tx, region)
    if known is None:
        tx.execute(sa.insert(stores).values(region=region, store_id=store_id))
    return known or store_id
