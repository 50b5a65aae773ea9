"""Tag mutability at the API: four modes, their filters, and no tag that is special (T06, T38)."""

import pytest

from tests.api import push_image, put_image, refusal
from tests.builders import image, index, put_manifest, unique_name
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")


def filters(*patterns: str) -> list[dict[str, str]]:
    return [{"filterType": "WILDCARD", "filter": one} for one in patterns]


def mode(ecr, repository: str, name: str, *patterns: str) -> dict:
    more = {"imageTagMutabilityExclusionFilters": filters(*patterns)} if patterns else {}
    return ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability=name, **more)


def digest_of_tag(ecr, repository: str, tag: str) -> str:
    got = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
    return got["images"][0]["imageId"]["imageDigest"]


@pytest.fixture
def two(ecr, repository):
    """Two images of the repository, without tags."""
    built = image(), image()
    for one in built:
        push_image(ecr, repository, one)
    return built


def moves(ecr, repository: str, two, tag: str) -> bool:
    """Whether a tag that names the first image can be given to the second."""
    first, second = two
    put_image(ecr, repository, first, tag)
    try:
        put_image(ecr, repository, second, tag)
    except ecr.exceptions.ImageTagAlreadyExistsException:
        assert digest_of_tag(ecr, repository, tag) == first.digest
        return False
    assert digest_of_tag(ecr, repository, tag) == second.digest
    return True


@pytest.mark.parametrize(
    ("name", "patterns", "tag", "may_move"),
    [
        ("MUTABLE", [], "v1", True),
        ("MUTABLE", [], "latest", True),
        ("IMMUTABLE", [], "v1", False),
        ("IMMUTABLE", [], "latest", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest"], "latest", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest"], "latest-1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest"], "xlatest", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest"], "Latest", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*", "*-rc"], "dev-7", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*", "*-rc"], "1.0-rc", True),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev-*", "*-rc"], "1.0", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["1.0"], "1x0", False),
        ("IMMUTABLE_WITH_EXCLUSION", ["*"], "anything", True),
        ("MUTABLE_WITH_EXCLUSION", ["v*"], "v1", False),
        ("MUTABLE_WITH_EXCLUSION", ["v*"], "dev", True),
        ("MUTABLE_WITH_EXCLUSION", ["v1"], "v10", True),
        ("MUTABLE_WITH_EXCLUSION", ["v1"], "xv1", True),
        ("MUTABLE_WITH_EXCLUSION", ["v1"], "v1", False),
    ],
    ids=lambda value: "+".join(value).replace("*", "STAR") if isinstance(value, list) else str(value),
)
def test_a_tag_moves_or_stays(ecr, repository, two, name, patterns, tag, may_move):
    mode(ecr, repository, name, *patterns)

    assert moves(ecr, repository, two, tag) is may_move


def test_the_refusal_names_tag_and_repository(ecr, repository, two):
    mode(ecr, repository, "IMMUTABLE")
    put_image(ecr, repository, two[0], "latest")
    told = refusal(ecr.put_image, repositoryName=repository, imageManifest=two[1].body.decode(), imageTag="latest")

    assert told[:3] == (
        "ImageTagAlreadyExistsException",
        400,
        f"The image tag 'latest' already exists in the '{repository}' repository and cannot be overwritten because the "
        "tag is immutable.",
    )


def test_the_same_image_under_the_same_tag_is_no_move(ecr, shared_server, repository, two):
    mode(ecr, repository, "IMMUTABLE")
    put_image(ecr, repository, two[0], "v1")
    told = refusal(ecr.put_image, repositoryName=repository, imageManifest=two[0].body.decode(), imageTag="v1")
    by_the_other_door = put_manifest(shared_server, repository, two[0], "v1")

    assert told.code == "ImageAlreadyExistsException"
    assert by_the_other_door.status == 201


