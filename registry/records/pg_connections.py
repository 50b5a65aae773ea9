"""Connections to a PostgreSQL server: made, kept, given up; and what its errors mean.

All of it happens in one event loop. A connection that the server ended is noticed while it lies idle, so that after a
restart of the database none of the old ones is used again. Transactions are begun and ended here, by the driver
itself: one trip each, with everything that must stand before the first snapshot. SQLAlchemy sees autocommit.

A URL that lists several hosts is tried in order, and only a server that takes writes is used: what a standby shows may
be older than what was acknowledged.
"""

import asyncio
import contextlib
import importlib.util
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from registry.errors import DatabaseUnavailable, InvalidParameter, LongshoreError, StorageFull

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")

SCHEME: Final = "postgresql+asyncpg"
OLDEST: Final = 130_000  # server_version_num

_log = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 3.0
_PAUSE: Final = 0.1  # seconds between two tries to connect
_HOPELESS_SECONDS: Final = 1.0
_ROLLBACK_SECONDS: Final = 1.0

_CONFLICT: Final = frozenset({"40001", "40P01", "23505", "23503"})  # in the way of each other: again, alone
_LOST: Final = ("08", "57P", "25P03")  # no connection any more
_ON_STANDBY: Final = "25006"  # to a server that takes no writes any more
# What other databases keep; doors refuse most of it by name.
_NO_TEXT: Final = {"22021": "a text holds the character NUL", "22001": "a text is too long"}
_REFUSED: Final = ("28", "3D", "42501")  # trying again would be refused again
# The server keeps nothing of a unit whose process has stopped in its middle, and holds up no other for longer.
_LIMITS: Final = "SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '10s'"
# Before the snapshot, which LOCK TABLE alone allows: all writers share a lock that one may have to itself.
BESIDE: Final = f"BEGIN ISOLATION LEVEL SERIALIZABLE; {_LIMITS}; LOCK TABLE alembic_version IN ROW SHARE MODE"
ALONE: Final = f"BEGIN ISOLATION LEVEL SERIALIZABLE; {_LIMITS}; LOCK TABLE alembic_version IN EXCLUSIVE MODE"
READING: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = '60s'"
)
# One start at a time, whether there are tables yet or not.
STARTING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(5641290887)"


class Unusable(Exception):
    """The database cannot be used at all. One line for the operator, without the password."""


class Again(Exception):
    """The unit left nothing behind and may run again. `alone`: other units were in its way."""

    def __init__(self, cause: BaseException, *, alone: bool) -> None:
        super().__init__(str(cause))
        self.cause, self.alone = cause, alone


class Address(NamedTuple):
    """What may be told of a URL."""

    where: str  # host:port
    user: str
    database: str


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    user_at, at, hosts = parts.netloc.rpartition("@")
    user = user_at.partition(":")[0] if at else ""
    return Address(hosts or "the default host", unquote(user), unquote(parts.path.removeprefix("/")))


class Held:
    """One open connection."""

    def __init__(self, connection: "AsyncConnection", driver: Any) -> None:
        self._connection, self.driver = connection, driver
        self._how, self._is_committing = READING, False

    async def begin(self, how: str) -> None:
        self._how, self._is_committing = how, False
        await self.driver.execute(how)

    async def run(self, unit: Callable[[sa.Connection], T]) -> T:
        def within(connection: sa.Connection) -> T:
            with connection.begin():  # SQLAlchemy's own bookkeeping; nothing of it reaches the server
                return unit(connection)

        return await self._connection.run_sync(within)

    async def commit(self) -> None:
        self._is_committing = True
        ended = await self.driver.execute("COMMIT")
        if ended != "COMMIT":
            raise RuntimeError("a unit hid the failure of a statement, and nothing of it was kept")

    def meaning(self, error: BaseException) -> BaseException:
        """What an error that came of this connection is to the caller: Again, or what to raise."""
        if isinstance(error, LongshoreError | Again):
            return error
        original = getattr(error, "orig", None) or error
        state = str(getattr(original, "sqlstate", None) or "")
        is_lost = state.startswith(_LOST) or (state == _ON_STANDBY and self._how != READING)
        if self.driver.is_closed() or is_lost or isinstance(error, OSError):
            self.terminate()
            _log.warning("database: the connection is gone: %s", original)
            return DatabaseUnavailable() if self._is_committing else Again(error, alone=False)
        if state in _CONFLICT or "InvalidCachedStatement" in type(original).__name__:
            return Again(error, alone=True)
        if state in _NO_TEXT:
            return InvalidParameter(_NO_TEXT[state])
        if isinstance(error, TimeoutError) or state.startswith(("53", "55P03", "57")):
            _log.warning("database: %s", original or "no answer in time")
            return StorageFull() if state == "53100" else DatabaseUnavailable()
        return error

    def terminate(self) -> None:
        """Leave the server without a word."""
        if not self.driver.is_closed():
            self.driver.terminate()

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._connection.close(), _ROLLBACK_SECONDS)
        self.terminate()


