"""`longshore storage migrate`: what it says, to people and to programs, and when it refuses."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from longshore import config as configuration
from longshore import wiring
from registry import repositories
from registry.names import RepositoryName
from tests.places import REGION, REGISTRY, database_of, flip, push_blob
from tests.s3_servers import TestBucket

ONE, TWO = b"one layer" * 1000, b"another" * 1000


class House:
    """A data directory with two layers on its disk, that shall go to a bucket."""

    def __init__(self, data: Path, bucket: TestBucket) -> None:
        self.data, self.bucket = data, bucket

    @property
    def moving(self) -> dict[str, str]:
        return {**self.bucket.environment(), "LONGSHORE_STORAGE__PREVIOUS__KIND": "disk"}

    def start(self, env: dict[str, str]) -> None:
        wiring.prepare(configuration.load(data=self.data, file=None, env=env, flags={}), {}, "http://localhost:5000")

    def files(self) -> list[Path]:
        return sorted((self.data / "blobs" / REGION).glob("??/*"))


@pytest.fixture
def house(tmp_path: Path, bucket: TestBucket) -> House:
    found = House(tmp_path / "data", bucket)
    found.start({})
    deps = wiring.build(configuration.load(data=found.data, file=None, env={}, flags={}), "http://localhost:5000")

    async def fill() -> None:
        made = await repositories.create(deps, REGISTRY, RepositoryName("team/app"), repositories.Wish())
        for data in (ONE, TWO):
            await push_blob(deps, made, data)

    asyncio.run(fill())
    database_of(deps).close()
    return found


def migrate(cli: Any, house: House, *arguments: str, **more: str) -> Any:
    return cli("storage", "migrate", "--data", str(house.data), *arguments, **{**house.moving, **more})


def test_it_waits_for_a_server_that_knows_the_new_place(cli, house: House) -> None:
    refused = migrate(cli, house)

    assert refused.code == 1 and REGION in refused.err and "start the servers with these settings first" in refused.err
    assert len(house.files()) == 2


def test_a_dry_run_says_what_would_be_moved(cli, house: House) -> None:
    house.start(house.moving)
    said = migrate(cli, house, "--dry-run")
    told = json.loads(migrate(cli, house, "--dry-run", "--output", "json").out)

    assert (said.code, said.out) == (0, f"{REGION}: 2 layers (16 kB) would be moved\n")
    assert (told["dryRun"], told["complete"], told["regions"][0]["left"]) == (True, False, {"count": 2, "bytes": 16000})
    assert house.bucket.all_keys(f"{REGION}/blobs/") == []


def test_everything_is_moved_and_then_nothing_is_left_to_do(cli, house: House) -> None:
    house.start(house.moving)
    done = migrate(cli, house)
    assert (done.code, done.err) == (0, "")
    assert f"{REGION}: 2 layers (16 kB) moved" in done.out and "is needed any more" in done.out
    again = migrate(cli, house, "--output", "json")
    assert (again.code, json.loads(again.out)["complete"], json.loads(again.out)["regions"][0]["moved"]["count"]) == (
        0,
        True,
        0,
    )
    assert json.loads(again.out)["regions"][0]["buried"] == {"count": 2, "bytes": 16000}

    assert len(house.bucket.all_keys(f"{REGION}/blobs/")) == 2
    house.start(house.bucket.environment())  # without the place before
    left = cli("storage", "migrate", "--data", str(house.data), **house.bucket.environment())
    assert (left.code, left.out) == (0, "nothing lies in a place before: storage.previous may be dropped\n")


def test_one_region_alone_may_be_moved(cli, house: House) -> None:
    house.start(house.moving)
    other = migrate(cli, house, "--region", "eu-west-1")
    assert (other.code, other.out) == (0, "nothing lies in a place before: storage.previous may be dropped\n")
    assert migrate(cli, house, "--region", "Mars").code == 2

    assert migrate(cli, house, "--region", REGION).code == 0
    assert len(house.bucket.all_keys(f"{REGION}/blobs/")) == 2


def test_damaged_layers_stay_until_they_are_given_up(cli, house: House) -> None:
    house.start(house.moving)
    flip(house.files()[0])
    done = migrate(cli, house)
    assert done.code == 1 and "1 layer cannot be moved" in done.err and "is missing or damaged" in done.err
    assert "still in the place before" in done.out
    given_up = migrate(cli, house, "--give-up-damaged", "--output", "json")

    assert (given_up.code, json.loads(given_up.out)["regions"][0]["givenUp"], json.loads(given_up.out)["complete"]) == (
        0,
        1,
        True,
    )
    house.start(house.bucket.environment())
    checked = cli("check", "--data", str(house.data), "--output", "json", **house.bucket.environment())
    assert {one["kind"] for one in json.loads(checked.out)["findings"]} == {"blob-missing"}


def test_a_store_that_is_away_is_told_in_one_line(cli, house: House) -> None:
    house.start(house.moving)
    refused = migrate(cli, house, LONGSHORE_STORAGE__BUCKET="not-there-at-all")

    assert refused.code == 1 and refused.err.count("\n") == 1 and "goes on where it was" in refused.err
