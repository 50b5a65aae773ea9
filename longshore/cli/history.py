"""`longshore history`: what became of the tags of a repository, and by whom."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from longshore.cli import output as answers
from longshore.cli.naming import image_of
from longshore.cli.options import with_data, with_output
from longshore.cli.rooms import in_rooms, registry_of, with_registry
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.records.history import Entry

_PAGE: Final = 500
_SHORT: Final = 19  # characters of a digest, as people know it


@click.command()
@click.argument("image", metavar="REPOSITORY[:TAG]")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, the newest.")
@click.option("--before", type=click.IntRange(1), help="Only what was before the entry of this id: the next page.")
@with_registry
@with_data
@with_output("table", "json")
def history(
    image: str,
    limit: int,
    before: int | None,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """Show who made which tag name what, and when.

    Of all tags of a repository, or of one, newest first. A repository that is deleted keeps its history.
    """
    from registry.names import Digest

    name, tag = image_of(image)
    if isinstance(tag, Digest):
        raise click.UsageError("name the image by a tag: REPOSITORY:TAG")

    async def work(config: Config, deps: "Deps") -> "list[Entry]":
        from registry import history as room

        found: list[Entry] = []
        while len(found) < limit:
            last, count = (found[-1].id if found else before), min(_PAGE, limit - len(found))
            page = await room.page(deps, registry_of(config, account, region), name, tag, before=last, limit=count)
            found += page
            if len(page) < count:
                break
        return found

    entries = in_rooms(data, file, work)
    if output == "json":
        answers.show_json([_facts(name, entry) for entry in entries])
        return
    rows = [
        (
            f"{entry.at:%Y-%m-%d %H:%M:%S}",
            entry.change.event,
            entry.change.tag or "-",
            _short(entry.change.before),
            _short(entry.change.after),
            entry.doer.principal,
        )
        for entry in entries
    ]
    titles = ("TIME (UTC)", "EVENT", "TAG", "FROM", "TO", "BY")
    answers.show_table(titles, rows, empty=f"nothing is known of {image}")
    if len(entries) == limit:
        click.echo(f"longshore: there may be more: --before {entries[-1].id}", err=True)


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest[:_SHORT]


def _facts(name: str, entry: "Entry") -> dict[str, Any]:
    """An entry for programs; the keys are promised."""
    return {
        "id": entry.id,
        "at": entry.at,
        "repository": name,
        "event": entry.change.event,
        "tag": entry.change.tag,
        "from": entry.change.before,
        "to": entry.change.after,
        "principal": entry.doer.principal,
        "requestId": entry.doer.request_id,
    }
