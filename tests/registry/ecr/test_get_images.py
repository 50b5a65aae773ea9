"""BatchGetImage: by tag, by digest, by both, and every way in which one of a batch fails."""

import json

import pytest

from tests.api import push_image, put_image, refusal
from tests.builders import DOCKER_IMAGE, OCI_IMAGE, OCI_INDEX, Built, digest_of, image, index
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

ABSENT = digest_of(b"no image has these bytes")


@pytest.fixture
def built(ecr, repository) -> Built:
    """An image of the repository, tagged v1 and latest."""
    made = image()
    push_image(ecr, repository, made, "v1")
    put_image(ecr, repository, made, "latest")
    return made


def get(ecr, repository: str, *ids: dict, **more) -> tuple[list[dict], list[dict]]:
    answer = ecr.batch_get_image(repositoryName=repository, imageIds=list(ids), **more)
    return answer["images"], answer["failures"]


def test_an_image_by_its_tag(ecr, repository, built):
    images, failures = get(ecr, repository, {"imageTag": "v1"})

    assert images == [
        {
            "registryId": ACCOUNT,
            "repositoryName": repository,
            "imageId": {"imageDigest": built.digest, "imageTag": "v1"},
            "imageManifest": built.body.decode(),
            "imageManifestMediaType": OCI_IMAGE,
        }
    ]
    assert failures == []


def test_an_image_by_its_digest(ecr, repository, built):
    images, failures = get(ecr, repository, {"imageDigest": built.digest})

    assert [one["imageId"] for one in images] == [{"imageDigest": built.digest}]
    assert failures == []


def test_an_image_by_both(ecr, repository, built):
    images, failures = get(ecr, repository, {"imageDigest": built.digest, "imageTag": "latest"})

    assert [one["imageId"] for one in images] == [{"imageDigest": built.digest, "imageTag": "latest"}]
    assert failures == []


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({}, "MissingDigestAndTag"),
        ({"imageTag": "absent"}, "ImageNotFound"),
        ({"imageDigest": ABSENT}, "ImageNotFound"),
        ({"imageDigest": ABSENT, "imageTag": "v1"}, "ImageTagDoesNotMatchDigest"),
        ({"imageDigest": ABSENT, "imageTag": "absent"}, "ImageNotFound"),
        ({"imageDigest": "sha256:short"}, "InvalidImageDigest"),
        ({"imageDigest": "sha256:" + "A" * 64}, "InvalidImageDigest"),
        ({"imageDigest": "md5:" + "0" * 32}, "InvalidImageDigest"),
        ({"imageDigest": ""}, "InvalidImageDigest"),
        ({"imageDigest": "sha256:../../x", "imageTag": "v1"}, "InvalidImageDigest"),
        ({"imageTag": "-v"}, "InvalidImageTag"),
        ({"imageTag": "v" * 129}, "InvalidImageTag"),
        ({"imageTag": "v1\n"}, "InvalidImageTag"),
    ],
    ids=[
        "neither", "unknown-tag", "unknown-digest", "tag-of-another", "both-unknown", "short-digest", "capitals",
        "algorithm", "empty-digest", "path-in-digest", "dash-first", "long-tag", "newline",
    ],
)  # fmt: skip
def test_one_that_fails_is_told_beside_those_that_do_not(ecr, repository, built, wanted, code):
    images, failures = get(ecr, repository, wanted, {"imageTag": "v1"})

    assert [one["imageId"] for one in images] == [{"imageDigest": built.digest, "imageTag": "v1"}]
    assert [(one["imageId"], one["failureCode"]) for one in failures] == [(wanted, code)]
    assert failures[0]["failureReason"]


def test_a_batch_has_one_to_a_hundred_ids(ecr, repository, built):
    hundred = [{"imageTag": f"t{number}"} for number in range(100)]
    _, failures = get(ecr, repository, *hundred)

    assert [one["imageId"] for one in failures] == hundred
    for ids in ([], [*hundred, {"imageTag": "v1"}]):
        told = refusal(ecr.batch_get_image, repositoryName=repository, imageIds=ids)
        assert (told.code, told.status) == ("InvalidParameterException", 400)


def test_an_unknown_repository_fails_the_batch(ecr):
    told = refusal(ecr.batch_get_image, repositoryName="nobody/made-this", imageIds=[{"imageTag": "v1"}])

    assert (told.code, told.status) == ("RepositoryNotFoundException", 400)


# --- accepted media types ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "found"),
    [
        ([OCI_IMAGE], True),
        ([DOCKER_IMAGE, OCI_IMAGE, OCI_INDEX], True),
        ([DOCKER_IMAGE], False),
        ([OCI_INDEX], False),
    ],
    ids=["its-own", "among-others", "another", "only-indexes"],
)
def test_an_image_of_no_accepted_type_is_not_found(ecr, repository, built, accepted, found):
    """Nothing is converted: stored bytes, or none."""
    images, failures = get(ecr, repository, {"imageTag": "v1"}, acceptedMediaTypes=accepted)

    assert [one["imageManifest"] for one in images] == ([built.body.decode()] if found else [])
    assert [one["failureCode"] for one in failures] == ([] if found else ["ImageNotFound"])


def test_an_index_is_given_as_it_is(ecr, repository, built):
    listing = index(built)
    put_image(ecr, repository, listing, "multi")
    images, _ = get(ecr, repository, {"imageTag": "multi"}, acceptedMediaTypes=[OCI_INDEX])

    assert images[0]["imageManifest"] == listing.body.decode()


# --- how much one call may ask for ------------------------------------------------------------------------------------


def test_one_call_cannot_ask_for_a_mountain_of_manifests(ecr, repository, built):
    """A hundred of the largest would be 400 MB in memory (P11, T19)."""
    large = {**built.document, "annotations": {"p": "x" * 3_900_000}}
    put_image(ecr, repository, Built(json.dumps(large).encode(), OCI_IMAGE), "large")
    four, _ = get(ecr, repository, *[{"imageTag": "large"}] * 4)
    told = refusal(ecr.batch_get_image, repositoryName=repository, imageIds=[{"imageTag": "large"}] * 100)

    assert len(four) == 4
    assert (told.code, told.status) == ("LimitExceededException", 400)
    assert "fewer" in told.message
