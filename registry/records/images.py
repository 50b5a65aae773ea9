"""Rows of manifests, what they reference, and the tags that name them."""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from registry.model import Image, ImageStatus
from registry.names import Digest, Tag
from registry.records import quotas
from registry.records.engine import Tx
from registry.records.tables.images import manifest_references, manifests, tags
from registry.records.tables.keeping import image_pulls, image_storage

_i, _t, _x, _p, _s = manifests.c, tags.c, manifest_references.c, image_pulls.c, image_storage.c
_META = [column for column in manifests.c if column.name != "body"]
_IMAGES: sa.Select[Any] = sa.select(*_META, _s.status, _s.archived_at, _s.activated_at).select_from(
    manifests.outerjoin(image_storage, _s.manifest_id == _i.id)
)
_IS_ACTIVE = sa.or_(_s.status.is_(None), _s.status == "ACTIVE")  # where image_storage is joined in so
_CHUNK = 500


def find(tx: Tx, repository_id: int, digest: Digest) -> Image | None:
    row = tx.execute(_IMAGES.where(_i.repository_id == repository_id, _i.digest == digest)).one_or_none()
    return None if row is None else _image(row)


def by_ids(tx: Tx, ids: Sequence[int]) -> list[Image]:
    """Those that are there, with their tags."""
    found: list[Image] = []
    for first in range(0, len(ids), _CHUNK):
        rows = tx.execute(_IMAGES.where(_i.id.in_(ids[first : first + _CHUNK])).order_by(_i.id))
        found += _with_tags(tx, [_image(row) for row in rows])
    return found


def tagged(tx: Tx, repository_id: int, tag: Tag) -> Image | None:
    row = tx.execute(
        _IMAGES.join(tags, _t.manifest_id == _i.id).where(_t.repository_id == repository_id, _t.name == tag)
    ).one_or_none()
    return None if row is None else _image(row)


def read(tx: Tx, repository_id: int, reference: Digest | Tag) -> tuple[int, Digest, str, bytes, ImageStatus] | None:
    """Id, digest, media type, bytes and status of the manifest that a digest or tag names now."""
    statement = _BY_DIGEST if isinstance(reference, Digest) else _BY_TAG
    row = tx.execute(statement, {"repository": repository_id, "reference": reference}).one_or_none()
    return None if row is None else (row.id, Digest(row.digest), row.media_type, row.body, row.status or "ACTIVE")


def insert(tx: Tx, image: Image, body: bytes, blobs: Iterable[Digest], children: Iterable[Digest]) -> Image:
    """Write a new manifest with everything that it pins; the image with its id."""
    new_id = tx.execute(
        sa.insert(manifests)
        .values(
            repository_id=image.repository_id,
            digest=image.digest,
            media_type=image.media_type,
            kind=image.kind,
            artifact_type=image.artifact_type,
            config_media_type=image.config_media_type,
            subject=image.subject,
            annotations=json.dumps(dict(image.annotations)),
            body_size=image.body_size,
            image_size=image.image_size,
            pushed_at=image.pushed_at,
            body=body,
        )
        .returning(_i.id)
    ).scalar_one()
    pinned = {digest: "blob" for digest in blobs} | {digest: "child" for digest in children}
    if pinned:
        tx.execute(
            sa.insert(manifest_references),
            [
                {"manifest_id": new_id, "digest": digest, "kind": kind, "repository_id": image.repository_id}
                for digest, kind in pinned.items()
            ],
        )
    found = find(tx, image.repository_id, image.digest)
    assert found is not None
    return found


def mend(tx: Tx, image: Image, body: bytes) -> None:
    """Put the manifest's bytes in the place of those that are kept, if they differ: those were damaged (P7)."""
    tx.execute(sa.update(manifests).where(_i.id == image.id, _i.body != body).values(body=body))


def archive(tx: Tx, image: Image, now: dt.datetime) -> Image:
    """Note that an image is in the archive from now on."""
    known = sa.update(image_storage).where(_s.manifest_id == image.id)
    place = {"status": "ARCHIVED", "archived_at": now}
    if tx.execute(known.values(**place)).rowcount == 0:
        tx.execute(sa.insert(image_storage).values(manifest_id=image.id, **place))
    return dataclasses.replace(image, status="ARCHIVED", archived_at=now)


def activating(tx: Tx, image: Image, now: dt.datetime) -> Image:
    """Note that an image waits for bytes to come back from the archive; it may be a new one that was never there."""
    place = {"status": "ACTIVATING", "activated_at": now}
    if tx.execute(sa.update(image_storage).where(_s.manifest_id == image.id).values(**place)).rowcount == 0:
        tx.execute(sa.insert(image_storage).values(manifest_id=image.id, **place))
    return dataclasses.replace(image, status="ACTIVATING", activated_at=now)


