"""PostgreSQL under the database's interface: units that meet, connections that go, questions that travel together."""

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from registry.errors import DatabaseUnavailable, InvalidParameter, LimitExceeded
from registry.names import Digest, Tag
from registry.records import hot, pg_connections, postgresql, schema, stamps
from registry.records.engine import Tx
from registry.records.postgresql import PostgreSQL
from tests import elsewhere
from tests.pg_servers import PostgresService, connected, free_port
from tests.waiting import until

pytestmark = pytest.mark.real("postgresql")

OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "


@pytest.fixture
def url(another: Callable[[str], PostgreSQL]) -> str:
    """A database with the tables of this program, and one of the tests'."""
    found = elsewhere.postgresql().new_database()
    db = another(found)
    db.start_here(schema.upgrade)
    db.start_here(lambda tx: tx.exec_driver_sql("CREATE TABLE t (name TEXT PRIMARY KEY, v BIGINT NOT NULL)"))
    return found


@pytest.fixture
def db(url: str, another: Callable[[str], PostgreSQL]) -> PostgreSQL:
    return another(url)


def insert(tx: Tx, name: str = "one", v: int = 0) -> None:
    tx.execute(sa.text("INSERT INTO t VALUES (:name, :v)"), {"name": name, "v": v})


def count(tx: Tx) -> int:
    return int(tx.exec_driver_sql("SELECT count(*) FROM t").scalar_one())


def value(tx: Tx, name: str) -> int | None:
    return tx.execute(sa.text("SELECT v FROM t WHERE name = :name"), {"name": name}).scalar_one_or_none()


def cut_all(url: str) -> None:
    """End every connection to the database, as a failover does."""
    with connected(url) as rows:
        rows.execute(OTHERS + "pg_backend_pid()")


class Meeting:
    """A place in two units at which each waits for the other, the first time that it comes by."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2, timeout=10)
        self._been: set[str] = set()
        self.tries: list[str] = []

    def __call__(self, who: str) -> None:
        self.tries.append(who)
        if who not in self._been:
            self._been.add(who)
            self._barrier.wait()


def both(*calls: Callable[[], Any]) -> list[Any]:
    """What calls return or raise that begin at the same time."""

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


# --- one unit ---------------------------------------------------------------------------------------------------------


async def test_a_unit_that_fails_undoes_itself_and_nothing_else(db):
    def fails(tx: Tx) -> None:
        insert(tx, "two")
        raise LimitExceeded("no more")

    outcomes = await asyncio.gather(
        db.write(insert), db.write(fails), db.write(lambda tx: insert(tx, "three")), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), LimitExceeded, type(None)]
    assert await db.read(count) == 2


async def test_a_read_sees_what_was_written_before_it(db):
    await db.write(insert)

    assert await db.point(count) == 1


async def test_a_reader_cannot_write(db):
    with pytest.raises(sa.exc.DBAPIError, match="read-only"):
        await db.read(insert)

    assert await db.read(count) == 0


async def test_a_broken_rule_of_the_units_own_is_its_own_error(db):
    await db.write(insert)

    with pytest.raises(sa.exc.IntegrityError):
        await db.write(insert)


@pytest.mark.parametrize("text", ["a\0b", "a" * 161], ids=["NUL", "too-long"])
async def test_a_text_that_no_column_takes_is_the_callers_mistake(db, text):
    statement = sa.text("INSERT INTO burials (store_id, key, size, since) VALUES ('s', :key, 0, 0)")
    with pytest.raises(InvalidParameter):
        await db.write(lambda tx: tx.execute(statement, {"key": text}))
    if "\0" in text:
        with pytest.raises(InvalidParameter):
            await db.read(lambda tx: value(tx, text))


async def test_a_unit_that_hides_a_failed_statement_is_not_said_to_be_written(db):
    """PostgreSQL answers its COMMIT with ROLLBACK, which is no error to the driver."""

    def hides(tx: Tx) -> None:
        insert(tx)
        try:
            tx.exec_driver_sql("SELECT 1 / 0")
        except sa.exc.DBAPIError:
            return

    with pytest.raises(RuntimeError, match="nothing of it was kept"):
        await db.write(hides)

    assert await db.read(count) == 0


async def test_a_waiter_that_gave_up_does_not_undo_the_commit(db):
    begun, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        insert(tx)
        begun.set()
        go_on.wait(10)

    task = asyncio.ensure_future(db.write(slow))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()

    await asyncio.to_thread(until, lambda: db.read_here(count) == 1)


def test_notes_are_written_together_and_before_the_end(url, another):
    db, reader = PostgreSQL(url, connections=3), another(url)
    for number in range(50):
        db.note(functools.partial(insert, name=str(number)))
    until(lambda: reader.read_here(count) == 50)
    db.note(insert)
    db.close()

    transactions = reader.read_here(lambda tx: {row.xmin for row in tx.exec_driver_sql("SELECT xmin::text FROM t")})

    assert reader.read_here(count) == 51
    assert len(transactions) <= 10


# --- units that meet --------------------------------------------------------------------------------------------------


def test_what_two_units_may_not_both_do_one_does(url, another):
    """Each looks for the other's row, and writes its own where there is none: neither locks a row of the other."""
    one, two, meet = another(url), another(url), Meeting()

    def unit(me: str, other: str, tx: Tx) -> bool:
        alone = value(tx, other) is None
        meet(me)
        if alone:
            insert(tx, me)
        return alone

    wrote = both(
        lambda: one.write_here(functools.partial(unit, "a", "b")),
        lambda: two.write_here(functools.partial(unit, "b", "a")),
    )

    assert sorted(wrote) == [False, True]
    assert one.read_here(count) == 1
    assert len(meet.tries) == 3  # the one that was refused ran again


