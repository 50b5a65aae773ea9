"""Rows of the audit log: what was changed, and what was refused, by whom."""

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa

from registry.records.engine import Tx
from registry.records.tables.work import audit_events

Decision = Literal["allowed", "denied"]

_a = audit_events.c
_PRUNE_EVERY = 256  # rows between two looks for what is too old
_PRUNE_MOST = 1024  # rows that one look takes away, so that no writer waits long


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row. `id` grows with time; `event` is the whole record, in CloudTrail's field names."""

    id: int
    at: dt.datetime
    account: str  # whose registry was asked
    principal: str  # ARN of who asked
    action: str  # `ecr:PutImage`
    resource: str  # ARN, or `*`
    decision: Decision
    source: str  # address
    request_id: str
    event: Mapping[str, Any]


def insert(tx: Tx, entry: Entry, *, keep: dt.timedelta) -> None:
    """Add an entry, whose `id` is given here; now and then take away what is older than `keep`."""
    values = {
        "at": entry.at,
        "account": entry.account,
        "principal": entry.principal,
        "action": entry.action,
        "resource": entry.resource,
        "decision": entry.decision,
        "source": entry.source,
        "request_id": entry.request_id,
        "event": json.dumps(entry.event, separators=(",", ":")),
    }
    new_id = tx.execute(_INSERT, values).scalar_one()
    if new_id % _PRUNE_EVERY == 0:
        old = sa.select(_a.id).where(_a.at < entry.at - keep).order_by(_a.at).limit(_PRUNE_MOST)
        tx.execute(sa.delete(audit_events).where(_a.id.in_(old)))


def page(
    tx: Tx,
    *,
    before: int | None,
    limit: int,
    since: dt.datetime | None = None,
    matching: Mapping[str, str] | None = None,
) -> list[Entry]:
    """Entries before the id `before`, newest first. `matching`: columns that must have just this value."""
    statement = sa.select(audit_events).order_by(_a.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_a.id < before)
    if since is not None:
        statement = statement.where(_a.at >= since)
    for column, value in (matching or {}).items():
        statement = statement.where(_a[column] == value)
    return [_entry(row) for row in tx.execute(statement)]


_INSERT = sa.insert(audit_events).returning(_a.id)  # put together once: every change runs it


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        at=row.at,
        account=row.account,
        principal=row.principal,
        action=row.action,
        resource=row.resource,
        decision=row.decision,
        source=row.source,
        request_id=row.request_id,
        event=json.loads(row.event),
    )
