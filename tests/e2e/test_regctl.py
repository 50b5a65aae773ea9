"""regctl: copy with referrers, artifacts, blobs in chunks, manifests by digest, tags, changed images."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import layouts
from tests.accesslog import asked
from tests.builders import OCI_IMAGE, digest_of, image, push, push_blob, unique_bytes, unique_name
from tests.programs import Ran, run
from tests.servers import KEY_ID, SECRET, RunningServer
from tests.workers import both

pytestmark = pytest.mark.real("regctl")

Regctl = Callable[..., Ran]
SBOM = "application/spdx+json"


@pytest.fixture
def regctl(server: RunningServer, tmp_path: Path) -> Regctl:
    """A regctl that knows that the registry speaks plain HTTP, and is logged in."""
    environment = {"REGCTL_CONFIG": str(tmp_path / "regctl.json"), "DOCKER_CONFIG": str(tmp_path / "docker")}

    def call(*arguments: str | Path, **how: Any) -> Ran:
        return run("regctl", *arguments, environment=environment, **how)

    call("registry", "set", "--skip-check", "--tls", "disabled", server.netloc)
    call("registry", "login", server.netloc, "-u", KEY_ID, "--pass-stdin", input=SECRET)
    return call


@pytest.fixture
def home(server: RunningServer, repository: str) -> str:
    return f"{server.netloc}/{repository}"


@both
def test_an_image_is_copied_in_and_out_with_what_refers_to_it(home: str, regctl: Regctl, tmp_path: Path) -> None:
    built = layouts.root_image()
    regctl("image", "copy", f"ocidir://{layouts.write(tmp_path / 'source', 'v1', built)}:v1", f"{home}:v1")
    put = regctl(
        "artifact", "put", "--artifact-type", SBOM, "--annotation", "of=v1", "--subject", f"{home}:v1",
        "--format", "{{.Manifest.GetDescriptor.Digest}}", input="what is in it",
    )  # fmt: skip
    regctl("image", "copy", "--referrers", f"{home}:v1", f"ocidir://{tmp_path}/back:v1")
    artifact = regctl("manifest", "get", "--format", "raw-body", f"{home}@{put.out.strip()}")

    assert regctl("image", "digest", f"{home}:v1").out.strip() == built.digest
    assert digest_of(artifact.raw) == put.out.strip()
    assert layouts.all_digests(built) | {put.out.strip()} < layouts.digests(tmp_path / "back")


def test_artifacts_are_found_by_their_subject(home: str, regctl: Regctl, tmp_path: Path) -> None:
    built = layouts.root_image()
    regctl("image", "copy", f"ocidir://{layouts.write(tmp_path / 'source', 'v1', built)}:v1", f"{home}:v1")
    for kind in (SBOM, "application/x.signature"):
        regctl("artifact", "put", "--artifact-type", kind, "--subject", f"{home}:v1", input=kind)
    found = json.loads(regctl("artifact", "list", f"{home}:v1", "--format", "body").out)["manifests"]
    some = regctl("artifact", "list", f"{home}:v1", "--filter-artifact-type", SBOM, "--format", "body")
    content = regctl("artifact", "get", "--subject", f"{home}:v1", "--filter-artifact-type", SBOM)

    assert sorted(one["artifactType"] for one in found) == [SBOM, "application/x.signature"]
    assert [one["artifactType"] for one in json.loads(some.out)["manifests"]] == [SBOM]
    assert content.out == SBOM
    assert regctl("tag", "ls", home).out.split() == ["v1"]  # no fallback tag: the API told the client so


def test_referrers_go_along_to_another_repository(
    home: str, repository: str, server: RunningServer, regctl: Regctl, tmp_path: Path
) -> None:
    subject = layouts.root_image()
    push(server, repository, subject, "v1")
    artifact = image(layers=[unique_bytes()], subject=subject.descriptor(), artifactType=SBOM)
    push(server, repository, artifact)
    other = unique_name()
    server.create(other)
    regctl("image", "copy", "--referrers", f"{home}:v1", f"{server.netloc}/{other}:v1")
    listed = server.request("GET", f"/v2/{other}/referrers/{subject.digest}").json["manifests"]

    assert [one["digest"] for one in listed] == [artifact.digest]
    assert not [one for one in asked(server, other) if one.brings_bytes]  # all are mounted


@both
def test_a_blob_goes_up_in_chunks(home: str, server: RunningServer, regctl: Regctl) -> None:
    data = unique_bytes(60_000) * 10
    regctl("registry", "set", "--blob-chunk", "100000", "--blob-max", "150000", server.netloc)
    put = regctl("blob", "put", home, input=data)

    assert put.out.strip() == digest_of(data)
    assert regctl("blob", "get", home, digest_of(data)).raw == data
    assert f"Content-Length: {len(data)}" in regctl("blob", "head", home, digest_of(data)).out


def test_chunks_are_patches_of_the_size_that_was_asked_for(
    home: str, repository: str, server: RunningServer, regctl: Regctl
) -> None:
    regctl("registry", "set", "--blob-chunk", "100000", "--blob-max", "150000", server.netloc)
    regctl("blob", "put", home, input=unique_bytes(60_000) * 10)

    assert [one.method for one in asked(server, repository)] == ["POST", *["PATCH"] * 6, "PUT"]


def test_a_manifest_is_put_by_its_digest(home: str, repository: str, server: RunningServer, regctl: Regctl) -> None:
    built = image()
    for blob in built.blobs:
        push_blob(server, repository, blob)
    regctl("manifest", "put", "--by-digest", "--content-type", OCI_IMAGE, home, input=built.body)
    got = regctl("manifest", "get", "--format", "raw-body", f"{home}@{built.digest}")

    assert got.raw == built.body
    assert regctl("tag", "ls", home).out == ""


def test_a_changed_image_is_another_image(home: str, regctl: Regctl, tmp_path: Path) -> None:
    built = layouts.root_image()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "file").write_bytes(unique_bytes(5_000))
    regctl("image", "copy", f"ocidir://{layouts.write(tmp_path / 'source', 'v1', built)}:v1", f"{home}:v1")
    regctl(
        "image", "mod", f"{home}:v1", "--create", f"{home}:v2", "--label", "colour=blue",
        "--layer-add", f"dir={tmp_path}/more",
    )  # fmt: skip
    config = json.loads(regctl("image", "config", f"{home}:v2").out)
    document = json.loads(regctl("manifest", "get", "--format", "raw-body", f"{home}:v2").out)

    assert config["config"]["Labels"]["colour"] == "blue"
    assert document["layers"][:2] == built.document["layers"]
    assert len(document["layers"]) == 3
    assert regctl("image", "digest", f"{home}:v1").out.strip() == built.digest


def test_an_image_is_kept_under_sha512_digests(home: str, regctl: Regctl, tmp_path: Path) -> None:
    built = layouts.root_image()
    regctl("image", "copy", f"ocidir://{layouts.write(tmp_path / 'source', 'v1', built)}:v1", f"{home}:v1")
    regctl("image", "mod", f"{home}:v1", "--create", f"{home}:long", "--digest-algo", "sha512")
    got = regctl("manifest", "get", "--format", "raw-body", f"{home}:long")

    assert {
        one["digest"].partition(":")[0] for one in [*json.loads(got.out)["layers"], json.loads(got.out)["config"]]
    } == {"sha512"}


def test_a_tag_is_deleted_and_its_image_stays(
    home: str, server: RunningServer, repository: str, regctl: Regctl
) -> None:
    built = image()
    push(server, repository, built, "v1")
    regctl("tag", "delete", f"{home}:v1")

    assert regctl("tag", "ls", home).out == ""
    assert regctl("manifest", "get", "--format", "raw-body", f"{home}@{built.digest}").raw == built.body


def test_repositories_are_listed(server: RunningServer, repository: str, regctl: Regctl) -> None:
    assert repository in regctl("repo", "ls", server.netloc).out.split()


def test_a_missing_repository_is_told_with_what_creates_it(
    server: RunningServer, regctl: Regctl, tmp_path: Path
) -> None:
    name = unique_name("missing")
    source = layouts.write(tmp_path / "source", "v1", layouts.root_image())
    copy = regctl("image", "copy", f"ocidir://{source}:v1", f"{server.netloc}/{name}:v1", refused=True)

    assert "Create it first" in copy.said
    assert copy.seconds < 5
