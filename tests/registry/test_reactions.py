"""What is queued for those who listen, in the transaction of its cause; and that nothing is where nobody does."""

import dataclasses
import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from registry import images, lifecycle, repositories
from registry.context import Deps
from registry.errors import LayersNotFound
from registry.names import AccountId, Digest, Region, RepositoryName, Tag
from registry.reactions import DELIVER
from registry.records import deliveries, jobs, listeners
from registry.records.engine import Tx
from registry.records.listeners import Listener
from registry.repositories import Wish
from tests import builders, places
from tests.lifecycles import newest, policy
from tests.places import APP, ONE, REGISTRY, TWO, push_blob

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Told = tuple[str, str, str | None, str]


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with places.rooms(tmp_path / "data") as found:
        yield found


def hook(name: str = "hook", **more: Any) -> Listener:
    known: dict[str, Any] = {
        "id": 0,
        "kind": "webhook",
        "account": REGISTRY.account,
        "region": REGISTRY.region,
        "name": name,
        "url": "https://hook.example",
        "sealed_secret": b"",
        "types": (),
        "filters": (),
        "most_waiting": 100,
        "created_at": NOW,
    }
    return Listener(**{**known, **more})


async def listen(deps: Deps, new: Listener) -> int:
    added = await deps.db.write(lambda tx: listeners.insert(tx, new))
    assert added is not None
    return added.id


async def queued(deps: Deps, listener_id: int) -> list[Told]:
    """(kind, repository, tag, digest) of each event that waits, and their queues taken away."""

    def unit(tx: Tx) -> list[Told]:
        found = deliveries.first(tx, listener_id, limit=1000)
        deliveries.remove(tx, [one.id for one in found])
        return [
            (one.type, one.repository, event["detail"].get("image-tag"), event["detail"]["image-digest"])
            for one in found
            for event in [json.loads(one.event)]
        ]

    return await deps.db.write(unit)


async def waiting_jobs(deps: Deps) -> list[Any]:
    return await deps.db.read(lambda tx: jobs.page(tx, after=0, limit=100, kind=DELIVER))


async def push(deps: Deps, built: builders.Built, *tags: str, name: RepositoryName = APP) -> Digest:
    repository = await repositories.get(deps, REGISTRY, name)
    for blob in built.blobs:
        await push_blob(deps, repository, blob)
    named = [Tag(tag) for tag in tags]
    return (await images.put(deps, REGISTRY, name, built.body, built.media_type, tags=named)).image.digest


async def make(deps: Deps, name: RepositoryName = APP) -> int:
    return (await repositories.create(deps, REGISTRY, name, Wish())).id


# --- at every way in --------------------------------------------------------------------------------------------------


async def test_pushes_are_told_with_the_tags_that_they_gave(deps):
    heard = await listen(deps, hook())
    await make(deps)
    one = await push(deps, ONE)
    first = await queued(deps, heard)
    await push(deps, ONE, "a")
    again = await queued(deps, heard)
    await push(deps, ONE, "a", "b")
    more = await queued(deps, heard)
    two = await push(deps, TWO, "a")
    moved = await queued(deps, heard)
    await push(deps, TWO, "a")
    same = await queued(deps, heard)

    assert first == [("push", APP, None, one)]
    assert again == [("push", APP, "a", one)]
    assert more == [("push", APP, "b", one)]
    assert moved == [("push", APP, "a", two)]
    assert same == []


async def test_deletes_are_told_with_the_tags_that_they_took(deps):
    await make(deps)
    one, two = await push(deps, ONE, "a", "b"), await push(deps, TWO)
    heard = await listen(deps, hook())
    await images.delete_tag(deps, REGISTRY, APP, Tag("a"), last_takes_image=True)
    untagged = await queued(deps, heard)
    await images.delete_tag(deps, REGISTRY, APP, Tag("b"), last_takes_image=True)
    with_the_last = await queued(deps, heard)
    await images.delete(deps, REGISTRY, APP, two)
    by_digest = await queued(deps, heard)

    assert untagged == [("delete", APP, "a", one)]
    assert with_the_last == [("delete", APP, "b", one)]
    assert by_digest == [("delete", APP, None, two)]


async def test_a_repository_takes_its_images_along_and_says_so(deps):
    await make(deps)
    one, two = await push(deps, ONE, "a", "b"), await push(deps, TWO)
    heard = await listen(deps, hook())
    await repositories.delete(deps, REGISTRY, APP, force=True)
    told = await queued(deps, heard)

    assert sorted(told, key=str) == sorted(
        [("delete", APP, "a", one), ("delete", APP, "b", one), ("delete", APP, None, two)], key=str
    )


async def test_what_a_lifecycle_policy_takes_is_told_as_expired(deps):
    repository = await make(deps)
    one, _ = await push(deps, ONE, "a"), await push(deps, TWO)
    await lifecycle.put_policy(deps, REGISTRY, APP, policy(newest(1)))
    heard = await listen(deps, hook())
    await lifecycle.run(deps, repository)

    assert await queued(deps, heard) == [("expire", APP, "a", one)]


async def test_a_push_that_is_refused_is_not_told(deps):
    heard = await listen(deps, hook())
    await make(deps)
    with pytest.raises(LayersNotFound):
        await images.put(deps, REGISTRY, APP, ONE.body, ONE.media_type)

    assert await queued(deps, heard) == []
    assert await waiting_jobs(deps) == []


