"""helm: charts pushed to and pulled from a repository, by the login that docker has and by its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders import unique_name
from tests.programs import Ran, run
from tests.servers import KEY_ID, SECRET, RunningServer
from tests.workers import both

pytestmark = pytest.mark.real("helm")

Helm = Callable[..., Ran]


@pytest.fixture
def helm(server: RunningServer, tmp_path: Path) -> Helm:
    """A helm that is logged in, with folders of its own."""
    own = {f"HELM_{name}_HOME": str(tmp_path / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}

    def call(*words: str | Path, **how: Any) -> Ran:
        return run("helm", *words, directory=tmp_path, environment={**own, "HOME": str(tmp_path)}, **how)

    call("registry", "login", "--plain-http", "-u", KEY_ID, "--password-stdin", server.netloc, input=SECRET)
    return call


@both
def test_a_chart_is_pushed_shown_and_pulled(server: RunningServer, helm: Helm, tmp_path: Path) -> None:
    chart = unique_name("chart")
    server.create(f"charts/{chart}")
    helm("create", chart)
    helm("package", "--version", "1.2.3+build.5", chart)
    [archive] = tmp_path.glob("*.tgz")
    pushed = helm("push", "--plain-http", archive.name, f"oci://{server.netloc}/charts")
    helm("push", "--plain-http", archive.name, f"oci://{server.netloc}/charts")
    shown = helm("show", "chart", "--plain-http", f"oci://{server.netloc}/charts/{chart}", "--version", "1.2.3+build.5")
    back = tmp_path / "back"
    back.mkdir()
    helm("pull", "--plain-http", "-d", back, f"oci://{server.netloc}/charts/{chart}", "--version", "1.2.3+build.5")
    helm("template", "release", "--plain-http", f"oci://{server.netloc}/charts/{chart}")
    with server.client() as ecr:
        [found] = ecr.describe_images(repositoryName=f"charts/{chart}")["imageDetails"]

    assert "Digest: sha256:" in pushed.said
    assert f"name: {chart}" in shown.out
    assert (back / archive.name).read_bytes() == archive.read_bytes()
    assert found["imageTags"] == ["1.2.3_build.5"]  # a tag has no plus
    assert found["artifactMediaType"] == "application/vnd.cncf.helm.config.v1+json"


def test_a_push_where_there_is_no_repository_names_what_makes_it(
    shared_server: RunningServer, helm: Helm, tmp_path: Path
) -> None:
    chart = unique_name("chart")
    helm("create", chart)
    helm("package", chart)
    [archive] = tmp_path.glob("*.tgz")
    said = helm("push", "--plain-http", archive.name, f"oci://{shared_server.netloc}/none", refused=True).said

    assert f"aws ecr create-repository --repository-name none/{chart}" in said
