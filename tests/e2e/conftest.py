"""Real clients and what they work on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import unique_name
from tests.engines import Docker, Engine, Relay
from tests.servers import RunningServer
from tests.workers import WORKERS


@pytest.fixture(scope="session")
def relay() -> Iterator[Relay]:
    """The proxy by which clients reach this machine under a name that nobody resolves."""
    relay = Relay()
    yield relay
    relay.close()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, relay: Relay) -> Iterator[Engine]:
    """One dockerd for all tests that need one."""
    engine = Engine(tmp_path_factory.mktemp("engine") / "d", relay)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def docker(engine: Engine, tmp_path: Path) -> Docker:
    """A docker command that is logged in nowhere."""
    return Docker(engine, tmp_path / "docker")


@pytest.fixture(scope="session")
def workers_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server of several processes, for tests that leave it as they found it."""
    server = RunningServer(tmp_path_factory.mktemp("workers") / "data", "--workers", str(WORKERS))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> RunningServer:
    """A running server: of one process, unless the test is marked `both`."""
    several = getattr(request, "param", 1) > 1
    found: RunningServer = request.getfixturevalue("workers_server" if several else "shared_server")
    return found


@pytest.fixture
def repository(server: RunningServer) -> str:
    """The name of a repository of the test's own."""
    name = unique_name()
    server.create(name)
    return name
