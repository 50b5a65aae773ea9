"""Push of manifests (end-7a, end-7b): every kind that is accepted, what is refused, and what the answer says."""

import base64
import contextlib
import json
import time
from typing import Any, cast

import pytest

from tests import wire
from tests.builders import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    EMPTY,
    OCI_IMAGE,
    OCI_INDEX,
    OCI_LAYER,
    Built,
    descriptor,
    digest_of,
    image,
    index,
    push,
    push_blob,
    put_manifest,
    unique_bytes,
)
from tests.conftest import Start
from tests.servers import Answer, RunningServer

NOBODY = "sha256:" + "0" * 64
MOST = 4_194_304
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"


def get(server: RunningServer, repository: str, reference: str) -> Answer:
    return server.request("GET", f"/v2/{repository}/manifests/{reference}")


def put(
    server: RunningServer, repository: str, reference: str, body: bytes, content_type: str | None = OCI_IMAGE
) -> Answer:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return server.request("PUT", f"/v2/{repository}/manifests/{reference}", body, headers)


def document(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def plain(**more: Any) -> bytes:
    """An image without layers and with the empty config, which a test pushes; every call makes another."""
    config = {"mediaType": EMPTY, "digest": digest_of(b"{}"), "size": 2}
    return document(schemaVersion=2, config=config, layers=[], annotations={"n": unique_bytes(8).hex()}, **more)


@pytest.fixture
def prepared(shared_server: RunningServer, repository: str) -> str:
    """A repository that holds the empty config."""
    push_blob(shared_server, repository, b"{}")
    return repository


# --- what is accepted -------------------------------------------------------------------------------------------------


def nested() -> list[Built]:
    leaf = image()
    inner = index(leaf)
    return [leaf, inner, index(inner, leaf)]


def artifact(media_type: str = OCI_ARTIFACT) -> Built:
    data = unique_bytes()
    body = document(mediaType=media_type, artifactType="application/vnd.example.sbom", blobs=[descriptor(data)])
    return Built(body, media_type, (data,))


def in_docker_words() -> Built:
    built = image(media_type=DOCKER_IMAGE, config_type=DOCKER_CONFIG)
    layers = [
        {**one, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"} for one in built.document["layers"]
    ]
    return built._replace(body=document(**{**built.document, "layers": layers}))


# What is pushed in order; the last is what the test is about.
KINDS: dict[str, list[Built]] = {
    "oci-image": [image()],
    "oci-image-without-layers": [image(layers=[])],
    "oci-image-with-a-zero-byte-layer": [image(layers=[b""])],
    "oci-image-that-lists-a-layer-twice": [image(layers=[b"twice", b"twice"])],
    "oci-artifact-as-image": [image(config=b"{}", config_type=EMPTY, artifactType="application/vnd.example.sbom")],
    "oci-artifact-manifest": [artifact()],
    "oci-image-with-unknown-fields": [image(**cast(Any, {"org.example": {"a": [1, 2]}}))],
    "oci-image-with-inline-data": [
        image(config=b"{}", config_type=EMPTY)._replace(
            body=document(
                schemaVersion=2,
                mediaType=OCI_IMAGE,
                config={**descriptor(b"{}", EMPTY), "data": base64.b64encode(b"{}").decode()},
                layers=[],
            ),
            blobs=(b"{}",),
        )
    ],
    "docker-schema-2": [in_docker_words()],
    "docker-manifest-list": [
        child := in_docker_words(),
        index(child, media_type=DOCKER_LIST),
    ],
    "oci-index": [child := image(), index(child)],
    "oci-index-of-docker-images": [child := in_docker_words(), index(child)],
    "oci-index-without-children": [index(annotations={"n": unique_bytes(8).hex()})],
    "oci-index-of-indexes": nested(),
    "oci-index-with-artifact-type": [child := image(), index(child, artifactType="application/vnd.example.list")],
    "another-media-type": [Built(document(any="thing", n=unique_bytes(8).hex()), "application/vnd.example.thing+json")],
}


@pytest.mark.parametrize("by", ["tag", "digest"])
@pytest.mark.parametrize("parts", KINDS.values(), ids=list(KINDS))
def test_end_7_MUST_be_201_and_kept_to_the_byte(
    shared_server: RunningServer, repository: str, parts: list[Built], by: str
) -> None:
    built = parts[-1]
    for part in parts[:-1]:
        push(shared_server, repository, part)
    for blob in built.blobs:
        push_blob(shared_server, repository, blob)
    reference = "v1" if by == "tag" else built.digest

    answer = put_manifest(shared_server, repository, built, reference)
    kept = get(shared_server, repository, reference)

    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Docker-Content-Digest"] == built.digest
    assert answer.headers["Location"] == f"/v2/{repository}/manifests/{built.digest}"
    assert (kept.status, kept.body, kept.headers["Content-Type"]) == (200, built.body, built.media_type)
    assert shared_server.request("GET", answer.headers["Location"]).body == built.body


def test_end_7_by_sha512(shared_server: RunningServer, prepared: str) -> None:
    body = plain()
    digest = digest_of(body, "sha512")

    answer = put(shared_server, prepared, digest, body)

    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == digest
    assert get(shared_server, prepared, digest).headers["Docker-Content-Digest"] == digest
    assert get(shared_server, prepared, digest_of(body)).status == 404


def test_end_7_the_type_may_stand_in_the_document_alone(shared_server: RunningServer, prepared: str) -> None:
    body = plain(mediaType=OCI_IMAGE)

    assert put(shared_server, prepared, "v1", body, None).status == 201
    assert get(shared_server, prepared, "v1").headers["Content-Type"] == OCI_IMAGE


def test_end_7_the_type_may_stand_in_the_header_alone(shared_server: RunningServer, prepared: str) -> None:
    body = plain()

    assert put(shared_server, prepared, "v1", body, DOCKER_IMAGE).status == 201
    assert get(shared_server, prepared, "v1").headers["Content-Type"] == DOCKER_IMAGE


def test_end_7_parameters_of_the_content_type_SHOULD_be_ignored(shared_server: RunningServer, prepared: str) -> None:
    assert put(shared_server, prepared, "v1", plain(mediaType=OCI_IMAGE), f"{OCI_IMAGE}; charset=utf-8").status == 201
    assert get(shared_server, prepared, "v1").headers["Content-Type"] == OCI_IMAGE


def test_end_7_pushing_again_changes_nothing(shared_server: RunningServer, repository: str) -> None:
    built = image()
    push(shared_server, repository, built, "v1")

    again = put_manifest(shared_server, repository, built, "v1")

    assert (again.status, again.headers["Docker-Content-Digest"]) == (201, built.digest)
    assert shared_server.request("GET", f"/v2/{repository}/tags/list").json["tags"] == ["v1"]


def test_end_7_a_tag_moves(shared_server: RunningServer, repository: str) -> None:
    first, second = image(), image()
    push(shared_server, repository, first, "v1")
    push(shared_server, repository, second, "v1")

    assert get(shared_server, repository, "v1").body == second.body
    assert get(shared_server, repository, first.digest).body == first.body


def test_end_7_one_image_in_two_repositories(shared_server: RunningServer, repository: str, ecr: Any) -> None:
    other = f"{repository}-two"
    ecr.create_repository(repositoryName=other)
    built = image()
    for name in (repository, other):
        push(shared_server, name, built, "v1")
    shared_server.request("DELETE", f"/v2/{other}/manifests/{built.digest}")

    assert get(shared_server, repository, "v1").body == built.body
    assert get(shared_server, other, "v1").status == 404


@pytest.mark.parametrize("tag", ["a", "_", "0", "V1.2-rc_3", "a" * 128, "latest", "sha256-" + "0" * 64])
def test_end_7_any_tag_of_the_grammar(shared_server: RunningServer, prepared: str, tag: str) -> None:
    body = plain()

    assert put(shared_server, prepared, tag, body).status == 201
    assert get(shared_server, prepared, tag).body == body


@pytest.mark.parametrize("tag", [".a", "-a", "a" * 129, "a+b", "a~", "a$", "a,b", "@", "%C3%A4", "a%20b"])
def test_end_7_no_tag_outside_of_the_grammar(shared_server: RunningServer, prepared: str, tag: str) -> None:
    assert put(shared_server, prepared, tag, plain()).status in (400, 404)
    assert shared_server.request("GET", f"/v2/{prepared}/tags/list").json["tags"] == []


# --- what must be there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [0, 1, 2], ids=["config", "layer", "other-layer"])
def test_a_missing_blob_MUST_be_MANIFEST_BLOB_UNKNOWN(
    shared_server: RunningServer, repository: str, missing: int
) -> None:
    built = image(layers=[unique_bytes(), unique_bytes()])
    for blob in (blob for number, blob in enumerate(built.blobs) if number != missing):
        push_blob(shared_server, repository, blob)

    refused = put_manifest(shared_server, repository, built, "v1")

    assert (refused.status, refused.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert digest_of(built.blobs[missing]) in refused.json["errors"][0]["message"]
    assert get(shared_server, repository, "v1").status == 404


def test_a_missing_child_MUST_be_MANIFEST_BLOB_UNKNOWN(shared_server: RunningServer, repository: str) -> None:
    there, absent = image(), image()
    push(shared_server, repository, there)

    refused = put_manifest(shared_server, repository, index(there, absent), "v1")

    assert (refused.status, refused.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert absent.digest in refused.json["errors"][0]["message"]
    assert there.digest not in refused.json["errors"][0]["message"]


def test_P3_a_blob_of_another_repository_does_not_count(
    shared_server: RunningServer, repository: str, ecr: Any
) -> None:
    other = f"{repository}-two"
    ecr.create_repository(repositoryName=other)
    built = image()
    push(shared_server, other, built)

    assert put_manifest(shared_server, repository, built).code == "MANIFEST_BLOB_UNKNOWN"


def test_P3_a_manifest_whose_blob_was_deleted_is_refused(shared_server: RunningServer, repository: str) -> None:
    built = image()
    for blob in built.blobs:
        push_blob(shared_server, repository, blob)
    shared_server.request("DELETE", f"/v2/{repository}/blobs/{digest_of(built.blobs[1])}")

    assert put_manifest(shared_server, repository, built).code == "MANIFEST_BLOB_UNKNOWN"


def test_P3_acceptance_pins_blobs_and_children(shared_server: RunningServer, repository: str) -> None:
    child = image()
    push(shared_server, repository, child)
    parent = index(child)
    push(shared_server, repository, parent)

    for path in (f"manifests/{child.digest}", *(f"blobs/{digest_of(blob)}" for blob in child.blobs)):
        refused = shared_server.request("DELETE", f"/v2/{repository}/{path}")
        assert (refused.status, refused.code) == (405, "UNSUPPORTED")
    assert shared_server.request("DELETE", f"/v2/{repository}/manifests/{parent.digest}").status == 202
    assert shared_server.request("DELETE", f"/v2/{repository}/manifests/{child.digest}").status == 202
    for blob in child.blobs:
        assert shared_server.request("DELETE", f"/v2/{repository}/blobs/{digest_of(blob)}").status == 202


def test_foreign_layers_need_not_be_there(shared_server: RunningServer, repository: str) -> None:
    config = unique_bytes()
    push_blob(shared_server, repository, config)
    foreign = {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": NOBODY,
        "size": 1000,
        "urls": ["http://127.0.0.1:9/layer"],
    }
    body = document(schemaVersion=2, mediaType=OCI_IMAGE, config=descriptor(config), layers=[foreign])

    assert put(shared_server, repository, "v1", body).status == 201


def test_a_layer_with_urls_that_is_not_foreign_must_be_there(shared_server: RunningServer, repository: str) -> None:
    layer = {"mediaType": OCI_LAYER, "digest": NOBODY, "size": 1000, "urls": ["http://127.0.0.1:9/layer"]}
    config = unique_bytes()
    push_blob(shared_server, repository, config)
    body = document(schemaVersion=2, mediaType=OCI_IMAGE, config=descriptor(config), layers=[layer])

    assert put(shared_server, repository, "v1", body).code == "MANIFEST_BLOB_UNKNOWN"


def test_sparse_manifests_are_accepted_where_the_operator_says_so(start_server: Start) -> None:
    server = start_server(LONGSHORE_REGISTRY__ACCEPT_SPARSE="true")
    server.create("app")
    absent = image()
    sparse = index(absent)

    assert put_manifest(server, "app", sparse, "v1").status == 201
    assert get(server, "app", "v1").body == sparse.body
    assert get(server, "app", absent.digest).status == 404
    assert put_manifest(server, "app", absent, "v2").status == 201


# --- subject ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False], ids=["of-an-image", "of-nothing-yet"])
@pytest.mark.parametrize("kind", ["image", "index"])
def test_a_subject_MUST_be_accepted_and_told_by_OCI_Subject(
    shared_server: RunningServer, prepared: str, kind: str, there: bool
) -> None:
    """A registry MUST initially accept a manifest whose subject does not exist."""
    subject = image()
    if there:
        push(shared_server, prepared, subject)
    if kind == "image":
        body, media_type = plain(mediaType=OCI_IMAGE, subject=subject.descriptor()), OCI_IMAGE
    else:
        body, media_type = index(subject=subject.descriptor(), artifactType="application/vnd.example").body, OCI_INDEX

    answer = put(shared_server, prepared, digest_of(body), body, media_type)

    assert answer.status == 201
    assert answer.headers["OCI-Subject"] == subject.digest


def test_without_a_subject_there_is_no_OCI_Subject(shared_server: RunningServer, prepared: str) -> None:
    assert "OCI-Subject" not in put(shared_server, prepared, "v1", plain()).headers


def test_a_subject_by_sha512(shared_server: RunningServer, prepared: str) -> None:
    subject = {"mediaType": OCI_IMAGE, "digest": "sha512:" + "1" * 128, "size": 5}

    answer = put(shared_server, prepared, "v1", plain(subject=subject))

    assert answer.headers["OCI-Subject"] == "sha512:" + "1" * 128


# --- end-7b: tag parameters -------------------------------------------------------------------------------------------


def tagged(answer: Answer) -> list[str]:
    """The tags that OCI-Tag names, over all its lines (RFC 9110, section 5)."""
    return [tag.strip() for line in answer.headers.get_all("OCI-Tag", []) for tag in line.split(",")]


@pytest.mark.parametrize("count", [1, 10, 100])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_end_7b_each_tag_MUST_be_told_by_OCI_Tag(
    shared_server: RunningServer, prepared: str, algorithm: str, count: int
) -> None:
    body, tags = plain(), [f"t{number}" for number in range(count)]
    digest = digest_of(body, algorithm)

    answer = put(shared_server, prepared, f"{digest}?{'&'.join(f'tag={tag}' for tag in tags)}", body)

    assert answer.status == 201
    assert tagged(answer) == tags
    assert shared_server.request("GET", f"/v2/{prepared}/tags/list").json["tags"] == sorted(tags)
    assert get(shared_server, prepared, tags[-1]).headers["Docker-Content-Digest"] == digest


def test_end_7b_too_many_tags_are_414(shared_server: RunningServer, prepared: str) -> None:
    body = plain()

    answer = put(shared_server, prepared, f"{digest_of(body)}?{'&'.join(f'tag=t{n}' for n in range(101))}", body)

    assert answer.status == 414
    assert get(shared_server, prepared, digest_of(body)).status == 404


def test_end_7b_a_tag_named_twice_is_one(shared_server: RunningServer, prepared: str) -> None:
    body = plain()

    assert tagged(put(shared_server, prepared, f"{digest_of(body)}?tag=a&tag=a", body)) == ["a"]


@pytest.mark.parametrize("tag", ["", ".a", "a%2Fb", "a%00", "a" * 129])
def test_end_7b_a_tag_that_is_none_refuses_all(shared_server: RunningServer, prepared: str, tag: str) -> None:
    body = plain()

    answer = put(shared_server, prepared, f"{digest_of(body)}?tag=good&tag={tag}", body)

    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
    assert shared_server.request("GET", f"/v2/{prepared}/tags/list").json["tags"] == []


def test_end_7b_an_immutable_tag_refuses_all(shared_server: RunningServer, prepared: str, ecr: Any) -> None:
    assert put(shared_server, prepared, "fixed", plain()).status == 201
    ecr.put_image_tag_mutability(repositoryName=prepared, imageTagMutability="IMMUTABLE")
    body = plain()

    answer = put(shared_server, prepared, f"{digest_of(body)}?tag=new&tag=fixed", body)

    assert (answer.status, answer.code) == (400, "DENIED")
    assert shared_server.request("GET", f"/v2/{prepared}/tags/list").json["tags"] == ["fixed"]
    assert get(shared_server, prepared, digest_of(body)).status == 404


def test_end_7b_goes_with_a_push_by_digest_only(shared_server: RunningServer, prepared: str) -> None:
    answer = put(shared_server, prepared, "v1?tag=v2", plain())

    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


def test_end_7a_by_tag_tells_no_OCI_Tag(shared_server: RunningServer, prepared: str) -> None:
    assert tagged(put(shared_server, prepared, "v1", plain())) == []


# --- limits and refusals ----------------------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    body = plain()
    return body + b" " * (size - len(body))


def test_a_manifest_of_four_megabytes_gets_in(shared_server: RunningServer, prepared: str) -> None:
    body = padded(MOST)

    assert put(shared_server, prepared, "v1", body).status == 201
    assert get(shared_server, prepared, "v1").body == body


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_manifest_over_the_limit_SHOULD_be_413(shared_server: RunningServer, prepared: str, chunked: bool) -> None:
    body = padded(MOST + 1)

    answer = put(shared_server, prepared, "v1", iter([body]) if chunked else body)  # type: ignore[arg-type]

    assert (answer.status, answer.code) == (413, "DENIED")
    assert get(shared_server, prepared, "v1").status == 404


def test_F42_the_largest_manifest_is_pushed_pulled_and_deleted(shared_server: RunningServer, repository: str) -> None:
    """Some 26,000 layers, all there."""
    layer = unique_bytes()
    push_blob(shared_server, repository, layer)
    push_blob(shared_server, repository, b"{}")
    one = descriptor(layer)
    count = (MOST - 1000) // (len(json.dumps(one)) + 2)
    built = Built(
        document(schemaVersion=2, mediaType=OCI_IMAGE, config=descriptor(b"{}", EMPTY), layers=[one] * count), OCI_IMAGE
    )

    assert count > 20_000
    assert put_manifest(shared_server, repository, built, "v1").status == 201
    assert get(shared_server, repository, "v1").body == built.body
    assert shared_server.request("DELETE", f"/v2/{repository}/manifests/{built.digest}").status == 202


def test_another_digest_than_the_bytes_is_refused(shared_server: RunningServer, prepared: str) -> None:
    answer = put(shared_server, prepared, NOBODY, plain())

    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_known_bytes_keep_their_type(shared_server: RunningServer, prepared: str) -> None:
    """One digest has one reading (T17)."""
    body = plain()
    assert put(shared_server, prepared, "v1", body, OCI_IMAGE).status == 201

    refused = put(shared_server, prepared, "v2", body, DOCKER_IMAGE)

    assert (refused.status, refused.code) == (400, "MANIFEST_INVALID")
    assert get(shared_server, prepared, "v1").headers["Content-Type"] == OCI_IMAGE


@pytest.mark.parametrize("media_type", ["", ".v1+json", ".v1+prettyjws"])
def test_schema_1_is_refused_in_words(shared_server: RunningServer, prepared: str, media_type: str) -> None:
    sent = f"application/vnd.docker.distribution.manifest{media_type or '.v1+json'}"
    body = document(schemaVersion=1, name=prepared, tag="v1", fsLayers=[{"blobSum": NOBODY}], history=[])

    refused = put(shared_server, prepared, "v1", body, sent)

    assert (refused.status, refused.code) == (400, "MANIFEST_INVALID")
    assert "schema 1 is not supported" in refused.json["errors"][0]["message"]


def test_a_slow_manifest_is_cut_off(start_server: Start) -> None:
    server = start_server(LONGSHORE_LIMITS__MANIFEST_SECONDS="1")
    server.create("app")
    head = {"Host": server.netloc, "Authorization": server.basic, "Content-Length": "1000"}
    started = time.monotonic()
    with wire.connect(server) as connection, contextlib.suppress(wire.Broken):
        connection.send(wire.head("PUT", "/v2/app/manifests/v1", head) + b"{")
        assert connection.receive().status == 408

    assert time.monotonic() - started < 10
