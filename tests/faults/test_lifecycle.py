"""kill -9 while a lifecycle policy is carried out: what goes or is archived in the end is what an unbroken run takes
(F09, P13).

LONGSHORE_TEST_LIFECYCLE_KILLS: how often the server is killed. LONGSHORE_TEST_SEED: of the moments.
"""

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from longshore import wiring
from registry import lifecycle
from registry.context import Deps
from registry.names import Digest
from tests import places
from tests.conftest import Start
from tests.faults.soundness import assert_sound
from tests.lifecycles import UNTAGGED_AFTER_A_DAY, Shelf, newest, policy
from tests.places import REGISTRY
from tests.servers import RunningServer
from tests.waiting import until

KILLS = int(os.environ.get("LONGSHORE_TEST_LIFECYCLE_KILLS", "5"))
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))
IMAGES = 2000
# Rules 1 and 2 take what rules 3 and 4 count, so a run that decided anew in the middle would leave others.
POLICY = policy(
    newest(40, tagStatus="tagged", tagPrefixList=["prod-"]),
    UNTAGGED_AFTER_A_DAY,
    newest(40, tagStatus="tagged", tagPrefixList=["dev-"]),
    newest(200),
    archive=1,
)


class Scene:
    """A data directory whose repositories wait for their first run."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.wanted: dict[str, dict[Digest, str]] = {}  # by repository, the images that shall be left, and their status
        self.expected = 0  # images that shall go or be archived, in all

    def add(self, name: str) -> None:
        """A repository of many images with a policy, both new."""
        with places.rooms(self.data) as deps:
            asyncio.run(self._fill(deps, name))

    async def _fill(self, deps: Deps, name: str) -> None:
        shelf = await Shelf(deps, name).make()
        await shelf.fill(IMAGES * 10 // 14)
        await lifecycle.put_policy(deps, REGISTRY, shelf.name, POLICY)
        decisions, found = await lifecycle.explain(deps, REGISTRY, shelf.name)
        going = {verdict.digest: verdict.action for verdict in decisions.verdicts}
        self.wanted[name] = {
            Digest(digest): "ARCHIVED" if digest in going else "ACTIVE"
            for digest in found
            if going.get(digest) != "expire"
        }
        self.expected += len(going)

    def count(self) -> int:
        """Images that are there now and active."""
        archived = "SELECT manifest_id FROM image_storage WHERE status = 'ARCHIVED'"
        active = f"SELECT count(*) FROM manifests WHERE id NOT IN ({archived})"
        with contextlib.closing(sqlite3.connect(self.data / wiring.DATABASE)) as connection:
            return int(connection.execute(active).fetchone()[0])

    def is_settled(self) -> bool:
        """Whether every policy has run, and no run is under way."""
        with contextlib.closing(sqlite3.connect(self.data / wiring.DATABASE)) as connection:
            waiting = "SELECT count(*) FROM lifecycle_policies WHERE evaluated_at IS NULL"
            return int(connection.execute(waiting).fetchone()[0]) == 0

    def left(self) -> dict[str, dict[Digest, str]]:
        with contextlib.closing(sqlite3.connect(self.data / wiring.DATABASE)) as connection:
            rows = connection.execute(
                "SELECT name, digest, status FROM manifests JOIN repositories ON repositories.id = repository_id "
                "LEFT JOIN image_storage ON manifest_id = manifests.id"
            ).fetchall()
        found: dict[str, dict[Digest, str]] = {name: {} for name in self.wanted}
        for name, digest, status in rows:
            found[name][Digest(digest)] = status or "ACTIVE"
        return found

    def told(self) -> Counter[str]:
        """How often the audit log tells of each image that went."""
        with contextlib.closing(sqlite3.connect(self.data / wiring.DATABASE)) as connection:
            events = connection.execute("SELECT event FROM audit_events WHERE principal = 'lifecycle'").fetchall()
        details = [json.loads(event)["serviceEventDetails"] for (event,) in events]
        return Counter(
            f"{one['repositoryName']}@{action['lifecycleEventImage']['digest']}"
            for one in details
            for action in one["lifecycleEventImageActions"]
        )


def kill_while_running(server: RunningServer, scene: Scene, rng: random.Random) -> bool:
    """Kill the server soon after something of a run was committed; whether that was in the middle of one."""
    before = scene.count()
    until(lambda: scene.count() < before or scene.is_settled(), what="images that go")
    time.sleep(rng.uniform(0, 0.03))
    server.kill()
    return not scene.is_settled()


def test_a_policy_takes_what_it_names_however_often_the_server_is_killed(
    start_server: Start, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    scene, rng = Scene(tmp_path / "data"), random.Random(SEED)
    settings = {"LONGSHORE_LIFECYCLE__EVERY_SECONDS": "1", "LONGSHORE_JOBS__LEASE_SECONDS": "1"}
    kills = met = 0
    scene.add("app0")
    server = start_server(data=scene.data, **settings)
    while met < KILLS:
        if scene.is_settled():
            server.stop()
            scene.add(f"app{len(scene.wanted)}")
            server.start()
        met += kill_while_running(server, scene, rng)
        kills += 1
        server.start()
    until(scene.is_settled, seconds=60, what="the end of all runs")
    code = server.stop()
    figures = (
        f"{kills} kills, {met} in the middle of a run, {scene.expected} images of {len(scene.wanted)} repositories"
    )
    record_property("lifecycle", figures)
    print(figures)

    assert scene.left() == scene.wanted
    assert all({"ACTIVE", "ARCHIVED"} == set(left.values()) for left in scene.wanted.values())
    assert scene.expected > 1000 * len(scene.wanted)
    assert len(scene.told()) == scene.expected
    assert set(scene.told().values()) == {1}, "each image is told once"
    assert met >= 0.8 * kills
    assert code == 0
    assert_sound(scene.data)
