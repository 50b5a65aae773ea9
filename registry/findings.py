"""What a check can find: the kinds of trouble, what to do about each, and the report of all of them."""

import dataclasses
from collections.abc import Mapping
from typing import Final, Literal, get_args

from registry.names import Digest, Region, RegistryRef, RepositoryName, Tag

Kind = Literal[
    "database",
    "foreign-key",
    "store",
    "blob-missing",
    "blob-size",
    "blob-digest",
    "blob-unreadable",
    "blob-marked",
    "link",
    "manifest-digest",
    "manifest-references",
    "reference-missing",
    "kept-manifest",
    "tag",
    "upload",
    "quota",
    "litter",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_PUSH_AGAIN: Final = "push one of the affected images again, or put the bytes back from a backup"
TO_DO: Final[Mapping[Kind, str]] = {
    "database": "stop the server and restore from a backup",
    "foreign-key": "restore from a backup, or delete and push again what is affected",
    "store": "put the store back that belongs to this database, or restore both from one backup",
    "blob-missing": _PUSH_AGAIN,
    "blob-size": _PUSH_AGAIN,
    "blob-digest": _PUSH_AGAIN,
    "blob-unreadable": f"look after the disk; {_PUSH_AGAIN}",
    "blob-marked": "push one of the affected images again: until then clients are told that it is unknown",
    "link": "push one of the affected images again",
    "manifest-digest": "delete the image by its digest and push it again",
    "manifest-references": "delete the image by its digest and push it again",
    "reference-missing": "push the image again",
    "kept-manifest": "push the image again if you want it back: what is kept of it is not what it was",
    "tag": "push an image by this tag again",
    "upload": "begin this upload again",
    "quota": "count anew by `longshore quota recount`",
    "litter": "nothing: it harms nobody, and garbage collection takes it away",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """An image as people know it: its repository, digest and tags."""

    registry: RegistryRef
    repository: RepositoryName
    digest: Digest
    tags: tuple[Tag, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    kind: Kind
    subject: str  # a digest, a tag, an upload's id ...: what is affected
    message: str
    region: Region | None = None
    images: tuple[ImageName, ...] = ()  # that cannot be pulled whole because of it; the first few
    image_count: int = 0  # all of them

    @property
    def is_error(self) -> bool:
        return self.kind != "litter"

    @property
    def to_do(self) -> str:
        return TO_DO[self.kind]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found. `counts` are by kind, and complete; of the findings only the first of each kind are kept."""

    deep: bool
    findings: tuple[Finding, ...]
    counts: Mapping[Kind, int]
    blobs: int
    blob_bytes: int
    unverified: int  # blobs whose file is not the one that was hashed last: the server hashes them at the next pull
    images: int
    tags: int
    uploads: int
    stored_keys: int
    in_flight: int  # of the keys: without a row, but young enough to be a push at work
    litter: int
    litter_bytes: int

    @property
    def is_sound(self) -> bool:
        return not any(count for kind, count in self.counts.items() if kind != "litter")
