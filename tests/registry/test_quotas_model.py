"""Whatever happens, what quotas count is what is there, and no push gets past them: pushes, mounts, images, indexes,
deletes of each, of whole repositories, and collections, in any order, with quotas that come, change and go.

LONGSHORE_TEST_QUOTA_EXAMPLES: how many runs of thirty steps.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from registry import images, layers, quotas, repositories, undelete
from registry.errors import Conflict, NotFound, QuotaExceeded
from registry.model import Holding, Quota, Repository
from registry.names import AccountId, Digest, RegistryRef, RepositoryName
from registry.records import quotas as rows
from registry.records import repositories as repository_rows
from registry.records import usage
from registry.records.engine import Tx
from tests.builders import image, index
from tests.collecting import SPENT, Ground
from tests.places import REGION, REGISTRY, rooms

EXAMPLES = int(os.environ.get("LONGSHORE_TEST_QUOTA_EXAMPLES", "25"))
OTHER = AccountId("111111111111")
PLACES = (
    (REGISTRY, RepositoryName("team/one")),
    (REGISTRY, RepositoryName("team/two")),
    (RegistryRef(OTHER, REGION), RepositoryName("team/one")),
)
BLOBS = [bytes([number]) * 10**number for number in range(1, 4)]
IMAGES = [image(config=BLOBS[one], layers=[BLOBS[(one + 1) % 3], BLOBS[one]]) for one in range(3)]
INDEX = index(*IMAGES[:2])
WHERE = st.sampled_from(range(len(PLACES)))
HOLDERS: list[int | AccountId] = [0, 1, 2, REGISTRY.account, OTHER]
_empty: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A prepared data directory, to be copied by every run of the machine."""
    data = tmp_path_factory.mktemp("empty") / "data"
    with rooms(data):
        _empty.append(data)
    yield
    _empty.clear()


