"""`longshore jobs`, beside no server: what is listed is what the rows say."""

import datetime as dt
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.context import Deps
from registry.model import Job, NewJob
from registry.records import audit_log
from registry.records import jobs as rows
from registry.records.engine import Tx
from tests import places
from tests.cli import Finished
from tests.places import database_of

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("jobs") / "data"
    with places.rooms(found):
        pass
    return found


@pytest.fixture
def deps(data: Path) -> Iterator[Deps]:
    with places.rooms(data) as found:
        for job in left(found):
            database_of(found).write_here(functools.partial(rows.cancel, job_id=job.id))
        yield found


def left(deps: Deps) -> list[Job]:
    return database_of(deps).read_here(lambda tx: rows.page(tx, after=0, limit=100))


def add(deps: Deps, kind: str = "toil", **more: Any) -> int:
    new = NewJob(**{"kind": kind, "run_at": NOW + DAY, **more})
    job_id = database_of(deps).write_here(lambda tx: rows.add(tx, new, NOW))
    assert job_id is not None
    return job_id


def failed(deps: Deps) -> int:
    add(deps, "fails", run_at=NOW - DAY)

    def unit(tx: Tx) -> int:
        job = rows.claim(tx, ["fails"], "host:1:a", NOW, dt.timedelta(seconds=30))
        assert job is not None
        rows.give_up(tx, job, "the well is dry", NOW)
        return job.id

    return database_of(deps).write_here(unit)


@pytest.fixture
def jobs(cli, data: Path) -> Callable[..., Finished]:
    return lambda *arguments: cli("jobs", *map(str, arguments), "--data", str(data))


def test_jobs_are_listed_with_what_became_of_them(jobs, deps):
    waits, dry = add(deps), failed(deps)
    found = jobs("list")
    lines = found.out.splitlines()

    assert lines[0].split() == ["ID", "KIND", "STATE", "RUNS", "FAILURES", "LAST", "ERROR"]
    assert lines[1].split()[:4] == [str(waits), "toil", "waiting", "in"]
    assert lines[2].split() == [str(dry), "fails", "failed", "no", "more", "1", "the", "well", "is", "dry"]


def test_pages_and_choices(jobs, deps):
    first, second, dry = add(deps), add(deps, payload={"n": 1}), failed(deps)

    def listed(*arguments: object) -> list[int]:
        return [job["id"] for job in json.loads(jobs("list", "--output", "json", *arguments).out)]

    assert listed() == [first, second, dry]
    assert listed("--limit", 1, "--after", first) == [second]
    assert listed("--state", "failed") == [dry]
    assert listed("--kind", "toil") == [first, second]


def test_one_job_is_shown_whole(jobs, deps):
    job = add(deps, payload={"n": 1}, dedupe_key="k", order_key="o")
    told = json.loads(jobs("show", job, "--output", "json").out)

    assert told == {
        "id": job,
        "kind": "toil",
        "state": "waiting",
        "payload": {"n": 1},
        "dedupeKey": "k",
        "orderKey": "o",
        "createdAt": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "runAt": f"{NOW + DAY:%Y-%m-%dT%H:%M:%SZ}",
        "attempts": 0,
        "failures": 0,
        "leaseOwner": None,
        "leaseUntil": None,
        "lastError": None,
    }
    assert f"runAt: {NOW + DAY:%Y-%m-%d %H:%M:%S} UTC\n" in jobs("show", job).out


def test_a_job_that_was_given_up_is_tried_again(jobs, deps):
    dry = failed(deps)
    told = jobs("retry", dry)
    (job,) = left(deps)

    assert (told.code, told.out) == (0, f"job {dry} is tried again now\n")
    assert (job.state, job.failures) == ("waiting", 0)
    assert job.run_at <= dt.datetime.now(dt.UTC)


def test_jobs_are_cancelled(jobs, deps):
    first, second = add(deps), add(deps)
    told = jobs("cancel", first, second)

    assert (told.code, told.out) == (0, f"job {first} is cancelled\njob {second} is cancelled\n")
    assert left(deps) == []


@pytest.mark.parametrize("command", ["show", "cancel", "retry"])
def test_a_job_that_is_not_there_is_told_in_a_line(jobs, deps, command):
    told = jobs(command, 999_999)

    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("longshore: ") and told.err.count("\n") == 1


def test_no_jobs(jobs, deps):
    told = jobs("list")

    assert (told.code, told.out, told.err) == (0, "", "there are no such jobs\n")
    assert json.loads(jobs("list", "--output", "json").out) == []


def test_what_the_operator_does_to_jobs_is_on_record(jobs, deps):
    job = add(deps)
    jobs("retry", job)
    jobs("cancel", job)
    jobs("cancel", job)
    mine = {"principal": "operator"}
    entries = database_of(deps).read_here(lambda tx: audit_log.page(tx, before=None, limit=2, matching=mine))

    assert [(entry.action, entry.event["requestParameters"]) for entry in entries] == [
        ("longshore:CancelJob", {"jobId": job}),
        ("longshore:RetryJob", {"jobId": job}),
    ]
