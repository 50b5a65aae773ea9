"""Which store a region's new bytes go to, and what becomes of the one that they went to before: from start to start."""

import asyncio
import dataclasses
import datetime as dt
import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longshore import backup, restore, stores, wiring
from longshore import config as configuration
from longshore.backup import Made
from longshore.config import Config
from longshore.doctor import data as doctor
from longshore.wiring import CannotStart
from registry import gc, integrity, layers, relocation, repositories, uploads
from registry.context import Deps
from registry.errors import UploadNotFound
from registry.names import Digest, RepositoryName
from registry.options import Gc
from registry.records import blobs as rows
from registry.storage.base import BlobStore
from tests.places import REGION, REGISTRY, chunks, database_of, push_blob
from tests.s3_servers import TestBucket

OLD, NEW = b"what was there before" * 100, b"what came later" * 100
NAME = RepositoryName("team/app")


@dataclasses.dataclass
class House:
    """A data directory whose bytes lie here or there, from one start to the next."""

    data: Path
    bucket: TestBucket

    def config(self, main: str, previous: str = "", **more: str) -> Config:
        places = {"disk": {"kind": "disk"}, "bucket": {"kind": "s3"}, "below": {"kind": "s3", "prefix": "below"}}
        env: dict[str, str] = {}
        for table, place in (("", main), ("PREVIOUS__", previous)):
            if place:
                given = (
                    self.bucket.environment(**places[place]) if place != "disk" else {"LONGSHORE_STORAGE__KIND": place}
                )
                env |= {name.replace("STORAGE__", f"STORAGE__{table}"): value for name, value in given.items()}
        return configuration.load(data=self.data, file=None, env=env | more, flags={})

    def start(self, config: Config, work: Callable[[Deps], Any]) -> Any:
        """What `work` comes to in a process that was started so."""
        wiring.prepare(config, {}, "http://localhost:5000")
        deps = wiring.build(config, "http://localhost:5000")
        try:
            return asyncio.run(deps.stores.during(work(deps)))
        finally:
            database_of(deps).close()

    def refusal(self, config: Config) -> str:
        with pytest.raises(CannotStart) as caught:
            wiring.prepare(config, {}, "http://localhost:5000")
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def house(tmp_path: Path, bucket: TestBucket) -> House:
    return House(tmp_path / "data", bucket)


async def begun(deps: Deps) -> None:
    """A repository with one layer."""
    await push_blob(deps, await repositories.create(deps, REGISTRY, NAME, repositories.Wish()), OLD)


async def pushed(deps: Deps) -> None:
    await push_blob(deps, await repositories.get(deps, REGISTRY, NAME), NEW)


async def kept(deps: Deps, data: bytes) -> tuple[bool, str]:
    """Whether the store that the row names has these bytes, which no client gets from an archive; and which it is."""
    repository = await repositories.get(deps, REGISTRY, NAME)
    blob = await deps.db.read(lambda tx: rows.linked(tx, repository.id, Digest.of(data)))
    assert blob is not None
    store = deps.stores.holding(REGION, blob.store_id)
    return b"".join([piece async for piece in store.read(blob.key)]) == data, blob.store_id


async def read(deps: Deps, data: bytes) -> tuple[bool, str]:
    """Whether a client gets these bytes, and from which store."""
    repository = await repositories.get(deps, REGISTRY, NAME)
    opened = await layers.open_blob(deps, repository, Digest.of(data), whole=True)
    if opened.file is not None:
        with opened.file as file:
            return file.read() == data, opened.blob.store_id
    assert opened.read is not None
    return b"".join([piece async for piece in opened.read(0, len(data))]) == data, opened.blob.store_id


async def moved(deps: Deps) -> None:
    """Everything is where new bytes go."""
    repository = await repositories.get(deps, REGISTRY, NAME)
    for digest in (Digest.of(OLD), Digest.of(NEW)):
        blob = await deps.db.read(functools.partial(rows.linked, repository_id=repository.id, digest=digest))
        if blob is not None:
            await relocation.move(deps, REGION, blob.id, main_of(deps))


def main_of(deps: Deps) -> BlobStore:
    return deps.stores.of(REGION)


async def ids(deps: Deps) -> dict[str, str]:
    return {role: store_id for store_id, role in stores.roles(database_of(deps), REGION).items()}


