"""What deploy/compose.yaml says, carried out without containers: its images come from registries of their own.

The same programs are started with the settings, commands and files of each service, as the file has them. Only what a
container gives them is replaced: names of hosts by loopback and a free port, and the places of volumes by directories.
"""

import os
import re
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.builders import image, push, unique_name
from tests.commands import longshore
from tests.conftest import Start
from tests.pg_servers import PostgresService
from tests.servers import ROOT, clean_environment, free_port
from tests.waiting import until

pytestmark = [pytest.mark.real("postgresql"), pytest.mark.real("versitygw")]

SERVICES: Final[Mapping[str, Any]] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
STORES: Final[Mapping[str, Any]] = yaml.safe_load((ROOT / "deploy" / "object-stores.yaml").read_text())["services"]


class Machine:
    """Where the volumes are, and where the services listen."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store_port = free_port()
        for volume in ("keys", "objects", "data"):
            (directory / volume).mkdir()

    def here(self, text: str) -> str:
        """A setting or a command as it is outside of containers. `$$` is how the file writes a `$`."""
        text = text.replace("$$", "$").replace("object-store:9000", f"127.0.0.1:{self.store_port}")
        text = re.sub(r"/(keys|objects)\b", rf"{self.directory}/\1", text)
        return re.sub(r"(?<=--port ):9000", f"127.0.0.1:{self.store_port}", text)

    def shell(self, service: Mapping[str, Any]) -> list[str]:
        """The command of a service that is a script."""
        assert service["entrypoint"] == ["/bin/sh", "-ceu"]
        [script] = service["command"]
        return ["/bin/sh", "-ceu", self.here(script)]

    def make_keys(self) -> dict[str, str]:
        """What the service `keys` does, and what then lies in its volume."""
        python = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        subprocess.run(self.shell(SERVICES["keys"]), env=clean_environment(PATH=python), check=True)
        return {path.name: path.read_text() for path in (self.directory / "keys").iterdir()}

    @property
    def settings(self) -> dict[str, str]:
        """The environment of Longshore."""
        return {name: self.here(value) for name, value in SERVICES["longshore"]["environment"].items()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def postgres(machine: Machine) -> Iterator[PostgresService]:
    environment = SERVICES["postgres"]["environment"]
    password = Path(machine.here(environment["POSTGRES_PASSWORD_FILE"])).read_text()
    service = PostgresService(user=environment["POSTGRES_USER"], password=password)
    try:
        service.make(*environment["POSTGRES_INITDB_ARGS"].split())
        service.start()
        service.sql(f"CREATE DATABASE {environment['POSTGRES_DB']}", "postgres")
        yield service
    finally:
        service.remove()


@pytest.fixture
def keys(machine: Machine) -> dict[str, str]:
    return machine.make_keys()


@pytest.fixture
def store(machine: Machine, keys: dict[str, str]) -> Iterator[None]:
    """The maintained one of the two stores that the file can name."""
    command = machine.shell(STORES["versitygw"])
    process = subprocess.Popen(command, cwd=machine.directory, env=clean_environment(), stdout=subprocess.DEVNULL)
    [path] = re.findall(r"127\.0\.0\.1:9000(/\w+)$", STORES["versitygw"]["healthcheck"]["test"][1])
    try:
        until(lambda: _is_healthy(f"http://127.0.0.1:{machine.store_port}{path}"), what="an answer of the store")
        yield
    finally:
        process.kill()
        process.wait()


def test_keys_are_made_once_and_are_nobody_elses(machine: Machine) -> None:
    first, again = machine.make_keys(), machine.make_keys()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (machine.directory / "keys").iterdir()}
    other = Machine(_empty(machine.directory / "other")).make_keys()

    assert set(first) == {"master-key", "postgres-password", "object-store-secret", "database-url"}
    assert first == again
    assert all(len(first[name]) == 64 for name in first if name != "database-url")
    assert first["postgres-password"] in first["database-url"]
    assert modes == {0o444}  # services run as users of their own; the volume itself is theirs alone
    assert not set(first.values()) & set(other.values())


@pytest.mark.usefixtures("store")
def test_the_services_of_compose_make_the_bucket_and_take_a_push(
    machine: Machine, keys: dict[str, str], postgres: PostgresService, start_server: Start
) -> None:
    url = machine.directory / "keys" / "database-url"
    os.chmod(url, 0o644)
    url.write_text(keys["database-url"].replace("@postgres:5432", f"@127.0.0.1:{postgres.port}"))
    made = longshore(*SERVICES["bucket"]["command"], "--data", machine.directory / "data", **machine.settings)
    server = start_server(data=machine.directory / "data" / "served", **machine.settings)
    name, built = unique_name(), image()
    server.create(name)
    push(server, name, built, "v1")
    server.stop()
    server.start()
    pulled = server.request("GET", f"/v2/{name}/manifests/v1")
    layers = [server.request("GET", f"/v2/{name}/blobs/{one['digest']}").body for one in built.document["layers"]]
    objects = [path for path in (machine.directory / "objects" / "longshore").rglob("*") if path.is_file()]

    assert (made.code, made.out) == (0, f"s3://longshore/ at http://127.0.0.1:{machine.store_port} was made\n")
    assert pulled.body == built.body
    assert layers == list(built.blobs[1:])
    assert len(objects) >= len(built.blobs)
    assert postgres.sql("SELECT count(*) FROM repositories", "longshore") == "1\n"


def test_nothing_listens_beyond_this_machine() -> None:
    """Ports are published on loopback alone, and the only program that is not in a network of its own has none."""
    published = {name: one["ports"] for name, one in SERVICES.items() if one.get("ports")}

    assert published == {"longshore": ["127.0.0.1:5000:5000"]}
    assert {one.get("network_mode", "own") for one in SERVICES.values()} == {"own", "none"}
    assert SERVICES["keys"]["network_mode"] == "none"
    assert not [one for one in STORES.values() if one.get("ports") or one.get("network_mode")]


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _empty(directory: Path) -> Path:
    directory.mkdir()
    return directory
