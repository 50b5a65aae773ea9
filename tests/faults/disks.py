"""Small disks of a test's own, which can be full."""

import contextlib
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
