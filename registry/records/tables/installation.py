"""What holds for the whole installation, and what each account set for itself."""

from sqlalchemy import Column, LargeBinary, String, Table, Text

from registry.records.tables.columns import Moment, Size, metadata

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
    Column("role", String(8), primary_key=True, comment="main, previous or archive; past: rows name nothing in it"),
    Column("store_id", String(64), nullable=False, comment="identity of the blob store, which rows name"),
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
