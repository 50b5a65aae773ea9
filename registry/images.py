"""Images: put, get, list, delete, referrers.

An image is a manifest and what it pins. Everything that a push decides (are the layers and children here, may the tag
move) and writes happens in one transaction, so a reader sees the old image or the new one and a tag never names
nothing (promises P2, P3, P6).
"""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

from policies import filters
from registry import archiving, failpoints, history, limits, manifests, quotas, reactions, repositories, undo
from registry.context import Deps
from registry.errors import (
    CorruptBlob,
    ImageDigestDoesNotMatch,
    ImageInaccessible,
    ImageNotFound,
    ImageReferencedByManifestList,
    ImageTagAlreadyExists,
    LayersNotFound,
    LimitExceeded,
    ManifestInvalid,
    ReferencedImagesNotFound,
)
from registry.events import ImageDeleted, ImagePushed, about
from registry.manifests import Manifest
from registry.model import Cause, Doer, Image, ImageStatus, Repository
from registry.names import Digest, RegistryRef, RepositoryName, Tag
from registry.records import blobs as blob_rows
from registry.records import images as rows
from registry.records.engine import Tx

_PARSE_INLINE: Final = 256 * 1024  # bytes; a larger manifest is read in a thread, so that others are not kept waiting

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push did. `changed`: the image or one of its tags is new, or it was in the archive."""

    repository: Repository
    image: Image
    changed: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A manifest as it was pushed."""

    repository_id: int
    image_id: int
    digest: Digest
    media_type: str
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What a delete took: an image with its tags, or one tag of an image that stays."""

    digest: Digest
    tags: tuple[Tag, ...]
    image_is_gone: bool


async def put(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    body: bytes,
    media_type: str | None,
    *,
    tags: Sequence[Tag] = (),
    digest: Digest | None = None,
) -> Pushed:
    """Accept a manifest and make `tags` name it. What it is, or lists, comes back from the archive.

    Raises RepositoryNotFound, ManifestInvalid, TooLarge, ImageDigestDoesNotMatch, LayersNotFound,
    ReferencedImagesNotFound, ImageTagAlreadyExists, LimitExceeded, QuotaExceeded.
    """
    parsed = await _off_loop(len(body), lambda: manifests.parse(body, media_type))
    found = Digest.of(body, digest.algorithm if digest else "sha256")
    if digest is not None and digest != found:
        raise ImageDigestDoesNotMatch(digest, found)
    sparse = deps.settings.registry.accept_sparse
    now = deps.clock.now()

    def unit(tx: Tx) -> Pushed:
        repository = repositories.require(tx, registry, name)
        moved = _moved(tx, repository, tags, found)
        image = rows.find(tx, repository.id, found)
        if image is None:
            size, away = _complete(tx, repository, parsed, sparse=sparse)
            check_count(tx, deps, repository)
            image = _insert(tx, _image(repository, found, parsed, size, len(body), now), body, parsed)
            image = archiving.admit(tx, repository, image, now, away=away)
            quotas.image_came(tx, deps, repository, image)
            new = True
        else:
            new = image.status == "ARCHIVED"
            if new:
                image = archiving.restore(tx, repository, image, now, by="")[0]
            if image.media_type != parsed.media_type:
                raise ManifestInvalid(f"these bytes are known here as {image.media_type}", where="Content-Type")
            rows.mend(tx, image, body)
        for tag in moved:
            rows.put_tag(tx, image, tag, now)
        image = rows.with_tags(tx, image)
        if moved:
            check_tags(deps, image)
        history.pushed(tx, deps, repository, found, moved, new=new, now=now)
        if repository.listened and (new or moved):
            reactions.emit(tx, ImagePushed(**about(repository, image, list(moved), now)))
        failpoints.passing("manifest-rows")
        return Pushed(repository=repository, image=image, changed=new or bool(moved))

    pushed = await deps.db.write(unit)
    await failpoints.crossing("manifest-committed")
    return pushed


async def get(deps: Deps, registry: RegistryRef, name: RepositoryName, reference: Digest | Tag) -> Pulled:
    """Raises RepositoryNotFound, ImageNotFound, ImageInaccessible, CorruptBlob."""

    repository = await repositories.get(deps, registry, name)

    def unit(tx: Tx) -> Pulled:
        found = rows.read(tx, repository.id, reference)
        if found is None:
            raise _not_found(repository, reference)
        image_id, digest, media_type, body, status = found
        if status != "ACTIVE":
            raise _inaccessible(repository, reference, status)
        return Pulled(repository_id=repository.id, image_id=image_id, digest=digest, media_type=media_type, body=body)

    pulled = await deps.db.point(unit)
    if await _off_loop(len(pulled.body), lambda: Digest.of(pulled.body, pulled.digest.algorithm)) != pulled.digest:
        raise CorruptBlob(pulled.digest)
    return pulled


async def describe(deps: Deps, registry: RegistryRef, name: RepositoryName, reference: Digest | Tag) -> Image:
    """The image with its tags and the time of its last pull. Raises RepositoryNotFound, ImageNotFound."""

    def unit(tx: Tx) -> Image:
        repository = repositories.require(tx, registry, name)
        return rows.with_pulls(tx, [rows.with_tags(tx, _require(tx, repository, reference))])[0]

    return await deps.db.read(unit)


async def page(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    *,
    after: str,
    limit: int,
    only: Literal["TAGGED", "UNTAGGED"] | None = None,
    status: ImageStatus | None = None,
) -> list[Image]:
    """Images behind the digest `after`, by digest, with their tags and last pulls. Raises RepositoryNotFound.

    `only` and `status`: those that are so.
    """

    def unit(tx: Tx) -> list[Image]:
        repository = repositories.require(tx, registry, name)
        return rows.with_pulls(tx, rows.page(tx, repository.id, after=after, limit=limit, only=only, status=status))

    return await deps.db.read(unit)


async def id_page(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    *,
    after: tuple[str, str],
    limit: int,
    only: Literal["TAGGED", "UNTAGGED"] | None = None,
    status: ImageStatus | None = None,
) -> list[tuple[Digest, Tag | None]]:
    """Every (digest, tag), and (digest, None) of untagged images, behind `after`. Raises RepositoryNotFound."""

    def unit(tx: Tx) -> list[tuple[Digest, Tag | None]]:
        repository = repositories.require(tx, registry, name)
        return rows.id_page(tx, repository.id, after=after, limit=limit, only=only, status=status)

    return await deps.db.read(unit)


async def tag_page(deps: Deps, registry: RegistryRef, name: RepositoryName, *, after: str, limit: int) -> list[Tag]:
    """Tags of active images behind `after`, by bytes. Raises RepositoryNotFound."""

    def unit(tx: Tx) -> list[Tag]:
        return rows.tag_page(tx, repositories.require(tx, registry, name).id, after=after, limit=limit)

    return await deps.db.point(unit) if limit <= 100 else await deps.db.read(unit)


async def referrers(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    subject: Digest,
    *,
    after: str,
    limit: int,
    artifact_types: Sequence[str] = (),
    status: ImageStatus | None = "ACTIVE",
) -> list[Image]:
    """Images whose subject is `subject`, which need not exist, by digest. Raises RepositoryNotFound."""

    def unit(tx: Tx) -> list[Image]:
        repository = repositories.require(tx, registry, name)
        return rows.referrers(
            tx, repository.id, subject, after=after, limit=limit, artifact_types=artifact_types, status=status
        )

    return await deps.db.read(unit)


async def delete(deps: Deps, registry: RegistryRef, name: RepositoryName, digest: Digest) -> Deleted:
    """Delete an image and every tag that names it.

    Raises RepositoryNotFound, RepositoryProtected, ImageNotFound, ImageReferencedByManifestList.
    """

    def unit(tx: Tx) -> Deleted:
        repository = repositories.require_unprotected(tx, registry, name)
        image = rows.with_tags(tx, _require(tx, repository, digest))
        return remove(tx, deps, repository, image, now=deps.clock.now())

    return await deps.db.write(unit)


async def delete_tag(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    tag: Tag,
    *,
    expected: Digest | None = None,
    last_takes_image: bool,
) -> Deleted:
    """Delete a tag, with the image when it was the last and `last_takes_image` (ECR's rule; OCI's is that it stays).

    `expected`: the digest that the tag must name. Raises RepositoryNotFound, RepositoryProtected, ImageNotFound,
    ImageDigestDoesNotMatch, ImageReferencedByManifestList.
    """

    def unit(tx: Tx) -> Deleted:
        repository, now = repositories.require_unprotected(tx, registry, name), deps.clock.now()
        image = rows.with_tags(tx, _require(tx, repository, tag))
        if expected is not None and image.digest != expected:
            raise ImageDigestDoesNotMatch(expected, image.digest)
        if last_takes_image and image.tags == (tag,):
            return remove(tx, deps, repository, image, now=now)
        rows.delete_tag(tx, repository.id, tag)
        history.gone(tx, deps, repository, image.digest, (tag,), "untagged", now=now)
        if repository.listened:
            reactions.emit(tx, ImageDeleted(**about(repository, image, [tag], now), is_gone=False))
        return Deleted(digest=image.digest, tags=(tag,), image_is_gone=False)

    return await deps.db.write(unit)


def remove(
    tx: Tx,
    deps: Deps,
    repository: Repository,
    image: Image,
    *,
    now: dt.datetime,
    cause: Cause = "deleted",
    reason: str | None = None,
    doer: Doer | None = None,
) -> Deleted:
    """`delete` inside another room's transaction, of an image with its tags, whether or not it is protected.

    A lifecycle policy has a `reason`, and says itself what it was that took the image. `doer`: where it is not who
    `deps` were given to. Raises ImageReferencedByManifestList.
    """
    parents = rows.parents(tx, image.repository_id, image.digest)
    if parents:
        raise ImageReferencedByManifestList(image.digest, list(parents))
    blobs = rows.pinned_blobs(tx, image)
    undo.keep_image(tx, deps, repository, image, now=now, cause=cause, reason=reason, doer=doer)
    event: Literal["deleted", "expired"] = "expired" if cause == "expired" else "deleted"
    history.gone(tx, deps, repository, image.digest, image.tags, event, now=now, doer=doer)
    rows.delete(tx, image)
    blob_rows.touch_links(tx, image.repository_id, blobs, now)
    if cause == "deleted" and repository.listened:
        reactions.emit(tx, ImageDeleted(**about(repository, image, image.tags, now), is_gone=True))
    failpoints.passing("image-rows")
    return Deleted(digest=image.digest, tags=image.tags, image_is_gone=True)


def check_count(tx: Tx, deps: Deps, repository: Repository) -> None:
    """Raise LimitExceeded where a repository may have no more images."""
    limit = limits.most(deps.settings.limits, "images")
    if limit is not None and rows.count(tx, repository.id) >= limit:
        raise LimitExceeded(f"The repository with name '{repository.name}' may have {limit} images at most")


def check_tags(deps: Deps, image: Image) -> None:
    """Raise LimitExceeded where an image has more tags than it may."""
    limit = limits.most(deps.settings.limits, "image_tags")
    if limit is not None and len(image.tags) > limit:
        raise LimitExceeded(f"An image may have {limit} tags at most")


# --- inside -----------------------------------------------------------------------------------------------------------


def _moved(tx: Tx, repository: Repository, tags: Sequence[Tag], to: Digest) -> dict[Tag, Digest | None]:
    """The tags that naming `to` changes, each with what it names now. Raises ImageTagAlreadyExists for one that must
    not change."""
    moved: dict[Tag, Digest | None] = {}
    for tag in tags:
        known = rows.tagged(tx, repository.id, tag)
        if known is None:
            moved[tag] = None
        elif known.digest != to:
            if not filters.may_move(repository.mutability, repository.mutability_filters, tag):
                raise ImageTagAlreadyExists(repository.name, repository.registry.account, tag)
            moved[tag] = known.digest
    return moved


def _complete(tx: Tx, repository: Repository, parsed: Manifest, *, sparse: bool) -> tuple[int, bool]:
    """The image's size, once it is sure that all it references is here; and whether some of its bytes are archived."""
    held = blob_rows.held(tx, repository.id, parsed.blobs)
    missing = [digest for digest in parsed.blobs if digest not in held]
    if missing and not sparse:
        raise LayersNotFound(repository.name, repository.registry.account, list(missing))
    children = rows.sizes(tx, repository.id, parsed.child_digests)
    absent = [digest for digest in parsed.child_digests if digest not in children]
    if absent and not sparse:
        raise ReferencedImagesNotFound(repository.name, repository.registry.account, list(absent))
    size = max(children.values(), default=0) if parsed.kind == "index" else parsed.size
    return size, any(held.values())


