"""Facts: what happened, for whatever follows from it later. `reactions.py` says what that is."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import TypedDict

from registry.model import Image, Repository, StorageClass
from registry.names import Digest, RegistryRef, RepositoryName, Tag


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that a transaction made true."""

    at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LifecyclePreviewStarted(Fact):
    """Somebody asked what a lifecycle policy would do."""

    evaluation_id: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageFact(Fact):
    """Something that became of one image. `tags`: those that it is about, which the kind of fact says."""

    registry: RegistryRef
    repository: RepositoryName
    digest: Digest
    tags: tuple[Tag, ...]
    media_type: str
    artifact_type: str | None
    subject: Digest | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImagePushed(ImageFact):
    """An image came in, or tags name it that did not before: `tags` are those, none where it was pushed by digest."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageDeleted(ImageFact):
    """Somebody took an image away with all tags that it had, or one of its tags, which `is_gone` tells."""

    is_gone: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageExpired(ImageFact):
    """A lifecycle policy took an image away, with its tags."""

    rule_priority: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageStorageClassChanged(ImageFact):
    """An image, with its tags, is in the archive from now on, or it is back and can be pulled again."""

    image_id: int
    target: StorageClass
    by: str  # ARN of who wanted it, or `lifecycle`; "" where it was pushed again
    rule_priority: int | None = None  # of a lifecycle policy
    activated_at: dt.datetime | None = None  # when it was last restored


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageUndeleted(ImageFact):
    """An image that was deleted, or expired, was brought back. `tags`: those of its own that nobody took meanwhile."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImagesArchived(Fact):
    """Images of a repository are in the archive from now on; their bytes are not there yet."""

    repository_id: int
    image_ids: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImagesActivating(Fact):
    """Images are to be active together, once their bytes are back from the archive."""

    image_ids: tuple[int, ...]
    by: str  # as in `ImageStorageClassChanged`


class About(TypedDict):
    """The fields of an `ImageFact`."""

    at: dt.datetime
    registry: RegistryRef
    repository: RepositoryName
    digest: Digest
    tags: tuple[Tag, ...]
    media_type: str
    artifact_type: str | None
    subject: Digest | None


def about(repository: Repository, image: Image, tags: Sequence[Tag], at: dt.datetime) -> About:
    """What a fact says of its image: `ImagePushed(**about(...))`."""
    return About(
        at=at,
        registry=repository.registry,
        repository=repository.name,
        digest=image.digest,
        tags=tuple(tags),
        media_type=image.media_type,
        artifact_type=image.artifact_type,
        subject=image.subject,
    )
