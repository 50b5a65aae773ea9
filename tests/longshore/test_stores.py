"""Which store a region's new bytes go to, and what becomes of the one that they went to before: from start to start."""

import asyncio
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longshore import config as configuration
from longshore import stores, wiring
from longshore.config import Config
from longshore.wiring import CannotStart
from registry import layers, relocation, repositories, uploads
from registry.context import Deps
from registry.errors import UploadNotFound
from registry.names import Digest, RepositoryName
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
    kept = house.config("bucket", "disk", LONGSHORE_STORAGE__ARCHIVE__KIND="disk")

    assert house.start(kept, lambda deps: read(deps, OLD))[0]


def test_an_archive_in_a_bucket_lies_below_the_prefix(house: House) -> None:
    async def archived(deps: Deps) -> list[str]:
        await begun(deps)
        repository = await repositories.get(deps, REGISTRY, NAME)
        blob = await deps.db.read(lambda tx: rows.linked(tx, repository.id, Digest.of(OLD)))
        assert blob is not None and house.bucket.all_keys("below/archive/") == []
        assert await relocation.move(deps, REGION, blob.id, deps.stores.archive(REGION)) == "moved"
        assert (await read(deps, OLD))[0]
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
