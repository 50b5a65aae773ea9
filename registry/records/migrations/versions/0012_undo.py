"""What was deleted and may come back, the history of tags, and repositories that are protected from deletion."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _bytewise(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    comment = "nothing in it, nor itself, can be deleted"
    op.add_column(
        "repositories",
        sa.Column("protected", sa.Boolean(), nullable=False, server_default=sa.false(), comment=comment),
    )
    _images()
    _parts_of_images()
    _repositories()
    _history()


def _images() -> None:
    op.create_table(
        "deleted_images",
        sa.Column(
            "id",
            _ID,
            autoincrement=False,
            nullable=False,
            comment="its id among manifests, which is never used again",
        ),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("repository", _bytewise(256), nullable=False),
        sa.Column(
            "repository_id", _ID, nullable=False, comment="of a repository that may be gone, or another one by now"
        ),
        sa.Column("digest", _bytewise(160), nullable=False, comment="this and what follows: as it was among manifests"),
        sa.Column("media_type", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("artifact_type", sa.String(length=256), nullable=True),
        sa.Column("config_media_type", sa.String(length=256), nullable=True),
        sa.Column("subject", _bytewise(160), nullable=True),
        sa.Column("annotations", sa.Text(), nullable=False),
        sa.Column("body_size", sa.Integer(), nullable=False),
        sa.Column("image_size", sa.BigInteger(), nullable=False),
        sa.Column("pushed_at", sa.BigInteger(), nullable=False),
        sa.Column("pulled_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "status",
            sa.String(length=10),
            nullable=True,
            comment="this and what follows: as in image_storage; NULL: it never was archived",
        ),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.Column("activated_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "deleted_by",
            sa.String(length=2048),
            nullable=False,
            comment="ARN, or the part of the house that did it",
        ),
        sa.Column(
            "request_id",
            sa.String(length=64),
            nullable=False,
            comment="what went by one deed has this in common",
        ),
        sa.Column(
            "cause",
            sa.String(length=16),
            nullable=False,
            comment="deleted, expired, or repository: it went with that",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="why a lifecycle policy took it"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False, comment="until then it can be brought back"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    by_name = ["account", "region", "repository"]
    op.create_index("deleted_images_by_time", "deleted_images", [*by_name, "deleted_at", "id"])
    op.create_index("deleted_images_by_digest", "deleted_images", [*by_name, "digest"])
    op.create_index("deleted_images_by_end", "deleted_images", ["expires_at"])


def _parts_of_images() -> None:
    op.create_table(
        "deleted_tags",
        sa.Column("image_id", _ID, nullable=False),
        sa.Column("name", _bytewise(128), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["deleted_images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("image_id", "name"),
        comment="tags that an image had when it was deleted",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "holds",
        sa.Column("image_id", _ID, nullable=False),
        sa.Column("digest", _bytewise(160), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="blob or child"),
        sa.Column("blob_id", _ID, nullable=True, comment="of a blob that the repository had: its bytes stay"),
        sa.ForeignKeyConstraint(["image_id"], ["deleted_images.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["blob_id"], ["blobs.id"]),
        sa.PrimaryKeyConstraint("image_id", "digest"),
        comment="what a deleted image needs",
        sqlite_with_rowid=False,
    )
    named = sa.text("blob_id IS NOT NULL")
    op.create_index("holds_by_blob", "holds", ["blob_id"], sqlite_where=named, postgresql_where=named)


def _repositories() -> None:
    op.create_table(
        "deleted_repositories",
        sa.Column(
            "id",
            _ID,
            autoincrement=False,
            nullable=False,
            comment="its id among repositories, never used again",
        ),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("name", _bytewise(256), nullable=False),
        sa.Column(
            "created_at",
            sa.BigInteger(),
            nullable=False,
            comment="this and what follows: as it was among repositories",
        ),
        sa.Column("mutability", sa.String(length=32), nullable=False),
        sa.Column("mutability_filters", sa.Text(), nullable=False),
        sa.Column("scan_on_push", sa.Boolean(), nullable=False),
        sa.Column("encryption", sa.String(length=16), nullable=False),
        sa.Column("kms_key", sa.String(length=2048), nullable=True),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("policy_bindings", sa.Text(), nullable=True),
        sa.Column("resource_tags", sa.Text(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("lifecycle_policy", sa.Text(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_by", sa.String(length=2048), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deleted_repositories_by_name", "deleted_repositories", ["account", "region", "name"])
    op.create_index("deleted_repositories_by_end", "deleted_repositories", ["expires_at"])


def _history() -> None:
    op.create_table(
        "tag_history",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("repository", _bytewise(256), nullable=False),
        sa.Column(
            "tag",
            _bytewise(128),
            nullable=True,
            comment="NULL: it is about an image without a tag, or the repository",
        ),
        sa.Column(
            "event",
            sa.String(length=20),
            nullable=False,
            comment="pushed, moved, untagged, deleted, expired, undeleted, ...",
        ),
        sa.Column(
            "digest_before",
            _bytewise(160),
            nullable=True,
            comment="what the tag named, or the image that was there",
        ),
        sa.Column("digest_after", _bytewise(160), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column(
            "principal",
            sa.String(length=2048),
            nullable=False,
            comment="ARN, or the part of the house that did it",
        ),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        comment="each row is written in the transaction of its change",
        sqlite_autoincrement=True,
    )
    by_name = ["account", "region", "repository"]
    op.create_index("tag_history_by_repository", "tag_history", [*by_name, "id"])
    op.create_index("tag_history_by_tag", "tag_history", [*by_name, "tag", "id"])
    op.create_index("tag_history_by_time", "tag_history", ["at"])
