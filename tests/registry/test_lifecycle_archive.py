"""Runs of lifecycle policies that archive images, and that expire what has been archived for long."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import archiving, image_users, images, lifecycle, reactions
from registry.context import Deps
from registry.events import Fact, ImageStorageClassChanged
from registry.model import StorageClass
from registry.names import Tag
from registry.records import audit_log, listeners
from registry.records import lifecycle as rows
from tests import places
from tests.lifecycles import IN_ARCHIVE, Shelf, newest, policy
from tests.places import REGISTRY

PULLED = {"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 1}
PUSHED = {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with places.rooms(tmp_path / "data") as found:
        yield found


@pytest.fixture
def facts(deps, monkeypatch) -> list[Fact]:
    """What is emitted, as somebody listens."""
    places.database_of(deps).write_here(lambda tx: listeners.keep_log(tx, kept=True, now=deps.clock.now()))
    found: list[Fact] = []

    def note(tx, fact):
        found.append(fact)
        return []

    kept = {kind: (note, *after) for kind, after in reactions.REACTIONS.items()}
    monkeypatch.setattr(reactions, "REACTIONS", kept)
    return found


async def put(shelf: Shelf, text: str) -> None:
    await lifecycle.put_policy(shelf.deps, REGISTRY, shelf.name, text)


async def run(shelf: Shelf, **more) -> lifecycle.Ran:
    ran = await lifecycle.run(shelf.deps, shelf.id, **more)
    assert ran is not None
    return ran


class Break(Exception):
    """The process dies here."""


def after(steps: int):
    """Dies between two steps, after so many."""
    left = iter(range(steps))

    def pause() -> None:
        if next(left, None) is None:
            raise Break

    return pause


# --- what goes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", [newest(1), PUSHED, PULLED], ids=["count", "pushed", "pulled"])
async def test_images_beyond_the_bound_are_archived_and_stay_so(deps, selection):
    shelf = await Shelf(deps).make()
    old, new = await shelf.image("old", hours=30), await shelf.image("new", hours=1)
    await put(shelf, policy(selection, archive=1))
    first, second = await run(shelf), await run(shelf)

    assert [one.digest for one in first.archived] == [old]
    assert (first.expired, second.archived, second.expired) == ([], [], [])
    assert await shelf.statuses() == {old: "ARCHIVED", new: "ACTIVE"}


async def test_what_has_been_archived_for_long_expires_and_each_class_is_by_itself(deps):
    """Rule 1 claims what is active, rule 2 what is archived, whatever their order."""
    shelf = await Shelf(deps).make()
    for days in (89, 91):
        await shelf.was_archived(await shelf.image(f"archived-{days}", hours=24 * 100), days=days)
    old, new = await shelf.image("old", hours=30), await shelf.image("new")
    await put(shelf, policy(newest(1), IN_ARCHIVE, archive=1))
    ran = await run(shelf)

    assert [one.tags for one in ran.expired] == [("archived-91",)]
    assert [one.storage_class for one in ran.expired] == ["ARCHIVE"]
    assert [one.digest for one in ran.archived] == [old]
    assert sorted((await shelf.statuses()).values()) == ["ACTIVE", "ARCHIVED", "ARCHIVED"]
    assert (await shelf.statuses())[new] == "ACTIVE"


async def test_a_restored_image_counts_from_when_it_was_restored(deps):
    shelf = await Shelf(deps).make()
    oldest, newer = await shelf.image("oldest", hours=40), await shelf.image("newer", hours=30)
    await shelf.was_archived(oldest, days=1)
    await archiving.change(deps, REGISTRY, shelf.name, "STANDARD", digest=oldest, by="the test")
    await put(shelf, policy(newest(1), archive=1))
    by_count = await run(shelf)
    await put(shelf, policy(PULLED, archive=1))
    by_pulls = await run(shelf)

    assert [one.digest for one in by_count.archived] == [newer]
    assert by_pulls.archived == []
    assert (await shelf.statuses())[oldest] == "ACTIVE"


async def test_an_index_goes_with_its_parts_and_a_signature_in_one_step(deps, monkeypatch):
    monkeypatch.setattr(lifecycle, "_BATCH", 1)
    shelf = await Shelf(deps).make()
    parts = [await shelf.image(hours=30) for _ in range(3)]
    parent = await shelf.index(*parts, tags=("old",), hours=30)
    signature = await shelf.referrer(parent, hours=29)
    latest = await shelf.image("new")
    await put(shelf, policy(newest(1), archive=1))
    with contextlib.suppress(Break):
        await run(shelf, pause=after(2))

    archived = {digest for digest, status in (await shelf.statuses()).items() if status == "ARCHIVED"}
    assert archived == {*parts, parent, signature}
    assert (await shelf.statuses())[latest] == "ACTIVE"


async def test_the_preview_is_what_the_run_does(deps):
    shelf = await Shelf(deps).make()
    await shelf.fill(60)
    text = policy(newest(3, tagStatus="tagged", tagPrefixList=["dev-"]), newest(30), archive=1)
    await put(shelf, text)
    await lifecycle.start_preview(deps, REGISTRY, shelf.name, None)
    found = await deps.db.read(lambda tx: rows.evaluation(tx, shelf.id, "preview"))
    await lifecycle.make_preview(deps, found.id)
    shown = await lifecycle.preview(deps, REGISTRY, shelf.name, after=-1, limit=1000)
    ran = await run(shelf)

    assert (shown.expiring, shown.archiving) == (len(ran.expired), len(ran.archived))
    assert {one.digest: one.action for one in shown.page} == {
        **{one.digest: "expire" for one in ran.expired},
        **{one.digest: "archive" for one in ran.archived},
    }
    assert min(shown.expiring, shown.archiving) > 10


async def test_a_run_that_is_broken_off_anywhere_goes_on_with_what_was_decided(deps, monkeypatch):
    """Rule 1 archives images that rule 2 counts: decided anew without them, the oldest would stay."""
    monkeypatch.setattr(lifecycle, "_BATCH", 1)
    steps = 0
    while True:
        shelf = await Shelf(deps, f"app{steps}").make()
        archived = await shelf.image("dev", hours=30)
        kept = [await shelf.image(f"t{hours}", hours=hours) for hours in (31, 32)]
        await shelf.image("oldest", hours=33)
        await put(shelf, policy({**PUSHED, "tagStatus": "tagged", "tagPrefixList": ["dev"]}, newest(3), archive=1))
        try:
            await run(shelf, pause=after(steps))
        except Break:
            await run(shelf)
        else:
            break
        steps += 1

        assert await shelf.statuses() == {archived: "ARCHIVED", **dict.fromkeys(kept, "ACTIVE")}, f"after {steps} steps"
    assert steps == 4


# --- what stays -------------------------------------------------------------------------------------------------------


async def test_an_image_that_is_used_is_not_archived(deps):
    shelf = await Shelf(deps).make()
    used, tagged = await shelf.image("a", hours=30), await shelf.image("b", hours=29)
    await shelf.image("c")
    await image_users.add(deps, REGISTRY, shelf.name, used, kind="service", user="web")
    await put(shelf, policy(newest(1), archive=1))
    decisions, _ = await lifecycle.explain(deps, REGISTRY, shelf.name)
    with pytest.raises(Break):
        await run(shelf, pause=after(1))
    await image_users.add(deps, REGISTRY, shelf.name, Tag("b"), kind="service", user="edge")
    ran = await run(shelf)

    assert set((await shelf.statuses()).values()) == {"ACTIVE"}
    assert ([one.digest for one in ran.spared], ran.archived) == ([tagged], [])
    reasons = {kept.digest: kept.reason for kept in decisions.kept}
    assert reasons[used].startswith("kept because service web uses it; else archived by rule 1")


@pytest.mark.parametrize("case", ["archived", "restored", "listed", "tagged"])
async def test_an_image_that_has_changed_since_stays_as_it_is(deps, case):
    shelf = await Shelf(deps).make()
    old = await shelf.image("old", hours=30)
    await shelf.image("new")
    if case == "restored":
        await shelf.was_archived(old, days=100)
    await put(shelf, policy(newest(1), IN_ARCHIVE, archive=1))
    with pytest.raises(Break):
        await run(shelf, pause=after(1))
    match case:
        case "archived" | "restored":
            target: StorageClass = "ARCHIVE" if case == "archived" else "STANDARD"
            await archiving.change(deps, REGISTRY, shelf.name, target, digest=old, by="the test")
        case "listed":
            await shelf.index(old, tags=("all",))
        case _:
            pulled = await images.get(deps, REGISTRY, shelf.name, old)
            await images.put(deps, REGISTRY, shelf.name, pulled.body, pulled.media_type, tags=[Tag("stable")])
    before = await shelf.statuses()
    ran = await run(shelf)

    assert ([one.digest for one in ran.spared], ran.archived, ran.expired) == ([old], [], [])
    assert await shelf.statuses() == before


async def test_a_signature_is_not_archived_without_its_subject(deps):
    shelf = await Shelf(deps).make()
    old = await shelf.image("old", hours=30)
    await shelf.referrer(old, hours=29)
    await shelf.image("new")
    await put(shelf, policy(newest(1), archive=1))
    with pytest.raises(Break):
        await run(shelf, pause=after(1))
    await image_users.add(deps, REGISTRY, shelf.name, old, kind="service", user="web")
    ran = await run(shelf)

    assert len(ran.spared) == 2
    assert set((await shelf.statuses()).values()) == {"ACTIVE"}


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_an_archived_image_is_on_record_and_a_fact(deps, facts):
    shelf = await Shelf(deps).make()
    old = await shelf.image("a", "b", hours=30)
    await shelf.image("c")
    await put(shelf, policy(newest(1), archive=1))
    await run(shelf)
    page = await deps.db.read(lambda tx: audit_log.page(tx, before=None, limit=9, matching={"principal": "lifecycle"}))
    [action] = page[0].event["serviceEventDetails"]["lifecycleEventImageActions"]
    [fact] = [one for one in facts if isinstance(one, ImageStorageClassChanged)]

    assert len(page) == 1
    assert (action["lifecycleEventImage"]["digest"], action["targetStorageClass"]) == (old, "ARCHIVE")
    assert action["reason"] == "archived by rule 1: 2 images in all, 1 is kept, this is the 2nd newest"
    assert (fact.digest, fact.tags, fact.target) == (old, ("a", "b"), "ARCHIVE")
    assert (fact.by, fact.rule_priority, fact.activated_at) == ("lifecycle", 1, None)
    assert (fact.registry, fact.repository) == (REGISTRY, shelf.name)


async def test_two_runs_at_once_archive_what_one_would(deps, monkeypatch, facts):
    monkeypatch.setattr(lifecycle, "_BATCH", 1)
    shelf = await Shelf(deps).make()
    for hours in range(9):
        await shelf.image(f"t{hours}", hours=hours)
    await put(shelf, policy(newest(3), archive=1))
    with pytest.raises(Break):
        await run(shelf, pause=after(1))
    await asyncio.gather(*(lifecycle.run(deps, shelf.id) for _ in range(2)))

    assert list((await shelf.statuses()).values()).count("ARCHIVED") == 6
    assert len([one for one in facts if isinstance(one, ImageStorageClassChanged)]) == 6, "each was archived once"
