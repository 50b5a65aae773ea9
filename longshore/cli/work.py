"""`longshore work`."""

import os
from pathlib import Path

import click

from longshore import config as configuration
from longshore.cli.options import with_data


@click.command()
@with_data
def work(data: Path | None, file: Path | None) -> None:
    """Work on jobs, and serve nothing.

    For work that shall not share a process with requests: set jobs.in_server to false for the server, and run one or
    more of these beside it.
    """
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore import observe, wiring, working

    listener = observe.set_up_logs(loaded.log)
    try:
        for warning in loaded.warnings:
            click.echo(f"longshore: {warning}", err=True)
        working.run(loaded, lambda: click.echo(f"longshore works on the jobs of {loaded.server.data}"))
    except wiring.CannotStart as error:
        raise click.ClickException(str(error)) from None
    finally:
        listener.stop()
