"""PutImage: what is taken, what is refused with which word, and tags that move or must not."""

import json

import pytest

from tests.api import push_image, put_image, refusal, upload_layer
from tests.builders import DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX, Built, digest_of, image, index
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

MIB = 1024 * 1024


def tags_of(ecr, repository: str) -> dict[str, list[str]]:
    found = ecr.describe_images(repositoryName=repository)["imageDetails"]
    return {one["imageDigest"]: sorted(one.get("imageTags", [])) for one in found}


def with_layers(ecr, repository: str, built: Built) -> Built:
    for blob in built.blobs:
        upload_layer(ecr, repository, blob)
    return built


@pytest.mark.parametrize("tag", ["v1", None], ids=["tagged", "untagged"])
def test_an_image_is_answered_as_it_was_put(ecr, repository, tag):
    built = with_layers(ecr, repository, image())
    made = put_image(ecr, repository, built, tag)

    assert made == {
        "registryId": ACCOUNT,
        "repositoryName": repository,
        "imageId": {"imageDigest": built.digest, **({"imageTag": tag} if tag else {})},
        "imageManifest": built.body.decode(),
        "imageManifestMediaType": OCI_IMAGE,
    }
    assert tags_of(ecr, repository) == {built.digest: [tag] if tag else []}


def test_the_digest_may_be_stated(ecr, repository):
    built = with_layers(ecr, repository, image())

    assert put_image(ecr, repository, built, "v1", imageDigest=built.digest)["imageId"]["imageDigest"] == built.digest


def test_a_stated_sha512_digest_names_the_image(ecr, repository):
    built = with_layers(ecr, repository, image())
    digest = digest_of(built.body, "sha512")
    put_image(ecr, repository, built, "v1", imageDigest=digest)

    assert tags_of(ecr, repository) == {digest: ["v1"]}


def test_characters_beyond_ascii_keep_their_bytes(ecr, repository):
    built = with_layers(ecr, repository, image(annotations={"org.example.note": "Größe – 値 \U0001f40b"}))
    body = json.dumps(built.document, ensure_ascii=False).encode()
    put_image(ecr, repository, Built(body, OCI_IMAGE), "v1")
    got = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])["images"][0]

    assert got["imageManifest"].encode() == body
    assert got["imageId"]["imageDigest"] == digest_of(body)


# --- media types ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", [OCI_IMAGE, DOCKER_IMAGE])
def test_a_manifest_that_does_not_say_what_it_is_is_what_the_call_says(ecr, repository, media_type):
    built = with_layers(ecr, repository, image())
    document = {key: value for key, value in built.document.items() if key != "mediaType"}
    silent = Built(json.dumps(document).encode(), media_type)
    made = put_image(ecr, repository, silent, "v1", imageManifestMediaType=media_type)

    assert made["imageManifestMediaType"] == media_type


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_keeps_its_type(ecr, repository, media_type):
    child = image()
    push_image(ecr, repository, child)
    made = put_image(ecr, repository, index(child, media_type=media_type), "v1")

    assert made["imageManifestMediaType"] == media_type


# --- refusals ---------------------------------------------------------------------------------------------------------


