"""What all tests share: a running server, and the count of real parts."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import parts, s3_servers
from tests.builders import unique_name
from tests.s3_relay import Relay
from tests.s3_servers import S3Service, TestBucket
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


# --- S3 ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def s3_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], S3Service]]:
    """A function that gives the one running S3 server of a kind."""
    running: dict[str, S3Service] = {}

    def service_of(kind: str) -> S3Service:
        if kind not in running:
            service = S3Service(kind, tmp_path_factory.mktemp(kind) / "objects")
            service.start()
            running[kind] = service
        return running[kind]

    yield service_of
    for service in running.values():
        service.stop()


@pytest.fixture(scope="session", params=s3_servers.KINDS)
def s3_service(request: pytest.FixtureRequest, s3_services: Callable[[str], S3Service]) -> S3Service:
    """A running S3 server."""
    return s3_services(request.param)


@pytest.fixture
def new_bucket_of(s3_services: Callable[[str], S3Service]) -> Callable[[str], TestBucket]:
    """A function that makes a bucket on the server of a kind."""
    return lambda kind: s3_servers.new_bucket(s3_services(kind))


@pytest.fixture
def bucket(s3_service: S3Service) -> TestBucket:
    """A bucket of the test's own on it."""
    return s3_servers.new_bucket(s3_service)


@pytest.fixture
def s3_relay(s3_service: S3Service) -> Iterator[Relay]:
    """A way to it that can be made to fail."""
    found = Relay(s3_service.url)
    found.start()
    yield found
    found.stop()


# --- real parts -------------------------------------------------------------------------------------------------------


def _parts_of(item: pytest.Item) -> list[str]:
    return [str(mark.args[0]) for mark in item.iter_markers("real")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for part in _parts_of(item):
        reason = parts.missing(part)
        if reason is not None:
            (pytest.fail if parts.must_be_there(part) else pytest.skip)(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
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
