"""What all tests share: a running server, and the count of real parts."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.builders import unique_name
from tests.servers import RunningServer

Start = Callable[..., RunningServer]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for every test that needs nothing of its own but a repository: use the `repository` fixture."""
    server = RunningServer(tmp_path_factory.mktemp("server") / "data")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ecr(shared_server: RunningServer) -> Iterator[Any]:
    """A boto3 client of the shared server: making one costs more than a call."""
    with shared_server.client() as client:
        yield client


@pytest.fixture
def repository(shared_server: RunningServer) -> str:
    """A new repository on the shared server."""
    name = unique_name()
    shared_server.create(name)
    return name


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a server of the test's own: `start_server("--workers", "2", LONGSHORE_...="...")`."""
    started: list[RunningServer] = []

    def start(*arguments: str, data: Path | None = None, **environment: str) -> RunningServer:
        server = RunningServer(data or tmp_path / f"data{len(started)}", *arguments, **environment)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


# --- real parts -------------------------------------------------------------------------------------------------------


def _parts_of(item: pytest.Item) -> list[str]:
    return [str(mark.args[0]) for mark in item.iter_markers("real")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for part in _parts_of(item):
        reason = parts.missing(part)
        if reason is not None:
            (pytest.fail if parts.must_be_there(part) else pytest.skip)(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call" and report.passed:
        report.user_properties.extend(("real", part) for part in _parts_of(item))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        parts.passed.update(str(value) for name, value in report.user_properties if name == "real")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("real parts: passed tests that each took part in")
    for line in parts.summary():
        terminalreporter.write_line(line)