def activate(tx: Tx, image: Image, now: dt.datetime) -> Image:
    """Note that an image can be pulled. One that was never archived, and only waited for bytes, is like any other."""
    mine = _s.manifest_id == image.id
    if image.archived_at is None:
        tx.execute(sa.delete(image_storage).where(mine))
        return dataclasses.replace(image, status="ACTIVE", activated_at=None)
    tx.execute(sa.update(image_storage).where(mine).values(status="ACTIVE", activated_at=now))
    return dataclasses.replace(image, status="ACTIVE", activated_at=now)


def delete(tx: Tx, image: Image) -> None:
    """Remove a manifest, the tags that name it and what it pins."""
    quotas.image_goes(tx, image)
    tx.execute(sa.delete(manifests).where(_i.id == image.id))


def sizes(tx: Tx, repository_id: int, digests: Sequence[Digest]) -> dict[Digest, int]:
    """Image size by digest of those manifests that the repository holds."""
    found: dict[Digest, int] = {}
    for first in range(0, len(digests), _CHUNK):
        statement = sa.select(_i.digest, _i.image_size).where(
            _i.repository_id == repository_id, _i.digest.in_(digests[first : first + _CHUNK])
        )
        found.update({Digest(digest): size for digest, size in tx.execute(statement)})
    return found


def parents(tx: Tx, repository_id: int, digest: Digest) -> list[Digest]:
    """Digests of the indexes that list this manifest, the first ten that were pushed."""
    statement = (
        sa.select(_i.digest)
        .join(manifest_references, _x.manifest_id == _i.id)
        .where(_x.repository_id == repository_id, _x.digest == digest, _x.kind == "child")
        .order_by(_x.manifest_id)
        .limit(10)
    )
    return [Digest(found) for found in tx.execute(statement).scalars()]


def indexes_of(tx: Tx, repository_id: int, digest: Digest) -> list[Image]:
    """All indexes that list this manifest."""
    listing = sa.select(_x.manifest_id).where(
        _x.repository_id == repository_id, _x.digest == digest, _x.kind == "child"
    )
    return [_image(row) for row in tx.execute(_IMAGES.where(_i.id.in_(listing)).order_by(_i.id))]


def children(tx: Tx, image: Image) -> list[Image]:
    """The manifests that an index lists, of those that its repository holds."""
    listed = sa.select(_x.digest).where(_x.manifest_id == image.id, _x.kind == "child")
    mine = (_i.repository_id == image.repository_id) & _i.digest.in_(listed)
    return [_image(row) for row in tx.execute(_IMAGES.where(mine).order_by(_i.id))]


def pinned_blobs(tx: Tx, image: Image) -> list[Digest]:
    statement = sa.select(_x.digest).where(_x.manifest_id == image.id, _x.kind == "blob")
    return [Digest(digest) for digest in tx.execute(statement).scalars()]


def count(tx: Tx, repository_id: int) -> int:
    return tx.execute(sa.select(sa.func.count()).where(_i.repository_id == repository_id)).scalar_one()


def any_in(tx: Tx, repository_id: int) -> bool:
    return tx.execute(sa.select(_i.id).where(_i.repository_id == repository_id).limit(1)).first() is not None


# --- tags -------------------------------------------------------------------------------------------------------------


def put_tag(tx: Tx, image: Image, tag: Tag, now: dt.datetime) -> None:
    """Make the tag name the image, wherever it pointed before."""
    mine = (_t.repository_id == image.repository_id) & (_t.name == tag)
    if tx.execute(sa.update(tags).where(mine).values(manifest_id=image.id, tagged_at=now)).rowcount == 0:
        tx.execute(
            sa.insert(tags).values(repository_id=image.repository_id, name=tag, manifest_id=image.id, tagged_at=now)
        )


def delete_tag(tx: Tx, repository_id: int, tag: Tag) -> bool:
    return tx.execute(sa.delete(tags).where(_t.repository_id == repository_id, _t.name == tag)).rowcount > 0


def tags_of(tx: Tx, image_ids: Sequence[int]) -> dict[int, list[Tag]]:
    """Tags by manifest id, each list in order."""
    found: dict[int, list[Tag]] = {image_id: [] for image_id in image_ids}
    for first in range(0, len(image_ids), _CHUNK):
        statement = (
            sa.select(_t.manifest_id, _t.name)
            .where(_t.manifest_id.in_(image_ids[first : first + _CHUNK]))
            .order_by(_t.name)
        )
        for image_id, name in tx.execute(statement):
            found[image_id].append(Tag(name))
    return found


def tag_page(tx: Tx, repository_id: int, *, after: str, limit: int) -> list[Tag]:
    """The first `limit` tags of active images that sort behind `after`. One range of the primary key: the cost is the
    page's."""
    rows = tx.execute(_TAG_PAGE, {"repository": repository_id, "after": after, "limit": limit})
    return [Tag(name) for name in rows.scalars()]


