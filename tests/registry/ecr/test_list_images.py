"""ListImages and DescribeImages: filters, pages, marks; and what is told of an image."""

import datetime as dt

import pytest

from tests.api import push_image, put_image, refusal
from tests.builders import (
    DOCKER_IMAGE,
    EMPTY,
    OCI_CONFIG,
    OCI_IMAGE,
    OCI_INDEX,
    Built,
    digest_of,
    image,
    index,
    unique_bytes,
    unique_name,
)
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

ABSENT = digest_of(b"no image has these bytes")


@pytest.fixture(scope="module")
def three(shared_server, ecr) -> tuple[str, list[Built]]:
    """A repository of three images: with two tags, with one, and without."""
    name = unique_name("listed")
    shared_server.create(name)
    built = [image() for _ in range(3)]
    for one, tags in zip(built, (["a1", "a2"], ["b1"], []), strict=True):
        push_image(ecr, name, one, tags[0] if tags else None)
        for tag in tags[1:]:
            put_image(ecr, name, one, tag)
    return name, built


def ids_of(three) -> set[tuple[str, str | None]]:
    first, second, third = (one.digest for one in three[1])
    return {(first, "a1"), (first, "a2"), (second, "b1"), (third, None)}


def pairs(image_ids: list[dict]) -> list[tuple[str, str | None]]:
    return [(one["imageDigest"], one.get("imageTag")) for one in image_ids]


def describe(ecr, repository: str, **more) -> list[dict]:
    return ecr.describe_images(repositoryName=repository, **more)["imageDetails"]


# --- ListImages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [None, "ANY", "TAGGED", "UNTAGGED"])
def test_every_tag_is_listed_and_every_image_without_one(ecr, three, status):
    more = {"filter": {"tagStatus": status}} if status else {}
    answer = ecr.list_images(repositoryName=three[0], **more)
    wanted = {pair for pair in ids_of(three) if status in (None, "ANY") or (pair[1] is None) == (status == "UNTAGGED")}

    assert sorted(pairs(answer["imageIds"]), key=str) == sorted(wanted, key=str)
    assert "nextToken" not in answer