def test_of_two_that_insert_one_name_the_second_finds_it(url, another):
    """Check, then insert: the uniqueness is the index's, and the answer is the unit's."""
    one, two, meet = another(url), another(url), Meeting()

    def unit(me: str, tx: Tx) -> bool:
        taken = value(tx, "name") is not None
        meet(me)
        if not taken:
            insert(tx, "name")
        return not taken

    made = both(
        lambda: one.write_here(functools.partial(unit, "a")), lambda: two.write_here(functools.partial(unit, "b"))
    )

    assert sorted(made) == [False, True]


def test_sixteen_that_count_on_one_row_lose_nothing_and_none_fails(url, another):
    """F26: refused once, a unit runs alone; so it never has to be refused four times."""
    servers = [another(url), another(url)]
    servers[0].write_here(lambda tx: insert(tx, "counter"))

    def add(tx: Tx) -> None:
        found = value(tx, "counter")
        assert found is not None
        tx.execute(sa.text("UPDATE t SET v = :v WHERE name = 'counter'"), {"v": found + 1})

    def many(server: PostgreSQL) -> None:
        for _ in range(10):
            server.write_here(add)

    outcomes = both(*[functools.partial(many, servers[n % 2]) for n in range(16)])

    assert outcomes == [None] * 16
    assert servers[0].read_here(lambda tx: value(tx, "counter")) == 160


def test_units_that_have_nothing_in_common_run_side_by_side(url, another):
    """Neither waits for the other, though each is held up in its middle."""
    one, two, meet = another(url), another(url), Meeting()

    def unit(me: str, tx: Tx) -> None:
        insert(tx, me)
        meet(me)

    outcomes = both(
        lambda: one.write_here(functools.partial(unit, "a")), lambda: two.write_here(functools.partial(unit, "b"))
    )

    assert outcomes == [None, None]
    assert len(meet.tries) == 2


def test_two_that_wait_for_each_other_come_to_an_end(url, another):
    """A deadlock: PostgreSQL ends one, which then runs alone."""
    one, two, meet = another(url), another(url), Meeting()
    for name in ("a", "b"):
        one.write_here(functools.partial(insert, name=name))

    def unit(first: str, second: str, tx: Tx) -> None:
        tx.execute(sa.text("UPDATE t SET v = v + 1 WHERE name = :name"), {"name": first})
        meet(first)
        tx.execute(sa.text("UPDATE t SET v = v + 1 WHERE name = :name"), {"name": second})

    outcomes = both(
        lambda: one.write_here(functools.partial(unit, "a", "b")),
        lambda: two.write_here(functools.partial(unit, "b", "a")),
    )

    assert outcomes == [None, None]
    assert [one.read_here(functools.partial(value, name=name)) for name in ("a", "b")] == [2, 2]


