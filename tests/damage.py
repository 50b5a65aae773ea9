"""Harm done to stored bytes behind a server's back, and looks at what it keeps on disk."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def database(data: Path) -> Iterator[sqlite3.Connection]:
    """A data directory's database, while its server runs; what is changed is committed."""
    connection = sqlite3.connect(data / "longshore.db", timeout=10)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def row_of(data: Path, digest: str) -> dict[str, Any]:
    """The row of a blob."""
    with database(data) as db:
        db.row_factory = sqlite3.Row
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
