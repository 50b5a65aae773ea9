"""Rows of who uses which image."""

import dataclasses
import datetime as dt
from typing import Any

import sqlalchemy as sa

from registry.names import Digest
from registry.records.engine import Tx
from registry.records.tables.images import manifests, tags
from registry.records.tables.keeping import image_users

_u, _i, _t = image_users.c, manifests.c, tags.c


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Somebody (`kind` and `name`: service web) needs the image that a digest or tag names; `until` None: for good."""

    reference: str
    kind: str
    name: str
    until: dt.datetime | None
    added_at: dt.datetime


def put(tx: Tx, repository_id: int, use: Use) -> None:
    """Write a use; one that is there gets the new end."""
    mine = _mine(repository_id, use.kind, use.name) & (_u.reference == use.reference)
    if tx.execute(sa.update(image_users).where(mine).values(until=use.until)).rowcount == 0:
        tx.execute(
            sa.insert(image_users).values(
                repository_id=repository_id,
                reference=use.reference,
                kind=use.kind,
                name=use.name,
                until=use.until,
                added_at=use.added_at,
            )
        )


def delete(tx: Tx, repository_id: int, kind: str, name: str, reference: str | None) -> int:
    """Remove a user's use of an image, or of all images of the repository; how many there were."""
    mine = _mine(repository_id, kind, name)
    if reference is not None:
        mine &= _u.reference == reference
    return tx.execute(sa.delete(image_users).where(mine)).rowcount


def forget_ended(tx: Tx, repository_id: int, now: dt.datetime) -> None:
    tx.execute(sa.delete(image_users).where(_u.repository_id == repository_id, _u.until <= now))


def of(tx: Tx, repository_id: int) -> list[Use]:
    """All uses of a repository's images, by reference; also those that have ended."""
    statement = sa.select(image_users).where(_u.repository_id == repository_id)
    return [_use(row) for row in tx.execute(statement.order_by(_u.reference, _u.kind, _u.name))]


def in_use(tx: Tx, repository_id: int, now: dt.datetime) -> dict[Digest, Use]:
    """The images that somebody uses now, each with the first who does."""
    lives = (_u.repository_id == repository_id) & sa.or_(_u.until.is_(None), _u.until > now)
    by_digest = sa.select(_i.digest.label("digest"), *image_users.c).join(
        manifests, (_i.repository_id == _u.repository_id) & (_i.digest == _u.reference)
    )
    by_tag = (
        sa.select(_i.digest.label("digest"), *image_users.c)
        .join(tags, (_t.repository_id == _u.repository_id) & (_t.name == _u.reference))
        .join(manifests, _i.id == _t.manifest_id)
    )
    found: dict[Digest, Use] = {}
    for statement in (by_digest, by_tag):
        for row in tx.execute(statement.where(lives).order_by(_u.kind, _u.name)):
            found.setdefault(Digest(row.digest), _use(row))
    return found


def _mine(repository_id: int, kind: str, name: str) -> sa.ColumnElement[bool]:
    return (_u.repository_id == repository_id) & (_u.kind == kind) & (_u.name == name)


def _use(row: sa.Row[Any]) -> Use:
    return Use(reference=row.reference, kind=row.kind, name=row.name, until=row.until, added_at=row.added_at)
