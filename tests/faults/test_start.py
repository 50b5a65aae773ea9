"""Starts that cannot succeed, and starts that meet (promises.md F48, P12)."""

import concurrent.futures
import contextlib
import json
import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from longshore.wiring import DATABASE, MASTER_KEY, ROOT_KEY
from tests.builders import digest_of
from tests.faults.disks import small_disk
from tests.faults.soundness import assert_sound
from tests.servers import ROOT, RunningServer, basic, clean_environment
from tests.waiting import until

_HANGS = 20  # seconds
_PROMPT = 5.0  # seconds of work; what else the machine does meanwhile is not counted
_DEFAULT = "us-east-1"

Break = Callable[[Path], None]


@pytest.fixture(scope="module")
def good_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as a start leaves it, with its own root key."""
    server = RunningServer(tmp_path_factory.mktemp("good") / "data")
    server.environment.clear()
    server.start()
    assert server.stop() == 0
    return server.data


def start(data: Path, *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines of standard error and standard output of a start that ends by itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "longshore", "serve", "--data", str(data), "--port", "0", *arguments]
    found = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=_HANGS)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < _PROMPT
    return found.returncode, found.stderr.splitlines(), found.stdout


def assert_refused(outcome: tuple[int, list[str], str], said: str) -> None:
    code, lines, output = outcome
    assert code != 0
    assert len(lines) == 1, lines
    assert lines[0].startswith("longshore: ") and said in lines[0], lines
    assert "unexpected failure" not in lines[0] and "ready" not in output


# --- what cannot be used ----------------------------------------------------------------------------------------------


def sql(statement: str) -> Break:
    def change(data: Path) -> None:
        with contextlib.closing(sqlite3.connect(data / DATABASE)) as rows:
            rows.execute(statement)
            rows.commit()

    return change


def text(name: str, content: str, mode: int = 0o600) -> Break:
    def change(data: Path) -> None:
        (data / name).write_text(content)
        (data / name).chmod(mode)

    return change


def without(name: str) -> Break:
    def change(data: Path) -> None:
        if (data / name).is_dir():
            shutil.rmtree(data / name)
        else:
            (data / name).unlink()

    return change


def identity(**more: str) -> Break:
    def change(data: Path) -> None:
        file = data / "blobs" / _DEFAULT / "longshore-store.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **more}))

    return change


def directory_for_database(data: Path) -> None:
    (data / DATABASE).unlink()
    (data / DATABASE).mkdir()


BROKEN: list[tuple[str, Break, str]] = [
    ("newer schema", sql("UPDATE alembic_version SET version_num = '9999'"), "start the newer program"),
    ("no database", text(DATABASE, "this is no database\n" * 100), "database"),
    ("database is a directory", directory_for_database, "database"),
    ("foreign store", identity(storeId="0" * 32), "restore the two from one backup"),
    ("store of another region", identity(region="eu-west-1"), "region eu-west-1"),
    ("damaged store", text(f"blobs/{_DEFAULT}/longshore-store.json", "{"), "damaged"),
    ("no store", without(f"blobs/{_DEFAULT}"), "missing"),
    ("no master key", without(MASTER_KEY), "is missing: restore it"),
    ("damaged master key", text(MASTER_KEY, "\0\1\2"), "the master key must be 32 bytes"),
    ("another master key", text(MASTER_KEY, "ab" * 32), "is not the one"),
    ("damaged root key", text(ROOT_KEY, "{"), "is damaged"),
    ("open root key", text(ROOT_KEY, "{}", 0o644), "can be read by others"),
]


@pytest.mark.parametrize(("break_it", "said"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_data_that_cannot_be_used_ends_the_start_with_one_line(
    good_data: Path, tmp_path: Path, break_it: Break, said: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(good_data, data)
    break_it(data)

    assert_refused(start(data), said)


def test_a_taken_port_ends_the_start_with_one_line(good_data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert_refused(start(good_data, "--port", str(port)), f"127.0.0.1:{port}: Address already in use")
        assert_refused(start(good_data, "--port", str(port), "--workers", "2"), "choose another by --port")


def test_a_file_in_the_place_of_the_data_directory_ends_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    assert_refused(start(tmp_path / "data"), "cannot make the data directory")


@pytest.mark.real("tmpfs")
def test_a_disk_that_is_read_only_ends_the_start_with_one_line(good_data: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "size=8m") as disk:
        shutil.copytree(good_data, disk, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

        assert_refused(start(disk), "read-only" if os.geteuid() else "not writable")


# --- starts that meet -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("round_number", range(3))
def test_servers_that_start_at_once_on_an_empty_directory_serve_the_same_data(
    tmp_path: Path, round_number: int
) -> None:
    """Whoever of them made them: there is one master key, one root key, one store."""
    servers = [RunningServer(tmp_path / "new" / "data", "--create-on-push", "--workers", n) for n in ("1", "2", "1")]
    for server in servers:
        server.environment.clear()
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(RunningServer.start, servers))
        kept = json.loads((tmp_path / "new" / "data" / ROOT_KEY).read_text())
        key = basic(kept["accessKeyId"], kept["secretAccessKey"])
        for number, server in enumerate(servers):
            blob, path = f"blob {number}".encode(), "/v2/met/blobs"
            pushed = server.request("POST", f"{path}/uploads/?digest={digest_of(blob)}", blob, auth=key)
            assert pushed.status == 201, (number, pushed.body)
            assert [one.request("GET", f"{path}/{digest_of(blob)}", auth=key).body for one in servers] == [blob] * 3

        assert sum("A root access key was made" in line for server in servers for line in server.output) == 1
        assert kept["endpoint"] in [server.url for server in servers]
    finally:
        assert [server.stop() for server in servers] == [0, 0, 0]


@pytest.mark.parametrize("last", ["write.lock", MASTER_KEY, DATABASE, "longshore-store.json", ROOT_KEY])
def test_a_first_start_that_was_killed_can_be_made_again(tmp_path: Path, last: str) -> None:
    """Killed as soon as the file `last` is there, which is before the next one is, or is not."""
    data = tmp_path / "data"
    command = [sys.executable, "-m", "longshore", "serve", "--data", str(data), "--port", "0"]
    begun = subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until(lambda: any(data.rglob(last)), what=last, every=0.001)
    begun.kill()
    begun.communicate()
    again = RunningServer(data, "--create-on-push")
    again.environment.clear()
    again.start()
    kept = json.loads((data / ROOT_KEY).read_text())
    key, blob = basic(kept["accessKeyId"], kept["secretAccessKey"]), b"after a kill"
    pushed = again.request("POST", f"/v2/again/blobs/uploads/?digest={digest_of(blob)}", blob, auth=key)

    assert pushed.status == 201
    assert again.stop() == 0
    assert_sound(data)
