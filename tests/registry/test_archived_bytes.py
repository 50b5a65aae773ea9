"""Bytes of archived images on their way to the archive store and back, on the rooms themselves."""

import asyncio
import datetime as dt
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import archived_bytes, archiving, images, layers, relocation, repositories, undelete
from registry.context import Deps
from registry.errors import BlobArchived, CorruptBlob, ImageInaccessible
from registry.jobs.handlers import KINDS
from registry.jobs.work import begun
from registry.model import Blob, Image, Job, Repository, StorageClass
from registry.names import Digest, RepositoryName, Tag
from registry.records import blobs as blob_rows
from registry.records import images as image_rows
from registry.records import jobs as job_rows
from registry.records.engine import Tx
from registry.repositories import Wish
from tests import builders, places
from tests.builders import Built
from tests.places import REGION, REGISTRY


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with places.rooms(tmp_path / "data") as found:
        yield found


class Shop:
    """A repository, and what a test does to it."""

    def __init__(self, deps: Deps, repository: Repository) -> None:
        self.deps, self.repository, self.name = deps, repository, repository.name

    @classmethod
    async def make(cls, deps: Deps, name: str = "app") -> "Shop":
        return cls(deps, await repositories.create(deps, REGISTRY, RepositoryName(name), Wish()))

    async def push(self, built: Built, *tags: str, blobs: bool = True) -> Image:
        for blob in built.blobs if blobs else ():
            await places.push_blob(self.deps, self.repository, blob)
        pushed = await images.put(
            self.deps, REGISTRY, self.name, built.body, built.media_type, tags=[Tag(tag) for tag in tags]
        )
        return pushed.image

    async def archive(self, built: Built) -> None:
        await self._change(built, "ARCHIVE")

    async def restore(self, built: Built) -> None:
        await self._change(built, "STANDARD")

    async def _change(self, built: Built, target: StorageClass) -> None:
        await archiving.change(self.deps, REGISTRY, self.name, target, digest=Digest(built.digest), by="the test")

    async def status(self, built: Built) -> str:
        return (await images.describe(self.deps, REGISTRY, self.name, Digest(built.digest))).status

    async def blob(self, data: bytes) -> Blob:
        digest = Digest.of(data)
        found = await self.deps.db.read(lambda tx: blob_rows.linked(tx, self.repository.id, digest))
        assert found is not None
        return found

    async def places(self, built: Built) -> set[str]:
        """Where the bytes of an image's blobs lie."""
        return {"archive" if (await self.blob(data)).archived else "main" for data in built.blobs}

    async def read(self, data: bytes) -> bytes:
        """What a client is sent."""
        opened = await layers.open_blob(self.deps, self.repository, Digest.of(data), whole=True)
        assert opened.file is not None
        with opened.file:
            return opened.file.read()


async def work(deps: Deps) -> int:
    """Do all jobs of the archive that wait; how many there were."""
    done = 0
    while (job := await deps.db.write(functools.partial(_claim, deps.clock.now()))) is not None:
        await KINDS[job.kind].run(begun(deps, job, asyncio.Event()))
        await deps.db.write(functools.partial(job_rows.finish, job=job))
        done += 1
    return done


def _claim(now: dt.datetime, tx: Tx) -> Job | None:
    return job_rows.claim(tx, ["archive.send", "archive.bring"], "the test", now, dt.timedelta(minutes=1))


# --- there and back ---------------------------------------------------------------------------------------------------


async def test_bytes_go_to_the_archive_and_come_back_byte_for_byte(deps):
    shop = await Shop.make(deps)
    built = builders.image(layers=[b"one layer", b"another" * 99_999])
    await shop.push(built, "v1")
    before = {(await shop.blob(data)).key for data in built.blobs}
    await shop.archive(built)
    sent = await work(deps)
    away = await shop.places(built)
    with pytest.raises(BlobArchived):
        await shop.read(built.blobs[1])
    await shop.restore(built)
    waiting = await shop.status(built)
    with pytest.raises(ImageInaccessible, match="is being restored"):
        await images.get(deps, REGISTRY, shop.name, Tag("v1"))
    brought = await work(deps)

    assert (sent, brought) == (1, 1)
    assert (away, await shop.places(built)) == ({"archive"}, {"main"})
    assert (waiting, await shop.status(built)) == ("ACTIVATING", "ACTIVE")
    assert [await shop.read(data) for data in built.blobs] == list(built.blobs)
    assert before.isdisjoint({(await shop.blob(data)).key for data in built.blobs}), "no key is used twice"
    assert (await images.get(deps, REGISTRY, shop.name, Tag("v1"))).body == built.body


