"""BatchDeleteImage: tags, images, and what an index holds back."""

import pytest

from tests.api import push_image, put_image, refusal
from tests.builders import Built, digest_of, image, index

pytestmark = pytest.mark.real("boto3")

ABSENT = digest_of(b"no image has these bytes")


def delete(ecr, repository: str, *ids: dict) -> tuple[list[dict], list[tuple[dict, str]]]:
    answer = ecr.batch_delete_image(repositoryName=repository, imageIds=list(ids))
    gone = sorted(answer["imageIds"], key=lambda one: sorted(one.items()))
    return gone, [(one["imageId"], one["failureCode"]) for one in answer["failures"]]


def left(ecr, repository: str) -> dict[str, list[str]]:
    """Tags by digest of what the repository still holds."""
    found = ecr.describe_images(repositoryName=repository)["imageDetails"]
    return {one["imageDigest"]: sorted(one.get("imageTags", [])) for one in found}


@pytest.fixture
def built(ecr, repository) -> Built:
    """An image of the repository, tagged v1 and v2."""
    made = image()
    push_image(ecr, repository, made, "v1")
    put_image(ecr, repository, made, "v2")
    return made


def test_a_tag_goes_and_the_image_stays_while_another_names_it(ecr, repository, built):
    gone, failures = delete(ecr, repository, {"imageTag": "v1"})

    assert gone == [{"imageDigest": built.digest, "imageTag": "v1"}]
    assert failures == []
    assert left(ecr, repository) == {built.digest: ["v2"]}


def test_the_last_tag_takes_the_image_with_it(ecr, repository, built):
    delete(ecr, repository, {"imageTag": "v1"})
    gone, failures = delete(ecr, repository, {"imageTag": "v2"})

    assert gone == [{"imageDigest": built.digest, "imageTag": "v2"}]
    assert failures == []
    assert left(ecr, repository) == {}


def test_both_tags_in_one_call_take_the_image(ecr, repository, built):
    gone, failures = delete(ecr, repository, {"imageTag": "v1"}, {"imageTag": "v2"})

    assert [one["imageTag"] for one in gone] == ["v1", "v2"]
    assert failures == []
    assert left(ecr, repository) == {}


def test_a_digest_takes_all_tags(ecr, repository, built):
    gone, failures = delete(ecr, repository, {"imageDigest": built.digest})

    assert gone == [{"imageDigest": built.digest, "imageTag": tag} for tag in ("v1", "v2")]
    assert failures == []
    assert left(ecr, repository) == {}


def test_an_untagged_image_goes_by_its_digest(ecr, repository):
    made = image()
    push_image(ecr, repository, made)
    gone, failures = delete(ecr, repository, {"imageDigest": made.digest})

    assert (gone, failures) == ([{"imageDigest": made.digest}], [])
    assert left(ecr, repository) == {}


def test_tag_and_digest_together_delete_the_tag(ecr, repository, built):
    gone, failures = delete(ecr, repository, {"imageDigest": built.digest, "imageTag": "v1"})

    assert (gone, failures) == ([{"imageDigest": built.digest, "imageTag": "v1"}], [])
    assert left(ecr, repository) == {built.digest: ["v2"]}


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({}, "MissingDigestAndTag"),
        ({"imageTag": "absent"}, "ImageNotFound"),
        ({"imageDigest": ABSENT}, "ImageNotFound"),
        ({"imageDigest": ABSENT, "imageTag": "v1"}, "ImageTagDoesNotMatchDigest"),
        ({"imageDigest": "sha256:short"}, "InvalidImageDigest"),
        ({"imageTag": "../v1"}, "InvalidImageTag"),
    ],
    ids=["neither", "unknown-tag", "unknown-digest", "tag-of-another", "no-digest", "no-tag"],
)
def test_one_that_fails_holds_nobody_back(ecr, repository, built, wanted, code):
    gone, failures = delete(ecr, repository, wanted, {"imageTag": "v2"})

    assert failures == [(wanted, code)]
    assert gone == [{"imageDigest": built.digest, "imageTag": "v2"}]
    assert left(ecr, repository) == {built.digest: ["v1"]}


def test_deleting_twice_in_one_call_fails_once(ecr, repository, built):
    gone, failures = delete(ecr, repository, {"imageDigest": built.digest}, {"imageDigest": built.digest})

    assert len(gone) == 2  # one image, by its two tags
    assert failures == [({"imageDigest": built.digest}, "ImageNotFound")]


