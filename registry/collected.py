"""What a pass of garbage collection took, or would take: the report, in values."""

import dataclasses

from registry.names import Region, RegistryRef, RepositoryName


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """So many, and so many bytes."""

    count: int = 0
    bytes: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.count + other.count, self.bytes + other.bytes)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryShare:
    """Layers that a repository does not hand out any more. Their bytes stay where other repositories do."""

    registry: RegistryRef
    name: RepositoryName
    layers: Tally


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegionShare:
    """What went of a region's store."""

    region: Region
    blobs: Tally  # that no repository handed out any more
    held: Tally  # that only images keep which were deleted, and can be brought back: they stay
    uploads: Tally  # that nobody went on with
    unnamed: Tally  # stored keys that no row named
    parts: int  # of uploads that are over, which only some stores keep; a dry run does not count them
    failed: int  # could not be deleted now, and will be tried again

    @property
    def bytes(self) -> int:
        return self.blobs.bytes + self.uploads.bytes + self.unnamed.bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one pass came to. `refused`: why nothing was done."""

    dry_run: bool
    refused: str | None
    regions: tuple[RegionShare, ...]
    repositories: tuple[RepositoryShare, ...]
    forgotten_uploads: int  # rows of uploads that were over for long
    unreachable: tuple[str, ...]  # stores that were left alone, and why
    seconds: float

    @property
    def bytes(self) -> int:
        return sum(region.bytes for region in self.regions)

    @property
    def is_whole(self) -> bool:
        """Whether everything was done that was to be done."""
        return self.refused is None and not self.unreachable and not any(region.failed for region in self.regions)
