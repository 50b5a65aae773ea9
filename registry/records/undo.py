"""Rows of what was deleted and can be brought back: images with all that they need, and repositories.

Each is written in the transaction that deletes the thing, by copying its rows as they stand. What a deleted image needs
is held: garbage collection leaves the bytes alone as long as a hold names them, whether or not a repository may hand
them out. Everything of a deleted image goes with its row.
"""

import dataclasses
import datetime as dt
from collections.abc import Collection
from typing import Any, Final, Literal

import sqlalchemy as sa

from registry.model import Cause, DeletedImage, Doer, Repository
from registry.names import AccountId, Digest, Region, RegistryRef, RepositoryName, Tag
from registry.records import quotas, stamps
from registry.records.engine import Tx
from registry.records.tables.columns import Moment
from registry.records.tables.images import blobs, links, manifest_references, manifests, repositories, tags
from registry.records.tables.keeping import (
    deleted_images,
    deleted_repositories,
    deleted_tags,
    holds,
    image_pulls,
    image_storage,
    lifecycle_policies,
)

_d, _n, _h, _g = deleted_images.c, deleted_tags.c, holds.c, deleted_repositories.c
_i, _t, _x, _l, _b, _r = manifests.c, tags.c, manifest_references.c, links.c, blobs.c, repositories.c
_p, _s = image_pulls.c, image_storage.c

# What a deleted image or repository has from the row that it was.
IMAGE_COLUMNS: Final = tuple(column.name for column in _i if column.name not in ("id", "repository_id"))
STORAGE_COLUMNS: Final = tuple(column.name for column in _s if column.name != "manifest_id")
REPOSITORY_COLUMNS: Final = tuple(column.name for column in _r if column.name != "id")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How something ends: when, by whom, why, and until when it can be taken back."""

    at: dt.datetime
    doer: Doer
    cause: Cause
    reason: str | None = None  # of a lifecycle policy
    until: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What a deleted image needs. `blob_id` is None for another manifest, and where the bytes were not there."""

    digest: Digest
    kind: Literal["blob", "child"]
    blob_id: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeletedRepository:
    """A repository that was deleted and can be made again."""

    id: int
    deleted_at: dt.datetime
    doer: Doer
    expires_at: dt.datetime
    lifecycle_policy: str | None


# --- when something is deleted ----------------------------------------------------------------------------------------


def keep_image(tx: Tx, repository: Repository, image_id: int, end: End) -> None:
    """Write down an image that is about to be deleted."""
    _keep_images(tx, repository, _i.id == image_id, end)


def keep_repository(tx: Tx, repository: Repository, end: End) -> None:
    """Write down a repository that is about to be deleted, and all that is in it."""
    _keep_images(tx, repository, _i.repository_id == repository.id, end)
    columns = ["id", *REPOSITORY_COLUMNS, "lifecycle_policy", "deleted_at", "deleted_by", "request_id", "expires_at"]
    chosen = (
        sa.select(
            _r.id,
            *(_r[name] for name in REPOSITORY_COLUMNS),
            lifecycle_policies.c.policy,
            sa.literal(end.at, Moment),
            _text(end.doer.principal),
            _text(end.doer.request_id),
            sa.literal(end.until, Moment),
        )
        .select_from(repositories.join(lifecycle_policies, lifecycle_policies.c.repository_id == _r.id, isouter=True))
        .where(_r.id == repository.id)
    )
    tx.execute(sa.insert(deleted_repositories).from_select(columns, chosen))


