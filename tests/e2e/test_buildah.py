"""buildah: build without a daemon, push, pull, lists of platforms."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders import unique_bytes, unique_name
from tests.programs import Ran, run
from tests.servers import KEY_ID, SECRET, RunningServer
from tests.workers import both

pytestmark = pytest.mark.real("buildah")

Buildah = Callable[..., Ran]
_TALKS = ("login", "push", "pull")


@pytest.fixture
def buildah(server: RunningServer, tmp_path: Path) -> Buildah:
    """A buildah with a storage of its own, that is logged in."""
    environment = {
        "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
        "HOME": str(tmp_path),
        "BUILDAH_ISOLATION": "chroot",  # needs neither a runtime nor control groups
    }
    storage = ["--root", f"{tmp_path}/storage", "--runroot", f"{tmp_path}/run", "--storage-driver", "vfs"]

    def call(*words: str | Path, **how: Any) -> Ran:
        verb = [*words[:2]] if words[0] == "manifest" else [*words[:1]]
        plain = ["--tls-verify=false"] if verb[-1] in _TALKS else []
        return run("buildah", *storage, *verb, *plain, *words[len(verb) :], environment=environment, **how)

    call("login", "-u", KEY_ID, "--password-stdin", server.netloc, input=SECRET)
    return call


@pytest.fixture
def home(server: RunningServer, repository: str) -> str:
    return f"{server.netloc}/{repository}"


def build(buildah: Buildah, directory: Path, name: str, *options: str) -> str:
    """Build an image whose second layer a program made that runs in the first; the id of its configuration."""
    directory.mkdir()
    shutil.copy(shutil.which("busybox") or "", directory / "busybox")
    (directory / "unique").write_bytes(unique_bytes(20_000))
    (directory / "Containerfile").write_text(
        "FROM scratch\n"
        "COPY busybox unique /bin/\n"
        'RUN ["/bin/busybox", "cp", "/bin/unique", "/made"]\n'
        'CMD ["/bin/busybox", "true"]\n'
    )
    buildah("bud", "--layers", *options, "-f", directory / "Containerfile", "-t", name, directory)
    return id_of(buildah, name)


def id_of(buildah: Buildah, name: str) -> str:
    return str(json.loads(buildah("inspect", "--type", "image", name).out)["FromImageID"])


@both
def test_a_built_image_is_pushed_and_pulled(home: str, buildah: Buildah, tmp_path: Path) -> None:
    made = build(buildah, tmp_path / "context", f"{home}:v1")
    buildah("push", "--digestfile", tmp_path / "digest", f"{home}:v1")
    by_digest = f"{home}@{(tmp_path / 'digest').read_text()}"
    buildah("rmi", "--all", "--force")
    buildah("pull", by_digest)
    pulled = id_of(buildah, by_digest)
    container = buildah("from", "--pull-never", by_digest).out.strip()
    same = buildah("run", container, "--", "/bin/busybox", "cmp", "/bin/unique", "/made")

    assert pulled == made
    assert same.said == ""


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_both_manifest_forms_are_taken(
    form: str, home: str, buildah: Buildah, server: RunningServer, tmp_path: Path
) -> None:
    build(buildah, tmp_path / "context", f"{home}:v1", "--format", form)
    buildah("push", f"{home}:v1")
    stored = server.request("GET", f"/v2/{home.partition('/')[2]}/manifests/v1")

    assert stored.headers["Content-Type"] == stored.json["mediaType"]
    assert ("docker" in stored.json["mediaType"]) == (form == "docker")


def test_a_list_is_pushed_with_all_its_images(
    home: str, repository: str, server: RunningServer, buildah: Buildah, tmp_path: Path
) -> None:
    for architecture in ("amd64", "arm64"):
        container = buildah("from", "scratch").out.strip()
        (tmp_path / architecture).write_bytes(unique_bytes(20_000))
        buildah("copy", container, tmp_path / architecture, "/file")
        buildah("config", "--arch", architecture, container)
        buildah("commit", container, f"localhost/{repository}:{architecture}")
    buildah("manifest", "create", "all", f"localhost/{repository}:amd64", f"localhost/{repository}:arm64")
    buildah("manifest", "push", "--all", "all", f"docker://{home}:all")
    buildah("rmi", "--all", "--force")
    buildah("pull", "--arch", "arm64", f"{home}:all")
    config = json.loads(buildah("inspect", "--type", "image", f"{home}:all").out)["OCIv1"]
    children = server.request("GET", f"/v2/{repository}/manifests/all").json["manifests"]

    assert config["architecture"] == "arm64"
    assert sorted(child["platform"]["architecture"] for child in children) == ["amd64", "arm64"]


def test_a_missing_repository_is_told_with_what_creates_it(
    server: RunningServer, buildah: Buildah, tmp_path: Path
) -> None:
    name = unique_name("missing")
    build(buildah, tmp_path / "context", "made")
    push = buildah("push", "made", f"docker://{server.netloc}/{name}:v1", refused=True)

    assert f"Create it first: aws ecr create-repository --repository-name {name}" in push.said
    assert push.seconds < 5
