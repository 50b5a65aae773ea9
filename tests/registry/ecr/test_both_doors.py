"""What comes in by one door goes out by the other: the ECR API and `/v2/` are two ways into one hall."""

import pytest

from tests.api import push_image, put_image, refusal, upload_layer
from tests.builders import OCI_IMAGE, digest_of, image, index, push, unique_bytes

pytestmark = pytest.mark.real("boto3")

MIB = 1024 * 1024


def pull(server, repository: str, reference: str) -> dict[str, bytes]:
    """A manifest and its blobs by `/v2/`, by digest; children too."""
    answer = server.request("GET", f"/v2/{repository}/manifests/{reference}")
    assert answer.status == 200, (reference, answer.body)
    found = {answer.headers["Docker-Content-Digest"]: answer.body}
    document = answer.json
    for blob in [*([document["config"]] if "config" in document else []), *document.get("layers", [])]:
        got = server.request("GET", f"/v2/{repository}/blobs/{blob['digest']}")
        assert got.status == 200
        found[blob["digest"]] = got.body
    for child in document.get("manifests", []):
        found |= pull(server, repository, child["digest"])
    return found


def test_an_image_pushed_by_the_api_alone_is_pulled_by_v2(ecr, shared_server, repository):
    built = image(layers=[unique_bytes(6 * MIB + 3), unique_bytes(10)])
    for blob in built.blobs:
        upload_layer(ecr, repository, blob, part=5 * MIB)
    put_image(ecr, repository, built, "v1")
    found = pull(shared_server, repository, "v1")

    assert found == {built.digest: built.body, **{digest_of(blob): blob for blob in built.blobs}}


def test_an_image_pushed_by_v2_is_read_by_the_api(ecr, shared_server, repository):
    built = image()
    push(shared_server, repository, built, "v1")
    got = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])["images"][0]
    layers = ecr.batch_check_layer_availability(
        repositoryName=repository, layerDigests=[digest_of(blob) for blob in built.blobs]
    )["layers"]

    assert got["imageManifest"].encode() == built.body
    assert (got["imageId"]["imageDigest"], got["imageManifestMediaType"]) == (built.digest, OCI_IMAGE)
    assert [(one["layerAvailability"], one["layerSize"]) for one in layers] == [
        ("AVAILABLE", len(blob)) for blob in built.blobs
    ]


def test_an_index_whose_children_came_by_both_doors_is_whole(ecr, shared_server, repository):
    by_api, by_v2 = image(), image()
    push_image(ecr, repository, by_api)
    push(shared_server, repository, by_v2)
    listing = index(by_api, by_v2)
    put_image(ecr, repository, listing, "multi")
    found = pull(shared_server, repository, "multi")

    assert found.keys() == {one.digest for one in (listing, by_api, by_v2)} | {
        digest_of(blob) for one in (by_api, by_v2) for blob in one.blobs
    }


def test_layers_of_one_door_serve_the_manifest_of_the_other(ecr, shared_server, repository):
    first, second = image(), image()
    for blob in first.blobs:
        upload_layer(ecr, repository, blob)
    for blob in second.blobs:
        shared_server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(blob)}", blob)
    answer = shared_server.request(
        "PUT", f"/v2/{repository}/manifests/first", first.body, {"Content-Type": first.media_type}
    )
    put_image(ecr, repository, second, "second")
    tags = shared_server.request("GET", f"/v2/{repository}/tags/list").json["tags"]

    assert answer.status == 201
    assert tags == ["first", "second"]
    assert {one["imageTag"] for one in ecr.list_images(repositoryName=repository)["imageIds"]} == set(tags)


def test_what_the_api_deletes_is_gone_from_v2(ecr, shared_server, repository):
    built = image()
    push(shared_server, repository, built, "v1")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": built.digest}])

    for reference in ("v1", built.digest):
        assert shared_server.request("GET", f"/v2/{repository}/manifests/{reference}").status == 404
    assert shared_server.request("GET", f"/v2/{repository}/tags/list").json["tags"] == []


def test_what_v2_deletes_is_gone_from_the_api(ecr, shared_server, repository):
    built = image()
    push_image(ecr, repository, built, "v1")
    shared_server.request("DELETE", f"/v2/{repository}/manifests/{built.digest}")

    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    told = refusal(ecr.describe_images, repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    assert told.code == "ImageNotFoundException"


def test_referrers_of_one_door_are_seen_at_the_other(ecr, shared_server, repository):
    subject = image()
    push_image(ecr, repository, subject, "v1")
    by_api = image(subject=subject.descriptor(), artifactType="text/a")
    by_v2 = image(subject=subject.descriptor(), artifactType="text/b")
    push_image(ecr, repository, by_api)
    push(shared_server, repository, by_v2)
    listed = ecr.list_image_referrers(repositoryName=repository, subjectId={"imageDigest": subject.digest})
    document = shared_server.request("GET", f"/v2/{repository}/referrers/{subject.digest}").json

    assert [(one["digest"], one["artifactType"], one["size"]) for one in listed["referrers"]] == [
        (one["digest"], one["artifactType"], one["size"]) for one in document["manifests"]
    ]
    assert {one["digest"] for one in listed["referrers"]} == {by_api.digest, by_v2.digest}


def test_an_upload_of_one_door_cannot_be_finished_at_the_other(ecr, shared_server, repository):
    """An id of the API is a plain UUID; at `/v2/` an id is sealed, and so no one guesses another's (T13)."""
    data = unique_bytes()
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    answer = shared_server.request("PATCH", f"/v2/{repository}/blobs/uploads/{upload}", data)
    begun = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Docker-Upload-UUID"]
    told = refusal(
        ecr.upload_layer_part,
        repositoryName=repository,
        uploadId=begun,
        partFirstByte=0,
        partLastByte=len(data) - 1,
        layerPartBlob=data,
    )

    assert answer.status == 404
    assert told.code == "UploadNotFoundException"
