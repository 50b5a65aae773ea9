"""Images in the archive, and which storage class an image had when a lifecycle policy decided about it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "image_storage",
        sa.Column("manifest_id", _ID, nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False, comment="ACTIVE, ARCHIVED or ACTIVATING"),
        sa.Column(
            "archived_at",
            sa.BigInteger(),
            nullable=True,
            comment="when it last went to the archive; NULL: never, it waits for bytes of others",
        ),
        sa.Column(
            "activated_at",
            sa.BigInteger(),
            nullable=True,
            comment="when it was last restored from there, or that was asked for",
        ),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("manifest_id"),
        comment="images that are or were in the archive, or wait for bytes from there; one without a row is active",
    )
    comment = "STANDARD or ARCHIVE: where it was when it was decided"
    storage_class = sa.Column(
        "storage_class", sa.String(length=8), nullable=False, server_default="STANDARD", comment=comment
    )
    op.add_column("lifecycle_verdicts", storage_class)
