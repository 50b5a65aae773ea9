"""What was deleted is kept for a while, comes back whole, and goes for good: promises P5, P6, T10, T35; rows and files.

What is copied from row to row is copied by the database itself, so that is tried on both databases.
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from longshore.config import Database, Secrets
from registry import (
    archived_bytes,
    archiving,
    failpoints,
    history,
    images,
    lifecycle,
    quotas,
    relocation,
    repositories,
    undelete,
    undo,
)
from registry.context import Deps
from registry.errors import ImageNotFound, RepositoryNotFound, StorageUnavailable
from registry.jobs.handlers import KINDS
from registry.jobs.work import begun
from registry.model import Blob, Doer, Job, NewJob, Repository
from registry.names import AccountId, Digest, RegistryRef, RepositoryName, Tag
from registry.options import Limits, Registry, Settings
from registry.records import blobs as blob_rows
from registry.records import jobs as job_rows
from registry.records import usage
from registry.records.engine import Tx
from registry.records.tables.images import blobs, links, manifests
from registry.records.tables.images import repositories as repository_table
from registry.records.tables.keeping import deleted_images, deleted_repositories, image_storage
from registry.undo_errors import CannotUndelete, NothingToUndelete
from tests import elsewhere
from tests.builders import Built, image, index
from tests.collecting import SPENT, Ground
from tests.lifecycles import newest, policy
from tests.places import REGION, REGISTRY, rooms

APP = RepositoryName("team/app")
WINDOW = dt.timedelta(days=7)
MOMENT = dt.timedelta(seconds=1)
both_databases = pytest.mark.parametrize(
    "deps", ["sqlite", pytest.param("postgresql", marks=pytest.mark.real("postgresql"))], indirect=True
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data directory: to copy one costs less than to make one."""
    data = tmp_path_factory.mktemp("empty") / "data"
    with rooms(data):
        return data


@pytest.fixture
def deps(request: pytest.FixtureRequest, tmp_path: Path, empty: Path) -> Iterator[Deps]:
    sections: dict[str, Any] = {}
    if getattr(request, "param", "sqlite") == "postgresql":
        url = elsewhere.postgresql().new_database()
        sections = {"database": Database(url=url), "secrets": Secrets(master_key=elsewhere.MASTER_KEY)}
    else:
        shutil.copytree(empty, tmp_path / "data")
    with rooms(tmp_path / "data", **sections) as found:
        yield found


@pytest.fixture
def ground(deps: Deps) -> Ground:
    found = Ground(deps, window=WINDOW)
    found.deps = dataclasses.replace(found.deps, doer=Doer(principal="ann", request_id="request"))
    return found


@pytest.fixture
async def app(ground: Ground) -> Repository:
    return await repositories.create(ground.deps, REGISTRY, APP, repositories.Wish())


@pytest.fixture
def failpoint() -> Iterator[Callable[[str], None]]:
    yield failpoints.arm
    failpoints.arm("")


async def tags_of(ground: Ground, digest: Digest) -> tuple[str, ...]:
    return (await images.describe(ground.deps, REGISTRY, APP, digest)).tags


async def is_there(ground: Ground, reference: Digest | Tag) -> bool:
    try:
        await images.get(ground.deps, REGISTRY, APP, reference)
    except (ImageNotFound, RepositoryNotFound):
        return False
    return True


async def bring(ground: Ground, reference: Digest | Tag, **options: bool) -> undelete.Undone:
    return await undelete.one(ground.deps, REGISTRY, APP, reference, **options)


async def kept(ground: Ground) -> list[Digest]:
    return [one.digest for one in (await undelete.kept(ground.deps, REGISTRY, APP)).images]


async def everything(ground: Ground) -> list[list[tuple[object, ...]]]:
    """All rows that this is about, and those that images are made of; without the numbers of rows."""

    def unit(tx: Tx) -> list[list[tuple[object, ...]]]:
        tables = ("manifests", "tags", "links", "manifest_references", "deleted_images", "deleted_tags", "holds")
        more = ("tag_history", "deleted_repositories", "repositories", "blobs")
        return [sorted(map(tuple, tx.exec_driver_sql(f"SELECT * FROM {one}")), key=repr) for one in (*tables, *more)]

    return await ground.deps.db.read(unit)


def settings(ground: Ground, **sections: object) -> None:
    old = {name: getattr(ground.deps.settings, name) for name in Settings.__struct_fields__}
    ground.deps = dataclasses.replace(ground.deps, settings=Settings(**{**old, **sections}))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_deleted_image_has_every_column_that_it_had() -> None:
    """Rows are copied by the names of columns: one that is added to a table is added to its twin."""
    kept_images = {(column.name, str(column.type)) for column in deleted_images.c}
    kept_repositories = {(column.name, str(column.type)) for column in deleted_repositories.c}

    assert {(one.name, str(one.type)) for one in manifests.c} <= kept_images
    assert {(one.name, str(one.type)) for one in image_storage.c if one.name != "manifest_id"} <= kept_images
    assert {(one.name, str(one.type)) for one in repository_table.c} <= kept_repositories


