"""The database: units of work in, results out.

    await db.write(unit)   one writer thread for the process; what is queued together is committed together
    await db.read(unit)    a pool of reader threads, each unit in a snapshot of its own
    db.note(unit)          like write, for what may be lost
    await db.point(unit)   at once, in the caller's thread: for reads of a few rows by key, which cost less than a hop

A unit is a plain function of a `Tx`. It may run again after a failure of the commit, so it has no effect but rows.

SQLite, in WAL mode. The driver's own transaction handling is off (`isolation_level=None`), since it would let DDL and
released savepoints outlive a rollback; BEGIN is ours. The writer takes `write.lock` beside the database before BEGIN
IMMEDIATE: SQLite's busy handler alone starves all but one of several saturated processes. Each unit runs in a
savepoint, so one that fails undoes only itself; results are released only after COMMIT, which with `synchronous=FULL`
has fsynced the log. So a result in the caller's hands is on the disk (promise P1).
"""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from registry.errors import DatabaseDamaged, DatabaseUnavailable, LongshoreError, StorageFull
from registry.records.hot import Question

T = TypeVar("T")
Tx = sa.Connection
Unit = Callable[[Tx], T]

_log = logging.getLogger(__name__)

_READERS = 4
_BATCH = 256
QUEUE_SECONDS = 5.0  # that a unit waits for its turn: for those before it, another process, a foreign lock (F24)
ANSWER_SECONDS = 15.0  # that it may take from then on
_BUSY_MS = int(QUEUE_SECONDS * 1000)


@dataclasses.dataclass(slots=True)
class _Job:
    """A unit on its way. Its outcome reaches the future only after the commit."""

    unit: Unit[Any]
    future: concurrent.futures.Future[Any]
    outcome: Any = None
    error: BaseException | None = None

    def take(self) -> bool:
        """Whether the unit shall run: its caller still waits, and will wait for its end from now on."""
        if self.future.running():
            return True
        return not self.future.cancelled() and self.future.set_running_or_notify_cancel()

    def deliver(self) -> None:
        if not self.take():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.outcome)


class Rows(Protocol):
    """What rooms ask of the database."""

    async def write(self, unit: Unit[T]) -> T:
        """Run `unit` in a transaction and return its result once that is durable."""
        ...

    async def housekeep(self, unit: Unit[T]) -> T:
        """`write` for what no caller asked for: a finding of the house itself."""
        ...

    def note(self, unit: Unit[object]) -> None:
        """Queue a unit that nobody waits for, because nobody would miss it."""
        ...

    async def read(self, unit: Unit[T]) -> T:
        """Run `unit` on a consistent snapshot."""
        ...

    async def point(self, unit: Unit[T]) -> T:
        """`read` of a few rows by key."""
        ...

    async def ask(self, question: Question) -> tuple[object, ...] | None:
        """What a question of `hot` finds, after every commit that was acknowledged before; None: not even a stamp."""
        ...

    def version(self) -> int | None:
        """A number that another commit, whoever makes it, will have changed; None where that cannot be told."""
        ...


class Opened(Rows, Protocol):
    """The database as start-up and commands have it, which wait where they stand."""

    name: str

    def read_here(self, unit: Unit[T]) -> T:
        """`read` for callers without an event loop."""
        ...

    def write_here(self, unit: Unit[T]) -> T:
        """`write` for callers without an event loop."""
        ...

    def start_here(self, unit: Unit[T]) -> T:
        """`write_here` of what a start does before anything else: one start at a time, on any number of machines."""
        ...

    def close(self) -> None:
        """Finish what is queued. The database must not be used afterwards."""
        ...


