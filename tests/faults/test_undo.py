"""kill -9 in the middle of a delete: the image is there whole and nothing is kept, or it is gone and can come back
(promises.md P6, F06)."""

from collections.abc import Callable
from http.client import HTTPException

import pytest
from botocore.exceptions import HTTPClientError

from tests import elsewhere
from tests.builders import Built, image, index, push, unique_name
from tests.commands import Ran, longshore
from tests.conftest import Start
from tests.faults.soundness import assert_sound
from tests.servers import RunningServer


def by_digest(server: RunningServer, name: str, digest: str) -> None:
    server.request("DELETE", f"/v2/{name}/manifests/{digest}")


def by_api(server: RunningServer, name: str, digest: str) -> None:
    with server.client() as ecr:
        ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": digest}])


def with_all(server: RunningServer, name: str, _digest: str) -> None:
    with server.client() as ecr:
        ecr.delete_repository(repositoryName=name, force=True)


def undelete(server: RunningServer, *arguments: str) -> Ran:
    return longshore("undelete", *arguments, "--data", server.data, **elsewhere.environment(server.data))


def filled(server: RunningServer) -> tuple[str, Built, Built]:
    """A repository, and an index in it with its image."""
    name, child = unique_name(), image()
    server.create(name)
    push(server, name, child)
    top = index(child)
    push(server, name, top, "v1")
    return name, child, top


@pytest.mark.parametrize("delete", [by_digest, by_api, with_all], ids=["oci", "api", "repository"])
def test_a_delete_that_is_killed_has_not_been(
    start_server: Start, delete: Callable[[RunningServer, str, str], None]
) -> None:
    server = start_server()
    name, child, top = filled(server)
    server.stop()
    place = "repository-rows" if delete is with_all else "image-rows"
    server.environment["LONGSHORE_FAILPOINT"] = f"{place}:kill"
    server.start()
    with pytest.raises((OSError, HTTPException, HTTPClientError)):
        delete(server, name, top.digest)
    server.kill()
    del server.environment["LONGSHORE_FAILPOINT"]
    server.start()

    for built in (child, top):
        assert server.request("GET", f"/v2/{name}/manifests/{built.digest}").body == built.body
    assert undelete(server, name, "--output", "json").json["images"] == []
    delete(server, name, top.digest)
    assert undelete(server, name, "--repository-too", "--all").code == 0
    assert server.request("GET", f"/v2/{name}/manifests/v1").body == top.body
    assert_sound(server.data)