def test_new_bytes_go_to_the_new_place_and_old_ones_are_read_at_the_old_one(house: House) -> None:
    house.start(house.config("disk"), begun)
    before = house.start(house.config("disk"), ids)

    async def work(deps: Deps) -> list[tuple[bool, str]]:
        await pushed(deps)
        return [await read(deps, OLD), await read(deps, NEW)]

    found = house.start(house.config("bucket", "disk"), work)
    now = house.start(house.config("bucket", "disk"), ids)
    assert now["previous"] == before["main"] != now["main"]
    assert found == [(True, now["previous"]), (True, now["main"])]


def test_there_and_back_and_there_again(house: House) -> None:
    house.start(house.config("disk"), begun)
    first = house.start(house.config("disk"), ids)["main"]
    house.start(house.config("bucket", "disk"), moved)
    second = house.start(house.config("bucket"), ids)
    house.start(house.config("disk", "bucket"), moved)
    back = house.start(house.config("disk"), ids)
    house.start(house.config("bucket", "disk"), moved)
    again = house.start(house.config("bucket"), ids)

    assert (list(second), back, again) == (["main"], {"main": first}, second)
    assert house.start(house.config("bucket"), lambda deps: read(deps, OLD)) == (True, second["main"])


def test_the_place_before_cannot_be_dropped_while_rows_name_it(house: House) -> None:
    house.start(house.config("disk"), begun)
    house.start(house.config("bucket", "disk"), pushed)

    said = house.refusal(house.config("bucket"))
    assert "storage.previous" in said and "longshore storage migrate" in said and REGION in said
    house.start(house.config("bucket", "disk"), moved)
    assert house.start(house.config("bucket"), lambda deps: read(deps, OLD))[0]


def test_bytes_do_not_move_on_before_they_have_arrived(house: House) -> None:
    house.start(house.config("disk"), begun)
    house.start(house.config("bucket", "disk"), pushed)

    assert "still moving" in house.refusal(house.config("below", "bucket"))
    house.start(house.config("bucket", "disk"), moved)
    house.start(house.config("below", "bucket"), moved)
    assert house.start(house.config("below"), lambda deps: read(deps, NEW))[0]


def test_a_place_that_the_bytes_never_lay_at_is_refused(house: House) -> None:
    house.start(house.config("disk"), begun)
    House(house.data.with_name("another"), house.bucket).start(house.config("disk"), ids)
    other = House(house.data.with_name("another"), house.bucket)
    other.start(other.config("bucket"), begun)

    assert "storage.previous leads to store" in house.refusal(house.config("below", "bucket"))
    assert "another installation's" in house.refusal(house.config("bucket", "disk"))


def test_a_place_before_without_anything_is_no_harm(house: House) -> None:
    house.start(house.config("disk"), begun)

    assert list(house.start(house.config("disk", "bucket"), ids)) == ["main"]
    fresh = House(house.data.with_name("fresh"), house.bucket)
    assert list(fresh.start(fresh.config("disk", "bucket"), ids)) == ["main"]


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_place_before_that_was_cleared_away_is_no_harm_once_nothing_is_needed_there(house: House, way: str) -> None:
    here, there = ("disk", "bucket") if way == "there" else ("bucket", "disk")
    house.start(house.config(here), begun)
    house.start(house.config(there, here), moved)
    if way == "there":
        shutil.rmtree(house.data / "blobs" / REGION)
    for key in house.bucket.all_keys() if way == "back" else ():
        house.bucket.client.delete_object(Bucket=house.bucket.name, Key=key)

    assert list(house.start(house.config(there, here), ids)) == ["main"]
    assert house.start(house.config(there, here), lambda deps: read(deps, OLD))[0]
    assert way == "there" or house.bucket.all_keys() == []


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_place_before_that_is_away_is_told(house: House, way: str) -> None:
    here, there = ("disk", "bucket") if way == "there" else ("bucket", "disk")
    house.start(house.config(here), begun)
    house.start(house.config(there, here), ids)
    if way == "there":
        shutil.move(house.data / "blobs" / REGION, house.data / "elsewhere")
    for key in house.bucket.all_keys() if way == "back" else ():
        house.bucket.client.delete_object(Bucket=house.bucket.name, Key=key)

    assert "are missing" in house.refusal(house.config(there, here))


