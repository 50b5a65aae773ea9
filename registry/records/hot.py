"""The few statements that run by the driver itself, each one row: the policy stamp, and what an answer stands on."""

from typing import Final

from registry.names import Digest, Tag

_STAMP: Final = "SELECT s.value, {column} FROM stamps s LEFT JOIN {join} WHERE s.name = 'policy'"
_TAG: Final = _STAMP.format(column="t.manifest_id", join="tags t ON t.repository_id = ? AND t.name = ?")
_MANIFEST: Final = _STAMP.format(column="m.id", join="manifests m ON m.repository_id = ? AND m.digest = ?")

_BLOB: Final = (
    "SELECT s.value, b.id, b.key, b.damaged FROM stamps s "
    "LEFT JOIN links l ON l.repository_id = ? AND l.digest = ? LEFT JOIN blobs b ON b.id = l.blob_id "
    "WHERE s.name = 'policy'"
)

Question = tuple[str, tuple[object, ...]]  # a statement and its parameters


def manifest(repository_id: int, reference: Digest | Tag) -> Question:
    """Which manifest a digest or tag names: (stamp, manifest id), the latter None where there is none."""
    return (_MANIFEST if isinstance(reference, Digest) else _TAG), (repository_id, str(reference))


def blob(repository_id: int, digest: Digest) -> Question:
    """Which bytes a repository hands out under a digest: (stamp, blob id, key, 1 if they are damaged)."""
    return _BLOB, (repository_id, str(digest))