def _keep_images(tx: Tx, repository: Repository, chosen: sa.ColumnElement[bool], end: End) -> None:
    registry = repository.registry
    more: dict[str, sa.ColumnElement[Any]] = {
        "account": _text(registry.account),
        "region": _text(registry.region),
        "repository": _text(repository.name),
        "pulled_at": _p.pulled_at,
        "deleted_at": sa.literal(end.at, Moment),
        "deleted_by": _text(end.doer.principal),
        "request_id": _text(end.doer.request_id),
        "cause": _text(end.cause),
        "reason": sa.literal(end.reason, sa.Text),
        "expires_at": sa.literal(end.until, Moment),
    }
    more |= {name: _s[name] for name in STORAGE_COLUMNS}
    columns = ["id", "repository_id", *IMAGE_COLUMNS]
    images = (
        sa.select(*(_i[name] for name in columns), *more.values())
        .select_from(
            manifests.outerjoin(image_pulls, _p.manifest_id == _i.id).outerjoin(image_storage, _s.manifest_id == _i.id)
        )
        .where(chosen)
    )
    tx.execute(sa.insert(deleted_images).from_select([*columns, *more], images))
    names = sa.select(_t.manifest_id, _t.name).join(manifests, _i.id == _t.manifest_id).where(chosen)
    tx.execute(sa.insert(deleted_tags).from_select(["image_id", "name"], names))
    is_linked = (_l.repository_id == _x.repository_id) & (_l.digest == _x.digest) & (_x.kind == "blob")
    needed = (
        sa.select(_x.manifest_id, _x.digest, _x.kind, _l.blob_id)
        .select_from(manifest_references.join(manifests, _i.id == _x.manifest_id).join(links, is_linked, isouter=True))
        .where(chosen)
    )
    tx.execute(sa.insert(holds).from_select(["image_id", "digest", "kind", "blob_id"], needed))


# --- what can come back -----------------------------------------------------------------------------------------------


