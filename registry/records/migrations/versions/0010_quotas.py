"""Quotas of accounts and repositories, and what these hold."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "account_quotas",
        sa.Column("account", sa.String(length=12), nullable=False),
        *_columns(),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_table(
        "repository_quotas",
        sa.Column("repository_id", _ID, nullable=False),
        *_columns(),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repository_id"),
    )


def _columns() -> list[sa.Column[Any]]:
    allowed = "NULL: as the settings say; 0: any number"
    needed, unneeded = (
        "manifests, and blobs that they need: each blob once",
        "of links that no manifest of their repository needs",
    )
    return [
        sa.Column("bytes_allowed", sa.BigInteger(), nullable=True, comment=allowed),
        sa.Column("images_allowed", sa.BigInteger(), nullable=True, comment=allowed),
        sa.Column("set_at", sa.BigInteger(), nullable=True, comment="when an operator last set either"),
        sa.Column("images", sa.BigInteger(), nullable=False),
        sa.Column("needed_bytes", sa.BigInteger(), nullable=False, comment=needed),
        sa.Column("unneeded_bytes", sa.BigInteger(), nullable=False, comment=unneeded),
    ]