def _without_media_type() -> str:
    return json.dumps({"schemaVersion": 2, "something": "else"})


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        pytest.param({"imageManifest": ""}, "imageManifest", id="empty"),
        pytest.param({"imageManifest": "{"}, "manifest invalid at $", id="not-json"),
        pytest.param({"imageManifest": "[]"}, "manifest invalid at $", id="no-object"),
        pytest.param({"imageManifest": "[" * 100_000}, "manifest invalid at $", id="deep"),
        pytest.param({"imageManifest": '{"schemaVersion":2,"schemaVersion":2}'}, "appears twice", id="key-twice"),
        pytest.param({"imageManifest": '{"a":"\\ud800"}'}, "surrogate", id="half-a-surrogate-pair"),
        pytest.param({"imageManifest": _without_media_type()}, "mediaType", id="no-media-type"),
        pytest.param({"imageManifestMediaType": DOCKER_IMAGE}, "mediaType", id="two-media-types"),
        pytest.param({"imageManifestMediaType": "not a type"}, "Content-Type", id="no-type"),
        pytest.param({"imageTag": ""}, "imageTag", id="empty-tag"),
        pytest.param({"imageTag": "v" * 129}, "imageTag", id="long-tag"),
        pytest.param({"imageTag": "-v"}, "imageTag", id="tag-with-a-dash-first"),
        pytest.param({"imageTag": "v 1"}, "imageTag", id="tag-with-a-space"),
        pytest.param({"imageTag": "v1\n"}, "imageTag", id="tag-with-a-newline"),
        pytest.param({"imageTag": "../v"}, "imageTag", id="tag-with-a-path"),
        pytest.param({"imageDigest": "sha256:" + "0" * 63}, "imageDigest", id="short-digest"),
        pytest.param({"imageDigest": "sha256:" + "A" * 64}, "imageDigest", id="digest-in-capitals"),
        pytest.param({"imageDigest": "md5:" + "0" * 32}, "imageDigest", id="another-algorithm"),
        pytest.param({"imageDigest": "sha256:../../x"}, "imageDigest", id="digest-with-a-path"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_kept(ecr, repository, parameters, named):
    built = with_layers(ecr, repository, image())
    given = {"imageManifest": built.body.decode(), "imageTag": "v1", **parameters}
    told = refusal(ecr.put_image, repositoryName=repository, **given)

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert named in told.message
    assert tags_of(ecr, repository) == {}


def test_another_digest_than_the_manifests_is_refused(ecr, repository):
    built = with_layers(ecr, repository, image())
    told = refusal(
        ecr.put_image, repositoryName=repository, imageManifest=built.body.decode(), imageDigest=digest_of(b"other")
    )

    assert (told.code, told.status) == ("ImageDigestDoesNotMatchException", 400)
    assert built.digest in told.message and digest_of(b"other") in told.message
    assert tags_of(ecr, repository) == {}


def test_missing_layers_are_named(ecr, repository):
    built = image(layers=[b"here", b"not here", b"nor this"])
    upload_layer(ecr, repository, built.blobs[0])
    upload_layer(ecr, repository, b"here")
    told = refusal(ecr.put_image, repositoryName=repository, imageManifest=built.body.decode())

    assert (told.code, told.status) == ("LayersNotFoundException", 400)
    assert digest_of(b"not here") in told.message and digest_of(b"nor this") in told.message
    assert digest_of(b"here") not in told.message
    assert tags_of(ecr, repository) == {}


def test_a_layer_of_another_repository_is_missing_here(ecr, shared_server, repository):
    """Bytes are shared, access is not."""
    built = image()
    elsewhere = f"{repository}-elsewhere"
    shared_server.create(elsewhere)
    push_image(ecr, elsewhere, built, "v1")
    told = refusal(ecr.put_image, repositoryName=repository, imageManifest=built.body.decode())

    assert told.code == "LayersNotFoundException"


def test_missing_children_of_an_index_are_named(ecr, repository):
    there, missing = image(), image()
    push_image(ecr, repository, there)
    told = refusal(ecr.put_image, repositoryName=repository, imageManifest=index(there, missing).body.decode())

    assert (told.code, told.status) == ("ReferencedImagesNotFoundException", 400)
    assert missing.digest in told.message and there.digest not in told.message


@pytest.mark.parametrize("tag", ["v1", None], ids=["tagged", "untagged"])
def test_the_same_image_again_is_told(ecr, repository, tag):
    built = image()
    push_image(ecr, repository, built, tag)
    told = refusal(
        ecr.put_image,
        repositoryName=repository,
        imageManifest=built.body.decode(),
        **({"imageTag": tag} if tag else {}),
    )

    assert told[:3] == (
        "ImageAlreadyExistsException",
        400,
        f"Image with digest '{built.digest}' and tag '{tag or 'null'}' already exists in the repository with name "
        f"'{repository}' in registry with id '{ACCOUNT}'",
    )


def test_an_unknown_repository_is_told(ecr):
    told = refusal(ecr.put_image, repositoryName="nobody/made-this", imageManifest=image().body.decode())

    assert (told.code, told.status) == ("RepositoryNotFoundException", 400)


# --- sizes ------------------------------------------------------------------------------------------------------------


def padded(built: Built, size: int) -> Built:
    """The image with an annotation that makes its manifest `size` bytes long."""
    bare = len(json.dumps({**built.document, "annotations": {"p": ""}}).encode())
    return Built(json.dumps({**built.document, "annotations": {"p": "x" * (size - bare)}}).encode(), built.media_type)


def test_the_largest_manifest_is_taken_and_one_byte_more_is_not(ecr, repository):
    built = with_layers(ecr, repository, image())
    largest, larger = padded(built, 4 * MIB), padded(built, 4 * MIB + 1)
    assert len(largest.body) == 4 * MIB
    put_image(ecr, repository, largest, "v1")
    told = refusal(ecr.put_image, repositoryName=repository, imageManifest=larger.body.decode(), imageTag="v2")

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    got = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])["images"][0]
    assert got["imageManifest"].encode() == largest.body


def test_the_limit_counts_bytes(ecr, repository):
    """Two million letters of three bytes are within the model's characters, and beyond the manifest's bytes."""
    built = with_layers(ecr, repository, image())
    text = json.dumps({**built.document, "annotations": {"p": "値" * 2_000_000}}, ensure_ascii=False)
    told = refusal(ecr.put_image, repositoryName=repository, imageManifest=text)

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert "4194304" in told.message


# --- tags -------------------------------------------------------------------------------------------------------------


def test_retagging_needs_no_layers(ecr, repository):
    """BatchGetImage, then PutImage with another tag."""
    built = image()
    push_image(ecr, repository, built, "v1")
    got = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])["images"][0]
    ecr.put_image(
        repositoryName=repository,
        imageManifest=got["imageManifest"],
        imageManifestMediaType=got["imageManifestMediaType"],
        imageTag="v2",
    )

    assert tags_of(ecr, repository) == {built.digest: ["v1", "v2"]}


def test_a_tag_that_moves_leaves_the_old_image_untagged(ecr, repository):
    old, new = image(), image()
    push_image(ecr, repository, old, "latest")
    push_image(ecr, repository, new, "latest")

    assert tags_of(ecr, repository) == {old.digest: [], new.digest: ["latest"]}


def test_tags_differ_by_case(ecr, repository):
    one, two = image(), image()
    push_image(ecr, repository, one, "V1")
    push_image(ecr, repository, two, "v1")

    assert tags_of(ecr, repository) == {one.digest: ["V1"], two.digest: ["v1"]}
