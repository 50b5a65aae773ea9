"""Rows of stored bytes, of the repositories that may hand them out, and of uploads on their way."""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from registry.model import Blob, Upload
from registry.names import Digest, Region
from registry.records import quotas
from registry.records.engine import Tx
from registry.records.tables.images import blobs, links, manifest_references, repositories, uploads
from registry.records.tables.installation import stores
from registry.records.tables.keeping import holds

_b, _l, _u, _m, _s = blobs.c, links.c, uploads.c, manifest_references.c, stores.c
_CHUNK = 500  # values in one IN list
_IN_ARCHIVE = _b.store_id.in_(sa.select(_s.store_id).where(_s.role == "archive"))
_BLOBS: sa.Select[Any] = sa.select(blobs, _IN_ARCHIVE.label("archived"))


class Unproven(Exception):
    """Bytes of a digest are known; whether they are good is to be found out before others are put in their place, or
    forgotten for them."""

    def __init__(self, blob: Blob) -> None:
        super().__init__(blob.digest)
        self.blob = blob


def find(tx: Tx, store_id: str, digest: Digest) -> Blob | None:
    """The stored bytes of a digest, whichever repository brought them."""
    row = tx.execute(_FIND, {"store": store_id, "digest": digest}).one_or_none()
    return None if row is None else _blob(row)


def by_id(tx: Tx, blob_id: int) -> Blob | None:
    row = tx.execute(_BY_ID, {"id": blob_id}).one_or_none()
    return None if row is None else _blob(row)


def linked(tx: Tx, repository_id: int, digest: Digest) -> Blob | None:
    """The bytes that a repository may hand out under a digest, damaged ones too."""
    row = tx.execute(_LINKED, {"repository": repository_id, "digest": digest}).one_or_none()
    return None if row is None else _blob(row)


def standing(tx: Tx, repository_id: int, digest: Digest) -> tuple[Blob, dt.datetime | None] | None:
    """As `linked`; and, where no manifest needs it, since when its grace period counts."""
    row = tx.execute(_STANDING, {"repository": repository_id, "digest": digest}).one_or_none()
    return None if row is None else (_blob(row), None if row.needed else row.touched_at)


def held(tx: Tx, repository_id: int, digests: Iterable[Digest]) -> dict[Digest, bool]:
    """Those that the repository holds in good state, each with whether its bytes are in the archive."""
    found: dict[Digest, bool] = {}
    wanted = list(digests)
    for first in range(0, len(wanted), _CHUNK):
        statement = (
            sa.select(_l.digest, _IN_ARCHIVE)
            .join(blobs, _b.id == _l.blob_id)
            .where(_l.repository_id == repository_id, _l.digest.in_(wanted[first : first + _CHUNK]), ~_b.damaged)
        )
        found.update({Digest(digest): bool(archived) for digest, archived in tx.execute(statement)})
    return found


def put(
    tx: Tx,
    *,
    store_id: str,
    digest: Digest,
    size: int,
    key: str,
    identity: str | None,
    replaces: str | None,
    now: dt.datetime,
    good: str | None = None,
) -> tuple[Blob, str | None]:
    """Make `key` the bytes of a digest, unless good ones are known: (the blob, the key that nobody needs any more).

    The caller has looked at known bytes and found those of the key `good` whole, or those of `replaces` missing or
    damaged. Raises Unproven for those of another key. Links to bytes of the digest in another store of the region,
    damaged ones perhaps, lead here from now on: the region's links of one digest all lead to one row.
    """
    known = find(tx, store_id, digest)
    if known is not None and not known.damaged and known.key == good:
        return known, key
    if known is not None and not known.damaged and known.key != replaces:
        raise Unproven(known)
    place: dict[str, Any] = {"size": size, "key": key, "identity": identity, "damaged": False}
    if known is not None:
        tx.execute(_CHANGE, {"known": known.id, **place})
        return dataclasses.replace(known, **place), known.key
    new_id = tx.execute(_INSERT, {"store_id": store_id, "digest": digest, "created_at": now, **place}).scalar_one()
    elsewhere = tx.execute(_ELSEWHERE, {"new": new_id, "same": digest, "store": store_id}).scalars().all()
    if elsewhere:
        tx.execute(sa.update(links).where(_l.blob_id.in_(elsewhere)).values(blob_id=new_id))
    return Blob(id=new_id, digest=digest, store_id=store_id, **place), None


