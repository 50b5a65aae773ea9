"""`longshore image use`: who needs which image, so that no lifecycle policy takes it away."""

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from longshore.cli import output as answers
from longshore.cli.naming import repository_of
from longshore.cli.operator import entry_of, on_record
from longshore.cli.options import with_data, with_output
from longshore.cli.rooms import in_rooms, registry_of, with_registry
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.image_users import Use
    from registry.names import Digest, Tag

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_FOR: Final = re.compile(r"([0-9]{1,6})([mhd])")
_KIND: Final = click.option(
    "--kind", default="service", show_default=True, help="What uses it: a service, a cluster, a release."
)
_NAME: Final = click.option("--name", required=True, help="Its name.")


@click.group()
def use() -> None:
    """Say who uses images, in the data directory itself: no lifecycle policy takes away what somebody uses."""


def _end(_ctx: click.Context, _param: click.Parameter, text: str | None) -> dt.timedelta | None:
    if text is None:
        return None
    found = _FOR.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"'{text}' is not like 90m, 24h, 7d")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})


@use.command()
@click.argument("repository")
@click.argument("reference")
@_KIND
@_NAME
@click.option("--for", "length", callback=_end, help="How long: 90m, 24h, 7d. Said again, it begins anew.")
@with_registry
@with_data
def add(
    repository: str,
    reference: str,
    kind: str,
    name: str,
    length: dt.timedelta | None,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
) -> None:
    """Keep the image of REPOSITORY that REFERENCE, a tag or a digest, names."""

    async def work(config: Config, deps: "Deps") -> "Use":
        from registry import image_users
        from registry.names import repository_arn

        until = None if length is None else deps.clock.now() + length
        ref = registry_of(config, account, region)
        named, meant = repository_of(repository), _reference(reference)
        told = entry_of(
            ref,
            "AddImageUse",
            resource=repository_arn(ref, named),
            reference=meant,
            kind=kind,
            name=name,
            until=until and until.isoformat(),
        )
        return await image_users.add(
            on_record(config, deps, told), ref, named, meant, kind=kind, user=name, until=until
        )

    added = in_rooms(data, file, work)
    end = "" if added.until is None else f" until {added.until:%Y-%m-%d %H:%M} UTC"
    click.echo(f"{added.kind} {added.name} uses {repository} {added.reference}{end}")


@use.command("list")
@click.argument("repository")
@with_registry
@with_data
@with_output("table", "json")
def list_(
    repository: str, account: str | None, region: str | None, data: Path | None, file: Path | None, output: str
) -> None:
    """List who uses images of REPOSITORY."""

    async def work(config: Config, deps: "Deps") -> "list[Use]":
        from registry import image_users

        return await image_users.of(deps, registry_of(config, account, region), repository_of(repository))

    found = in_rooms(data, file, work)
    if output == "json":
        answers.show_json([_facts(one) for one in found])
        return
    rows = [
        (one.reference, one.kind, one.name, "-" if one.until is None else f"{one.until:%Y-%m-%d %H:%M}")
        for one in found
    ]
    nothing = f"nobody has said that they use an image of {repository}"
    answers.show_table(("IMAGE", "KIND", "NAME", "UNTIL (UTC)"), rows, empty=nothing)


@use.command()
@click.argument("repository")
@click.argument("reference", required=False)
@_KIND
@_NAME
@with_registry
@with_data
def remove(
    repository: str,
    reference: str | None,
    kind: str,
    name: str,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
) -> None:
    """Let an image of REPOSITORY go, or all that somebody uses where there is no REFERENCE."""

    async def work(config: Config, deps: "Deps") -> int:
        from registry import image_users
        from registry.names import repository_arn

        ref, named = registry_of(config, account, region), repository_of(repository)
        meant = None if reference is None else _reference(reference)
        arn = repository_arn(ref, named)
        told = entry_of(ref, "RemoveImageUse", resource=arn, reference=reference, kind=kind, name=name)
        return await image_users.remove(on_record(config, deps, told), ref, named, meant, kind=kind, user=name)

    count = in_rooms(data, file, work)
    if not count:
        raise click.ClickException(f"{kind} {name} uses no such image of {repository}")
    click.echo(f"{kind} {name} uses {answers.count(count, 'image')} less")


def _reference(text: str) -> "Digest | Tag":
    from registry.names import BadName, Digest, Tag, is_digest

    try:
        return Digest.parse(text) if is_digest(text) else Tag.parse(text)
    except BadName as error:
        raise click.BadParameter(error.why) from None


def _facts(use: "Use") -> dict[str, Any]:
    """A use for programs; the keys are promised."""
    return {
        "image": use.reference,
        "kind": use.kind,
        "name": use.name,
        "until": use.until,
        "addedAt": use.added_at,
    }
