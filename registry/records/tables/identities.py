"""Who may act: accounts, users, groups and roles, their keys and policies."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from registry.records.tables.columns import Id, Moment, bytewise, metadata

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
