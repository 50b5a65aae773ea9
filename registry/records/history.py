"""Rows of the history of tags: who made which tag name what, and when; what was deleted, and what was brought back.

They hang on names alone, so that the history of a repository goes on where it is deleted and made again.
"""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, Literal

import sqlalchemy as sa

from registry.model import Doer
from registry.names import Digest, RegistryRef, RepositoryName, Tag
from registry.records.engine import Tx
from registry.records.tables.columns import Moment
from registry.records.tables.images import manifests, tags
from registry.records.tables.keeping import tag_history

Event = Literal[
    "pushed",  # an image, or a tag that named nothing
    "moved",  # a tag from one image to another
    "untagged",  # and the image stayed
    "deleted",
    "expired",  # a lifecycle policy took it
    "undeleted",
    "purged",  # it can not be brought back any more
    "repository-deleted",
    "repository-undeleted",
]

_h, _i, _t = tag_history.c, manifests.c, tags.c


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of a tag; `tag` is None where an image without one, or the repository, is meant."""

    event: Event
    tag: Tag | None = None
    before: Digest | None = None
    after: Digest | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A change on record. `id` grows with time."""

    id: int
    change: Change
    at: dt.datetime
    doer: Doer


def insert(
    tx: Tx, registry: RegistryRef, name: RepositoryName, changes: Sequence[Change], doer: Doer, now: dt.datetime
) -> None:
    """Put changes on record, by one statement."""
    common = {
        "account": registry.account,
        "region": registry.region,
        "repository": name,
        "at": now,
        "principal": doer.principal,
        "request_id": doer.request_id,
    }
    values = [
        {
            **common,
            "tag": change.tag,
            "event": change.event,
            "digest_before": change.before,
            "digest_after": change.after,
        }
        for change in changes
    ]
    if values:
        tx.execute(_INSERT, values)


def insert_all_deleted(
    tx: Tx, registry: RegistryRef, name: RepositoryName, repository_id: int, doer: Doer, now: dt.datetime
) -> None:
    """Put on record that all images of a repository are deleted, while they are still there: a row for each tag, and
    for each image without one."""
    columns = ["account", "region", "repository", "tag", "event", "digest_before", "at", "principal", "request_id"]
    chosen = (
        sa.select(
            _text(registry.account),
            _text(registry.region),
            _text(name),
            _t.name,
            _text("deleted"),
            _i.digest,
            sa.literal(now, Moment),
            _text(doer.principal),
            _text(doer.request_id),
        )
        .select_from(manifests.join(tags, _t.manifest_id == _i.id, isouter=True))
        .where(_i.repository_id == repository_id)
    )
    tx.execute(sa.insert(tag_history).from_select(columns, chosen))


def page(
    tx: Tx, registry: RegistryRef, name: RepositoryName, tag: Tag | None, *, before: int | None, limit: int
) -> list[Entry]:
    """Entries before the id `before`, newest first; of one tag, where one is given."""
    statement = _of(registry, name).order_by(_h.id.desc()).limit(limit)
    if tag is not None:
        statement = statement.where(_h.tag == tag)
    if before is not None:
        statement = statement.where(_h.id < before)
    return [_entry(row) for row in tx.execute(statement)]


def last_end(
    tx: Tx, registry: RegistryRef, name: RepositoryName, *, digest: Digest | None, tag: Tag | None
) -> Entry | None:
    """The newest entry that says how an image, by its digest or a tag, went: deleted, expired or purged."""
    statement = _of(registry, name).where(_h.event.in_(_ENDS)).order_by(_h.id.desc()).limit(1)
    statement = statement.where(_h.tag == tag) if digest is None else statement.where(_h.digest_before == digest)
    row = tx.execute(statement).one_or_none()
    return None if row is None else _entry(row)


def prune(tx: Tx, *, before: dt.datetime, limit: int) -> int:
    """Forget what was before then; how many rows were forgotten, at most `limit`."""
    old = sa.select(_h.id).where(_h.at < before).order_by(_h.at).limit(limit)
    return tx.execute(sa.delete(tag_history).where(_h.id.in_(old.scalar_subquery()))).rowcount


# --- inside -----------------------------------------------------------------------------------------------------------

_ENDS: Final[tuple[Event, ...]] = ("deleted", "expired", "purged")
_INSERT: Final = sa.insert(tag_history)


def _text(value: str) -> sa.BindParameter[str]:
    return sa.literal(str(value), sa.String)


def _of(registry: RegistryRef, name: RepositoryName) -> sa.Select[Any]:
    return sa.select(tag_history).where(
        _h.account == registry.account, _h.region == registry.region, _h.repository == name
    )


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        change=Change(
            event=row.event,
            tag=None if row.tag is None else Tag(row.tag),
            before=None if row.digest_before is None else Digest(row.digest_before),
            after=None if row.digest_after is None else Digest(row.digest_after),
        ),
        at=row.at,
        doer=Doer(principal=row.principal, request_id=row.request_id),
    )
