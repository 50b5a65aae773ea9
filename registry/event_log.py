"""The log of events: a file with one event on each line, for whatever reads files.

Lines are on the disk before the rows that they were made from go: what dies in between writes them again, with the same
ids. The file is opened for each batch, so that a tool may move it away at any time and need tell nobody. Whoever writes
holds a lock on it; a line that somebody left unfinished is brought to its end before the next, so that no two run
into one.
"""

import asyncio
import errno
import fcntl
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from registry import failpoints
from registry.context import Deps
from registry.errors import StorageFull, StorageUnavailable
from registry.records import deliveries, listeners
from registry.records.deliveries import Delivery
from registry.records.engine import Tx

_BATCH: Final = 500  # events that are written, and then removed, together


async def write(deps: Deps, listener_id: int, pause: Callable[[], None]) -> None:
    """Write down what waits. `pause` is called between steps, and may raise. Raises StorageUnavailable."""
    path = Path(deps.settings.events.log_file)
    found = await deps.db.read(lambda tx: deliveries.first(tx, listener_id, limit=_BATCH))
    while True:
        pause()
        if found:
            await asyncio.to_thread(append, path, [one.event for one in found])
            await failpoints.crossing("event-logged")
        # In the transaction that writes: whoever adds one from now on sees that nobody will look again.
        found = await deps.db.write(functools.partial(_settle, deps, listener_id, found))
        if not found:
            return


def append(path: Path, lines: Sequence[str]) -> None:
    """All of them, or none: on the disk when this returns. Raises StorageUnavailable, StorageFull."""
    data = "".join(f"{line}\n" for line in lines).encode()
    try:
        is_new = not path.exists()
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            _append(file, data)
        finally:
            os.close(file)
        if is_new:
            _sync_directory(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull from error
        raise StorageUnavailable from error


def _append(file: int, data: bytes) -> None:
    before = os.fstat(file).st_size
    if before and os.pread(file, 1, before - 1) != b"\n":
        data = b"\n" + data
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    except OSError:
        os.ftruncate(file, before)
        raise


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _settle(deps: Deps, listener_id: int, written: Sequence[Delivery], tx: Tx) -> list[Delivery]:
    """Take away what is written; what waits by now."""
    if written:
        deliveries.remove(tx, [one.id for one in written])
        listeners.note_delivered(tx, listener_id, deps.clock.now(), len(written))
    return deliveries.first(tx, listener_id, limit=_BATCH)
