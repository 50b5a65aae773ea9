"""`longshore lifecycle`: policies carried out now, or what they would do and why, image by image."""

import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from longshore.cli import output as answers
from longshore.cli.options import with_data, with_output
from longshore.cli.rooms import in_rooms, registry_of, with_registry
from longshore.config import Config

if TYPE_CHECKING:
    from policies.lifecycle import Kept, Verdict
    from registry.context import Deps
    from registry.model import Repository
    from registry.names import RegistryRef


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What becomes of one image. `action`: expire, archive or keep."""

    repository: str
    digest: str
    tags: Sequence[str]
    action: str
    rule_priority: int | None
    reason: str

    @property
    def image(self) -> str:
        return f"{self.repository}:{self.tags[0]}" if self.tags else f"{self.repository}@{self.digest[:19]}"


@click.group()
def lifecycle() -> None:
    """Carry out lifecycle policies now, or say what they would do.

    The server carries them out by itself, every lifecycle.every_seconds.
    """


@lifecycle.command()
@click.argument("repository", required=False)
@click.option("--dry-run", is_flag=True, help="Take nothing away: say of every image what would become of it, and why.")
@click.option(
    "--policy",
    type=click.File(encoding="utf-8"),
    help="With --dry-run: this policy (`-`: standard input), not the repository's.",
)
@with_registry
@with_data
@with_output("table", "json")
def run(
    repository: str | None,
    dry_run: bool,
    policy: Any,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """Carry out the lifecycle policy of REPOSITORY; of all repositories of all registries where none is named."""
    if policy is not None and (repository is None or not dry_run):
        raise click.UsageError("--policy goes with --dry-run and a REPOSITORY")
    text = None if policy is None else policy.read()

    async def work(config: Config, deps: "Deps") -> list[_Line]:
        named = None if repository is None else (registry_of(config, account, region), repository)
        found: list[_Line] = []
        async for one in _repositories(deps, named):
            found += await (_explained(deps, one, text) if dry_run else _carried_out(deps, one))
        return found

    lines = in_rooms(data, file, work)
    if output == "json":
        answers.show_json({"dryRun": dry_run, "images": [_facts(line) for line in lines]})
        return
    table = [(line.image, line.action, str(line.rule_priority or "-"), line.reason) for line in lines]
    answers.show_table(("IMAGE", "ACTION", "RULE", "REASON"), table, empty="there is nothing to do")
    if lines:
        click.echo(_last_line(lines, dry_run))


def _last_line(lines: Sequence[_Line], dry_run: bool) -> str:
    going = answers.count(sum(line.action == "expire" for line in lines), "image")
    archived, kept = (sum(line.action == action for line in lines) for action in ("archive", "keep"))
    if dry_run:
        return f"{going} would expire, " + (f"{archived} go to the archive, " if archived else "") + f"{kept} kept"
    done = f"{going} expired" + (f", {archived} archived" if archived else "")
    return done + (f", {kept} changed meanwhile and kept until the next run" if kept else "")


async def _repositories(deps: "Deps", named: "tuple[RegistryRef, str] | None") -> "AsyncIterator[Repository]":
    from registry import lifecycle as room
    from registry import repositories
    from registry.names import BadName, RepositoryName

    if named is not None:
        try:
            yield await repositories.get(deps, named[0], RepositoryName.parse(named[1]))
        except BadName as error:
            raise click.BadParameter(error.why) from None
        return
    after = 0
    while (found := await room.next_repository(deps, after=after)) is not None:
        yield found
        after = found.id


async def _explained(deps: "Deps", repository: "Repository", text: str | None) -> list[_Line]:
    from registry import lifecycle as room

    decisions, images = await room.explain(deps, repository.registry, repository.name, text)
    decided: list[tuple[str, Verdict | Kept]] = [(verdict.action, verdict) for verdict in decisions.verdicts]
    decided += [("keep", kept) for kept in decisions.kept]
    return [
        _Line(
            repository=repository.name,
            digest=one.digest,
            tags=images[one.digest].tags,
            action=action,
            rule_priority=one.rule_priority,
            reason=one.reason,
        )
        for action, one in decided
    ]


async def _carried_out(deps: "Deps", repository: "Repository") -> list[_Line]:
    from registry import lifecycle as room

    await room.get_policy(deps, repository.registry, repository.name)  # there is one, or it is told that there is none
    ran = await room.run(deps, repository.id)
    if ran is None:
        raise click.ClickException(f"another run of {repository.name}'s policy is under way")
    return [
        _Line(
            repository=repository.name,
            digest=one.digest,
            tags=one.tags,
            action=action,
            rule_priority=one.rule_priority,
            reason=one.reason if action != "keep" else f"kept because it changed meanwhile; else {one.reason}",
        )
        for action, listed in (("expire", ran.expired), ("archive", ran.archived), ("keep", ran.spared))
        for one in listed
    ]


def _facts(line: _Line) -> dict[str, Any]:
    """An image for programs; the keys are promised."""
    return {
        "repository": line.repository,
        "digest": line.digest,
        "tags": list(line.tags),
        "action": line.action,
        "rulePriority": line.rule_priority,
        "reason": line.reason,
    }
