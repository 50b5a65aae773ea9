"""Every table, at a glance.

Images hang on a repository's `id`, which hangs on (account, region); rows of a deleted repository go with it by
cascade. Who may act hangs on an account alone, as IAM is global: users, groups and roles are rows of one table, since
they have names, paths, policies and tags alike. Their ids are AWS's unique ids and never used again, so whatever names
an id ends with the entity and means nobody else later. Names, tags and digests compare by bytes on every database, so
that order and paging agree.
"""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData()

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class Moment(TypeDecorator[dt.datetime]):
    """An aware datetime, kept as microseconds since 1970: SQLite would hand back naive ones."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Any) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Any) -> dt.datetime | None:
        return None if value is None else _EPOCH + value * _MICROSECOND


Id = sa.BigInteger().with_variant(Integer, "sqlite")
Size = sa.BigInteger


def bytewise(length: int) -> sa.types.TypeEngine[str]:
    """Text that sorts by bytes. SQLite's default does; PostgreSQL's depends on the database's locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


# --- the installation -------------------------------------------------------------------------------------------------

installation_keys = Table(
    "installation_keys",
    metadata,
    Column("purpose", String(32), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False, comment="32 random bytes, sealed by the master key"),
    Column("created_at", Moment, nullable=False),
)

stores = Table(
    "stores",
    metadata,
    Column("region", String(64), primary_key=True),
    Column("store_id", String(64), nullable=False, comment="identity of the blob store that this region's rows name"),
)

stamps = Table(
    "stamps",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Size, nullable=False, comment="grows with each change of what the name stands for"),
    comment="for caches: what was read under one value still holds while the value is the same",
)

account_settings = Table(
    "account_settings",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(64), nullable=False),
)

registry_policies = Table(
    "registry_policies",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("policy", Text, nullable=False, comment="as it was put"),
    Column("policy_bindings", Text, comment="JSON object: each user and role that the policy names -> unique id"),
)

