"""The audit log, and registry policies."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "registry_policies",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False, comment="as it was put"),
        sa.PrimaryKeyConstraint("account", "region"),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False, comment="whose registry was asked"),
        sa.Column("principal", sa.String(length=2048), nullable=False, comment="ARN of who asked"),
        sa.Column("action", sa.String(length=128), nullable=False),
        sa.Column("resource", sa.String(length=2048), nullable=False, comment="ARN, or *"),
        sa.Column("decision", sa.String(length=16), nullable=False, comment="allowed or denied"),
        sa.Column("source", sa.String(length=64), nullable=False, comment="address"),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("event", sa.Text(), nullable=False, comment="the whole record in CloudTrail's field names, JSON"),
        sa.PrimaryKeyConstraint("id"),
        comment="changes, written in their own transaction, and refusals",
        sqlite_autoincrement=True,
    )
    op.create_index("audit_events_by_time", "audit_events", ["at"])
    op.create_index("audit_events_by_resource", "audit_events", ["resource", "id"])
    op.create_index("audit_events_by_principal", "audit_events", ["principal", "id"])
