"""The file of events: whole lines, in order, whatever was there and whoever moves it away."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import event_log
from registry.context import Deps
from registry.errors import StorageFull, StorageUnavailable
from registry.events import ImagePushed
from registry.names import Digest, RepositoryName, Tag
from registry.options import Events
from registry.reactions import LOG, emit
from registry.records import deliveries, jobs, listeners
from registry.records.listeners import Listener
from tests import places
from tests.places import REGISTRY, database_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def deps(tmp_path: Path, file: Path) -> Iterator[Deps]:
    with places.rooms(tmp_path / "data", events=Events(log_file=str(file))) as found:
        yield found


def log_of(deps: Deps) -> Listener | None:
    found = database_of(deps).read_here(listeners.every)
    return found[0] if found else None


async def push(deps: Deps, *tags: str) -> None:
    for tag in tags:
        fact = ImagePushed(
            at=deps.clock.now(),
            registry=REGISTRY,
            repository=RepositoryName("team/app"),
            digest=Digest("sha256:" + "0" * 64),
            tags=(Tag(tag),),
            media_type="m",
            artifact_type=None,
            subject=None,
        )
        await deps.db.write(lambda tx, fact=fact: emit(tx, fact))  # type: ignore[misc]


async def work(deps: Deps) -> None:
    log = log_of(deps)
    assert log is not None
    await event_log.write(deps, log.id, lambda: None)


def tags(file: Path) -> list[str]:
    return [json.loads(line)["detail"]["image-tag"] for line in file.read_text().splitlines()]


async def test_events_are_lines_in_the_order_of_their_causes(deps, file, monkeypatch):
    monkeypatch.setattr(event_log, "_BATCH", 3)
    await push(deps, *"abcdefgh")
    found = await deps.db.read(lambda tx: jobs.page(tx, after=0, limit=9, kind=LOG))
    await work(deps)
    log = log_of(deps)

    assert len(found) == 1
    assert tags(file) == list("abcdefgh")
    assert log is not None and log.delivered == 8
    assert await deps.db.read(lambda tx: deliveries.counts(tx)) == {}


async def test_the_file_may_be_moved_away_at_any_time(deps, file):
    await push(deps, "a")
    await work(deps)
    file.rename(file.with_suffix(".1"))
    await push(deps, "b")
    await work(deps)

    assert tags(file.with_suffix(".1")) == ["a"]
    assert tags(file) == ["b"]


def test_a_line_that_was_cut_off_stays_alone(file):
    file.write_text('{"whole": 1}\n{"cut": ')
    event_log.append(file, ['{"next": 1}'])

    assert file.read_text() == '{"whole": 1}\n{"cut": \n{"next": 1}\n'


def test_what_has_no_room_leaves_nothing_behind(file, monkeypatch):
    file.write_text("before\n")
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StorageFull):
        event_log.append(file, ["x" * 40])

    assert file.read_text() == "before\n"


def test_a_place_where_nothing_can_be_written_is_trouble_that_is_tried_again(tmp_path):
    with pytest.raises(StorageUnavailable):
        event_log.append(tmp_path / "nowhere" / "events.jsonl", ["x"])


def test_the_setting_of_the_last_start_holds(tmp_path):
    kept = []
    for log_file in ("", "a.jsonl", "b.jsonl", ""):
        with places.rooms(tmp_path / "data", events=Events(log_file=log_file)) as deps:
            kept.append(log_of(deps) is not None)

    assert kept == [False, True, True, False]
