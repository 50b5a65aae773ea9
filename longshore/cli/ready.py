"""`longshore ready`: does the server answer? For the health checks of containers, where no other client is."""

import os
from pathlib import Path

import click

from longshore import config as configuration
from longshore.cli.options import with_data


@click.command()
@with_data
def ready(data: Path | None, file: Path | None) -> int:
    """Say whether the server that is set up here answers.

    Asks the port that the configuration names whether rows and bytes can be reached. The exit code is 0 when they can.
    """
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore.doctor import outside

    finding = outside.local(loaded)
    click.echo(f"{finding.found}{f': {finding.to_do}' if finding.to_do else ''}")
    return 0 if finding.state == "ok" else 1
