"""`make dev-s3`, run as it stands, and a server that is pointed at it by the lines that it prints."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.builders import image, push, unique_name
from tests.cli import BIN
from tests.conftest import Start
from tests.servers import ROOT, clean_environment

_SCRIPT = ROOT / "deploy" / "dev_s3.py"


class Running(NamedTuple):
    process: "subprocess.Popen[str]"
    directory: Path
    lines: list[str]  # printed until it was ready

    @property
    def exported(self) -> dict[str, str]:
        """What a shell would have after these lines."""
        return dict(re.findall(r"(?m)^export (\w+)=(\S+)$", "\n".join(self.lines)))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    directory, venv = tmp_path / "dev-s3", BIN.parent
    arguments = f"ARGS=--port 0 --directory {directory}"
    process = subprocess.Popen(
        ["make", "--silent", "-o", f"{venv}/extra-s3", "dev-s3", f"VENV={venv}", arguments],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if "LONGSHORE_STORAGE__SECRET_ACCESS_KEY_FILE=..." in line:
            break
    yield Running(process, directory, lines)
    interrupt(process)
    process.stdout.close()


def interrupt(process: "subprocess.Popen[str]") -> None:
    """Ctrl-C, which reaches all of its processes."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)


@pytest.mark.real("versitygw")
def test_the_lines_that_it_prints_point_a_server_at_it(running: Running, start_server: Start) -> None:
    server = start_server(**running.exported)
    name, built = unique_name(), image()
    server.create(name)
    push(server, name, built, "v1")
    pulled = [server.request("GET", f"/v2/{name}/blobs/{one['digest']}").body for one in built.document["layers"]]
    stored = [path for path in (running.directory / "objects" / "longshore").rglob("*") if path.is_file()]

    assert pulled == list(built.blobs[1:])
    assert len(stored) >= len(built.blobs)
    assert running.exported["LONGSHORE_STORAGE__ENDPOINT"].startswith("http://127.0.0.1:")
    assert any("MinIO of your own" in line for line in running.lines)


@pytest.mark.real("versitygw")
def test_its_key_is_in_a_file_of_ones_own_and_ctrl_c_ends_all_of_it(running: Running) -> None:
    secret = Path(running.exported["LONGSHORE_STORAGE__SECRET_ACCESS_KEY_FILE"])
    listening = _listening(running.exported["LONGSHORE_STORAGE__ENDPOINT"])
    interrupt(running.process)

    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text() not in "\n".join(running.lines)
    assert listening
    assert not _listening(running.exported["LONGSHORE_STORAGE__ENDPOINT"])


def test_where_there_is_neither_the_program_nor_go_it_says_what_to_install(tmp_path: Path) -> None:
    done = _script(tmp_path, path=[])

    assert done.returncode == 1
    assert done.stderr.startswith("dev-s3: there is no versitygw, and no Go 1.24 to make it: install either, or use")
    assert done.stderr.count("\n") == 1


def test_where_go_is_there_it_installs_the_version_that_is_named(tmp_path: Path) -> None:
    """By a Go that only notes what it is asked to do."""
    go = tmp_path / "go"
    go.write_text('#!/bin/sh\n[ "$1" = env ] && echo go1.25.1 && exit\necho "$@ to $GOBIN" > "$0.asked"\nexit 1\n')
    go.chmod(0o755)
    done = _script(tmp_path, path=[tmp_path])

    assert (tmp_path / "go.asked").read_text() == (
        f"install github.com/versity/versitygw/cmd/versitygw@v1.8.0 to {tmp_path / 'made' / 'bin'}\n"
    )
    assert "Go could not install versitygw" in done.stderr


def test_make_clean_takes_its_directory_away() -> None:
    make = shutil.which("make")
    assert make is not None
    told = subprocess.run([make, "-n", "clean"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert ".dev-s3" in told.split()
    assert 'default=Path(".dev-s3")' in _SCRIPT.read_text()


def _script(directory: Path, *, path: Sequence[Path]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(_SCRIPT), "--port", "0", "--directory", str(directory / "made")],
        env=clean_environment(PATH=os.pathsep.join(map(str, [*path, directory / "nothing"]))),
        capture_output=True,
        text=True,
        timeout=60,
    )


def _listening(endpoint: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(endpoint).port or 0)) == 0
