"""`longshore gc`: take away what nothing needs any more, beside a running server or without one."""

import asyncio
import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.options import with_data, with_output
from longshore.cli.progress import Watch, showing, with_progress

if TYPE_CHECKING:
    from registry.collected import Collected, Tally


@click.command()
@with_data
@click.option("--dry-run", is_flag=True, help="Say what would go, exactly, and change nothing.")
@click.option("--force", is_flag=True, help="Collect even if the database looks older than the store.")
@with_progress
@with_output("table", "json")
def gc(data: Path | None, file: Path | None, dry_run: bool, force: bool, progress: bool, output: str) -> int:
    """Take away what nothing needs any more.

    Works beside a running server, with the settings that the server has: name the same file by --config. The exit code
    is 0 when all was done, and 1 when it was refused (see --force) or a store could not be reached.
    """
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore import collecting, wiring
    from longshore.stores import StoreUnusable

    warning = collecting.warning(loaded.gc)
    if warning:
        click.echo(f"longshore: {warning}", err=True)
    try:
        wiring.arm_failpoint(os.environ)
        with showing(progress) as watch:
            collected = run(loaded, dry_run=dry_run, force=force, watch=watch)
    except (wiring.CannotStart, StoreUnusable) as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        answers.show_json(facts(collected))
    else:
        show(collected)
    return 0 if collected.is_whole else 1


def run(config: configuration.Config, *, dry_run: bool, force: bool, watch: Watch) -> "Collected":
    """One pass over the data directory. Raises CannotStart, StoreUnusable."""
    from longshore import wiring
    from registry import chores
    from registry import gc as room

    now = dt.datetime.now(dt.UTC)
    with wiring.opened_with_stores(config) as (db, stores):
        if dry_run:
            work = room.collect(db, stores, config.gc, now=now, force=force, dry_run=True, watch=watch)
        else:
            work = chores.collect_now(db, stores, config.gc, now=now, force=force, watch=watch)
        return asyncio.run(stores.during(work))


# --- answers ----------------------------------------------------------------------------------------------------------


def show(collected: "Collected") -> None:
    """What went: a table of repositories, a line for each region, and a last line; of a refusal only why."""
    for reason in collected.unreachable:
        click.echo(f"longshore: left alone: {reason}", err=True)
    if collected.refused is not None:
        click.echo(f"longshore: {advice(collected.refused)}", err=True)
        if not collected.dry_run:
            return
    if collected.repositories:
        rows = [
            (one.registry.account, one.registry.region, one.name, str(one.layers.count), answers.size(one.layers.bytes))
            for one in collected.repositories
        ]
        answers.show_table(("ACCOUNT", "REGION", "REPOSITORY", "LAYERS", "SIZE"), rows, empty="")
    for region in collected.regions:
        parts = [
            _told(region.blobs, "blob"),
            _told(region.uploads, "unfinished upload"),
            _told(region.unnamed, "stored file") + " without a row" if region.unnamed.count else "",
            answers.count(region.parts, "part") + " of uploads that are over" if region.parts else "",
        ]
        said = ", ".join(part for part in parts if part) or "nothing"
        click.echo(f"{region.region}: {said} {'would go' if collected.dry_run else 'went'}")
        if region.held.count:
            click.echo(f"{region.region}: {_told(region.held, 'blob')} stay for images that can be undeleted")
        if region.failed:
            click.echo(f"longshore: {answers.count(region.failed, 'file')} could not be deleted yet", err=True)
    verb = "would be freed" if collected.dry_run else "freed"
    click.echo(f"{answers.size(collected.bytes)} {verb}, in {collected.seconds:.1f} s")


def advice(refused: str) -> str:
    """Why nothing was done, and what to do."""
    return (
        f"nothing was collected: {refused}. The database is likely older than the store: if it was restored from a "
        "backup, restore the newest one, or push again what is missing; `longshore check` lists such files. To delete "
        "them, run this again with --force"
    )


def _told(tally: "Tally", noun: str) -> str:
    return f"{answers.count(tally.count, noun)} ({answers.size(tally.bytes)})" if tally.count else ""


def facts(collected: "Collected") -> dict[str, Any]:
    """A pass for programs; the keys are promised."""
    return {
        "dryRun": collected.dry_run,
        "complete": collected.is_whole,
        "refused": None if collected.refused is None else advice(collected.refused),
        "bytes": collected.bytes,
        "regions": [
            {
                "region": one.region,
                "bytes": one.bytes,
                "blobs": _facts(one.blobs),
                "held": _facts(one.held),
                "uploads": _facts(one.uploads),
                "unnamed": _facts(one.unnamed),
                "parts": one.parts,
                "failed": one.failed,
            }
            for one in collected.regions
        ],
        "repositories": [
            {
                "account": one.registry.account,
                "region": one.registry.region,
                "repository": one.name,
                "layers": _facts(one.layers),
            }
            for one in collected.repositories
        ],
        "forgottenUploads": collected.forgotten_uploads,
        "unreachable": list(collected.unreachable),
        "seconds": round(collected.seconds, 3),
    }


def _facts(tally: "Tally") -> dict[str, int]:
    return {"count": tally.count, "bytes": tally.bytes}
