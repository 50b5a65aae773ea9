"""Protection from deletion, beyond ECR: each way to delete something is refused at its door, in its words."""

import json
from collections.abc import Iterator

import pytest

from tests import elsewhere
from tests.api import push_image, refusal
from tests.builders import image, push_blob, unique_bytes
from tests.commands import Ran, longshore
from tests.servers import RunningServer

pytestmark = pytest.mark.real("boto3")

WORDS = "is protected from deletion, and so is all that is in it"


def protect(server: RunningServer, name: str, state: str) -> Ran:
    where = elsewhere.environment(server.data)
    return longshore("repo", "protect", name, state, "--data", server.data, **where)


@pytest.fixture
def protected(shared_server: RunningServer, repository: str) -> Iterator[str]:
    assert protect(shared_server, repository, "on").code == 0
    yield repository
    protect(shared_server, repository, "off")


@pytest.mark.parametrize("force", [False, True], ids=["empty", "force"])
def test_the_repository_stays(ecr, protected, force):
    if force:
        push_image(ecr, protected, image(), "v1")
    code, _, message, _ = refusal(ecr.delete_repository, repositoryName=protected, force=force)

    assert code == "InvalidParameterException"
    assert WORDS in message and f"`longshore repo protect {protected} off` ends that" in message
    assert ecr.describe_repositories(repositoryNames=[protected])["repositories"]


@pytest.mark.parametrize("by", ["imageTag", "imageDigest"])
def test_the_api_takes_no_image_and_no_tag(ecr, protected, by):
    built = image()
    push_image(ecr, protected, built, "v1")
    wanted = {"imageTag": "v1"} if by == "imageTag" else {"imageDigest": built.digest}
    code, _, message, _ = refusal(ecr.batch_delete_image, repositoryName=protected, imageIds=[wanted])

    assert (code, WORDS in message) == ("InvalidParameterException", True)
    assert ecr.describe_images(repositoryName=protected)["imageDetails"][0]["imageTags"] == ["v1"]


def test_the_oci_door_takes_nothing(shared_server, ecr, protected):
    built = image()
    push_image(ecr, protected, built, "v1")
    loose = push_blob(shared_server, protected, unique_bytes())
    for kind, reference in (("manifests", "v1"), ("manifests", built.digest), ("blobs", loose)):
        answer = shared_server.request("DELETE", f"/v2/{protected}/{kind}/{reference}")

        assert (answer.status, answer.code) == (409, "DENIED")
        assert WORDS in answer.json["errors"][0]["message"]
        assert shared_server.request("HEAD", f"/v2/{protected}/{kind}/{reference}").status == 200


def test_no_policy_takes_anything_and_a_dry_run_says_why(shared_server, ecr, protected):
    for tag in ("v1", "v2"):
        push_image(ecr, protected, image(), tag)
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}
    rules = [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]
    ecr.put_lifecycle_policy(repositoryName=protected, lifecyclePolicyText=json.dumps({"rules": rules}))
    where = elsewhere.environment(shared_server.data)
    run = ["lifecycle", "run", protected, "--data", shared_server.data, "--output", "json"]
    would, did = longshore(*run, "--dry-run", **where).json, longshore(*run, **where).json

    assert [one["action"] for one in would["images"]] == ["keep", "keep"]
    [reason] = [one["reason"] for one in would["images"] if "else" in one["reason"]]
    assert reason.startswith("kept because the repository is protected; else expired by rule 1")
    assert did["images"] == []
    assert len(ecr.describe_images(repositoryName=protected)["imageDetails"]) == 2


def test_pushes_and_tags_that_move_go_on(ecr, protected):
    for built in (image(), image()):
        push_image(ecr, protected, built, "v1")

    assert len(ecr.describe_images(repositoryName=protected)["imageDetails"]) == 2