async def test_a_deleted_image_is_gone_and_its_bytes_are_not(ground: Ground, app: Repository) -> None:
    built = image()
    digest = await ground.put(app, built, "v1")
    before = ground.files()
    await ground.delete(app, digest)
    ground.wait(SPENT)
    would, did = await ground.collect(dry_run=True), await ground.collect()

    assert not await is_there(ground, digest)
    for blob in built.blobs:
        assert not await ground.is_told(app, Digest.of(blob))
    assert ground.files() == before
    for collected in (would, did):
        assert collected.bytes == 0
        assert (collected.regions[0].held.count, collected.regions[0].held.bytes) == (2, sum(before.values()))


async def test_what_is_kept_is_told_with_who_when_and_why(ground: Ground, app: Repository) -> None:
    first = await ground.put(app, image(), "v1", "latest")
    at = ground.hands.time
    await ground.delete(app, first)
    ground.wait(MOMENT)
    second = await ground.put(app, image())
    await ground.delete(app, second)
    found = await undelete.kept(ground.deps, REGISTRY, APP)
    [_, one] = found.images

    assert [each.digest for each in found.images] == [second, first]
    assert (one.tags, one.deleted_at, one.expires_at) == (("latest", "v1"), at, at + WINDOW)
    assert (one.doer, one.cause, one.reason) == (Doer(principal="ann", request_id="request"), "deleted", None)
    assert found.deleted is None


async def test_without_a_window_nothing_is_kept(ground: Ground, app: Repository, deps: Deps) -> None:
    ground = Ground(deps)
    digest = await ground.put(app, image(), "v1")
    await ground.delete(app, digest)
    await repositories.delete(ground.deps, REGISTRY, APP, force=True)
    ground.wait(SPENT)
    await ground.collect()

    assert await ground.count("deleted_images") == await ground.count("deleted_repositories") == 0
    assert ground.files() == {}


@both_databases
async def test_held_bytes_are_a_figure_of_their_own(ground: Ground, app: Repository) -> None:
    shared = b"a layer that another image has too"
    gone, stays = image(layers=[shared, b"alone"]), image(layers=[shared])
    digest = await ground.put(app, gone, "v1")
    await ground.put(app, stays, "v2")
    await ground.delete(app, digest)
    ground.wait(SPENT)
    await ground.collect()
    live = await ground.deps.db.read(lambda tx: usage.of_account(tx, REGISTRY.account))
    held = await ground.deps.db.read(lambda tx: usage.kept_of_account(tx, REGISTRY.account))
    other = await ground.deps.db.read(lambda tx: usage.kept_of_account(tx, AccountId("1" * 12)))

    assert (live.blobs, live.blob_bytes) == (2, sum(map(len, stays.blobs)))
    assert (held.blobs, held.blob_bytes) == (2, len(gone.blobs[0]) + len(b"alone"))
    assert (held.images, held.image_bytes) == (1, len(gone.body))
    assert held == await ground.deps.db.read(lambda tx: usage.kept_of_repository(tx, REGISTRY, APP))
    assert held == await ground.deps.db.read(lambda tx: usage.kept_of_account(tx, REGISTRY.account, REGISTRY.region))
    assert (other.blobs, other.images) == (0, 0)


# --- what comes back --------------------------------------------------------------------------------------------------


@both_databases
@pytest.mark.parametrize("by", ["digest", "tag"])
async def test_an_image_comes_back_whole_after_a_collection(ground: Ground, app: Repository, by: str) -> None:
    built = image(annotations={"a": "b"})
    digest = await ground.put(app, built, "v1", "latest")
    before = await images.describe(ground.deps, REGISTRY, APP, digest)
    await ground.delete(app, digest)
    ground.wait(SPENT)
    await ground.collect()
    undone = await bring(ground, digest if by == "digest" else Tag("latest"))
    after = await images.describe(ground.deps, REGISTRY, APP, digest)
    ground.wait(SPENT)
    await ground.collect()

    assert [(one.digest, one.status, one.tags) for one in undone.images] == [(digest, "undeleted", ("latest", "v1"))]
    assert dataclasses.replace(after, id=before.id) == before
    assert (await images.get(ground.deps, REGISTRY, APP, Tag("v1"))).body == built.body
    for blob in built.blobs:
        assert await ground.reads(app, blob)
    assert await kept(ground) == []
    assert await ground.count("holds") == await ground.count("deleted_tags") == 0