# --- who hears --------------------------------------------------------------------------------------------------------

ELSEWHERE = {"account": AccountId("111122223333"), "region": Region("eu-west-1")}


@pytest.mark.parametrize(
    ("more", "heard"),
    [
        ({}, 1),
        ({"types": ("push",)}, 1),
        ({"types": ("delete", "expire")}, 0),
        ({"filters": ("team/*",)}, 1),
        ({"filters": ("other/*", "*/app")}, 1),
        ({"filters": ("team",)}, 0),
        ({"filters": ("team/?pp",)}, 0),
        ({"paused": "by hand"}, 1),
        ({"account": ELSEWHERE["account"]}, 0),
        ({"region": ELSEWHERE["region"]}, 0),
        ({"kind": "log", "account": "", "region": ""}, 1),
    ],
    ids=str,
)
async def test_a_listener_hears_what_it_asked_for(deps, more, heard):
    listener = await listen(deps, hook(**more))
    await make(deps)
    await push(deps, ONE)

    assert len(await queued(deps, listener)) == heard


async def test_a_queue_has_one_job_however_long_it_is(deps):
    heard = await listen(deps, hook())
    await make(deps)
    await make(deps, RepositoryName("b" * 200))
    for tag in range(5):
        await push(deps, ONE, f"v{tag}")
        await push(deps, ONE, f"v{tag}", name=RepositoryName("b" * 200))
    found = await waiting_jobs(deps)

    assert len(await queued(deps, heard)) == 10
    assert sorted(str(job.payload["repository"]) for job in found) == ["b" * 200, "team/app"]


async def test_nothing_is_sent_to_who_is_paused(deps):
    await listen(deps, hook(paused="by hand"))
    await make(deps)
    await push(deps, ONE)

    assert await waiting_jobs(deps) == []


async def test_beyond_its_bound_a_queue_drops_what_is_new_and_counts_it(deps):
    heard = await listen(deps, hook(most_waiting=3))
    await make(deps)
    await push(deps, ONE, "a", "b", "c", "d", "e")
    await push(deps, ONE, "f")
    found = await deps.db.read(lambda tx: listeners.by_id(tx, heard))

    assert [tag for _, _, tag, _ in await queued(deps, heard)] == ["a", "b", "c"]
    assert found is not None and found.dropped == 3


# --- where nobody listens ---------------------------------------------------------------------------------------------


class Asked:
    """The database, with the statements of each unit that writes."""

    def __init__(self, db: Any) -> None:
        self._db, self.statements = db, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def write(self, unit: Any) -> Any:
        def counted(tx: Tx) -> Any:
            def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
                self.statements.append(statement)

            sa.event.listen(tx, "before_cursor_execute", note)
            try:
                return unit(tx)
            finally:
                sa.event.remove(tx, "before_cursor_execute", note)

        return await self._db.write(counted)


async def statements(deps: Deps, *, listening: bool) -> dict[str, list[str]]:
    """The statements of each change of an image."""
    name = RepositoryName("counted/" + ("heard" if listening else "unheard"))
    await make(deps, name)
    if listening:
        await listen(deps, hook())
    asked = Asked(deps.db)
    watched = dataclasses.replace(deps, db=asked)
    found: dict[str, list[str]] = {}

    async def note(what: str, change: Any) -> None:
        asked.statements.clear()
        await change
        found[what] = list(asked.statements)

    for built in (ONE, TWO):
        for blob in built.blobs:
            await push_blob(deps, await repositories.get(deps, REGISTRY, name), blob)
    for what, built in (("push", ONE), ("move", TWO)):
        put = images.put(watched, REGISTRY, name, built.body, built.media_type, tags=[Tag("a")])
        await note(what, put)
    await note("untag", images.delete_tag(watched, REGISTRY, name, Tag("a"), last_takes_image=False))
    await note("delete", images.delete(watched, REGISTRY, name, Digest(ONE.digest)))
    await note("delete repository", repositories.delete(watched, REGISTRY, name, force=True))
    return found


def of_events(asked: list[str]) -> list[str]:
    """Statements that would not be there without events: not the one that reads the repository anyway."""
    beside = [one for one in asked if not re.match(r"SELECT repositories\.", one)]
    return [one for one in beside if re.search(r"\b(listeners|deliveries|jobs)\b", one)]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["nobody", "of-another-account"])
async def test_where_nobody_listens_a_change_costs_no_statement_more(deps, elsewhere):
    if elsewhere:
        await listen(deps, hook("other", account=ELSEWHERE["account"]))
    alone = await statements(deps, listening=False)
    heard = await statements(deps, listening=True)

    assert {what: of_events(asked) for what, asked in alone.items()} == {what: [] for what in alone}
    assert all(of_events(heard[what]) for what in alone)
    assert all(len(heard[what]) > len(alone[what]) for what in alone)


async def test_somebody_who_begins_to_listen_hears_the_next_push(deps):
    """The repository was read, and kept, when nobody listened."""
    await make(deps)
    await push(deps, ONE)
    heard = await listen(deps, hook())
    await push(deps, TWO)

    assert [kind for kind, *_ in await queued(deps, heard)] == ["push"]
