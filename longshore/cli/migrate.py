"""`longshore storage migrate`: bytes go from where they lay before to where new ones go, beside a running server."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.options import with_data, with_output
from longshore.cli.progress import Watch, showing, with_progress
from longshore.cli.rooms import in_rooms
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.emptying import Emptied
    from registry.names import Region

_LINE_SECONDS: Final = 30.0  # between two lines where no terminal shows how far it is


@click.command()
@click.option("--region", help="Only this region.  [default: all that have a place before]")
@click.option("--dry-run", is_flag=True, help="Move nothing: say what would be moved.")
@click.option(
    "--give-up-damaged",
    is_flag=True,
    help="Leave layers behind whose bytes are missing or damaged: they are unknown until they are pushed again.",
)
@with_progress
@with_data
@with_output("text", "json")
def migrate(
    region: str | None,
    dry_run: bool,
    give_up_damaged: bool,
    progress: bool,
    data: Path | None,
    file: Path | None,
    output: str,
) -> int:
    """Move all stored bytes to where new ones go, from where storage.previous says that they lay before.

    Works beside running servers, which were started with the same settings. One that was stopped goes on where it was.
    The exit code is 0 when no layer lies at the place before any more, and 1 when some do.
    """
    wanted = _region(region)
    _prepare(configuration.load(data=data, file=file, env=os.environ, flags={}))

    async def work(_config: Config, deps: "Deps") -> "list[Emptied]":
        from registry import emptying

        done = []
        for one in await emptying.regions(deps):
            if wanted in (None, one):
                with _watching(progress) as watch:
                    options = {"dry_run": dry_run, "give_up": give_up_damaged}
                    done.append(await emptying.empty(deps, one, **options, watch=watch))
        return done

    from registry.errors import Unavailable

    try:
        done = in_rooms(data, file, work)
    except Unavailable as error:
        why = f"a store does not do it: {error.__cause__ or error.message}"
        raise click.ClickException(f"{why}; run this again, and it goes on where it was") from None
    if output == "json":
        complete = all(one.is_whole for one in done)
        answers.show_json({"dryRun": dry_run, "complete": complete, "regions": [facts(one) for one in done]})
    else:
        show(done, dry_run=dry_run)
    return 0 if dry_run or all(one.is_whole for one in done) else 1


def _region(text: str | None) -> "Region | None":
    from registry.names import BadName, Region

    try:
        return None if text is None else Region.parse(text)
    except BadName as error:
        raise click.BadParameter(error.why) from None


def _prepare(config: Config) -> None:
    """Raises ClickException where new bytes still go to the place that is said to be the one before."""
    from longshore import stores, wiring
    from registry.storage.base import StoreMismatch

    try:
        wiring.arm_failpoint(os.environ)
        with wiring.opened_rows(config) as db:
            waiting = stores.awaiting_start(config, db)
    except (wiring.CannotStart, stores.StoreUnusable, StoreMismatch) as error:
        raise click.ClickException(str(error)) from None
    if waiting:
        raise click.ClickException(
            f"new bytes of region {waiting[0]} still go to the place that storage.previous names: start the servers "
            "with these settings first"
        )


# --- how far it is ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _watching(wanted: bool) -> Iterator[Watch]:
    """A function that is told how far it is: shown on a terminal, and elsewhere said now and then, for a log."""
    if not wanted or sys.stderr.isatty():
        with showing(wanted, amounts=True) as watch:
            yield watch
        return
    began = said = time.monotonic()

    def tell(step: str, done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _LINE_SECONDS and done:
            said, left = now, (total - done) * (now - began) / done
            click.echo(
                f"{step}: {answers.size(done)} of {answers.size(total)}, about {left / 60:.0f} min left", err=True
            )

    yield tell


# --- answers ----------------------------------------------------------------------------------------------------------


def show(done: "Sequence[Emptied]", *, dry_run: bool) -> None:
    """A few lines for each region."""
    if not done:
        click.echo("nothing lies in a place before: storage.previous may be dropped")
    for one in done:
        if dry_run:
            click.echo(f"{one.region}: {_amount(one.left, one.left_bytes)} would be moved")
            continue
        click.echo(f"{one.region}: {_amount(one.moved, one.moved_bytes)} moved in {one.seconds:.1f} s")
        if one.given_up:
            click.echo(f"{one.region}: {answers.count(one.given_up, 'damaged layer')} left behind")
        if one.failed:
            click.echo(
                f"longshore: {answers.count(one.failed, 'layer')} could not be moved yet: run this again", err=True
            )
        for digest in one.damaged:
            click.echo(f"longshore: {digest} is missing or damaged", err=True)
        if one.damaged_count:
            click.echo(
                f"longshore: {answers.count(one.damaged_count, 'layer')} cannot be moved: `longshore check` names the "
                "images; push them again and run this again, or leave them behind by --give-up-damaged",
                err=True,
            )
        if not one.is_whole:
            click.echo(f"{one.region}: {_amount(one.left, one.left_bytes)} still in the place before")
        elif one.buried:
            click.echo(
                f"{one.region}: nothing in the place before is needed any more. Garbage collection deletes "
                f"{_amount(one.buried, one.buried_bytes)} there two hours after they were moved, if storage.previous "
                "is still set then"
            )
        else:
            click.echo(f"{one.region}: nothing lies in the place before any more: storage.previous may be dropped")


def _amount(count: int, size: int) -> str:
    return f"{answers.count(count, 'layer')} ({answers.size(size)})"


def facts(emptied: "Emptied") -> dict[str, Any]:
    """One region for programs; the keys are promised."""
    return {
        "region": emptied.region,
        "moved": {"count": emptied.moved, "bytes": emptied.moved_bytes},
        "damaged": {"count": emptied.damaged_count, "digests": list(emptied.damaged)},
        "givenUp": emptied.given_up,
        "failed": emptied.failed,
        "left": {"count": emptied.left, "bytes": emptied.left_bytes},
        "buried": {"count": emptied.buried, "bytes": emptied.buried_bytes},
        "seconds": round(emptied.seconds, 3),
    }
