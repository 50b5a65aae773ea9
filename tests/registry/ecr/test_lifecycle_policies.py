"""Lifecycle policies by the AWS API: put, get, delete, and previews."""

import datetime as dt
import json
from typing import Any

import pytest

from tests.api import refusal
from tests.archives import archive
from tests.builders import image, index, push, unique_name
from tests.servers import ACCOUNT

DAY: dict[str, Any] = {"countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}
IN_ARCHIVE: dict[str, Any] = {
    "storageClass": "archive",
    "countType": "sinceImageTransitioned",
    "countUnit": "days",
    "countNumber": 90,
}
ARCHIVE = {"type": "transition", "targetStorageClass": "archive"}
KEEP_ONE = {"countType": "imageCountMoreThan", "countNumber": 1}


def rule(priority: int = 1, *, action: Any = None, **selection: Any) -> dict[str, Any]:
    bound = {} if "countType" in selection else KEEP_ONE
    return {
        "rulePriority": priority,
        "description": "a rule of the tests",
        "selection": {"tagStatus": "any", **bound, **selection},
        "action": action or {"type": "expire"},
    }


def text(*rules: dict[str, Any]) -> str:
    return json.dumps({"rules": rules or [rule()]})


UNTAGGED = rule(1, tagStatus="untagged")


@pytest.fixture
def filled(shared_server, repository) -> tuple[str, list[str]]:
    """Three images, oldest first: without a tag, `one`, and `two` and `latest`."""
    digests = [push(shared_server, repository, image(), tag) for tag in (None, "one", "two")]
    with shared_server.client() as ecr:
        manifest = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "two"}])["images"][0]
        ecr.put_image(repositoryName=repository, imageManifest=manifest["imageManifest"], imageTag="latest")
    return repository, digests


def preview(ecr, repository: str, policy: str | None = None, **more: Any) -> dict[str, Any]:
    """A finished one, by the waiter that botocore brings."""
    given = {} if policy is None else {"lifecyclePolicyText": policy}
    ecr.start_lifecycle_policy_preview(repositoryName=repository, **given)
    waiter = ecr.get_waiter("lifecycle_policy_preview_complete")
    waiter.wait(repositoryName=repository, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    found: dict[str, Any] = ecr.get_lifecycle_policy_preview(repositoryName=repository, **more)
    return found


# --- policies ---------------------------------------------------------------------------------------------------------


@pytest.mark.real("boto3")
def test_a_policy_reads_back_as_it_was_put(ecr, repository):
    policy = text().replace(", ", " ,\n ")
    put = ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=policy)
    got = ecr.get_lifecycle_policy(repositoryName=repository)

    for answer in (put, got):
        assert (answer["registryId"], answer["repositoryName"]) == (ACCOUNT, repository)
        assert answer["lifecyclePolicyText"] == policy
    assert got["lastEvaluatedAt"] == dt.datetime.fromtimestamp(0, dt.UTC), "it has not run yet"


@pytest.mark.real("boto3")
def test_a_policy_takes_the_place_of_another(ecr, repository):
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text())
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text(UNTAGGED))

    assert ecr.get_lifecycle_policy(repositoryName=repository)["lifecyclePolicyText"] == text(UNTAGGED)


@pytest.mark.real("boto3")
def test_a_policy_is_deleted(ecr, repository):
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text())
    gone = ecr.delete_lifecycle_policy(repositoryName=repository)
    missing = f"for the repository with name '{repository}' in the registry with id '{ACCOUNT}'"

    assert gone["lifecyclePolicyText"] == text()
    for call in (ecr.get_lifecycle_policy, ecr.delete_lifecycle_policy, ecr.start_lifecycle_policy_preview):
        told = refusal(call, repositoryName=repository)
        assert told.code == "LifecyclePolicyNotFoundException"
        assert told.message == f"Lifecycle policy does not exist {missing}"


@pytest.mark.real("boto3")
@pytest.mark.parametrize(
    "operation",
    [
        "put_lifecycle_policy",
        "get_lifecycle_policy",
        "delete_lifecycle_policy",
        "start_lifecycle_policy_preview",
        "get_lifecycle_policy_preview",
    ],
)
def test_a_repository_that_is_not_there(ecr, operation):
    more = {"lifecyclePolicyText": text()} if operation.startswith(("put", "start")) else {}

    assert refusal(getattr(ecr, operation), repositoryName=unique_name(), **more).code == "RepositoryNotFoundException"


