"""Facts: what happened, for whatever follows from it later. `reactions.py` says what that is."""

import dataclasses
import datetime as dt

from registry.model import StorageClass
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
class ImageExpired(Fact):
    """A lifecycle policy took an image away, with its tags."""

    registry: RegistryRef
    repository: RepositoryName
    digest: Digest
    tags: tuple[Tag, ...]
    rule_priority: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageStorageClassChanged(Fact):
    """An image is in the archive from now on, or it is back and can be pulled again."""

    registry: RegistryRef
    repository: RepositoryName
    image_id: int
    digest: Digest
    tags: tuple[Tag, ...]
    target: StorageClass
    media_type: str
    artifact_type: str | None
    subject: Digest | None
    by: str  # ARN of who wanted it, or `lifecycle`; "" where it was pushed again
    rule_priority: int | None = None  # of a lifecycle policy
    activated_at: dt.datetime | None = None  # when it was last restored
