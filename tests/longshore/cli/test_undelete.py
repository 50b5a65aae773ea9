"""`longshore undelete`, `history`, `purge` and `repo protect`, on a data directory without a server."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry import images, repositories, undelete
from registry.context import Deps
from registry.names import Digest, RepositoryName, Tag, repository_arn
from registry.records import audit_log
from tests import builders, places
from tests.cli import Finished
from tests.commands import longshore
from tests.places import REGISTRY, database_of

APP = RepositoryName("team/app")
BUILT = builders.image(layers=[b"the layer of the one image"])
DIGEST = Digest(BUILT.digest)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def deps(data: Path) -> Iterator[Deps]:
    with places.rooms(data) as found:
        asyncio.run(fill(found))
        yield found


async def fill(deps: Deps) -> None:
    """An image with two tags, which is deleted."""
    made = await repositories.create(deps, REGISTRY, APP, repositories.Wish())
    for blob in BUILT.blobs:
        await places.push_blob(deps, made, blob)
    await images.put(deps, REGISTRY, APP, BUILT.body, BUILT.media_type, tags=[Tag("v1"), Tag("latest")])
    await images.delete(deps, REGISTRY, APP, DIGEST)


async def push_another(deps: Deps, tag: str) -> Digest:
    other = builders.image(config=BUILT.blobs[0], layers=[BUILT.blobs[1]], annotations={"n": "2"})
    return (await images.put(deps, REGISTRY, APP, other.body, other.media_type, tags=[Tag(tag)])).image.digest


async def tags(deps: Deps) -> list[Tag]:
    return await images.tag_page(deps, REGISTRY, APP, after="", limit=9)


@pytest.fixture
def command(cli, data: Path) -> Callable[..., Finished]:
    return lambda *arguments: cli(*map(str, arguments), "--data", str(data))


def facts(done: Finished) -> Any:
    return json.loads(done.out)


def test_a_repository_alone_lists_what_can_come_back(command, deps):
    told = facts(command("undelete", APP, "--output", "json"))
    lines = command("undelete", APP).out.splitlines()

    [one] = told["images"]
    assert (told["repository"], told["repositoryDeleted"]) == (APP, None)
    assert (one["digest"], one["tags"], one["cause"]) == (DIGEST, ["latest", "v1"], "deleted")
    assert one["deletedAt"] < one["until"]
    assert lines[0].split() == ["IMAGE", "TAGS", "SIZE", "DELETED", "(UTC)", "BY", "UNTIL", "(UTC)"]
    assert lines[1].split()[:3] == [DIGEST, "latest,", "v1"]
    assert asyncio.run(tags(deps)) == []


def test_a_dry_run_says_what_would_come_back(command, deps):
    done = command("undelete", f"{APP}:v1", "--dry-run")

    assert done.code == 0
    assert done.out.splitlines()[1].split() == [DIGEST, "latest,", "v1", "would", "come", "back"]
    assert asyncio.run(tags(deps)) == []


@pytest.mark.parametrize("reference", [f"@{DIGEST}", ":latest", "--all"], ids=["digest", "tag", "all"])
def test_it_brings_back_an_image(command, deps, reference):
    given = [APP, reference] if reference == "--all" else [f"{APP}{reference}"]
    told = facts(command("undelete", *given, "--output", "json"))

    assert told["images"] == [
        {"digest": DIGEST, "status": "undeleted", "tags": ["latest", "v1"], "taken": {}, "why": None}
    ]
    assert asyncio.run(tags(deps)) == ["latest", "v1"]


def test_a_tag_that_is_taken_is_told(command, deps):
    other = asyncio.run(push_another(deps, "latest"))
    done = command("undelete", f"{APP}@{DIGEST}")

    assert done.code == 0
    assert f"{APP}:latest names {other} by now, and is left as it is" in done.err
    assert done.out.splitlines()[1].split() == [DIGEST, "v1", "is", "back"]


def test_a_repository_comes_back_with_what_was_in_it(command, deps):
    other = asyncio.run(push_another(deps, "v2"))
    asyncio.run(repositories.delete(deps, REGISTRY, APP, force=True))
    refused = command("undelete", f"{APP}@{DIGEST}")
    listed = command("undelete", APP)
    done = command("undelete", APP, "--repository-too")

    assert refused.code == 1 and "--repository-too brings it back" in refused.err
    assert listed.out.startswith(f"{APP} was deleted at ")
    assert done.code == 0
    assert done.out.splitlines()[0] == f"the repository {APP} is there again"
    assert done.out.splitlines()[2].split() == [other, "v2", "is", "back"]
    assert asyncio.run(tags(deps)) == ["v2"]


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["undelete", f"{APP}:v9"], 1, f"No deleted image is kept as {APP}:v9: nothing is known of it"),
        (["undelete", "absent@" + DIGEST], 1, "nothing is known of it"),
        (["undelete", "absent", "--repository-too"], 1, "does not exist in the registry"),
        (["undelete", "NAME"], 2, "a repository name has"),
        (["undelete", f"{APP}@sha256:1"], 2, "a digest is sha256: or sha512:"),
        (["undelete", f"{APP}:v1", "--all"], 2, "--all goes with a REPOSITORY alone"),
        (["purge", APP], 2, "name the image by its digest"),
        (["purge", f"{APP}:v1"], 2, "name the image by its digest"),
        (["history", f"{APP}@{DIGEST}"], 2, "name the image by a tag"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_told_in_a_line(command, deps, arguments, code, why):
    told = command(*arguments)

    assert (told.code, told.out) == (code, "")
    assert why in told.err
    assert told.err.count("\n") == 1


def test_another_account_sees_nothing(command, deps):
    there = ["--account", "111111111111"]

    assert command("undelete", APP, *there).err == f"no deleted image of {APP} can be brought back\n"
    assert command("history", APP, *there).err == f"nothing is known of {APP}\n"
    assert command("undelete", f"{APP}@{DIGEST}", *there).code == 1
    assert command("purge", f"{APP}@{DIGEST}", *there).code == 1


def test_history_tells_who_did_what_and_goes_on(command, deps):
    command("undelete", f"{APP}:v1")
    told = facts(command("history", f"{APP}:v1", "--output", "json"))
    first = command("history", APP, "--limit", "2")
    [[*rest]] = [facts(command("history", APP, "--before", told[0]["id"], "--output", "json"))]

    assert [(one["event"], one["from"], one["to"], one["principal"]) for one in told] == [
        ("undeleted", None, DIGEST, "operator"),
        ("deleted", DIGEST, None, "longshore"),
        ("pushed", None, DIGEST, "longshore"),
    ]
    assert first.out.splitlines()[1].split()[2:] == ["undeleted", "v1", "-", DIGEST[:19], "operator"]
    assert first.err == f"longshore: there may be more: --before {told[0]['id'] - 1}\n"
    assert [one["id"] for one in rest] == sorted({one["id"] for one in rest}, reverse=True)
    assert len(rest) == 5


def test_a_purge_says_what_goes_and_what_stays(command, deps):
    asyncio.run(push_another(deps, "v2"))
    told = facts(command("purge", f"{APP}@{DIGEST}", "--output", "json"))
    again = command("purge", f"{APP}@{DIGEST}")

    assert told["images"] == [DIGEST]
    assert [one["digest"] for one in told["needed"]] == sorted(builders.digest_of(blob) for blob in BUILT.blobs)
    assert told["freed"] == []
    assert again.code == 1 and "operator purged it at" in again.err


def test_what_is_kept_is_part_of_what_is_used(command, deps):
    asyncio.run(push_another(deps, "v2"))  # which needs the same layers
    [shared] = facts(command("usage", "--repository", APP, "--output", "json"))["usage"]
    asyncio.run(repositories.delete(deps, REGISTRY, APP, force=True))
    [account] = facts(command("usage", REGISTRY.account, "--output", "json"))["usage"]
    table = command("usage", REGISTRY.account).out.splitlines()

    layers = sum(map(len, BUILT.blobs))
    assert shared["keptBytes"] == len(BUILT.body)
    assert account["keptBytes"] == layers + shared["keptBytes"] + shared["manifestBytes"]
    assert account["storedBytes"] == 0
    assert table[0].split()[-4:] == ["UNNEEDED", "KEPT", "QUOTA", "USED"]


def test_what_the_commands_change_is_on_record(command, deps):
    command("undelete", f"{APP}:v1", "--dry-run")
    command("undelete", f"{APP}:v1")
    command("repo", "protect", APP, "on")
    command("repo", "protect", APP, "off")
    asyncio.run(images.delete(deps, REGISTRY, APP, DIGEST))
    command("purge", f"{APP}@{DIGEST}")
    mine = {"principal": "operator"}
    entries = database_of(deps).read_here(lambda tx: audit_log.page(tx, before=None, limit=9, matching=mine))

    assert [entry.action.removeprefix("longshore:") for entry in reversed(entries)] == [
        "Undelete",
        "ProtectRepository",
        "ProtectRepository",
        "Purge",
    ]
    assert {entry.resource for entry in entries} == {repository_arn(REGISTRY, APP)}


def test_a_repository_is_protected_until_it_is_not(command, deps):
    before, on = command("repo", "protect", APP).out, command("repo", "protect", APP, "on").out
    refused = None
    try:
        asyncio.run(repositories.delete(deps, REGISTRY, APP, force=True))
    except Exception as error:
        refused = str(error)
    told = facts(command("repo", "protect", APP, "off", "--output", "json"))
    asyncio.run(repositories.delete(deps, REGISTRY, APP, force=True))

    assert (before, on) == (f"{APP} is not protected\n", f"{APP} is protected from deletion\n")
    assert refused is not None and f"`longshore repo protect {APP} off` ends that" in refused
    assert told == {"name": APP, "protected": False}


@pytest.mark.parametrize("what", ["kill", "error"])
def test_an_undelete_that_is_killed_has_not_been(deps, data, what):
    """P6: all or nothing; the next one does it."""
    done = longshore("undelete", f"{APP}:v1", "--data", data, LONGSHORE_FAILPOINT=f"undelete-rows:{what}")
    kept = asyncio.run(undelete.kept(deps, REGISTRY, APP)).images

    assert done.code == (-signal.SIGKILL if what == "kill" else 1)
    assert [one.digest for one in kept] == [DIGEST]
    assert asyncio.run(tags(deps)) == []
    assert longshore("undelete", f"{APP}:v1", "--data", data).code == 0
    assert asyncio.run(tags(deps)) == ["latest", "v1"]
