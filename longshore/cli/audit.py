"""`longshore audit`: who changed what, and who was refused what."""

import datetime as dt
import functools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.options import with_data, with_output

if TYPE_CHECKING:
    from registry.records.audit_log import Entry

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGO: Final = re.compile(r"([0-9]{1,6})([smhd])")
_PAGE: Final = 500


def _moment(_ctx: click.Context, _param: click.Parameter, text: str | None) -> dt.datetime | None:
    """`90m`, `24h`, `7d` ago; or a date, or a date and time, in UTC where it names no zone."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return dt.datetime.now(dt.UTC) - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = dt.datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"'{text}' is neither like 90m, 24h, 7d nor a date like 2026-01-31") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


@click.command()
@click.option("--since", callback=_moment, help="From then on: 90m, 24h, 7d, or a date.")
@click.option("--principal", help="Only what this ARN did or was refused.")
@click.option("--action", help="Only this action, such as ecr:PutImage.")
@click.option("--resource", help="Only what was done to this ARN.")
@click.option("--denied", is_flag=True, help="Only refusals.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, the newest.")
@with_data
@with_output("table", "json")
def audit(
    since: dt.datetime | None,
    principal: str | None,
    action: str | None,
    resource: str | None,
    denied: bool,
    limit: int,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """Show changes and refusals, newest first.

    JSON has the whole records, in the field names of AWS CloudTrail.
    """
    wanted = {
        "principal": principal,
        "action": action,
        "resource": resource,
        "decision": "denied" if denied else None,
    }
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    found = _entries(loaded, since, {name: value for name, value in wanted.items() if value}, limit)
    if output == "json":
        answers.show_json([entry.event for entry in found])
        return
    rows = [
        (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.decision, entry.action, entry.principal, entry.resource, entry.source)
        for entry in found
    ]
    answers.show_table(
        ("TIME (UTC)", "DECISION", "ACTION", "PRINCIPAL", "RESOURCE", "SOURCE"), rows, empty="nothing is on record"
    )


def _entries(
    config: configuration.Config, since: dt.datetime | None, matching: dict[str, str], limit: int
) -> "list[Entry]":
    from longshore import wiring
    from registry.records import audit_log as rows

    found: list[Entry] = []
    try:
        with wiring.opened_rows(config) as db:
            while len(found) < limit:
                before, count = (found[-1].id if found else None), min(_PAGE, limit - len(found))
                page = db.read_here(
                    functools.partial(rows.page, before=before, limit=count, since=since, matching=matching)
                )
                found += page
                if len(page) < count:
                    break
    except wiring.CannotStart as error:
        raise click.ClickException(str(error)) from None
    return found
