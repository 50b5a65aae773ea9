"""The root key: made at the first start, told to a terminal alone, kept in a private file, the same ever after."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import KEY_ID, ROOT, SECRET, basic, clean_environment

NO_KEY = {"LONGSHORE_ROOT_ACCESS_KEY_ID": "", "LONGSHORE_ROOT_SECRET_ACCESS_KEY": ""}


def kept(data: Path) -> dict[str, str]:
    return json.loads((data / "root-key.json").read_text())


def opens(server, key_id: str, secret: str) -> bool:
    return server.request("GET", "/v2/", auth=basic(key_id, secret)).status == 200


def on_a_terminal(data: Path, **environment: str) -> str:
    """What a server shows on a terminal until it is ready."""
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "longshore", "serve", "--port", "0", "--data", str(data)],
        cwd=ROOT,
        env=clean_environment(**environment),
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    try:
        while b"longshore ready on" not in shown:
            shown += os.read(control, 4096)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(45)
        os.close(control)
    return shown.decode()


def test_the_first_start_shows_the_key_to_a_terminal_and_the_second_does_not(tmp_path):
    first = on_a_terminal(tmp_path / "data")
    key = kept(tmp_path / "data")
    second = on_a_terminal(tmp_path / "data")

    assert re.search(rf"access key id +{key['accessKeyId']}\r\n", first)
    assert re.search(rf"secret access key +{re.escape(key['secretAccessKey'])}\r\n", first)
    assert "longshore env" in first
    assert key["secretAccessKey"] not in second and key["accessKeyId"] not in second
    assert kept(tmp_path / "data")["secretAccessKey"] == key["secretAccessKey"]


def test_elsewhere_only_the_file_is_named(start_server):
    server = start_server(**NO_KEY)
    key = kept(server.data)
    shown = "\n".join(server.output)

    assert f"it is kept in {server.data / 'root-key.json'}" in shown
    assert key["secretAccessKey"] not in shown and key["accessKeyId"] not in shown
    assert opens(server, key["accessKeyId"], key["secretAccessKey"])


def test_the_file_is_private_and_says_where_the_server_is(start_server):
    server = start_server(**NO_KEY)
    key = kept(server.data)

    assert (server.data / "root-key.json").stat().st_mode & 0o777 == 0o600
    assert (server.data / "master.key").stat().st_mode & 0o777 == 0o600
    assert server.data.stat().st_mode & 0o777 == 0o700
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", key["accessKeyId"])
    assert (key["endpoint"], key["region"], key["accountId"]) == (server.url, "us-east-1", "000000000000")


def test_the_second_start_has_the_same_key(start_server):
    server = start_server(**NO_KEY)
    key = kept(server.data)
    server.stop()
    server.start()

    assert kept(server.data) == key
    assert opens(server, key["accessKeyId"], key["secretAccessKey"])
    assert "root access key was made" not in "\n".join(server.output).partition("draining")[2]


def test_a_key_of_the_environment_is_used_and_kept_nowhere(start_server):
    server = start_server()

    assert opens(server, KEY_ID, SECRET)
    assert not (server.data / "root-key.json").exists()
    assert not [line for line in server.output if KEY_ID in line or "root access key" in line]


@pytest.mark.parametrize("what", ["id", "secret"])
def test_another_key_of_the_environment_ends_the_one_before(start_server, what):
    server = start_server()
    server.stop()
    name = {"id": "LONGSHORE_ROOT_ACCESS_KEY_ID", "secret": "LONGSHORE_ROOT_SECRET_ACCESS_KEY"}[what]
    server.environment[name] = "ANOTHERVALUEOFTHEOPERATOR"
    server.start()
    given = [server.environment[f"LONGSHORE_ROOT_{part}"] for part in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")]

    assert not opens(server, KEY_ID, SECRET)
    assert opens(server, *given)


def test_a_file_that_was_removed_is_made_again_with_another_key(start_server):
    server = start_server(**NO_KEY)
    old = kept(server.data)
    server.stop()
    (server.data / "root-key.json").unlink()
    server.start()
    new = kept(server.data)

    assert not opens(server, old["accessKeyId"], old["secretAccessKey"])
    assert opens(server, new["accessKeyId"], new["secretAccessKey"])