def relocate(tx: Tx, seen: Blob, *, store_id: str, key: str, identity: str | None, damaged: bool = False) -> bool:
    """Name other bytes of the same digest, in another store; False where the row no longer names those that were
    seen."""
    place = {"store_id": store_id, "key": key, "identity": identity, "damaged": damaged}
    mine = (_b.id == seen.id) & (_b.store_id == seen.store_id) & (_b.key == seen.key)
    return tx.execute(sa.update(blobs).where(mine).values(**place)).rowcount == 1


def replace(tx: Tx, blob: Blob, *, key: str, identity: str | None) -> None:
    """Name other bytes of the same digest in the same store, which are good."""
    tx.execute(_CHANGE, {"known": blob.id, "size": blob.size, "key": key, "identity": identity, "damaged": False})


def join(tx: Tx, old: Blob, into: Blob, now: dt.datetime) -> None:
    """Let every link to a blob, and every hold of it, lead to another of the same digest, and delete the row that
    nothing leads to then."""
    tx.execute(sa.update(links).where(_l.blob_id == old.id).values(blob_id=into.id))
    tx.execute(sa.update(holds).where(holds.c.blob_id == old.id).values(blob_id=into.id))
    tx.execute(sa.delete(blobs).where(_b.id == old.id))
    release(tx, into, now)  # whoever let go of the old one has its grace period


def led_to(tx: Tx, region: Region, digest: Digest) -> Blob | None:
    """The bytes that the region's links of a digest lead to: all of them to the same, if there are any."""
    is_linked = sa.exists().where(_l.blob_id == _b.id)
    found = _BLOBS.where(_b.store_id.in_(_stores_of(region)), _b.digest == digest, is_linked)
    row = tx.execute(found.limit(1)).one_or_none()
    return None if row is None else _blob(row)


def in_store(tx: Tx, store_id: str, *, after: str, limit: int) -> list[Blob]:
    """What lies in a store, by digest."""
    mine = _BLOBS.where(_b.store_id == store_id, _b.digest > after)
    return [_blob(row) for row in tx.execute(mine.order_by(_b.digest).limit(limit))]


def amount_in(tx: Tx, store_id: str) -> tuple[int, int]:
    """How many blobs lie in a store, and their bytes."""
    size = sa.func.coalesce(sa.func.sum(_b.size), 0)
    row = tx.execute(sa.select(sa.func.count(), size).where(_b.store_id == store_id)).one()
    return int(row[0]), int(row[1])


def link(tx: Tx, repository_id: int, blob: Blob, now: dt.datetime) -> bool:
    """Let the repository hand out the blob; False where it could already. Its time is now either way."""
    mine = {"repository": repository_id, "linked": blob.digest}
    change = {"blob_id": blob.id, "touched_at": now, "condemned_at": None}
    if tx.execute(_CHANGE_LINK, {**mine, **change}).rowcount:
        return False
    new = {"repository_id": repository_id, "digest": blob.digest, "blob_id": blob.id, "touched_at": now}
    tx.execute(_INSERT_LINK, new)
    return True


def unlink(tx: Tx, repository_id: int, blob: Blob) -> bool:
    """Take a blob that no manifest needs from the repository; False where it did not have it."""
    mine = (_l.repository_id == repository_id) & (_l.digest == blob.digest)
    if tx.execute(sa.delete(links).where(mine)).rowcount == 0:
        return False
    quotas.blobs_go(tx, repository_id, blob.size)
    return True


def touch_links(tx: Tx, repository_id: int, digests: Iterable[Digest], now: dt.datetime) -> int:
    """Restart the grace period of blobs that were asked for, or that just lost a manifest; how many are there."""
    wanted, touched = list(digests), 0
    for first in range(0, len(wanted), _CHUNK):
        mine = (_l.repository_id == repository_id) & _l.digest.in_(wanted[first : first + _CHUNK])
        touched += tx.execute(sa.update(links).where(mine).values(touched_at=now, condemned_at=None)).rowcount
    return touched


