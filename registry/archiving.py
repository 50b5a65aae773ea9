"""The archive: images that are kept and cannot be pulled, on their way there and back.

    archive   an active image can be described from now on, and no longer be pulled
    restore   it can be pulled again, as if it had been pushed now

What an index lists, and what refers to an image, go along. Into the archive: parts of the index (what it lists, without
a tag of its own, and no other index that stays lists it), and whatever has an image that goes as its subject. Back from
there: all that the index lists, as it would be of no use without, and what refers to each of them. So an index that is
active lists nothing that is archived, and a signature is where the image is that it signs.
"""

import collections
import datetime as dt
from collections.abc import Sequence

from registry import reactions, repositories
from registry.context import Deps
from registry.errors import ImageNotFound, ImageStorageClassUpdateNotSupported
from registry.events import ImageStorageClassChanged, about
from registry.model import Image, Repository, StorageClass
from registry.names import Digest, RegistryRef, RepositoryName, Tag
from registry.records import images as rows
from registry.records.engine import Tx


async def change(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    target: StorageClass,
    *,
    digest: Digest | None = None,
    tag: Tag | None = None,
    by: str,
) -> Image:
    """Have the image that a digest, a tag or both name go to the archive, or back. `by`: the ARN of who wants it.

    Raises RepositoryNotFound, ImageNotFound, ImageStorageClassUpdateNotSupported.
    """

    def unit(tx: Tx) -> Image:
        repository = repositories.require(tx, registry, name)
        image = rows.find(tx, repository.id, digest) if tag is None and digest else None
        if tag is not None:
            image = rows.tagged(tx, repository.id, tag)
        if image is None or (digest is not None and image.digest != digest):
            raise ImageNotFound(name, registry.account, digest=digest, tag=tag)
        now = deps.clock.now()
        if target == "ARCHIVE":
            return archive(tx, repository, image, now, by=by)[0]
        if image.status != "ARCHIVED":
            state = "active" if image.status == "ACTIVE" else "being restored"
            raise ImageStorageClassUpdateNotSupported(f"the image {image.digest} is {state}")
        return restore(tx, repository, [image], now, by=by)[0]

    return await deps.db.write(unit)


def archive(tx: Tx, repository: Repository, image: Image, now: dt.datetime, *, by: str) -> list[Image]:
    """Have an image go to the archive, and what goes along with it: all of them, itself first.

    Raises ImageStorageClassUpdateNotSupported.
    """
    if image.status != "ACTIVE":
        state = "archived" if image.status == "ARCHIVED" else "being restored"
        raise ImageStorageClassUpdateNotSupported(f"the image {image.digest} is {state}")
    _check_alone(tx, image)
    return [put_away(tx, repository, one, now, by=by) for one in _going_along(tx, image)]


def put_away(
    tx: Tx, repository: Repository, image: Image, now: dt.datetime, *, by: str, rule_priority: int | None = None
) -> Image:
    """Have one image go to the archive, by itself."""
    archived = rows.archive(tx, rows.with_tags(tx, image), now)
    _tell(tx, repository, archived, "ARCHIVE", now, by=by, rule_priority=rule_priority)
    return archived


def restore(tx: Tx, repository: Repository, images: Sequence[Image], now: dt.datetime, *, by: str) -> list[Image]:
    """Have images come back with all that they need, and with what refers to them: those that were archived, in the
    order in which they were met. What is active stays as it is."""
    restored = []
    for image in _needed_again(tx, images):
        active = rows.activate(tx, rows.with_tags(tx, image), "ACTIVE", now)
        _tell(tx, repository, active, "STANDARD", now, by=by)
        restored.append(active)
    return restored


def keeps_active(tx: Tx, image: Image) -> list[Digest]:
    """Why an image may not go to the archive: indexes that list it and its subject, of those that are not archived."""
    masters = rows.indexes_of(tx, image.repository_id, image.digest)
    subject = None if image.subject is None else rows.find(tx, image.repository_id, image.subject)
    return [one.digest for one in (*masters, *([subject] if subject else [])) if one.status != "ARCHIVED"]


# --- inside -----------------------------------------------------------------------------------------------------------


def _check_alone(tx: Tx, image: Image) -> None:
    staying = keeps_active(tx, image)
    if staying:
        what = "its subject" if staying[0] == image.subject else "the index that lists it"
        raise ImageStorageClassUpdateNotSupported(
            f"the image {image.digest} goes to the archive with {what}, {staying[0]}; archive that"
        )


def _going_along(tx: Tx, image: Image) -> list[Image]:
    """The image, and what goes to the archive along with it: each behind all that holds it."""
    going = {image.digest: image}
    waiting = collections.deque([image])
    while waiting:
        for one in _followers(tx, waiting.popleft()):
            # What holds it may be met later: then it is looked at once more.
            if one.digest not in going and going.keys() >= set(keeps_active(tx, one)):
                going[one.digest] = one
                waiting.append(one)
    return list(going.values())


def _followers(tx: Tx, master: Image) -> list[Image]:
    """Active images that have no say of their own while `master` is there."""
    listed = [rows.with_tags(tx, one) for one in rows.children(tx, master)] if master.kind == "index" else []
    parts = [one for one in listed if one.status == "ACTIVE" and (not one.tags or one.subject is not None)]
    return [*parts, *rows.referrers(tx, master.repository_id, master.digest, status="ACTIVE")]


def _needed_again(tx: Tx, images: Sequence[Image]) -> list[Image]:
    """Of the images, and of all that they need and that refers to them, those that are archived."""
    met = {image.digest: image for image in images}
    waiting = collections.deque(images)
    while waiting:
        image = waiting.popleft()
        # What is active lists nothing that is archived, unless it was pushed just now: then it is one of `images`.
        listed = rows.children(tx, image) if image.kind == "index" else []
        more = [one for one in listed if one.status == "ARCHIVED"]
        if image.status == "ARCHIVED":
            more += rows.referrers(tx, image.repository_id, image.digest, status="ARCHIVED")
        for one in more:
            if one.digest not in met:
                met[one.digest] = one
                waiting.append(one)
    return [image for image in met.values() if image.status == "ARCHIVED"]


def _tell(
    tx: Tx,
    repository: Repository,
    image: Image,
    target: StorageClass,
    now: dt.datetime,
    *,
    by: str,
    rule_priority: int | None = None,
) -> None:
    if not repository.listened:
        return
    fact = ImageStorageClassChanged(
        **about(repository, image, image.tags, now),
        image_id=image.id,
        target=target,
        by=by,
        rule_priority=rule_priority,
        activated_at=image.activated_at,
    )
    reactions.emit(tx, fact)
