"""The first shape: repositories, blobs, manifests, tags, uploads, keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _bytewise(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("arn", sa.String(length=2048), nullable=False, comment="the principal that the key speaks for"),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "account_settings",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "name"),
    )
    op.create_table(
        "blobs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("store_id", sa.String(length=64), nullable=False),
        sa.Column("digest", _bytewise(160), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "key", sa.String(length=128), nullable=False, comment="where the store keeps the bytes; never used twice"
        ),
        sa.Column(
            "identity",
            sa.String(length=128),
            nullable=True,
            comment="what the store said of the bytes when they were last verified",
        ),
        sa.Column("damaged", sa.Boolean(), nullable=False, comment="not to be served; a push replaces the bytes"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("blobs_by_digest", "blobs", ["store_id", "digest"], unique=True)
    op.create_index("blobs_by_key", "blobs", ["store_id", "key"], unique=True)
    op.create_table(
        "installation_keys",
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False, comment="32 random bytes, sealed by the master key"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("purpose"),
    )
    op.create_table(
        "repositories",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("name", _bytewise(256), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("mutability", sa.String(length=32), nullable=False),
        sa.Column("mutability_filters", sa.Text(), nullable=False, comment="JSON list of wildcard filters"),
        sa.Column("scan_on_push", sa.Boolean(), nullable=False),
        sa.Column("encryption", sa.String(length=16), nullable=False),
        sa.Column("kms_key", sa.String(length=2048), nullable=True),
        sa.Column("policy", sa.Text(), nullable=True, comment="repository policy, as it was put"),
        sa.Column("resource_tags", sa.Text(), nullable=False, comment="JSON object"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("repositories_by_name", "repositories", ["account", "region", "name"], unique=True)
    op.create_table(
        "stores",
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column(
            "store_id",
            sa.String(length=64),
            nullable=False,
            comment="identity of the blob store that this region's rows name",
        ),
        sa.PrimaryKeyConstraint("region"),
    )
    op.create_table(
        "links",
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("digest", _bytewise(160), nullable=False),
        sa.Column("blob_id", _ID, nullable=False),
        sa.Column(
            "touched_at",
            sa.BigInteger(),
            nullable=False,
            comment="last push, mount, or loss of the last manifest that used it",
        ),
        sa.ForeignKeyConstraint(
            ["blob_id"],
            ["blobs.id"],
        ),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repository_id", "digest"),
        comment="which repository may hand out which blob",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_links_blob_id"), "links", ["blob_id"], unique=False)
    op.create_table(
        "manifests",
        sa.Column("id", _ID, nullable=False),
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("digest", _bytewise(160), nullable=False),
        sa.Column("media_type", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="image or index"),
        sa.Column("artifact_type", sa.String(length=256), nullable=True),
        sa.Column("config_media_type", sa.String(length=256), nullable=True),
        sa.Column("subject", _bytewise(160), nullable=True),
        sa.Column("annotations", sa.Text(), nullable=False, comment="JSON object"),
        sa.Column("body_size", sa.Integer(), nullable=False),
        sa.Column(
            "image_size", sa.BigInteger(), nullable=False, comment="config and layers; of an index its largest child's"
        ),
        sa.Column("pushed_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("manifests_by_digest", "manifests", ["repository_id", "digest"], unique=True)
    op.create_index(
        "manifests_by_subject",
        "manifests",
        ["repository_id", "subject", "digest"],
        unique=False,
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False, comment="open, cancelled or finished"),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes that are safely in"),
        sa.Column("algorithm", sa.String(length=16), nullable=False),
        sa.Column(
            "digest", sa.String(length=160), nullable=True, comment="of those bytes; NULL: not known, read them again"
        ),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column(
            "small_part",
            sa.Boolean(),
            nullable=False,
            comment="a part below ECR's minimum was followed by another",
        ),
        sa.Column("last_part", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="the store's own, JSON"),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uploads_by_age", "uploads", ["updated_at"], unique=False)
    op.create_index("uploads_by_repository", "uploads", ["repository_id", "status"], unique=False)
    op.create_table(
        "manifest_references",
        sa.Column("manifest_id", _ID, nullable=False),
        sa.Column("digest", _bytewise(160), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="blob or child"),
        sa.Column("repository_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("manifest_id", "digest"),
        comment="what a manifest pins: blobs and child manifests of its own repository",
        sqlite_with_rowid=False,
    )
    op.create_index("references_by_digest", "manifest_references", ["repository_id", "digest"], unique=False)
    op.create_table(
        "tags",
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("name", _bytewise(128), nullable=False),
        sa.Column("manifest_id", _ID, nullable=False),
        sa.Column("tagged_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["repository_id"], ["repositories.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repository_id", "name"),
        sqlite_with_rowid=False,
    )
    op.create_index("tags_by_manifest", "tags", ["manifest_id", "name"], unique=False)