async def test_a_tag_that_another_image_has_by_now_stays_there(ground: Ground, app: Repository) -> None:
    old = await ground.put(app, image(), "v1", "latest")
    await ground.delete(app, old)
    new = await ground.put(app, image(), "latest")
    undone = await bring(ground, Tag("latest"))

    assert [(one.tags, one.taken) for one in undone.images] == [(("v1",), {"latest": new})]
    assert await tags_of(ground, old) == ("v1",)
    assert await tags_of(ground, new) == ("latest",)


async def test_an_image_that_was_pushed_again_gets_its_free_tags(ground: Ground, app: Repository) -> None:
    built = image()
    digest = await ground.put(app, built, "v1", "v2")
    await ground.delete(app, digest)
    await ground.put(app, built, "v2")
    undone = await bring(ground, digest)

    assert [(one.status, one.tags, one.taken) for one in undone.images] == [("there", ("v1",), {})]
    assert await tags_of(ground, digest) == ("v1", "v2")


@both_databases
async def test_an_index_brings_back_what_it_lists(ground: Ground, app: Repository) -> None:
    children = [image(), image()]
    for child in children:
        await ground.put(app, child)
    inner = index(children[1])
    await ground.put(app, inner)
    top = await ground.put(app, index(children[0], inner), "all")
    for digest in (top, inner.digest, *(child.digest for child in children)):
        await ground.delete(app, Digest(digest))
    ground.wait(SPENT)
    await ground.collect()
    undone = await bring(ground, top)

    assert undone.images[-1].digest == top
    assert {one.digest for one in undone.images} == {top, inner.digest, *(child.digest for child in children)}
    for child in children:
        assert await ground.reads(app, child.blobs[1])


async def test_an_index_whose_child_is_gone_for_good_is_refused_with_nothing_done(
    ground: Ground, app: Repository
) -> None:
    child, other = image(), image()
    for one in (child, other):
        await ground.put(app, one)
    top = await ground.put(app, index(child, other), "all")
    for digest in (top, Digest(child.digest), Digest(other.digest)):
        await ground.delete(app, digest)
    await undelete.purge(ground.deps, REGISTRY, APP, Digest(child.digest))
    before = await everything(ground)
    with pytest.raises(CannotUndelete, match=f"the image {child.digest} that it lists is not kept any more"):
        await bring(ground, top)
    assert await everything(ground) == before
    undone = await undelete.repository(ground.deps, REGISTRY, APP, everything=True)

    assert {one.digest: one.status for one in undone.images} == {top: "refused", Digest(other.digest): "undeleted"}


async def test_what_went_with_its_subject_comes_back_with_it(ground: Ground, app: Repository) -> None:
    """And a signature that was deleted before, by itself, stays deleted."""
    subject = image()
    digest = await ground.put(app, subject, "v1")
    signatures = [image(subject=subject.descriptor()) for _ in range(2)]
    first, second = [await ground.put(app, one) for one in signatures]
    await ground.delete(app, first)
    ground.deps = dataclasses.replace(ground.deps, doer=Doer(principal="ann", request_id="another"))
    await ground.delete(app, second)
    await ground.delete(app, digest)
    await bring(ground, digest)

    assert await is_there(ground, second)
    assert not await is_there(ground, first)


async def status_of(ground: Ground, digest: Digest) -> str:
    return (await images.describe(ground.deps, REGISTRY, APP, digest)).status


async def test_an_image_of_the_archive_comes_back_there(ground: Ground, app: Repository) -> None:
    subject = image()
    digest = await ground.put(app, subject, "v1")
    signature = await ground.put(app, image(subject=subject.descriptor()))
    await archiving.change(ground.deps, REGISTRY, APP, "ARCHIVE", digest=digest, by="ann")
    before = await images.describe(ground.deps, REGISTRY, APP, digest)
    for one in (signature, digest):
        await ground.delete(app, one)
    ground.wait(SPENT)
    await ground.collect()
    await bring(ground, digest)
    after = await images.describe(ground.deps, REGISTRY, APP, digest)

    assert dataclasses.replace(after, id=before.id) == before
    assert await status_of(ground, signature) == after.status == "ARCHIVED"


async def test_an_active_index_has_what_it_lists_back_from_the_archive(ground: Ground, app: Repository) -> None:
    child = image()
    await ground.put(app, child)
    top = await ground.put(app, index(child), "all")
    await ground.delete(app, top)
    await archiving.change(ground.deps, REGISTRY, APP, "ARCHIVE", digest=Digest(child.digest), by="ann")
    await bring(ground, top)

    assert await status_of(ground, Digest(child.digest)) == await status_of(ground, top) == "ACTIVE"


