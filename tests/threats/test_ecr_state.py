"""State that a client holds for us, at the ECR API: upload ids (T13) and page marks (T14), and how much one may ask for
(T20)."""

import json
from typing import Any

import pytest

from tests.api import refusal, send_part, signed
from tests.builders import digest_of, image, push, unique_bytes, unique_name

pytestmark = pytest.mark.real("boto3")


# --- T13: an upload belongs to its repository -------------------------------------------------------------------------


def test_an_upload_of_another_repository_is_unknown_and_unharmed(ecr, shared_server, repository):
    other = unique_name()
    shared_server.create(other)
    whole = 5 * 1024 * 1024  # the least that a part must have which another follows
    data = unique_bytes(whole + 10)
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    send_part(ecr, repository, upload, data[:whole])
    as_if_ours = [
        refusal(send_part, ecr=ecr, repository=other, upload=upload, data=b"x", first=whole),
        refusal(send_part, ecr=ecr, repository=other, upload=upload, data=b"x"),
        refusal(
            ecr.complete_layer_upload,
            repositoryName=other,
            uploadId=upload,
            layerDigests=[digest_of(data[:whole])],
        ),
    ]
    send_part(ecr, repository, upload, data[whole:], whole)
    done = ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest_of(data)])

    assert [(told.code, told.status) for told in as_if_ours] == [("UploadNotFoundException", 400)] * 3
    assert done["layerDigest"] == digest_of(data)
    found = ecr.batch_check_layer_availability(
        repositoryName=other, layerDigests=[digest_of(data), digest_of(data[:whole])]
    )
    assert [one["layerAvailability"] for one in found["layers"]] == ["UNAVAILABLE"] * 2


def test_an_upload_does_not_outlive_its_repository(ecr, repository):
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    send_part(ecr, repository, upload, b"abc")
    ecr.delete_repository(repositoryName=repository)
    ecr.create_repository(repositoryName=repository)
    told = refusal(send_part, ecr=ecr, repository=repository, upload=upload, data=b"def", first=3)

    assert told.code == "UploadNotFoundException"


def test_upload_ids_cannot_be_guessed(ecr, repository):
    ids = {ecr.initiate_layer_upload(repositoryName=repository)["uploadId"] for _ in range(20)}

    assert len(ids) == 20
    assert all(one[14] == "4" for one in ids)  # random UUIDs, not of the time


# --- T14: a mark is what we gave out ----------------------------------------------------------------------------------


def test_no_character_of_a_mark_may_change(ecr, shared_server, repository):
    for number in range(3):
        push(shared_server, repository, image(), f"v{number}")
    mark = ecr.list_images(repositoryName=repository, maxResults=1)["nextToken"]
    for position in range(len(mark)):
        other = "A" if mark[position] != "A" else "B"
        flipped = f"{mark[:position]}{other}{mark[position + 1 :]}"
        told = refusal(ecr.list_images, repositoryName=repository, nextToken=flipped)

        assert (told.code, told.status) == ("InvalidParameterException", 400), position
    assert ecr.list_images(repositoryName=repository, nextToken=mark)["imageIds"]


@pytest.mark.parametrize("cut", [1, 2, 10, 30], ids=lambda count: f"{count}-less")
def test_a_mark_is_whole(ecr, shared_server, repository, cut):
    for _ in range(2):
        push(shared_server, repository, image())
    mark = ecr.list_images(repositoryName=repository, maxResults=1)["nextToken"]
    for text in (mark[:-cut], mark[cut:], mark + "A" * cut, mark + "=" * cut, " " * cut + mark):
        assert refusal(ecr.list_images, repositoryName=repository, nextToken=text).code == "InvalidParameterException"


# --- T20: pages have a size -------------------------------------------------------------------------------------------

PAGED: dict[str, dict[str, Any]] = {
    "DescribeRepositories": {},
    "ListImages": {"repositoryName": "REPOSITORY"},
    "DescribeImages": {"repositoryName": "REPOSITORY"},
    "ListImageReferrers": {"repositoryName": "REPOSITORY", "subjectId": {"imageDigest": digest_of(b"x")}},
}


@pytest.mark.parametrize("operation", PAGED)
@pytest.mark.parametrize(
    ("raw", "codes"),
    [
        ("0", {"InvalidParameterException", "ValidationException"}),
        ("-1", {"InvalidParameterException", "ValidationException"}),
        ("1001", {"InvalidParameterException", "ValidationException"}),
        ("1000000000", {"InvalidParameterException", "ValidationException"}),
        ("99999999999999999999999999", {"SerializationException"}),
        ("1e30", {"SerializationException"}),
        ("1e400", {"SerializationException"}),
        ("1.5", {"SerializationException"}),
        ("NaN", {"SerializationException"}),
        ('"0x10"', {"SerializationException"}),
        ('"10"', {"SerializationException"}),
        ("true", {"SerializationException"}),
        ("[10]", {"SerializationException"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_page_of_no_lawful_size_is_refused(shared_server, repository, operation, raw, codes):
    call = json.dumps({**PAGED[operation], "maxResults": "SIZE"}).replace("REPOSITORY", repository)
    answer = signed(shared_server, operation, call.replace('"SIZE"', raw).encode())

    assert answer.status == 400
    assert answer.json["__type"] in codes
