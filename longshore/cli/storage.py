"""`longshore storage`: where the bytes lie."""

import asyncio
import os
from pathlib import Path

import click

from longshore import config as configuration
from longshore.cli import output as answers
from longshore.cli.migrate import migrate
from longshore.cli.options import with_data, with_output


@click.group()
def storage() -> None:
    """Prepare the places where bytes lie, and move what lies there."""


storage.add_command(migrate)


@storage.command("make-buckets")
@with_data
@with_output("text", "json")
def make_buckets(data: Path | None, file: Path | None, output: str) -> None:
    """Make the bucket of every region that is set up, where there is none.

    Needs a key that may do so; the server itself never makes a bucket.
    """
    loaded = configuration.load(data=data, file=file, env=os.environ, flags={})
    from longshore import stores
    from registry.errors import StorageUnavailable

    try:
        made = asyncio.run(stores.make_buckets(loaded))
    except stores.StoreUnusable as error:
        raise click.ClickException(str(error)) from None
    except StorageUnavailable as error:
        raise click.ClickException(f"the S3 service does not do it: {error.__cause__ or error.message}") from None
    if output == "json":
        answers.show_json([{"bucket": bucket, "made": new} for bucket, new in made.items()])
    else:
        for bucket, new in made.items():
            click.echo(f"{bucket} {'was made' if new else 'is there'}")
