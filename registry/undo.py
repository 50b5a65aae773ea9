"""What is deleted is kept for a while: written down with its deletion, and let go of when the window is over.

    delete     the image's rows are copied, and what it needs is held, in the transaction that deletes it
    meanwhile  nobody can read it (promises.md T10), and garbage collection leaves its bytes alone
    undelete   `undelete.py` brings it back
    the end    its rows go; the next garbage collection takes what nothing else needs

With `undo.window_seconds = 0` nothing is written down, and what is deleted is gone.
"""

import datetime as dt
import functools
from collections.abc import Awaitable, Callable

from registry.context import Deps
from registry.model import Cause, Doer, Image, Repository
from registry.records import undo as rows
from registry.records.engine import Tx, Unit

_BATCH = 100  # deleted images that are let go of in one transaction


def keep_image(
    tx: Tx,
    deps: Deps,
    repository: Repository,
    image: Image,
    *,
    now: dt.datetime,
    cause: Cause = "deleted",
    reason: str | None = None,
    doer: Doer | None = None,
) -> None:
    """Keep an image that is about to be deleted. `doer`: where it is not who `deps` were given to."""
    if window := deps.settings.undo.window:
        end = rows.End(at=now, doer=doer or deps.doer, cause=cause, reason=reason, until=now + window)
        rows.keep_image(tx, repository, image.id, end)


def keep_repository(tx: Tx, deps: Deps, repository: Repository, *, now: dt.datetime) -> None:
    """Keep a repository that is about to be deleted, with all that is in it."""
    if window := deps.settings.undo.window:
        end = rows.End(at=now, doer=deps.doer, cause="repository", until=now + window)
        rows.keep_repository(tx, repository, end)


async def end(write: Callable[[Unit[int]], Awaitable[int]], *, now: dt.datetime) -> int:
    """Let go of everything whose window is over, by a few at a time; how much that was.

    `write` is how the caller writes.
    """
    ended, count = 0, 1
    while count:
        count = await write(functools.partial(rows.end, now=now, limit=_BATCH))
        ended += count
    return ended
