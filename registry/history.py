"""The history of tags: which tag named what, since when, and who made it so.

Whoever changes a tag, or takes an image away, puts it on record in the same transaction. The record is kept for
`undo.history_days`, and longer than what it tells of: it goes on where a repository is deleted and made again.
"""

import datetime as dt
from collections.abc import Mapping

from registry.context import Deps
from registry.model import Doer, Repository
from registry.names import Digest, RegistryRef, RepositoryName, Tag
from registry.records import history as rows
from registry.records.engine import Tx
from registry.records.history import Change, Entry, Event

_BATCH = 1000  # rows that go in one transaction


def pushed(
    tx: Tx,
    deps: Deps,
    repository: Repository,
    digest: Digest,
    moved: Mapping[Tag, Digest | None],
    *,
    new: bool,
    now: dt.datetime,
) -> None:
    """Tell of a push. `moved` are the tags that it changed, each with what it named before; `new`: the image is."""
    changes = [
        Change(event="pushed" if before is None else "moved", tag=tag, before=before, after=digest)
        for tag, before in moved.items()
    ]
    if new and not changes:
        changes = [Change(event="pushed", after=digest)]
    note(tx, deps, repository, changes, now=now)


def gone(
    tx: Tx,
    deps: Deps,
    repository: Repository,
    digest: Digest,
    tags: tuple[Tag, ...],
    event: Event,
    *,
    now: dt.datetime,
    doer: Doer | None = None,
) -> None:
    """Tell of an image that goes with its tags. `doer`: where it is not who `deps` were given to."""
    changes = [Change(event=event, tag=tag, before=digest) for tag in tags or (None,)]
    note(tx, deps, repository, changes, now=now, doer=doer)


def all_gone(tx: Tx, deps: Deps, repository: Repository, *, now: dt.datetime) -> None:
    """Tell of a repository that is about to be deleted with all that is in it."""
    if deps.settings.undo.history_days:
        rows.insert_all_deleted(tx, repository.registry, repository.name, repository.id, deps.doer, now)
    note(tx, deps, repository, [Change(event="repository-deleted")], now=now)


def note(
    tx: Tx,
    deps: Deps,
    repository: Repository,
    changes: list[Change],
    *,
    now: dt.datetime,
    doer: Doer | None = None,
) -> None:
    """Put changes on record, where a history is kept."""
    if deps.settings.undo.history_days:
        rows.insert(tx, repository.registry, repository.name, changes, doer or deps.doer, now)


async def page(
    deps: Deps, registry: RegistryRef, name: RepositoryName, tag: Tag | None, *, before: int | None, limit: int
) -> list[Entry]:
    """What became of a repository's tags, or of one: entries before the id `before`, newest first."""
    return await deps.db.read(lambda tx: rows.page(tx, registry, name, tag, before=before, limit=limit))


async def prune(deps: Deps) -> int:
    """Forget what is older than it shall be kept; how many entries were forgotten."""
    before = deps.clock.steady() - dt.timedelta(days=deps.settings.undo.history_days)
    forgotten, count = 0, _BATCH
    while count == _BATCH:
        count = await deps.db.write(lambda tx: rows.prune(tx, before=before, limit=_BATCH))
        forgotten += count
    return forgotten
