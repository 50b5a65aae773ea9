"""How far a long command has come: a line on standard error, where that is a terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

Watch = Callable[[str, int, int], None]  # (what is being done, how far, of how much; 0: not known)


def with_progress(command: Callable[..., int]) -> Callable[..., int]:
    """`--no-progress`: argument `progress`."""
    return click.option(
        "--progress/--no-progress", default=True, help="Show how far it is, on a terminal.  [default: progress]"
    )(command)


@contextlib.contextmanager
def showing(wanted: bool, *, amounts: bool = False) -> Iterator[Watch]:
    """A function that is told how far things are. `amounts`: it is told bytes; they are shown, and the time left."""
    if not wanted or not sys.stderr.isatty():
        yield lambda step, done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description:<10}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    more = (DownloadColumn(), TimeRemainingColumn()) if amounts else ()
    with Progress(*columns, *more, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None)

        def watch(step: str, done: int, total: int) -> None:
            shown.update(task, description=step, completed=done, total=total or None)

        yield watch
