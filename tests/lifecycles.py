"""Repositories that a lifecycle policy has something to do in, made by the rooms themselves."""

import asyncio
import datetime as dt
import itertools
import json
from typing import Any, Final

import sqlalchemy as sa

from registry import archiving, images, repositories
from registry.context import Deps
from registry.model import ImageStatus
from registry.names import Digest, RepositoryName, Tag
from registry.records import images as image_rows
from registry.records import repositories as repository_rows
from registry.records.engine import Tx
from registry.records.tables.images import manifests
from registry.records.tables.keeping import image_storage
from registry.repositories import Wish
from tests import builders, places
from tests.places import REGISTRY

HOUR: Final = dt.timedelta(hours=1)
CONFIG, LAYER = b'{"os": "linux"}', b"the layer of all images"
_numbers = itertools.count()
UNTAGGED_AFTER_A_DAY: Final = {
    "tagStatus": "untagged",
    "countType": "sinceImagePushed",
    "countUnit": "days",
    "countNumber": 1,
}


IN_ARCHIVE: Final = {
    "tagStatus": "any",
    "storageClass": "archive",
    "countType": "sinceImageTransitioned",
    "countUnit": "days",
    "countNumber": 90,
}
_ARCHIVE: Final = {"type": "transition", "targetStorageClass": "archive"}


def policy(*selections: dict[str, Any], archive: int = 0) -> str:
    """A policy whose rules have these selections, in order of priority; the first `archive` of them archive."""
    rules = [
        {
            "rulePriority": number,
            "selection": selection,
            "action": _ARCHIVE if number <= archive else {"type": "expire"},
        }
        for number, selection in enumerate(selections, 1)
    ]
    return json.dumps({"rules": rules})


def newest(count: int, **selection: Any) -> dict[str, Any]:
    return {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count, **selection}


class Shelf:
    """A repository whose images were pushed at hours of the test's choice."""

    def __init__(self, deps: Deps, name: str = "app") -> None:
        self.deps, self.name = deps, RepositoryName(name)
        self.now = deps.clock.now()
        self.id = 0

    async def make(self) -> "Shelf":
        made = await repositories.create(self.deps, REGISTRY, self.name, Wish())
        self.id = made.id
        for blob in (CONFIG, LAYER):
            await places.push_blob(self.deps, made, blob)
        return self

    async def image(self, *tags: str, hours: float = 0, **fields: Any) -> Digest:
        """An image that was pushed so many hours ago."""
        built = builders.image(config=CONFIG, layers=[LAYER], annotations={"n": str(next(_numbers))}, **fields)
        return await self._put(built, tags, hours)

    async def index(self, *children: Digest, tags: tuple[str, ...] = (), hours: float = 0) -> Digest:
        listed = [{"mediaType": builders.OCI_IMAGE, "digest": child, "size": 1} for child in children]
        document = {"schemaVersion": 2, "mediaType": builders.OCI_INDEX, "manifests": listed}
        return await self._put(builders.Built(json.dumps(document).encode(), builders.OCI_INDEX), tags, hours)

    async def referrer(self, subject: Digest, *, hours: float = 0) -> Digest:
        described = {"mediaType": builders.OCI_IMAGE, "digest": subject, "size": 1}
        return await self.image(hours=hours, subject=described)

    async def _put(self, built: builders.Built, tags: tuple[str, ...], hours: float) -> Digest:
        pushed = await images.put(
            self.deps, REGISTRY, self.name, built.body, built.media_type, tags=[Tag(tag) for tag in tags]
        )
        then = self.now - hours * HOUR
        found = pushed.image.digest
        mine = (manifests.c.repository_id == self.id) & (manifests.c.digest == found)
        await self.deps.db.write(lambda tx: tx.execute(manifests.update().where(mine).values(pushed_at=then)))
        return found

    async def fill(self, count: int) -> None:
        """Many images an hour apart: untagged ones, tagged ones, indexes with their images, signatures."""

        async def some(hours: int) -> None:
            match hours % 10:
                case 0 | 1 | 2:
                    await self.image(hours=hours)
                case 3 | 4 | 5:
                    await self.image(f"dev-{hours}", hours=hours)
                case 6 | 7:
                    await self.image(f"prod-{hours}", f"v{hours}", hours=hours)
                case 8:
                    children = [await self.image(hours=hours), await self.image(hours=hours)]
                    await self.index(*children, tags=(f"multi-{hours}",), hours=hours)
                case _:
                    subject = await self.image(f"signed-{hours}", hours=hours)
                    await self.referrer(subject, hours=hours)

        for first in range(0, count, 200):
            await asyncio.gather(*(some(hours) for hours in range(first, min(first + 200, count))))

    async def was_archived(self, digest: Digest, *, days: float) -> None:
        """Have an image be in the archive, for so many days."""
        await archiving.change(self.deps, REGISTRY, self.name, "ARCHIVE", digest=digest, by="the test")
        then = self.now - days * 24 * HOUR
        mine = sa.select(manifests.c.id).where(manifests.c.repository_id == self.id, manifests.c.digest == digest)
        moved = image_storage.update().where(image_storage.c.manifest_id.in_(mine)).values(archived_at=then)
        await self.deps.db.write(lambda tx: tx.execute(moved))

    async def statuses(self) -> dict[Digest, ImageStatus]:
        """The status of every image that is there."""

        def unit(tx: Tx) -> dict[Digest, ImageStatus]:
            return {image.digest: image.status for image in image_rows.page(tx, self.id, after="", limit=100_000)}

        return await self.deps.db.read(unit)

    async def left(self) -> set[Digest]:
        """The images that are there."""

        def unit(tx: Any) -> set[Digest]:
            found = repository_rows.by_id(tx, self.id)
            assert found is not None
            return {image.digest for image in image_rows.page(tx, self.id, after="", limit=100_000)}

        return await self.deps.db.read(unit)