async def test_what_comes_back_before_its_bytes_went_is_active_at_once(deps):
    shop = await Shop.make(deps)
    built = builders.image()
    await shop.push(built)
    await shop.archive(built)
    await shop.restore(built)
    at_once = await shop.status(built)
    await work(deps)

    assert at_once == "ACTIVE"
    assert await shop.places(built) == {"main"}


async def test_an_index_and_what_it_lists_are_active_together(deps):
    shop = await Shop.make(deps)
    parts = [builders.image() for _ in range(3)]
    inner = builders.index(*parts[:2])
    outer = builders.index(inner, parts[2])
    for one in (*parts, inner, outer):
        await shop.push(one)
    await shop.archive(outer)
    await work(deps)
    await shop.restore(outer)
    waiting = {await shop.status(one) for one in (*parts, inner, outer)}
    [job] = await deps.db.read(lambda tx: job_rows.page(tx, after=0, limit=99, kind="archive.bring"))
    await work(deps)

    assert waiting == {"ACTIVATING"}
    assert len(job.payload["images"]) == 5
    assert {await shop.status(one) for one in (*parts, inner, outer)} == {"ACTIVE"}
    assert {place for one in parts for place in await shop.places(one)} == {"main"}


# --- whose bytes stay -------------------------------------------------------------------------------------------------

BASE = b"the layer that images share" * 50


@pytest.mark.parametrize("where", ["same", "other"])
async def test_bytes_that_an_active_image_needs_stay_until_it_is_archived(deps, where):
    shop = await Shop.make(deps)
    other = shop if where == "same" else await Shop.make(deps, "other")
    one, two = builders.image(layers=[BASE, b"one"]), builders.image(layers=[BASE, b"two"])
    await shop.push(one)
    await other.push(two)
    await shop.archive(one)
    await work(deps)
    alone = (await shop.blob(b"one")).archived, (await shop.blob(BASE)).archived
    readable = await other.read(BASE)
    await other.archive(two)
    await work(deps)
    both = (await shop.blob(BASE)).archived
    await other.restore(two)
    await work(deps)

    assert alone == (True, False)
    assert readable == BASE
    assert both is True
    assert await other.read(BASE) == BASE
    assert await other.status(two) == "ACTIVE"
    assert await shop.status(one) == "ARCHIVED"
    assert (await shop.blob(b"one")).archived


async def test_bytes_that_somebody_is_about_to_need_stay(deps):
    """A link without a manifest: its push is under way, or it waits for garbage collection."""
    shop, other = await Shop.make(deps), await Shop.make(deps, "other")
    built = builders.image(layers=[BASE])
    await shop.push(built)
    await layers.mount(deps, other.repository, Digest.of(BASE), [shop.repository])
    await shop.archive(built)
    await work(deps)
    held = (await shop.blob(BASE)).archived
    await layers.delete(deps, other.repository, Digest.of(BASE))
    await archived_bytes.sweep(deps)

    assert held is False
    assert (await shop.blob(BASE)).archived is True, "the sweep sends what could not go"


async def test_the_last_active_image_that_goes_lets_the_sweep_send_the_bytes(deps):
    shop = await Shop.make(deps)
    one, two = builders.image(layers=[BASE]), builders.image(layers=[BASE])
    await shop.push(one)
    await shop.push(two)
    await shop.archive(one)
    await work(deps)
    await images.delete(deps, REGISTRY, shop.name, Digest(two.digest))
    before = (await shop.blob(BASE)).archived
    await archived_bytes.sweep(deps)

    assert (before, (await shop.blob(BASE)).archived) == (False, True)


