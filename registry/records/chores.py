"""Rows of chores: which are at work, where they go on, and what they came to.

The hold of a chore keeps two from doing the same at the same time. It protects nothing: it lapses while its holder
sleeps, so whatever a chore does is safe when two do it.
"""

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from registry.records.engine import Tx
from registry.records.tables.work import chores

_c = chores.c


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """A chore as it stands. `position`: 0 at the beginning."""

    name: str
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    position: int
    facts: Mapping[str, Any]


def find(tx: Tx, name: str) -> Chore:
    """The chore; one that was never begun has no times. Each has its row from the beginning."""
    row = tx.execute(sa.select(chores).where(_c.name == name)).one()
    return Chore(
        name=name,
        started_at=row.started_at,
        ended_at=row.ended_at,
        position=row.position,
        facts=json.loads(row.facts),
    )


def take(
    tx: Tx, name: str, holder: str, *, now: dt.datetime, until: dt.datetime, begun_before: dt.datetime | None = None
) -> bool:
    """Begin the chore, unless someone is at it, or it was begun since `begun_before`."""
    free = sa.or_(_c.held_until.is_(None), _c.held_until < now)
    due = sa.true() if begun_before is None else sa.or_(_c.started_at.is_(None), _c.started_at < begun_before)
    taken = sa.update(chores).where(_c.name == name, free, due)
    return tx.execute(taken.values(holder=holder, held_until=until, started_at=now)).rowcount == 1


def keep(tx: Tx, name: str, holder: str, *, until: dt.datetime) -> None:
    """Say that the holder is still at it."""
    tx.execute(sa.update(chores).where(_c.name == name, _c.holder == holder).values(held_until=until))


def leave(tx: Tx, name: str, holder: str) -> None:
    """Let others have it."""
    tx.execute(sa.update(chores).where(_c.name == name, _c.holder == holder).values(holder=None, held_until=None))


def note(tx: Tx, chore: Chore) -> None:
    """Write how the chore stands; who is at it stays."""
    values = {
        "started_at": chore.started_at,
        "ended_at": chore.ended_at,
        "position": chore.position,
        "facts": json.dumps(dict(chore.facts)),
    }
    tx.execute(sa.update(chores).where(_c.name == chore.name).values(**values))
