"""What the archive asks of the rows: which bytes lie there, which may go there, and which images that is about."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from registry.model import ImageStatus
from registry.records.engine import Tx
from registry.records.tables.images import blobs, links, manifest_references
from registry.records.tables.installation import stores
from registry.records.tables.keeping import image_storage

_b, _l, _x, _s = blobs.c, links.c, manifest_references.c, image_storage.c
_IN_ARCHIVE = _b.store_id.in_(sa.select(stores.c.store_id).where(stores.c.role == "archive"))
_CHUNK: Final = 500  # values in one IN list
_PINNED = (
    sa.select(_b.id)
    .join(links, _l.blob_id == _b.id)
    .join(manifest_references, (_x.repository_id == _l.repository_id) & (_x.digest == _l.digest))
)


def away(tx: Tx, image_ids: Sequence[int], *, limit: int | None = None) -> list[int]:
    """Blobs that the images need and whose bytes lie in the archive, at most `limit`; none: they have all they need."""
    found: dict[int, None] = {}
    for first in range(0, len(image_ids), _CHUNK):
        wanted = _PINNED.where(_x.manifest_id.in_(image_ids[first : first + _CHUNK]), _IN_ARCHIVE)
        found |= dict.fromkeys(tx.execute(wanted.order_by(_b.id).limit(limit)).scalars())
        if limit is not None and len(found) >= limit:
            break
    return list(found)[:limit]


def movable(tx: Tx, image_id: int) -> list[int]:
    """Blobs of an archived image that may go to the archive and are not there."""
    wanted = _PINNED.where(_x.manifest_id == image_id, ~_IN_ARCHIVE, ~_b.damaged)
    return [blob_id for blob_id in tx.execute(wanted.order_by(_b.id)).scalars() if may_go(tx, blob_id)]


def may_go(tx: Tx, blob_id: int) -> bool:
    """Whether every image that needs the blob is archived, in every repository that may hand it out; one that has it
    and does not need it may be about to."""
    links_of_it, needed_by = links.alias(), manifest_references.alias()
    needs = (needed_by.c.repository_id == links_of_it.c.repository_id) & (needed_by.c.digest == links_of_it.c.digest)
    archived = sa.exists().where(_s.manifest_id == needed_by.c.manifest_id, _s.status == "ARCHIVED")
    staying = sa.select(links_of_it.c.repository_id).where(
        links_of_it.c.blob_id == blob_id,
        sa.or_(~sa.exists().where(needs), sa.exists().where(needs, ~archived)),
    )
    return tx.execute(staying.limit(1)).first() is None


def page(tx: Tx, status: ImageStatus, *, after: int, limit: int) -> list[int]:
    """Ids of the images that have this status, behind `after`, of all repositories."""
    statement = sa.select(_s.manifest_id).where(_s.status == status, _s.manifest_id > after)
    return list(tx.execute(statement.order_by(_s.manifest_id).limit(limit)).scalars())
