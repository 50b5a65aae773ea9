"""Who is told of events, and what waits to be told."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from registry.records.tables.columns import Id, Moment, Size, bytewise, metadata

listeners = Table(
    "listeners",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(8), nullable=False, comment="webhook, or log: the file of `events.log_file`"),
    Column("account", String(12), nullable=False, comment="whose events; empty: everyone's"),
    Column("region", String(64), nullable=False, comment="of which region; empty: of every one"),
    Column("name", bytewise(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("types", Text, nullable=False, comment="JSON list of kinds of events; empty: all"),
    Column("filters", Text, nullable=False, comment="JSON list of patterns of repository names; empty: all"),
    Column("most_waiting", Integer, nullable=False, comment="events that may wait; those beyond are dropped"),
    Column("created_at", Moment, nullable=False),
    Column("paused", Text, comment="why nothing is sent; NULL: it is"),
    Column("failures", Integer, nullable=False, comment="in a row, up to now"),
    Column("rest_until", Moment, comment="nothing is sent before, after failures in a row"),
    Column("delivered", Size, nullable=False),
    Column("failed", Size, nullable=False, comment="tries, not events"),
    Column("dropped", Size, nullable=False),
    Column("delivered_at", Moment),
    Column("failed_at", Moment),
    Column("last_error", Text),
    Index("listeners_by_name", "account", "region", "name", unique=True),
    comment="who is told of events",
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("listener_id", Id, ForeignKey("listeners.id", ondelete="CASCADE"), nullable=False),
    Column("repository", bytewise(256), nullable=False),
    Column("event_id", String(36), nullable=False),
    Column("type", String(16), nullable=False),
    Column("event", Text, nullable=False, comment="JSON, as it is sent"),
    Column("state", String(8), nullable=False, comment="waiting or dead; one that was delivered has no row"),
    Column("created_at", Moment, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("since", Moment, nullable=False, comment="from when its tries count: its cause, or when it was sent anew"),
    Column("next_at", Moment, comment="after a failure: not before"),
    Column("died_at", Moment),
    Column("last_error", Text),
    Index("deliveries_by_listener", "listener_id", "state", "repository", "id"),
    Index("deliveries_by_death", "state", "died_at"),
    comment="events on their way to one listener, written in the transaction of their cause",
    sqlite_autoincrement=True,
)
