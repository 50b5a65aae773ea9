"""A client of IAM with the root user's key, on the server that all tests share."""

import pytest

from tests.builders import unique_name


@pytest.fixture
def iam(shared_server):
    with shared_server.client("iam") as made:
        yield made


@pytest.fixture
def name():
    """A name that no other test uses."""
    return unique_name("ann")