# --- pushes -----------------------------------------------------------------------------------------------------------


async def test_a_blob_in_the_archive_is_not_there_for_who_pushes(deps):
    shop, other = await Shop.make(deps), await Shop.make(deps, "other")
    built = builders.image(layers=[BASE])
    await shop.push(built)
    await shop.archive(built)
    await work(deps)

    with pytest.raises(BlobArchived):
        await layers.stat(deps, shop.repository, Digest.of(BASE))
    with pytest.raises(BlobArchived):
        await layers.require_used(deps, shop.repository, Digest.of(BASE))
    assert await layers.mount(deps, other.repository, Digest.of(BASE), [shop.repository]) is None


async def test_a_push_of_bytes_that_are_archived_needs_no_waiting(deps):
    shop, other = await Shop.make(deps), await Shop.make(deps, "other")
    built, new = builders.image(layers=[BASE]), builders.image(layers=[BASE])
    await shop.push(built)
    await shop.archive(built)
    await work(deps)
    await other.push(new)
    pushed = await other.status(new), await other.read(BASE)
    before = await shop.status(built), (await shop.blob(BASE)).archived
    again = (await shop.push(built)).status

    assert pushed == ("ACTIVE", BASE)
    assert before == ("ARCHIVED", False), "one digest has one row, which names the new bytes"
    assert again == "ACTIVE"
    assert await shop.read(BASE) == BASE


@pytest.mark.parametrize("which", ["same", "new"])
async def test_a_manifest_alone_waits_for_bytes_that_are_archived(deps, which):
    shop = await Shop.make(deps)
    built = builders.image(config=b"{}", layers=[BASE])
    await shop.push(built, "old")
    await shop.archive(built)
    await work(deps)
    pushed = built if which == "same" else builders.image(config=b"{}", layers=[BASE], annotations={"n": "2"})
    answered = (await shop.push(pushed, "new", blobs=False)).status
    with pytest.raises(ImageInaccessible):
        await images.get(deps, REGISTRY, shop.name, Tag("new"))
    await work(deps)
    found = await images.describe(deps, REGISTRY, shop.name, Tag("new"))

    assert (answered, found.status) == ("ACTIVATING", "ACTIVE")
    assert await shop.read(BASE) == BASE
    assert await shop.status(built) == ("ACTIVE" if which == "same" else "ARCHIVED")
    assert (found.archived_at is None) is (which == "new")
    assert (found.activated_at is None) is (which == "new"), "it never was in the archive"


async def test_an_index_of_an_image_that_comes_back_waits_for_it(deps):
    shop = await Shop.make(deps)
    child = builders.image()
    await shop.push(child)
    await shop.archive(child)
    await work(deps)
    first, second = builders.index(child), builders.index(child, annotations={"n": "2"})
    await shop.push(first)
    await shop.push(second)
    waiting = [await shop.status(one) for one in (child, first, second)]
    await work(deps)

    assert waiting == ["ACTIVATING"] * 3
    assert [await shop.status(one) for one in (child, first, second)] == ["ACTIVE"] * 3


@pytest.mark.parametrize("moment", ["before the copy", "after the copy"])
async def test_a_push_in_the_middle_of_a_move_keeps_the_bytes(deps, monkeypatch, moment):
    """What a client asked for before the image was archived, and puts into a manifest while its bytes are copied."""
    shop = await Shop.make(deps)
    built = builders.image(config=b"{}", layers=[BASE])
    pushed = builders.image(config=b"{}", layers=[BASE], annotations={"n": "2"})
    await shop.push(built)
    await shop.archive(built)
    copied = relocation._copied

    async def copying(*arguments):
        if moment == "before the copy":
            await shop.push(pushed, "new", blobs=False)
        stored = await copied(*arguments)
        if moment == "after the copy":
            await shop.push(pushed, "new", blobs=False)
        return stored

    monkeypatch.setattr(relocation, "_copied", copying)
    await work(deps)

    assert await shop.status(pushed) == "ACTIVE"
    assert await shop.places(pushed) == {"main"}
    assert await shop.read(BASE) == BASE


