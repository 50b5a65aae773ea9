"""What quotas cost a push in statements: none where nothing has one, and a few by key where something has."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from registry import images, quotas, repositories
from registry.context import Deps
from registry.model import Repository
from registry.names import RepositoryName
from tests.builders import Built, image
from tests.places import REGISTRY, push_blob, rooms

APP = RepositoryName("app")


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with rooms(tmp_path / "data") as found:
        yield found


@pytest.fixture
def repository(deps: Deps) -> Repository:
    return asyncio.run(repositories.create(deps, REGISTRY, APP, repositories.Wish()))


async def push(deps: Deps, built: Built) -> None:
    """As a door does it: with the repository as the cache of rights has it."""
    for blob in built.blobs:
        await push_blob(deps, await repositories.get(deps, REGISTRY, APP), blob)
    await images.put(deps, REGISTRY, APP, built.body, built.media_type)


def statements(deps: Deps, built: Built) -> list[str]:
    """What a push runs that speaks of quotas, other than the look for the repository itself."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        text = " ".join(statement.split())
        if "_quotas" in text and not text.startswith("SELECT repositories.id, "):
            found.append(text)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        asyncio.run(push(deps, built))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return found


def test_a_push_runs_no_statement_more_where_nothing_has_a_quota(deps: Deps, repository: Repository) -> None:
    assert statements(deps, image()) == []


def test_a_push_runs_as_many_in_a_full_repository_as_in_an_empty_one(deps: Deps, repository: Repository) -> None:
    asyncio.run(quotas.set_for_account(deps, REGISTRY.account, bytes_allowed=10**9, images_allowed=None))
    first = statements(deps, image())
    for _ in range(5):
        asyncio.run(push(deps, image()))
    later = statements(deps, image())

    assert len(first) == len(later) == 10  # of two blobs four each: two looks, two counts; of the manifest two counts
