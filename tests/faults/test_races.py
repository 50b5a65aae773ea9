"""Two servers on one database, the same thing at the same instant (promises.md F28, F26, P3)."""

import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import elsewhere
from tests.builders import Built, digest_of, image, push_blob, put_manifest
from tests.faults.soundness import assert_sound
from tests.servers import Answer, RunningServer

ROUNDS = int(os.environ.get("LONGSHORE_TEST_RACES", "40"))


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real("postgresql"))])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningServer, RunningServer]]:
    data = tmp_path_factory.mktemp("pair") / "data"
    elsewhere.choose(data, database=request.param, servers=1)
    one, two = RunningServer(data), RunningServer(data)
    one.start()
    two.start()
    yield one, two
    assert (one.stop(), two.stop()) == (0, 0)
    assert_sound(data)


def rounds(seen: set[Any]) -> Iterator[int]:
    """So many rounds, and more of them until two outcomes were seen: which of two comes first is up to the machine."""
    yield from range(ROUNDS)
    yield from itertools.takewhile(lambda _: len(seen) < 2, range(ROUNDS, ROUNDS * 10))


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """The answers of calls that begin in one moment."""
    start = threading.Barrier(len(calls))

    def call(one: Callable[[], Answer]) -> Answer:
        start.wait()
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def images(server: RunningServer, repository: str, number: int) -> list[Built]:
    """Images that are ready to be tagged: their blob is there."""
    config = os.urandom(20)
    push_blob(server, repository, config)
    return [image(config=config, layers=[], annotations={"n": str(n)}) for n in range(number)]


def test_of_two_pushes_to_an_immutable_tag_exactly_one_wins(pair: tuple[RunningServer, RunningServer]) -> None:
    one, two = pair
    one.create("immutable", imageTagMutability="IMMUTABLE")
    winners: set[bool] = set()
    for number in rounds(winners):
        first, second = images(one, "immutable", 2)
        tag = f"t{number}"
        answers = at_once(
            functools.partial(put_manifest, one, "immutable", first, tag),
            functools.partial(put_manifest, two, "immutable", second, tag),
        )
        won = [built for built, answer in zip((first, second), answers, strict=True) if answer.status == 201]
        assert sorted(answer.status for answer in answers) == [201, 400], [answer.body for answer in answers]
        for server in pair:
            assert server.request("GET", f"/v2/immutable/manifests/{tag}").body == won[0].body
        winners.add(won[0] is first)

    assert winners == {True, False}, "the two never met"


def test_pushes_to_one_tag_are_all_taken_and_end_in_one_value(pair: tuple[RunningServer, RunningServer]) -> None:
    one, two = pair
    one.create("mutable")
    for _ in range(ROUNDS // 4):
        built = images(one, "mutable", 16)
        answers = at_once(
            *(
                lambda one_of=one_of, server=server: put_manifest(server, "mutable", one_of, "latest")
                for one_of, server in zip(built, [one, two] * 8, strict=True)
            )
        )
        seen = {server.request("GET", "/v2/mutable/manifests/latest").body for server in pair}

        assert {answer.status for answer in answers} == {201}
        assert len(seen) == 1 and seen <= {one_of.body for one_of in built}


def test_an_image_is_accepted_only_with_its_blob_whatever_is_deleted_meanwhile(
    pair: tuple[RunningServer, RunningServer],
) -> None:
    """P3: of a push and the deletion of what it needs, one comes first."""
    one, two = pair
    one.create("pins")
    outcomes: set[tuple[int, int]] = set()
    for number in rounds(outcomes):
        config = os.urandom(20)
        digest = push_blob(one, "pins", config)
        built = image(config=config, layers=[])
        push, delete = at_once(
            functools.partial(put_manifest, one, "pins", built, f"t{number}"),
            functools.partial(two.request, "DELETE", f"/v2/pins/blobs/{digest}"),
        )
        there = one.request("GET", f"/v2/pins/blobs/{digest_of(config)}").status
        outcomes.add((push.status, delete.status))

        assert (push.status, delete.status, there) in [(201, 405, 200), (404, 202, 404)]
    assert len(outcomes) == 2, "the two never met"


def test_a_repository_deleted_by_force_takes_all_or_refuses_all(
    pair: tuple[RunningServer, RunningServer], tmp_path: Path
) -> None:
    """A push that was acknowledged is in the repository that then goes, or in the one that is made anew."""
    one, two = pair
    for _ in range(ROUNDS // 4):
        one.create("forced")
        [built] = images(one, "forced", 1)

        def delete() -> Answer:
            with two.client() as ecr:
                told = ecr.delete_repository(repositoryName="forced", force=True)["ResponseMetadata"]
                return Answer(told["HTTPStatusCode"], None, b"")  # type: ignore[arg-type]

        pushed, deleted = at_once(functools.partial(put_manifest, one, "forced", built, "v1"), delete)
        after = [server.request("GET", "/v2/forced/manifests/v1") for server in pair]

        assert deleted.status == 200
        assert pushed.status in (201, 404)
        assert [(answer.status, answer.code) for answer in after] == [(404, "NAME_UNKNOWN")] * 2
