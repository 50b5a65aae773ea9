"""`longshore env`: the variables that point AWS's tools at a server, for `eval "$(longshore env)"`."""

import os
import shlex
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from longshore import config as configuration
from longshore.cli.access import authority_of, key_of
from longshore.cli.options import with_data, with_output
from longshore.cli.output import show_json

# What another account's login may have left in the shell, and which would go before or along with the key.
_LEFTOVERS: Final = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


@click.command()
@with_data
@with_output("sh", "json")
def env(data: Path | None, file: Path | None, output: str) -> None:
    """Print the variables that point AWS's tools at a server.

    For aws, boto3, Terraform and docker on the server's own machine: eval "$(longshore env)"
    """
    config = configuration.load(data=data, file=file, env=os.environ, flags={})
    key = key_of(config)
    authority = authority_of(config, key)
    variables = {
        "AWS_ENDPOINT_URL_ECR": key.endpoint,
        "AWS_ENDPOINT_URL_IAM": key.endpoint,
        "AWS_ENDPOINT_URL_STS": key.endpoint,
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": key.region,
        "AWS_DEFAULT_REGION": key.region,
        **({"AWS_CA_BUNDLE": str(authority)} if authority is not None else {}),
        "ECR_REGISTRY": urlsplit(key.endpoint).netloc,
    }
    if output == "json":
        show_json(variables)
        return
    click.echo(f"unset {' '.join(_LEFTOVERS)}")
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