async def test_a_signature_comes_back_to_where_its_subject_is(ground: Ground, app: Repository) -> None:
    subject = image()
    digest = await ground.put(app, subject, "v1")
    signature = await ground.put(app, image(subject=subject.descriptor()))
    await archiving.change(ground.deps, REGISTRY, APP, "ARCHIVE", digest=digest, by="ann")
    await ground.delete(app, signature)
    await archiving.change(ground.deps, REGISTRY, APP, "STANDARD", digest=digest, by="ann")
    await bring(ground, signature)

    assert await status_of(ground, signature) == "ACTIVE"


async def blob_of(ground: Ground, data: bytes, store_id: str) -> Blob | None:
    return await ground.deps.db.read(lambda tx: blob_rows.find(tx, store_id, Digest.of(data)))


@pytest.mark.parametrize("then", ["nothing more", "a push elsewhere", "a push elsewhere, and the way back"])
async def test_bytes_that_moved_meanwhile_come_back_from_where_they_are(
    ground: Ground, app: Repository, then: str
) -> None:
    """All links of one digest lead to one row, whatever rows a hold has seen."""
    built = image()
    digest = await ground.put(app, built, "v1")
    other = await repositories.create(ground.deps, REGISTRY, RepositoryName("other"), repositories.Wish())
    main, archive = ground.deps.stores.of(REGION), ground.deps.stores.archive(REGION)
    await ground.delete(app, digest)
    moved = [await blob_of(ground, data, main.store_id) for data in built.blobs]
    for blob in moved:
        assert blob is not None
        assert await relocation.move(ground.deps, REGION, blob.id, archive) == "moved"
    if then != "nothing more":
        await ground.put(other, built, "v1")
    for blob in moved if then.endswith("the way back") else ():
        assert blob is not None
        await relocation.move(ground.deps, REGION, blob.id, main)
    ground.wait(SPENT)
    await ground.collect()
    await bring(ground, digest)
    waiting = await images.describe(ground.deps, REGISTRY, APP, digest)
    assert waiting.status == ("ACTIVATING" if then == "nothing more" else "ACTIVE"), "what is away is waited for"
    await archived_bytes.bring(ground.deps, [waiting.id], by="ann")
    led_to = await ground.deps.db.read(lambda tx: tx.execute(sa.select(links.c.blob_id).distinct()).all())
    ground.wait(SPENT)
    await ground.collect()

    assert len(led_to) == len(built.blobs) == await ground.count("blobs")
    for data in built.blobs:
        assert await ground.reads(app, data)


async def test_everything_comes_back_each_image_once(ground: Ground, app: Repository) -> None:
    built = [image() for _ in range(45)]
    for number, one in enumerate(built):
        digest = await ground.put(app, one, f"v{number}")
        await ground.delete(app, digest)
    await ground.put(app, built[0], "v0")
    await ground.delete(app, Digest(built[0].digest))
    rehearsed = await undelete.repository(ground.deps, REGISTRY, APP, everything=True, dry_run=True)
    undone = await undelete.repository(ground.deps, REGISTRY, APP, everything=True)

    assert rehearsed == undone
    assert sorted(one.digest for one in undone.images) == sorted(one.digest for one in built)
    assert {one.status for one in undone.images} == {"undeleted"}
    assert await kept(ground) == []


@both_databases
async def test_what_can_come_back_is_read_in_pages(
    ground: Ground, app: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undelete, "_PAGE", 2)
    digests = [await ground.put(app, image()) for _ in range(5)]
    for number, digest in enumerate(digests):
        ground.wait(MOMENT * (number % 2))  # two at one moment each
        await ground.delete(app, digest)

    assert await kept(ground) == digests[::-1]
    assert [one.digest for one in (await undelete.kept(ground.deps, REGISTRY, APP, limit=3)).images] == digests[:1:-1]


async def test_a_dry_run_says_what_a_run_does_and_changes_nothing(ground: Ground, app: Repository) -> None:
    child = image()
    await ground.put(app, child)
    top = await ground.put(app, index(child), "v1", "v2")
    await ground.delete(app, top)
    await ground.delete(app, Digest(child.digest))
    await ground.put(app, image(), "v2")
    before = await everything(ground)
    rehearsed = await bring(ground, top, dry_run=True)

    assert await everything(ground) == before
    assert await bring(ground, top) == rehearsed


