"""Rows of events on their way: one for each event and listener.

The rows of one listener and repository are a queue: the first of it is sent, and only then the next. Rows that wait are
none of `jobs`, where claims would have to look past each of them: a queue has one job that waits, however long it is.
"""

import dataclasses
import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from registry.records.engine import Tx
from registry.records.tables.listeners import deliveries

State = Literal["waiting", "dead"]
_d = deliveries.c
_LONGEST_ERROR = 500  # characters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event that waits for a listener, or was given up."""

    id: int
    listener_id: int
    repository: str
    event_id: str
    type: str
    event: str  # JSON, as it is sent
    state: State
    created_at: dt.datetime
    failures: int
    since: dt.datetime  # from when its tries count
    next_at: dt.datetime | None
    died_at: dt.datetime | None
    last_error: str | None


def add(
    tx: Tx, listener_id: int, *, repository: str, event_id: str, event_type: str, event: str, now: dt.datetime
) -> None:
    tx.execute(
        sa.insert(deliveries).values(
            listener_id=listener_id,
            repository=repository,
            event_id=event_id,
            type=event_type,
            event=event,
            state="waiting",
            created_at=now,
            failures=0,
            since=now,
        )
    )


def head(tx: Tx, listener_id: int, repository: str) -> Delivery | None:
    """What is sent next of a queue."""
    mine = _of(listener_id, "waiting") & (_d.repository == repository)
    row = tx.execute(sa.select(deliveries).where(mine).order_by(_d.id).limit(1)).one_or_none()
    return None if row is None else _delivery(row)


def first(tx: Tx, listener_id: int, *, limit: int) -> list[Delivery]:
    """The oldest of all that waits for a listener."""
    statement = sa.select(deliveries).where(_of(listener_id, "waiting")).order_by(_d.id).limit(limit)
    return [_delivery(row) for row in tx.execute(statement)]


def page(tx: Tx, listener_id: int, state: State, *, after: int, limit: int) -> list[Delivery]:
    """Those behind the id `after`, oldest first."""
    mine = _of(listener_id, state) & (_d.id > after)
    return [_delivery(row) for row in tx.execute(sa.select(deliveries).where(mine).order_by(_d.id).limit(limit))]


def count(tx: Tx, listener_id: int, state: State, *, most: int) -> int:
    """How many there are; `most` where there are more, which are not looked at."""
    some = sa.select(_d.id).where(_of(listener_id, state)).limit(most).subquery()
    return int(tx.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def counts(tx: Tx) -> dict[tuple[int, str], int]:
    """How many there are, by listener and state."""
    statement = sa.select(_d.listener_id, _d.state, sa.func.count()).group_by(_d.listener_id, _d.state)
    return {(listener_id, state): count for listener_id, state, count in tx.execute(statement)}


def queues(tx: Tx, listener_id: int) -> list[str]:
    """Repositories of which something waits for a listener."""
    statement = sa.select(_d.repository).where(_of(listener_id, "waiting")).distinct().order_by(_d.repository)
    return list(tx.execute(statement).scalars())


def remove(tx: Tx, ids: Collection[int]) -> None:
    tx.execute(sa.delete(deliveries).where(_d.id.in_(ids)))


def put_off(tx: Tx, delivery: Delivery, next_at: dt.datetime, error: str) -> None:
    _change(tx, delivery.id, failures=_d.failures + 1, next_at=next_at, last_error=error[:_LONGEST_ERROR])


def bury(tx: Tx, delivery: Delivery, now: dt.datetime, error: str) -> None:
    """Keep one that is given up, until somebody has it sent again or it is too old."""
    _change(tx, delivery.id, state="dead", failures=_d.failures + 1, died_at=now, last_error=error[:_LONGEST_ERROR])


def resend(tx: Tx, listener_id: int, ids: Sequence[int], now: dt.datetime) -> list[str]:
    """Have dead ones sent as if nothing had been tried yet; none of `ids`: all. The repositories that they are of."""
    statement = _dead(sa.update(deliveries), listener_id, ids)
    statement = statement.values(state="waiting", failures=0, since=now, next_at=None, died_at=None)
    return list(tx.execute(statement.returning(_d.repository)).scalars())


def drop(tx: Tx, listener_id: int, ids: Sequence[int]) -> int:
    """Remove dead ones; none of `ids`: all. How many there were."""
    return tx.execute(_dead(sa.delete(deliveries), listener_id, ids)).rowcount


def hurry(tx: Tx, listener_id: int) -> None:
    """Let nothing wait for the end of a pause after a failure."""
    tx.execute(sa.update(deliveries).where(_of(listener_id, "waiting")).values(next_at=None))


def forget_dead(tx: Tx, before: dt.datetime) -> None:
    tx.execute(sa.delete(deliveries).where(_d.state == "dead", _d.died_at < before))


def trim_dead(tx: Tx, listener_id: int, *, most: int) -> None:
    """Keep the newest."""
    last = sa.select(_d.id).where(_of(listener_id, "dead")).order_by(_d.id.desc()).offset(most).limit(1)
    cut = tx.execute(last).scalar()
    if cut is not None:
        tx.execute(sa.delete(deliveries).where(_of(listener_id, "dead"), _d.id <= cut))


# --- inside -----------------------------------------------------------------------------------------------------------


def _of(listener_id: int, state: State) -> sa.ColumnElement[bool]:
    return (_d.listener_id == listener_id) & (_d.state == state)


def _dead(statement: Any, listener_id: int, ids: Sequence[int]) -> Any:
    statement = statement.where(_of(listener_id, "dead"))
    return statement.where(_d.id.in_(ids)) if ids else statement


def _change(tx: Tx, delivery_id: int, **values: object) -> None:
    tx.execute(sa.update(deliveries).where(_d.id == delivery_id).values(**values))


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(**dict(row._mapping))
