"""Several stores of one region, each with its role; and bytes that are deleted only after a while."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    known = op.get_bind().exec_driver_sql("SELECT region, store_id FROM stores").all()
    op.drop_table("stores")
    stores = op.create_table(
        "stores",
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column(
            "role",
            sa.String(length=8),
            nullable=False,
            comment="main, previous or archive; past: rows name nothing in it",
        ),
        sa.Column(
            "store_id", sa.String(length=64), nullable=False, comment="identity of the blob store, which rows name"
        ),
        sa.PrimaryKeyConstraint("region", "role"),
    )
    op.bulk_insert(stores, [{"region": row.region, "role": "main", "store_id": row.store_id} for row in known])
    comment = "not to be deleted before: someone may still be on the way to them"
    op.add_column("burials", sa.Column("due", sa.BigInteger(), nullable=True, comment=comment))