async def test_an_image_that_a_policy_took_comes_back_and_is_told_so(ground: Ground, app: Repository) -> None:
    old = await ground.put(app, image(), "old")
    ground.wait(MOMENT)
    await ground.put(app, image(), "new")
    await lifecycle.put_policy(ground.deps, REGISTRY, APP, policy(newest(1)))
    await lifecycle.run(ground.deps, app.id)
    [one] = (await undelete.kept(ground.deps, REGISTRY, APP)).images
    undone = await bring(ground, old)

    assert (one.cause, one.doer.principal, one.digest) == ("expired", "lifecycle", old)
    assert one.reason is not None and one.reason.startswith("expired by rule 1: ")
    assert [(each.digest, each.tags, each.expired) for each in undone.images] == [(old, ("old",), True)]


# --- repositories -----------------------------------------------------------------------------------------------------


@both_databases
async def test_a_repository_comes_back_with_its_settings_and_what_was_in_it(ground: Ground) -> None:
    wish = repositories.Wish(mutability="IMMUTABLE", scan_on_push=True, resource_tags={"team": "app"})
    made = await repositories.create(ground.deps, REGISTRY, APP, wish)
    built = image()
    digest = await ground.put(made, built, "v1")
    earlier = await ground.put(made, image(), "v0")
    await ground.delete(made, earlier)
    await lifecycle.put_policy(ground.deps, REGISTRY, APP, policy(newest(9)))
    await repositories.delete(ground.deps, REGISTRY, APP, force=True)
    ground.wait(SPENT)
    await ground.collect()
    with pytest.raises(RepositoryNotFound, match=r"ann deleted it at .* --repository-too brings it back"):
        await bring(ground, digest)
    found = await undelete.kept(ground.deps, REGISTRY, APP)
    undone = await undelete.repository(ground.deps, REGISTRY, APP, repository_too=True)
    back = await repositories.get(ground.deps, REGISTRY, APP)

    assert found.deleted is not None and found.deleted.doer.principal == "ann"
    assert undone.repository
    assert [(one.digest, one.tags) for one in undone.images] == [(digest, ("v1",))]
    assert back.id != made.id
    assert dataclasses.replace(back, id=made.id) == made
    assert (await lifecycle.get_policy(ground.deps, REGISTRY, APP)).policy == policy(newest(9))
    assert await ground.reads(back, built.blobs[1])
    assert await kept(ground) == [earlier]


async def test_images_of_a_deleted_repository_come_back_into_a_new_one(ground: Ground, app: Repository) -> None:
    built = image()
    digest = await ground.put(app, built, "v1")
    await repositories.delete(ground.deps, REGISTRY, APP, force=True)
    ground.wait(SPENT)
    await ground.collect()
    new = await repositories.create(ground.deps, REGISTRY, APP, repositories.Wish())
    undone = await bring(ground, digest)

    assert not undone.repository
    assert await ground.reads(new, built.blobs[1])
    assert await tags_of(ground, digest) == ("v1",)


async def test_a_repository_that_nothing_is_known_of_is_refused(ground: Ground) -> None:
    with pytest.raises(RepositoryNotFound, match="It is not kept either"):
        await undelete.repository(ground.deps, REGISTRY, APP, repository_too=True)


async def test_another_registry_sees_and_gets_nothing(ground: Ground, app: Repository) -> None:
    """T35: the same name in another account is another repository."""
    digest = await ground.put(app, image(), "v1")
    await ground.delete(app, digest)
    stranger = RegistryRef(AccountId("111111111111"), REGISTRY.region)
    await repositories.create(ground.deps, stranger, APP, repositories.Wish())

    assert (await undelete.kept(ground.deps, stranger, APP)).images == []
    assert await history.page(ground.deps, stranger, APP, None, before=None, limit=9) == []
    for attempt in (undelete.one, undelete.purge):
        with pytest.raises(NothingToUndelete, match="nothing is known of it"):
            await attempt(ground.deps, stranger, APP, digest)
    assert await kept(ground) == [digest]


# --- what does not come back ------------------------------------------------------------------------------------------


@both_databases
@pytest.mark.parametrize("job", [False, True], ids=["a collection alone", "the job before it"])
async def test_after_the_window_the_bytes_go(ground: Ground, app: Repository, job: bool) -> None:
    digest = await ground.put(app, image(), "v1")
    other = await repositories.create(ground.deps, REGISTRY, RepositoryName("other"), repositories.Wish())
    await ground.delete(app, digest)
    await repositories.delete(ground.deps, REGISTRY, other.name, force=False)
    size = sum(ground.files().values())
    ground.wait(WINDOW - MOMENT)
    await ground.collect()
    assert sum(ground.files().values()) == size
    ground.wait(MOMENT)
    with pytest.raises(NothingToUndelete, match=r"it was deleted at .* and its window is over"):
        await bring(ground, digest)
    if job:
        assert await undo.end(ground.deps.db.write, now=ground.hands.time) == 2
        assert await ground.count("deleted_images") == await ground.count("deleted_repositories") == 0
    would, did = await ground.collect(dry_run=True), await ground.collect()

    assert would.bytes == did.bytes == size
    assert did.regions[0].held.count == 0
    assert ground.files() == {}
    assert await ground.count("deleted_images") == await ground.count("deleted_repositories") == 0


