"""F48: what cannot be used ends the start at once, with one line that says why, and nothing is half made."""

import json
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from longshore import certificates
from registry.context import SystemClock
from tests.cli import Finished, longshore
from tests.servers import KEY_ID, SECRET

ROOT_KEY = {"LONGSHORE_ROOT_ACCESS_KEY_ID": KEY_ID, "LONGSHORE_ROOT_SECRET_ACCESS_KEY": SECRET}
SECONDS = 5


class Case(NamedTuple):
    """A start that must fail. `says` is in its one line."""

    says: str
    file: str | None = None  # of TOML; {dir} is the test's directory
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}  # never changed


SETTINGS = {
    "no-file": Case("cannot read the configuration file nowhere.toml", arguments=("--config", "nowhere.toml")),
    "file-is-a-directory": Case("cannot read the configuration file", arguments=("--config", ".")),
    "no-toml": Case("is not TOML", file="[http\nport = 1"),
    "no-utf8": Case("is not TOML", file="\udcff"),
    "section-as-value": Case("http: is a section, so it is written [http]", file="http = 5000"),
    "unknown-section": Case("htp.port: there is no such setting; did you mean http.port?", file="[htp]\nport = 1"),
    "unknown-key": Case("http.prot: there is no such setting; did you mean http.port?", file="[http]\nprot = 1"),
    "key-elsewhere": Case("did you mean http.port?", file="[server]\nport = 1"),
    "key-without-section": Case("did you mean http.port?", file="port = 1"),
    "key-like-nothing": Case("zzz.qqq: there is no such setting (file", file="[zzz]\nqqq = 1"),
    "text-for-number": Case('http.port: "80" is not a whole number from 0 to 65535', file='[http]\nport = "80"'),
    "number-for-text": Case("registry.region: 7 is not a text", file="[registry]\nregion = 7"),
    "text-for-truth": Case("is not true or false", file='[registry]\ncreate_on_push = "yes"'),
    "port-too-large": Case("http.port: 70000 is not a whole number from 0 to 65535", arguments=("--port", "70000")),
    "port-no-number": Case("LONGSHORE_HTTP__PORT", environment={"LONGSHORE_HTTP__PORT": "http"}),
    "no-workers": Case("server.workers: 0 is not a whole number from 1 to 64", arguments=("--workers", "0")),
    "too-many-workers": Case("from 1 to 64", environment={"LONGSHORE_SERVER__WORKERS": "65"}),
    "negative-time": Case("server.drain_seconds: -1", file="[server]\ndrain_seconds = -1"),
    "number-too-large": Case("is too large", file=f"[limits]\nlayer_bytes = {2**63}"),
    "empty-data": Case("server.data", environment={"LONGSHORE_SERVER__DATA": ""}),
    "no-choice": Case("one of off, errors, all", file='[log]\naccess = "some"'),
    "account": Case("an account id is twelve digits", environment={"LONGSHORE_REGISTRY__ACCOUNT": "12345"}),
    "region": Case("a region looks like us-east-1", environment={"LONGSHORE_REGISTRY__REGION": "Mars"}),
    "domain": Case("must be a domain name in lower case", environment={"LONGSHORE_REGISTRY__DOMAIN": "https://x"}),
    "url-without-scheme": Case("must be http:// or https://", file='[registry]\npublic_url = "r.example.com"'),
    "url-with-path": Case("must be http:// or https://", file='[registry]\npublic_url = "https://r.example.com/v2"'),
    "url-with-password": Case("must be http:// or https://", file='[registry]\npublic_url = "https://a:b@example.com"'),
    "host-with-port": Case("the port is http.port", arguments=("--host", "127.0.0.1:80")),
    "control-character": Case("holds a control character", file='[registry]\ndomain = "a\\nb"'),
    "proxies": Case("must hold addresses or networks", environment={"LONGSHORE_HTTP__TRUSTED_PROXIES": "10.0.0.0/99"}),
    "no-tls-key": Case("http.tls_key: is missing", file='[http]\ntls_cert = "{dir}/tls/server.crt"'),
    "no-tls-cert": Case("http.tls_cert: is missing", arguments=("--tls-key", "tls/server.key")),
    "tls-cert-absent": Case("No such file", arguments=("--tls-cert", "none.crt", "--tls-key", "tls/server.key")),
    "tls-of-two-pairs": Case(
        "not a certificate and its key", arguments=("--tls-cert", "tls/server.crt", "--tls-key", "tls/ca.key")
    ),
    "tls-no-pem": Case("not a certificate", arguments=("--tls-cert", "text.txt", "--tls-key", "text.txt")),
    "log-into-nowhere": Case("this user cannot write such a file", file='[log]\nfile = "{dir}/none/log"'),
    "log-is-a-directory": Case("this user cannot write such a file", file='[log]\nfile = "{dir}"'),
    "short-master-key": Case("must be 32 bytes", environment={"LONGSHORE_SECRETS__MASTER_KEY": "5ec2e7" * 3}),
    "master-key-no-hex": Case("must be 32 bytes", environment={"LONGSHORE_SECRETS__MASTER_KEY": "5ec2e7zz" * 8}),
    "master-key-file-absent": Case("cannot read", environment={"LONGSHORE_SECRETS__MASTER_KEY_FILE": "none.key"}),
    "master-key-file-empty": Case("is empty", environment={"LONGSHORE_SECRETS__MASTER_KEY_FILE": "empty.txt"}),
    "master-key-twice": Case(
        "is set twice",
        environment={"LONGSHORE_SECRETS__MASTER_KEY": "a" * 64, "LONGSHORE_SECRETS__MASTER_KEY_FILE": "text.txt"},
    ),
    "database-of-another-kind": Case(
        "database.url: the value: must be postgresql+asyncpg://",
        environment={"LONGSHORE_DATABASE__URL": "mysql://u:5ec2e7@h/d"},
    ),
    "database-of-another-driver": Case(
        "must be postgresql+asyncpg://", environment={"LONGSHORE_DATABASE__URL": "postgresql://u:5ec2e7@h/d"}
    ),
    "database-without-a-name": Case(
        "must be postgresql+asyncpg://", file='[database]\nurl = "postgresql+asyncpg://u:5ec2e7@h"'
    ),
    "database-port": Case(
        "must be postgresql+asyncpg://", environment={"LONGSHORE_DATABASE__URL": "postgresql+asyncpg://u:5ec2e7@h:x/d"}
    ),
    "database-file-absent": Case("cannot read", environment={"LONGSHORE_DATABASE__URL_FILE": "none.url"}),
    "few-connections": Case("database.connections: 2 is not", file="[database]\nconnections = 2"),
    "flag": Case("'x' is not a valid integer", arguments=("--port", "x")),
    "unknown-flag": Case("No such option", arguments=("--prot", "1")),
    "address-of-another": Case("cannot listen on 192.0.2.1", arguments=("--host", "192.0.2.1")),
    "host-of-nobody": Case("cannot listen on no.such.host.invalid", arguments=("--host", "no.such.host.invalid")),
}


