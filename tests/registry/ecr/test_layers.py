"""Layers by the ECR API: uploads in parts, and what a repository says that it has."""

import re

import pytest

from tests.api import push_image, refusal, send_part, upload_layer
from tests.builders import digest_of, image, push_blob, unique_bytes, unique_name
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

MIB = 1024 * 1024
LARGEST_PART = 20_971_520
NOBODYS = "00000000-0000-4000-8000-000000000000"


def begin(ecr, repository: str) -> str:
    return ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]


def complete(ecr, repository: str, upload: str, digest: str) -> dict:
    return ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])


def available(ecr, repository: str, digest: str) -> bool:
    answer = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest])
    return answer["layers"][0]["layerAvailability"] == "AVAILABLE"


def stored(server, repository: str, digest: str) -> bytes:
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest}")
    assert answer.status == 200
    return answer.body


# --- parts ------------------------------------------------------------------------------------------------------------


def test_an_upload_begins_with_a_uuid_and_a_part_size(ecr, repository):
    answer = ecr.initiate_layer_upload(repositoryName=repository)

    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["uploadId"])
    assert answer["partSize"] == 10 * MIB


def test_a_layer_in_parts(ecr, shared_server, repository):
    data = unique_bytes(12 * MIB + 7)
    upload = begin(ecr, repository)
    answers = [send_part(ecr, repository, upload, data[at : at + 5 * MIB], at) for at in range(0, len(data), 5 * MIB)]
    done = complete(ecr, repository, upload, digest_of(data))
    for answer in (*answers, done):
        answer.pop("ResponseMetadata")

    names = {"registryId": ACCOUNT, "repositoryName": repository, "uploadId": upload}
    assert answers == [{**names, "lastByteReceived": last} for last in (5 * MIB - 1, 10 * MIB - 1, len(data) - 1)]
    assert done == {**names, "layerDigest": digest_of(data)}
    assert stored(shared_server, repository, digest_of(data)) == data


@pytest.mark.parametrize("size", [1, 5 * MIB, LARGEST_PART], ids=["one-byte", "smallest", "largest"])
def test_one_part_of_any_lawful_size_is_a_layer(ecr, shared_server, repository, size):
    data = unique_bytes(size)
    upload_layer(ecr, repository, data, part=LARGEST_PART)

    assert stored(shared_server, repository, digest_of(data)) == data


def test_a_part_beyond_the_largest_is_refused_and_the_upload_goes_on(ecr, shared_server, repository):
    data = unique_bytes(LARGEST_PART + 1)
    upload = begin(ecr, repository)
    told = refusal(send_part, ecr=ecr, repository=repository, upload=upload, data=data)
    send_part(ecr, repository, upload, data[:LARGEST_PART])
    send_part(ecr, repository, upload, data[LARGEST_PART:], LARGEST_PART)
    complete(ecr, repository, upload, digest_of(data))

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert "20971520" in told.message
    assert stored(shared_server, repository, digest_of(data)) == data


@pytest.mark.parametrize("first", [0, 1, 9, 11, 1000], ids=["again", "inside", "overlap", "gap", "far"])
def test_a_part_out_of_order_is_told_where_the_upload_stands(ecr, shared_server, repository, first):
    upload = begin(ecr, repository)
    send_part(ecr, repository, upload, b"0123456789")
    told = refusal(send_part, ecr=ecr, repository=repository, upload=upload, data=b"abc", first=first)
    send_part(ecr, repository, upload, b"abc", told.response["lastValidByteReceived"] + 1)

    assert (told.code, told.status) == ("InvalidLayerPartException", 400)
    carried = {key: told.response[key] for key in ("registryId", "repositoryName", "uploadId", "lastValidByteReceived")}
    assert carried == {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "uploadId": upload,
        "lastValidByteReceived": 9,
    }


def test_a_first_part_that_is_not_first_has_no_last_byte_to_be_told(ecr, repository):
    """The model knows no negative number there."""
    upload = begin(ecr, repository)
    told = refusal(send_part, ecr=ecr, repository=repository, upload=upload, data=b"abc", first=5)

    assert told.code == "InvalidLayerPartException"
    assert "byte 0" in told.message
    assert "lastValidByteReceived" not in told.response


