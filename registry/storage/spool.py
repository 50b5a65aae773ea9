"""Where one upload's bytes wait until there are enough of them to be sent to a distant store.

A file for each upload that is being written, in a directory of this machine, so that a slow client costs disk and no
memory. It has two halves: while the part in one is on its way, the other is filled. Its flock is the right to write to
the upload: it spans the processes of a machine and ends with its holder. The file goes when the writer is done; what a
crash leaves is cut off by the next writer, or swept at the next start.
"""

import contextlib
import errno
import fcntl
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from registry.errors import StorageUnavailable
from registry.storage.base import UploadBusy
from registry.storage.trouble import translated

PIECE: Final = 256 * 1024  # bytes that are gathered in memory before the file is touched
_IOV_MAX: Final = 512


class Section(io.RawIOBase):
    """Stretches of a spool file, read one after the other. It reads on when the spool itself is closed."""

    def __init__(self, fd: int, stretches: Sequence[tuple[int, int]]) -> None:
        """`stretches`: (offset, length) in the file."""
        self._fd = os.dup(fd)
        self._stretches = [(offset, length) for offset, length in stretches if length]
        self._size = sum(length for _, length in self._stretches)
        self._at = 0

    def __len__(self) -> int:
        return self._size

    def again(self) -> "Section":
        """The same from its beginning: whoever still reads this one does not get in the way."""
        return Section(self._fd, self._stretches)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = min(max(start + offset, 0), self._size)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # all that reads are passed
        before = 0
        for offset, length in self._stretches:
            inside = self._at - before
            if inside < length:
                wanted = memoryview(buffer)[: length - inside]
                got = os.preadv(self._fd, [wanted], offset + inside)
                if not got and wanted:
                    raise OSError(errno.EIO, "the spool file is short")
                self._at += got
                return got
            before += length
        return 0

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


Body = bytes | Section


class Spool:
    """Bytes in their order, at most `half` of them: the first in the file, the latest in memory."""

    def __init__(self, fd: int, half: int) -> None:
        self._fd, self._half = fd, half
        self._base = 0  # where the half begins that is being filled
        self._pending: list[bytes | memoryview] = []
        self._in_file = 0  # of the bytes that were added
        self._before = 0  # bytes that come before those, and lie behind them
        self.size = 0

    @property
    def has_before(self) -> bool:
        return self._before > 0

    @property
    def wants_flush(self) -> bool:
        return self.size - self._in_file - self._before >= PIECE or len(self._pending) >= _IOV_MAX

    def add(self, piece: bytes | memoryview) -> None:
        self._pending.append(piece)
        self.size += len(piece)

    def flush(self) -> None:
        """Write what is in memory to the file. Blocks."""
        with translated():
            while self._pending:
                written = os.pwritev(self._fd, self._pending, self._base + self._in_file)
                self._in_file += written
                self._drop(written)

    def add_before(self, piece: bytes) -> None:
        """Bytes that come before all that `add` brought, and after those of earlier calls. Blocks."""
        self.flush()
        with translated():
            at = self._base + self._in_file + self._before
            while piece:
                written = os.pwrite(self._fd, piece, at)
                self._before, self.size = self._before + written, self.size + written
                at, piece = at + written, piece[written:]

    def whole(self) -> Body:
        """All bytes; what is short has not been in the file. Blocks."""
        if not self._in_file and not self._before:
            return b"".join(self._pending)
        self.flush()
        after = self._base + self._in_file
        return Section(self._fd, [(after, self._before), (self._base, self._in_file)])

    def turn(self) -> None:
        """Begin anew in the other half. Whatever was taken of that one must be done with."""
        self._base = self._half - self._base
        self._pending, self._in_file, self._before, self.size = [], 0, 0, 0

    def _drop(self, written: int) -> None:
        """Take `written` bytes from the front of what is in memory."""
        done = 0
        while done < len(self._pending) and written >= len(self._pending[done]):
            written -= len(self._pending[done])
            done += 1
        del self._pending[:done]
        if written:
            self._pending[0] = memoryview(self._pending[0])[written:]


@contextlib.contextmanager
def taken(directory: Path, key: str, half: int) -> Iterator[Spool]:
    """The spool of an upload, held by this writer alone. Raises UploadBusy."""
    path = directory / key
    fd = _lock(path, key)
    try:
        yield Spool(fd, half)
    finally:
        # Before the lock ends: whoever opened the file meanwhile sees that it is no longer the one of that name.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(fd)


def sweep(directory: Path) -> None:
    """Remove what writers left that are no more."""
    for path in directory.iterdir():
        with contextlib.suppress(UploadBusy, StorageUnavailable), taken(directory, path.name, 0):
            pass


def _lock(path: Path, key: str) -> int:
    with translated():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                raise UploadBusy(key) from None
            if _is_at(fd, path):
                os.ftruncate(fd, 0)
                return fd
            os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
