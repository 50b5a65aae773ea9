"""`longshore config`: what is set, whether it can be used, and what there is to set."""

import os
from pathlib import Path

import click

from longshore import config as configuration
from longshore import reference as pages
from longshore.cli.options import with_data, with_output
from longshore.cli.output import show_json


@click.group()
def config() -> None:
    """Show and check the configuration."""


@config.command()
@with_data
@with_output("toml", "json")
def show(data: Path | None, file: Path | None, output: str) -> None:
    """Show what holds in the end, with secrets hidden."""
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    _warn(loaded)
    tree = pages.shown(loaded)
    if output == "json":
        show_json(tree)
    else:
        click.echo(pages.as_toml(tree), nl=False)


@config.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check(file: Path) -> None:
    """Say whether a server could use FILE here, with the environment as it is."""
    _warn(configuration.load(data=None, file=file, env=os.environ, flags={}))
    click.echo(f"{file} can be used")


@config.command()
def reference() -> None:
    """Print the page of all settings, as Markdown."""
    click.echo(pages.render_reference(), nl=False)


@config.command()
def example() -> None:
    """Print a configuration file with every setting, each behind a `#`."""
    click.echo(pages.render_example(), nl=False)


def _warn(loaded: configuration.Config) -> None:
    for warning in loaded.warnings:
        click.echo(f"longshore: {warning}", err=True)