def _insert(tx: Tx, image: Image, body: bytes, parsed: Manifest) -> Image:
    return rows.insert(tx, image, body, parsed.blobs, parsed.child_digests)


def _image(
    repository: Repository, digest: Digest, parsed: Manifest, size: int, body_size: int, now: dt.datetime
) -> Image:
    return Image(
        id=0,
        repository_id=repository.id,
        digest=digest,
        media_type=parsed.media_type,
        kind=parsed.kind,
        artifact_type=parsed.artifact_type,
        config_media_type=parsed.config_media_type,
        subject=parsed.subject.digest if parsed.subject else None,
        annotations=parsed.annotations,
        body_size=body_size,
        image_size=size,
        pushed_at=now,
    )


def _require(tx: Tx, repository: Repository, reference: Digest | Tag) -> Image:
    if isinstance(reference, Digest):
        found = rows.find(tx, repository.id, reference)
    else:
        found = rows.tagged(tx, repository.id, reference)
    if found is None:
        raise _not_found(repository, reference)
    return found


def _not_found(repository: Repository, reference: Digest | Tag) -> ImageNotFound:
    if isinstance(reference, Digest):
        return ImageNotFound(repository.name, repository.registry.account, digest=reference)
    return ImageNotFound(repository.name, repository.registry.account, tag=reference)


def _inaccessible(repository: Repository, reference: Digest | Tag, status: ImageStatus) -> ImageInaccessible:
    named: dict[str, str] = {"digest" if isinstance(reference, Digest) else "tag": reference}
    return ImageInaccessible(repository.name, repository.registry.account, restoring=status == "ACTIVATING", **named)


async def _off_loop(size: int, work: Callable[[], T]) -> T:
    return work() if size <= _PARSE_INLINE else await asyncio.to_thread(work)
