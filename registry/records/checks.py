"""What a check of everything asks of the rows: whole tables in pages, and rows that name what is not there.

Every function sees one snapshot, so what it finds contradicts itself at one moment, also while others write.
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from registry.findings import ImageName
from registry.model import Upload
from registry.names import Digest, Region, RegistryRef, RepositoryName, Tag
from registry.records import blobs as blob_rows
from registry.records.engine import Tx
from registry.records.tables.images import blobs, links, manifest_references, manifests, repositories, tags, uploads
from registry.records.tables.installation import stores
from registry.records.tables.keeping import deleted_images
from registry.records.tables.work import burials

_b, _l, _i, _x, _t, _u, _r, _s, _d = (
    table.c for table in (blobs, links, manifests, manifest_references, tags, uploads, repositories, stores, burials)
)
_k: Final = deleted_images.c
_TABLES: Final = (blobs, manifests, tags)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """A stored manifest with everything that can contradict it."""

    id: int
    digest: str
    media_type: str
    body_size: int
    body: bytes
    pinned: frozenset[tuple[str, str]]  # (digest, blob or child), as the rows of its references say


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Some:
    """The first rows of a result, and how many there are in all."""

    rows: Sequence[sa.Row[Any]]
    count: int


def trouble_of_file(tx: Tx) -> list[str]:
    """What SQLite says of the database file itself, at most twenty lines; nothing for a sound one."""
    if tx.dialect.name != "sqlite":
        return []
    try:
        lines = tx.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
    except sa.exc.DatabaseError as error:  # too damaged to be looked at
        return [str(error.orig)]
    return [] if lines == ["ok"] else [str(line) for line in lines]


def broken_foreign_keys(tx: Tx) -> dict[tuple[str, str], int]:
    """How many rows of a table name a row of another one that is not there, by (table, other table)."""
    if tx.dialect.name != "sqlite":
        return {}  # PostgreSQL cannot hold such rows
    found: dict[tuple[str, str], int] = {}
    for table, _rowid, parent, _number in tx.exec_driver_sql("PRAGMA foreign_key_check"):
        found[(table, parent)] = found.get((table, parent), 0) + 1
    return found


def totals(tx: Tx) -> dict[str, int]:
    """Rows by table, and `bytes`: of all blobs and open uploads."""
    found = {table.name: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in _TABLES}
    of_blobs = tx.execute(sa.select(sa.func.coalesce(sa.func.sum(_b.size), 0))).scalar_one()
    of_uploads = tx.execute(sa.select(sa.func.coalesce(sa.func.sum(_u.size), 0)).where(_u.status == "open"))
    return found | {"bytes": int(of_blobs) + int(of_uploads.scalar_one())}


def blobs_of_unknown_stores(tx: Tx) -> int:
    """How many blobs lie in a store that belongs to no region."""
    known = sa.select(_s.store_id).where(_s.role != "past")
    statement = sa.select(sa.func.count()).select_from(blobs).where(_b.store_id.not_in(known))
    return tx.execute(statement).scalar_one()


def open_uploads(tx: Tx, *, after: str, limit: int) -> list[tuple[Upload, Region]]:
    """Open uploads by id, each with the region that its bytes lie in."""
    statement = (
        sa.select(_u.id, _r.region)
        .join(repositories, _r.id == _u.repository_id)
        .where(_u.status == "open", _u.id > after)
        .order_by(_u.id)
        .limit(limit)
    )
    found = [(blob_rows.upload(tx, upload_id), Region(region)) for upload_id, region in tx.execute(statement).all()]
    return [(known[0], region) for known, region in found if known is not None]


def named_keys(tx: Tx, store_id: str, keys: Collection[str]) -> set[str]:
    """Those of the keys that a blob, an open upload or a burial names."""
    found = set(tx.execute(sa.select(_b.key).where(_b.store_id == store_id, _b.key.in_(keys))).scalars())
    if len(found) < len(keys):
        open_ones = sa.select(_u.key).where(_u.status == "open", _u.key.in_(set(keys) - found))
        found.update(tx.execute(open_ones).scalars())
    if len(found) < len(keys):
        found.update(
            tx.execute(sa.select(_d.key).where(_d.store_id == store_id, _d.key.in_(set(keys) - found))).scalars()
        )
    return found


# --- rows that contradict each other ----------------------------------------------------------------------------------


def manifest_page(tx: Tx, *, after: int, limit: int) -> Iterator[ManifestRow]:
    """Manifests by id, one in memory at a time: they may have four megabytes each."""
    page = sa.select(_i.id).where(_i.id > after).order_by(_i.id).limit(limit)
    pinned: dict[int, set[tuple[str, str]]] = {}
    for owner, digest, kind in tx.execute(
        sa.select(_x.manifest_id, _x.digest, _x.kind).where(_x.manifest_id.in_(page.subquery().select()))
    ):
        pinned.setdefault(owner, set()).add((digest, kind))
    statement = (
        sa.select(_i.id, _i.digest, _i.media_type, _i.body_size, _i.body)
        .where(_i.id > after)
        .order_by(_i.id)
        .limit(limit)
    )
    for row in tx.execute(statement.execution_options(yield_per=1)):
        yield ManifestRow(
            id=row.id,
            digest=row.digest,
            media_type=row.media_type,
            body_size=row.body_size,
            body=row.body,
            pinned=frozenset(pinned.get(row.id, ())),
        )


def kept_page(tx: Tx, *, after: int, limit: int) -> Iterator[Any]:
    """Deleted images by id, with the bodies of their manifests, one in memory at a time: (id, digest, body)."""
    statement = sa.select(_k.id, _k.digest, _k.body).where(_k.id > after).order_by(_k.id).limit(limit)
    yield from tx.execute(statement.execution_options(yield_per=1))


def wrong_links(tx: Tx, limit: int) -> Some:
    """Links without a blob, or with one of another digest or another region's store: (repository_id, name, digest)."""
    is_of_region = sa.exists().where(_s.region == _r.region, _s.role != "past", _s.store_id == _b.store_id)
    statement = (
        sa.select(_l.repository_id, _r.name, _l.digest)
        .join(repositories, _r.id == _l.repository_id)
        .join(blobs, _b.id == _l.blob_id, isouter=True)
        .where(sa.or_(_b.id.is_(None), _b.digest != _l.digest, ~is_of_region))
    )
    return _some(tx, statement, limit)


