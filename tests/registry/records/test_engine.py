"""The database: group commit, one writer over all processes, and a number that tells of every commit."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from registry.errors import DatabaseUnavailable, LimitExceeded
from registry.records.engine import Database, Tx

INSERT = "INSERT INTO t (v) VALUES (1)"


@pytest.fixture
def db(tmp_path: Path):
    found = Database(tmp_path / "rows.db")
    found.write_here(lambda tx: tx.exec_driver_sql("CREATE TABLE t (v INTEGER)"))
    yield found
    found.close()


def count(tx: Tx) -> int:
    return int(tx.exec_driver_sql("SELECT count(*) FROM t").scalar_one())


def insert(tx: Tx) -> None:
    tx.exec_driver_sql(INSERT)


async def test_a_unit_that_fails_undoes_itself_and_nothing_else(db):
    def fails(tx: Tx) -> None:
        insert(tx)
        raise LimitExceeded("no more")

    outcomes = await asyncio.gather(db.write(insert), db.write(fails), db.write(insert), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(None), LimitExceeded, type(None)]
    assert await db.read(count) == 2


async def test_a_bug_in_a_unit_is_that_units_alone(db):
    def broken(tx: Tx) -> None:
        insert(tx)
        raise ZeroDivisionError

    outcomes = await asyncio.gather(db.write(broken), db.write(insert), return_exceptions=True)

    assert isinstance(outcomes[0], ZeroDivisionError) and outcomes[1] is None
    assert await db.read(count) == 1


async def test_a_point_read_sees_what_was_written_before_it(db):
    await db.write(insert)

    assert await db.point(count) == 1


async def test_a_reader_cannot_write(db):
    """A read ends in a rollback."""
    await db.read(insert)

    assert await db.read(count) == 0


async def test_a_waiter_that_gave_up_does_not_undo_the_commit(db):
    task = asyncio.ensure_future(db.write(insert))
    await asyncio.sleep(0)
    task.cancel()
    await db.write(insert)

    assert await db.read(count) in (1, 2)  # the first may have been cancelled before it was taken up
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_version_moves_with_every_commit_and_with_nothing_else(db):
    before = db.version()
    await db.read(count)
    await db.point(count)
    unmoved = db.version()
    await db.write(insert)
    own = db.version()
    other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", other, str(db.path), INSERT], check=True)
    foreign = db.version()

    assert before == unmoved
    assert len({before, own, foreign}) == 3


async def test_the_version_moves_also_while_readers_are_at_work(db):
    """Each thread has a connection of its own for it, in no transaction."""

    def during(tx: Tx) -> tuple[int | None, int | None]:
        count(tx)
        before = db.version()
        db.write_here(insert)
        return before, db.version()

    before, after = await db.read(during)

    assert before != after


def test_a_foreign_lock_is_told_as_unavailable(db, monkeypatch):
    monkeypatch.setattr("registry.records.engine._BUSY_MS", 50)
    late = Database(db.path)
    with contextlib.closing(sqlite3.connect(db.path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable):
            late.write_here(insert)
        foreign.execute("ROLLBACK")
    late.write_here(insert)
    late.close()

    assert db.read_here(count) == 1
