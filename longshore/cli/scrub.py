"""`longshore scrub`: read all stored bytes again, beside a running server or without one."""

import asyncio
import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.check import affected, image_facts
from longshore.cli.options import with_data, with_output
from longshore.cli.progress import Watch, showing, with_progress

if TYPE_CHECKING:
    from registry.scrub import Scrubbed

_MB: Final = 1_000_000


@click.command()
@with_data
@click.option(
    "--rate", type=click.FloatRange(min=0), default=0, help="Megabytes a second to read at most; 0: no limit."
)
@click.option("--afresh", is_flag=True, help="Begin anew where an earlier scrub was stopped half way.")
@with_progress
@with_output("table", "json")
def scrub(data: Path | None, file: Path | None, rate: float, afresh: bool, progress: bool, output: str) -> int:
    """Read all stored layers again, and mark those that rotted.

    Works beside a running server. A layer that is marked is unknown to clients until it is pushed again. A scrub that
    was stopped goes on where it was. The exit code is 0 when all bytes are right, and 1 when some are not.
    """
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore.stores import StoreUnusable
    from longshore.wiring import CannotStart

    try:
        with showing(progress) as watch:
            scrubbed = run(loaded, rate=int(rate * _MB), afresh=afresh, watch=watch)
    except (CannotStart, StoreUnusable) as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        answers.show_json(facts(scrubbed))
    else:
        show(scrubbed)
    return 0 if scrubbed.is_sound else 1


def run(config: configuration.Config, *, rate: int, afresh: bool, watch: Watch) -> "Scrubbed":
    """Scrub a data directory. `rate`: bytes a second. Raises CannotStart, StoreUnusable."""
    from longshore import wiring
    from registry import scrub as room

    with wiring.opened_with_stores(config) as (db, stores):
        work = room.scrub(db, stores, now=dt.datetime.now(dt.UTC), rate=rate, afresh=afresh, watch=watch)
        return asyncio.run(stores.during(work))


# --- answers ----------------------------------------------------------------------------------------------------------


def show(scrubbed: "Scrubbed") -> None:
    """What was found, as a table and a last line."""
    if scrubbed.troubles:
        rows = [
            (one.digest, one.why, "yes" if one.is_marked else "no", affected(one.images, one.image_count))
            for one in scrubbed.troubles
        ]
        answers.show_table(("BLOB", "FOUND", "MARKED", "AFFECTS"), rows, empty="")
    for reason in scrubbed.unreachable:
        click.echo(f"longshore: left alone: {reason}", err=True)
    parts = [
        f"read {answers.count(scrubbed.blobs, 'blob')} ({answers.size(scrubbed.bytes)}) in {scrubbed.seconds:.1f} s",
        f"{scrubbed.resumed_after} were read before" if scrubbed.resumed_after else "",
        f"{scrubbed.healed} that were marked are good" if scrubbed.healed else "",
        f"{scrubbed.trouble_count} bad: push one of the affected images again" if scrubbed.trouble_count else "",
    ]
    click.echo("; ".join(part for part in parts if part) + ("; all are right" if scrubbed.is_sound else ""))


def facts(scrubbed: "Scrubbed") -> dict[str, Any]:
    """A scrub for programs; the keys are promised."""
    return {
        "sound": scrubbed.is_sound,
        "blobs": scrubbed.blobs,
        "bytes": scrubbed.bytes,
        "resumedAfter": scrubbed.resumed_after,
        "healed": scrubbed.healed,
        "bad": scrubbed.trouble_count,
        "troubles": [
            {
                "digest": one.digest,
                "region": one.region,
                "key": one.key,
                "found": one.why,
                "marked": one.is_marked,
                "images": image_facts(one.images),
                "imageCount": one.image_count,
            }
            for one in scrubbed.troubles
        ],
        "unreachable": list(scrubbed.unreachable),
        "seconds": round(scrubbed.seconds, 3),
    }
