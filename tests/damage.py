"""Harm done to stored bytes behind a server's back, and looks at what it keeps on disk."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import elsewhere


@contextlib.contextmanager
def database(data: Path) -> Iterator[Any]:
    """A data directory's database, while its server runs; what is changed is committed."""
    url = elsewhere.environment(data).get("LONGSHORE_DATABASE__URL")
    if url is not None:
        from tests.pg_servers import connected

        with connected(url) as rows:
            yield rows
        return
    connection = sqlite3.connect(data / "longshore.db", timeout=10)
    connection.row_factory = sqlite3.Row
    try:
        with connection:
            yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def no_writer(data: Path) -> Iterator[None]:
    """While the block runs, whoever wants to write waits."""
    if "LONGSHORE_DATABASE__URL" in elsewhere.environment(data):
        with database(data) as db:
            db.execute("BEGIN")
            db.execute("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
            yield
        return
    with open(data / "write.lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def row_of(data: Path, digest: str) -> dict[str, Any]:
    """The row of a blob."""
    with database(data) as db:
        return dict(db.execute("SELECT * FROM blobs WHERE digest = ?", (digest,)).fetchone())


def file_of(data: Path, digest: str) -> Path:
    """The file that the row of a blob names, whether it is there or not."""
    key = row_of(data, digest)["key"]
    return data / "blobs" / "us-east-1" / key[:2] / key


def stored_files(data: Path) -> set[str]:
    """Every file below the blob store, by its path in it."""
    root = data / "blobs"
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def flip_bit(path: Path, at: int = 0) -> None:
    """Change one bit of the file; its size and its modification time stay as they were."""
    before = path.stat()
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def hide_harm(data: Path, digest: str) -> None:
    """Make the row say that the file as it is now was verified: rot that leaves no trace in the inode."""
    found = os.stat(file_of(data, digest))
    identity = f"{found.st_dev:x}-{found.st_ino:x}-{found.st_size:x}-{found.st_ctime_ns:x}"
    with database(data) as db:
        db.execute("UPDATE blobs SET identity = ? WHERE digest = ?", (identity, digest))
