"""What accounts and repositories may hold, and what of it they hold: a row for each whose holdings are counted."""

from typing import Any

from sqlalchemy import Column, ForeignKey, String, Table

from registry.records.tables.columns import Id, Moment, Size, metadata


def _columns() -> list[Column[Any]]:
    return [
        Column("bytes_allowed", Size, comment="NULL: as the settings say; 0: any number"),
        Column("images_allowed", Size, comment="NULL: as the settings say; 0: any number"),
        Column("set_at", Moment, comment="when an operator last set either"),
        Column("images", Size, nullable=False),
        Column("needed_bytes", Size, nullable=False, comment="manifests, and blobs that they need: each blob once"),
        Column("unneeded_bytes", Size, nullable=False, comment="of links that no manifest of their repository needs"),
    ]


account_quotas = Table("account_quotas", metadata, Column("account", String(12), primary_key=True), *_columns())

repository_quotas = Table(
    "repository_quotas",
    metadata,
    Column("repository_id", Id, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    *_columns(),
)
