"""Who the principals of a registry policy were when it was put, and who began an upload."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "JSON object: each user and role that the policy names -> unique id"
    op.add_column("registry_policies", sa.Column("policy_bindings", sa.Text(), comment=comment))
    owner = sa.Column(
        "owner", sa.String(length=128), nullable=False, server_default="", comment="unique id of who began it"
    )
    op.add_column("uploads", owner)
    op.create_index("uploads_by_owner", "uploads", ["owner", "status"])
