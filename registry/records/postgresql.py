"""The database on a PostgreSQL server, shared by several processes on several machines.

    await db.write(unit)   SERIALIZABLE, beside others at first; alone when they were in each other's way
    await db.read(unit)    on a snapshot of its own (REPEATABLE READ, read only); `point` is the same
    db.note(unit)          what gathers while one transaction of notes runs is the next one
    await db.ask(question) one statement for all who ask at the same time

Units are written as if nobody else wrote meanwhile, which one writer at a time guarantees on SQLite. Here the server
guarantees it: a transaction whose outcome could be another one than in some order of whole units is refused, and runs
again. The second time it holds a lock that all writers share otherwise, so that no unit fails for ever by others
(promise F26). Transactions that run side by side share the server's fsync, so they are not gathered here.

Everything is done in one event loop in a thread of its own: units may be given from any thread, and what a unit holds
on the server never waits for a busy loop. A unit runs as plain code there, which is put aside at each statement.
"""

import asyncio
import concurrent.futures
import functools
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

import sqlalchemy as sa

from registry.errors import DatabaseUnavailable
from registry.records import pg_connections
from registry.records.engine import ANSWER_SECONDS, QUEUE_SECONDS, T, Tx, Unit
from registry.records.hot import Question
from registry.records.pg_connections import ALONE, BESIDE, READING, STARTING, Again, Connections, Held, Unusable

_log = logging.getLogger(__name__)

_TRIES: Final = 4  # the first, and three more (F26)
_MOST_NOTES: Final = 1000  # that wait; more are let go
_MOST_QUESTIONS: Final = 256  # that one statement answers
_START_SECONDS: Final = 2.0  # that a start waits for the server, which may be starting too


