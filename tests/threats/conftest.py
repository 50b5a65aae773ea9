"""A repository on the shared server for each test."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.builders import unique_name
from tests.servers import RunningServer


@pytest.fixture(scope="session")
def ecr(shared_server: RunningServer) -> Iterator[Any]:
    """A boto3 client of the shared server: making one costs more than a call."""
    with shared_server.client() as client:
        yield client


@pytest.fixture
def repository(ecr: Any) -> str:
    """A new repository on the shared server."""
    name = unique_name()
    ecr.create_repository(repositoryName=name)
    return name