def release(tx: Tx, blob: Blob, now: dt.datetime) -> None:
    """Note that a repository let go of the blob: its bytes stay for a grace period."""
    tx.execute(sa.update(blobs).where(_b.id == blob.id).values(released_at=now))


def release_all(tx: Tx, repository_id: int, now: dt.datetime) -> None:
    """`release` of all that a repository holds."""
    held_by_it = sa.select(_l.blob_id).where(_l.repository_id == repository_id)
    tx.execute(sa.update(blobs).where(_b.id.in_(held_by_it)).values(released_at=now))


def is_referenced(tx: Tx, repository_id: int, digest: Digest) -> bool:
    """Whether a manifest of the repository needs the blob."""
    statement = sa.select(_m.manifest_id).where(_m.repository_id == repository_id, _m.digest == digest).limit(1)
    return tx.execute(statement).first() is not None


def somewhere(tx: Tx, registry: tuple[str, str], digest: Digest) -> list[int]:
    """Ids of repositories of one registry that hold the blob in good state, at most a hundred."""
    r = repositories.c
    # As a join, SQLite would look through all repositories of the registry for those that the few links name.
    is_of_registry = sa.exists().where(r.id == _l.repository_id, r.account == registry[0], r.region == registry[1])
    statement = (
        sa.select(_l.repository_id)
        .join(blobs, _b.id == _l.blob_id)
        .where(_b.store_id.in_(_stores_of(registry[1])), _b.digest == digest, ~_b.damaged, is_of_registry)
        .limit(100)
    )
    return list(tx.execute(statement).scalars())


def set_identity(tx: Tx, blob: Blob, identity: str | None) -> None:
    """Note that the bytes at the blob's key were verified as `identity`; a newer key is left alone."""
    tx.execute(sa.update(blobs).where(_b.id == blob.id, _b.key == blob.key).values(identity=identity))


def set_damaged(tx: Tx, blob: Blob) -> None:
    """Never serve the bytes at the blob's key again; a newer key is left alone."""
    tx.execute(sa.update(blobs).where(_b.id == blob.id, _b.key == blob.key).values(damaged=True))


def set_sound(tx: Tx, blob: Blob, identity: str | None) -> bool:
    """Serve the bytes at the blob's key again: they were hashed and are right. False where it has another key."""
    mine = (_b.id == blob.id) & (_b.key == blob.key)
    return tx.execute(sa.update(blobs).where(mine).values(identity=identity, damaged=False)).rowcount == 1


def any_in(tx: Tx, store_id: str) -> bool:
    """Whether a row names bytes of the store."""
    return tx.execute(sa.select(_b.id).where(_b.store_id == store_id).limit(1)).first() is not None


def page(tx: Tx, *, after: int, limit: int) -> list[Blob]:
    """Blobs by id, for those who look at all of them."""
    return [_blob(row) for row in tx.execute(_BLOBS.where(_b.id > after).order_by(_b.id).limit(limit))]


# --- uploads ----------------------------------------------------------------------------------------------------------


def upload(tx: Tx, upload_id: str) -> tuple[Upload, str] | None:
    """An upload and its status."""
    row = tx.execute(_UPLOAD, {"id": upload_id}).one_or_none()
    return None if row is None else (_upload(row), row.status)


def insert_upload(tx: Tx, new: Upload, *, status: str = "open") -> bool:
    """False where the id has a row already."""
    if upload(tx, new.id) is not None:
        return False
    fixed = {
        "id": new.id,
        "repository_id": new.repository_id,
        "owner": new.owner,
        "status": status,
        "key": new.key,
        "algorithm": new.algorithm,
    }
    tx.execute(_INSERT_UPLOAD, {**fixed, **_moving(new)})
    return True


def move_upload(tx: Tx, new: Upload, *, seen: int) -> bool:
    """Write an open upload's new size; False where it no longer had the size `seen`, is no longer open, or has its
    bytes elsewhere: two requests may both have begun it."""
    mine = {"upload": new.id, "at_key": new.key, "seen": seen}
    return tx.execute(_MOVE_UPLOAD, {**mine, **_moving(new)}).rowcount == 1