class Database:
    """One SQLite database file, opened by one process among possibly several."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self._engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool)
        sa.event.listen(self._engine, "connect", _prepare)
        sa.event.listen(self._engine, "begin", _begin)
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_forever, name="db-writer", daemon=True)
        self._readers = concurrent.futures.ThreadPoolExecutor(_READERS, thread_name_prefix="db-reader")
        self._local = threading.local()
        self._open: list[sa.Connection] = []
        self._watchers: list[sqlite3.Connection] = []
        self._open_lock = threading.Lock()
        self._lock_file = os.open(path.with_name("write.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._writer.start()

    async def write(self, unit: Unit[T]) -> T:
        """Run `unit` in a transaction and return its result once that is durable.

        Raises what the unit raises; DatabaseUnavailable when its turn did not come in time, StorageFull when there was
        no room. After DatabaseUnavailable the outcome is unknown: the caller may only say "try again".
        """
        job = _Job(unit, concurrent.futures.Future())
        self._queue.put(job)
        answer: asyncio.Future[T] = asyncio.wrap_future(job.future)
        try:
            done, _ = await asyncio.wait([answer], timeout=QUEUE_SECONDS)
            # A unit that has not begun is called off, and one that has is waited for.
            if not done and not job.future.cancel():
                done, _ = await asyncio.wait([answer], timeout=ANSWER_SECONDS)
            if not done:
                raise DatabaseUnavailable
            return answer.result()
        finally:
            answer.cancel()

    async def housekeep(self, unit: Unit[T]) -> T:
        return await self.write(unit)

    def note(self, unit: Unit[object]) -> None:
        """As `Rows.note`: that something was used, and its like."""
        self._queue.put(_Job(unit, concurrent.futures.Future()))

    async def read(self, unit: Unit[T]) -> T:
        """Run `unit` on a consistent snapshot in a reader thread."""
        return await _in_time(asyncio.get_running_loop().run_in_executor(self._readers, self.read_here, unit))

    async def point(self, unit: Unit[T]) -> T:
        """Run `unit`, which reads a few rows by key, without leaving this thread."""
        return self.read_here(unit)

    def version(self) -> int:
        """As `Rows.version`; numbers of different threads have nothing to do with each other."""
        return int(self._watcher().execute("PRAGMA data_version").fetchone()[0])

    def glance(self, question: Question) -> tuple[object, ...] | None:
        """`ask`, at once and by the driver itself: for the few places where each microsecond counts."""
        rows: list[tuple[object, ...]] = self._watcher().execute(question.sqlite, question.parameters).fetchall()
        return rows[0] if rows else None

    async def ask(self, question: Question) -> tuple[object, ...] | None:
        return self.glance(question)

    def _watcher(self) -> sqlite3.Connection:
        """This thread's connection that never writes and never holds a transaction open: `data_version` would miss its
        own commits, and would not move inside of a transaction."""
        watcher: sqlite3.Connection | None = getattr(self._local, "watcher", None)
        if watcher is None:
            watcher = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._local.watcher = watcher
            with self._open_lock:
                self._watchers.append(watcher)
        return watcher

    def read_here(self, unit: Unit[T]) -> T:
        """`read` for callers without an event loop."""
        connection = self._connection()
        with _translated(), connection.begin() as transaction:
            try:
                return unit(connection)
            finally:
                transaction.rollback()

    def write_here(self, unit: Unit[T]) -> T:
        """`write` for callers without an event loop, such as start-up and commands: it waits."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._queue.put(_Job(unit, future))
        try:
            return future.result(ANSWER_SECONDS)
        except TimeoutError:
            if future.cancel():
                raise DatabaseUnavailable from None
            return future.result()  # it has begun: a migration takes what it takes

    def start_here(self, unit: Unit[T]) -> T:
        """As `Opened.start_here`: whoever starts has locked the data directory."""
        return self.write_here(unit)

    def close(self) -> None:
        """Finish what is queued and close every connection. The database must not be used afterwards."""
        self._queue.put(None)
        self._writer.join()
        self._readers.shutdown(wait=True)
        with self._open_lock:
            for connection in self._open:
                connection.close()
            for watcher in self._watchers:
                watcher.close()
            self._open.clear()
            self._watchers.clear()
        self._engine.dispose()
        os.close(self._lock_file)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _connection(self) -> sa.Connection:
        """This thread's own held connection: checking one out of a pool costs more than a point read."""
        connection: sa.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with _translated():
                connection = self._engine.connect()
            self._local.connection = connection
            with self._open_lock:
                self._open.append(connection)
        return connection

    def _write_forever(self) -> None:
        while True:
            batch = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH and batch[-1] is not None:
                    batch.append(self._queue.get_nowait())
            jobs = [job for job in batch if job is not None]
            if jobs:
                self._commit(jobs)
            if batch[-1] is None:
                return

    def _commit(self, jobs: list[_Job]) -> None:
        """One transaction for all jobs. When the transaction itself fails, they all fail alike."""
        try:
            connection = self._connection().execution_options(longshore_writer=True)
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
            try:
                with _translated(), connection.begin():
                    for job in jobs:
                        self._run(connection, job)
            finally:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)
        except BaseException as error:
            for job in jobs:
                job.error = job.error or error
        for job in jobs:
            job.deliver()

    @staticmethod
    def _run(connection: sa.Connection, job: _Job) -> None:
        if not job.take():
            return
        try:
            with connection.begin_nested():
                job.outcome = job.unit(connection)
        except LongshoreError as error:
            job.error = error
        except Exception as error:
            dbapi = connection.connection.dbapi_connection
            if isinstance(error, sa.exc.OperationalError) or not (dbapi and dbapi.in_transaction):
                raise  # SQLite has ended the whole transaction by itself, or cannot go on: no job of it may succeed
            job.error = error


def unusable(path: Path) -> str | None:
    """What keeps the file from being a database, in SQLite's words; None where it is one, or can become one."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=QUEUE_SECONDS)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None


def _prepare(dbapi: Any, _record: object) -> None:
    dbapi.isolation_level = None
    cursor = dbapi.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    cursor.execute("PRAGMA cache_size = -16384")
    # A statement keeps its own way back in a temporary file, and where no directory takes one SQLite undoes the whole
    # transaction. Those of units are small.
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    writer = connection.get_execution_options().get("longshore_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


async def _in_time(future: asyncio.Future[T]) -> T:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await future
    except TimeoutError:
        raise DatabaseUnavailable from None


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """SQLite's troubles as domain errors; their own texts go to the log, never to a client."""
    try:
        yield
    except sa.exc.OperationalError as error:
        _log.warning("database: %s", error.orig)
        if "full" in str(error.orig):
            raise StorageFull from error
        raise DatabaseUnavailable from error
    except sa.exc.DatabaseError as error:
        if isinstance(error, sa.exc.IntegrityError):
            raise
        _log.error("database: %s", error.orig)
        if type(error) is sa.exc.DatabaseError:  # the driver's word for a file that is damaged or no database at all
            raise DatabaseDamaged(str(error.orig)) from error
        raise DatabaseUnavailable from error