def missing_references(tx: Tx, limit: int) -> Some:
    """What manifests pin and their repository does not hold: (manifest_id, digest, kind)."""
    link = sa.exists().where(_l.repository_id == _x.repository_id, _l.digest == _x.digest)
    child = sa.exists().where(_i.repository_id == _x.repository_id, _i.digest == _x.digest)
    statement = sa.select(_x.manifest_id, _x.digest, _x.kind).where(
        sa.or_((_x.kind == "blob") & ~link, (_x.kind == "child") & ~child)
    )
    return _some(tx, statement, limit)


def wrong_tags(tx: Tx, limit: int) -> Some:
    """Tags whose manifest is not there or not of their repository: (account, region, repository, tag)."""
    statement = (
        sa.select(_r.account, _r.region, _r.name.label("repository"), _t.name.label("tag"))
        .join(repositories, _r.id == _t.repository_id)
        .join(manifests, _i.id == _t.manifest_id, isouter=True)
        .where(sa.or_(_i.id.is_(None), _i.repository_id != _t.repository_id))
    )
    return _some(tx, statement, limit)


# --- what is affected -------------------------------------------------------------------------------------------------


def images_with_blob(tx: Tx, blob_id: int, limit: int) -> tuple[list[ImageName], int]:
    """The images that need a blob, tagged ones first, and how many there are in all."""
    using = (
        sa.select(_x.manifest_id.label("id"))
        .join(links, (_l.repository_id == _x.repository_id) & (_l.digest == _x.digest))
        .where(_l.blob_id == blob_id)
    )
    return _with_parents(tx, using, limit)


def images_with_digest(tx: Tx, repository_id: int, digest: str, limit: int) -> tuple[list[ImageName], int]:
    """The images of a repository that need a blob of this digest, and how many there are in all."""
    using = sa.select(_x.manifest_id.label("id")).where(_x.repository_id == repository_id, _x.digest == digest)
    return _with_parents(tx, using, limit)


def images_with_manifest(tx: Tx, manifest_id: int, limit: int) -> tuple[list[ImageName], int]:
    """A manifest and every index above it, and how many these are."""
    return _with_parents(tx, sa.select(_i.id.label("id")).where(_i.id == manifest_id), limit)


# --- inside -----------------------------------------------------------------------------------------------------------


def _some(tx: Tx, statement: sa.Select[Any], limit: int) -> Some:
    rows = tx.execute(statement.limit(limit)).all()
    if len(rows) < limit:
        return Some(rows=rows, count=len(rows))
    return Some(rows=rows, count=tx.execute(sa.select(sa.func.count()).select_from(statement.subquery())).scalar_one())


def _with_parents(tx: Tx, using: sa.Select[Any], limit: int) -> tuple[list[ImageName], int]:
    """These manifests and the indexes above them: it is mostly an index that has the tag."""
    affected = using.cte("affected", recursive=True)
    child = manifests.alias("child")
    affected = affected.union(
        sa.select(_x.manifest_id)
        .join(child, (child.c.repository_id == _x.repository_id) & (child.c.digest == _x.digest))
        .join(affected, affected.c.id == child.c.id)
        .where(_x.kind == "child")
    )
    count = tx.execute(sa.select(sa.func.count()).select_from(affected)).scalar_one()
    tagged = sa.exists().where(_t.manifest_id == _i.id)
    statement = (
        sa.select(_i.id, _i.digest, _r.account, _r.region, _r.name)
        .join(affected, affected.c.id == _i.id)
        .join(repositories, _r.id == _i.repository_id)
        .order_by(~tagged, _r.name, _i.digest)
        .limit(limit)
    )
    return [_image_name(tx, row) for row in tx.execute(statement).all()], count


def _image_name(tx: Tx, row: Any) -> ImageName:
    names = tx.execute(sa.select(_t.name).where(_t.manifest_id == row.id).order_by(_t.name)).scalars()
    return ImageName(
        registry=RegistryRef(row.account, Region(row.region)),
        repository=RepositoryName(row.name),
        digest=Digest(row.digest),
        tags=tuple(Tag(name) for name in names),
    )
