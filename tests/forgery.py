"""Tokens that a server would take for its own: made with its own keys, by who can read its data directory."""

import contextlib
from collections.abc import Iterator

from longshore import config, wiring
from registry.auth.sealing import Sealer
from registry.context import Deps
from tests.places import database_of
from tests.servers import RunningServer


@contextlib.contextmanager
def deps_of(server: RunningServer) -> Iterator[Deps]:
    """The parts of another process on the data of a running server."""
    deps = wiring.build(config.load(data=server.data, file=None, env=server.environment, flags={}), server.url)
    try:
        yield deps
    finally:
        database_of(deps).close()


def sealer_of(server: RunningServer) -> Sealer:
    with deps_of(server) as deps:
        return deps.sealer


def altered(text: str) -> Iterator[str]:
    """The text with one character changed, for every character in turn."""
    for at, character in enumerate(text):
        other = "B" if character == "A" else "A"
        yield f"{text[:at]}{other}{text[at + 1 :]}"
