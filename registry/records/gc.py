"""What garbage collection asks of the rows and does to them: marks, sweeps, burials, uploads that nobody goes on with.

Reads go through whole tables in pages, each in a snapshot of its own, and find candidates. Writes take a few candidates
at a time by their keys, and each decides again, on the rows as they are then. That is enough: a unit of work runs as if
nobody else wrote meanwhile, on SQLite and on PostgreSQL, so a push that needs a row and a sweep that takes it come one
after the other, and the second sees what the first did.
"""

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from registry.model import Upload
from registry.names import Region, RegistryRef, RepositoryName
from registry.records import blobs as blob_rows
from registry.records import quotas
from registry.records.engine import Tx
from registry.records.tables.images import blobs, links, manifest_references, repositories, uploads
from registry.records.tables.keeping import deleted_images, holds
from registry.records.tables.work import burials

_b, _l, _x, _r, _u, _d = (table.c for table in (blobs, links, manifest_references, repositories, uploads, burials))
_key: Final = sa.tuple_(_l.repository_id, _l.digest)
_NEEDED: Final = sa.exists().where(_x.repository_id == _l.repository_id, _x.digest == _l.digest)
_HELD: Final = sa.exists().where(holds.c.blob_id == _b.id)
_let_go: Final = sa.func.coalesce(_b.released_at, _b.created_at)

LinkKey = tuple[int, str]  # (repository id, digest)
FIRST: Final[LinkKey] = (0, "")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Burial:
    """Bytes whose row is gone. `due`: not to be deleted before; None: now."""

    store_id: str
    key: str
    size: int
    due: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unneeded:
    """What of a repository nothing needs any more: links that are out of their grace period."""

    repository_id: int
    links: int
    bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """So many, with so many bytes, of one store."""

    store_id: str
    count: int
    bytes: int


# --- links ------------------------------------------------------------------------------------------------------------


def link_page(tx: Tx, *, after: LinkKey, limit: int) -> LinkKey | None:
    """The key of the last link of the page behind `after`; None: there is no link behind it."""
    page = sa.select(_l.repository_id, _l.digest).where(_key > after).order_by(_l.repository_id, _l.digest).limit(limit)
    within = page.subquery().c
    last = sa.select(within.repository_id, within.digest).order_by(within.repository_id.desc(), within.digest.desc())
    found = tx.execute(last.limit(1)).one_or_none()
    return None if found is None else (found.repository_id, found.digest)


def due_links(tx: Tx, *, after: LinkKey, last: LinkKey, before: dt.datetime) -> list[LinkKey]:
    """Of a page, the links that nothing needs, that were touched before then and that are not condemned yet."""
    statement = sa.select(_l.repository_id, _l.digest).where(*_due_in(after, last, before), _l.condemned_at.is_(None))
    return [(row.repository_id, row.digest) for row in tx.execute(statement)]


def unneeded(tx: Tx, *, after: LinkKey, last: LinkKey, before: dt.datetime) -> list[Unneeded]:
    """Of a page, how much is due in each repository, condemned or not."""
    statement = (
        sa.select(_l.repository_id, sa.func.count(), sa.func.sum(_b.size))
        .join(blobs, _b.id == _l.blob_id)
        .where(*_due_in(after, last, before))
        .group_by(_l.repository_id)
    )
    return [Unneeded(repository_id=one, links=count, bytes=int(size)) for one, count, size in tx.execute(statement)]


def condemn(tx: Tx, keys: Sequence[LinkKey], *, before: dt.datetime, now: dt.datetime) -> int:
    """Mark those of the links that are still due; how many they are."""
    still = (_key.in_(keys), _l.touched_at < before, _l.condemned_at.is_(None), ~_NEEDED)
    return tx.execute(sa.update(links).where(*still).values(condemned_at=now)).rowcount


def sweep_links(tx: Tx, *, before: dt.datetime, limit: int) -> tuple[int, list[Unneeded]]:
    """Take up to `limit` condemned links: (how many were taken, what went, by repository).

    One that something needs again, or that was touched, is live again instead.
    """
    chosen = sa.select(_l.repository_id, _l.digest).where(_l.condemned_at.is_not(None)).order_by(_l.condemned_at)
    keys = [tuple(row) for row in tx.execute(chosen.limit(limit))]
    if not keys:
        return 0, []
    still = (_key.in_(keys), _l.condemned_at.is_not(None), _l.touched_at < before, ~_NEEDED)
    gone = tx.execute(sa.delete(links).where(*still).returning(_l.repository_id, _l.digest, _l.blob_id)).all()
    tx.execute(sa.update(links).where(_key.in_(keys)).values(condemned_at=None))
    sizes = _sizes(tx, {row.blob_id for row in gone})
    swept: dict[int, list[int]] = {}
    for row in gone:
        swept.setdefault(row.repository_id, []).append(sizes.get(row.blob_id, 0))
    for one, each in swept.items():
        quotas.blobs_go(tx, one, sum(each))
    return len(keys), [
        Unneeded(repository_id=one, links=len(each), bytes=sum(each)) for one, each in sorted(swept.items())
    ]


