"""The image of deploy/Dockerfile: built, and run as it is meant to be: by no privileged user, on a read-only root.

Its base is made of this machine's own Python, since no image can be pulled from anywhere.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builders import image, push, unique_name
from tests.engines import Docker
from tests.programs import run
from tests.servers import ROOT, RunningServer, free_port
from tests.waiting import until

pytestmark = [pytest.mark.real("buildah"), pytest.mark.real("dockerd")]

IMAGE = "localhost/longshore:test"
_TOOLS = ("sh", "chmod", "chown", "echo", "mkdir")
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as an archive for `docker load`."""
    directory = tmp_path_factory.mktemp("image")
    root, storage, found = directory / "root", directory / "storage", directory / "image.tar"
    base_of_this_machine(root)
    stored = ["--root", str(storage), "--runroot", str(directory / "run"), "--storage-driver", "vfs"]
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY root /\n")
    built = ["build", "--isolation", "chroot", "--network", "host", "--format", "docker"]
    run("buildah", *stored, *built, "-t", "localhost/base", str(directory), seconds=600)
    mirror = [f"{name}={os.environ[name]}" for name in ("PIP_INDEX_URL",) if name in os.environ]
    arguments = ["BASE=localhost/base", f"PIP_CERT={_AUTHORITIES}", *mirror]
    run(
        "buildah", *stored, *built, *(part for one in arguments for part in ("--build-arg", one)),
        "-f", str(ROOT / "deploy" / "Dockerfile"), "-t", "localhost/longshore", str(ROOT), seconds=600,
    )  # fmt: skip
    run("buildah", *stored, "push", "localhost/longshore", f"docker-archive:{found}:{IMAGE}")
    return found


def base_of_this_machine(root: Path) -> None:
    """A root with Python as /usr/local/bin/python3, busybox for a shell, and the libraries that they need."""
    ours, version = Path(sys.base_prefix), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for folder in ("usr/local/bin", "usr/local/lib", "bin", "tmp", "etc/ssl/certs", "lib64"):
        (root / folder).mkdir(parents=True)
    binary = ours / "bin" / version
    shutil.copy(binary, root / "usr/local/bin" / version)
    (root / "usr/local/bin/python3").symlink_to(version)
    shutil.copytree(
        Path(sysconfig.get_path("stdlib")),
        root / "usr/local/lib" / version,
        ignore=shutil.ignore_patterns("__pycache__", "test", "tests", "site-packages", "dist-packages", "config-*"),
    )
    busybox = Path(shutil.which("busybox") or "")
    shutil.copy(busybox, root / "bin/busybox")
    for tool in _TOOLS:
        (root / "bin" / tool).symlink_to("busybox")
    shutil.copy(_AUTHORITIES, root / "etc/ssl/certs")
    compiled = [*Path(sysconfig.get_path("stdlib")).rglob("*.so"), *Path(sysconfig.get_path("platlib")).rglob("*.so")]
    for library in libraries_of([binary, *compiled]):
        place = root / (library if str(library).startswith("/lib64") else Path("/lib") / library.name).relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library.resolve(), place)


def libraries_of(programs: Iterable[Path]) -> set[Path]:
    told = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True).stdout
    return {Path(found) for found in re.findall(r"(?:=> |^\t)(/\S+) \(0x", told, re.MULTILINE)}


class Container(NamedTuple):
    """The image as it runs, and how it is reached."""

    name: str
    server: RunningServer
    docker: Docker


@pytest.fixture
def container(archive: Path, docker: Docker, tmp_path: Path) -> Iterator[Container]:
    docker("load", "--input", archive)
    server = RunningServer(tmp_path / "data")
    server.data.mkdir()
    os.chown(server.data, 10001, 10001)
    name, port = unique_name("longshore"), free_port()
    settings = {**server.environment, "LONGSHORE_HTTP__HOST": "127.0.0.1", "LONGSHORE_HTTP__PORT": str(port)}
    docker(
        "run", "--detach", "--name", name, "--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--volume", f"{server.data}:/data",
        *(part for key, value in settings.items() for part in ("--env", f"{key}={value}")), IMAGE,
    )  # fmt: skip
    server.url = f"http://127.0.0.1:{port}"
    until(lambda: "longshore ready on" in docker("logs", name).said, what="the server in the container")
    yield Container(name, server, docker)
    docker("rm", "--force", name)


def test_the_image_serves_as_no_privileged_user_on_a_read_only_root(container):
    name, built = unique_name(), image()
    container.server.create(name)
    push(container.server, name, built, "1")
    pulled = container.server.request("GET", f"/v2/{name}/manifests/1")
    inside = ("exec", container.name)
    user = container.docker(*inside, "python3", "-c", "import os; print(os.getuid(), os.getgid())").out.split()
    refused = container.docker(*inside, "python3", "-c", "open('/opt/longshore/new', 'w')", refused=True).said

    assert pulled.body == built.body
    assert user == ["10001", "10001"]
    assert "Read-only file system" in refused
    assert "is ready (200)" in container.docker(*inside, "longshore", "ready").out


def test_the_image_knows_how_it_is_asked_and_how_it_stops(container):
    asked = container.docker("inspect", "--format", "{{json .Config.Healthcheck.Test}}", IMAGE).out.strip()
    container.docker("stop", "--time", "40", container.name)
    ended = container.docker(
        "inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", container.name
    ).out.split()

    assert asked == '["CMD","longshore","ready"]'
    assert ended == ["0", "false"]


def test_the_image_has_the_s3_store_and_no_tools_of_its_making(container):
    code = "import aiobotocore, importlib.util as u; print(u.find_spec('hatchling'), u.find_spec('pip'))"

    assert container.docker("exec", container.name, "/opt/longshore/bin/python", "-c", code).out.split() == [
        "None",
        "None",
    ]
