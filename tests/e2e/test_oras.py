"""oras: artifacts of any kind, attached to one another, copied with all that refers to them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import layouts
from tests.accesslog import asked
from tests.builders import EMPTY, OCI_IMAGE, digest_of, push, unique_bytes, unique_name
from tests.programs import Ran, run
from tests.servers import KEY_ID, SECRET, RunningServer
from tests.workers import both

pytestmark = pytest.mark.real("oras")

Oras = Callable[..., Ran]
CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_TALKS = ("push", "pull", "attach", "discover", "tag", "resolve", "login", "ls", "tags", "fetch", "delete")


@pytest.fixture
def oras(server: RunningServer, tmp_path: Path) -> Oras:
    """An oras that is logged in, in a folder of its own."""
    login: list[str | Path] = ["--registry-config", tmp_path / "oras.json"]

    def call(*words: str | Path, **how: Any) -> Ran:
        verb = [*words[:2]] if words[0] in ("repo", "manifest", "blob") else [*words[:1]]
        plain = ["--plain-http"] if verb[-1] in _TALKS else []
        return run("oras", *verb, *plain, *login, *words[len(verb) :], directory=tmp_path, **how)

    call("login", "-u", KEY_ID, "--password-stdin", server.netloc, input=SECRET)
    return call


@pytest.fixture
def home(server: RunningServer, repository: str) -> str:
    return f"{server.netloc}/{repository}"


@both
def test_files_are_pushed_and_pulled(home: str, oras: Oras, tmp_path: Path) -> None:
    files = {"one.txt": unique_bytes(5_000), "two.bin": unique_bytes(70_000)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    oras("push", "--artifact-type", "application/x.notes", f"{home}:v1", "one.txt:text/plain", "two.bin")
    oras("pull", "--output", "back", f"{home}:v1")
    document = json.loads(oras("manifest", "fetch", f"{home}:v1").out)

    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == files
    assert document["artifactType"] == "application/x.notes"
    assert document["config"]["mediaType"] == EMPTY
    assert document["layers"][0]["mediaType"] == "text/plain"


def test_a_chart_is_pushed_as_helm_does(
    home: str, repository: str, server: RunningServer, oras: Oras, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"name": "chart", "version": "1.0.0", "apiVersion": "v2"}')
    (tmp_path / "chart.tgz").write_bytes(unique_bytes(3_000))
    oras("push", "--config", f"config.json:{CHART_CONFIG}", f"{home}:1.0.0", f"chart.tgz:{CHART}")
    with server.client() as ecr:
        [seen] = ecr.describe_images(repositoryName=repository)["imageDetails"]

    assert seen["artifactMediaType"] == CHART_CONFIG
    assert seen["imageManifestMediaType"] == OCI_IMAGE


def test_what_is_attached_is_discovered(
    home: str, repository: str, server: RunningServer, oras: Oras, tmp_path: Path
) -> None:
    built = layouts.root_image()
    push(server, repository, built, "v1")
    (tmp_path / "sbom").write_bytes(unique_bytes())
    (tmp_path / "seal").write_bytes(unique_bytes())
    oras("attach", "--artifact-type", "application/x.sbom", f"{home}:v1", "sbom")
    [sbom] = discovered(oras, f"{home}:v1")
    oras("attach", "--artifact-type", "application/x.seal", f"{home}@{sbom['digest']}", "seal")
    [seal] = discovered(oras, f"{home}@{sbom['digest']}")

    assert (sbom["artifactType"], seal["artifactType"]) == ("application/x.sbom", "application/x.seal")
    assert oras("repo", "tags", home).out.split() == ["v1"]


def discovered(oras: Oras, name: str) -> list[Any]:
    found: list[Any] = json.loads(oras("discover", "--format", "json", "--depth", "1", name).out)["referrers"]
    return found


def test_a_copy_takes_along_all_that_refers_to_it(
    home: str, repository: str, server: RunningServer, oras: Oras, tmp_path: Path
) -> None:
    built = layouts.root_image()
    push(server, repository, built, "v1")
    (tmp_path / "sbom").write_bytes(unique_bytes())
    oras("attach", "--artifact-type", "application/x.sbom", f"{home}:v1", "sbom")
    [sbom] = discovered(oras, f"{home}:v1")
    other = unique_name()
    server.create(other)
    ends: list[str | Path] = ["--from-plain-http", "--to-plain-http", "--from-registry-config", tmp_path / "oras.json"]
    run(
        "oras",
        "cp",
        "-r",
        *ends,
        "--to-registry-config",
        tmp_path / "oras.json",
        f"{home}:v1",
        f"{server.netloc}/{other}:v1",
    )
    [copied] = discovered(oras, f"{server.netloc}/{other}:v1")

    assert copied["digest"] == sbom["digest"]
    assert oras("resolve", f"{server.netloc}/{other}:v1").out.strip() == built.digest
    assert not [one for one in asked(server, other) if one.brings_bytes]  # all are mounted


def test_blobs_and_manifests_are_fetched_and_deleted(home: str, oras: Oras, tmp_path: Path) -> None:
    data = unique_bytes(10_000)
    (tmp_path / "blob").write_bytes(data)
    oras("blob", "push", home, "blob")
    fetched = oras("blob", "fetch", "--output", "-", f"{home}@{digest_of(data)}")
    oras("push", f"{home}:v1", "blob")
    oras("manifest", "delete", "--force", f"{home}:v1")
    gone = oras("manifest", "fetch", f"{home}:v1", refused=True)

    assert fetched.raw == data
    assert "not found" in gone.said


def test_a_missing_repository_is_told_with_what_creates_it(server: RunningServer, oras: Oras, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(unique_bytes())
    name = unique_name("missing")
    pushed = oras("push", f"{server.netloc}/{name}:v1", "file", refused=True)

    assert f"Create it first: aws ecr create-repository --repository-name {name}" in pushed.said
    assert pushed.seconds < 5


def test_a_wrong_password_is_refused(server: RunningServer, oras: Oras) -> None:
    login = oras("login", "-u", KEY_ID, "--password-stdin", server.netloc, input="wrong", refused=True)

    assert "wrong user name or password" in login.said
