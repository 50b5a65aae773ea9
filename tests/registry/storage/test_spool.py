"""The file in which an upload's bytes wait for a distant store."""

import os
from pathlib import Path

import pytest

from registry.errors import StorageFull
from registry.storage import spool
from registry.storage.base import UploadBusy
from registry.storage.spool import PIECE, Body, Section, Spool, taken
from tests.chunks import KIB, noise

HALF = 2 * PIECE + 1000


def content(body: Body) -> bytes:
    """Read as a client of S3 reads: in pieces of 64 KiB."""
    return body if isinstance(body, bytes) else b"".join(iter(lambda: body.read(64 * KIB), b""))


def fill(found: Spool, data: bytes) -> None:
    for first in range(0, len(data), 100_000):
        found.add(memoryview(data)[first : first + 100_000])
        if found.wants_flush:
            found.flush()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, HALF])
def test_what_goes_in_comes_out(tmp_path: Path, size: int) -> None:
    data = noise(size)
    with taken(tmp_path, "key", HALF) as found:
        fill(found, data)

        assert (found.size, content(found.whole())) == (size, data)


def test_little_never_touches_the_file(tmp_path: Path) -> None:
    with taken(tmp_path, "key", HALF) as found:
        found.add(b"little")

        assert isinstance(found.whole(), bytes)
        assert (tmp_path / "key").stat().st_size == 0


def test_much_is_not_kept_in_memory(tmp_path: Path) -> None:
    with taken(tmp_path, "key", HALF) as found:
        fill(found, noise(HALF))

        assert (tmp_path / "key").stat().st_size >= HALF - PIECE
        assert isinstance(found.whole(), Section)


@pytest.mark.parametrize("after", [0, 10, PIECE + 7])
def test_bytes_that_come_before_may_be_added_last(tmp_path: Path, after: int) -> None:
    data = noise(after)
    with taken(tmp_path, "key", HALF) as found:
        fill(found, data)
        found.add_before(b"first ")
        found.add_before(b"second ")

        assert content(found.whole()) == b"first second " + data


def test_one_half_is_filled_while_the_other_is_read(tmp_path: Path) -> None:
    parts = [noise(HALF, seed=number) for number in range(3)]
    with taken(tmp_path, "key", HALF) as found:
        fill(found, parts[0])
        one = found.whole()
        found.turn()
        fill(found, parts[1])
        two = found.whole()
        assert content(one) == parts[0]
        found.turn()
        fill(found, parts[2])

        assert [content(two), content(found.whole())] == parts[1:]
        assert (tmp_path / "key").stat().st_size <= 2 * HALF


def test_a_section_is_read_anywhere_and_again(tmp_path: Path) -> None:
    data = noise(HALF)
    with taken(tmp_path, "key", HALF) as found:
        fill(found, data[10:])
        found.add_before(data[:10])
        section = found.whole()
        assert isinstance(section, Section)
        assert (section.read(7), section.tell()) == (data[:7], 7)
        assert section.seek(-5, os.SEEK_END) == len(data) - 5
        assert section.read(100) == data[-5:]
        other = section.again()

    assert len(other) == len(data)
    assert content(other) == data  # though the spool is closed
    for one in (section, other):
        one.close()
        one.close()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with taken(tmp_path, "key", HALF):
        with pytest.raises(UploadBusy), taken(tmp_path, "key", HALF):
            pass
        with taken(tmp_path, "other", HALF):
            pass
    with taken(tmp_path, "key", HALF):
        pass


def test_nothing_is_left_by_who_ends_and_what_a_crash_left_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"left by a crash")
    with taken(tmp_path, "key", HALF) as found:
        assert (tmp_path / "key").stat().st_size == 0
        fill(found, noise(HALF))

    assert list(tmp_path.iterdir()) == []


def test_a_sweep_leaves_writers_alone(tmp_path: Path) -> None:
    (tmp_path / "left").write_bytes(b"left by a crash")
    with taken(tmp_path, "held", HALF) as found:
        fill(found, noise(HALF))
        spool.sweep(tmp_path)

        assert [path.name for path in tmp_path.iterdir()] == ["held"]
        assert content(found.whole()) == noise(HALF)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with taken(tmp_path, "key", HALF) as found:
        monkeypatch.setattr(os, "pwritev", full)
        found.add(b"one byte too many")
        with pytest.raises(StorageFull):
            found.flush()
