"""cosign: an image signed with a key, its signature found by the referrers of the image, and verified."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders import image, push
from tests.engines import remember
from tests.programs import Ran, run
from tests.servers import KEY_ID, SECRET, RunningServer

pytestmark = pytest.mark.real("cosign")

Cosign = Callable[..., Ran]


@pytest.fixture
def cosign(server: RunningServer, tmp_path: Path) -> Cosign:
    """A cosign that is logged in, with a key pair of its own."""
    remember(tmp_path / "docker", server.netloc, KEY_ID, SECRET)
    own = {"DOCKER_CONFIG": str(tmp_path / "docker"), "COSIGN_PASSWORD": "of a test", "HOME": str(tmp_path)}

    def call(*words: str, **how: Any) -> Ran:
        return run("cosign", *words, directory=tmp_path, environment=own, **how)

    call("generate-key-pair")
    return call


def test_an_image_is_signed_and_verified(server: RunningServer, repository: str, cosign: Cosign) -> None:
    first, second = image(), image()
    for built in (first, second):
        push(server, repository, built)
    name = f"{server.netloc}/{repository}@"
    offline = ["--use-signing-config=false", "--tlog-upload=false"]  # no service of others is asked
    cosign("sign", "--key", "cosign.key", *offline, "--allow-http-registry", "--yes", name + first.digest)
    verify = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry"]
    verified = json.loads(cosign(*verify, name + first.digest).out)
    unsigned = cosign(*verify, name + second.digest, refused=True).said
    referring = server.request("GET", f"/v2/{repository}/referrers/{first.digest}").json["manifests"]

    assert [one["critical"]["image"]["docker-manifest-digest"] for one in verified] == [first.digest]
    assert "no signatures found" in unsigned
    assert [one["artifactType"] for one in referring] == ["application/vnd.dev.sigstore.bundle.v0.3+json"]
