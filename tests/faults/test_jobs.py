"""Workers that die, hang or run twice change nothing that can be seen (promises.md P13, F31).

LONGSHORE_TEST_JOB_KILLS: how often a worker is killed.
"""

import contextlib
import datetime as dt
import fcntl
import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore import wiring
from longshore.config import Config, Server
from registry.context import Deps
from registry.model import Job, NewJob
from registry.records import jobs as rows
from registry.records.engine import Opened
from tests import places
from tests.conftest import Start
from tests.faults.toil import STEPS
from tests.places import database_of
from tests.servers import ROOT, clean_environment
from tests.waiting import until
from tests.workers import workers_of

KILLS = int(os.environ.get("LONGSHORE_TEST_JOB_KILLS", "5"))
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))


class Workers:
    """Worker processes on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.running: list[subprocess.Popen[str]] = []

    def start(self) -> "subprocess.Popen[str]":
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.toil", str(self.data)],
            cwd=ROOT,
            env=clean_environment(PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.running.append(worker)
        assert worker.stdout is not None and worker.stdout.readline() == "works\n"
        return worker

    def end(self, worker: "subprocess.Popen[str]", number: signal.Signals) -> int:
        worker.send_signal(number)
        self.running.remove(worker)
        code = worker.wait(20)
        if worker.stdout is not None:
            worker.stdout.close()
        return code


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with places.rooms(tmp_path / "data") as found:
        database_of(found).write_here(lambda tx: tx.exec_driver_sql("CREATE TABLE tally (job INTEGER, step INTEGER)"))
        yield found


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    found = Workers(tmp_path / "data")
    yield found
    for worker in list(found.running):
        with contextlib.suppress(ProcessLookupError):
            found.end(worker, signal.SIGKILL)


def add(deps: Deps, count: int) -> list[int]:
    now = deps.clock.now()
    new = NewJob(kind="toil", run_at=now)
    return [added(database_of(deps), new, now) for _ in range(count)]


def added(db: Opened, new: NewJob, now: dt.datetime) -> int:
    job_id = db.write_here(lambda tx: rows.add(tx, new, now))
    assert job_id is not None
    return job_id


def tally(deps: Deps) -> list[tuple[int, int]]:
    found = database_of(deps).read_here(lambda tx: tx.exec_driver_sql("SELECT job, step FROM tally").all())
    return [(job, step) for job, step in found]


def left(deps: Deps) -> int:
    return len(database_of(deps).read_here(lambda tx: rows.page(tx, after=0, limit=1000)))


def test_each_step_of_each_job_is_done_once_however_often_workers_are_killed(deps, workers):
    rng = random.Random(SEED)
    wanted: list[int] = []
    met = kills = 0
    while met < KILLS:
        victim = workers.start()
        wanted += add(deps, 12)
        until(functools.partial(has_a_job, deps, victim.pid), what="a job in the victim's hands")
        time.sleep(rng.uniform(0, 0.1))
        workers.end(victim, signal.SIGKILL)
        met += has_a_job(deps, victim.pid)
        kills += 1
        assert kills <= 2 * KILLS, "too few kills met a job in hand"
    for _ in range(2):
        workers.start()
    until(lambda: left(deps) == 0, seconds=60 + 3 * KILLS, what="the end of all jobs")

    assert sorted(tally(deps)) == [(job, step) for job in sorted(wanted) for step in range(STEPS)]


def has_a_job(deps: Deps, pid: int) -> bool:
    return any(f":{pid}:" in str(job.lease_owner) for job in running(deps))


def running(deps: Deps) -> list[Job]:
    return database_of(deps).read_here(lambda tx: rows.page(tx, after=0, limit=1000, state="running"))


def test_a_worker_that_wakes_up_after_its_lease_writes_nothing(deps, workers):
    """F31: halted in the middle of its jobs, past their leases, and let go on while another has them."""
    halted = workers.start()
    wanted = add(deps, 6)
    until(lambda: len(tally(deps)) > 3, what="some steps")
    until(functools.partial(is_halted, workers.data, halted.pid), what="a moment between two writes")
    workers.start()
    until(lambda: len(tally(deps)) > 20, what="steps of the other one")
    os.kill(halted.pid, signal.SIGCONT)
    until(lambda: left(deps) == 0, seconds=30, what="the end of all jobs")

    assert sorted(tally(deps)) == [(job, step) for job in wanted for step in range(STEPS)]


def is_halted(data: Path, pid: int) -> bool:
    """Halt a process, unless it holds the lock of all writers: then nobody writes, and nobody could take over."""
    os.kill(pid, signal.SIGSTOP)
    with open(data / "write.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.kill(pid, signal.SIGCONT)
            return False
    return True


def test_a_worker_that_is_told_to_stop_leaves_nothing_running(deps, workers):
    worker = workers.start()
    add(deps, 20)
    until(lambda: len(tally(deps)) > 5, what="some steps")
    code = workers.end(worker, signal.SIGTERM)

    assert code == 0
    assert running(deps) == []
    assert left(deps) > 0


def test_the_server_works_on_jobs_and_tells_of_them(start_server: Start):
    server = start_server()

    def page() -> str:
        return server.request("GET", "/metrics").body.decode()

    with wiring.opened_rows(Config(server=Server(data=str(server.data)))) as db:
        now = dt.datetime.now(dt.UTC)
        db.write_here(lambda tx: rows.add(tx, NewJob(kind="jobs.forget", run_at=now), now))
        until(lambda: 'longshore_jobs_total{kind="jobs.forget",outcome="done"} 1.0' in page(), what="the job's end")
        db.write_here(lambda tx: rows.add(tx, NewJob(kind="of-a-newer-program", run_at=now), now))
    found = page()

    assert 'longshore_jobs{kind="of-a-newer-program",state="waiting"} 1.0' in found
    assert 'longshore_jobs_oldest_seconds{kind="of-a-newer-program"}' in found


def test_a_process_that_only_works_does_the_jobs_that_the_server_leaves(start_server: Start):
    server = start_server(LONGSHORE_JOBS__IN_SERVER="false")
    command = [sys.executable, "-m", "longshore", "work", "--data", str(server.data)]
    with wiring.opened_rows(Config(server=Server(data=str(server.data)))) as db:
        now = dt.datetime.now(dt.UTC)
        job = added(db, NewJob(kind="jobs.forget", run_at=now), now)
        worker = subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True)
        try:
            until(lambda: db.read_here(lambda tx: rows.find(tx, job)) is None, what="the job's end")
        finally:
            worker.terminate()
            out, _ = worker.communicate(timeout=20)

    assert worker.returncode == 0
    assert out == f"longshore works on the jobs of {server.data}\n"


def test_an_idle_server_costs_next_to_nothing(start_server: Start):
    """Processor time of two idle workers, each with eight slots for jobs, over three seconds."""
    server = start_server("--workers", "2", LONGSHORE_JOBS__SLOTS="8")
    pids = workers_of(server)
    before = sum(map(processor_seconds, pids))
    time.sleep(3)
    spent = sum(map(processor_seconds, pids)) - before

    assert spent < 0.3


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
