"""Rows of listeners: webhooks, and the log of events, which hears everything."""

import dataclasses
import datetime as dt
import json
from collections.abc import Sequence
from typing import Any, Final, Literal

import sqlalchemy as sa

from registry.names import RegistryRef
from registry.records.engine import Tx
from registry.records.tables.listeners import listeners

Kind = Literal["webhook", "log"]

LOG: Final = "log"  # the name, and the kind, of the one listener that belongs to no account
_LOG_WAITING: Final = 1_000_000
_LONGEST_ERROR: Final = 500  # characters
_l = listeners.c


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who is told of events, and how that goes. Counts are of tries for `failed`, else of events."""

    id: int
    kind: Kind
    account: str
    region: str
    name: str
    url: str
    sealed_secret: bytes = dataclasses.field(repr=False)
    types: tuple[str, ...]  # none: all
    filters: tuple[str, ...]  # patterns of repository names; none: all
    most_waiting: int
    created_at: dt.datetime
    paused: str | None = None  # why nothing is sent
    failures: int = 0  # in a row, up to now
    rest_until: dt.datetime | None = None
    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    delivered_at: dt.datetime | None = None
    failed_at: dt.datetime | None = None
    last_error: str | None = None


def insert(tx: Tx, new: Listener) -> Listener | None:
    """The listener with its id; None where the name is taken."""
    if _find(tx, new.account, new.region, new.name) is not None:
        return None
    values = {
        **{field.name: getattr(new, field.name) for field in dataclasses.fields(new) if field.name != "id"},
        "types": json.dumps(new.types),
        "filters": json.dumps(new.filters),
    }
    new_id = tx.execute(sa.insert(listeners).values(**values).returning(_l.id)).scalar_one()
    return dataclasses.replace(new, id=new_id)


def find(tx: Tx, registry: RegistryRef, name: str) -> Listener | None:
    return _find(tx, registry.account, registry.region, name)


def by_id(tx: Tx, listener_id: int) -> Listener | None:
    row = tx.execute(sa.select(listeners).where(_l.id == listener_id)).one_or_none()
    return None if row is None else _listener(row)


def page(tx: Tx, registry: RegistryRef, *, after: str, limit: int) -> list[Listener]:
    """Webhooks of one registry behind the name `after`, by name."""
    mine = (_l.account == registry.account) & (_l.region == registry.region) & (_l.name > after)
    return [_listener(row) for row in tx.execute(sa.select(listeners).where(mine).order_by(_l.name).limit(limit))]


def every(tx: Tx) -> list[Listener]:
    """All of all registries."""
    return [_listener(row) for row in tx.execute(sa.select(listeners).order_by(_l.id))]


def listening(tx: Tx, registry: RegistryRef) -> list[Listener]:
    """Who hears what happens in a registry, paused or not."""
    mine = _l.account.in_((registry.account, "")) & _l.region.in_((registry.region, ""))
    return [_listener(row) for row in tx.execute(sa.select(listeners).where(mine).order_by(_l.id))]


def remove(tx: Tx, listener_id: int) -> None:
    """With all that waits for it."""
    tx.execute(sa.delete(listeners).where(_l.id == listener_id))


def keep_log(tx: Tx, *, kept: bool, now: dt.datetime) -> None:
    """Have events kept for the log, or no more."""
    found = _find(tx, "", "", LOG)
    if found is not None and not kept:
        remove(tx, found.id)
    if found is None and kept:
        insert(
            tx,
            Listener(
                id=0,
                kind="log",
                account="",
                region="",
                name=LOG,
                url="",
                sealed_secret=b"",
                types=(),
                filters=(),
                most_waiting=_LOG_WAITING,
                created_at=now,
            ),
        )


def pause(tx: Tx, listener_id: int, why: str | None) -> None:
    """Send nothing from now on; None: go on, as if it had never failed."""
    values: dict[str, object] = {"paused": why}
    if why is None:
        values |= {"failures": 0, "rest_until": None}
    _change(tx, listener_id, **values)


def note_delivered(tx: Tx, listener_id: int, now: dt.datetime, count: int = 1) -> None:
    _change(tx, listener_id, delivered=_l.delivered + count, delivered_at=now, failures=0, rest_until=None)


def note_failed(tx: Tx, listener: Listener, now: dt.datetime, error: str, *, rest_until: dt.datetime | None) -> None:
    _change(
        tx,
        listener.id,
        failed=_l.failed + 1,
        failures=_l.failures + 1,
        failed_at=now,
        rest_until=rest_until,
        last_error=error[:_LONGEST_ERROR],
    )


def note_dropped(tx: Tx, listener_id: int, count: int) -> None:
    _change(tx, listener_id, dropped=_l.dropped + count)


# --- inside -----------------------------------------------------------------------------------------------------------


def _find(tx: Tx, account: str, region: str, name: str) -> Listener | None:
    mine = (_l.account == account) & (_l.region == region) & (_l.name == name)
    row = tx.execute(sa.select(listeners).where(mine)).one_or_none()
    return None if row is None else _listener(row)


def _change(tx: Tx, listener_id: int, **values: object) -> None:
    tx.execute(sa.update(listeners).where(_l.id == listener_id).values(**values))


def _listener(row: sa.Row[Any]) -> Listener:
    values: dict[str, Any] = dict(row._mapping)
    return Listener(**{**values, "types": _texts(row.types), "filters": _texts(row.filters)})


def _texts(column: str) -> Sequence[str]:
    return tuple(json.loads(column))
