"""Who may act: accounts, users, groups, roles, policies; the owner of an access key by its unique id.

The root user's key that was there is the one that the server's start brought. Its account, and each that has
repositories, gets its row.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _bytewise(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    _stamp()
    _accounts()
    _identities()
    _access_keys()
    _policies()
    _profiles_and_providers()
    op.add_column(
        "repositories",
        sa.Column(
            "policy_bindings",
            sa.Text(),
            nullable=True,
            comment="JSON object: each user and role that the policy names -> unique id",
        ),
    )


def _stamp() -> None:
    stamps = op.create_table(
        "stamps",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column(
            "value",
            sa.BigInteger(),
            nullable=False,
            comment="grows with each change of what the name stands for",
        ),
        sa.PrimaryKeyConstraint("name"),
        comment="for caches: what was read under one value still holds while the value is the same",
    )
    op.bulk_insert(stamps, [{"name": "policy", "value": 1}])


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("service_control_policy", sa.Text(), nullable=True, comment="as the operator put it"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    known = "SELECT account FROM access_keys UNION SELECT account FROM repositories"
    now = sa.text(f"INSERT INTO accounts (id, created_at) SELECT account, :now FROM ({known}) AS known")  # noqa: S608
    op.execute(now.bindparams(sa.bindparam("now", time.time_ns() // 1000, sa.BigInteger)))


def _identities() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.String(length=32), nullable=False, comment="AIDA..., AGPA... or AROA...; never used again"),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="user, group or role"),
        sa.Column("name", _bytewise(128), nullable=False),
        sa.Column(
            "name_key",
            _bytewise(128),
            nullable=False,
            comment="the name in lower case: names are unique without case",
        ),
        sa.Column("path", _bytewise(512), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("resource_tags", sa.Text(), nullable=False, comment="JSON object"),
        sa.Column(
            "boundary_id",
            sa.String(length=32),
            nullable=True,
            comment="the managed policy that is the permissions boundary",
        ),
        sa.Column("description", sa.Text(), nullable=True, comment="of a role, like all that follow"),
        sa.Column("max_session_seconds", sa.Integer(), nullable=True),
        sa.Column("trust_policy", sa.Text(), nullable=True, comment="as it was put"),
        sa.Column(
            "trust_bindings",
            sa.Text(),
            nullable=True,
            comment="JSON object: each user and role that it names -> unique id",
        ),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_region", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("identities_by_name", "identities", ["account", "kind", "name_key"], unique=True)
    op.create_index(op.f("ix_identities_boundary_id"), "identities", ["boundary_id"], unique=False)
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["identities.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["identities.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "user_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("group_members_by_user", "group_members", ["user_id"], unique=False)


def _access_keys() -> None:
    """A new table in the place of the old one: no row hangs on it, and SQLite cannot alter a column."""
    op.rename_table("access_keys", "access_keys_0001")
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column(
            "owner_id",
            sa.String(length=32),
            nullable=False,
            comment="unique id of a user; the account's id: of its root user",
        ),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column(
            "installed",
            sa.Boolean(),
            nullable=False,
            comment="brought by the server's start, which may replace it",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_service", sa.String(length=64), nullable=True),
        sa.Column("last_used_region", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("access_keys_by_owner", "access_keys", ["owner_id"], unique=False)
    op.execute(
        "INSERT INTO access_keys (id, account, owner_id, sealed_secret, active, installed, created_at) "
        "SELECT id, account, account, sealed_secret, active, TRUE, created_at FROM access_keys_0001"
    )
    op.drop_table("access_keys_0001")


def _policies() -> None:
    op.create_table(
        "managed_policies",
        sa.Column("id", sa.String(length=32), nullable=False, comment="ANPA...; never used again"),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", _bytewise(128), nullable=False),
        sa.Column("name_key", _bytewise(128), nullable=False, comment="the name in lower case"),
        sa.Column("path", _bytewise(512), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("default_version", sa.Integer(), nullable=False),
        sa.Column("last_version", sa.Integer(), nullable=False, comment="numbers of versions are never used again"),
        sa.Column("resource_tags", sa.Text(), nullable=False, comment="JSON object"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("managed_policies_by_name", "managed_policies", ["account", "name_key"], unique=True)
    op.create_table(
        "policy_versions",
        sa.Column("policy_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", sa.Text(), nullable=False, comment="as it was put"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["managed_policies.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("policy_id", "number"),
    )
    op.create_table(
        "attachments",
        sa.Column("identity_id", sa.String(length=32), nullable=False),
        sa.Column(
            "policy_id",
            sa.String(length=32),
            nullable=False,
            comment="of managed_policies, or of a policy of AWS",
        ),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("identity_id", "policy_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("attachments_by_policy", "attachments", ["policy_id"], unique=False)
    op.create_table(
        "inline_policies",
        sa.Column("identity_id", sa.String(length=32), nullable=False),
        sa.Column("name", _bytewise(128), nullable=False),
        sa.Column("document", sa.Text(), nullable=False, comment="as it was put"),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("identity_id", "name"),
    )


def _profiles_and_providers() -> None:
    op.create_table(
        "instance_profiles",
        sa.Column("id", sa.String(length=32), nullable=False, comment="AIPA...; never used again"),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", _bytewise(128), nullable=False),
        sa.Column("name_key", _bytewise(128), nullable=False, comment="the name in lower case"),
        sa.Column("path", _bytewise(512), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("resource_tags", sa.Text(), nullable=False, comment="JSON object"),
        sa.Column("role_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.ForeignKeyConstraint(["role_id"], ["identities.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("instance_profiles_by_name", "instance_profiles", ["account", "name_key"], unique=True)
    op.create_index(op.f("ix_instance_profiles_role_id"), "instance_profiles", ["role_id"], unique=False)
    op.create_table(
        "oidc_providers",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("url", _bytewise(255), nullable=False, comment="of the issuer, without https://"),
        sa.Column("client_ids", sa.Text(), nullable=False, comment="JSON list of audiences"),
        sa.Column("thumbprints", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("resource_tags", sa.Text(), nullable=False, comment="JSON object"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("oidc_providers_by_url", "oidc_providers", ["account", "url"], unique=True)