@pytest.mark.parametrize("way", ["there", "back"])
def test_an_upload_that_was_open_when_the_place_changed_is_begun_again(house: House, way: str) -> None:
    here, there = ("disk", "bucket") if way == "there" else ("bucket", "disk")
    tickets: list[uploads.Ticket] = []

    async def begin(deps: Deps) -> None:
        await begun(deps)
        repository = await repositories.get(deps, REGISTRY, NAME)
        for bytes_sent in (b"the first half, ", b""):
            ticket = uploads.open_ticket(deps, repository, uploads.begin(deps, repository))
            tickets.append(ticket)
            if bytes_sent:
                await uploads.append(deps, repository, ticket, chunks(bytes_sent), start=None)

    async def go_on(deps: Deps) -> str:
        repository = await repositories.get(deps, REGISTRY, NAME)
        with pytest.raises(UploadNotFound):
            await uploads.append(deps, repository, tickets[0], chunks(b"the second"), start=16)
        done = await uploads.finish(deps, repository, tickets[1], Digest.of(NEW), chunks(NEW))
        return done.blob.store_id

    house.start(house.config(here), begin)
    stored = house.start(house.config(there, here), go_on)
    assert stored == house.start(house.config(there, here), ids)["main"]


def test_a_server_that_still_has_the_old_settings_does_not_write_half_of_an_upload(house: House) -> None:
    """Rows that speak of bytes elsewhere are no beginning of an upload here."""
    house.start(house.config("disk"), begun)
    tickets: list[uploads.Ticket] = []

    async def begin(deps: Deps) -> None:
        repository = await repositories.get(deps, REGISTRY, NAME)
        tickets.append(uploads.open_ticket(deps, repository, uploads.begin(deps, repository)))
        await uploads.append(deps, repository, tickets[0], chunks(b"half"), start=None)

    async def go_on(deps: Deps) -> None:
        repository = await repositories.get(deps, REGISTRY, NAME)
        with pytest.raises(UploadNotFound):
            await uploads.append(deps, repository, tickets[0], chunks(b"half"), start=4)

    wiring.prepare(house.config("bucket", "disk"), {}, "http://localhost:5000")
    old = wiring.build(house.config("disk"), "http://localhost:5000")
    try:
        old.stores._stores[REGION, "main"] = stores.open_store(  # as it was opened before the others were started
            house.config("bucket", "disk"), database_of(old), REGION, "previous"
        )
        asyncio.run(old.stores.during(begin(old)))
    finally:
        database_of(old).close()
    house.start(house.config("bucket", "disk"), go_on)


def test_an_archive_stays_where_it_is_said_to_be(house: House) -> None:
    """One on disk beside a bucket needs to be said: rows that name it are not met by an empty place."""

    async def archived(deps: Deps) -> None:
        await begun(deps)
        repository = await repositories.get(deps, REGISTRY, NAME)
        blob = await deps.db.read(lambda tx: rows.linked(tx, repository.id, Digest.of(OLD)))
        assert blob is not None
        await relocation.move(deps, REGION, blob.id, deps.stores.archive(REGION))

    house.start(house.config("disk"), archived)
    assert "are missing" in house.refusal(house.config("bucket", "disk"))
    said = house.config("bucket", "disk", LONGSHORE_STORAGE__ARCHIVE__KIND="disk")

    assert house.start(said, lambda deps: kept(deps, OLD))[0]


def test_an_archive_in_a_bucket_lies_below_the_prefix(house: House) -> None:
    async def archived(deps: Deps) -> list[str]:
        await begun(deps)
        repository = await repositories.get(deps, REGISTRY, NAME)
        blob = await deps.db.read(lambda tx: rows.linked(tx, repository.id, Digest.of(OLD)))
        assert blob is not None and house.bucket.all_keys("below/archive/") == []
        assert await relocation.move(deps, REGION, blob.id, deps.stores.archive(REGION)) == "moved"
        assert (await kept(deps, OLD))[0]
        return house.bucket.all_keys("below/archive/")

    found = house.start(house.config("below"), archived)
    assert [key.split("/")[:4] for key in found] == [
        ["below", "archive", REGION, "blobs"],
        ["below", "archive", REGION, "longshore-store.json"],
    ]


def test_buckets_of_archives_are_made_too(house: House) -> None:
    fresh = f"{house.bucket.name}-cold"
    config = house.config("bucket", LONGSHORE_STORAGE__ARCHIVE__BUCKET=fresh)
    made = asyncio.run(stores.make_buckets(config))

    assert sorted((fresh in name, new) for name, new in made.items()) == [(False, False), (True, True)]


# --- backups ----------------------------------------------------------------------------------------------------------


