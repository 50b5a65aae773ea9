"""The bytes of archived images, on their way to the archive store and back: what jobs do.

A blob lies in the archive store only while every image that needs it is archived, in every repository that may hand it
out. That is asked in the transaction in which its row names the bytes there, so a push comes before, and keeps them, or
after, and then finds them archived: it brings them anew, or its image waits for them. An image is active again only in
a transaction that finds all its bytes in the main store.

Doing either again does no harm, so wherever a process dies, the next one that takes up the job goes on.
"""

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from registry import archiving, failpoints, relocation
from registry.context import Deps
from registry.errors import CorruptBlob
from registry.model import Image, ImageStatus, Repository
from registry.names import Region
from registry.records import archive as rows
from registry.records import blobs as blob_rows
from registry.records import images as image_rows
from registry.records import repositories as repository_rows
from registry.records.engine import Tx

_PAGE: Final = 100  # images that one read finds


async def send(deps: Deps, image_ids: Sequence[int], *, pause: Callable[[], None] = lambda: None) -> None:
    """Have the bytes of archived images go to the archive store, those that no active image needs.

    `pause` is called between steps, and may raise. Raises StorageUnavailable, StorageFull.
    """
    for image_id in image_ids:
        for region, blob_id in await deps.db.read(functools.partial(_here, image_id)):
            pause()
            target = deps.stores.archive(region)
            await relocation.move(deps, region, blob_id, target, may=lambda tx, blob: rows.may_go(tx, blob.id))


async def bring(
    deps: Deps, image_ids: Sequence[int], *, by: str, pause: Callable[[], None] = lambda: None
) -> list[Image]:
    """Have the bytes of images that are being restored come back, and have the images be active: those that are now.

    Raises StorageUnavailable, StorageFull; CorruptBlob for bytes that were lost or damaged in the archive: a push of
    them lets it go on.
    """
    while True:
        for region, blob_id in await deps.db.read(functools.partial(_away, image_ids)):
            pause()
            if await relocation.move(deps, region, blob_id, deps.stores.of(region)) == "damaged":
                raise CorruptBlob(await _digest(deps, blob_id))
        await failpoints.crossing("archive-brought")
        active = await deps.db.write(functools.partial(_activate, deps, image_ids, by))
        if active is not None:
            return active


async def sweep(deps: Deps, *, pause: Callable[[], None] = lambda: None) -> None:
    """Send what could not go when its image was archived, and bring what still waits: their jobs did what was possible
    then, or were taken away."""
    async for image_id in _all(deps, "ARCHIVED"):
        await send(deps, [image_id], pause=pause)
    async for image_id in _all(deps, "ACTIVATING"):
        await bring(deps, [image_id], by="", pause=pause)


# --- inside -----------------------------------------------------------------------------------------------------------


async def _all(deps: Deps, status: ImageStatus) -> AsyncIterator[int]:
    """Ids of all images that have this status, each when its turn comes."""
    after = 0
    while page := await deps.db.read(functools.partial(rows.page, status=status, after=after, limit=_PAGE)):
        for image_id in page:
            yield image_id
        after = page[-1]


def _here(image_id: int, tx: Tx) -> list[tuple[Region, int]]:
    """Blobs of an image that may go to the archive, each with its region."""
    images = [image for image in image_rows.by_ids(tx, [image_id]) if image.status == "ARCHIVED"]
    return [
        (_repository(tx, images).registry.region, blob_id) for image in images for blob_id in rows.movable(tx, image.id)
    ]


def _away(image_ids: Sequence[int], tx: Tx) -> list[tuple[Region, int]]:
    """Blobs that are to come back, each with its region."""
    images = _waiting(tx, image_ids)
    blobs = rows.away(tx, [image.id for image in images])
    return [(_repository(tx, images).registry.region, blob_id) for blob_id in blobs]


def _activate(deps: Deps, image_ids: Sequence[int], by: str, tx: Tx) -> list[Image] | None:
    """Make the images active that wait; None where bytes are away after all."""
    images = _waiting(tx, image_ids)
    if rows.away(tx, [image.id for image in images], limit=1):
        return None
    now = deps.clock.now()
    return [archiving.activate(tx, _repository(tx, images), image, now, by=by) for image in images]


def _waiting(tx: Tx, image_ids: Sequence[int]) -> list[Image]:
    """Those of the images that are being restored, and whatever of what they need is."""
    found = [image for image in image_rows.by_ids(tx, image_ids) if image.status == "ACTIVATING"]
    return archiving.inactive(tx, found)


def _repository(tx: Tx, images: Sequence[Image]) -> Repository:
    found = repository_rows.by_id(tx, images[0].repository_id)
    assert found is not None  # its images would be gone with it
    return found


async def _digest(deps: Deps, blob_id: int) -> str:
    found = await deps.db.point(lambda tx: blob_rows.by_id(tx, blob_id))
    return found.digest if found is not None else f"of blob {blob_id}"
