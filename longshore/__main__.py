"""`python -m longshore` and the `longshore` command."""

import importlib
import sys
from typing import Final

import click

COMMANDS: Final = {"serve": "longshore.cli.serve:serve"}


class _Lazy(click.Group):
    """Imports a command's module only when the command is called: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found


@click.group(cls=_Lazy)
@click.version_option(package_name="longshore")
def cli() -> None:
    """A container registry that AWS's own tools take for Amazon ECR."""


def main() -> None:
    """Run the command line; every failure is one line on standard error."""
    from longshore.config import ConfigError

    try:
        cli(prog_name="longshore")
    except ConfigError as error:
        click.echo(f"longshore: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