async def test_pushes_that_race_with_moves_end_readable(deps):
    """Twelve rounds of an image that is archived and pushed again by others at the same time."""
    shop = await Shop.make(deps)
    for number in range(12):
        built = builders.image(config=b"{}", layers=[BASE, b"%d" % number])
        await shop.push(built, "old")
        await shop.archive(built)
        new = [
            builders.image(config=b"{}", layers=[BASE, b"%d" % number], annotations={"n": f"{number}.{n}"})
            for n in range(3)
        ]
        await asyncio.gather(work(deps), *(shop.push(one, blobs=bool(n % 2)) for n, one in enumerate(new)))
        await work(deps)

        for one in new:
            assert await shop.status(one) == "ACTIVE"
            assert await shop.places(one) == {"main"}
        assert await shop.read(BASE) == BASE


# --- trouble ----------------------------------------------------------------------------------------------------------


async def test_bytes_that_rotted_in_the_archive_are_told_and_a_push_of_them_helps(deps):
    shop = await Shop.make(deps)
    built = builders.image(layers=[BASE])
    await shop.push(built)
    await shop.archive(built)
    await work(deps)
    blob = await shop.blob(BASE)
    path = deps.stores.holding(REGION, blob.store_id).path(blob.key)
    assert path is not None
    path.chmod(0o600)
    places.flip(path)
    await shop.restore(built)
    image = (await images.describe(deps, REGISTRY, shop.name, Digest(built.digest))).id
    for _ in range(2):
        with pytest.raises(CorruptBlob):
            await archived_bytes.bring(deps, [image], by="the test")
    waiting = await shop.status(built)
    await places.push_blob(deps, shop.repository, BASE)
    await archived_bytes.bring(deps, [image], by="the test")

    assert waiting == "ACTIVATING"
    assert await shop.status(built) == "ACTIVE"
    assert await shop.read(BASE) == BASE


async def test_a_restore_whose_job_was_taken_away_is_taken_up_by_the_sweep(deps):
    shop = await Shop.make(deps)
    child = builders.image(layers=[BASE])
    parent = builders.index(child)
    await shop.push(child)
    await shop.push(parent)
    await shop.archive(parent)
    await work(deps)
    await shop.restore(parent)
    [job] = await deps.db.read(lambda tx: job_rows.page(tx, after=0, limit=9, kind="archive.bring"))
    await deps.db.write(lambda tx: job_rows.cancel(tx, job.id))
    await archived_bytes.sweep(deps)

    assert [await shop.status(one) for one in (child, parent)] == ["ACTIVE"] * 2
    assert await shop.read(BASE) == BASE


async def test_an_image_that_is_deleted_while_it_comes_back_is_no_trouble(deps):
    shop = await Shop.make(deps)
    built = builders.image()
    await shop.push(built)
    await shop.archive(built)
    await work(deps)
    await shop.restore(built)
    await images.delete(deps, REGISTRY, shop.name, Digest(built.digest))

    assert await work(deps) == 1
    left = await deps.db.read(lambda tx: image_rows.page(tx, shop.repository.id, after="", limit=9))
    assert left == []


async def test_an_image_that_is_undeleted_waits_for_bytes_that_went_meanwhile(deps):
    shop = await Shop.make(deps)
    archived, deleted = builders.image(layers=[BASE]), builders.image(config=b"{}", layers=[BASE])
    parent = builders.index(deleted)
    for one in (archived, deleted, parent):
        await shop.push(one)
    await shop.archive(archived)
    for one in (parent, deleted):
        await images.delete(deps, REGISTRY, shop.name, Digest(one.digest))
    await archived_bytes.sweep(deps)
    away = (await shop.blob(BASE)).archived
    await undelete.one(deps, REGISTRY, shop.name, Digest(parent.digest))
    waiting = [await shop.status(one) for one in (deleted, parent)]
    await work(deps)

    assert away is True
    assert waiting == ["ACTIVATING"] * 2
    assert [await shop.status(one) for one in (deleted, parent)] == ["ACTIVE"] * 2
    assert await shop.read(BASE) == BASE
    assert await shop.status(archived) == "ARCHIVED"