def page(
    tx: Tx,
    repository_id: int,
    *,
    after: str,
    limit: int,
    only: Literal["TAGGED", "UNTAGGED"] | None = None,
    status: ImageStatus | None = None,
) -> list[Image]:
    """Images by digest, with their tags. `only` keeps those with a tag, or without one; `status` those that have it."""
    statement = _with_status(_IMAGES, status).where(_i.repository_id == repository_id, _i.digest > after)
    if only is not None:
        has_tag = sa.exists().where(_t.manifest_id == _i.id)
        statement = statement.where(has_tag if only == "TAGGED" else ~has_tag)
    return _with_tags(tx, [_image(row) for row in tx.execute(statement.order_by(_i.digest).limit(limit))])


def id_page(
    tx: Tx,
    repository_id: int,
    *,
    after: tuple[str, str],
    limit: int,
    only: Literal["TAGGED", "UNTAGGED"] | None = None,
    status: ImageStatus | None = None,
) -> list[tuple[Digest, Tag | None]]:
    """(digest, tag) of every tag of every image, (digest, None) of an image without one; behind `after`, in order."""
    digest, tag = after
    name = sa.func.coalesce(_t.name, "")
    statement = (
        sa.select(_i.digest, _t.name)
        .select_from(manifests.outerjoin(image_storage, _s.manifest_id == _i.id))
        .join(tags, _t.manifest_id == _i.id, isouter=only != "TAGGED")
        .where(_i.repository_id == repository_id, _i.digest >= digest, sa.or_(_i.digest > digest, name > tag))
        .order_by(_i.digest, name)
        .limit(limit)
    )
    if only == "UNTAGGED":
        statement = statement.where(_t.name.is_(None))
    found = tx.execute(_with_status(statement, status))
    return [(Digest(one), None if name is None else Tag(name)) for one, name in found]


def with_tags(tx: Tx, image: Image) -> Image:
    return _with_tags(tx, [image])[0]


def with_pulls(tx: Tx, images: Sequence[Image]) -> list[Image]:
    """The images with the times of their last pulls."""
    found: dict[int, dt.datetime] = {}
    ids = [image.id for image in images]
    for first in range(0, len(ids), _CHUNK):
        statement = sa.select(_p.manifest_id, _p.pulled_at).where(_p.manifest_id.in_(ids[first : first + _CHUNK]))
        found.update({image_id: pulled_at for image_id, pulled_at in tx.execute(statement)})
    return [dataclasses.replace(image, pulled_at=found.get(image.id)) for image in images]


def referrers(
    tx: Tx,
    repository_id: int,
    subject: Digest,
    *,
    after: str = "",
    limit: int | None = None,
    artifact_types: Sequence[str] = (),
    status: ImageStatus | None = None,
) -> list[Image]:
    """Images whose subject is this digest, by digest; of these artifact types and this status only, where any are
    given."""
    mine = (_i.repository_id == repository_id) & (_i.subject == subject) & (_i.digest > after)
    statement = _with_status(_IMAGES, status).where(mine)
    if artifact_types:
        statement = statement.where(_i.artifact_type.in_(artifact_types))
    return [_image(row) for row in tx.execute(statement.order_by(_i.digest).limit(limit))]


_BODY: sa.Select[Any] = sa.select(_i.id, _i.digest, _i.media_type, _i.body, _s.status).select_from(
    manifests.outerjoin(image_storage, _s.manifest_id == _i.id)
)
_BY_DIGEST = _BODY.where(_i.repository_id == sa.bindparam("repository"), _i.digest == sa.bindparam("reference"))
_BY_TAG = _BODY.join(tags, _t.manifest_id == _i.id).where(
    _t.repository_id == sa.bindparam("repository"), _t.name == sa.bindparam("reference")
)
_TAG_PAGE: sa.Select[Any] = (
    sa.select(_t.name)
    .where(_t.repository_id == sa.bindparam("repository"), _t.name > sa.bindparam("after"))
    .where(~sa.exists().where(_s.manifest_id == _t.manifest_id, _s.status != "ACTIVE"))
    .order_by(_t.name)
    .limit(sa.bindparam("limit"))
)


def _with_status(statement: sa.Select[Any], status: ImageStatus | None) -> sa.Select[Any]:
    if status is None:
        return statement
    return statement.where(_IS_ACTIVE if status == "ACTIVE" else _s.status == status)


def _with_tags(tx: Tx, images: list[Image]) -> list[Image]:
    found = tags_of(tx, [image.id for image in images])
    return [dataclasses.replace(image, tags=tuple(found[image.id])) for image in images]


def _image(row: sa.Row[Any]) -> Image:
    return Image(
        id=row.id,
        repository_id=row.repository_id,
        digest=Digest(row.digest),
        media_type=row.media_type,
        kind=row.kind,
        artifact_type=row.artifact_type,
        config_media_type=row.config_media_type,
        subject=None if row.subject is None else Digest(row.subject),
        annotations=json.loads(row.annotations),
        body_size=row.body_size,
        image_size=row.image_size,
        pushed_at=row.pushed_at,
        status=row.status or "ACTIVE",
        archived_at=row.archived_at,
        activated_at=row.activated_at,
    )