BAD = {
    "short": ("{}", "Member must have length greater than or equal to 100"),
    "no-json": ("{".ljust(100), "Could not map policyString into LifecyclePolicy."),
    "twice-one-priority": (text(rule(1), rule(1, tagStatus="untagged")), "Rules must have unique priorities"),
    "any-before-others": (text(rule(1), rule(2, tagStatus="untagged")), "must have the lowest priority"),
    "extension": (text(rule(action={"type": "keep"})), "Lifecycle policy validation failure"),
    "transition-nowhere": (text(rule(action={"type": "transition"})), "Lifecycle policy validation failure"),
    "expire-by-pulls": (text(rule(**DAY | {"countType": "sinceImagePulled"})), "Lifecycle policy validation failure"),
    "less-than-ninety-days": (text(rule(**IN_ARCHIVE | {"countNumber": 89})), "Lifecycle policy validation failure"),
}


@pytest.mark.real("boto3")
@pytest.mark.parametrize("operation", ["put_lifecycle_policy", "start_lifecycle_policy_preview"])
@pytest.mark.parametrize(("policy", "why"), BAD.values(), ids=BAD)
def test_what_is_no_policy_is_refused_in_ecrs_words(ecr, repository, operation, policy, why):
    told = refusal(getattr(ecr, operation), repositoryName=repository, lifecyclePolicyText=policy)

    assert told.code == "InvalidParameterException"
    assert why in told.message
    assert told.message.lower().startswith("invalid parameter at 'lifecyclepolicytext' failed to satisfy constraint: ")


# --- previews ---------------------------------------------------------------------------------------------------------


@pytest.mark.real("boto3")
def test_a_preview_says_what_would_go_and_by_which_rule(ecr, filled):
    repository, (oldest, one, _) = filled
    found = preview(ecr, repository, text(rule(7)))
    images = found["previewResults"]

    assert (found["status"], found["lifecyclePolicyText"]) == ("COMPLETE", text(rule(7)))
    assert found["summary"] == {"expiringImageTotalCount": 2}
    assert [(each["imageDigest"], each["imageTags"]) for each in images] == [(oldest, []), (one, ["one"])]
    assert {each["appliedRulePriority"] for each in images} == {7}
    assert [each["action"] for each in images] == [{"type": "EXPIRE"}] * 2
    assert {each["storageClass"] for each in images} == {"STANDARD"}
    described = ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": oldest}])["imageDetails"]
    assert images[0]["imagePushedAt"] == described[0]["imagePushedAt"]


@pytest.mark.real("boto3")
def test_a_preview_without_a_text_is_of_the_policy_that_is_in_force(ecr, filled):
    repository, _ = filled
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=text())
    found = preview(ecr, repository)

    assert found["lifecyclePolicyText"] == text()
    assert found["summary"] == {"expiringImageTotalCount": 2}
    assert len(ecr.list_images(repositoryName=repository)["imageIds"]) == 4, "a preview takes nothing away"


@pytest.mark.real("boto3")
def test_a_preview_comes_in_pages(ecr, shared_server, repository):
    digests = [push(shared_server, repository, image(), f"t{number}") for number in range(6)]
    preview(ecr, repository, text())
    pages = ecr.get_paginator("get_lifecycle_policy_preview").paginate(
        repositoryName=repository, PaginationConfig={"PageSize": 2}
    )
    sizes, listed = [], []
    for page in pages:
        sizes.append(len(page["previewResults"]))
        listed += [each["imageDigest"] for each in page["previewResults"]]

    assert sizes == [2, 2, 1]
    assert listed == digests[:-1]


@pytest.mark.real("boto3")
def test_a_mark_of_another_listing_is_refused(ecr, shared_server, repository):
    for number in range(4):
        push(shared_server, repository, image(), f"t{number}")
    preview(ecr, repository, text())
    token = ecr.get_lifecycle_policy_preview(repositoryName=repository, maxResults=1)["nextToken"]
    told = refusal(
        ecr.get_lifecycle_policy_preview,
        repositoryName=repository,
        nextToken=token,
        filter={"tagStatus": "TAGGED"},
    )

    assert told.code == "InvalidParameterException"


