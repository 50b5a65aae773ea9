"""Scrubbing on rows and files: what is found, what is marked, what is healed, and where a stopped one goes on."""

import asyncio
import datetime as dt
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from longshore import wiring
from registry import scrub
from registry.errors import StorageUnavailable
from registry.scrub import Scrubbed
from registry.storage.base import Stores
from registry.storage.disk import DiskStore
from tests import builders
from tests.damage import hide_harm
from tests.places import LAYER, ONE, REGION, TOP, Place, flip, make

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
DIGEST = builders.digest_of(LAYER)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    make(tmp_path / "data")
    return Place(tmp_path / "data")


def run(place: Place, kind: type[DiskStore] = DiskStore, **options: Any) -> Scrubbed:
    with wiring.opened(place.config) as (db, _):
        stores = Stores(lambda region, role: kind(place.store, REGION))
        return asyncio.run(scrub.scrub(db, stores, now=NOW, **options))


def test_what_is_right_is_left_as_it_is(place: Place) -> None:
    before = place.sql("SELECT * FROM blobs")
    scrubbed = run(place)

    assert scrubbed.is_sound
    assert scrubbed.blobs == 4
    assert scrubbed.bytes == len(LAYER) + len(TOP) + len(ONE.blobs[0]) * 2
    assert place.sql("SELECT * FROM blobs") == before


def rot(place: Place) -> None:
    flip(place.file_of(LAYER))
    hide_harm(place.data, DIGEST)


HARM = {
    "rot without a trace": (rot, "other bytes"),
    "cut": (lambda place: os.truncate(place.file_of(LAYER), 5), "cut short"),
    "longer": (lambda place: os.truncate(place.file_of(LAYER), 5000), "other bytes"),
    "gone": (lambda place: place.file_of(LAYER).unlink(), "missing"),
}


@pytest.mark.parametrize(("harm", "found"), HARM.values(), ids=HARM)
def test_harm_is_found_marked_and_told_with_the_images_that_need_it(place: Place, harm: Any, found: str) -> None:
    harm(place)
    scrubbed = run(place)

    [trouble] = scrubbed.troubles
    assert (trouble.digest, trouble.why, trouble.is_marked, trouble.region) == (DIGEST, found, True, REGION)
    assert trouble.image_count == 3
    assert {"1.0", "latest"} <= {tag for image in trouble.images for tag in image.tags}
    assert place.sql("SELECT digest FROM blobs WHERE damaged") == [(DIGEST,)]
    assert not scrubbed.is_sound


def test_a_marked_blob_whose_bytes_are_back_is_served_again(place: Place) -> None:
    file = place.file_of(LAYER)
    aside = file.rename(file.with_name("aside"))
    assert not run(place).is_sound
    aside.rename(file)
    scrubbed = run(place)

    assert (scrubbed.is_sound, scrubbed.healed) == (True, 1)
    assert place.sql("SELECT count(*) FROM blobs WHERE damaged") == [(0,)]
    assert place.check().unverified == 0


def test_a_marked_blob_that_is_still_bad_is_told_again(place: Place) -> None:
    flip(place.file_of(LAYER))

    assert run(place).trouble_count == 1
    assert run(place).trouble_count == 1


def test_a_copied_store_is_known_as_verified_afterwards(place: Place) -> None:
    place.sql("UPDATE blobs SET identity = NULL")
    run(place)

    assert place.check().unverified == 0


def test_bytes_that_cannot_be_read_now_are_not_marked(place: Place) -> None:
    class Broken(DiskStore):
        async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
            raise StorageUnavailable from OSError(5, "Input/output error")
            yield b""  # type: ignore[unreachable] # makes it a generator

    scrubbed = run(place, Broken)

    assert {(trouble.why, trouble.is_marked) for trouble in scrubbed.troubles} == {("unreadable", False)}
    assert place.sql("SELECT count(*) FROM blobs WHERE damaged") == [(0,)]


def test_bytes_that_are_only_out_of_sight_are_not_marked(place: Place) -> None:
    class Hiding(DiskStore):
        async def is_lost(self, key: str) -> bool:
            return False

    place.file_of(LAYER).unlink()
    [trouble] = run(place, Hiding).troubles

    assert (trouble.why, trouble.is_marked) == ("missing", False)


def test_a_blob_that_was_replaced_or_collected_while_it_was_read_is_no_trouble(place: Place) -> None:
    class Late(DiskStore):
        async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
            place.sql("UPDATE blobs SET key = 'ffff' || id WHERE key = ?", key)
            yield b"other bytes"

    scrubbed = run(place, Late)

    assert (scrubbed.blobs, scrubbed.is_sound) == (4, True)


# --- stopped, and gone on with ----------------------------------------------------------------------------------------


class Stopped(Exception):
    pass


def stop_after(place: Place, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrub that ends in the middle of a blob."""
    seen: list[str] = []

    class Ending(DiskStore):
        async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
            seen.append(key)
            if len(seen) > count:
                raise Stopped
            async for piece in super().read(key, start, stop):
                yield piece

    monkeypatch.setattr(scrub, "_NOTE_SECONDS", 0)
    with pytest.raises(Stopped):
        run(place, Ending)


def test_one_that_was_stopped_goes_on_where_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(place, 3, monkeypatch)
    second, third = run(place), run(place)

    assert (second.blobs, second.resumed_after) == (1, 3)
    assert (third.blobs, third.resumed_after) == (4, 0)


def test_afresh_is_from_the_beginning(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(place, 3, monkeypatch)
    scrubbed = run(place, afresh=True)

    assert (scrubbed.blobs, scrubbed.resumed_after) == (4, 0)


def test_the_rate_is_kept(place: Place) -> None:
    began = time.monotonic()
    scrubbed = run(place, rate=10_000)

    assert time.monotonic() - began >= 0.9 * scrubbed.bytes / 10_000