def repository_names(tx: Tx, ids: Collection[int]) -> dict[int, tuple[RegistryRef, RepositoryName]]:
    """What the repositories are called; those that are gone are left out."""
    statement = sa.select(_r.id, _r.account, _r.region, _r.name).where(_r.id.in_(ids))
    return {
        row.id: (RegistryRef(row.account, Region(row.region)), RepositoryName(row.name))
        for row in tx.execute(statement)
    }


# --- blobs ------------------------------------------------------------------------------------------------------------


def blob_page(tx: Tx, *, after: int, limit: int) -> int | None:
    """The id of the last blob of the page behind `after`; None: there is none behind it."""
    page = sa.select(_b.id).where(_b.id > after).order_by(_b.id).limit(limit).subquery()
    found: int | None = tx.execute(sa.select(sa.func.max(page.c.id))).scalar_one()
    return found


def unlinked(tx: Tx, *, after: int, last: int, before: dt.datetime, store_ids: Collection[str]) -> list[int]:
    """Of a page, the blobs of these stores that no repository hands out, that all let go of before then, and that no
    deleted image holds."""
    linked = sa.exists().where(_l.blob_id == _b.id)
    statement = sa.select(_b.id).where(
        _b.id > after, _b.id <= last, _b.store_id.in_(store_ids), ~linked, _let_go < before, ~_HELD
    )
    return list(tx.execute(statement.order_by(_b.id)).scalars())


def due_blobs(tx: Tx, *, after: int, last: int, before: dt.datetime, now: dt.datetime) -> list[Amount]:
    """Of a page, what would be buried if every link that is due went, and every hold that is over: by store."""
    return _amounts(tx, *_unlinked_by_then(after, last, before), ~_held_at(now))


def held_blobs(tx: Tx, *, after: int, last: int, before: dt.datetime, now: dt.datetime) -> list[Amount]:
    """Of a page, what only deleted images keep from being buried then: by store."""
    return _amounts(tx, *_unlinked_by_then(after, last, before), _held_at(now))


def bury(
    tx: Tx, ids: Sequence[int], *, before: dt.datetime, now: dt.datetime, due: Mapping[str, dt.datetime | None]
) -> list[Burial]:
    """Delete the rows of those of the blobs that are still unlinked and not held, and note their bytes as to be
    deleted: when, is said for each store."""
    linked = sa.exists().where(_l.blob_id == _b.id)
    dead = sa.delete(blobs).where(_b.id.in_(ids), ~linked, _let_go < before, ~_HELD)
    gone = [
        Burial(store_id=row.store_id, key=row.key, size=row.size, due=due.get(row.store_id))
        for row in tx.execute(dead.returning(_b.store_id, _b.key, _b.size))
    ]
    note_burials(tx, gone, now)
    return gone


def note_burials(tx: Tx, gone: Sequence[Burial], now: dt.datetime) -> None:
    """Note bytes that no row names any more as to be deleted."""
    if gone:
        tx.execute(sa.insert(burials), [{**dataclasses.asdict(one), "since": now} for one in gone])


def amount_buried(tx: Tx, store_id: str) -> Amount:
    """What is still to be deleted of a store."""
    size = sa.func.coalesce(sa.func.sum(_d.size), 0)
    row = tx.execute(sa.select(sa.func.count(), size).where(_d.store_id == store_id)).one()
    return Amount(store_id=store_id, count=int(row[0]), bytes=int(row[1]))


def stored_bytes(tx: Tx) -> dict[str, int]:
    """Bytes of all blobs, by store."""
    statement = sa.select(_b.store_id, sa.func.sum(_b.size)).group_by(_b.store_id)
    return {store_id: int(size) for store_id, size in tx.execute(statement)}


# --- bytes that no row names ------------------------------------------------------------------------------------------


