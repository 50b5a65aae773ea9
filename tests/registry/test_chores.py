"""Whose turn it is to collect, and what passes add up to."""

import datetime as dt
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry import chores, repositories
from registry.chores import GC
from registry.collected import Collected
from registry.context import Deps
from registry.model import Repository
from registry.names import RepositoryName
from registry.records import chores as rows
from tests.collecting import SPENT, Ground
from tests.places import REGISTRY, rooms

HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with rooms(tmp_path / "data") as found:
        yield found


@pytest.fixture
def ground(deps: Deps) -> Ground:
    return Ground(deps)


@pytest.fixture
async def repository(ground: Ground) -> Repository:
    return await repositories.create(ground.deps, REGISTRY, RepositoryName("team/app"), repositories.Wish())


async def when_due(ground: Ground) -> Collected | None:
    deps = ground.deps
    return await chores.collect_when_due(deps.db, deps.stores, ground.terms, now=ground.hands.time, every=HOUR)


async def by_command(ground: Ground, **options: Any) -> Collected:
    deps = ground.deps
    return await chores.collect_now(
        deps.db, deps.stores, ground.terms, now=ground.hands.time, watch=lambda step, done, total: None, **options
    )


async def taken_by_another(ground: Ground, *, until: dt.timedelta) -> None:
    now = ground.hands.time
    taking = functools.partial(rows.take, name=GC, holder="another", now=now, until=now + until)
    assert await ground.deps.db.write(taking)


async def test_a_pass_is_made_when_one_is_due(ground: Ground) -> None:
    assert await when_due(ground) is not None
    ground.wait(HOUR)
    assert await when_due(ground) is None
    ground.wait(MINUTE)

    assert await when_due(ground) is not None


async def test_while_another_is_at_it_there_is_nothing_to_do(ground: Ground) -> None:
    await taken_by_another(ground, until=2 * HOUR)
    ground.wait(HOUR + MINUTE)
    assert await when_due(ground) is None
    ground.wait(HOUR)

    assert await when_due(ground) is not None  # whoever was at it has not said so for long


async def test_who_is_at_it_says_so_again(ground: Ground) -> None:
    await taken_by_another(ground, until=MINUTE)
    until = ground.hands.time + 3 * HOUR
    await ground.deps.db.write(functools.partial(rows.keep, name=GC, holder="another", until=until))
    await ground.deps.db.write(functools.partial(rows.keep, name=GC, holder="a third", until=until + HOUR))
    ground.wait(2 * HOUR)
    assert await when_due(ground) is None
    ground.wait(HOUR + MINUTE)

    assert await when_due(ground) is not None


async def test_a_command_does_not_wait_for_another(ground: Ground, repository: Repository) -> None:
    await ground.push(repository, b"loose")
    ground.wait(SPENT)
    await taken_by_another(ground, until=HOUR)

    assert (await by_command(ground)).bytes == 5


async def test_what_passes_came_to_is_added_up(ground: Ground, repository: Repository) -> None:
    for data in (b"one", b"two!"):
        await ground.push(repository, data)
        ground.wait(SPENT)
        await by_command(ground)
    chore = await chores.figures(ground.deps.db)

    assert (chore.facts["passes"], chore.facts["blobs"], chore.facts["bytes"]) == (2, 2, 7)
    assert chore.facts["lastBytes"] == 4
    assert chore.ended_at is not None and chore.ended_at >= ground.hands.time
    assert chore.started_at == ground.hands.time


async def test_the_hold_ends_with_the_pass_also_when_it_fails(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> Collected:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr("registry.gc.collect", fail)
        with pytest.raises(RuntimeError):
            await when_due(ground)
    held = "SELECT holder FROM chores WHERE name = 'gc'"
    await ground.deps.db.write(lambda tx: None)  # behind what was only noted
    assert await ground.deps.db.read(lambda tx: tx.exec_driver_sql(held).scalar_one()) is None
    ground.wait(HOUR + MINUTE)

    assert await when_due(ground) is not None
