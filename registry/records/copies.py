"""Copies of the database: taken beside running servers, and looked into."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from registry.errors import DatabaseDamaged, DatabaseUnavailable
from registry.records.engine import Tx

_BUSY_SECONDS = 5.0


def take(source: Path, to: Path) -> None:
    """Copy the database as it is at one moment into one new file (0600). Writers go on meanwhile.

    Raises DatabaseDamaged, DatabaseUnavailable, OSError.
    """
    os.close(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        # `mode=rw`: sqlite must not make an empty database where there is none.
        with (
            contextlib.closing(
                sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", _BUSY_SECONDS, uri=True)
            ) as one,
            contextlib.closing(sqlite3.connect(to)) as other,
        ):
            one.backup(other)  # all pages in one step: in WAL mode that is one snapshot, and holds nobody up
            other.execute("PRAGMA journal_mode = DELETE")  # a file by itself, without a log beside it
    except sqlite3.OperationalError as error:
        raise DatabaseUnavailable from error
    except sqlite3.DatabaseError as error:
        raise DatabaseDamaged(str(error)) from error


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Tx]:
    """The rows of a copy that nobody else uses, in one transaction that is committed at the end."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=sa.pool.NullPool)
    try:
        with engine.begin() as tx:
            yield tx
    finally:
        engine.dispose()