async def test_the_job_ends_windows_and_forgets_old_history(ground: Ground, app: Repository) -> None:
    digest = await ground.put(app, image(), "v1")
    await ground.delete(app, digest)
    ground.wait(dt.timedelta(days=ground.deps.settings.undo.history_days) + MOMENT)
    await ground.put(app, image(), "v2")

    def claim(tx: Tx) -> object:
        job_rows.add(tx, NewJob(kind="undo.end", run_at=ground.hands.time), ground.hands.time)
        return job_rows.claim(tx, ["undo.end"], "me", ground.hands.time, dt.timedelta(minutes=1))

    job = await ground.deps.db.write(claim)
    assert isinstance(job, Job)
    await KINDS["undo.end"].run(begun(ground.deps, job, asyncio.Event()))
    left = await history.page(ground.deps, REGISTRY, APP, None, before=None, limit=9)

    assert [(one.change.event, one.change.tag) for one in left] == [("pushed", "v2")]
    assert await ground.count("deleted_images") == 0


@pytest.mark.parametrize("reference", [Tag("v1"), Digest.of(b"nothing")], ids=["tag", "digest"])
async def test_what_never_was_is_told_apart(ground: Ground, app: Repository, reference: Digest | Tag) -> None:
    with pytest.raises(NothingToUndelete, match="nothing is known of it"):
        await bring(ground, reference)


async def test_what_is_there_needs_no_undelete(ground: Ground, app: Repository) -> None:
    digest = await ground.put(app, image(), "v1")
    for reference in (digest, Tag("v1")):
        with pytest.raises(NothingToUndelete, match="it is there, and not deleted"):
            await bring(ground, reference)
    with pytest.raises(NothingToUndelete, match="it is there, and not deleted"):
        await undelete.purge(ground.deps, REGISTRY, APP, digest)


async def test_limits_hold_for_what_comes_back(ground: Ground, app: Repository) -> None:
    digest = await ground.put(app, image(), "v1")
    await ground.delete(app, digest)
    await ground.put(app, image(), "v2")
    settings(ground, limits=Limits(images=1))
    undone = await undelete.repository(ground.deps, REGISTRY, APP, everything=True)

    assert [(one.status, one.why) for one in undone.images] == [
        ("refused", f"The repository with name '{APP}' may have 1 images at most")
    ]


async def test_quotas_hold_for_what_comes_back_and_count_it(ground: Ground, app: Repository) -> None:
    allowed: dict[str, Any] = {"bytes_allowed": None}
    await quotas.set_for_repository(ground.deps, REGISTRY, APP, **allowed, images_allowed=2)
    digest = await ground.put(app, image(), "v1")
    await ground.delete(app, digest)
    ground.wait(SPENT)
    await ground.collect()
    await ground.put(app, image(), "v2")
    await bring(ground, digest)
    after = await quotas.recount(ground.deps)
    await ground.delete(app, digest)
    await undelete.purge(ground.deps, REGISTRY, APP, digest)
    purged = await quotas.recount(ground.deps)
    third = await ground.put(app, image(), "v3")
    await ground.delete(app, third)
    await ground.put(app, image(), "v4")
    undone = await undelete.repository(ground.deps, REGISTRY, APP, everything=True)

    assert (after, purged) == (0, 0)
    assert [one.status for one in undone.images] == ["refused"]
    assert "may have 2 images" in undone.images[0].why or "quota" in undone.images[0].why.lower()
    assert await quotas.recount(ground.deps) == 0


async def test_a_sparse_image_comes_back_as_it_was(ground: Ground, app: Repository) -> None:
    settings(ground, registry=Registry(accept_sparse=True))
    built = image()
    digest = await ground.put(app, built, "v1", blobs=False)
    await ground.delete(app, digest)
    settings(ground, registry=Registry())
    with pytest.raises(CannotUndelete, match="was not there when it was deleted"):
        await bring(ground, digest)
    settings(ground, registry=Registry(accept_sparse=True))
    await bring(ground, digest)

    assert await is_there(ground, digest)


# --- for good ---------------------------------------------------------------------------------------------------------


