"""Opening the metadata database: the SQLite file in the data directory, or a PostgreSQL server that several share.

What PostgreSQL needs beside the core is imported only here, and only where the configuration names it.
"""

from pathlib import Path
from typing import Final

from longshore.config import Config
from registry.errors import DatabaseUnavailable
from registry.records import engine
from registry.records.engine import Database, Opened, T, Unit

FILE: Final = "longshore.db"  # in the data directory


class DatabaseUnusable(Exception):
    """The database cannot be opened or used at all. The message says why, in one line and without a password."""


def is_shared(config: Config) -> bool:
    """Whether the rows lie outside of the data directory, where other servers may use them too."""
    return bool(config.database.url)


def where(config: Config) -> str:
    """The database, for a message."""
    if not is_shared(config):
        return str(Path(config.server.data) / FILE)
    from registry.records.pg_connections import address_of

    address = address_of(config.database.url)
    return f"{address.database} at {address.where}"


def open_database(config: Config) -> Opened:
    """The database, whatever is in it. Raises DatabaseUnusable; a server that does not answer shows only in use."""
    if not is_shared(config):
        path = Path(config.server.data) / FILE
        return _on_disk(path, engine.unusable(path))
    from registry.records.pg_connections import Unusable
    from registry.records.postgresql import PostgreSQL

    try:
        return PostgreSQL(config.database.url, connections=config.database.connections)
    except Unusable as error:
        raise DatabaseUnusable(str(error)) from None


def reach(config: Config) -> Opened:
    """The database, for a command beside the server: a server that answers, or the file, damaged or not, since what is
    wrong with it is for `longshore check` to say. Raises DatabaseUnusable.
    """
    if not is_shared(config):
        return _on_disk(Path(config.server.data) / FILE)
    from registry.records.pg_connections import Unusable
    from registry.records.postgresql import PostgreSQL

    db = open_database(config)
    assert isinstance(db, PostgreSQL)
    try:
        db.reach_here()
    except Unusable as error:
        db.close()
        raise DatabaseUnusable(str(error)) from error
    return db


def start(config: Config, db: Opened, unit: Unit[T]) -> T:
    """Run `unit` before anything else is done with the database, one start at a time. Raises DatabaseUnusable."""
    if not is_shared(config):
        try:
            return db.start_here(unit)
        except DatabaseUnavailable as error:
            reason = getattr(error.__cause__, "orig", None) or error.message
            raise DatabaseUnusable(f"cannot use the database {where(config)}: {reason}") from error
    from registry.records.pg_connections import Unusable

    try:
        return db.start_here(unit)
    except Unusable as error:
        raise DatabaseUnusable(str(error)) from error


def _on_disk(path: Path, trouble: str | None = None) -> Database:
    if trouble is None:
        try:
            return Database(path)
        except OSError as error:
            trouble = str(error.strerror)
    raise DatabaseUnusable(f"cannot use the database {path}: {trouble}; if it is damaged, restore it from a backup")