def back_up(config: Config, dest: Path) -> Made:
    return backup.make(config, dest, verify=False, watch=lambda step, done, total: None)


def restored(house: House, dest: Path, name: str) -> House:
    """What is restored of a backup, on disk."""
    found = House(house.data.with_name(name), house.bucket)
    restore.restore(found.config("disk"), dest, partial=False, watch=lambda step, done, total: None)
    return found


def sound(house: House) -> bool:
    with wiring.opened(house.config("disk")) as (db, opened):
        report = asyncio.run(integrity.check(db, opened, now=dt.datetime.now(dt.UTC), deep=True))
    return report.findings == () and report.blobs > 0


def test_a_backup_that_is_made_on_the_way_is_restored_into_one_place(house: House, tmp_path: Path) -> None:
    house.start(house.config("disk"), begun)
    first = back_up(house.config("disk"), tmp_path / "backup")
    house.start(house.config("bucket", "disk"), pushed)
    made = back_up(house.config("bucket", "disk"), tmp_path / "backup")
    back = restored(house, tmp_path / "backup", "back")

    assert (first.copied, made.copied) == (1, 1)  # what was copied at the place before is not copied again
    assert list(back.start(back.config("disk"), ids)) == ["main"]
    assert back.start(back.config("disk"), lambda deps: read(deps, OLD))[0]
    assert back.start(back.config("disk"), lambda deps: read(deps, NEW))[0] and sound(back)


def test_backups_go_on_when_the_bytes_have_moved(house: House, tmp_path: Path) -> None:
    house.start(house.config("disk"), begun)
    back_up(house.config("disk"), tmp_path / "backup")
    house.start(house.config("bucket", "disk"), moved)
    back_up(house.config("bucket", "disk"), tmp_path / "backup")
    house.start(house.config("bucket"), ids)
    made = back_up(house.config("bucket"), tmp_path / "backup")
    back = restored(house, tmp_path / "backup", "back")

    assert made.description.lost == 0 and sound(back)
    assert len(list((tmp_path / "backup").glob("*/*/??/*"))) == 1


def test_an_archive_is_backed_up_and_comes_back_as_one(house: House, tmp_path: Path) -> None:
    async def archived(deps: Deps) -> None:
        await begun(deps)
        await pushed(deps)
        repository = await repositories.get(deps, REGISTRY, NAME)
        blob = await deps.db.read(lambda tx: rows.linked(tx, repository.id, Digest.of(OLD)))
        assert blob is not None
        await relocation.move(deps, REGION, blob.id, deps.stores.archive(REGION))

    house.start(house.config("disk"), archived)
    before = house.start(house.config("disk"), ids)
    back_up(house.config("disk"), tmp_path / "backup")
    back = restored(house, tmp_path / "backup", "back")

    assert back.start(back.config("disk"), ids) == before
    assert back.start(back.config("disk"), lambda deps: kept(deps, OLD)) == (True, before["archive"]) and sound(back)


# --- who looks at all stores ------------------------------------------------------------------------------------------


def test_a_store_that_is_nearly_empty_is_no_sign_of_an_old_database(house: House) -> None:
    """What no row names is held against all bytes of the region."""
    house.start(house.config("disk"), begun)
    litter = house.data / "blobs" / REGION / "ab" / ("ab" + "0" * 30)
    litter.write_bytes(b"x" * 100)
    then = (dt.datetime.now(dt.UTC) - dt.timedelta(days=9)).timestamp()
    os.utime(litter, (then, then))
    house.start(house.config("bucket", "disk"), moved)

    async def collect(deps: Deps) -> tuple[str | None, int]:
        now = dt.datetime.now(dt.UTC) + dt.timedelta(hours=3)
        collected = await gc.collect(deps.db, deps.stores, Gc(), now=now)
        return collected.refused, collected.regions[0].unnamed.count

    assert house.start(house.config("bucket", "disk"), collect) == (None, 1)
    assert list((house.data / "blobs" / REGION).glob("??/*")) == []


def test_doctor_looks_at_each_store_and_writes_to_none_that_is_left(house: House) -> None:
    house.start(house.config("disk"), begun)
    house.start(house.config("bucket", "disk"), pushed)
    found = {one.look: one for one in doctor.looks(house.config("bucket", "disk"))}

    assert found[f"previous store {REGION}"].state == "ok"
    assert "migrate" in found[f"previous store {REGION}"].to_do
    assert found[f"store {REGION}"].state == "ok"
