"""Which server a command talks to: the one of `--data`, else the one of the environment, else ./longshore-data's."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from longshore import config as configuration
from longshore.keyfile import KeyFile, NoKey

if TYPE_CHECKING:
    from longshore.client import Client


def connect(data: Path | None, file: Path | None) -> "Client":
    """The server. Raises CallFailed, ClickException, ConfigError."""
    from longshore import client

    if data is None and file is None:
        found = client.from_environment()
        if found is not None:
            return found
    config = configuration.load(data=data, file=file, env=os.environ, flags={})
    key = key_of(config)
    return client.Client(
        endpoint=key.endpoint,
        region=key.region,
        access_key_id=key.access_key_id,
        secret=key.secret,
        ca=str(authority_of(config, key) or ""),
    )


def key_of(config: configuration.Config) -> KeyFile:
    """The root key in the data directory. Raises ClickException."""
    try:
        return KeyFile.read(Path(config.server.data))
    except NoKey as error:
        raise click.ClickException(str(error)) from None


def authority_of(config: configuration.Config, key: KeyFile) -> Path | None:
    """The file of our own authority, if a certificate that `longshore cert` made names the server's host."""
    where = urlsplit(key.endpoint)
    if where.scheme != "https":
        return None
    from longshore.certificates import authority_for

    directories = [Path(config.http.tls_cert).parent] if config.http.tls_cert else []
    for directory in [*directories, Path(config.server.data) / "tls"]:
        found = authority_for(directory, where.hostname or "")
        if found is not None:
            return found.absolute()
    return None


@contextlib.contextmanager
def telling(**hints: str) -> Iterator[None]:
    """Around calls: a failure becomes the command's, with a hint by the server's error code."""
    from longshore.client import CallFailed

    try:
        yield
    except CallFailed as error:
        hint = hints.get(error.code)
        raise click.ClickException(f"{error}; {hint}" if hint else str(error)) from None
