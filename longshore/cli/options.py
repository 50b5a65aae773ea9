"""Options that several commands have, each written once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

Decorated = Callable[[Callable[..., Any]], Callable[..., Any]]

_DATA: Final = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data directory of the server.  [default: ./longshore-data]",
)
_CONFIG: Final = click.option(
    "--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file (TOML)."
)


def with_data(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--data` and `--config`: arguments `data` and `file`, both of `Path | None`."""
    return _DATA(_CONFIG(command))


def with_output(*forms: str) -> Decorated:
    """`--output`: argument `output`, one of `forms`; the first is the default."""
    return click.option(
        "--output", type=click.Choice(forms), default=forms[0], show_default=True, help="Form of the answer."
    )
