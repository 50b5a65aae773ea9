"""`longshore login`: docker's login, for who has no AWS CLI.

Either a token now, which docker keeps for its twelve hours, or (`--save-host`) the access key for good, from which
`docker-credential-longshore` makes tokens whenever docker asks.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from longshore import hosts_file
from longshore.cli.access import connect, telling
from longshore.cli.options import with_data
from longshore.docker_config import DockerConfig, DockerConfigTrouble

if TYPE_CHECKING:
    from longshore.client import Client, Login

_HELPER: Final = "longshore"


@click.command()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option(
    "--docker-config",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of docker's configuration.  [default: $DOCKER_CONFIG, or ~/.docker]",
)
@click.option("--save-host", is_flag=True, help="Keep the access key, and have docker ask docker-credential-longshore.")
@with_data
def login(hosts: Sequence[str], directory: Path | None, save_host: bool, data: Path | None, file: Path | None) -> None:
    """Log docker in.

    The login is kept for the host by which the server calls its registry, and for each further HOST (with its port) by
    which images are named.
    """
    with telling():
        server = connect(data, file)
        made = server.login()
    names = list(dict.fromkeys([made.registry, *(host.lower() for host in hosts)]))
    docker = DockerConfig.of(directory, os.environ)
    try:
        lines = _save(server, docker, names) if save_host else _store(made, docker, names)
    except (DockerConfigTrouble, hosts_file.HostsTrouble) as error:
        raise click.ClickException(str(error)) from None
    for line in lines:
        click.echo(line)


def _store(made: "Login", docker: DockerConfig, names: Sequence[str]) -> list[str]:
    lines = []
    for host in names:
        if docker.helper_of(host) == _HELPER:
            lines.append(f"{host}: docker asks docker-credential-longshore, so there is nothing to keep")
            continue
        where = docker.store(host, made.user, made.password)
        lines.append(f"{host}: logged in until {made.expires_at.astimezone():%Y-%m-%d %H:%M}, kept in {where}")
    return lines


def _save(server: "Client", docker: DockerConfig, names: Sequence[str]) -> list[str]:
    if server.session_token:
        raise click.ClickException(
            "temporary credentials end too soon to be kept: log in without --save-host, or with an access key"
        )
    if shutil.which(f"docker-credential-{_HELPER}") is None:
        raise click.ClickException(
            "docker would not find docker-credential-longshore: put the directory of the `longshore` command on PATH"
        )
    file = hosts_file.path(os.environ)
    entry = {
        "endpoint": server.endpoint,
        "region": server.region,
        "accessKeyId": server.access_key_id,
        "secretAccessKey": server.secret,
        **({"ca": server.ca} if server.ca else {}),
    }
    hosts_file.save(file, names, entry)
    for host in names:
        docker.use_helper(host, _HELPER)
    return [f"{host}: key kept in {file}; {docker.file} names docker-credential-longshore" for host in names]