@pytest.mark.real("boto3")
@pytest.mark.parametrize(("status", "wanted"), [("TAGGED", [1]), ("UNTAGGED", [0]), ("ANY", [0, 1])])
def test_a_preview_is_filtered_by_tag_status(ecr, filled, status, wanted):
    repository, digests = filled
    found = preview(ecr, repository, text(), filter={"tagStatus": status})

    assert [each["imageDigest"] for each in found["previewResults"]] == [digests[number] for number in wanted]
    assert found["summary"] == {"expiringImageTotalCount": 2}, "of all, whatever is shown"


@pytest.mark.real("boto3")
def test_a_preview_of_chosen_images(ecr, filled):
    repository, (oldest, one, two) = filled
    wanted = [{"imageDigest": oldest}, {"imageTag": "one"}, {"imageDigest": two}, {"imageTag": "no-such-tag"}]
    found = preview(ecr, repository, text(), imageIds=wanted)
    told = refusal(ecr.get_lifecycle_policy_preview, repositoryName=repository, imageIds=wanted, maxResults=5)

    assert [each["imageDigest"] for each in found["previewResults"]] == [oldest, one]
    assert told.code == "InvalidParameterException"


@pytest.mark.real("boto3")
def test_an_index_takes_its_images_along(ecr, shared_server, repository):
    child = image()
    push(shared_server, repository, child)
    parent = push(shared_server, repository, index(child), "old")
    newest = push(shared_server, repository, image(), "new")
    found = preview(ecr, repository, text())

    assert [each["imageDigest"] for each in found["previewResults"]] == [parent, child.digest]
    assert newest not in str(found)


@pytest.mark.real("boto3")
def test_a_preview_shows_what_goes_to_the_archive_and_what_is_there(ecr, shared_server, repository):
    """By the user guide's example of two rules: archived, and deleted long after."""
    archived, child, latest = image(), image(), image()
    parent = index(child)
    for one, tag in ((archived, "first"), (child, None), (parent, "second"), (latest, "third")):
        push(shared_server, repository, one, tag)
    archive(ecr, repository, archived)
    policy = text(rule(1, action=ARCHIVE), rule(2, **IN_ARCHIVE))
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText=policy)
    found = preview(ecr, repository)
    results = found["previewResults"]

    assert [each["imageDigest"] for each in results] == [parent.digest, child.digest], "the other is not there for long"
    assert found["summary"] == {
        "expiringImageTotalCount": 0,
        "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 2}],
    }
    for each in results:
        assert each["action"] == {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
        assert (each["storageClass"], each["appliedRulePriority"]) == ("STANDARD", 1)


@pytest.mark.real("boto3")
def test_no_preview_was_asked_for(ecr, repository):
    told = refusal(ecr.get_lifecycle_policy_preview, repositoryName=repository)

    assert told.code == "LifecyclePolicyPreviewNotFoundException"


@pytest.mark.real("boto3")
def test_a_second_preview_takes_the_place_of_the_first(ecr, filled):
    repository, _ = filled
    preview(ecr, repository, text())
    found = preview(ecr, repository, text(rule(countNumber=2)))

    assert found["summary"] == {"expiringImageTotalCount": 1}


@pytest.mark.real("boto3")
def test_a_preview_that_is_being_made(start_server):
    server = start_server(LONGSHORE_JOBS__IN_SERVER="false")
    server.create("app")
    with server.client() as ecr:
        started = ecr.start_lifecycle_policy_preview(repositoryName="app", lifecyclePolicyText=text())
        again = refusal(ecr.start_lifecycle_policy_preview, repositoryName="app", lifecyclePolicyText=text())
        found = ecr.get_lifecycle_policy_preview(repositoryName="app")

    assert started["status"] == found["status"] == "IN_PROGRESS"
    assert (found["previewResults"], "summary" in found) == ([], False)
    assert again.code == "LifecyclePolicyPreviewInProgressException"


@pytest.mark.real("boto3")
def test_extensions_are_for_who_wants_them(start_server):
    server = start_server(LONGSHORE_LIFECYCLE__EXTENSIONS="true")
    server.create("app")
    policy = text(rule(1, tagStatus="tagged", tagPrefixList=["keep"], action={"type": "keep"}), rule(2))
    kept, gone = push(server, "app", image(), "keep-1"), push(server, "app", image(), "other")
    push(server, "app", image(), "newest")
    with server.client() as ecr:
        ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=policy)
        found = preview(ecr, "app")

    assert [each["imageDigest"] for each in found["previewResults"]] == [gone]
    assert kept not in str(found)
