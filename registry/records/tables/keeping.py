"""What is kept for how long, and where: lifecycle policies and what they came to, images in use, pulls, the archive;
what was deleted and may come back, and the history of tags.

What was deleted stands here by the names of what it was in, since those may be gone before it.
"""

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from registry.records.tables.columns import Id, Moment, Size, bytewise, metadata

lifecycle_policies = Table(
    "lifecycle_policies",
    metadata,
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("policy", Text, nullable=False, comment="as it was put"),
    Column("put_at", Moment, nullable=False),
    Column("evaluated_at", Moment, comment="when it was last run"),
    Column("trouble", Text, comment="why its last run failed"),
)

lifecycle_evaluations = Table(
    "lifecycle_evaluations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("purpose", String(8), nullable=False, comment="preview, or run: then it is what is carried out"),
    Column("policy", Text, nullable=False),
    Column("state", String(8), nullable=False, comment="deciding, decided or failed"),
    Column("began_at", Moment, nullable=False),
    Column("decided_at", Moment),
    Column("expiring", Integer, nullable=False),
    Column("archiving", Integer, nullable=False),
    Index("lifecycle_evaluations_by_purpose", "repository_id", "purpose", unique=True),
    sqlite_autoincrement=True,
)

lifecycle_verdicts = Table(
    "lifecycle_verdicts",
    metadata,
    Column("evaluation_id", Id, ForeignKey("lifecycle_evaluations.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="the order to carry them out in"),
    Column("party", Integer, nullable=False, comment="those of one number go together"),
    Column("digest", bytewise(160), nullable=False),
    Column("tags", Text, nullable=False, comment="JSON list"),
    Column("pushed_at", Moment, nullable=False),
    Column("storage_class", String(8), nullable=False, comment="STANDARD or ARCHIVE: where it was when it was decided"),
    Column("action", String(8), nullable=False, comment="expire or archive"),
    Column("rule_priority", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    comment="images that go; of a run: that are still to go",
    sqlite_with_rowid=False,
)

image_users = Table(
    "image_users",
    metadata,
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("reference", bytewise(160), primary_key=True, comment="digest or tag"),
    Column("kind", bytewise(64), primary_key=True),
    Column("name", bytewise(256), primary_key=True),
    Column("until", Moment, comment="when the use ends by itself"),
    Column("added_at", Moment, nullable=False),
    comment="who needs which image; a policy does not take it away",
    sqlite_with_rowid=False,
)

image_pulls = Table(
    "image_pulls",
    metadata,
    Column("manifest_id", Id, ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("pulled_at", Moment, nullable=False),
    comment="apart from manifests, whose rows are large and would be written again at each pull",
)

image_storage = Table(
    "image_storage",
    metadata,
    Column("manifest_id", Id, ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("status", String(10), nullable=False, comment="ACTIVE, ARCHIVED or ACTIVATING"),
    Column(
        "archived_at", Moment, comment="when it last went to the archive; NULL: never, it waits for bytes of others"
    ),
    Column("activated_at", Moment, comment="when it was last restored from there, or that was asked for"),
    comment="images that are or were in the archive, or wait for bytes from there; one without a row is active",
)

pull_time_exclusions = Table(
    "pull_time_exclusions",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("principal", bytewise(256), primary_key=True, comment="ARN of a user or role whose pulls are not recorded"),
    Column("created_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

# --- what was deleted -------------------------------------------------------------------------------------------------

deleted_images = Table(
    "deleted_images",
    metadata,
    Column(
        "id", Id, primary_key=True, autoincrement=False, comment="its id among manifests, which is never used again"
    ),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("repository", bytewise(256), nullable=False),
    Column("repository_id", Id, nullable=False, comment="of a repository that may be gone, or another one by now"),
    Column("digest", bytewise(160), nullable=False, comment="this and what follows: as it was among manifests"),
    Column("media_type", String(256), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("artifact_type", String(256)),
    Column("config_media_type", String(256)),
    Column("subject", bytewise(160)),
    Column("annotations", Text, nullable=False),
    Column("body_size", Integer, nullable=False),
    Column("image_size", Size, nullable=False),
    Column("pushed_at", Moment, nullable=False),
    Column("pulled_at", Moment),
    Column("status", String(10), comment="this and what follows: as in image_storage; NULL: it never was archived"),
    Column("archived_at", Moment),
    Column("activated_at", Moment),
    Column("deleted_at", Moment, nullable=False),
    Column("deleted_by", String(2048), nullable=False, comment="ARN, or the part of the house that did it"),
    Column("request_id", String(64), nullable=False, comment="what went by one deed has this in common"),
    Column("cause", String(16), nullable=False, comment="deleted, expired, or repository: it went with that"),
    Column("reason", Text, comment="why a lifecycle policy took it"),
    Column("expires_at", Moment, nullable=False, comment="until then it can be brought back"),
    Column("body", LargeBinary, nullable=False),  # last, as among manifests
    Index("deleted_images_by_time", "account", "region", "repository", "deleted_at", "id"),
    Index("deleted_images_by_digest", "account", "region", "repository", "digest"),
    Index("deleted_images_by_end", "expires_at"),
)

deleted_tags = Table(
    "deleted_tags",
    metadata,
    Column("image_id", Id, ForeignKey("deleted_images.id", ondelete="CASCADE"), primary_key=True),
    Column("name", bytewise(128), primary_key=True),
    comment="tags that an image had when it was deleted",
    sqlite_with_rowid=False,
)

holds = Table(
    "holds",
    metadata,
    Column("image_id", Id, ForeignKey("deleted_images.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", bytewise(160), primary_key=True),
    Column("kind", String(8), nullable=False, comment="blob or child"),
    Column("blob_id", Id, ForeignKey("blobs.id"), comment="of a blob that the repository had: its bytes stay"),
    Index(
        "holds_by_blob",
        "blob_id",
        sqlite_where=sa.text("blob_id IS NOT NULL"),
        postgresql_where=sa.text("blob_id IS NOT NULL"),
    ),
    comment="what a deleted image needs",
    sqlite_with_rowid=False,
)

deleted_repositories = Table(
    "deleted_repositories",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False, comment="its id among repositories, never used again"),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("name", bytewise(256), nullable=False),
    Column("created_at", Moment, nullable=False, comment="this and what follows: as it was among repositories"),
    Column("mutability", String(32), nullable=False),
    Column("mutability_filters", Text, nullable=False),
    Column("scan_on_push", Boolean, nullable=False),
    Column("encryption", String(16), nullable=False),
    Column("kms_key", String(2048)),
    Column("policy", Text),
    Column("policy_bindings", Text),
    Column("resource_tags", Text, nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("lifecycle_policy", Text),
    Column("deleted_at", Moment, nullable=False),
    Column("deleted_by", String(2048), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("expires_at", Moment, nullable=False),
    Index("deleted_repositories_by_name", "account", "region", "name"),
    Index("deleted_repositories_by_end", "expires_at"),
)

# --- what became of tags ----------------------------------------------------------------------------------------------

tag_history = Table(
    "tag_history",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("repository", bytewise(256), nullable=False),
    Column("tag", bytewise(128), comment="NULL: it is about an image without a tag, or the repository"),
    Column("event", String(20), nullable=False, comment="pushed, moved, untagged, deleted, expired, undeleted, ..."),
    Column("digest_before", bytewise(160), comment="what the tag named, or the image that was there"),
    Column("digest_after", bytewise(160)),
    Column("at", Moment, nullable=False),
    Column("principal", String(2048), nullable=False, comment="ARN, or the part of the house that did it"),
    Column("request_id", String(64), nullable=False),
    Index("tag_history_by_repository", "account", "region", "repository", "id"),
    Index("tag_history_by_tag", "account", "region", "repository", "tag", "id"),
    Index("tag_history_by_time", "at"),
    comment="each row is written in the transaction of its change",
    sqlite_autoincrement=True,
)
