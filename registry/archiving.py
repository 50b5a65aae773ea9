"""The archive: images that are kept and cannot be pulled, on their way there and back.

    archive   an active image can be described from now on, and no longer be pulled; its bytes follow by a job
    restore   an archived image is active again, as if it had been pushed now: at once where all its bytes are at hand,
              else it is activating until a job has brought them (`archived_bytes.py`)

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
from registry.events import ImagesActivating, ImagesArchived, ImageStorageClassChanged, about
from registry.model import Image, Repository, StorageClass
from registry.names import Digest, RegistryRef, RepositoryName, Tag
from registry.records import archive as archive_rows
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
        return restore(tx, repository, image, now, by=by)[0]

    return await deps.db.write(unit)


def archive(tx: Tx, repository: Repository, image: Image, now: dt.datetime, *, by: str) -> list[Image]:
    """Have an image go to the archive, and what goes along with it: all of them, itself first.

    Raises ImageStorageClassUpdateNotSupported.
    """
    if image.status != "ACTIVE":
        state = "archived" if image.status == "ARCHIVED" else "being restored"
        raise ImageStorageClassUpdateNotSupported(f"the image {image.digest} is {state}")
    _check_alone(tx, image)
    archived = [put_away(tx, repository, one, now, by=by) for one in _going_along(tx, image)]
    send_bytes(tx, repository, archived, now)
    return archived


def put_away(
    tx: Tx, repository: Repository, image: Image, now: dt.datetime, *, by: str, rule_priority: int | None = None
) -> Image:
    """Have one image go to the archive, by itself, and leave its bytes to `send_bytes`."""
    archived = rows.archive(tx, rows.with_tags(tx, image), now)
    _tell(tx, repository, archived, "ARCHIVE", now, by=by, rule_priority=rule_priority)
    return archived


def send_bytes(tx: Tx, repository: Repository, archived: Sequence[Image], now: dt.datetime) -> None:
    """Have the bytes follow of images that were archived in this transaction."""
    if archived:
        ids = tuple(image.id for image in archived)
        reactions.emit(tx, ImagesArchived(at=now, repository_id=repository.id, image_ids=ids))


def restore(tx: Tx, repository: Repository, image: Image, now: dt.datetime, *, by: str) -> list[Image]:
    """Have an image come back with all that it needs, and with what refers to it: those that were not active, in the
    order in which they were met."""
    group = inactive(tx, [image])
    if not archive_rows.away(tx, [one.id for one in group], limit=1):
        return [activate(tx, repository, one, now, by=by) for one in group]
    waiting = [rows.activating(tx, one, now) for one in group]
    reactions.emit(tx, ImagesActivating(at=now, image_ids=tuple(one.id for one in waiting), by=by))
    return waiting


def admit(tx: Tx, repository: Repository, image: Image, now: dt.datetime, *, away: bool | None = None) -> Image:
    """An image that is new here, which waits for what of it is in the archive: `away` says so of its own bytes, where
    that is known. What it lists comes back with it."""
    if away is None:
        away = bool(archive_rows.away(tx, [image.id], limit=1))
    if away or any(one.status != "ACTIVE" for one in _listed(tx, image)):
        return restore(tx, repository, rows.activating(tx, image, now), now, by="")[0]
    return image


def activate(tx: Tx, repository: Repository, image: Image, now: dt.datetime, *, by: str) -> Image:
    """Let an image be pulled again whose bytes are all at hand."""
    active = rows.activate(tx, rows.with_tags(tx, image), now)
    if active.archived_at is not None:
        _tell(tx, repository, active, "STANDARD", now, by=by)
    return active


def inactive(tx: Tx, images: Sequence[Image]) -> list[Image]:
    """Of images that are to be active, and of all that they need and that refers to them, those that are not."""
    met = {image.digest: image for image in images if image.status != "ACTIVE"}
    waiting = collections.deque(met.values())
    while waiting:
        image = waiting.popleft()
        for one in (*_listed(tx, image), *rows.referrers(tx, image.repository_id, image.digest)):
            if one.status != "ACTIVE" and one.digest not in met:
                met[one.digest] = one
                waiting.append(one)
    return list(met.values())


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
    listed = [rows.with_tags(tx, one) for one in _listed(tx, master)]
    parts = [one for one in listed if one.status == "ACTIVE" and (not one.tags or one.subject is not None)]
    return [*parts, *rows.referrers(tx, master.repository_id, master.digest, status="ACTIVE")]


def _listed(tx: Tx, image: Image) -> list[Image]:
    return rows.children(tx, image) if image.kind == "index" else []


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