@pytest.mark.parametrize(
    "wrong",
    [
        {"partLastByte": 10},
        {"partLastByte": 8},
        {"partFirstByte": -1},
        {"partFirstByte": 10, "partLastByte": 9, "layerPartBlob": b""},
        {"layerPartBlob": b""},
        {"uploadId": "no-uuid"},
        {"partFirstByte": None},
    ],
    ids=["long", "short", "negative", "empty-part", "empty-blob", "upload-id", "no-first-byte"],
)
def test_a_part_that_is_not_what_it_says_is_refused(ecr, repository, wrong):
    upload = begin(ecr, repository)
    call = {"uploadId": upload, "partFirstByte": 0, "partLastByte": 9, "layerPartBlob": b"0123456789", **wrong}
    told = refusal(
        ecr.upload_layer_part,
        repositoryName=repository,
        **{name: value for name, value in call.items() if value is not None},
    )

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert refusal(complete, ecr=ecr, repository=repository, upload=upload, digest=digest_of(b"")).code == (
        "EmptyUploadException"
    )


# --- completing -------------------------------------------------------------------------------------------------------


def test_an_upload_without_parts_is_no_layer(ecr, repository):
    told = refusal(complete, ecr=ecr, repository=repository, upload=begin(ecr, repository), digest=digest_of(b""))

    assert (told.code, told.status) == ("EmptyUploadException", 400)


def test_only_the_last_part_may_be_small(ecr, repository):
    data = unique_bytes(5 * MIB + 10)
    upload = begin(ecr, repository)
    for first, last in ((0, 5 * MIB - 1), (5 * MIB - 1, len(data))):
        send_part(ecr, repository, upload, data[first:last], first)
    told = refusal(complete, ecr=ecr, repository=repository, upload=upload, digest=digest_of(data))

    assert (told.code, told.status) == ("LayerPartTooSmallException", 400)
    assert not available(ecr, repository, digest_of(data))


def test_bytes_of_another_digest_are_no_layer(ecr, repository):
    data, other = unique_bytes(), digest_of(unique_bytes())
    upload = begin(ecr, repository)
    send_part(ecr, repository, upload, data)
    told = refusal(complete, ecr=ecr, repository=repository, upload=upload, digest=other)

    assert (told.code, told.status) == ("InvalidLayerException", 400)
    assert digest_of(data) in told.message and other in told.message
    assert not available(ecr, repository, other)
    assert not available(ecr, repository, digest_of(data))


@pytest.mark.parametrize(
    "digest",
    ["sha256:abc", "md5:" + "0" * 32, "sha256:" + "A" * 64, "nothing", "sha256:../../etc", ""],
    ids=["short", "algorithm", "capitals", "no-colon", "path", "empty"],
)
def test_what_is_no_digest_is_refused_and_the_upload_goes_on(ecr, repository, digest):
    data = unique_bytes()
    upload = begin(ecr, repository)
    send_part(ecr, repository, upload, data)
    told = refusal(complete, ecr=ecr, repository=repository, upload=upload, digest=digest)

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert complete(ecr, repository, upload, digest_of(data))["layerDigest"] == digest_of(data)


def test_a_layer_that_is_there_already_is_told(ecr, shared_server, repository):
    data = unique_bytes()
    push_blob(shared_server, repository, data)
    told = refusal(upload_layer, ecr=ecr, repository=repository, data=data)

    assert told[:3] == (
        "LayerAlreadyExistsException",
        400,
        f"Layer with digest '{digest_of(data)}' already exists in the repository with name '{repository}' in registry "
        f"with id '{ACCOUNT}'",
    )


def test_the_same_layer_comes_into_two_repositories(ecr, shared_server, repository):
    """The second has to send it: what others hold is nobody's business."""
    data, other = unique_bytes(), unique_name()
    shared_server.create(other)
    upload_layer(ecr, repository, data)
    before = available(ecr, other, digest_of(data))
    upload_layer(ecr, other, data)

    assert (before, available(ecr, other, digest_of(data))) == (False, True)


def test_a_completion_whose_answer_was_lost_may_be_asked_for_again(ecr, repository):
    """F04: the layer is there, and that is what the second answer says."""
    data = unique_bytes()
    upload = begin(ecr, repository)
    send_part(ecr, repository, upload, data)
    complete(ecr, repository, upload, digest_of(data))
    again = refusal(complete, ecr=ecr, repository=repository, upload=upload, digest=digest_of(data))
    as_another = refusal(complete, ecr=ecr, repository=repository, upload=upload, digest=digest_of(b"another"))

    assert again.code == "LayerAlreadyExistsException"
    assert as_another.code == "UploadNotFoundException"