def start(directory: Path, *arguments: str, **environment: str) -> Finished:
    port = () if "--port" in arguments or "LONGSHORE_HTTP__PORT" in environment else ("--port", "0")
    done = longshore("serve", *port, *arguments, cwd=directory, **environment)
    if done.seconds < SECONDS:
        return done
    # The machine may have been busy with others; a start that waits for something is slow again.
    return longshore("serve", *port, *arguments, cwd=directory, **environment)


def assert_told(done: Finished, says: str) -> None:
    # The log, which has lines of its own, may tell more.
    (line,) = [one for one in done.err.splitlines() if not one.startswith('{"event"')]

    assert done.code in (1, 2)
    assert done.out == ""
    assert line.startswith("longshore: ")
    assert says in line
    assert "Traceback" not in line and "unexpected failure" not in line
    assert "5ec2e7" not in line  # what secrets are made of here
    assert done.seconds < SECONDS


@pytest.mark.parametrize("case", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_setting_that_cannot_be_used_ends_the_start(tmp_path, case):
    certificates.issue(tmp_path / "tls", [], days=1, now=SystemClock().now())
    (tmp_path / "text.txt").write_text("a" * 64)
    (tmp_path / "empty.txt").touch()
    arguments = case.arguments
    if case.file is not None:
        content = case.file.replace("{dir}", str(tmp_path)).encode(errors="surrogateescape")
        (tmp_path / "longshore.toml").write_bytes(content)
        arguments = ("--config", "longshore.toml", *arguments)
    done = start(tmp_path, *arguments, **case.environment)

    assert_told(done, case.says)
    assert not (tmp_path / "longshore-data").exists()


def test_a_port_that_is_taken_ends_the_start(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start(tmp_path, "--port", str(port))

    assert_told(done, f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another by --port")
    assert not (tmp_path / "longshore-data").exists()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"LONGSHORE_ROOT_ACCESS_KEY_ID": KEY_ID}, "go together"),
        ({"LONGSHORE_ROOT_SECRET_ACCESS_KEY": "5ec2e7" * 6}, "go together"),
        ({**ROOT_KEY, "LONGSHORE_ROOT_ACCESS_KEY_ID": "short"}, "16 to 128 letters and digits"),
        ({**ROOT_KEY, "LONGSHORE_ROOT_ACCESS_KEY_ID": "AKIA-WITH-A-HYPHEN-IN-IT"}, "16 to 128 letters and digits"),
        ({**ROOT_KEY, "LONGSHORE_ROOT_SECRET_ACCESS_KEY": "5ec2e7"}, "16 or more characters"),
    ],
    ids=["id-alone", "secret-alone", "short-id", "odd-id", "short-secret"],
)
def test_half_a_root_key_ends_the_start(tmp_path, environment, says):
    assert_told(start(tmp_path, **environment), says)
    assert not (tmp_path / "longshore-data" / "root-key.json").exists()


