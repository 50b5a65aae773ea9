"""Rows of the installation itself: its keys, and the blob stores that its rows speak of."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa

from registry.model import KnownStore, StoreRole
from registry.names import Region
from registry.records.engine import Tx
from registry.records.tables.installation import installation_keys, stores

_s: Final = stores.c
_PAST: Final = "past"  # a role that no store is opened for


def installation_secrets(tx: Tx) -> dict[str, bytes]:
    """The wrapped keys by purpose."""
    found = tx.execute(sa.select(installation_keys.c.purpose, installation_keys.c.wrapped)).all()
    return {purpose: wrapped for purpose, wrapped in found}


def add_installation_secrets(tx: Tx, wrapped: Mapping[str, bytes], now: dt.datetime) -> None:
    """Keep keys of the installation, by purpose, where there are none yet: each is made once."""
    known = installation_secrets(tx)
    for purpose in wrapped.keys() - known.keys():
        tx.execute(sa.insert(installation_keys).values(purpose=purpose, wrapped=wrapped[purpose], created_at=now))


def store_of(tx: Tx, region: str, role: StoreRole = "main") -> str | None:
    """The identity of a region's store."""
    return _store(tx, region, role)


def stores_of(tx: Tx, region: str) -> dict[StoreRole, str]:
    """The identities of the stores that a region's rows may name."""
    return {one.role: one.store_id for one in known_stores(tx) if one.region == region}


def known_stores(tx: Tx) -> list[KnownStore]:
    """Every store that rows may name."""
    statement = sa.select(_s.region, _s.role, _s.store_id).where(_s.role != _PAST).order_by(_s.region, _s.role)
    return [
        KnownStore(region=Region(row.region), role=row.role, store_id=row.store_id) for row in tx.execute(statement)
    ]


def store_regions(tx: Tx) -> list[str]:
    """The regions that have a blob store."""
    return list(tx.execute(sa.select(_s.region).where(_s.role == "main").order_by(_s.region)).scalars())


def adopt_store(tx: Tx, region: str, store_id: str, role: StoreRole = "main") -> str:
    """Note the identity of a region's store, unless one is known; the identity that is known now."""
    known = store_of(tx, region, role)
    if known is None:
        tx.execute(sa.insert(stores).values(region=region, role=role, store_id=store_id))
    return known or store_id


def past_store(tx: Tx, region: str) -> str | None:
    """The identity of a store that was a region's before, and that no row names any more."""
    return _store(tx, region, _PAST)


def succeed_store(tx: Tx, region: str, *, was: str, main: str) -> None:
    """Let new bytes of a region go to another store from now on, if they still go to `was`, which is the previous one
    then. What the previous one was is forgotten, so no row may name it."""
    if store_of(tx, region) == was:
        tx.execute(sa.delete(stores).where(_s.region == region, _s.role.in_(("previous", _PAST))))
        tx.execute(sa.update(stores).where(_s.region == region, _s.role == "main").values(role="previous"))
        tx.execute(sa.insert(stores).values(region=region, role="main", store_id=main))


def leave_store(tx: Tx, region: str) -> None:
    """A region's previous store is not used any more. Its identity is kept, for the day that it is used again."""
    tx.execute(sa.delete(stores).where(_s.region == region, _s.role == _PAST))
    tx.execute(sa.update(stores).where(_s.region == region, _s.role == "previous").values(role=_PAST))


def return_to_store(tx: Tx, region: str) -> None:
    """The store that was a region's before is to be looked into again."""
    if store_of(tx, region, "previous") is None:
        tx.execute(sa.update(stores).where(_s.region == region, _s.role == _PAST).values(role="previous"))


def _store(tx: Tx, region: str, role: str) -> str | None:
    mine = (_s.region == region) & (_s.role == role)
    return tx.execute(sa.select(_s.store_id).where(mine)).scalar_one_or_none()
