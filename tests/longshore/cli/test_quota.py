"""`longshore quota` and `longshore usage`, on a data directory without a server."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.cli.quota import bytes_of
from registry import images, repositories
from registry.context import Deps
from registry.names import AccountId, RegistryRef, RepositoryName
from tests import places
from tests.builders import Built, image
from tests.cli import Finished
from tests.places import REGISTRY, Place, push_blob

BASE = b"b" * 5000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def deps(data: Path) -> Iterator[Deps]:
    with places.rooms(data) as found:
        yield found


@pytest.fixture
def command(cli, data: Path, deps: Deps) -> Callable[..., Finished]:
    """On data with two repositories that share a layer, and one of another account that has it too."""
    other = RegistryRef(AccountId("111111111111"), REGISTRY.region)
    for registry, name in ((REGISTRY, "one"), (REGISTRY, "two"), (other, "one")):
        asyncio.run(fill(deps, registry, name, image(layers=[BASE, name.encode() * 100])))
    return lambda *arguments: cli(*map(str, arguments), "--data", str(data))


async def fill(deps: Deps, registry: RegistryRef, name: str, built: Built) -> None:
    made = await repositories.create(deps, registry, RepositoryName(name), repositories.Wish())
    for blob in built.blobs:
        await push_blob(deps, made, blob)
    await images.put(deps, registry, made.name, built.body, built.media_type)


def facts(done: Finished) -> Any:
    assert done.code == 0, done.err
    return json.loads(done.out)


# --- usage ------------------------------------------------------------------------------------------------------------


def test_an_account_holds_what_its_repositories_hold_without_what_they_share(command):
    accounts = facts(command("usage", "--output", "json"))["usage"]
    each = facts(command("usage", REGISTRY.account, "--by", "repository", "--output", "json"))["usage"]

    assert [(one["account"], one["images"]) for one in accounts] == [(REGISTRY.account, 2), ("111111111111", 1)]
    assert [one["repository"] for one in each] == ["one", "two"]
    assert accounts[0]["storedBytes"] == sum(one["storedBytes"] for one in each) - len(BASE)
    assert accounts[0]["describedBytes"] == sum(one["describedBytes"] for one in each)
    assert [one["sharedBytes"] for one in each] == [len(BASE) + 300, len(BASE)]  # one layer is another account's too


def test_a_page_ends_and_the_next_one_goes_on(command):
    first = facts(command("usage", "--by", "repository", "--limit", "2", "--output", "json"))
    second = facts(command("usage", "--by", "repository", "--after", first["next"], "--output", "json"))

    assert [len(first["usage"]), len(second["usage"]), second["next"]] == [2, 1, None]
    assert "--after" in command("usage", "--limit", "1").err


def test_the_table_tells_the_share_of_the_quota(command):
    command("quota", "set", "one", "--bytes", "20kB")
    [used] = facts(command("usage", "--repository", "one", "--output", "json"))["usage"]
    titles, row = command("usage", "--repository", "one").out.splitlines()

    assert titles.split()[2:] == ["REPOSITORY", "IMAGES", "STORED", "SHARED", "UNNEEDED", "KEPT", "QUOTA", "USED"]
    assert row.split()[-3:] == ["20", "kB", f"{used['neededBytes'] * 100 // 20_000}%"]


# --- quotas -----------------------------------------------------------------------------------------------------------


def test_quotas_are_set_listed_and_removed_on_record(command):
    made = facts(command("quota", "set", "one", "--bytes", "20GiB", "--images", "7", "--output", "json"))
    command("quota", "set", "--account", "111111111111", "--bytes", "unlimited")
    of_repositories = facts(command("quota", "list", "--of", "repositories", "--output", "json"))["quotas"]
    of_accounts = facts(command("quota", "list", "--output", "json"))["quotas"]
    removed = facts(command("quota", "remove", "one", "--output", "json"))
    freed = facts(command("quota", "remove", "--account", "111111111111", "--output", "json"))
    after = facts(command("quota", "list", "--of", "repositories", "--output", "json"))["quotas"]
    entries = facts(command("audit", "--output", "json"))

    assert (made["repository"], made["bytes"], made["images"]) == ("one", 20 * 1024**3, 7)
    assert made["used"]["images"] == 1
    assert of_repositories == [made]
    assert [(one["account"], one["bytes"]) for one in of_accounts] == [("111111111111", None)]
    assert removed == {"account": REGISTRY.account, "region": REGISTRY.region, "repository": "one"}
    assert freed == {"account": "111111111111", "region": None, "repository": None}
    assert after == []
    assert [one["eventName"] for one in entries] == ["RemoveQuota", "RemoveQuota", "SetQuota", "SetQuota"]
    assert entries[3]["requestParameters"] == {"bytes_allowed": 20 * 1024**3, "images_allowed": 7}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "one"), "say how much: --bytes, --images or both"),
        (("set", "one", "--bytes", "lots"), "'lots' is not like 500MB, 20GiB, 1000000 or unlimited"),
        (("set", "one", "--images", "-1"), "'-1' is not a number above 0 or unlimited"),
        (("set", "absent", "--bytes", "1GB"), "The repository with name 'absent' does not exist"),
        (("set", "--region", "eu-west-1", "--bytes", "1GB"), "an account's quota spans all regions"),
        (("remove", "one"), "no quota was set for one; `longshore quota list` shows those that were"),
    ],
    ids=["nothing said", "no size", "no number", "no repository", "a region of an account", "nothing to remove"],
)
def test_what_cannot_be_is_one_line_that_says_why(command, arguments, said):
    done = command("quota", *arguments)

    assert done.code != 0
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("1000000", 10**6), ("5kB", 5000), ("5KiB", 5120), ("1.5GB", 1_500_000_000), ("2 TiB", 2 * 1024**4)],
)
def test_sizes_are_written_as_people_write_them(text, size):
    assert bytes_of(None, None, text) == size  # type: ignore[arg-type] # click's own, which it does not look at


def test_a_count_that_is_wrong_is_found_and_set_right(command, data):
    command("quota", "set", "one", "--bytes", "1GB")
    command("quota", "set", "--bytes", "1GB")
    before = command("check")
    Place(data).sql("UPDATE repository_quotas SET needed_bytes = needed_bytes + 7")
    found = command("check")
    repaired = command("quota", "recount")
    after = command("check")
    nothing = (command("quota", "recount").out, facts(command("quota", "recount", "--output", "json")))
    Place(data).sql("UPDATE account_quotas SET images = images + 1")
    again = facts(command("quota", "recount", "--output", "json"))

    assert (before.code, found.code, after.code) == (0, 1, 0)
    assert "quota" in found.out
    assert "longshore quota recount" in found.out
    assert repaired.out == "1 count set right\n"
    assert nothing == ("all counts were right\n", {"setRight": 0})
    assert again == {"setRight": 1}
