"""Facts: what happened, for whatever follows from it later. `reactions.py` says what that is."""

import dataclasses
import datetime as dt

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
