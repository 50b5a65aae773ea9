"""How commands answer: tables for people, JSON for programs, on standard output and nothing else there."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Final

import click

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def show_json(value: object) -> None:
    """One JSON document; times as ISO 8601 in UTC."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    raise TypeError(type(value).__name__)


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """A table; `empty` is said, on standard error, where there are no rows."""
    if not rows:
        click.echo(empty, err=True)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        # Into a pipe or a file every row is one line, however long: rich would fold it at 80 characters.
        widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
        console = Console(highlight=False, width=sum(widths) + 2 * len(widths))
    console.print(table)


def size(count: int) -> str:
    """A number of bytes for people: `3.4 MB`, in powers of 1000 as docker shows them."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def count(number: int, noun: str) -> str:
    """`1 blob`, `2 blobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def age(then: dt.datetime, now: dt.datetime) -> str:
    """How long ago, in the largest unit that is full: `3 hours ago`."""
    seconds = max((now - then).total_seconds(), 0)
    for unit, length in (("year", 31536000), ("month", 2592000), ("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