@pytest.mark.parametrize("state", ["finished", "failed", "nobodys"])
def test_an_upload_that_is_over_takes_nothing_more(ecr, repository, state):
    data = unique_bytes()
    upload = begin(ecr, repository)
    send_part(ecr, repository, upload, data)
    if state == "finished":
        complete(ecr, repository, upload, digest_of(data))
    elif state == "failed":
        refusal(complete, ecr=ecr, repository=repository, upload=upload, digest=digest_of(b"another"))
    else:
        upload = NOBODYS
    calls = [
        refusal(send_part, ecr=ecr, repository=repository, upload=upload, data=b"x", first=len(data)),
        refusal(complete, ecr=ecr, repository=repository, upload=upload, digest=digest_of(b"x")),
    ]

    for told in calls:
        assert (told.code, told.status) == ("UploadNotFoundException", 400)
        assert upload in told.message and repository in told.message


def test_an_upload_id_is_one_of_its_case(ecr, repository):
    upload = begin(ecr, repository)
    told = refusal(send_part, ecr=ecr, repository=repository, upload=upload.upper(), data=b"x")

    assert told.code == "UploadNotFoundException"


@pytest.mark.parametrize("call", ["initiate", "part", "complete", "availability", "url"])
def test_layers_of_an_unknown_repository_are_refused(ecr, call):
    name, digest = {"repositoryName": "nobody/made-this"}, digest_of(b"x")
    calls = {
        "initiate": lambda: ecr.initiate_layer_upload(**name),
        "part": lambda: send_part(ecr, "nobody/made-this", NOBODYS, b"x"),
        "complete": lambda: complete(ecr, "nobody/made-this", NOBODYS, digest),
        "availability": lambda: ecr.batch_check_layer_availability(**name, layerDigests=[digest]),
        "url": lambda: ecr.get_download_url_for_layer(**name, layerDigest=digest),
    }
    told = refusal(calls[call])

    assert (told.code, told.status) == ("RepositoryNotFoundException", 400)


# --- availability -----------------------------------------------------------------------------------------------------


def test_availability_is_told_for_each_digest(ecr, repository):
    data, absent = unique_bytes(77), digest_of(unique_bytes())
    upload_layer(ecr, repository, data)
    answer = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest_of(data), absent])

    assert answer["layers"] == [
        {"layerDigest": digest_of(data), "layerAvailability": "AVAILABLE", "layerSize": 77},
        {"layerDigest": absent, "layerAvailability": "UNAVAILABLE", "layerSize": 0},
    ]
    assert answer["failures"] == []


@pytest.mark.parametrize(
    ("digest", "code"),
    [
        ("", "MissingLayerDigest"),
        ("sha256:abc", "InvalidLayerDigest"),
        ("md5:" + "0" * 32, "InvalidLayerDigest"),
        ("v1", "InvalidLayerDigest"),
        ("sha256:" + "A" * 64, "InvalidLayerDigest"),
        ("x" * 1000, "InvalidLayerDigest"),
    ],
    ids=["empty", "short", "algorithm", "tag", "capitals", "long"],
)
def test_what_is_no_digest_fails_beside_what_is_one(ecr, repository, digest, code):
    absent = digest_of(unique_bytes())
    answer = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest, absent])

    assert [(one["layerDigest"], one["failureCode"]) for one in answer["failures"]] == [(digest, code)]
    assert answer["failures"][0]["failureReason"]
    assert [one["layerDigest"] for one in answer["layers"]] == [absent]


def test_a_batch_has_one_to_a_hundred_digests(ecr, repository):
    for digests in ([], [digest_of(b"%d" % number) for number in range(101)], ["x" * 1001]):
        told = refusal(ecr.batch_check_layer_availability, repositoryName=repository, layerDigests=digests)

        assert (told.code, told.status) == ("InvalidParameterException", 400)


def test_layers_stay_available_under_their_images(ecr, repository):
    built = image()
    push_image(ecr, repository, built, "v1")

    assert all(available(ecr, repository, digest_of(blob)) for blob in built.blobs)
