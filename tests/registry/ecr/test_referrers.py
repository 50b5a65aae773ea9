"""ListImageReferrers: what refers to an image, by type and status, in pages."""

import json
from typing import Any

import pytest

from tests.api import push_image, refusal
from tests.builders import EMPTY, OCI_IMAGE, Built, digest_of, image, index, unique_name

pytestmark = pytest.mark.real("boto3")

ABSENT = digest_of(b"no image has these bytes")
SIGNATURE, SBOM = "application/vnd.example.signature", "application/vnd.example.sbom"


@pytest.fixture(scope="module")
def subject(shared_server, ecr) -> tuple[str, Built, list[Built]]:
    """A repository with an image, two signatures and an SBOM of it, and an index that refers to it."""
    name = unique_name("referred")
    shared_server.create(name)
    made = image()
    push_image(ecr, name, made, "v1")
    refers: dict[str, Any] = {"subject": made.descriptor(), "config": b"{}", "config_type": EMPTY}
    referrers = [
        image(**refers, artifactType=SIGNATURE, annotations={"org.example.n": "1"}),
        image(**refers, artifactType=SIGNATURE),
        image(**refers, artifactType=SBOM),
        index(made, subject=made.descriptor()),
    ]
    for one in referrers:
        push_image(ecr, name, one)
    return name, made, referrers


def referrers_of(ecr, subject, **more) -> list[dict]:
    name, made, _ = subject
    answer = ecr.list_image_referrers(repositoryName=name, subjectId={"imageDigest": made.digest}, **more)
    assert "nextToken" not in answer
    return answer["referrers"]


def test_referrers_are_told_with_their_types_and_annotations(ecr, subject):
    found = {one["digest"]: one for one in referrers_of(ecr, subject)}
    signature, second, sbom, listing = subject[2]

    assert found.keys() == {one.digest for one in subject[2]}
    assert found[signature.digest] == {
        "digest": signature.digest,
        "mediaType": OCI_IMAGE,
        "artifactType": SIGNATURE,
        "size": len(signature.body),
        "annotations": {"org.example.n": "1"},
        "artifactStatus": "ACTIVE",
    }
    assert "annotations" not in found[second.digest]
    assert found[sbom.digest]["artifactType"] == SBOM
    assert "artifactType" not in found[listing.digest]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"artifactTypes": [SIGNATURE]}, [0, 1]),
        ({"artifactTypes": [SIGNATURE, SBOM]}, [0, 1, 2]),
        ({"artifactTypes": ["text/none"]}, []),
        ({"artifactTypes": []}, [0, 1, 2, 3]),
        ({"artifactTypes": [SBOM], "artifactStatus": "ANY"}, [2]),
        ({"artifactStatus": "ACTIVE"}, [0, 1, 2, 3]),
        ({"artifactStatus": "ARCHIVED"}, []),
    ],
    ids=["one-type", "two-types", "no-such-type", "no-types", "type-and-status", "active", "archived"],
)
def test_referrers_are_filtered(ecr, subject, wanted, numbers):
    found = referrers_of(ecr, subject, filter=wanted)

    assert {one["digest"] for one in found} == {subject[2][number].digest for number in numbers}


def test_referrers_come_in_pages(ecr, subject):
    name, made, referrers = subject
    call = {"repositoryName": name, "subjectId": {"imageDigest": made.digest}, "maxResults": 3}
    first = ecr.list_image_referrers(**call)
    rest = ecr.list_image_referrers(**call, nextToken=first["nextToken"])
    told = refusal(
        ecr.list_image_referrers, **call, nextToken=first["nextToken"], filter={"artifactTypes": [SIGNATURE]}
    )

    assert (len(first["referrers"]), len(rest["referrers"])) == (3, 1)
    assert {one["digest"] for one in first["referrers"] + rest["referrers"]} == {one.digest for one in referrers}
    assert "nextToken" not in rest
    assert told.code == "InvalidParameterException"


def test_a_subject_may_come_later_or_never(ecr, repository):
    subject = image()
    signature = image(subject=subject.descriptor(), artifactType=SIGNATURE)
    push_image(ecr, repository, signature)
    of_absent = ecr.list_image_referrers(repositoryName=repository, subjectId={"imageDigest": subject.digest})
    of_nothing = ecr.list_image_referrers(repositoryName=repository, subjectId={"imageDigest": ABSENT})

    assert [one["digest"] for one in of_absent["referrers"]] == [signature.digest]
    assert of_nothing["referrers"] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"maxResults": 51},
        {"maxResults": 0},
        {"filter": {"artifactTypes": ["a/b"] * 6}},
        {"filter": {"artifactStatus": "GONE"}},
        {"subjectId": {}},
        {"subjectId": {"imageDigest": "v1"}},
        {"nextToken": "anything"},
    ],
    ids=["too-many", "none", "six-types", "status", "no-subject", "no-digest", "mark"],
)
def test_wrong_parameters_of_referrers_are_refused(ecr, subject, parameters):
    name, made, _ = subject
    call = {"repositoryName": name, "subjectId": {"imageDigest": made.digest}, **parameters}
    told = refusal(ecr.list_image_referrers, **call)

    assert told.code in ("InvalidParameterException", "ValidationException")
    assert told.status == 400


def test_a_type_that_holds_anything_is_only_a_text(ecr, subject):
    for text in ("' or 1=1--", "%", "_", json.dumps({"a": 1})):
        assert referrers_of(ecr, subject, filter={"artifactTypes": [text]}) == []
