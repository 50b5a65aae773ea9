"""What is kept for how long, and where: lifecycle policies and what they came to, images in use, pulls, the archive."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from registry.records.tables.columns import Id, Moment, bytewise, metadata

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
    Column("archived_at", Moment, nullable=False, comment="when it last went to the archive"),
    Column("activated_at", Moment, comment="when it was last restored from there, or that was asked for"),
    comment="images that are or were in the archive; one without a row never was, and is active",
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
