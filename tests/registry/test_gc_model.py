"""Pushes, questions, mounts, deletes and collections in any order, and inside of each other (promises.md P5).

A model keeps, for each blob of each repository, until when somebody may count on it: for ever while an image needs it,
else for a grace period from the last push, mount or question that was answered yes, and from the deletion of the last
image. Whatever happens, what may be counted on is there with its bytes; and what may not is gone after a pass.

LONGSHORE_TEST_GC_EXAMPLES: how many runs of twenty steps.
"""

import asyncio
import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from registry import failpoints, layers, repositories
from registry.errors import LayersNotFound
from registry.model import Repository
from registry.names import Digest, RepositoryName
from tests.builders import Built, image
from tests.collecting import GRACE, SPENT, Ground
from tests.places import REGISTRY, rooms

EXAMPLES = int(os.environ.get("LONGSHORE_TEST_GC_EXAMPLES", "25"))
NAMES = ("team/one", "team/two")
BLOBS = [f"blob {number}".encode() for number in range(3)]
IMAGES = [image(config=BLOBS[one], layers=[BLOBS[(one + 1) % 3]]) for one in range(3)]
PLACES = [name for name in failpoints.PLACES if name.startswith("gc-")]

WHERE = st.sampled_from(range(len(NAMES)))
WHAT = st.sampled_from(range(len(BLOBS)))
DEEDS = st.one_of(
    st.tuples(st.sampled_from(["push", "ask", "mount"]), WHERE, WHAT),
    st.tuples(st.sampled_from(["put", "delete"]), WHERE, st.sampled_from(range(len(IMAGES)))),
)
_empty: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A prepared data directory, to be copied by every run of the machine."""
    data = tmp_path_factory.mktemp("empty") / "data"
    with rooms(data):
        _empty.append(data)
    yield
    _empty.clear()


class Model:
    """What clients may count on."""

    def __init__(self) -> None:
        self.told: dict[tuple[int, int], dt.datetime] = {}  # (repository, blob) -> when it was last promised
        self.images: set[tuple[int, int]] = set()

    def needs(self, where: int, what: int) -> bool:
        return any(place == where and BLOBS[what] in IMAGES[one].blobs for place, one in self.images)

    def counts_on(self, now: dt.datetime) -> list[tuple[int, int]]:
        return [key for key, told in self.told.items() if self.needs(*key) or now - told <= GRACE]

    def spent(self, now: dt.datetime) -> list[tuple[int, int]]:
        return [key for key, told in self.told.items() if not self.needs(*key) and now - told > SPENT]


class Collecting(RuleBasedStateMachine):
    """The rooms on a data directory, and the model beside them."""

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        data = shutil.copytree(_empty[0], Path(self.directory.name) / "data")
        self.rooms = rooms(data)
        self.ground, self.model = Ground(self.rooms.__enter__()), Model()
        wish = repositories.Wish()
        self.repositories = [
            asyncio.run(repositories.create(self.ground.deps, REGISTRY, RepositoryName(name), wish)) for name in NAMES
        ]
        for what in range(len(BLOBS)):
            asyncio.run(self.do("push", 0, what))

    def teardown(self) -> None:
        if not hasattr(self, "rooms"):
            return
        try:
            asyncio.run(self.at_last())
        finally:
            self.rooms.__exit__(None, None, None)
            self.directory.cleanup()

    async def at_last(self) -> None:
        """When all is spent and collected, what images need is there, and nothing else is."""
        self.ground.wait(SPENT)
        await self.ground.collect()
        needed = {data for _, one in self.model.images for data in IMAGES[one].blobs}
        assert sorted(self.ground.files().values()) == sorted(map(len, needed))
        assert await self.ground.count("blobs") == len(needed)
        assert await self.ground.count("burials") == 0
        for where, one in self.model.images:
            for data in IMAGES[one].blobs:
                assert await self.ground.reads(self.repositories[where], data)

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(deed=DEEDS)
    def act(self, deed: tuple[str, int, int]) -> None:
        asyncio.run(self.do(*deed))

    @rule(share=st.sampled_from([0.1, 0.26, 0.6, 0.95, 1.3]))
    def wait(self, share: float) -> None:
        self.wait_for(share)

    def wait_for(self, share: float) -> None:
        self.ground.wait(GRACE * share + dt.timedelta(milliseconds=1))

    @rule(
        share=st.sampled_from([0, 0.95, 1.3]),
        deeds=st.lists(DEEDS, max_size=5),
        cut=st.sampled_from([None, None, *PLACES]),
    )
    def collect(self, share: float, deeds: list[tuple[str, int, int]], cut: str | None) -> None:
        """A pass during which things are done, at places where it has something in hand; perhaps cut short."""
        self.wait_for(share)
        asyncio.run(self.collect_meanwhile(deeds, cut))

    async def collect_meanwhile(self, deeds: list[tuple[str, int, int]], cut: str | None) -> None:
        left = list(deeds)

        class Cut(Exception):
            pass

        async def crossing(name: str) -> None:
            if name in PLACES and left:
                await self.do(*left.pop())
            if name == cut:
                raise Cut

        try:
            with mock.patch.object(failpoints, "crossing", crossing):
                await self.ground.collect()
            if left == deeds:
                for where, what in self.model.spent(self.ground.hands.time):
                    assert not await self.has_link(where, what)
        except Cut:
            pass
        for where, what in self.model.counts_on(self.ground.hands.time):
            assert await self.ground.reads(self.repositories[where], BLOBS[what]), (where, what)

    async def do(self, deed: str, where: int, what: int) -> None:
        now, repository = self.ground.hands.time, self.repositories[where]
        if deed == "put":
            await self.put(where, IMAGES[what], what)
        elif deed == "delete":
            if (where, what) in self.model.images:
                await self.ground.delete(repository, Digest(IMAGES[what].digest))
                self.model.images.discard((where, what))
                self.model.told.update({(where, BLOBS.index(data)): now for data in IMAGES[what].blobs})
        elif deed == "push":
            await self.ground.push(repository, BLOBS[what])
            self.model.told[(where, what)] = now
        elif deed == "ask":
            for one, data in enumerate(BLOBS):
                if await self.ground.is_told(repository, Digest.of(data)):
                    self.model.told[(where, one)] = now
        elif await layers.mount(self.ground.deps, repository, Digest.of(BLOBS[what]), self.others(where)):
            self.model.told[(where, what)] = now

    async def put(self, where: int, built: Built, one: int) -> None:
        try:
            await self.ground.put(self.repositories[where], built, blobs=False)
        except LayersNotFound:
            counted = self.model.counts_on(self.ground.hands.time)
            assert not all((where, BLOBS.index(data)) in counted for data in built.blobs), (
                "what was promised is missing"
            )
        else:
            self.model.images.add((where, one))

    def others(self, where: int) -> list[Repository]:
        return [one for number, one in enumerate(self.repositories) if number != where]

    async def has_link(self, where: int, what: int) -> bool:
        return await self.ground.has_link(self.repositories[where], Digest.of(BLOBS[what]))


TestCollecting = Collecting.TestCase
TestCollecting.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
