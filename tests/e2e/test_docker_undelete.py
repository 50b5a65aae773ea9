"""docker pulls what a policy took and `longshore undelete` brought back; and does not once the window is over."""

import json

import pytest

from tests import elsewhere
from tests.commands import Ran, longshore
from tests.conftest import Start
from tests.engines import Docker, Image
from tests.servers import RunningServer
from tests.waiting import until

pytestmark = pytest.mark.real("dockerd")

# A layer is garbage once nothing has wanted it for a moment, and only these tests collect.
QUICK = {
    "LONGSHORE_GC__GRACE_SECONDS": "0",
    "LONGSHORE_GC__INTERVAL_SECONDS": "0",
    "LONGSHORE_GC__REFUSE_PERCENT": "100",
}
ONE = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}
POLICY = json.dumps({"rules": [{"rulePriority": 1, "selection": ONE, "action": {"type": "expire"}}]})


def beside(server: RunningServer, *arguments: str, **environment: str) -> Ran:
    where = {**QUICK, **elsewhere.environment(server.data), **environment}
    return longshore(*arguments, "--data", server.data, **where)


def pruned(server: RunningServer, docker: Docker, **environment: str) -> Image:
    """An image that was pushed, then taken by the policy of its repository, and whose layers were collected."""
    server.create("app")
    docker.log_in(server.netloc)
    old, new = (docker.new_image(f"{server.netloc}/app:{tag}") for tag in ("old", "new"))
    for image in (old, new):
        docker("push", image.name)
        docker.forget(image.name)
    with server.client() as ecr:
        ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=POLICY)
    assert beside(server, "lifecycle", "run", "app", **environment).out.splitlines()[-1] == "1 image expired"
    assert docker("pull", old.name, refused=True).said
    assert beside(server, "gc", **environment).code == 0
    return old


def test_an_undelete_brings_a_pruned_image_back(start_server: Start, docker: Docker) -> None:
    server = start_server(**QUICK)
    old = pruned(server, docker)
    listed = beside(server, "undelete", "app", "--output", "json").json
    done = beside(server, "undelete", "app:old")
    docker("pull", old.name)

    assert [(one["tags"], one["cause"], one["deletedBy"]) for one in listed["images"]] == [
        (["old"], "expired", "lifecycle")
    ]
    assert done.code == 0 and "the lifecycle policy of app took images that come back" in done.err
    assert docker.id_of(old.name) == old.id
    assert beside(server, "check", "--deep").code == 0


def test_after_the_window_its_bytes_are_gone(start_server: Start, docker: Docker) -> None:
    short = {"LONGSHORE_UNDO__WINDOW_SECONDS": "4"}
    server = start_server(**QUICK, **short)
    old = pruned(server, docker, **short)

    def is_over() -> bool:
        return beside(server, "undelete", "app", "--output", "json").json["images"] == []

    until(is_over, what="the end of the window", every=0.2)
    collected = beside(server, "gc", "--output", "json")
    refused = beside(server, "undelete", "app:old")
    checked = beside(server, "check", "--deep", "--output", "json")

    assert collected.json["regions"][0]["held"]["count"] == 0
    assert refused.code == 1 and "its window is over" in refused.err
    assert docker("pull", old.name, refused=True).said
    assert (checked.code, checked.json["checked"]["blobs"]) == (0, old.layers + 1)  # those of the other image
