"""skopeo: copy between registries, layouts and directories, list, inspect, delete, sync."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import layouts
from tests.accesslog import Asked, asked
from tests.builders import DOCKER_IMAGE, Built, digest_of, unique_name
from tests.programs import Ran, run
from tests.servers import KEY_ID, SECRET, RunningServer
from tests.workers import both

pytestmark = pytest.mark.real("skopeo")

Skopeo = Callable[..., Ran]


@pytest.fixture
def skopeo(server: RunningServer, tmp_path: Path) -> Skopeo:
    """A skopeo that is logged in. It speaks TLS unless it is told that the registry does not."""
    environment = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"), "HOME": str(tmp_path)}
    login = ["skopeo", "login", "--tls-verify=false", "-u", KEY_ID, "--password-stdin", server.netloc]
    run(*login, input=SECRET, environment=environment)

    def call(verb: str, *arguments: str | Path, arch: str = "amd64", **how: Any) -> Ran:
        both_ends = ["--src-tls-verify=false", "--dest-tls-verify=false"]
        # Without it, skopeo is free to choose another compression.
        keep = [] if "--format" in arguments else ["--preserve-digests"]
        options = [*both_ends, *keep] if verb in ("copy", "sync") else ["--tls-verify=false"]
        program = ["skopeo", "--insecure-policy", "--override-arch", arch]
        return run(*program, verb, *options, *arguments, environment=environment, **how)

    return call


@pytest.fixture
def home(server: RunningServer, repository: str) -> str:
    return f"docker://{server.netloc}/{repository}"


@pytest.fixture
def many() -> tuple[Built, Built, Built]:
    """An index of two platforms, and its images."""
    amd, arm = layouts.root_image(), layouts.root_image("arm64")
    return layouts.platforms(("amd64", amd), ("arm64", arm)), amd, arm


@both
def test_an_index_is_copied_whole_and_comes_back_the_same(
    home: str, skopeo: Skopeo, many: tuple[Built, ...], tmp_path: Path
) -> None:
    source = layouts.write(tmp_path / "source", "v1", *many)
    skopeo("copy", "--all", f"oci:{source}:v1", f"{home}:v1")
    skopeo("copy", "--all", f"{home}:v1", f"oci:{tmp_path}/back:v1")
    by_tag = skopeo("inspect", "--raw", f"{home}:v1")
    by_digest = skopeo("inspect", "--raw", f"{home}@{many[1].digest}")

    assert layouts.tags(tmp_path / "back") == {"v1": many[0].digest}
    assert layouts.digests(tmp_path / "back") == layouts.all_digests(*many)
    assert digest_of(by_tag.raw) == many[0].digest
    assert digest_of(by_digest.raw) == many[1].digest


def test_one_platform_of_an_index_is_inspected_and_pulled(
    home: str, skopeo: Skopeo, many: tuple[Built, ...], tmp_path: Path
) -> None:
    source = layouts.write(tmp_path / "source", "v1", *many)
    skopeo("copy", "--all", f"oci:{source}:v1", f"{home}:v1")
    seen = json.loads(skopeo("inspect", f"{home}:v1").out)
    arm = json.loads(skopeo("inspect", f"{home}:v1", arch="arm64").out)

    assert seen["Digest"] == many[0].digest
    assert (seen["Architecture"], arm["Architecture"]) == ("amd64", "arm64")
    assert arm["Layers"] == [layer["digest"] for layer in many[2].document["layers"]]


def test_a_docker_image_is_made_of_an_oci_one(home: str, skopeo: Skopeo, tmp_path: Path) -> None:
    image = layouts.root_image()
    source = layouts.write(tmp_path / "source", "v1", image)
    skopeo("copy", "--format", "v2s2", f"oci:{source}:v1", f"{home}:v1")
    document = json.loads(skopeo("inspect", "--raw", f"{home}:v1").out)

    assert document["mediaType"] == DOCKER_IMAGE
    assert document["config"]["digest"] == image.document["config"]["digest"]


def test_a_directory_is_filled_and_pushed_from(home: str, skopeo: Skopeo, tmp_path: Path) -> None:
    image = layouts.root_image()
    source = layouts.write(tmp_path / "source", "v1", image)
    skopeo("copy", f"oci:{source}:v1", f"{home}:v1")
    skopeo("copy", f"{home}:v1", f"dir:{tmp_path}/dir")
    skopeo("copy", f"dir:{tmp_path}/dir", f"{home}:v2")

    assert digest_of((tmp_path / "dir" / "manifest.json").read_bytes()) == image.digest
    assert digest_of(skopeo("inspect", "--raw", f"{home}:v2").raw) == image.digest


def test_a_copy_within_the_registry_mounts_the_layers(
    home: str, server: RunningServer, skopeo: Skopeo, tmp_path: Path
) -> None:
    image = layouts.root_image()
    skopeo("copy", f"oci:{layouts.write(tmp_path / 'source', 'v1', image)}:v1", f"{home}:v1")
    other = unique_name()
    server.create(other)
    skopeo("copy", f"{home}:v1", f"docker://{server.netloc}/{other}:v1")
    changes = asked(server, other)

    assert changes.count(Asked("POST", "blobs/uploads/", 201)) == len(image.document["layers"])
    assert digest_of(skopeo("inspect", "--raw", f"docker://{server.netloc}/{other}:v1").raw) == image.digest


def test_tags_are_listed_and_an_image_is_deleted_with_its_tags(home: str, skopeo: Skopeo, tmp_path: Path) -> None:
    for tag in ("v1", "v2"):
        image = layouts.root_image()
        skopeo("copy", f"oci:{layouts.write(tmp_path / tag, tag, image)}:{tag}", f"{home}:{tag}")
    skopeo("copy", f"{home}:v1", f"{home}:also-v1")
    before = json.loads(skopeo("list-tags", home).out)["Tags"]
    skopeo("delete", f"{home}:v1")
    after = json.loads(skopeo("list-tags", home).out)["Tags"]
    gone = skopeo("inspect", f"{home}:v1", refused=True)

    assert before == ["also-v1", "v1", "v2"]
    assert after == ["v2"]
    assert "manifest unknown" in gone.said


def test_sync_takes_a_repository_out_and_puts_it_in_elsewhere(
    home: str, repository: str, server: RunningServer, skopeo: Skopeo, many: tuple[Built, ...], tmp_path: Path
) -> None:
    single = layouts.root_image()
    skopeo("copy", "--all", f"oci:{layouts.write(tmp_path / 'many', 'all', *many)}:all", f"{home}:all")
    skopeo("copy", f"oci:{layouts.write(tmp_path / 'one', 'one', single)}:one", f"{home}:one")
    mirror = unique_name("mirror")
    server.create(f"{mirror}/{repository}")
    skopeo("sync", "--all", "--src", "docker", "--dest", "dir", home.removeprefix("docker://"), tmp_path / "out")
    skopeo("sync", "--all", "--src", "dir", "--dest", "docker", tmp_path / "out", f"{server.netloc}/{mirror}")
    there = f"docker://{server.netloc}/{mirror}/{repository}"

    assert json.loads(skopeo("list-tags", there).out)["Tags"] == ["all", "one"]
    assert digest_of(skopeo("inspect", "--raw", f"{there}:all").raw) == many[0].digest
    assert digest_of(skopeo("inspect", "--raw", f"{there}:one").raw) == single.digest


def test_a_missing_repository_is_told_with_what_creates_it(
    server: RunningServer, skopeo: Skopeo, tmp_path: Path
) -> None:
    source = layouts.write(tmp_path / "source", "v1", layouts.root_image())
    name = unique_name("missing")
    copy = skopeo("copy", f"oci:{source}:v1", f"docker://{server.netloc}/{name}:v1", refused=True)

    assert f"Create it first: aws ecr create-repository --repository-name {name}" in copy.said


def test_a_wrong_password_is_refused(server: RunningServer, tmp_path: Path) -> None:
    login = run(
        "skopeo", "login", "--tls-verify=false", "-u", KEY_ID, "--password-stdin", server.netloc,
        input="wrong", environment={"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}, refused=True,
    )  # fmt: skip

    assert "invalid username/password" in login.said