def page(
    tx: Tx,
    registry: RegistryRef,
    name: RepositoryName,
    *,
    now: dt.datetime,
    before: tuple[dt.datetime, int] | None,
    limit: int,
    repository_id: int | None = None,
) -> list[DeletedImage]:
    """Deleted images of a repository of this name, the last one first, behind the place (deleted_at, id) `before`.

    `repository_id`: only those that went with that repository.
    """
    statement = _of(registry, name, now).order_by(_d.deleted_at.desc(), _d.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(sa.tuple_(_d.deleted_at, _d.id) < before)
    if repository_id is not None:
        statement = statement.where(_d.repository_id == repository_id, _d.cause == "repository")
    return _images(tx, statement)


def find(
    tx: Tx, registry: RegistryRef, name: RepositoryName, reference: Digest | Tag, *, now: dt.datetime
) -> DeletedImage | None:
    """The image of this digest, or with this tag, that was deleted last."""
    statement = _of(registry, name, now).order_by(_d.deleted_at.desc(), _d.id.desc()).limit(1)
    if isinstance(reference, Digest):
        statement = statement.where(_d.digest == reference)
    else:
        statement = statement.where(sa.exists().where(_n.image_id == _d.id, _n.name == reference))
    return next(iter(_images(tx, statement)), None)


def by_id(tx: Tx, image_id: int, *, now: dt.datetime) -> DeletedImage | None:
    return next(iter(_images(tx, sa.select(*_META).where(_d.id == image_id, _d.expires_at > now))), None)


def of_digest(tx: Tx, registry: RegistryRef, name: RepositoryName, digest: Digest) -> list[DeletedImage]:
    """Every deleted image of a digest: one may be pushed and deleted again and again."""
    named = (_d.account == registry.account, _d.region == registry.region, _d.repository == name)
    return _images(tx, sa.select(*_META).where(*named, _d.digest == digest).order_by(_d.id))


def companions(tx: Tx, image: DeletedImage, *, now: dt.datetime) -> list[DeletedImage]:
    """What refers to a deleted image as its subject and went by the same deed."""
    statement = _of(image.registry, image.repository, now).where(
        _d.subject == image.digest, _d.request_id == image.doer.request_id, _d.repository_id == image.repository_id
    )
    return _images(tx, statement.order_by(_d.id))


def pins(tx: Tx, image_id: int) -> list[Pin]:
    statement = sa.select(_h.digest, _h.kind, _h.blob_id).where(_h.image_id == image_id).order_by(_h.digest)
    return [Pin(digest=Digest(row.digest), kind=row.kind, blob_id=row.blob_id) for row in tx.execute(statement)]


def repository(tx: Tx, registry: RegistryRef, name: RepositoryName, *, now: dt.datetime) -> DeletedRepository | None:
    """The repository of this name that was deleted last."""
    statement = (
        sa.select(_g.id, _g.deleted_at, _g.deleted_by, _g.request_id, _g.expires_at, _g.lifecycle_policy)
        .where(_g.account == registry.account, _g.region == registry.region, _g.name == name, _g.expires_at > now)
        .order_by(_g.deleted_at.desc(), _g.id.desc())
        .limit(1)
    )
    row = tx.execute(statement).one_or_none()
    if row is None:
        return None
    return DeletedRepository(
        id=row.id,
        deleted_at=row.deleted_at,
        doer=Doer(principal=row.deleted_by, request_id=row.request_id),
        expires_at=row.expires_at,
        lifecycle_policy=row.lifecycle_policy,
    )


# --- when it comes back -----------------------------------------------------------------------------------------------


def restore_image(tx: Tx, image_id: int, repository_id: int) -> int:
    """Write a deleted image's rows again, all but links and tags; its new id."""
    copied = sa.select(sa.literal(repository_id, _i.repository_id.type), *(_d[name] for name in IMAGE_COLUMNS))
    insert = sa.insert(manifests).from_select(["repository_id", *IMAGE_COLUMNS], copied.where(_d.id == image_id))
    new_id: int = tx.execute(insert.returning(_i.id)).scalar_one()
    fixed = (sa.literal(new_id, _x.manifest_id.type), sa.literal(repository_id, _x.repository_id.type))
    needed = sa.select(*fixed, _h.digest, _h.kind).where(_h.image_id == image_id)
    columns = ["manifest_id", "repository_id", "digest", "kind"]
    tx.execute(sa.insert(manifest_references).from_select(columns, needed))
    pulled = sa.select(fixed[0], _d.pulled_at).where(_d.id == image_id, _d.pulled_at.is_not(None))
    tx.execute(sa.insert(image_pulls).from_select(["manifest_id", "pulled_at"], pulled))
    stored = sa.select(fixed[0], *(_d[name] for name in STORAGE_COLUMNS)).where(
        _d.id == image_id, _d.status.is_not(None)
    )
    tx.execute(sa.insert(image_storage).from_select(["manifest_id", *STORAGE_COLUMNS], stored))
    return new_id


def restore_repository(tx: Tx, deleted_id: int) -> int:
    """Make a deleted repository again, with its settings; its new id. Its name is free."""
    stamps.move_policy(tx)
    copied = sa.select(*(_g[name] for name in REPOSITORY_COLUMNS)).where(_g.id == deleted_id)
    insert = sa.insert(repositories).from_select(list(REPOSITORY_COLUMNS), copied)
    new_id: int = tx.execute(insert.returning(_r.id)).scalar_one()
    tx.execute(sa.delete(deleted_repositories).where(_g.id == deleted_id))
    return new_id


def forget(tx: Tx, registry: RegistryRef, name: RepositoryName, digest: Digest) -> None:
    """Let go of all deleted images of a digest."""
    named = (_d.account == registry.account, _d.region == registry.region, _d.repository == name)
    tx.execute(sa.delete(deleted_images).where(*named, _d.digest == digest))


# --- when it is over --------------------------------------------------------------------------------------------------


def end(tx: Tx, *, now: dt.datetime, limit: int) -> int:
    """Let go of what cannot be brought back any more; how much that was, at most `limit` of a kind."""
    old_images = sa.select(_d.id).where(_d.expires_at <= now).order_by(_d.expires_at).limit(limit)
    ids = list(tx.execute(old_images).scalars())
    old_repositories = sa.select(_g.id).where(_g.expires_at <= now).order_by(_g.expires_at).limit(limit)
    others = list(tx.execute(old_repositories).scalars())
    if ids:
        tx.execute(sa.delete(deleted_images).where(_d.id.in_(ids)))
    if others:
        tx.execute(sa.delete(deleted_repositories).where(_g.id.in_(others)))
    return len(ids) + len(others)


def let_go(tx: Tx, repository_id: int | None, blob_ids: Collection[int], *, at: dt.datetime) -> list[int]:
    """Have the bytes of blobs go with the next garbage collection, where nothing else needs them: those that go.

    A link of the repository goes where none of its images needs it. `at` is the time since which nobody is said to
    have wanted them.
    """
    is_needed = sa.exists().where(_x.repository_id == _l.repository_id, _x.digest == _l.digest)
    if repository_id is not None:
        mine = (_l.repository_id == repository_id, _l.blob_id.in_(blob_ids))
        gone = tx.execute(sa.delete(links).where(*mine, ~is_needed).returning(_l.blob_id)).scalars().all()
        quotas.blobs_go(tx, repository_id, sum(size for _, size in sizes(tx, gone).values()))
    is_linked, is_held = sa.exists().where(_l.blob_id == _b.id), sa.exists().where(_h.blob_id == _b.id)
    free = sa.update(blobs).where(_b.id.in_(blob_ids), ~is_linked, ~is_held).values(released_at=at)
    return list(tx.execute(free.returning(_b.id)).scalars())


def sizes(tx: Tx, blob_ids: Collection[int]) -> dict[int, tuple[Digest, int]]:
    """Digest and size of blobs, by id."""
    statement = sa.select(_b.id, _b.digest, _b.size).where(_b.id.in_(blob_ids))
    return {row.id: (Digest(row.digest), row.size) for row in tx.execute(statement)}


# --- inside -----------------------------------------------------------------------------------------------------------

_META: Final = [column for column in _d if column.name != "body"]


def _text(value: str) -> sa.BindParameter[str]:
    return sa.literal(str(value), sa.String)


def _of(registry: RegistryRef, name: RepositoryName, now: dt.datetime) -> sa.Select[Any]:
    return sa.select(*_META).where(
        _d.account == registry.account, _d.region == registry.region, _d.repository == name, _d.expires_at > now
    )


def _images(tx: Tx, statement: sa.Select[Any]) -> list[DeletedImage]:
    found = tx.execute(statement).all()
    names = _tags(tx, [row.id for row in found])
    return [_image(row, tuple(names[row.id])) for row in found]


def _tags(tx: Tx, ids: Collection[int]) -> dict[int, list[Tag]]:
    found: dict[int, list[Tag]] = {image_id: [] for image_id in ids}
    statement = sa.select(_n.image_id, _n.name).where(_n.image_id.in_(ids)).order_by(_n.name)
    for image_id, name in tx.execute(statement) if ids else ():
        found[image_id].append(Tag(name))
    return found


def _image(row: sa.Row[Any], names: tuple[Tag, ...]) -> DeletedImage:
    return DeletedImage(
        id=row.id,
        registry=RegistryRef(AccountId(row.account), Region(row.region)),
        repository=RepositoryName(row.repository),
        repository_id=row.repository_id,
        digest=Digest(row.digest),
        media_type=row.media_type,
        kind=row.kind,
        subject=None if row.subject is None else Digest(row.subject),
        body_size=row.body_size,
        image_size=row.image_size,
        pushed_at=row.pushed_at,
        pulled_at=row.pulled_at,
        deleted_at=row.deleted_at,
        doer=Doer(principal=row.deleted_by, request_id=row.request_id),
        cause=row.cause,
        reason=row.reason,
        expires_at=row.expires_at,
        tags=names,
    )
