"""Lifecycle policies, what they decided, who uses an image, and when it was pulled."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _bytewise(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    _policies()
    _evaluations()
    _users_and_pulls()


def _policies() -> None:
    op.create_table(
        "lifecycle_policies",
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("policy", sa.Text(), nullable=False, comment="as it was put"),
        sa.Column("put_at", sa.BigInteger(), nullable=False),
        sa.Column("evaluated_at", sa.BigInteger(), nullable=True, comment="when it was last run"),
        sa.Column("trouble", sa.Text(), nullable=True, comment="why its last run failed"),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repository_id"),
    )


def _evaluations() -> None:
    op.create_table(
        "lifecycle_evaluations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column(
            "purpose", sa.String(length=8), nullable=False, comment="preview, or run: then it is what is carried out"
        ),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False, comment="deciding, decided or failed"),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("expiring", sa.Integer(), nullable=False),
        sa.Column("archiving", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "lifecycle_evaluations_by_purpose", "lifecycle_evaluations", ["repository_id", "purpose"], unique=True
    )
    op.create_table(
        "lifecycle_verdicts",
        sa.Column("evaluation_id", _ID, nullable=False),
        sa.Column(
            "position",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="the order to carry them out in",
        ),
        sa.Column("party", sa.Integer(), nullable=False, comment="those of one number go together"),
        sa.Column("digest", _bytewise(160), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column("pushed_at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=8), nullable=False, comment="expire or archive"),
        sa.Column("rule_priority", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["evaluation_id"], ["lifecycle_evaluations.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("evaluation_id", "position"),
        comment="images that go; of a run: that are still to go",
        sqlite_with_rowid=False,
    )


def _users_and_pulls() -> None:
    op.create_table(
        "image_users",
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("reference", _bytewise(160), nullable=False, comment="digest or tag"),
        sa.Column("kind", _bytewise(64), nullable=False),
        sa.Column("name", _bytewise(256), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True, comment="when the use ends by itself"),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repository_id", "reference", "kind", "name"),
        comment="who needs which image; a policy does not take it away",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "image_pulls",
        sa.Column("manifest_id", _ID, nullable=False),
        sa.Column("pulled_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("manifest_id"),
        comment="apart from manifests, whose rows are large and would be written again at each pull",
    )
    op.create_table(
        "pull_time_exclusions",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column(
            "principal",
            _bytewise(256),
            nullable=False,
            comment="ARN of a user or role whose pulls are not recorded",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "principal"),
        sqlite_with_rowid=False,
    )