def close_upload(tx: Tx, upload_id: str, status: str, now: dt.datetime) -> bool:
    """End an open upload; its row stays as the answer to whoever still asks for it. False where none was open."""
    return tx.execute(_END_UPLOAD, {"upload": upload_id, "status": status, "updated_at": now}).rowcount == 1


def count_open_uploads(tx: Tx, owner: str) -> int:
    return int(tx.execute(_COUNT_OPEN, {"owner": owner}).scalar_one())


def end_uploads(tx: Tx, region: str, now: dt.datetime) -> int:
    """End the open uploads of a region that have bytes; how many there were."""
    r = repositories.c
    of_region = sa.exists().where(r.id == _u.repository_id, r.region == region)
    mine = sa.update(uploads).where(_u.status == "open", _u.size > 0, of_region)
    return tx.execute(mine.values(status="cancelled", updated_at=now)).rowcount


def upload_keys(tx: Tx) -> set[str]:
    """Keys of all open uploads."""
    return set(tx.execute(sa.select(_u.key).where(_u.status == "open")).scalars())


def _stores_of(region: Any) -> sa.Select[Any]:
    """Identities of a region's stores."""
    return sa.select(_s.store_id).where(_s.region == region, _s.role != "past")


# What every push runs is put together once: that costs more than running it.
_FIND = _BLOBS.where(_b.store_id == sa.bindparam("store"), _b.digest == sa.bindparam("digest"))
_BY_ID = _BLOBS.where(_b.id == sa.bindparam("id"))
_INSERT = sa.insert(blobs).returning(_b.id)
_CHANGE = sa.update(blobs).where(_b.id == sa.bindparam("known"))
_REGION = sa.select(_s.region).where(_s.store_id == sa.bindparam("store")).scalar_subquery()
_ELSEWHERE: sa.Select[Any] = sa.select(_b.id).where(
    _b.store_id.in_(_stores_of(_REGION)), _b.digest == sa.bindparam("same"), _b.id != sa.bindparam("new")
)
_INSERT_LINK = sa.insert(links)
_CHANGE_LINK = sa.update(links).where(
    _l.repository_id == sa.bindparam("repository"), _l.digest == sa.bindparam("linked")
)
_UPLOAD: sa.Select[Any] = sa.select(uploads).where(_u.id == sa.bindparam("id"))
_INSERT_UPLOAD = sa.insert(uploads)
_END_UPLOAD = sa.update(uploads).where(_u.id == sa.bindparam("upload"), _u.status == "open")
_MOVE_UPLOAD = _END_UPLOAD.where(_u.key == sa.bindparam("at_key"), _u.size == sa.bindparam("seen"))
_COUNT_OPEN: sa.Select[Any] = sa.select(sa.func.count()).where(_u.owner == sa.bindparam("owner"), _u.status == "open")
_LINKED = _BLOBS.join(links, _l.blob_id == _b.id).where(
    _l.repository_id == sa.bindparam("repository"), _l.digest == sa.bindparam("digest")
)
_STANDING: sa.Select[Any] = _LINKED.add_columns(
    _l.touched_at,
    sa.exists().where(_m.repository_id == _l.repository_id, _m.digest == _l.digest).label("needed"),
)


def _moving(new: Upload) -> Mapping[str, Any]:
    return {
        "size": new.size,
        "digest": new.digest,
        "parts": new.parts,
        "small_part": new.small_part,
        "last_part": new.last_part,
        "state": json.dumps(dict(new.state)),
        "updated_at": new.updated_at,
    }


def _blob(row: sa.Row[Any]) -> Blob:
    return Blob(
        id=row.id,
        digest=Digest(row.digest),
        size=row.size,
        store_id=row.store_id,
        key=row.key,
        identity=row.identity,
        damaged=row.damaged,
        archived=bool(row.archived),
    )


def _upload(row: sa.Row[Any]) -> Upload:
    return Upload(
        id=row.id,
        repository_id=row.repository_id,
        owner=row.owner,
        key=row.key,
        size=row.size,
        digest=None if row.digest is None else Digest(row.digest),
        algorithm=row.algorithm,
        parts=row.parts,
        small_part=row.small_part,
        last_part=row.last_part,
        state=json.loads(row.state),
        updated_at=row.updated_at,
    )