class Counting(RuleBasedStateMachine):
    """The rooms on a data directory; before and after each step all of it is counted anew."""

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        data = shutil.copytree(_empty[0], Path(self.directory.name) / "data")
        self.rooms = rooms(data)
        self.ground = Ground(self.rooms.__enter__(), window=SPENT * 5)
        self.repositories = [asyncio.run(self.created(where)) for where in range(len(PLACES))]
        for holder in HOLDERS:
            asyncio.run(self.limit(holder, None))
        for where, what in itertools.product((0, 2), BLOBS):
            self.push(where=where, what=what)

    def teardown(self) -> None:
        if hasattr(self, "rooms"):
            self.rooms.__exit__(None, None, None)
            self.directory.cleanup()

    @invariant()
    def counts_are_exact(self) -> None:
        if hasattr(self, "rooms"):
            for holder, quota in asyncio.run(self.quotas()).items():
                assert quota.holding == asyncio.run(self.exact(holder)), holder

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(where=WHERE, what=st.sampled_from(BLOBS))
    def push(self, where: int, what: bytes) -> None:
        asyncio.run(self.attempt(self.ground.push(self.repositories[where], what)))

    @rule(where=st.sampled_from([0, 1]), what=st.sampled_from(BLOBS))
    def mount(self, where: int, what: bytes) -> None:
        source = [self.repositories[1 - where]]
        asyncio.run(self.attempt(layers.mount(self.ground.deps, self.repositories[where], Digest.of(what), source)))

    @rule(where=WHERE, what=st.sampled_from([*IMAGES, INDEX]))
    def put(self, where: int, what: object) -> None:
        built = next(one for one in [*IMAGES, INDEX] if one is what)
        registry, name = PLACES[where]
        asyncio.run(self.attempt(images.put(self.ground.deps, registry, name, built.body, built.media_type)))

    @rule(where=WHERE, what=st.sampled_from([*IMAGES, INDEX]))
    def delete(self, where: int, what: object) -> None:
        built = next(one for one in [*IMAGES, INDEX] if one is what)
        registry, name = PLACES[where]
        asyncio.run(self.attempt(images.delete(self.ground.deps, registry, name, Digest(built.digest))))

    @rule(where=WHERE, what=st.sampled_from([*IMAGES, INDEX]), purge=st.sampled_from([False, False, True]))
    def undelete(self, where: int, what: object, purge: bool) -> None:
        built = next(one for one in [*IMAGES, INDEX] if one is what)
        deed = undelete.purge if purge else undelete.one
        asyncio.run(self.attempt(deed(self.ground.deps, *PLACES[where], Digest(built.digest))))

    @rule(where=WHERE, what=st.sampled_from(BLOBS))
    def delete_blob(self, where: int, what: bytes) -> None:
        asyncio.run(self.attempt(layers.delete(self.ground.deps, self.repositories[where], Digest.of(what))))

    @rule(where=WHERE)
    def delete_repository(self, where: int) -> None:
        registry, name = PLACES[where]
        asyncio.run(self.attempt(repositories.delete(self.ground.deps, registry, name, force=True)))
        self.repositories[where] = asyncio.run(self.created(where))

    @rule()
    def collect(self) -> None:
        self.ground.wait(SPENT)
        asyncio.run(self.attempt(self.ground.collect()))

    @rule(holder=st.sampled_from(HOLDERS), most=st.sampled_from([None, 0, 100, 1500, 2000, 3000]))
    def set_quota(self, holder: int | AccountId, most: int | None) -> None:
        asyncio.run(self.limit(holder, most))

    @rule(holder=st.sampled_from(HOLDERS))
    def remove_quota(self, holder: int | AccountId) -> None:
        if isinstance(holder, int):
            asyncio.run(quotas.remove_from_repository(self.ground.deps, *PLACES[holder]))
        else:
            asyncio.run(quotas.remove_from_account(self.ground.deps, holder))

    # --- inside -------------------------------------------------------------------------------------------------------

    async def attempt(self, work: Awaitable[object]) -> None:
        """Do it. What a quota refuses leaves no trace, and what gets in is within every quota that it touches."""
        before = await self.quotas()
        try:
            with contextlib.suppress(NotFound, Conflict):
                await work
        except QuotaExceeded as error:
            assert error.used + error.asked > error.allowed
            assert await self.quotas() == before
            return
        for holder, after in (await self.quotas()).items():
            most = after.bytes_allowed
            if holder in before and most:
                was, now = before[holder].holding, after.holding
                assert now.needed_bytes <= max(most, was.needed_bytes)
                assert _all(now) <= max(2 * most, _all(was))

    async def quotas(self) -> dict[int | AccountId, Quota]:
        def unit(tx: Tx) -> dict[int | AccountId, Quota]:
            found: dict[int | AccountId, Quota] = dict(rows.accounts(tx, after="", limit=10))
            return found | dict(rows.of_repositories(tx, after=0, limit=10))

        return await self.ground.deps.db.read(unit)

    async def exact(self, holder: int | AccountId) -> Holding:
        return await self.ground.deps.db.read(lambda tx: usage.holding(tx, holder))

    async def limit(self, holder: int | AccountId, most: int | None) -> None:
        deps = self.ground.deps
        if isinstance(holder, int):
            await quotas.set_for_repository(deps, *PLACES[holder], bytes_allowed=most, images_allowed=None)
        else:
            await quotas.set_for_account(deps, holder, bytes_allowed=most, images_allowed=None)

    async def created(self, where: int) -> Repository:
        registry, name = PLACES[where]
        found = await self.ground.deps.db.read(lambda tx: repository_rows.find(tx, registry, name))
        return found or await repositories.create(self.ground.deps, registry, name, repositories.Wish())


def _all(holding: Holding) -> int:
    return holding.needed_bytes + holding.unneeded_bytes


TestCounting = Counting.TestCase
TestCounting.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