def burials_of(tx: Tx, store_id: str, *, now: dt.datetime, after: str, limit: int) -> list[Burial]:
    """What is to be deleted of a store by now, by key."""
    statement = (
        sa.select(_d.store_id, _d.key, _d.size)
        .where(_d.store_id == store_id, _d.key > after, sa.or_(_d.due.is_(None), _d.due <= now))
        .order_by(_d.key)
        .limit(limit)
    )
    return [Burial(store_id=row.store_id, key=row.key, size=row.size) for row in tx.execute(statement)]


def forget(tx: Tx, store_id: str, keys: Collection[str]) -> None:
    """Their bytes are deleted."""
    tx.execute(sa.delete(burials).where(_d.store_id == store_id, _d.key.in_(keys)))


def unnamed(tx: Tx, store_id: str, keys: Collection[str]) -> list[str]:
    """Those of the keys that no blob, no open upload and no burial names.

    A key that a store derives from an upload's has it before a hyphen.
    """
    stems = {key.partition("-")[0] for key in keys}
    named = set(tx.execute(sa.select(_b.key).where(_b.store_id == store_id, _b.key.in_(keys))).scalars())
    named |= set(tx.execute(sa.select(_d.key).where(_d.store_id == store_id, _d.key.in_(keys))).scalars())
    held = set(tx.execute(sa.select(_u.key).where(_u.status == "open", _u.key.in_(stems))).scalars())
    return [key for key in keys if key not in named and key.partition("-")[0] not in held]


def is_open(tx: Tx, key: str) -> bool:
    """Whether an upload that is not over has this key."""
    return tx.execute(sa.select(_u.id).where(_u.status == "open", _u.key == key).limit(1)).first() is not None


# --- uploads ----------------------------------------------------------------------------------------------------------


def stale_uploads(
    tx: Tx, *, before: dt.datetime, after: tuple[dt.datetime, str], limit: int
) -> list[tuple[Upload, Region]]:
    """Open uploads that nobody added to since then, the oldest first, each with the region of its bytes."""
    statement = (
        sa.select(_u.id, _r.region)
        .join(repositories, _r.id == _u.repository_id)
        .where(_u.status == "open", _u.updated_at < before, sa.tuple_(_u.updated_at, _u.id) > after)
        .order_by(_u.updated_at, _u.id)
        .limit(limit)
    )
    found = [(blob_rows.upload(tx, one), Region(region)) for one, region in tx.execute(statement).all()]
    return [(known[0], region) for known, region in found if known is not None]


def end_upload(tx: Tx, upload: Upload, now: dt.datetime) -> bool:
    """End an open upload that is still as it was seen."""
    mine = (_u.id == upload.id, _u.status == "open", _u.updated_at == upload.updated_at)
    return tx.execute(sa.update(uploads).where(*mine).values(status="cancelled", updated_at=now)).rowcount == 1


def prune_uploads(tx: Tx, *, before: dt.datetime, limit: int) -> int:
    """Forget uploads that were over before then; how many were forgotten, at most `limit`."""
    old = sa.select(_u.id).where(_u.status != "open", _u.updated_at < before).order_by(_u.updated_at).limit(limit)
    return tx.execute(sa.delete(uploads).where(_u.id.in_(old.scalar_subquery()))).rowcount


# --- inside -----------------------------------------------------------------------------------------------------------


def _due_in(after: LinkKey, last: LinkKey, before: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (_key > after, _key <= last, _l.touched_at < before, ~_NEEDED)


def _unlinked_by_then(after: int, last: int, before: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    alive = sa.exists().where(_l.blob_id == _b.id, sa.or_(_l.touched_at >= before, _NEEDED))
    return (_b.id > after, _b.id <= last, ~alive, _let_go < before)


def _held_at(now: dt.datetime) -> sa.ColumnElement[bool]:
    """Whether a deleted image that can be brought back at that time needs the blob."""
    holder = (deleted_images.c.id == holds.c.image_id) & (deleted_images.c.expires_at > now)
    return sa.exists().where(holds.c.blob_id == _b.id, holder)


def _amounts(tx: Tx, *chosen: sa.ColumnElement[bool]) -> list[Amount]:
    statement = sa.select(_b.store_id, sa.func.count(), sa.func.sum(_b.size)).where(*chosen).group_by(_b.store_id)
    return [Amount(store_id=one, count=count, bytes=int(size)) for one, count, size in tx.execute(statement)]


def _sizes(tx: Tx, ids: Collection[int]) -> dict[int, int]:
    return {row.id: row.size for row in tx.execute(sa.select(_b.id, _b.size).where(_b.id.in_(ids)))}
