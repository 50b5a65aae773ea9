"""`longshore lifecycle` and `longshore image use`, on a data directory without a server."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry import lifecycle
from registry.context import Deps
from registry.names import Digest, repository_arn
from registry.records import audit_log
from tests import places
from tests.cli import Finished
from tests.lifecycles import Shelf, newest, policy
from tests.places import REGISTRY, database_of


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def deps(data: Path) -> Iterator[Deps]:
    with places.rooms(data) as found:
        yield found


async def fill(deps: Deps, name: str = "app") -> tuple[Shelf, list[Digest]]:
    """Three images, oldest first, of which the policy keeps one."""
    shelf = await Shelf(deps, name).make()
    found = [await shelf.image(tag, hours=hours) for tag, hours in (("one", 3), ("two", 2), ("three", 1))]
    await lifecycle.put_policy(deps, REGISTRY, shelf.name, policy(newest(1)))
    return shelf, found


@pytest.fixture
def command(cli, data: Path) -> Callable[..., Finished]:
    return lambda *arguments: cli(*map(str, arguments), "--data", str(data))


def facts(done: Finished) -> Any:
    return json.loads(done.out)


def test_a_dry_run_gives_a_reason_for_every_image_and_takes_none(command, deps):
    shelf, (one, two, three) = asyncio.run(fill(deps))
    told = facts(command("lifecycle", "run", "app", "--dry-run", "--output", "json"))
    lines = command("lifecycle", "run", "app", "--dry-run").out.splitlines()

    assert told["dryRun"] is True
    assert [(each["digest"], each["tags"], each["action"], each["rulePriority"]) for each in told["images"]] == [
        (one, ["one"], "expire", 1),
        (two, ["two"], "expire", 1),
        (three, ["three"], "keep", 1),
    ]
    assert told["images"][0]["reason"] == "expired by rule 1: 3 images in all, 1 is kept, this is the 3rd newest"
    assert lines[0].split() == ["IMAGE", "ACTION", "RULE", "REASON"]
    assert lines[1].split()[:3] == ["app:one", "expire", "1"]
    assert lines[-1] == "2 images would expire, 1 kept"
    assert len(asyncio.run(shelf.left())) == 3


def test_a_dry_run_tries_a_policy_that_nobody_put(command, deps, tmp_path):
    asyncio.run(fill(deps))
    file = tmp_path / "policy.json"
    file.write_text(policy(newest(2)))
    told = facts(command("lifecycle", "run", "app", "--dry-run", "--policy", file, "--output", "json"))

    assert [each["action"] for each in told["images"]] == ["expire", "keep", "keep"]


def test_a_run_takes_what_the_dry_run_said(command, deps):
    shelf, (one, two, three) = asyncio.run(fill(deps))
    asyncio.run(fill(deps, "beside"))
    told = facts(command("lifecycle", "run", "app", "--output", "json"))

    assert told["dryRun"] is False
    assert [each["digest"] for each in told["images"]] == [one, two]
    assert asyncio.run(shelf.left()) == {three}


def test_a_run_of_all_repositories(command, deps):
    shelves = [asyncio.run(fill(deps, name))[0] for name in ("first", "second")]
    asyncio.run(Shelf(deps, "without").make())
    told = command("lifecycle", "run")

    assert told.out.splitlines()[-1] == "4 images expired"
    assert [len(asyncio.run(shelf.left())) for shelf in shelves] == [1, 1]
    assert command("lifecycle", "run").err == "there is nothing to do\n"


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["absent"], 1, "The repository with name 'absent' does not exist"),
        (["bare"], 1, "Lifecycle policy does not exist for the repository with name 'bare'"),
        (["NAME"], 2, "a repository name has"),
        (["app", "--policy", "-"], 2, "--policy goes with --dry-run"),
        (["app", "--account", "1"], 2, "an account id is twelve digits"),
    ],
    ids=["no-repository", "no-policy", "no-name", "policy-without-dry-run", "no-account"],
)
def test_what_cannot_be_run_is_told_in_a_line(command, deps, arguments, code, why):
    asyncio.run(Shelf(deps, "bare").make())
    told = command("lifecycle", "run", *arguments)

    assert (told.code, told.out) == (code, "")
    assert why in told.err
    assert told.err.count("\n") == 1


# --- who uses images --------------------------------------------------------------------------------------------------


def test_an_image_that_is_used_is_kept(command, deps):
    shelf, (one, two, three) = asyncio.run(fill(deps))
    added = command("image", "use", "add", "app", "one", "--name", "web")
    command("image", "use", "add", "app", two, "--kind", "cluster", "--name", "edge", "--for", "24h")
    listed = facts(command("image", "use", "list", "app", "--output", "json"))
    table = command("image", "use", "list", "app").out.splitlines()
    removed = command("image", "use", "remove", "app", "--kind", "cluster", "--name", "edge")
    told = facts(command("lifecycle", "run", "app", "--dry-run", "--output", "json"))
    command("lifecycle", "run", "app")

    assert added.out == "service web uses app one\n"
    assert [(use["image"], use["kind"], use["name"], use["until"] is None) for use in listed] == [
        ("one", "service", "web", True),
        (two, "cluster", "edge", False),
    ]
    assert table[0].split() == ["IMAGE", "KIND", "NAME", "UNTIL", "(UTC)"]
    assert table[1].split() == ["one", "service", "web", "-"]
    assert removed.out == "cluster edge uses 1 image less\n"
    assert "kept because service web uses it; else expired by rule 1" in str(told)
    assert asyncio.run(shelf.left()) == {one, three}


def test_a_use_that_is_not_there_cannot_be_removed(command, deps):
    asyncio.run(Shelf(deps).make())
    told = command("image", "use", "remove", "app", "one", "--name", "web")

    assert (told.code, told.err) == (1, "longshore: service web uses no such image of app\n")
    assert command("image", "use", "list", "app").err == "nobody has said that they use an image of app\n"


def test_who_uses_an_image_is_on_record(command, deps):
    asyncio.run(Shelf(deps).make())
    command("image", "use", "add", "app", "one", "--name", "web", "--for", "24h")
    command("image", "use", "remove", "app", "one", "--name", "web")
    mine = {"principal": "operator"}
    entries = database_of(deps).read_here(lambda tx: audit_log.page(tx, before=None, limit=9, matching=mine))

    assert [entry.action for entry in entries] == ["longshore:RemoveImageUse", "longshore:AddImageUse"]
    assert {entry.resource for entry in entries} == {repository_arn(REGISTRY, "app")}
    assert (
        entries[1].event["requestParameters"].items() > {"kind": "service", "name": "web", "reference": "one"}.items()
    )