def test_both_doors_hold_a_tag(ecr, shared_server, repository, two):
    mode(ecr, repository, "IMMUTABLE")
    put_image(ecr, repository, two[0], "v1")
    answer = put_manifest(shared_server, repository, two[1], "v1")

    assert answer.status in (400, 403, 409)
    assert digest_of_tag(ecr, repository, "v1") == two[0].digest


def test_an_immutable_tag_may_be_deleted_and_given_again(ecr, repository, two):
    mode(ecr, repository, "IMMUTABLE")
    put_image(ecr, repository, two[0], "keep")
    put_image(ecr, repository, two[0], "v1")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    put_image(ecr, repository, two[1], "v1")

    assert digest_of_tag(ecr, repository, "v1") == two[1].digest


def test_an_index_after_its_children_does_not_trip(ecr, repository, two):
    """As builders push: the children by digest, then the index by its tag."""
    mode(ecr, repository, "IMMUTABLE")
    put_image(ecr, repository, index(*two), "v1")

    assert digest_of_tag(ecr, repository, "v1") == index(*two).digest


def test_a_refused_push_leaves_nothing(ecr, repository, two):
    mode(ecr, repository, "IMMUTABLE")
    put_image(ecr, repository, two[0], "v1")
    refusal(ecr.put_image, repositoryName=repository, imageManifest=index(*two).body.decode(), imageTag="v1")
    found = {one["imageDigest"] for one in ecr.list_images(repositoryName=repository)["imageIds"]}

    assert found == {one.digest for one in two}


# --- what is a lawful setting -----------------------------------------------------------------------------------------


def test_a_mode_is_answered_and_described(ecr, repository):
    answer = mode(ecr, repository, "MUTABLE_WITH_EXCLUSION", "v*", "release-*")
    answer.pop("ResponseMetadata")
    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]

    assert answer == {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": filters("v*", "release-*"),
    }
    assert described["imageTagMutabilityExclusionFilters"] == filters("v*", "release-*")
    assert "imageTagMutabilityExclusionFilters" not in mode(ecr, repository, "IMMUTABLE")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("IMMUTABLE_WITH_EXCLUSION", None),
        ("MUTABLE_WITH_EXCLUSION", None),
        ("MUTABLE_WITH_EXCLUSION", []),
        ("IMMUTABLE", filters("v*")),
        ("MUTABLE", filters("v*")),
        ("IMMUTABLE_WITH_EXCLUSION", filters("a", "b", "c", "d", "e", "f")),
        ("IMMUTABLE_WITH_EXCLUSION", filters("*a*b*")),
        ("IMMUTABLE_WITH_EXCLUSION", filters("")),
        ("IMMUTABLE_WITH_EXCLUSION", filters("v" * 129)),
        ("IMMUTABLE_WITH_EXCLUSION", filters("v?")),
        ("IMMUTABLE_WITH_EXCLUSION", filters("v1\n")),
        ("IMMUTABLE_WITH_EXCLUSION", [{"filterType": "REGEX", "filter": "v"}]),
        ("IMMUTABLE_WITH_EXCLUSION", [{"filter": "v"}]),
    ],
    ids=[
        "no-filters", "no-filters-either", "empty-list", "filters-without-exclusion", "filters-with-mutable", "six",
        "three-stars", "empty-filter", "long-filter", "question-mark", "newline", "another-type", "no-type",
    ],
)  # fmt: skip
def test_modes_and_filters_that_do_not_belong_together_are_refused(ecr, repository, name, given):
    more = {} if given is None else {"imageTagMutabilityExclusionFilters": given}
    told = refusal(ecr.put_image_tag_mutability, repositoryName=repository, imageTagMutability=name, **more)

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    assert described["imageTagMutability"] == "MUTABLE"
    made = unique_name()
    told = refusal(ecr.create_repository, repositoryName=made, imageTagMutability=name, **more)
    assert told.code == "InvalidParameterException"
    assert refusal(ecr.describe_repositories, repositoryNames=[made]).code == "RepositoryNotFoundException"
