"""The server's own passes: when they come, what is said of them, and a clock that jumps."""

import asyncio
import dataclasses
import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import collecting
from registry import chores
from registry.context import Deps
from registry.errors import DatabaseUnavailable
from registry.options import Gc, Settings
from tests.collecting import Hands
from tests.places import rooms


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with rooms(tmp_path / "data") as found:
        yield found


def with_terms(deps: Deps, **terms: int) -> Deps:
    return dataclasses.replace(deps, clock=Hands(), settings=Settings(gc=Gc(**terms)))


@pytest.mark.parametrize(("seconds", "warns"), [(0, True), (3599, True), (3600, False), (86400, False)])
def test_a_short_grace_period_is_warned_of(seconds: int, warns: bool) -> None:
    assert (collecting.warning(Gc(grace_seconds=seconds)) is not None) is warns


def test_a_clock_that_jumps_ahead_ends_no_grace_period(deps: Deps) -> None:
    """F32: the passes of a running server go by the time that really passed."""
    deps = with_terms(deps)
    assert isinstance(deps.clock, Hands)
    steady, start = collecting._Steady(deps), deps.clock.time
    deps.clock.time += dt.timedelta(days=1)
    assert dt.timedelta() <= steady.now() - start < dt.timedelta(minutes=1)
    deps.clock.time = start - dt.timedelta(hours=1)

    assert steady.now() == deps.clock.time


async def passes(deps: Deps, count: int) -> None:
    """Return when the server's own task has made so many passes."""
    async with collecting.going_on(deps), asyncio.timeout(20):
        while (await chores.figures(deps.db)).facts.get("passes", 0) < count:  # noqa: ASYNC110 # a row
            await asyncio.sleep(0.05)


async def test_a_failure_is_told_and_the_next_pass_comes(
    deps: Deps, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deps, failures = with_terms(deps, interval_seconds=1), [RuntimeError("odd"), DatabaseUnavailable()]
    real, monotonic = chores.collect_when_due, iter(range(1, 1000))

    async def sometimes(*arguments: Any, now: dt.datetime, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(*arguments, now=now + dt.timedelta(seconds=2 * next(monotonic)), **options)

    monkeypatch.setattr(chores, "collect_when_due", sometimes)
    with caplog.at_level(logging.WARNING, "longshore.collecting"):
        await passes(deps, 1)

    assert failures == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


async def test_a_refusal_is_told(deps: Deps, caplog: pytest.LogCaptureFixture) -> None:
    deps = with_terms(deps, interval_seconds=1, refuse_percent=0)
    region = next(iter(await deps.db.read(lambda tx: list(tx.exec_driver_sql("SELECT region FROM stores").scalars()))))
    path = deps.stores.of(region).path("ab" + "0" * 30)
    assert path is not None
    path.write_bytes(b"of another time")
    assert isinstance(deps.clock, Hands)
    deps.clock.time += dt.timedelta(hours=2)
    with caplog.at_level(logging.ERROR, "longshore.collecting"):
        await passes(deps, 1)

    assert any("nothing was collected" in record.getMessage() for record in caplog.records)
    assert path.exists()


async def test_without_an_interval_there_are_no_passes(deps: Deps) -> None:
    async with collecting.going_on(with_terms(deps, interval_seconds=0)):
        await asyncio.sleep(0)

    assert (await chores.figures(deps.db)).started_at is None
