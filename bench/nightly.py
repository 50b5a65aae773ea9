"""The clock's work on SQLite: jobs a second, and one nightly run of lifecycle policies over very many images.

    python bench/nightly.py                              3,000 jobs; 1,000,000 images in 1,000 repositories
    python bench/nightly.py --images 10000 --repositories 10

The images are rows alone: a policy looks at rows, and what it lets go of garbage collection finds later. One in a
hundred of them is due. Time is by the clock, on a directory of the run's own.
"""

import argparse
import asyncio
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from longshore import wiring
from longshore.config import Config, Server
from registry import lifecycle
from registry.context import Deps
from registry.jobs.handlers import Kind
from registry.jobs.work import Work
from registry.jobs.worker import Worker
from registry.model import NewJob
from registry.names import AccountId, Region, RegistryRef, RepositoryName
from registry.options import Undo
from registry.records import jobs as job_rows
from registry.records.engine import Tx
from registry.repositories import Wish, create

HERE: Final = RegistryRef(AccountId("000000000000"), Region("us-east-1"))
_KIND: Final = "bench.nothing"
_POLICY: Final = (
    '{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", '
    '"countUnit": "days", "countNumber": 14}, "action": {"type": "expire"}}]}'
)
_IMAGES: Final = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})
INSERT INTO manifests (repository_id, digest, media_type, kind, annotations, body_size, image_size, pushed_at, body)
SELECT {repository}, 'sha256:' || printf('%064x', i), 'application/vnd.oci.image.manifest.v1+json', 'image', '{{}}',
       300, 10000000, {now} - i * 60000000 - (i % 100 = 0) * 2000000000000, zeroblob(300) FROM n
"""
_TAGS: Final = """
INSERT INTO tags (repository_id, name, manifest_id, tagged_at)
SELECT repository_id, 'v' || id, id, pushed_at FROM manifests
WHERE repository_id = {repository} AND (id - (SELECT min(id) FROM manifests WHERE repository_id = {repository})) % 100
"""


async def _jobs(deps: Deps, count: int) -> float:
    """Jobs a second: claimed, begun, ended, each in transactions of its own."""
    now, done, stop = deps.clock.now(), 0, asyncio.Event()

    async def nothing(_work: Work) -> None:
        nonlocal done
        done += 1
        if done == count:
            stop.set()

    def unit(tx: Tx) -> None:
        for _ in range(count):
            job_rows.add(tx, NewJob(kind=_KIND, run_at=now), now)

    await deps.db.write(unit)
    began = time.perf_counter()
    await Worker(deps, kinds={_KIND: Kind(run=nothing)}).run(stop, drain=30)
    return count / (time.perf_counter() - began)


async def _fill(deps: Deps, names: int, images: int) -> None:
    now = int(deps.clock.now().timestamp() * 1_000_000)
    for number in range(names):
        made = await create(deps, HERE, RepositoryName(f"nightly/{number:05}"), Wish())

        def unit(tx: Tx, repository: int = made.id) -> None:
            tx.exec_driver_sql(_IMAGES.format(count=images, repository=repository, now=now))
            tx.exec_driver_sql(_TAGS.format(repository=repository))

        await deps.db.write(unit)
        await lifecycle.put_policy(deps, HERE, made.name, _POLICY)


async def _night(deps: Deps) -> tuple[int, float]:
    """One run over all repositories: images that it let go, and seconds."""
    began, after, gone = time.perf_counter(), 0, 0
    while (found := await lifecycle.next_repository(deps, after=after)) is not None:
        ran = await lifecycle.run(deps, found.id)
        gone += len(ran.expired) if ran else 0
        after = found.id
    return gone, time.perf_counter() - began


async def _main(given: argparse.Namespace, config: Config) -> None:
    deps = wiring.build(config, "http://127.0.0.1")
    try:
        print(f"jobs: {await _jobs(deps, given.jobs):,.0f} a second", flush=True)
        each = given.images // given.repositories
        await _fill(deps, given.repositories, each)
        before = _memory()
        gone, seconds = await _night(deps)
        print(
            f"lifecycle: {given.images:,} images in {given.repositories:,} repositories, {gone:,} of them due: "
            f"{seconds:,.0f} s, {given.images / seconds:,.0f} images a second; {before} MiB before, {_memory()} at most"
        )
    finally:
        await wiring.close(deps)


def _memory() -> int:
    """The most that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=3_000)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--repositories", type=int, default=1_000)
    parser.add_argument("--undo-seconds", type=int, default=604_800, help="0: nothing is kept to be brought back")
    given = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="longshore-bench-"))
    try:
        config = Config(server=Server(data=str(data / "data")), undo=Undo(window_seconds=given.undo_seconds))
        wiring.prepare(config, {}, "http://127.0.0.1")
        asyncio.run(_main(given, config))
    finally:
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
