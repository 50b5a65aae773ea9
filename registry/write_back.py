"""Early write-back: the disk begins to write a long body while it still comes in.

Left alone, the kernel keeps what was written in memory for as long as it likes, and the fsync before the answer has all
of it to do, while the client waits and the disk was idle before. `sync_file_range` asks for a beginning and promises
nothing: that bytes are durable is for fsync to say, with this or without. It loses no error either, since it neither
waits for the disk nor asks what became of its writing.

Linux only; elsewhere, and on file systems that do not know it, nothing happens.
"""

import functools
import os
import sys
from collections.abc import Callable
from typing import Final

PIECE: Final = 8 * 1024 * 1024  # bytes that are begun at a time
_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE


class WriteBack:
    """Of one body that is written to `fd` from where it stands. Called by one thread at a time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._begun = self._written = os.lseek(fd, 0, os.SEEK_CUR)

    def wrote(self, size: int) -> None:
        """Note that `size` more bytes were written."""
        self._written += size
        if self._written - self._begun >= PIECE:
            begin(self._fd, self._begun, self._written - self._begun)
            self._begun = self._written


def begin(fd: int, first: int, size: int) -> bool:
    """Let the kernel begin to write these bytes of the file to the disk; False where it does not."""
    call = _sync_file_range()
    return call is not None and call(fd, first, size, _WRITE) == 0


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """The C library's function, which Python does not name."""
    if sys.platform != "linux":
        return None
    import ctypes  # only needed for long bodies

    found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is None:
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return found  # type: ignore[no-any-return] # a function of C has the types that were just given
