"""Rows of when images were pulled last, and of whose pulls do not count."""

import datetime as dt

import sqlalchemy as sa

from registry.names import AccountId, Region, RegistryRef
from registry.records.engine import Tx
from registry.records.tables.images import manifests, repositories
from registry.records.tables.keeping import image_pulls, pull_time_exclusions

_p, _i, _r, _x = image_pulls.c, manifests.c, repositories.c, pull_time_exclusions.c


def put(tx: Tx, image_id: int, pulled_at: dt.datetime) -> None:
    """Write a pull down, if no later one is; an image that is gone is left out."""
    mine = _p.manifest_id == image_id
    if tx.execute(sa.update(image_pulls).where(mine, _p.pulled_at < pulled_at).values(pulled_at=pulled_at)).rowcount:
        return
    new = sa.select(_i.id, sa.literal(pulled_at, _p.pulled_at.type)).where(
        _i.id == image_id, ~sa.exists().where(_p.manifest_id == _i.id)
    )
    tx.execute(sa.insert(image_pulls).from_select(["manifest_id", "pulled_at"], new))


def registry_of(tx: Tx, image_id: int) -> RegistryRef | None:
    """The registry that an image is in."""
    statement = sa.select(_r.account, _r.region).join(manifests, _i.repository_id == _r.id).where(_i.id == image_id)
    row = tx.execute(statement).one_or_none()
    return None if row is None else RegistryRef(AccountId(row.account), Region(row.region))


# --- exclusions -------------------------------------------------------------------------------------------------------


def exclude(tx: Tx, registry: RegistryRef, principal: str, now: dt.datetime) -> bool:
    """Leave out a principal's pulls; False where they are."""
    if tx.execute(sa.select(_x.principal).where(_mine(registry), _x.principal == principal)).first() is not None:
        return False
    tx.execute(
        sa.insert(pull_time_exclusions).values(
            account=registry.account, region=registry.region, principal=principal, created_at=now
        )
    )
    return True


def include(tx: Tx, registry: RegistryRef, principal: str) -> bool:
    """Record a principal's pulls again; False where they are."""
    mine = _mine(registry) & (_x.principal == principal)
    return tx.execute(sa.delete(pull_time_exclusions).where(mine)).rowcount > 0


def excluded(tx: Tx, registry: RegistryRef, *, after: str, limit: int) -> list[str]:
    """Principals whose pulls are left out, behind the ARN `after`."""
    statement = sa.select(_x.principal).where(_mine(registry), _x.principal > after)
    return list(tx.execute(statement.order_by(_x.principal).limit(limit)).scalars())


def count_excluded(tx: Tx, registry: RegistryRef) -> int:
    return tx.execute(sa.select(sa.func.count()).where(_mine(registry))).scalar_one()


def excluding(tx: Tx) -> dict[str, set[RegistryRef]]:
    """In which registries pulls are left out, by principal."""
    found: dict[str, set[RegistryRef]] = {}
    for account, region, principal in tx.execute(sa.select(_x.account, _x.region, _x.principal)):
        found.setdefault(principal, set()).add(RegistryRef(AccountId(account), Region(region)))
    return found


def _mine(registry: RegistryRef) -> sa.ColumnElement[bool]:
    return (_x.account == registry.account) & (_x.region == registry.region)