@pytest.mark.parametrize("status", ["ANY", "TAGGED", "UNTAGGED"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_go_through_the_tags_of_one_image(ecr, three, status, size):
    pages = ecr.get_paginator("list_images").paginate(
        repositoryName=three[0], filter={"tagStatus": status}, PaginationConfig={"PageSize": size}
    )
    walked = [pairs(page["imageIds"]) for page in pages]
    whole = pairs(ecr.list_images(repositoryName=three[0], filter={"tagStatus": status})["imageIds"])

    assert [one for page in walked for one in page] == whole
    assert all(len(page) == size for page in walked[:-1])


def test_a_page_has_a_hundred_unless_told_otherwise(ecr, repository):
    made = image()
    push_image(ecr, repository, made, "t000")
    for number in range(1, 101):
        put_image(ecr, repository, made, f"t{number:03}")
    first = ecr.list_images(repositoryName=repository)
    rest = ecr.list_images(repositoryName=repository, nextToken=first["nextToken"])

    assert [one["imageTag"] for one in first["imageIds"]] == [f"t{number:03}" for number in range(100)]
    assert [one["imageTag"] for one in rest["imageIds"]] == ["t100"]
    assert describe(ecr, repository)[0]["imageTags"] == [f"t{number:03}" for number in range(101)]


# --- DescribeImages ---------------------------------------------------------------------------------------------------


def test_an_image_is_described(ecr, repository):
    made = image(layers=[unique_bytes(1000), unique_bytes(24)])
    push_image(ecr, repository, made, "v2")
    put_image(ecr, repository, made, "v1")
    (found,) = describe(ecr, repository)
    age = dt.datetime.now(dt.UTC) - found.pop("imagePushedAt")

    assert found == {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "imageDigest": made.digest,
        "imageTags": ["v1", "v2"],
        "imageSizeInBytes": len(made.blobs[0]) + 1024,
        "imageManifestMediaType": OCI_IMAGE,
        "artifactMediaType": OCI_CONFIG,
        "imageStatus": "ACTIVE",
    }
    assert dt.timedelta(seconds=-1) < age < dt.timedelta(seconds=30)


@pytest.mark.parametrize(("status", "numbers"), [("ANY", [0, 1, 2]), ("TAGGED", [0, 1]), ("UNTAGGED", [2])])
def test_images_are_described_by_tag_status(ecr, three, status, numbers):
    found = describe(ecr, three[0], filter={"tagStatus": status})

    assert {one["imageDigest"] for one in found} == {three[1][number].digest for number in numbers}
    assert len(found) == len(numbers)


@pytest.mark.parametrize(
    ("status", "there"), [("ACTIVE", True), ("ANY", True), ("ARCHIVED", False), ("ACTIVATING", False)]
)
def test_every_image_is_active(ecr, three, status, there):
    described = describe(ecr, three[0], filter={"imageStatus": status})
    listed = ecr.list_images(repositoryName=three[0], filter={"imageStatus": status})["imageIds"]

    assert (len(described), len(listed)) == ((3, 4) if there else (0, 0))


def test_pages_of_images(ecr, three):
    pages = ecr.get_paginator("describe_images").paginate(repositoryName=three[0], PaginationConfig={"PageSize": 2})
    walked = [[one["imageDigest"] for one in page["imageDetails"]] for page in pages]

    assert [len(page) for page in walked] == [2, 1]
    assert [one for page in walked for one in page] == sorted(one.digest for one in three[1])


def test_named_images_are_described_once_each(ecr, three):
    first, _, third = (one.digest for one in three[1])
    ids = [{"imageDigest": third}, {"imageTag": "a1"}, {"imageTag": "a2"}, {"imageDigest": first, "imageTag": "a1"}]

    assert [one["imageDigest"] for one in describe(ecr, three[0], imageIds=ids)] == [third, first]


@pytest.mark.parametrize(
    ("wanted", "told_as"),
    [
        ({"imageTag": "absent"}, "{imageDigest:'null', imageTag:'absent'}"),
        ({"imageDigest": ABSENT}, f"{{imageDigest:'{ABSENT}', imageTag:'null'}}"),
        ({"imageDigest": ABSENT, "imageTag": "a1"}, f"{{imageDigest:'{ABSENT}', imageTag:'a1'}}"),
        ({"imageDigest": ABSENT, "imageTag": "absent"}, f"{{imageDigest:'{ABSENT}', imageTag:'absent'}}"),
    ],
    ids=["tag", "digest", "tag-of-another", "both"],
)
def test_an_image_that_is_not_there_fails_the_call(ecr, three, wanted, told_as):
    told = refusal(ecr.describe_images, repositoryName=three[0], imageIds=[{"imageTag": "a1"}, wanted])

    assert told[:3] == (
        "ImageNotFoundException",
        400,
        f"The image with imageId {told_as} does not exist within the repository with name '{three[0]}' in the registry "
        f"with id '{ACCOUNT}'",
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"imageIds": []},
        {"imageIds": [{"imageTag": f"t{number}"} for number in range(101)]},
        {"imageIds": [{}]},
        {"imageIds": [{"imageDigest": "sha256:short"}]},
        {"imageIds": [{"imageTag": "-"}]},
        {"imageIds": [{"imageTag": "a1"}], "maxResults": 10},
        {"imageIds": [{"imageTag": "a1"}], "nextToken": "x"},
        {"filter": {"tagStatus": "SOME"}},
        {"filter": {"imageStatus": "GONE"}},
    ],
    ids=[
        "no-ids", "too-many", "empty-id", "digest", "tag", "ids-and-maxResults", "ids-and-nextToken", "tag-status",
        "image-status",
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(ecr, three, parameters):
    told = refusal(ecr.describe_images, repositoryName=three[0], **parameters)

    assert (told.code, told.status) == ("InvalidParameterException", 400)


def test_the_size_of_an_index_is_its_largest_childs(ecr, repository):
    small, large = image(layers=[unique_bytes(10)]), image(layers=[unique_bytes(5000), unique_bytes(700)])
    for one in (small, large):
        push_image(ecr, repository, one)
    listing = index(small, large)
    put_image(ecr, repository, listing, "multi")
    put_image(ecr, repository, index(listing), "outer")
    found = {one["imageDigest"]: one for one in describe(ecr, repository)}
    size = len(large.blobs[0]) + 5700

    assert found[large.digest]["imageSizeInBytes"] == size
    assert found[listing.digest]["imageSizeInBytes"] == size
    assert found[index(listing).digest]["imageSizeInBytes"] == size
    assert found[listing.digest]["imageManifestMediaType"] == OCI_INDEX
    assert "artifactMediaType" not in found[listing.digest]


@pytest.mark.parametrize(
    ("made", "artifact"),
    [
        (lambda: image(), OCI_CONFIG),
        (lambda: image(config_type="application/vnd.example.chart"), "application/vnd.example.chart"),
        (lambda: image(config=b"{}", config_type=EMPTY, artifactType="text/sbom"), "text/sbom"),
        (
            lambda: image(media_type=DOCKER_IMAGE, config_type="application/vnd.docker.container.image.v1+json"),
            "application/vnd.docker.container.image.v1+json",
        ),
    ],
    ids=["image", "by-config", "by-artifactType", "docker"],
)
def test_the_artifact_type_is_told(ecr, repository, made, artifact):
    built = made()
    push_image(ecr, repository, built)

    assert describe(ecr, repository)[0]["artifactMediaType"] == artifact


def test_the_subject_is_told(ecr, repository):
    subject = image()
    signature = image(subject=subject.descriptor())
    push_image(ecr, repository, signature)

    assert describe(ecr, repository)[0]["subjectManifestDigest"] == subject.digest


# --- marks ------------------------------------------------------------------------------------------------------------


def test_a_mark_is_worth_nothing_for_another_listing(ecr, shared_server, three):
    name = three[0]
    other = unique_name()
    shared_server.create(other)
    mark = ecr.list_images(repositoryName=name, maxResults=1)["nextToken"]
    of_images = ecr.describe_images(repositoryName=name, maxResults=1)["nextToken"]
    calls = [
        refusal(ecr.list_images, repositoryName=other, nextToken=mark),
        refusal(ecr.list_images, repositoryName=name, nextToken=mark, filter={"tagStatus": "TAGGED"}),
        refusal(ecr.list_images, repositoryName=name, nextToken=of_images),
        refusal(ecr.describe_images, repositoryName=name, nextToken=mark),
        refusal(ecr.describe_repositories, nextToken=mark),
        refusal(ecr.list_image_referrers, repositoryName=name, subjectId={"imageDigest": ABSENT}, nextToken=mark),
        refusal(ecr.list_images, repositoryName=name, nextToken="anything"),
        refusal(ecr.list_images, repositoryName=name, nextToken="x" * 10_000),
    ]

    assert [(told.code, told.status) for told in calls] == [("InvalidParameterException", 400)] * len(calls)
    with shared_server.client(region="eu-west-1") as elsewhere:
        elsewhere.create_repository(repositoryName=name)
        told = refusal(elsewhere.list_images, repositoryName=name, nextToken=mark)
        assert told.code == "InvalidParameterException"


def test_a_page_may_be_of_another_size_than_the_one_before(ecr, three):
    first = ecr.list_images(repositoryName=three[0], maxResults=1)
    rest = ecr.list_images(repositoryName=three[0], maxResults=1000, nextToken=first["nextToken"])

    assert len(first["imageIds"] + rest["imageIds"]) == 4


def test_a_mark_holds_when_what_it_names_is_deleted(ecr, repository):
    made = sorted((image() for _ in range(3)), key=lambda one: one.digest)
    for one in made:
        push_image(ecr, repository, one)
    mark = ecr.list_images(repositoryName=repository, maxResults=1)["nextToken"]
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": made[0].digest}])
    rest = ecr.list_images(repositoryName=repository, nextToken=mark)["imageIds"]

    assert [one["imageDigest"] for one in rest] == [one.digest for one in made[1:]]


@pytest.mark.parametrize("operation", ["list_images", "describe_images"])
def test_an_unknown_repository_is_told(ecr, operation):
    told = refusal(getattr(ecr, operation), repositoryName="nobody/made-this")

    assert (told.code, told.status) == ("RepositoryNotFoundException", 400)
