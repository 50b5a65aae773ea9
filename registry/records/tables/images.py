"""Repositories and what is in them."""

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from registry.records.tables.columns import Id, Moment, Size, bytewise, metadata

repositories = Table(
    "repositories",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("name", bytewise(256), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("mutability", String(32), nullable=False),
    Column("mutability_filters", Text, nullable=False, comment="JSON list of wildcard filters"),
    Column("scan_on_push", Boolean, nullable=False),
    Column("encryption", String(16), nullable=False),
    Column("kms_key", String(2048)),
    Column("policy", Text, comment="repository policy, as it was put"),
    Column("policy_bindings", Text, comment="JSON object: each user and role that the policy names -> unique id"),
    Column("resource_tags", Text, nullable=False, comment="JSON object"),
    Column(
        "protected",
        Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="nothing in it, nor itself, can be deleted",
    ),
    Index("repositories_by_name", "account", "region", "name", unique=True),
    sqlite_autoincrement=True,  # an id is never used again, also when the row with the highest one is deleted
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("store_id", String(64), nullable=False),
    Column("digest", bytewise(160), nullable=False),
    Column("size", Size, nullable=False),
    Column("key", String(128), nullable=False, comment="where the store keeps the bytes; never used twice"),
    Column("identity", String(128), comment="what the store said of the bytes when they were last verified"),
    Column("damaged", Boolean, nullable=False, comment="not to be served; a push replaces the bytes"),
    Column("created_at", Moment, nullable=False),
    Column("released_at", Moment, comment="when a repository last let go of it, other than by garbage collection"),
    Index("blobs_by_digest", "store_id", "digest", unique=True),
    Index("blobs_by_key", "store_id", "key", unique=True),
    sqlite_autoincrement=True,
)

links = Table(
    "links",
    metadata,
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", bytewise(160), primary_key=True),
    Column("blob_id", Id, ForeignKey("blobs.id"), nullable=False, index=True),
    Column("touched_at", Moment, nullable=False, comment="last push, mount, or loss of the last manifest that used it"),
    Column("condemned_at", Moment, comment="when garbage collection marked it; whoever touches it takes the mark away"),
    Index(
        "links_condemned",
        "condemned_at",
        sqlite_where=sa.text("condemned_at IS NOT NULL"),
        postgresql_where=sa.text("condemned_at IS NOT NULL"),
    ),
    comment="which repository may hand out which blob",
    sqlite_with_rowid=False,
)

manifests = Table(
    "manifests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("digest", bytewise(160), nullable=False),
    Column("media_type", String(256), nullable=False),
    Column("kind", String(16), nullable=False, comment="image or index"),
    Column("artifact_type", String(256)),
    Column("config_media_type", String(256)),
    Column("subject", bytewise(160)),
    Column("annotations", Text, nullable=False, comment="JSON object"),
    Column("body_size", Integer, nullable=False),
    Column("image_size", Size, nullable=False, comment="config and layers; of an index its largest child's"),
    Column("pushed_at", Moment, nullable=False),
    Column("body", LargeBinary, nullable=False),  # last, so that SQLite reads the rest without its overflow pages
    Index("manifests_by_digest", "repository_id", "digest", unique=True),
    Index(
        "manifests_by_subject",
        "repository_id",
        "subject",
        "digest",
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

manifest_references = Table(
    "manifest_references",
    metadata,
    Column("manifest_id", Id, ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", bytewise(160), primary_key=True),
    Column("kind", String(8), nullable=False, comment="blob or child"),
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Index("references_by_digest", "repository_id", "digest"),
    comment="what a manifest pins: blobs and child manifests of its own repository",
    sqlite_with_rowid=False,
)

tags = Table(
    "tags",
    metadata,
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("name", bytewise(128), primary_key=True),
    Column("manifest_id", Id, ForeignKey("manifests.id", ondelete="CASCADE"), nullable=False),
    Column("tagged_at", Moment, nullable=False),
    Index("tags_by_manifest", "manifest_id", "name"),
    sqlite_with_rowid=False,
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("owner", String(128), nullable=False, comment="unique id of who began it"),
    Column("status", String(16), nullable=False, comment="open, cancelled or finished"),
    Column("key", String(128), nullable=False),
    Column("size", Size, nullable=False, comment="bytes that are safely in"),
    Column("algorithm", String(16), nullable=False),
    Column("digest", String(160), comment="of those bytes; NULL: not known, read them again"),
    Column("parts", Integer, nullable=False),
    Column("small_part", Boolean, nullable=False, comment="a part below ECR's minimum was followed by another"),
    Column("last_part", Size, nullable=False),
    Column("state", Text, nullable=False, comment="the store's own, JSON"),
    Column("updated_at", Moment, nullable=False),
    Index("uploads_by_repository", "repository_id", "status"),
    Index("uploads_by_owner", "owner", "status"),
    Index("uploads_by_age", "updated_at"),
)
