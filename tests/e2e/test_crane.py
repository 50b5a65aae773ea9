"""crane: push, pull, copy, append, mutate, delete, validate."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import layouts
from tests.accesslog import asked
from tests.builders import digest_of, unique_bytes, unique_name
from tests.engines import tar
from tests.programs import Ran, run
from tests.servers import KEY_ID, SECRET, RunningServer
from tests.workers import both

pytestmark = pytest.mark.real("crane")

Crane = Callable[..., Ran]


@pytest.fixture
def crane(server: RunningServer, tmp_path: Path) -> Crane:
    """A crane that is logged in."""

    def call(*arguments: str | Path, **how: Any) -> Ran:
        return run("crane", *arguments, environment={"DOCKER_CONFIG": str(tmp_path / "docker")}, **how)

    call("auth", "login", "-u", KEY_ID, "--password-stdin", server.netloc, input=SECRET)
    return call


@pytest.fixture
def home(server: RunningServer, repository: str) -> str:
    return f"{server.netloc}/{repository}"


@both
def test_what_is_pushed_is_pulled_the_same(home: str, crane: Crane, tmp_path: Path) -> None:
    image = layouts.root_image()
    crane("push", layouts.write(tmp_path / "source", "v1", image), f"{home}:v1")
    crane("pull", "--format", "oci", f"{home}:v1", tmp_path / "back")
    crane("validate", "--remote", f"{home}:v1")
    first, *_ = image.document["layers"]

    assert crane("digest", f"{home}:v1").out.strip() == image.digest
    assert digest_of(crane("manifest", f"{home}@{image.digest}").raw) == image.digest
    assert layouts.digests(tmp_path / "back") == layouts.all_digests(image)
    assert digest_of(crane("blob", f"{home}@{first['digest']}").raw) == first["digest"]


@both
def test_an_index_is_pushed_and_filtered(home: str, crane: Crane, tmp_path: Path) -> None:
    amd, arm = layouts.root_image(), layouts.root_image("arm64")
    many = layouts.platforms(("amd64", amd), ("arm64", arm))
    crane("push", layouts.write(tmp_path / "source", "all", many, amd, arm), f"{home}:all")
    crane("index", "filter", f"{home}:all", "--platform", "linux/arm64", "-t", f"{home}:arm")
    [left] = json.loads(crane("manifest", f"{home}:arm").out)["manifests"]

    assert left["digest"] == arm.digest
    assert crane("digest", "--platform", "linux/arm64", f"{home}:all").out.strip() == arm.digest


def test_tags_and_repositories_are_listed(
    home: str, repository: str, server: RunningServer, crane: Crane, tmp_path: Path
) -> None:
    source = layouts.write(tmp_path / "source", "v1", layouts.root_image())
    for tag in ("b", "a", "c"):
        crane("push", source, f"{home}:{tag}")
    crane("tag", f"{home}:a", "z")

    assert crane("ls", home).out.split() == ["a", "b", "c", "z"]
    assert repository in crane("catalog", server.netloc).out.split()


def test_a_copy_within_the_registry_uploads_no_layer(
    home: str, server: RunningServer, crane: Crane, tmp_path: Path
) -> None:
    image = layouts.root_image()
    crane("push", layouts.write(tmp_path / "source", "v1", image), f"{home}:v1")
    other = unique_name()
    server.create(other)
    crane("copy", f"{home}:v1", f"{server.netloc}/{other}:v1")

    assert crane("digest", f"{server.netloc}/{other}:v1").out.strip() == image.digest
    assert not [one for one in asked(server, other) if one.brings_bytes]


def test_an_image_grows_by_a_layer_and_a_label(home: str, crane: Crane, tmp_path: Path) -> None:
    base = layouts.root_image()
    crane("push", layouts.write(tmp_path / "source", "v1", base), f"{home}:v1")
    content = unique_bytes(5_000)
    (tmp_path / "layer.tar").write_bytes(tar({"added": content}))
    crane("append", "-b", f"{home}:v1", "-f", tmp_path / "layer.tar", "-t", f"{home}:v2")
    crane("mutate", "--label", "colour=blue", "-t", f"{home}:v3", f"{home}:v2")
    crane("validate", "--remote", f"{home}:v3")
    crane("export", f"{home}:v3", tmp_path / "root.tar")
    document = json.loads(crane("manifest", f"{home}:v3").out)
    with tarfile.open(tmp_path / "root.tar") as root:
        added = root.extractfile("added")

        assert added is not None and added.read() == content
    assert document["layers"][:2] == base.document["layers"]
    assert json.loads(crane("config", f"{home}:v3").out)["config"]["Labels"]["colour"] == "blue"


def test_a_deleted_image_is_gone(home: str, crane: Crane, tmp_path: Path) -> None:
    image = layouts.root_image()
    crane("push", layouts.write(tmp_path / "source", "v1", image), f"{home}:v1")
    crane("delete", f"{home}@{image.digest}")
    gone = crane("manifest", f"{home}:v1", refused=True)

    assert "MANIFEST_UNKNOWN: The image with imageId" in gone.said
    assert crane("ls", home).out == ""


def test_a_missing_repository_is_told_with_what_creates_it(server: RunningServer, crane: Crane, tmp_path: Path) -> None:
    name = unique_name("missing")
    push = crane(
        "push",
        layouts.write(tmp_path / "source", "v1", layouts.root_image()),
        f"{server.netloc}/{name}:v1",
        refused=True,
    )

    assert f"NAME_UNKNOWN: The repository with name '{name}' does not exist" in push.said
    assert f"Create it first: aws ecr create-repository --repository-name {name}" in push.said
    assert push.seconds < 5


def test_without_a_login_nothing_is_said(home: str, repository: str, tmp_path: Path) -> None:
    nobody = {"DOCKER_CONFIG": str(tmp_path / "nobody")}
    pull = run("crane", "manifest", f"{home}:v1", environment=nobody, refused=True)
    push = run(
        "crane",
        "push",
        layouts.write(tmp_path / "source", "v1", layouts.root_image()),
        f"{home}:v1",
        environment=nobody,
        refused=True,
    )

    assert "UNAUTHORIZED: log in" in pull.said
    assert "UNAUTHORIZED: log in" in push.said
