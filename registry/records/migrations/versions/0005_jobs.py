"""Jobs: work that is to be done later."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _bytewise(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False, comment="JSON object"),
        sa.Column(
            "dedupe_key",
            _bytewise(256),
            nullable=True,
            comment="while one waits under it, another cause adds none of the kind",
        ),
        sa.Column("order_key", _bytewise(256), nullable=True, comment="of all with this key only the oldest may run"),
        sa.Column(
            "state",
            sa.String(length=8),
            nullable=False,
            comment="waiting, running or failed; one that is done has no row",
        ),
        sa.Column("run_at", sa.BigInteger(), nullable=False, comment="not before"),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="grows with each claim: the fence"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="since it was last put"),
        sa.Column("lease_owner", sa.String(length=128), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        comment="each row is written in the transaction of its cause",
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_by_time", "jobs", ["state", "run_at", "id"])
    op.create_index("jobs_by_key", "jobs", ["dedupe_key", "kind", "state"])
    op.create_index("jobs_by_order", "jobs", ["order_key", "id"])