async def test_a_lock_that_is_not_given_back_is_told_as_unavailable(url, db, monkeypatch):
    monkeypatch.setattr(postgresql, "BESIDE", pg_connections.BESIDE.replace("'5s'", "'200ms'"))
    with connected(url) as rows:
        rows.execute("BEGIN")
        rows.execute("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await db.write(insert)
        waited = time.monotonic() - began
        seen = await db.read(count)

    assert waited < 3
    assert seen == 0  # readers do not wait
    await db.write(insert)


# --- connections that go ----------------------------------------------------------------------------------------------


async def test_connections_that_were_ended_while_idle_are_not_used_again(url, db):
    await asyncio.gather(*(db.write(functools.partial(insert, name=str(n))) for n in range(8)))
    await asyncio.to_thread(cut_all, url)

    await db.write(insert)

    assert await db.read(count) == 9
    assert await db.ask(hot.STAMP) is not None


async def test_a_unit_whose_connection_goes_before_the_commit_runs_again(url, db):
    runs = 0

    def unit(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        insert(tx)
        if runs == 1:
            cut_all(url)
        count(tx)

    await db.write(unit)

    assert runs == 2
    assert await db.read(count) == 1


async def test_a_commit_that_nobody_answers_is_told_as_unknown(url, db, monkeypatch):
    """It may have been done, so it must not be done again here."""
    runs = 0

    def unit(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        insert(tx, str(runs))

    real = pg_connections.Held.commit

    async def cut_then_commit(held: pg_connections.Held) -> None:
        held._is_committing = True
        held.driver.terminate()
        await real(held)

    monkeypatch.setattr(pg_connections.Held, "commit", cut_then_commit)
    with pytest.raises(DatabaseUnavailable):
        await db.write(unit)

    assert runs == 1


@pytest.fixture
def own_server() -> Iterator[PostgresService]:
    """A PostgreSQL server that a test may stop."""
    found = PostgresService()
    found.make()
    found.start()
    yield found
    found.remove()


async def test_a_server_that_is_gone_is_told_within_five_seconds_and_found_again(own_server, another):
    url = own_server.new_database()
    db = another(url)
    await asyncio.to_thread(db.start_here, schema.upgrade)
    await asyncio.to_thread(own_server.stop)
    began = time.monotonic()
    gone = await asyncio.gather(
        db.write(stamps.move_policy), db.read(stamps.policy), db.ask(hot.STAMP), return_exceptions=True
    )
    waited = time.monotonic() - began
    await asyncio.to_thread(own_server.start)
    began = time.monotonic()
    await db.write(stamps.move_policy)

    assert [type(one) for one in gone] == [DatabaseUnavailable] * 3
    assert waited < 7
    assert time.monotonic() - began < 5
    assert await db.ask(hot.STAMP) == (2,)


# --- questions --------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many questions each round answered."""
    rounds: list[int] = []
    real = PostgreSQL.answer

    def answer(self: PostgreSQL, questions: Any) -> Any:
        rounds.append(len(questions))
        return real(self, questions)

    monkeypatch.setattr(PostgreSQL, "answer", answer)
    return rounds


async def test_who_asks_at_the_same_time_is_answered_together(db, asked):
    answers = await asyncio.gather(*(db.ask(hot.STAMP) for _ in range(100)))

    assert answers == [(1,)] * 100
    assert len(asked) <= 2


async def test_each_is_answered_what_it_asked(url, db):
    with connected(url) as rows:
        rows.execute(
            "INSERT INTO repositories (id, account, region, name, created_at, mutability, mutability_filters, "
            "scan_on_push, encryption, resource_tags) VALUES (7, '0', 'r', 'app', 0, 'MUTABLE', '[]', FALSE, '', '{}')"
        )
        for number, digest in ((1, "sha256:a"), (2, "sha256:b")):
            rows.execute(
                "INSERT INTO manifests (id, repository_id, digest, media_type, kind, annotations, body_size, "
                f"image_size, pushed_at, body) VALUES ({number}, 7, '{digest}', 't', 'image', '{{}}', 0, 0, 0, '')"
            )
            rows.execute(f"INSERT INTO tags VALUES (7, 'T{number}', {number}, 0)")
    questions = [
        hot.manifest(7, Tag("T2")),
        hot.STAMP,
        hot.manifest(7, Digest("sha256:a")),
        hot.manifest(7, Tag("t2")),
        hot.blob(7, Digest("sha256:a")),
        hot.manifest(7, Tag("T1")),
        hot.manifest(8, Tag("T1")),
    ]

    answers = await asyncio.gather(*(db.ask(question) for question in questions))

    assert answers == [(1, 2), (1,), (1, 1), (1, None), (1, None, None, None), (1, 1), (1, None)]


async def test_an_answer_is_never_older_than_the_question(url, another):
    """What another server's caller was told is written is seen by every question that is asked afterwards."""
    db, other = another(url), another(url)
    await other.ask(hot.STAMP)
    for expected in range(2, 30):
        asking = [asyncio.ensure_future(other.ask(hot.STAMP)) for _ in range(3)]
        await db.write(stamps.move_policy)
        answer = await other.ask(hot.STAMP)

        assert answer == (expected,)
        await asyncio.gather(*asking)


# --- what is told -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "where", "user", "database"),
    [
        ("postgresql+asyncpg://ann:p%40ss@db.example.com:5433/rows", "db.example.com:5433", "ann", "rows"),
        ("postgresql+asyncpg://ann:p@[::1]/rows?sslmode=require", "[::1]", "ann", "rows"),
        ("postgresql+asyncpg://ann:p:q@a:1,b:2/rows", "a:1,b:2", "ann", "rows"),
    ],
)
def test_the_address_of_a_url_has_no_password(url, where, user, database):
    assert pg_connections.address_of(url) == (where, user, database)
    assert urlsplit(url).password not in "".join(pg_connections.address_of(url))


def test_of_several_hosts_the_one_that_takes_writes_is_used(url, another):
    """One that is down, and one that shows what another wrote, are passed over."""
    port, dead = elsewhere.postgresql().port, free_port()
    several = another(url.replace(f"127.0.0.1:{port}", f"127.0.0.1:{dead},127.0.0.1:{port}"))
    several.write_here(insert)
    with connected(url) as rows:
        rows.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
    standby = another(url)

    assert several.read_here(count) == 1
    with pytest.raises(DatabaseUnavailable):
        standby.read_here(count)