@both_databases
async def test_what_is_purged_goes_with_the_next_collection_and_nothing_else_does(
    ground: Ground, app: Repository
) -> None:
    shared, secret = b"a layer that another image needs", b"a secret"
    leak, other = image(layers=[shared, secret]), image(layers=[shared])
    digest = await ground.put(app, leak, "v1")
    await ground.put(app, other, "v2")
    await ground.delete(app, digest)
    purged = await undelete.purge(ground.deps, REGISTRY, APP, digest)
    would, did = await ground.collect(dry_run=True), await ground.collect()

    assert purged.images == [digest]
    assert purged.freed == {Digest.of(leak.blobs[0]): len(leak.blobs[0]), Digest.of(secret): len(secret)}
    assert purged.needed == {Digest.of(shared): len(shared)}
    assert would.bytes == did.bytes == len(leak.blobs[0]) + len(secret)
    assert sorted(ground.files().values()) == sorted(map(len, other.blobs))
    with pytest.raises(NothingToUndelete, match=r"ann purged it at .* so it is gone for good"):
        await bring(ground, digest)


async def test_a_purge_leaves_what_another_deleted_image_holds(ground: Ground, app: Repository) -> None:
    secret = b"a secret"
    one, two = image(layers=[secret]), image(layers=[secret])
    digests = [await ground.put(app, built) for built in (one, two)]
    for digest in digests:
        await ground.delete(app, digest)
    first = await undelete.purge(ground.deps, REGISTRY, APP, digests[0])
    await bring(ground, digests[1])
    await ground.delete(app, digests[1])
    second = await undelete.purge(ground.deps, REGISTRY, APP, digests[1])
    await ground.collect()

    assert list(first.needed) == [Digest.of(secret)]
    assert Digest.of(secret) in second.freed
    assert ground.files() == {}


async def test_an_index_is_purged_with_what_it_lists(ground: Ground, app: Repository) -> None:
    child = image()
    await ground.put(app, child)
    top = await ground.put(app, index(child), "all")
    await repositories.delete(ground.deps, REGISTRY, APP, force=True)
    purged = await undelete.purge(ground.deps, REGISTRY, APP, top)
    await ground.collect()

    assert set(purged.images) == {top, child.digest}
    assert ground.files() == {}


async def test_bytes_that_are_pushed_again_after_a_purge_are_safe(ground: Ground, app: Repository) -> None:
    built = image()
    digest = await ground.put(app, built, "v1")
    await ground.delete(app, digest)
    await undelete.purge(ground.deps, REGISTRY, APP, digest)
    await ground.put(app, built, "v1")
    await ground.collect()

    for blob in built.blobs:
        assert await ground.reads(app, blob)


# --- history ----------------------------------------------------------------------------------------------------------


@both_databases
async def test_the_history_of_a_tag(ground: Ground, app: Repository) -> None:
    one, two = image(), image()
    first = await ground.put(app, one, "v1")
    second = await ground.put(app, two, "v1")
    await ground.put(app, two, "v1")  # which changes nothing
    await ground.put(app, one, "v1")
    await images.delete_tag(ground.deps, REGISTRY, APP, Tag("v1"), last_takes_image=False)
    await ground.put(app, two, "v1", "v2")
    await ground.delete(app, second)
    await bring(ground, second)
    found = await history.page(ground.deps, REGISTRY, APP, Tag("v1"), before=None, limit=20)
    told = [(entry.change.event, entry.change.before, entry.change.after) for entry in found]

    assert told == [
        ("undeleted", None, second),
        ("deleted", second, None),
        ("pushed", None, second),
        ("untagged", first, None),
        ("moved", second, first),
        ("moved", first, second),
        ("pushed", None, first),
    ]
    assert {entry.doer for entry in found} == {Doer(principal="ann", request_id="request")}


@both_databases
async def test_history_comes_in_pages_and_goes_on_where_a_repository_is_made_again(
    ground: Ground, app: Repository
) -> None:
    await ground.put(app, image())
    await ground.put(app, image(), "v1")
    await repositories.delete(ground.deps, REGISTRY, APP, force=True)
    again = await repositories.create(ground.deps, REGISTRY, APP, repositories.Wish())
    await ground.put(again, image(), "v1")
    found, before = [], None
    while page := await history.page(ground.deps, REGISTRY, APP, None, before=before, limit=2):
        found += page
        before = page[-1].id

    told = [(entry.change.event, entry.change.tag) for entry in found]
    assert told[:2] == [("pushed", "v1"), ("repository-deleted", None)]
    assert set(told[2:4]) == {("deleted", "v1"), ("deleted", None)}
    assert told[4:] == [("pushed", "v1"), ("pushed", None)]


