"""Garbage collection: marks on links, when blobs were let go of, what is to be deleted, and chores."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "blobs",
        sa.Column(
            "released_at",
            sa.BigInteger(),
            nullable=True,
            comment="when a repository last let go of it, other than by garbage collection",
        ),
    )
    op.add_column(
        "links",
        sa.Column(
            "condemned_at",
            sa.BigInteger(),
            nullable=True,
            comment="when garbage collection marked it; whoever touches it takes the mark away",
        ),
    )
    op.create_index(
        "links_condemned",
        "links",
        ["condemned_at"],
        sqlite_where=sa.text("condemned_at IS NOT NULL"),
        postgresql_where=sa.text("condemned_at IS NOT NULL"),
    )
    op.create_table(
        "burials",
        sa.Column("store_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "key"),
        comment="bytes that no row names any more and that are deleted next; nobody misses them, as no key is used "
        "twice",
        sqlite_with_rowid=False,
    )
    chores = op.create_table(
        "chores",
        sa.Column("name", sa.String(length=32), nullable=False, comment="gc or scrub"),
        sa.Column("holder", sa.String(length=64), nullable=True, comment="who is at it"),
        sa.Column(
            "held_until",
            sa.BigInteger(),
            nullable=True,
            comment="by then whoever is at it has said so again, or is gone",
        ),
        sa.Column("started_at", sa.BigInteger(), nullable=True, comment="when it was last begun"),
        sa.Column("ended_at", sa.BigInteger(), nullable=True, comment="when it last came to its end"),
        sa.Column(
            "position",
            sa.BigInteger(),
            nullable=False,
            comment="where to go on, in the chore's own terms; 0: at the beginning",
        ),
        sa.Column("facts", sa.Text(), nullable=False, comment="JSON object: what it came to, as the chore counts it"),
        sa.PrimaryKeyConstraint("name"),
        comment="work that comes again and again, one row each",
    )
    op.bulk_insert(chores, [{"name": name, "position": 0, "facts": "{}"} for name in ("gc", "scrub")])
