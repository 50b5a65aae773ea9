"""How many bytes are held: by one repository, by an account, by everyone.

A repository holds each blob once, however many of its images need it. An account holds each once for each store,
however many of its repositories do: that is what lies on the disk for it. A blob that several accounts hold counts for
each of them. Manifests count with the bytes that were pushed; they lie in the rows of their repository.

What was deleted and can be brought back is a figure of its own: what nothing but deleted images keeps there.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from registry.model import Holding
from registry.names import AccountId, Region, RegistryRef, RepositoryName
from registry.records.engine import Tx
from registry.records.tables.images import blobs, links, manifest_references, manifests, repositories
from registry.records.tables.keeping import deleted_images, holds

_b, _l, _i, _r, _x = (table.c for table in (blobs, links, manifests, repositories, manifest_references))
_d, _h = deleted_images.c, holds.c

Holder = int | AccountId  # a repository, by its id, or an account


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Distinct blobs with their bytes, and manifests with theirs."""

    blobs: int
    blob_bytes: int
    images: int
    image_bytes: int


def of_repository(tx: Tx, repository_id: int) -> Usage:
    """What one repository holds."""
    return _usage(tx, _l.repository_id == repository_id, _i.repository_id == repository_id)


def of_account(tx: Tx, account: AccountId, region: Region | None = None) -> Usage:
    """What an account holds, in one region or in all."""
    mine = sa.select(_r.id).where(_r.account == account)
    if region is not None:
        mine = mine.where(_r.region == region)
    return _usage(tx, _l.repository_id.in_(mine), _i.repository_id.in_(mine))


def kept_of_account(tx: Tx, account: AccountId, region: Region | None = None) -> Usage:
    """What deleted images of an account keep there, and no repository of it holds: in one region or in all."""
    mine, ours = sa.select(_r.id).where(_r.account == account), [_d.account == account]
    if region is not None:
        mine, ours = mine.where(_r.region == region), [*ours, _d.region == region]
    return _kept(tx, _l.repository_id.in_(mine), sa.and_(*ours))


def kept_of_repository(tx: Tx, registry: RegistryRef, name: RepositoryName) -> Usage:
    """What deleted images of a repository keep there, and the repository, if it is there, does not hold itself."""
    named = (_r.account == registry.account, _r.region == registry.region, _r.name == name)
    deleted = sa.and_(_d.account == registry.account, _d.region == registry.region, _d.repository == name)
    return _kept(tx, _l.repository_id.in_(sa.select(_r.id).where(*named)), deleted)


def holding(tx: Tx, holder: Holder) -> Holding:
    """What quotas count, from all rows."""
    mine = _repositories_of(holder)
    needed = sa.exists().where(_x.repository_id == _l.repository_id, _x.digest == _l.digest)
    held = _l.repository_id.in_(mine)
    distinct = sa.select(_b.id, _b.size).where(_b.id.in_(sa.select(_l.blob_id).where(held, needed))).subquery()
    spare = sa.select(_b.size).join(links, _l.blob_id == _b.id).where(held, ~needed).subquery()
    _, blob_bytes = _sum(tx, sa.select(sa.func.count(), sa.func.sum(distinct.c.size)).select_from(distinct))
    _, unneeded = _sum(tx, sa.select(sa.func.count(), sa.func.sum(spare.c.size)).select_from(spare))
    pushed = _i.repository_id.in_(mine)
    images, manifest_bytes = _sum(tx, sa.select(sa.func.count(), sa.func.sum(_i.body_size)).where(pushed))
    return Holding(images=images, needed_bytes=blob_bytes + manifest_bytes, unneeded_bytes=unneeded)


def shared_bytes(tx: Tx, holder: Holder) -> int:
    """Bytes of its blobs that other repositories hold too, or other accounts: they would stay if it went."""
    others = links.alias()
    is_shared = sa.exists().where(others.c.blob_id == _b.id, others.c.repository_id.not_in(_repositories_of(holder)))
    held = _b.id.in_(sa.select(_l.blob_id).where(_l.repository_id.in_(_repositories_of(holder))))
    return _sum(tx, sa.select(sa.func.count(), sa.func.sum(_b.size)).where(held, is_shared))[1]


def described_bytes(tx: Tx, holder: Holder) -> int:
    """The sizes of its images as DescribeImages says them, added up: what they share counts for each of them."""
    mine = _i.repository_id.in_(_repositories_of(holder))
    return _sum(tx, sa.select(sa.func.count(), sa.func.sum(_i.image_size)).where(mine))[1]


def by_repository(
    tx: Tx, *, after: int, limit: int, account: AccountId | None = None
) -> list[tuple[int, RegistryRef, RepositoryName, Usage]]:
    """What each repository, of one account or of all, holds, by its id: the first `limit` behind `after`."""
    page = sa.select(_r.id, _r.account, _r.region, _r.name).where(_r.id > after).order_by(_r.id).limit(limit)
    if account is not None:
        page = page.where(_r.account == account)
    return [
        (row.id, RegistryRef(row.account, Region(row.region)), RepositoryName(row.name), of_repository(tx, row.id))
        for row in tx.execute(page).all()
    ]


def accounts(tx: Tx) -> Sequence[AccountId]:
    """Every account that has a repository, in order."""
    return [AccountId(one) for one in tx.execute(sa.select(_r.account).distinct().order_by(_r.account)).scalars()]


def _repositories_of(holder: Holder) -> sa.Select[Any]:
    return sa.select(_r.id).where(_r.id == holder if isinstance(holder, int) else _r.account == holder)


def _usage(tx: Tx, held: sa.ColumnElement[bool], pushed: sa.ColumnElement[bool]) -> Usage:
    # Blobs are one row for each store and digest, so distinct ids are distinct digests of a store.
    distinct = sa.select(_b.id, _b.size).where(_b.id.in_(sa.select(_l.blob_id).where(held))).subquery()
    blob_count, blob_bytes = _sum(tx, sa.select(sa.func.count(), sa.func.sum(distinct.c.size)).select_from(distinct))
    image_count, image_bytes = _sum(tx, sa.select(sa.func.count(), sa.func.sum(_i.body_size)).where(pushed))
    return Usage(blobs=blob_count, blob_bytes=blob_bytes, images=image_count, image_bytes=image_bytes)


def _kept(tx: Tx, held: sa.ColumnElement[bool], deleted: sa.ColumnElement[bool]) -> Usage:
    by_them = sa.select(_h.blob_id).join(deleted_images, _d.id == _h.image_id).where(deleted, _h.blob_id.is_not(None))
    is_here = sa.exists().where(_l.blob_id == _b.id, held)
    blob_sizes = sa.select(sa.func.count(), sa.func.sum(_b.size)).where(_b.id.in_(by_them), ~is_here)
    blob_count, blob_bytes = _sum(tx, blob_sizes)
    image_count, image_bytes = _sum(tx, sa.select(sa.func.count(), sa.func.sum(_d.body_size)).where(deleted))
    return Usage(blobs=blob_count, blob_bytes=blob_bytes, images=image_count, image_bytes=image_bytes)


def _sum(tx: Tx, statement: sa.Select[int, Any]) -> tuple[int, int]:
    count, size = tx.execute(statement).one()
    return int(count), int(size or 0)
