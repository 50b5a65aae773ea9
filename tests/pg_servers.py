"""Real PostgreSQL servers on loopback, each in a directory of its own and run by a user without rights."""

import asyncio
import contextlib
import functools
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.servers import clean_environment
from tests.waiting import until

USER, PASSWORD = "longshore", "a-password+of/this@test-run"
_QUOTED: Final = "a-password%2Bof%2Fthis%40test-run"
_numbers = itertools.count()


@functools.cache
def programs() -> Path | None:
    """The directory of `postgres` and `initdb`, which Debian keeps out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda one: int(one.parts[-3]))
    if found:
        return found[-1].parent
    named = shutil.which("postgres")
    return Path(named).resolve().parent if named else None


def _program(name: str) -> Path:
    where = programs()
    assert where is not None
    return where / name


class PostgresService:
    """One PostgreSQL server process."""

    def __init__(self, *, user: str = USER, password: str = PASSWORD) -> None:
        self.user, self.password = user, password
        self.port = free_port()
        # Not below pytest's own directory, which only its user may enter.
        self.directory = Path(tempfile.mkdtemp(prefix="longshore-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _unprivileged()

    def make(self, *initdb: str) -> None:
        """A new, empty cluster, with these arguments of initdb or those that tests have."""
        password = self.directory / "password"
        password.write_text(self.password)
        if self._user is not None:
            for path in (self.directory, password):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb",
            *("--pgdata", str(self.directory / "data"), "--username", self.user, "--pwfile", str(password)),
            *("--auth", "scram-sha-256", "--no-sync"),
            *(initdb or ("--encoding", "UTF8", "--locale", "C.UTF-8")),
        )

    def start(self) -> None:
        """Return when it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "max_connections": "200",
            "shared_buffers": "32MB",
        }
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                [
                    str(_program("postgres")),
                    *("-D", str(self.directory / "data")),
                    *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
                ],
                env=clean_environment(),
                cwd=self.directory,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user(),
            )
        until(self._answers, what="an answer of PostgreSQL")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends sessions and stops; SIGQUIT is a crash: nothing is written any more."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def new_database(self, *, encoding: str = "UTF8", locale: str = "") -> str:
        """The URL of an empty database. `locale`: one of ICU's."""
        name = f"registry_{os.getpid()}_{next(_numbers)}"
        by_icu = f"LOCALE_PROVIDER icu ICU_LOCALE '{locale}'" if locale else ""
        self.sql(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' {by_icu} TEMPLATE template0", "postgres")
        return self.url(name)

    def url(self, database: str, *, password: str = _QUOTED, port: int | None = None) -> str:
        return f"postgresql+asyncpg://{USER}:{password}@127.0.0.1:{port or self.port}/{database}"

    def sql(self, statement: str, database: str) -> str:
        """Rows of a statement by psql, one a line."""
        return self._run(
            "psql", *("-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"), *self._at(database), "-c", statement
        )

    def dump(self, database: str) -> str:
        """What pg_dump makes of it."""
        return self._run("pg_dump", *self._at(database))

    def load(self, dump: str, database: str) -> None:
        self._run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *self._at(database), given=dump)

    def _at(self, database: str) -> tuple[str, ...]:
        return "-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, "-d", database

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, (self.directory / "log").read_text()
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.sql("SELECT 1", "postgres") == "1\n"
        return False

    def _run(self, program: str, *arguments: str, given: str = "") -> str:
        return subprocess.run(
            [str(_program(program)), *arguments],
            env=clean_environment(PGPASSWORD=self.password, LC_ALL="C.UTF-8"),
            cwd=self.directory,
            check=True,
            input=given,
            capture_output=True,
            text=True,
            **self._as_user(),
        ).stdout

    def _as_user(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user.pw_uid, "group": self._user.pw_gid}


class Rows(list[Any]):
    """The rows of a statement, as sqlite3 gives them."""

    def fetchone(self) -> Any:
        return self[0] if self else None

    def fetchall(self) -> list[Any]:
        return self


class Connected:
    """A connection as sqlite3 has it: values stand at `?`."""

    def __init__(self, url: str) -> None:
        import asyncpg

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._driver = self._done(asyncpg.connect(url.replace("+asyncpg", "", 1)))

    def close(self) -> None:
        self._done(self._driver.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        numbers = itertools.count(1)
        statement = re.sub(r"\?", lambda _: f"${next(numbers)}", statement)
        return Rows(self._done(self._driver.fetch(statement, *values)))

    def executemany(self, statement: str, many: Iterable[Sequence[Any]]) -> None:
        for values in many:
            self.execute(statement, values)

    def _done(self, work: Any) -> Any:
        """In a loop of its own, also where one runs."""
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result(60)


async def _awaited(work: Any) -> Any:
    return await work


@contextlib.contextmanager
def connected(url: str) -> Iterator[Connected]:
    """A database, while its servers run; what is changed is committed statement by statement."""
    found = Connected(url)
    try:
        yield found
    finally:
        found.close()


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as, since it refuses root; None: as who we are."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
