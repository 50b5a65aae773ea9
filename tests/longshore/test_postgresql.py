"""Starts and commands on a PostgreSQL database: what they need, what they refuse, and what they share."""

import importlib.util
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import elsewhere, pg_servers
from tests.builders import image, push
from tests.cli import Finished, longshore
from tests.pg_servers import connected
from tests.servers import RunningServer, basic

pytestmark = pytest.mark.real("postgresql")

MASTER = {"LONGSHORE_SECRETS__MASTER_KEY": elsewhere.MASTER_KEY}
NO_KEY = {"LONGSHORE_ROOT_ACCESS_KEY_ID": "", "LONGSHORE_ROOT_SECRET_ACCESS_KEY": ""}
SECONDS = 5.0


@pytest.fixture
def url() -> str:
    return elsewhere.postgresql().new_database()


def refused(directory: Path, url: str, *command: str, **environment: str) -> str:
    """The one line with which a start or another command ends."""
    settings = {**MASTER, "LONGSHORE_DATABASE__URL": url, **environment}
    began = time.monotonic()
    done = longshore(*(command or ("serve", "--port", "0")), cwd=directory, **settings)
    seconds = time.monotonic() - began

    assert (done.code, done.out) == (1, ""), done
    (line,) = [one for one in done.err.splitlines() if not one.startswith("{")]
    for secret in (pg_servers.PASSWORD, "%2Bof%2Fthis%40"):
        assert secret not in done.err
    assert "Traceback" not in done.err
    assert seconds < SECONDS or done.seconds < SECONDS / 2
    return line


# --- what ends a start ------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there(tmp_path):
    nobody = pg_servers.free_port()
    url = elsewhere.postgresql().url("registry", port=nobody)

    for command in ((), ("check",)):
        line = refused(tmp_path, url, *command)

        assert f"cannot reach the database at 127.0.0.1:{nobody}" in line
        assert "Connection refused" in line


def test_a_wrong_password(tmp_path):
    wrong = elsewhere.postgresql().url("postgres", password="a-password%2Bof%2Fthis%40wrong")

    line = refused(tmp_path, wrong)

    assert f"the database at 127.0.0.1:{elsewhere.postgresql().port} refuses the user longshore" in line


def test_a_database_that_is_not_there(tmp_path):
    assert "there is no database nowhere at" in refused(tmp_path, elsewhere.postgresql().url("nowhere"))


def test_a_database_in_another_encoding(tmp_path):
    url = elsewhere.postgresql().new_database(encoding="SQL_ASCII")

    assert "the database's encoding is SQL_ASCII: make one with ENCODING 'UTF8'" in refused(tmp_path, url)


def test_no_master_key(tmp_path, url):
    line = refused(tmp_path, url, LONGSHORE_SECRETS__MASTER_KEY="")

    assert "LONGSHORE_SECRETS__MASTER_KEY_FILE" in line
    assert not (tmp_path / "longshore-data" / "master.key").exists()


def test_another_master_key_than_the_other_servers(tmp_path, start_server, url):
    start_server(LONGSHORE_DATABASE__URL=url, **MASTER)

    line = refused(tmp_path, url, LONGSHORE_SECRETS__MASTER_KEY="00" * 32)

    assert "the master key is not the one that this data was made with" in line


def test_the_schema_of_a_newer_program(tmp_path, start_server, url):
    start_server(LONGSHORE_DATABASE__URL=url, **MASTER).stop()
    with connected(url) as rows:
        rows.execute("UPDATE alembic_version SET version_num = '9001'")

    for command in ((), ("check",)):
        assert "schema 9001, this program knows schemas up to" in refused(tmp_path, url, *command)


def test_the_extra_is_not_installed(tmp_path, cli, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "asyncpg" else real(name))
    done = cli("serve", "--port", "0", LONGSHORE_DATABASE__URL=elsewhere.postgresql().url("any"), **MASTER)

    assert done.code == 1
    assert "pip install 'longshore[postgres]'" in done.err and "make serve EXTRAS=postgres" in done.err


# --- what servers share -----------------------------------------------------------------------------------------------


def test_servers_without_a_key_of_the_environment_have_one_root_key(tmp_path, url):
    """Also when their first starts meet. The second one tells nobody anything, and finds the key in its directory."""
    settings = {"LONGSHORE_DATABASE__URL": url, **MASTER, **NO_KEY}
    servers = [RunningServer(tmp_path / f"data-{n}", **settings) for n in range(3)]
    # One store on disk cannot be two, so they share the first one's.
    for server in servers:
        (server.data).mkdir(mode=0o700)
        if server is not servers[0]:
            (server.data / "blobs").symlink_to(servers[0].data / "blobs")
    (servers[0].data / "blobs").mkdir(mode=0o700)
    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(RunningServer.start, servers))
        keys = [json.loads((server.data / "root-key.json").read_text()) for server in servers]
        key = keys[0]
        answers = [
            server.request("GET", "/v2/", auth=basic(key["accessKeyId"], key["secretAccessKey"])).status
            for server in servers
        ]
        servers[2].stop()
        servers[2].start()
        again = json.loads((servers[2].data / "root-key.json").read_text())
    finally:
        for server in servers:
            server.stop()

    assert len({(one["accessKeyId"], one["secretAccessKey"]) for one in keys}) == 1
    assert answers == [200, 200, 200]
    assert again["accessKeyId"] == key["accessKeyId"]