class Connections:
    """Open connections that nobody uses now, and how to make another."""

    def __init__(self, url: str) -> None:
        if importlib.util.find_spec("asyncpg") is None or importlib.util.find_spec("greenlet") is None:
            raise Unusable(
                "database.url names PostgreSQL, which needs asyncpg: install longshore with its extra, pip install "
                "'longshore[postgres]'; in a checkout, make serve EXTRAS=postgres"
            )
        import asyncpg
        from sqlalchemy.ext.asyncio import create_async_engine

        dsn = "postgresql" + url.removeprefix(SCHEME)

        async def connect() -> Any:
            driver = await asyncpg.connect(
                dsn,
                timeout=_CONNECT_SECONDS,
                target_session_attrs="read-write",
                server_settings={"application_name": "longshore"},
            )
            # What is acknowledged must survive a crash, whatever the server's default is; more than that may be asked.
            await driver.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') IN ('off', 'local')"
            )
            return driver

        self._address = address_of(url)
        self._engine = create_async_engine(
            f"{SCHEME}://",
            async_creator=connect,
            poolclass=sa.pool.NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
        )
        self._failures = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, sa.exc.DBAPIError)
        self._idle: list[Held] = []
        self._hopeless_until = 0.0  # of the loop's clock

    async def take(self, seconds: float) -> Held:
        """A connection that works as far as is known; for `seconds` tried again. Raises DatabaseUnavailable."""
        while self._idle:
            held = self._idle.pop()
            if not held.driver.is_closed():
                return held
            await held.close()
        loop = asyncio.get_running_loop()
        # Where somebody has just waited in vain, one try is enough: a request asks more than once.
        until = loop.time() + (seconds if loop.time() > self._hopeless_until else 0)
        while True:
            try:
                held = await self._connect()
                self._hopeless_until = 0.0
                return held
            except self._failures as error:
                state = str(getattr(getattr(error, "orig", None) or error, "sqlstate", None) or "")
                if state.startswith(_REFUSED) or loop.time() + _PAUSE > until:
                    self._hopeless_until = loop.time() + _HOPELESS_SECONDS
                    _log.warning("database: %s", self.trouble(error))
                    raise DatabaseUnavailable from error
            await asyncio.sleep(_PAUSE)

    async def give(self, held: Held) -> None:
        """Take a connection back, as it is. One that is gone was hardly the only one: all that lie idle go with it."""
        try:
            if held.driver.is_in_transaction():
                async with asyncio.timeout(_ROLLBACK_SECONDS):
                    await held.driver.execute("ROLLBACK")
        except Exception:
            held.terminate()
        if not held.driver.is_closed():
            self._idle.append(held)
            return
        gone, self._idle = [held, *self._idle], []
        for one in gone:
            await one.close()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()
        await self._engine.dispose()

    def trouble(self, error: BaseException | None) -> str:
        """Why no connection comes about, for the operator."""
        where, user, database = self._address
        original = getattr(error, "orig", None) or error
        state = str(getattr(original, "sqlstate", None) or "")
        if state.startswith("28"):
            return f"the database at {where} refuses the user {user}: wrong password, or no such user"
        if state.startswith("3D"):
            return f"there is no database {database} at {where}"
        if isinstance(original, TimeoutError):
            return f"the database at {where} does not answer"
        number = getattr(original, "errno", None)
        why = os.strerror(number) if number and number > 0 else str(original) or type(original).__name__
        return f"cannot reach the database at {where}: {' '.join(why.split())}"

    async def _connect(self) -> Held:
        connection = await self._engine.connect()
        raw = await connection.get_raw_connection()
        return Held(connection, raw.driver_connection)