def test_a_batch_has_one_to_a_hundred_ids(ecr, repository):
    for ids in ([], [{"imageTag": f"t{number}"} for number in range(101)]):
        told = refusal(ecr.batch_delete_image, repositoryName=repository, imageIds=ids)

        assert (told.code, told.status) == ("InvalidParameterException", 400)


def test_an_unknown_repository_fails_the_batch(ecr):
    told = refusal(ecr.batch_delete_image, repositoryName="nobody/made-this", imageIds=[{"imageTag": "v1"}])

    assert (told.code, told.status) == ("RepositoryNotFoundException", 400)


# --- indexes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def multi(ecr, repository) -> tuple[Built, Built, Built]:
    """An index tagged `multi`, and its two children; the first is tagged `child` too."""
    children = image(), image()
    push_image(ecr, repository, children[0], "child")
    push_image(ecr, repository, children[1])
    listing = index(*children)
    put_image(ecr, repository, listing, "multi")
    return listing, *children


@pytest.mark.parametrize("by", ["imageDigest", "imageTag"])
def test_a_child_stays_while_an_index_lists_it(ecr, repository, multi, by):
    listing, child, _ = multi
    wanted = {"imageDigest": child.digest} if by == "imageDigest" else {"imageTag": "child"}
    answer = ecr.batch_delete_image(repositoryName=repository, imageIds=[wanted])

    assert answer["imageIds"] == []
    assert [(one["imageId"], one["failureCode"]) for one in answer["failures"]] == [
        (wanted, "ImageReferencedByManifestList")
    ]
    assert listing.digest in answer["failures"][0]["failureReason"]
    assert left(ecr, repository)[child.digest] == ["child"]


def test_one_tag_of_a_child_may_go_while_another_stays(ecr, repository, multi):
    put_image(ecr, repository, multi[1], "child-too")
    gone, failures = delete(ecr, repository, {"imageTag": "child"})

    assert (gone, failures) == ([{"imageDigest": multi[1].digest, "imageTag": "child"}], [])


def test_children_may_go_when_their_index_is_gone(ecr, repository, multi):
    listing, first, second = multi
    delete(ecr, repository, {"imageTag": "multi"})
    gone, failures = delete(ecr, repository, {"imageDigest": first.digest}, {"imageDigest": second.digest})

    assert failures == []
    assert {one["imageDigest"] for one in gone} == {first.digest, second.digest}
    assert listing.digest not in left(ecr, repository)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)], ids=["index-first", "index-last", "index-amid"])
def test_an_index_and_its_children_go_in_one_call_in_any_order(ecr, repository, multi, order):
    gone, failures = delete(ecr, repository, *[{"imageDigest": multi[number].digest} for number in order])

    assert failures == []
    assert {one["imageDigest"] for one in gone} == {one.digest for one in multi}
    assert left(ecr, repository) == {}


def test_indexes_of_indexes_go_in_one_call(ecr, repository, multi):
    outer = index(multi[0])
    put_image(ecr, repository, outer, "outer")
    ids = [{"imageDigest": one.digest} for one in (*multi[1:], multi[0], outer)]
    gone, failures = delete(ecr, repository, *ids)

    assert failures == []
    assert len({one["imageDigest"] for one in gone}) == 4
    assert left(ecr, repository) == {}


def test_a_child_of_two_indexes_stays_until_both_are_gone(ecr, repository, multi):
    other = index(multi[1])
    put_image(ecr, repository, other, "other")
    _, failures = delete(ecr, repository, {"imageTag": "multi"}, {"imageDigest": multi[1].digest})
    _, none = delete(ecr, repository, {"imageTag": "other"}, {"imageDigest": multi[1].digest})

    assert failures == [({"imageDigest": multi[1].digest}, "ImageReferencedByManifestList")]
    assert none == []


def test_an_image_with_a_referrer_may_go(ecr, repository, built):
    """A subject need not exist: what refers to it stays, and is found by its digest."""
    signature = image(subject=built.descriptor(), artifactType="application/vnd.example.signature")
    push_image(ecr, repository, signature)
    _, failures = delete(ecr, repository, {"imageDigest": built.digest})
    found = ecr.list_image_referrers(repositoryName=repository, subjectId={"imageDigest": built.digest})

    assert failures == []
    assert [one["digest"] for one in found["referrers"]] == [signature.digest]