def test_configuration_shows_no_database_url(cli, url):
    done = cli("config", "show", LONGSHORE_DATABASE__URL=url, **MASTER)

    assert 'url = "(hidden)"' in done.out
    assert "postgresql" not in done.out + done.err


def test_the_url_comes_from_a_file(tmp_path, start_server, url):
    (tmp_path / "url").write_text(url + "\n")
    server = start_server("--workers", "2", LONGSHORE_DATABASE__URL_FILE=str(tmp_path / "url"), **MASTER)
    server.create("app")

    assert not (server.data / "longshore.db").exists()
    with connected(url) as rows:
        assert [row["name"] for row in rows.execute("SELECT name FROM repositories")] == ["app"]


# --- commands beside servers ------------------------------------------------------------------------------------------


@pytest.fixture
def server(start_server: Any, url: str) -> RunningServer:
    found: RunningServer = start_server(LONGSHORE_DATABASE__URL=url, **MASTER, LONGSHORE_UNDO__WINDOW_SECONDS="0")
    found.create("app")
    push(found, "app", image(), "v1")
    return found


def command(server: RunningServer, *arguments: str) -> Finished:
    settings = {name: value for name, value in server.environment.items() if "ROOT" not in name}
    return longshore(*arguments, "--data", str(server.data), cwd=server.data.parent, **settings)


def test_check_finds_all_sound_and_then_what_is_missing(server):
    sound = command(server, "check", "--deep")
    for file in (server.data / "blobs").rglob("*"):
        if file.is_file() and len(file.name) == 32:
            file.unlink()
    broken = command(server, "check", "--output", "json")

    assert sound.code == 0, sound
    assert "hashed 2 blobs" in sound.out and "all is sound" in sound.out
    assert broken.code == 1
    assert {one["kind"] for one in json.loads(broken.out)["findings"]} == {"blob-missing"}


def test_garbage_is_collected_and_read_again(server):
    """By two at once, which does no harm: one of them does the work."""
    with server.client() as ecr:
        ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    with ThreadPoolExecutor(2) as pool:
        passes = list(pool.map(lambda _: collect(server), range(2)))
    again = collect(server)
    scrubbed = command(server, "scrub", "--output", "json")
    sound = command(server, "check", "--deep")

    assert [one.code for one in (*passes, again, scrubbed)] == [0] * 4, [*passes, again, scrubbed]
    assert (sound.code, "hashed 0 blobs" in sound.out) == (0, True), sound
    assert not [file for file in (server.data / "blobs").rglob("*") if file.is_file() and len(file.name) == 32]


def collect(server: RunningServer) -> Finished:
    settings = {name: value for name, value in server.environment.items() if "ROOT" not in name}
    return longshore(
        *("gc", "--data", str(server.data)), cwd=server.data.parent, LONGSHORE_GC__GRACE_SECONDS="0", **settings
    )


def test_admin_audit_and_policy_work_beside_it(server):
    made = command(server, "admin", "account", "create", "111122223333", "--output", "json")
    listed = command(server, "admin", "account", "list", "--output", "json")
    told = command(server, "audit", "--output", "json")
    key = json.loads(made.out)

    assert [one["accountId"] for one in json.loads(listed.out)] == ["000000000000", "111122223333"]
    assert server.request("GET", "/v2/", auth=basic(key["accessKeyId"], key["secretAccessKey"])).status == 200
    assert {event["eventName"] for event in json.loads(told.out)} >= {"CreateRepository", "PutImage"}


def test_backup_and_restore_name_what_does_it(server, tmp_path):
    """A copy of an SQLite file is what they make; a registry in PostgreSQL is backed up by PostgreSQL's means."""
    made = command(server, "backup", str(tmp_path / "backup"))
    (tmp_path / "source").mkdir()
    settings = {"LONGSHORE_DATABASE__URL": server.environment["LONGSHORE_DATABASE__URL"], **MASTER}
    put_back = longshore("restore", str(tmp_path / "source"), "--data", "new", cwd=tmp_path, **settings)

    assert made.code == 1 and "pg_dump" in made.err and "docs/backup.md" in made.err
    assert put_back.code == 1 and "pg_dump" in put_back.err
    assert not (tmp_path / "backup").exists() and not (tmp_path / "new").exists()


def test_a_database_that_pg_dump_wrote_is_the_registry(server, tmp_path):
    """The procedure of docs/backup.md: dump the rows, then copy the bytes; put both back."""
    service = elsewhere.postgresql()
    dump = service.dump(server.environment["LONGSHORE_DATABASE__URL"].rpartition("/")[2])
    before = server.request("GET", "/v2/app/manifests/v1").body
    url = service.new_database()
    service.load(dump, url.rpartition("/")[2])
    again = RunningServer(server.data, LONGSHORE_DATABASE__URL=url, **MASTER)
    server.stop()
    again.start()
    try:
        after = again.request("GET", "/v2/app/manifests/v1")
        made = again.create("later")
    finally:
        again.stop()

    assert after.body == before
    assert made["repositoryName"] == "later"


def test_a_server_ends_with_its_connections(server, url):
    """SIGTERM: what is in hand is answered, and PostgreSQL is left at once."""
    assert server.stop() == 0

    with connected(url) as rows:
        left = rows.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    assert len(left) == 1  # ours