class PostgreSQL:
    """One database of a PostgreSQL server, as one process uses it. Raises Unusable where the driver is missing."""

    def __init__(self, url: str, *, connections: int) -> None:
        self._connections = Connections(url)
        self.name = pg_connections.address_of(url).database
        # One connection is left for questions: neither a slow unit nor a long read holds up an answer.
        writers = max((connections - 1) * 2 // 3, 1)
        self._writers, self._asking = asyncio.Semaphore(writers), asyncio.Semaphore(1)
        self._readers = asyncio.Semaphore(max(connections - 1 - writers, 1))
        self._running: set[asyncio.Task[Any]] = set()
        self._notes: list[Unit[object]] = []
        self._noting = False
        self._rounds: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Round] = weakref.WeakKeyDictionary()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="db-loop", daemon=True)
        self._thread.start()

    async def write(self, unit: Unit[T]) -> T:
        """Run `unit` in a transaction and return its result once that is durable.

        Raises what the unit raises; DatabaseUnavailable when its turn did not come in time, StorageFull when there was
        no room. After DatabaseUnavailable the outcome is unknown: the caller may only say "try again".
        """
        return await asyncio.wrap_future(self._begun(self._write(unit)))

    async def housekeep(self, unit: Unit[T]) -> T:
        return await self.write(unit)

    def note(self, unit: Unit[object]) -> None:
        """As `Rows.note`."""
        self._loop.call_soon_threadsafe(self._noted, unit)

    async def read(self, unit: Unit[T]) -> T:
        """Run `unit` on a consistent snapshot."""
        return await asyncio.wrap_future(self._begun(self._read(unit, ANSWER_SECONDS)))

    async def point(self, unit: Unit[T]) -> T:
        return await self.read(unit)

    async def ask(self, question: Question) -> tuple[object, ...] | None:
        """As `Rows.ask`: by a statement that begins after this call, with all who ask until it begins."""
        loop = asyncio.get_running_loop()
        if loop not in self._rounds:
            self._rounds[loop] = _Round(self)
        return await self._rounds[loop].answer(question)

    def version(self) -> None:
        """As `Rows.version`: the server tells no one of commits, or too late."""

    def read_here(self, unit: Unit[T]) -> T:
        """`read` for callers without an event loop, as long as it takes."""
        return self._begun(self._read(unit, None)).result()

    def write_here(self, unit: Unit[T]) -> T:
        """`write` for callers without an event loop."""
        return self._begun(self._write(unit)).result()

    def start_here(self, unit: Unit[T]) -> T:
        """Run what brings the database up to date: after that of every other start, and beside no writer.

        Raises Unusable where the server cannot be reached or used.
        """
        return self._begun(self._start(unit)).result()

    def reach_here(self) -> None:
        """Return if the server can be reached. Raises Unusable."""
        self._begun(self._reached()).result()

    def answer(self, questions: Sequence[Question]) -> "concurrent.futures.Future[list[tuple[object, ...] | None]]":
        """The answers to some questions, by statements that begin now."""
        return self._begun(self._answer(questions))

    def close(self) -> None:
        """Finish what is begun and close every connection. The database must not be used afterwards."""
        self._begun(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- inside: everything from here on runs in the loop -------------------------------------------------------------

    def _begun(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _write(self, unit: Unit[T]) -> T:
        """A unit that has not begun is called off with its caller; one that has comes to its end."""
        await _turn(self._writers)
        task = self._loop.create_task(self._written(unit))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _written(self, unit: Unit[T]) -> T:
        how = BESIDE
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                for _ in range(_TRIES):
                    try:
                        return await self._once(how, unit)
                    except Again as again:
                        last = again.cause
                        if how == ALONE and isinstance(last, sa.exc.IntegrityError):
                            raise last from None  # no other unit's fault
                        how = ALONE if again.alone else how
            raise DatabaseUnavailable from last
        except TimeoutError:
            raise DatabaseUnavailable from None
        finally:
            self._writers.release()

    async def _once(self, how: str, unit: Unit[T]) -> T:
        held = await self._connections.take(QUEUE_SECONDS)
        try:
            await held.begin(how)
            outcome = await held.run(unit)
            await held.commit()
            return outcome
        except Exception as error:
            meaning = held.meaning(error)
            if meaning is error:
                raise
            raise meaning from error
        except BaseException:
            held.terminate()  # its time is over, or the loop: what it was doing is not worth waiting for
            raise
        finally:
            await self._connections.give(held)

    async def _read(self, unit: Unit[T], seconds: float | None) -> T:
        await _turn(self._readers)
        try:
            async with asyncio.timeout(seconds):
                return await self._again_if_lost(functools.partial(self._seen, unit))
        except TimeoutError:
            raise DatabaseUnavailable from None
        finally:
            self._readers.release()

    async def _seen(self, unit: Unit[T], held: Held) -> T:
        await held.begin(READING)
        return await held.run(unit)

    async def _again_if_lost(self, look: Callable[[Held], Awaitable[T]]) -> T:
        """What `look` finds, which changes nothing."""
        for _ in range(_TRIES):
            held = await self._connections.take(QUEUE_SECONDS)
            try:
                found: T = await look(held)
                return found
            except Exception as error:
                meaning = held.meaning(error)
                if isinstance(meaning, Again):
                    last = meaning.cause
                    continue
                if meaning is error:
                    raise
                raise meaning from error
            except BaseException:
                held.terminate()
                raise
            finally:
                if held.driver.is_closed():
                    await self._connections.give(held)
                else:
                    self._later(self._connections.give(held))  # whoever reads need not wait for the end of it
        raise DatabaseUnavailable from last

    async def _answer(self, questions: Sequence[Question]) -> list[tuple[object, ...] | None]:
        await _turn(self._asking)
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                found: list[tuple[object, ...] | None]
                found = await self._again_if_lost(functools.partial(_answers, questions))
                return found
        except TimeoutError:
            raise DatabaseUnavailable from None
        finally:
            self._asking.release()

    async def _reached(self) -> None:
        await self._connections.give(await self._first())

    async def _first(self) -> Held:
        try:
            return await self._connections.take(_START_SECONDS)
        except DatabaseUnavailable as error:
            raise Unusable(self._connections.trouble(error.__cause__)) from error

    async def _start(self, unit: Unit[T]) -> T:
        held = await self._first()
        try:
            await held.begin(STARTING)
            outcome = await held.run(functools.partial(_started, unit))
            await held.commit()
            return outcome
        except Exception as error:
            meaning = held.meaning(error)
            if isinstance(meaning, Again | DatabaseUnavailable):
                raise Unusable(self._connections.trouble(error)) from error
            raise
        finally:
            await self._connections.give(held)

    def _noted(self, unit: Unit[object]) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes.append(unit)
        if not self._noting:
            self._noting = True
            self._later(self._write_notes())

    async def _write_notes(self) -> None:
        while self._notes:
            notes, self._notes = self._notes, []
            try:
                await self._write(functools.partial(_all_of, notes))
            except Exception as error:
                _log.warning("database: %s notes were lost: %s", len(notes), type(error).__name__)
        self._noting = False

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _end(self) -> None:
        while self._running:
            await asyncio.wait(self._running)
        await self._connections.close()


class _Round:
    """The questions of one event loop: while one round is being answered, the next one gathers."""

    def __init__(self, db: PostgreSQL) -> None:
        self._db = weakref.proxy(db)
        self._waiting: list[tuple[Question, asyncio.Future[tuple[object, ...] | None]]] = []
        self._runner: asyncio.Task[None] | None = None

    async def answer(self, question: Question) -> tuple[object, ...] | None:
        answer: asyncio.Future[tuple[object, ...] | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting[:_MOST_QUESTIONS], self._waiting[_MOST_QUESTIONS:]
                try:
                    found = await asyncio.wrap_future(self._db.answer([question for question, _ in asked]))
                except Exception as error:
                    for _, answer in asked:
                        if not answer.done():
                            answer.set_exception(_unanswered(error))
                else:
                    for (_, answer), one in zip(asked, found, strict=True):
                        if not answer.done():
                            answer.set_result(one)
        finally:
            self._runner = None


def _unanswered(error: Exception) -> DatabaseUnavailable:
    """The failure of a round, for one of those who asked."""
    one = DatabaseUnavailable()
    one.__cause__ = error
    return one


async def _answers(questions: Sequence[Question], held: Held) -> list[tuple[object, ...] | None]:
    """By one statement for each kind of question."""
    by_statement: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        by_statement.setdefault(question.postgresql, []).append(place)
    found: list[tuple[object, ...] | None] = [None] * len(questions)
    for statement, places in by_statement.items():
        columns = zip(*(questions[place].parameters for place in places), strict=True)
        rows = await held.driver.fetch(statement, *map(list, columns))
        for number, place in enumerate(places):
            row = rows[number] if len(rows) == len(places) else rows[0] if rows else None
            found[place] = None if row is None else tuple(row)
    return found


async def _turn(of: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(QUEUE_SECONDS):
            await of.acquire()
    except TimeoutError:
        raise DatabaseUnavailable from None


def _all_of(units: Sequence[Unit[object]], tx: Tx) -> None:
    for unit in units:
        unit(tx)


def _started(unit: Unit[T], tx: Tx) -> T:
    """`unit`, once no writer is at work; on a server and in a database that this program can use."""
    version = int(tx.exec_driver_sql("SELECT current_setting('server_version_num')::int").scalar_one())
    if version < pg_connections.OLDEST:
        raise Unusable(f"PostgreSQL {version // 10000} is too old: {pg_connections.OLDEST // 10000} is the oldest used")
    encoding = tx.exec_driver_sql("SELECT current_setting('server_encoding')").scalar_one()
    if encoding != "UTF8":
        raise Unusable(f"the database's encoding is {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0")
    if tx.exec_driver_sql("SELECT current_setting('fsync')").scalar_one() == "off":
        _log.warning("database: fsync is off on the server: a crash of its machine loses what was acknowledged")
    if sa.inspect(tx).has_table("alembic_version"):
        tx.exec_driver_sql("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
    return unit(tx)
