"""Databases that a test has for itself."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.records.engine import Database, Opened
from registry.records.postgresql import PostgreSQL
from tests import elsewhere

POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.real("postgresql"))


@pytest.fixture
def another() -> Iterator[Callable[[str], PostgreSQL]]:
    """A function that opens a PostgreSQL database once more, as another server does."""
    opened: list[PostgreSQL] = []

    def open_one(url: str) -> PostgreSQL:
        opened.append(PostgreSQL(url, connections=8))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture(params=["sqlite", POSTGRESQL])
def empty(request: pytest.FixtureRequest, tmp_path: Path, another: Callable[[str], PostgreSQL]) -> Iterator[Opened]:
    """An empty database of each kind."""
    if request.param == "postgresql":
        yield another(elsewhere.postgresql().new_database())
        return
    db = Database(tmp_path / "longshore.db")
    yield db
    db.close()
