"""Work: what the house does by itself, what was done, what is to be done."""

from sqlalchemy import Column, Index, Integer, String, Table, Text

from registry.records.tables.columns import Id, Moment, Size, bytewise, metadata

# --- what the house does by itself ------------------------------------------------------------------------------------

burials = Table(
    "burials",
    metadata,
    Column("store_id", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("size", Size, nullable=False),
    Column("since", Moment, nullable=False),
    Column("due", Moment, comment="not to be deleted before: someone may still be on the way to them"),
    comment="bytes that no row names any more and that are deleted next; nobody misses them, as no key is used twice",
    sqlite_with_rowid=False,
)

chores = Table(
    "chores",
    metadata,
    Column("name", String(32), primary_key=True, comment="gc or scrub"),
    Column("holder", String(64), comment="who is at it"),
    Column("held_until", Moment, comment="by then whoever is at it has said so again, or is gone"),
    Column("started_at", Moment, comment="when it was last begun"),
    Column("ended_at", Moment, comment="when it last came to its end"),
    Column("position", Size, nullable=False, comment="where to go on, in the chore's own terms; 0: at the beginning"),
    Column("facts", Text, nullable=False, comment="JSON object: what it came to, as the chore counts it"),
    comment="work that comes again and again, one row each",
)

# --- what was done ----------------------------------------------------------------------------------------------------

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("account", String(12), nullable=False, comment="whose registry was asked"),
    Column("principal", String(2048), nullable=False, comment="ARN of who asked"),
    Column("action", String(128), nullable=False),
    Column("resource", String(2048), nullable=False, comment="ARN, or *"),
    Column("decision", String(16), nullable=False, comment="allowed or denied"),
    Column("source", String(64), nullable=False, comment="address"),
    Column("request_id", String(64), nullable=False),
    Column("event", Text, nullable=False, comment="the whole record in CloudTrail's field names, JSON"),
    Index("audit_events_by_time", "at"),
    Index("audit_events_by_resource", "resource", "id"),
    Index("audit_events_by_principal", "principal", "id"),
    comment="changes, written in their own transaction, and refusals",
    sqlite_autoincrement=True,
)

# --- what is to be done -----------------------------------------------------------------------------------------------

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("payload", Text, nullable=False, comment="JSON object"),
    Column("dedupe_key", bytewise(256), comment="while one waits under it, another cause adds none of the kind"),
    Column("order_key", bytewise(256), comment="of all with this key only the oldest may run"),
    Column("state", String(8), nullable=False, comment="waiting, running or failed; one that is done has no row"),
    Column("run_at", Moment, nullable=False, comment="not before"),
    Column("attempts", Integer, nullable=False, comment="grows with each claim: the fence"),
    Column("failures", Integer, nullable=False, comment="since it was last put"),
    Column("lease_owner", String(128)),
    Column("lease_until", Moment),
    Column("last_error", Text),
    Column("created_at", Moment, nullable=False),
    Index("jobs_by_time", "state", "run_at", "id"),
    Index("jobs_by_key", "dedupe_key", "kind", "state"),
    Index("jobs_by_order", "order_key", "id"),
    comment="each row is written in the transaction of its cause",
    sqlite_autoincrement=True,  # an id is half of a fence, so it is never used again
)
