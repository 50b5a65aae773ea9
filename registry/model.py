"""Rows as values: what `records/` returns and the rooms pass around. Frozen; a change is a new value.

Sizes are bytes; times are aware UTC datetimes; JSON columns are parsed.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Final, Literal

from registry.names import Digest, Region, RegistryRef, RepositoryName, Tag

Mutability = Literal["MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"]
ManifestKind = Literal["image", "index"]
ImageStatus = Literal["ACTIVE", "ARCHIVED", "ACTIVATING"]  # the last: on its way back from the archive
StorageClass = Literal["STANDARD", "ARCHIVE"]
Cause = Literal["deleted", "expired", "repository"]  # of an image's end; `repository`: it went with that
JobState = Literal["waiting", "running", "failed"]
# Of a region's stores: where new bytes go, where they went before, and where archived images' lie.
StoreRole = Literal["main", "previous", "archive"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doer:
    """Who changes something, as is told of it for good."""

    principal: str  # ARN, or the part of the house that does it by itself
    request_id: str  # what is done by one deed has this in common


HOUSE: Final = Doer(principal="longshore", request_id="")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository of one registry. `id` is never used again, also when the name is: whatever outlives a repository
    (tokens, uploads, caches) is bound to the id."""

    id: int
    registry: RegistryRef
    name: RepositoryName
    created_at: dt.datetime
    mutability: Mutability = "MUTABLE"
    mutability_filters: tuple[
        str, ...
    ] = ()  # wildcard filters of the two *_WITH_EXCLUSION modes, in the caller's order
    scan_on_push: bool = False
    encryption: Literal["AES256", "KMS", "KMS_DSSE"] = "AES256"
    kms_key: str | None = None
    policy: str | None = None  # the text as it was put
    listened: bool = False  # whether anyone is told of events; as it was when the row was read, so ask in a transaction
    policy_bindings: Mapping[str, str] = dataclasses.field(default_factory=dict)  # ARN in it -> unique id of who had it
    resource_tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    protected: bool = False  # nothing in it, nor itself, can be deleted
    counted: bool = False  # whether what it, or its account, holds is counted


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a repository or an account holds, as quotas count; or what of it comes, or goes."""

    images: int = 0
    needed_bytes: int = 0  # manifests and the blobs that they need: an account has each once for each store
    unneeded_bytes: int = 0  # of blobs that no manifest of their repository needs, in each repository anew


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a repository or an account may hold. None: what the settings say; 0: any number."""

    bytes_allowed: int | None
    images_allowed: int | None
    set_at: dt.datetime | None  # when an operator set it; None: it is counted for the settings' sake
    holding: Holding


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A manifest that a repository holds. The bytes are not in here: `images.get` returns them beside it."""

    id: int
    repository_id: int
    digest: Digest
    media_type: str
    kind: ManifestKind
    artifact_type: str | None  # the manifest's own `artifactType`, or an image's config media type
    config_media_type: str | None
    subject: Digest | None
    annotations: Mapping[str, str]
    body_size: int  # of the manifest itself
    image_size: int  # config and layers; for an index its largest child, as ECR counts
    pushed_at: dt.datetime
    tags: tuple[Tag, ...] = ()  # filled where a statement says so, as is the next
    pulled_at: dt.datetime | None = None  # the last pull that is recorded
    status: ImageStatus = "ACTIVE"
    archived_at: dt.datetime | None = None  # when it last went to the archive
    activated_at: dt.datetime | None = None  # when it was last restored from there, or that was asked for


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownStore:
    """A store that rows may name."""

    region: Region
    role: StoreRole
    store_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeletedImage:
    """An image that was deleted and can be brought back until `expires_at`."""

    id: int
    registry: RegistryRef
    repository: RepositoryName
    repository_id: int  # of the repository that it was in, which may be gone, or another one by now
    digest: Digest
    media_type: str
    kind: ManifestKind
    subject: Digest | None
    body_size: int
    image_size: int
    pushed_at: dt.datetime
    pulled_at: dt.datetime | None
    deleted_at: dt.datetime
    doer: Doer
    cause: Cause
    reason: str | None  # why a lifecycle policy took it
    expires_at: dt.datetime
    tags: tuple[Tag, ...] = ()  # that it had; filled where a statement says so


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Stored bytes: one row for each digest and store. `key` is where the store keeps them."""

    id: int
    digest: Digest
    size: int
    store_id: str
    key: str
    identity: str | None  # what the store said of the bytes when they were last verified; None: verify before serving
    damaged: bool  # found not to have its digest, or to be gone; a push replaces the bytes
    archived: bool = False  # in the store of what archived images need: not handed out


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload that has at least one byte or was begun by the AWS API."""

    id: str
    repository_id: int
    key: str
    size: int  # bytes that are safely in
    digest: Digest | None  # of those bytes, in the upload's algorithm
    algorithm: str
    parts: int
    small_part: bool  # a part below ECR's minimum was followed by another
    last_part: int  # bytes of the latest part
    state: Mapping[str, object]  # the store's own
    updated_at: dt.datetime
    owner: str = ""  # unique id of who began it, as `Principal.owner` has it


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """Work for later, as its cause writes it down."""

    kind: str
    payload: Mapping[str, object] = dataclasses.field(default_factory=dict)  # plain JSON
    dedupe_key: str | None = None  # while one of the kind waits under this key, another cause adds none
    order_key: str | None = None  # of all jobs with this key only the oldest may run
    run_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that waits, runs or was given up. One that is done has no row any more.

    `attempts` grows with each claim and never falls: it is the fence by which a worker that lost its lease is told
    apart from the one that has it now.
    """

    id: int
    kind: str
    payload: Mapping[str, object]
    dedupe_key: str | None
    order_key: str | None
    state: JobState
    run_at: dt.datetime
    attempts: int
    failures: int  # attempts that failed since it was last put; what `policies.retries` counts
    lease_owner: str | None  # the process that runs it: host, process id, and a word of its own
    lease_until: dt.datetime | None
    last_error: str | None
    created_at: dt.datetime