# --- data that cannot be used -----------------------------------------------------------------------------------------


def _other_master_key(data: Path) -> None:
    (data / "master.key").write_text("b" * 64)


def _no_master_key(data: Path) -> None:
    (data / "master.key").unlink()


def _no_database_file(data: Path) -> None:
    for name in ("longshore.db-wal", "longshore.db-shm"):
        (data / name).unlink(missing_ok=True)
    (data / "longshore.db").write_bytes(b"this is no database" * 1000)


def _newer_schema(data: Path) -> None:
    database = sqlite3.connect(data / "longshore.db")
    database.execute("UPDATE alembic_version SET version_num = '9999_of_next_year'")
    database.commit()
    database.close()


def _root_key_for_all(data: Path) -> None:
    (data / "root-key.json").chmod(0o644)


def _damaged_root_key(data: Path) -> None:
    (data / "root-key.json").write_text('{"accessKeyId": "AKIA')


def _no_store(data: Path) -> None:
    (data / "blobs" / "us-east-1").rename(data / "aside")


def _damaged_store(data: Path) -> None:
    (data / "blobs" / "us-east-1" / "longshore-store.json").write_text("{")


def _store_of_another_region(data: Path) -> None:
    file = data / "blobs" / "us-east-1" / "longshore-store.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "region": "eu-west-1"}))


HARM: dict[Callable[[Path], None], str] = {
    _other_master_key: "the master key is not the one that this data was made with",
    _no_master_key: "master.key is missing: restore it from the backup",
    _no_database_file: "longshore.db: file is not a database",
    _newer_schema: "newer",
    _root_key_for_all: "can be read by others: chmod 600 it",
    _damaged_root_key: "root-key.json is damaged",
    _no_store: "the blobs of region us-east-1 are missing",
    _damaged_store: "longshore-store.json is damaged",
    _store_of_another_region: "holds the bytes of region eu-west-1",
}


@pytest.mark.parametrize(("harm", "says"), HARM.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_data_that_cannot_be_used_ends_the_start_and_is_left_alone(start_server, tmp_path, harm, says):
    server = start_server(LONGSHORE_ROOT_ACCESS_KEY_ID="", LONGSHORE_ROOT_SECRET_ACCESS_KEY="")
    server.stop()
    harm(server.data)
    before = {file: file.read_bytes() for file in server.data.rglob("*") if file.is_file()}
    done = start(tmp_path, "--data", str(server.data))
    after = {file: file.read_bytes() for file in server.data.rglob("*") if file.is_file()}

    assert_told(done, says)
    assert {file.name for file in after.keys() ^ before.keys()} <= {"longshore.db-wal", "longshore.db-shm"}
    assert [file.name for file in before if file.suffix != ".db-shm" and after.get(file) != before[file]] == []


@pytest.mark.parametrize("place", ["file", "below-a-file"])
def test_a_data_directory_that_is_none_ends_the_start(tmp_path, place):
    (tmp_path / "file").write_text("x")
    done = start(tmp_path, "--data", "file" if place == "file" else "file/data")

    assert_told(done, "cannot make the data directory")
