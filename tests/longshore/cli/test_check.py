"""`longshore check` on a data directory whose server runs, and on one that has none."""

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import image, index, push, push_blob, put_manifest, unique_bytes, unique_name
from tests.commands import longshore
from tests.conftest import Start
from tests.servers import REGION, RunningServer

LAYER = b"a layer of the check"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data with a tagged index of one image; no server runs on it."""
    server = RunningServer(tmp_path_factory.mktemp("original") / "data")
    server.start()
    server.create("app")
    built = image(layers=[LAYER])
    push(server, "app", built)
    push(server, "app", index(built), "latest")
    server.stop()
    yield server.data


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "data"))


def sql(data: Path, statement: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(data / "longshore.db")) as connection, connection:
        return connection.execute(statement).fetchall()


def blob_file(data: Path) -> Path:
    return next(path for path in (data / "blobs" / REGION).glob("??/*") if path.read_bytes() == LAYER)


# --- what is said -----------------------------------------------------------------------------------------------------


def test_sound_data_exits_with_0_and_says_so_in_one_line(data: Path) -> None:
    ran = longshore("check", "--data", data)

    assert (ran.code, ran.err) == (0, "")
    [line] = ran.out.splitlines()
    assert line.startswith("looked at 2 blobs")
    assert line.endswith("all is sound")


def test_damage_exits_with_1_and_names_the_tag_that_it_reaches(data: Path) -> None:
    blob_file(data).unlink()
    ran = longshore("check", "--data", data)

    assert (ran.code, ran.err) == (1, "")
    titles, row, last = ran.out.splitlines()
    assert titles.split() == ["KIND", "WHAT", "FOUND", "AFFECTS", "TO", "DO"]
    assert row.startswith("blob-missing")
    assert "app:latest" in row and "push one of the affected images again" in row
    assert last.endswith("; 1 trouble found")


def test_json_has_the_promised_keys(data: Path) -> None:
    blob_file(data).unlink()
    ran = longshore("check", "--data", data, "--deep", "--output", "json")

    assert (ran.code, ran.err) == (1, "")
    found = ran.json
    assert set(found) == {
        "sound",
        "deep",
        "checked",
        "unverifiedBlobs",
        "inFlight",
        "litter",
        "litterBytes",
        "counts",
        "findings",
    }
    assert set(found["checked"]) == {"blobs", "blobBytes", "images", "tags", "uploads", "storedKeys"}
    assert (found["sound"], found["deep"], found["counts"]) == (False, True, {"blob-missing": 1})
    [finding] = found["findings"]
    assert set(finding) == {"kind", "error", "region", "subject", "message", "toDo", "images", "imageCount"}
    assert finding["region"] == REGION
    assert finding["imageCount"] == 2
    tagged, untagged = finding["images"]
    assert set(tagged) == {"account", "region", "repository", "digest", "tags"}
    assert (tagged["repository"], tagged["tags"], untagged["tags"]) == ("app", ["latest"], [])


def test_rot_needs_deep(data: Path) -> None:
    blob_file(data).write_bytes(LAYER.upper())

    assert longshore("check", "--data", data).code == 0
    assert longshore("check", "--data", data, "--deep").code == 1


def test_litter_alone_is_told_and_exits_with_0(data: Path) -> None:
    path = data / "blobs" / REGION / "ab" / ("ab" + "0" * 30)
    path.write_bytes(b"left by a crash")
    os.utime(path, (1_000_000, 1_000_000))
    ran = longshore("check", "--data", data)

    assert ran.code == 0
    assert "litter" in ran.out and path.name in ran.out
    assert ran.out.splitlines()[-1].endswith("; 1 file (15 B) that no row names; all is sound")


def test_a_damaged_database_is_a_finding(data: Path) -> None:
    (data / "longshore.db").write_bytes(b"not a database at all" * 1000)
    ran = longshore("check", "--data", data, "--output", "json")

    assert (ran.code, ran.err) == (1, "")
    assert ran.json["counts"] == {"database": 1}


# --- what cannot be checked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: shutil.rmtree(data), "there is no"),
        (lambda data: (data / "restore-unfinished").touch(), "delete the directory and restore again"),
        (lambda data: sql(data, "UPDATE alembic_version SET version_num = '9999'"), "start the newer program"),
    ],
    ids=["nothing-there", "half restored", "newer schema"],
)
def test_what_cannot_be_checked_is_one_line_that_says_what_to_do(
    data: Path, spoil: Callable[[Path], object], says: str
) -> None:
    spoil(data)
    ran = longshore("check", "--data", data)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("longshore: ") and says in ran.err
    assert ran.err.count("\n") == 1


def test_looking_for_data_makes_none(tmp_path: Path) -> None:
    longshore("check", "--data", tmp_path / "data")

    assert list(tmp_path.iterdir()) == []


# --- beside a server --------------------------------------------------------------------------------------------------


def push_and_delete(server: RunningServer, repository: str, stop: threading.Event, failures: list[str]) -> None:
    """Push images, the same layers from several sides at once, cancel uploads, delete what was pushed."""
    shared = [b"layer %d that all push" % number for number in range(3)]
    while not stop.is_set():
        built = image(layers=[*shared, unique_bytes(2000)])
        try:
            push(server, repository, built, "latest")
            begun = server.request("POST", f"/v2/{repository}/blobs/uploads/")
            where = begun.headers["Location"]
            sent = server.request("PATCH", where, b"never finished", {"Content-Type": "application/octet-stream"})
            assert sent.status == 202, sent.body
            assert server.request("DELETE", sent.headers["Location"]).status == 204
            gone = server.request("DELETE", f"/v2/{repository}/manifests/{built.digest}")
            assert gone.status == 202, gone.body
        except Exception as error:
            failures.append(repr(error))
            return


def test_pushes_at_work_are_never_taken_for_damage(start_server: Start) -> None:
    server = start_server("--workers", "2")
    names = [unique_name() for _ in range(4)]
    for name in names:
        server.create(name)
    failures: list[str] = []
    stop = threading.Event()
    pushers = [threading.Thread(target=push_and_delete, args=(server, name, stop, failures)) for name in names]
    for pusher in pushers:
        pusher.start()
    try:
        reports = [
            longshore("check", "--data", server.data, "--output", "json", *(["--deep"] if number % 2 else []))
            for number in range(6)
        ]
    finally:
        stop.set()
        for pusher in pushers:
            pusher.join()

    assert failures == []
    assert [(report.code, report.err) for report in reports] == [(0, "")] * 6
    assert all(report.json["findings"] == [] for report in reports)
    assert reports[-1].json["checked"]["blobs"] > reports[0].json["checked"]["blobs"]
    final = longshore("check", "--data", server.data, "--deep", "--output", "json").json
    assert final["sound"]
    assert final["unverifiedBlobs"] == 0


def test_pushing_again_heals_what_check_found(start_server: Start) -> None:
    server = start_server()
    name = unique_name()
    server.create(name)
    built = image(layers=[LAYER])
    push(server, name, built, "v1")
    blob_file(server.data).unlink()
    before = longshore("check", "--data", server.data, "--output", "json")
    push_blob(server, name, LAYER)
    assert put_manifest(server, name, built, "v1").status == 201
    after = longshore("check", "--data", server.data, "--output", "json")

    assert before.json["counts"] == {"blob-missing": 1}
    assert (after.code, after.json["counts"]) == (0, {})
