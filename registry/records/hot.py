"""The few questions that the driver itself answers, each by one row: the policy stamp, and what an answer stands on.

On SQLite each is a statement of its own, for microseconds. On PostgreSQL one statement answers all that are asked at
the same time: it takes arrays, and gives one row for each place of them, in order.
"""

from typing import Final, NamedTuple

from registry.names import Digest, Tag


class Question(NamedTuple):
    """`parameters` are those of `sqlite`; `postgresql` takes an array of each."""

    sqlite: str
    postgresql: str
    parameters: tuple[object, ...] = ()


_STAMP: Final = "SELECT s.value, {columns} FROM stamps s LEFT JOIN {join} WHERE s.name = 'policy'"
_STAMPS: Final = (
    "SELECT s.value, {columns} FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS q(repository_id, reference, n) "
    "JOIN stamps s ON s.name = 'policy' LEFT JOIN {join} ORDER BY q.n"
)
_AWAY: Final = "EXISTS (SELECT 1 FROM image_storage a WHERE a.manifest_id = {} AND a.status <> 'ACTIVE')"
_KINDS: Final = {
    "tag": (
        "t.manifest_id",
        "tags t ON t.repository_id = {0} AND t.name = {1} AND NOT " + _AWAY.format("t.manifest_id"),
    ),
    "manifest": ("m.id", "manifests m ON m.repository_id = {0} AND m.digest = {1} AND NOT " + _AWAY.format("m.id")),
    "blob": (
        "b.id, b.key, b.damaged",
        "links l ON l.repository_id = {0} AND l.digest = {1} LEFT JOIN blobs b ON b.id = l.blob_id",
    ),
}
_STATEMENTS: Final = {
    kind: (
        _STAMP.format(columns=columns, join=join.format("?", "?")),
        _STAMPS.format(columns=columns, join=join.format("q.repository_id", 'q.reference COLLATE "C"')),
    )
    for kind, (columns, join) in _KINDS.items()
}
_POLICY_STAMP: Final = "SELECT value FROM stamps WHERE name = 'policy'"

STAMP: Final = Question(_POLICY_STAMP, _POLICY_STAMP)  # the policy stamp: (stamp,)


def manifest(repository_id: int, reference: Digest | Tag) -> Question:
    """Which manifest a digest or tag names: (stamp, manifest id), the latter None where there is none to be pulled."""
    kind = "manifest" if isinstance(reference, Digest) else "tag"
    return Question(*_STATEMENTS[kind], (repository_id, str(reference)))


def blob(repository_id: int, digest: Digest) -> Question:
    """Which bytes a repository hands out under a digest: (stamp, blob id, key, 1 if they are damaged)."""
    return Question(*_STATEMENTS["blob"], (repository_id, str(digest)))