async def test_no_history_is_written_where_none_is_kept(ground: Ground, app: Repository) -> None:
    undo_settings = ground.deps.settings.undo
    settings(ground, undo=type(undo_settings)(history_days=0))
    digest = await ground.put(app, image(), "v1")
    await ground.delete(app, digest)
    await repositories.delete(ground.deps, REGISTRY, APP, force=True)

    assert await ground.count("tag_history") == 0


# --- what it costs ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writes() -> Iterator[list[str]]:
    """The tables that statements write to, in order."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        verb, *words = statement.split()
        if verb in ("INSERT", "UPDATE", "DELETE"):
            found.append(words[0 if verb == "UPDATE" else 1])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


async def test_a_push_writes_one_row_of_history_and_a_read_none(ground: Ground, app: Repository) -> None:
    built = image()
    with writes() as found:
        await ground.put(app, built, "v1", "v2", "v3")
        pushed = list(found)
        await ground.put(app, built, "v1", blobs=False)
        again = found[len(pushed) :]
        await images.get(ground.deps, REGISTRY, APP, Tag("v1"))
        await undelete.kept(ground.deps, REGISTRY, APP)

    assert pushed.count("tag_history") == 1  # statement, whatever number of tags
    assert "tag_history" not in again
    assert found == [*pushed, *again]


async def test_a_delete_writes_down_what_goes_by_four_statements(ground: Ground, app: Repository) -> None:
    digest = await ground.put(app, image(layers=[bytes([number]) for number in range(9)]), "v1", "v2")
    with writes() as found:
        await ground.delete(app, digest)

    assert [one for one in found if one not in ("manifests", "links")] == [
        "deleted_images",
        "deleted_tags",
        "holds",
        "tag_history",
    ]


# --- all or nothing ---------------------------------------------------------------------------------------------------


@both_databases
@pytest.mark.parametrize("place", ["image-rows", "undelete-rows", "repository-rows"])
async def test_what_breaks_off_in_the_middle_leaves_nothing(
    ground: Ground, app: Repository, failpoint: Callable[[str], None], place: str
) -> None:
    """P6: a delete or undelete that fails before its commit has not been."""
    child = image()
    await ground.put(app, child)
    top = await ground.put(app, index(child), "v1")
    gone = await ground.put(app, index(child, annotations={"n": "2"}), "v2")
    await ground.delete(app, gone)
    before = await everything(ground)
    failpoint(f"{place}:error")
    with pytest.raises(StorageUnavailable):
        if place == "image-rows":
            await ground.delete(app, top)
        elif place == "undelete-rows":
            await bring(ground, gone)
        else:
            await repositories.delete(ground.deps, REGISTRY, APP, force=True)

    assert await everything(ground) == before


@both_databases
async def test_undelete_and_a_collection_at_once_end_with_the_image_or_without_it(
    ground: Ground, app: Repository
) -> None:
    """P5: at the very end of the window, whichever comes first, no image lacks its bytes."""
    built: list[Built] = [image() for _ in range(12)]
    for one in built:
        await ground.delete(app, await ground.put(app, one))
    ground.wait(WINDOW - dt.timedelta(milliseconds=1))

    async def late(one: Built) -> None:
        with contextlib.suppress(NothingToUndelete):
            await bring(ground, Digest(one.digest))

    async def ended() -> None:
        ground.wait(dt.timedelta(milliseconds=2))
        await ground.collect()

    await asyncio.gather(*map(late, built[:4]), ended(), *map(late, built[4:]))
    there = [one for one in built if await is_there(ground, Digest(one.digest))]

    for one in there:
        for blob in one.blobs:
            assert await ground.reads(app, blob)
    assert len(ground.files()) == 2 * len(there)


@both_databases
async def test_undelete_and_a_push_of_the_same_tag_at_once_leave_one_of_them(ground: Ground, app: Repository) -> None:
    old, new = image(), image()
    digest = await ground.put(app, old, "v1")
    await ground.delete(app, digest)
    for blob in new.blobs:
        await ground.push(app, blob)
    [undone, _] = await asyncio.gather(bring(ground, digest), ground.put(app, new, "v1", blobs=False))
    named = (await images.get(ground.deps, REGISTRY, APP, Tag("v1"))).digest

    assert named == new.digest  # which came last, or had the tag already
    assert undone.images[0].tags == ("v1",) or undone.images[0].taken == {"v1": new.digest}
    assert await is_there(ground, digest)


async def test_a_blob_row_that_is_held_cannot_go(ground: Ground, app: Repository) -> None:
    """Whatever garbage collection believes."""
    await ground.delete(app, await ground.put(app, image(), "v1"))

    def unit(tx: Tx) -> None:
        tx.execute(links.delete())
        tx.execute(blobs.delete())

    with pytest.raises(sa.exc.IntegrityError):
        await ground.deps.db.write(unit)