# --- who may act ------------------------------------------------------------------------------------------------------

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("service_control_policy", Text, comment="as the operator put it"),
    Column("created_at", Moment, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("id", String(32), primary_key=True, comment="AIDA..., AGPA... or AROA...; never used again"),
    Column("account", String(12), ForeignKey("accounts.id"), nullable=False),
    Column("kind", String(8), nullable=False, comment="user, group or role"),
    Column("name", bytewise(128), nullable=False),
    Column("name_key", bytewise(128), nullable=False, comment="the name in lower case: names are unique without case"),
    Column("path", bytewise(512), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("resource_tags", Text, nullable=False, comment="JSON object"),
    Column("boundary_id", String(32), index=True, comment="the managed policy that is the permissions boundary"),
    Column("description", Text, comment="of a role, like all that follow"),
    Column("max_session_seconds", Integer),
    Column("trust_policy", Text, comment="as it was put"),
    Column("trust_bindings", Text, comment="JSON object: each user and role that it names -> unique id"),
    Column("last_used_at", Moment),
    Column("last_used_region", String(64)),
    Index("identities_by_name", "account", "kind", "name_key", unique=True),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", String(32), ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", String(32), ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Index("group_members_by_user", "user_id"),
    sqlite_with_rowid=False,
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("owner_id", String(32), nullable=False, comment="unique id of a user; the account's id: of its root user"),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("installed", Boolean, nullable=False, comment="brought by the server's start, which may replace it"),
    Column("created_at", Moment, nullable=False),
    Column("last_used_at", Moment),
    Column("last_used_service", String(64)),
    Column("last_used_region", String(64)),
    Index("access_keys_by_owner", "owner_id"),
)

managed_policies = Table(
    "managed_policies",
    metadata,
    Column("id", String(32), primary_key=True, comment="ANPA...; never used again"),
    Column("account", String(12), ForeignKey("accounts.id"), nullable=False),
    Column("name", bytewise(128), nullable=False),
    Column("name_key", bytewise(128), nullable=False, comment="the name in lower case"),
    Column("path", bytewise(512), nullable=False),
    Column("description", Text),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("default_version", Integer, nullable=False),
    Column("last_version", Integer, nullable=False, comment="numbers of versions are never used again"),
    Column("resource_tags", Text, nullable=False, comment="JSON object"),
    Index("managed_policies_by_name", "account", "name_key", unique=True),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("policy_id", String(32), ForeignKey("managed_policies.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False, comment="as it was put"),
    Column("created_at", Moment, nullable=False),
)

attachments = Table(
    "attachments",
    metadata,
    Column("identity_id", String(32), ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Column("policy_id", String(32), primary_key=True, comment="of managed_policies, or of a policy of AWS"),
    Index("attachments_by_policy", "policy_id"),
    sqlite_with_rowid=False,
)

inline_policies = Table(
    "inline_policies",
    metadata,
    Column("identity_id", String(32), ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Column("name", bytewise(128), primary_key=True),
    Column("document", Text, nullable=False, comment="as it was put"),
)

instance_profiles = Table(
    "instance_profiles",
    metadata,
    Column("id", String(32), primary_key=True, comment="AIPA...; never used again"),
    Column("account", String(12), ForeignKey("accounts.id"), nullable=False),
    Column("name", bytewise(128), nullable=False),
    Column("name_key", bytewise(128), nullable=False, comment="the name in lower case"),
    Column("path", bytewise(512), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("resource_tags", Text, nullable=False, comment="JSON object"),
    Column("role_id", String(32), ForeignKey("identities.id"), index=True),
    Index("instance_profiles_by_name", "account", "name_key", unique=True),
)

oidc_providers = Table(
    "oidc_providers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(12), ForeignKey("accounts.id"), nullable=False),
    Column("url", bytewise(255), nullable=False, comment="of the issuer, without https://"),
    Column("client_ids", Text, nullable=False, comment="JSON list of audiences"),
    Column("thumbprints", Text, nullable=False, comment="JSON list"),
    Column("created_at", Moment, nullable=False),
    Column("resource_tags", Text, nullable=False, comment="JSON object"),
    Index("oidc_providers_by_url", "account", "url", unique=True),
    sqlite_autoincrement=True,
)

# --- repositories and what is in them ---------------------------------------------------------------------------------

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

# --- what is kept for how long ----------------------------------------------------------------------------------------

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

pull_time_exclusions = Table(
    "pull_time_exclusions",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("principal", bytewise(256), primary_key=True, comment="ARN of a user or role whose pulls are not recorded"),
    Column("created_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

# --- what the house does by itself ------------------------------------------------------------------------------------

burials = Table(
    "burials",
    metadata,
    Column("store_id", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("size", Size, nullable=False),
    Column("since", Moment, nullable=False),
    comment="bytes that no row names any more and that are deleted next; nobody misses them, as no key is used twice",
    sqlite_with_rowid=False,
)

chores = Table(
    "chores",
    metadata,
    Column("name", String(32), primary_key=True, comment="gc or scrub"),
    Column("holder", String(64), comment="who is at it"),
    Column("held_until", Moment, comment="by then whoever is at it has said so again, or is gone"),
    Column("started_at", Moment, comment="when it was last begun"),
    Column("ended_at", Moment, comment="when it last came to its end"),
    Column("position", Size, nullable=False, comment="where to go on, in the chore's own terms; 0: at the beginning"),
    Column("facts", Text, nullable=False, comment="JSON object: what it came to, as the chore counts it"),
    comment="work that comes again and again, one row each",
)

# --- what was done ----------------------------------------------------------------------------------------------------

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("account", String(12), nullable=False, comment="whose registry was asked"),
    Column("principal", String(2048), nullable=False, comment="ARN of who asked"),
    Column("action", String(128), nullable=False),
    Column("resource", String(2048), nullable=False, comment="ARN, or *"),
    Column("decision", String(16), nullable=False, comment="allowed or denied"),
    Column("source", String(64), nullable=False, comment="address"),
    Column("request_id", String(64), nullable=False),
    Column("event", Text, nullable=False, comment="the whole record in CloudTrail's field names, JSON"),
    Index("audit_events_by_time", "at"),
    Index("audit_events_by_resource", "resource", "id"),
    Index("audit_events_by_principal", "principal", "id"),
    comment="changes, written in their own transaction, and refusals",
    sqlite_autoincrement=True,
)

# --- what is to be done -----------------------------------------------------------------------------------------------

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("payload", Text, nullable=False, comment="JSON object"),
    Column("dedupe_key", bytewise(256), comment="while one waits under it, another cause adds none of the kind"),
    Column("order_key", bytewise(256), comment="of all with this key only the oldest may run"),
    Column("state", String(8), nullable=False, comment="waiting, running or failed; one that is done has no row"),
    Column("run_at", Moment, nullable=False, comment="not before"),
    Column("attempts", Integer, nullable=False, comment="grows with each claim: the fence"),
    Column("failures", Integer, nullable=False, comment="since it was last put"),
    Column("lease_owner", String(128)),
    Column("lease_until", Moment),
    Column("last_error", Text),
    Column("created_at", Moment, nullable=False),
    Index("jobs_by_time", "state", "run_at", "id"),
    Index("jobs_by_key", "dedupe_key", "kind", "state"),
    Index("jobs_by_order", "order_key", "id"),
    comment="each row is written in the transaction of its cause",
    sqlite_autoincrement=True,  # an id is half of a fence, so it is never used again
)
