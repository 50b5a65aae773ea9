"""Who is told of events, and the events that wait for them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _bytewise(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    _listeners()
    _deliveries()


def _listeners() -> None:
    op.create_table(
        "listeners",
        sa.Column("id", _ID, nullable=False),
        sa.Column(
            "kind", sa.String(length=8), nullable=False, comment="webhook, or log: the file of `events.log_file`"
        ),
        sa.Column("account", sa.String(length=12), nullable=False, comment="whose events; empty: everyone's"),
        sa.Column("region", sa.String(length=64), nullable=False, comment="of which region; empty: of every one"),
        sa.Column("name", _bytewise(64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("types", sa.Text(), nullable=False, comment="JSON list of kinds of events; empty: all"),
        sa.Column(
            "filters", sa.Text(), nullable=False, comment="JSON list of patterns of repository names; empty: all"
        ),
        sa.Column(
            "most_waiting", sa.Integer(), nullable=False, comment="events that may wait; those beyond are dropped"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("paused", sa.Text(), nullable=True, comment="why nothing is sent; NULL: it is"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="in a row, up to now"),
        sa.Column(
            "rest_until", sa.BigInteger(), nullable=True, comment="nothing is sent before, after failures in a row"
        ),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False, comment="tries, not events"),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        comment="who is told of events",
        sqlite_autoincrement=True,
    )
    op.create_index("listeners_by_name", "listeners", ["account", "region", "name"], unique=True)


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", _ID, nullable=False),
        sa.Column("listener_id", _ID, nullable=False),
        sa.Column("repository", _bytewise(256), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("event", sa.Text(), nullable=False, comment="JSON, as it is sent"),
        sa.Column(
            "state",
            sa.String(length=8),
            nullable=False,
            comment="waiting or dead; one that was delivered has no row",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column(
            "since",
            sa.BigInteger(),
            nullable=False,
            comment="from when its tries count: its cause, or when it was sent anew",
        ),
        sa.Column("next_at", sa.BigInteger(), nullable=True, comment="after a failure: not before"),
        sa.Column("died_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["listener_id"], ["listeners.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        comment="events on their way to one listener, written in the transaction of their cause",
        sqlite_autoincrement=True,
    )
    op.create_index("deliveries_by_listener", "deliveries", ["listener_id", "state", "repository", "id"])
    op.create_index("deliveries_by_death", "deliveries", ["state", "died_at"])
