"""A server with small limits, so that what takes half a minute elsewhere takes seconds here."""

from collections.abc import Iterator

import pytest

from tests.servers import RunningServer

SECONDS = 2  # that a body may be slow


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {
        "LONGSHORE_LIMITS__BODY_FLOOR_SECONDS": str(SECONDS),
        "LONGSHORE_LIMITS__JSON_SECONDS": str(SECONDS),
        "LONGSHORE_LIMITS__MANIFEST_SECONDS": str(SECONDS),
    }
    server = RunningServer(tmp_path_factory.mktemp("guarded") / "data", **limits)
    server.start()
    server.create("guarded")
    yield server
    server.stop()
    assert not [line for line in server.output if "Traceback" in line or '"request failed"' in line], server.output
