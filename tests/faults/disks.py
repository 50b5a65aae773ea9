"""Small disks of a test's own, which can be full, or lose their power."""

import contextlib
import filecmp
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(path: Path, options: str) -> Iterator[Path]:
    """A tmpfs at `path`, for as long as the block runs. `options` are mount's: `size=24m`, `nr_inodes=300`."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=0700", "longshore-test", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def fill(directory: Path) -> Path:
    """Take all the room that there is; remove the file to have it back."""
    filler = directory / "filler"
    with open(filler, "wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"\0" * 65536)
    with open(filler, "ab", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"\0" * 512)
    return filler


def used(directory: Path) -> int:
    """Bytes in use on the disk at `directory`."""
    found = os.statvfs(directory)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def more_names(path: Path, number: int) -> None:
    """Let the disk at `path` hold so many files."""
    subprocess.run(["mount", "-o", f"remount,nr_inodes={number}", path], check=True)


class Powered:
    """A disk with a journal (ext4), in a file. Without power all is gone that it has not been told to keep: what
    programs wrote and the kernel still has in memory."""

    def __init__(self, image: Path, path: Path, size: int) -> None:
        self._image, self.path = image, path
        with open(image, "wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        path.mkdir(parents=True)
        self._mount()

    def remember(self) -> None:
        """Note what is on the disk in this moment. Nobody writes to it; the kernel may, and then it is looked again."""
        one, two = self._copy(1), self._copy(2)
        while True:
            for copy in (one, two):
                subprocess.run(["cp", "--sparse=auto", self._image, copy], check=True)
            if filecmp.cmp(one, two, shallow=False):
                two.unlink()
                return

    def restart(self) -> None:
        """Come up again with what was on the disk when it was remembered. Nobody has a file open on it."""
        self.close()
        self._copy(1).replace(self._image)
        self._mount()

    def close(self) -> None:
        subprocess.run(["umount", self.path], check=True)

    def _copy(self, number: int) -> Path:
        return self._image.with_suffix(f".{number}")

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self._image, self.path], check=True)
