"""Deletes (end-9, end-10): a tag, an image with its tags, a blob; and promise P6, that no tag names nothing."""

import threading
from typing import Any

import pytest

from tests.builders import (
    OCI_IMAGE,
    digest_of,
    image,
    index,
    push,
    push_blob,
    put_manifest,
    unique_bytes,
    unique_name,
)
from tests.servers import Answer, RunningServer

NOBODY = "sha256:" + "0" * 64


def status(server: RunningServer, repository: str, kind: str, reference: str, method: str = "HEAD") -> int:
    return server.request(method, f"/v2/{repository}/{kind}/{reference}").status


def delete(server: RunningServer, repository: str, kind: str, reference: str) -> Answer:
    return server.request("DELETE", f"/v2/{repository}/{kind}/{reference}")


def tags(server: RunningServer, repository: str) -> list[str]:
    found: list[str] = server.request("GET", f"/v2/{repository}/tags/list").json["tags"]
    return found


# --- end-9: a tag -----------------------------------------------------------------------------------------------------


def test_end_9_deleting_a_tag_MUST_be_202_and_takes_only_the_tag(shared_server: RunningServer, repository: str) -> None:
    built = image()
    push(shared_server, repository, built, "v1")
    put_manifest(shared_server, repository, built, "v2")

    answer = delete(shared_server, repository, "manifests", "v1")

    assert (answer.status, answer.body) == (202, b"")
    assert tags(shared_server, repository) == ["v2"]
    assert status(shared_server, repository, "manifests", "v1") == 404
    assert shared_server.request("GET", f"/v2/{repository}/manifests/v2").body == built.body


def test_end_9_deleting_the_last_tag_leaves_the_image(shared_server: RunningServer, repository: str) -> None:
    built = image()
    push(shared_server, repository, built, "v1")
    delete(shared_server, repository, "manifests", "v1")

    assert tags(shared_server, repository) == []
    assert shared_server.request("GET", f"/v2/{repository}/manifests/{built.digest}").body == built.body


def test_end_9_a_tag_of_a_listed_child_may_go(shared_server: RunningServer, repository: str) -> None:
    child = image()
    push(shared_server, repository, child, "child")
    push(shared_server, repository, index(child), "list")

    assert delete(shared_server, repository, "manifests", "child").status == 202
    assert status(shared_server, repository, "manifests", child.digest) == 200


def test_end_9_an_immutable_tag_may_be_deleted_and_given_again(
    shared_server: RunningServer, repository: str, ecr: Any
) -> None:
    """As ECR: immutable says that a tag is not overwritten."""
    first, second = image(), image()
    push(shared_server, repository, first, "v1")
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    delete(shared_server, repository, "manifests", "v1")

    assert push(shared_server, repository, second, "v1")


# --- end-9: an image --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_end_9_deleting_a_manifest_MUST_be_202_and_takes_its_tags(
    shared_server: RunningServer, repository: str, algorithm: str
) -> None:
    built, other = image(), image()
    push(shared_server, repository, other, "other")
    for blob in built.blobs:
        push_blob(shared_server, repository, blob)
    digest = digest_of(built.body, algorithm)
    put_manifest(shared_server, repository, built, f"{digest}?tag=v1&tag=v2")

    answer = delete(shared_server, repository, "manifests", digest)

    assert (answer.status, answer.body) == (202, b"")
    assert [status(shared_server, repository, "manifests", one) for one in (digest, "v1", "v2")] == [404, 404, 404]
    assert tags(shared_server, repository) == ["other"]


def test_end_9_a_deleted_image_may_be_pushed_again_without_its_layers(
    shared_server: RunningServer, repository: str
) -> None:
    """Its blobs stay for a while: that is what the grace is for."""
    built = image()
    push(shared_server, repository, built, "v1")
    delete(shared_server, repository, "manifests", built.digest)

    assert put_manifest(shared_server, repository, built, "v1").status == 201


@pytest.mark.parametrize("reference", ["absent", NOBODY, "sha512:" + "0" * 128])
def test_end_9_what_is_not_there_is_404(shared_server: RunningServer, repository: str, reference: str) -> None:
    answer = delete(shared_server, repository, "manifests", reference)

    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("path", ["manifests/v1", f"manifests/{NOBODY}", f"blobs/{NOBODY}"])
def test_a_repository_that_does_not_exist_MUST_be_404(shared_server: RunningServer, path: str) -> None:
    answer = shared_server.request("DELETE", f"/v2/never/made/{path}")

    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_end_9_the_second_delete_is_404(shared_server: RunningServer, repository: str) -> None:
    built = image()
    push(shared_server, repository, built)

    assert [delete(shared_server, repository, "manifests", built.digest).status for _ in range(2)] == [202, 404]


def test_end_9_an_indexs_child_is_405_until_the_index_is_gone(shared_server: RunningServer, repository: str) -> None:
    child = image()
    push(shared_server, repository, child, "child")
    inner = index(child)
    push(shared_server, repository, inner)
    outer = index(inner)
    push(shared_server, repository, outer, "outer")

    for listed, by in ((child, inner), (inner, outer)):
        refused = delete(shared_server, repository, "manifests", listed.digest)
        assert (refused.status, refused.code) == (405, "UNSUPPORTED")
        assert by.digest in refused.json["errors"][0]["message"]
    assert tags(shared_server, repository) == ["child", "outer"]
    for built in (outer, inner, child):
        assert delete(shared_server, repository, "manifests", built.digest).status == 202


def test_end_9_a_subject_may_go_while_it_has_referrers(shared_server: RunningServer, repository: str) -> None:
    subject = image()
    push(shared_server, repository, subject)
    referrer = image(subject=subject.descriptor())
    push(shared_server, repository, referrer)

    assert delete(shared_server, repository, "manifests", subject.digest).status == 202
    assert status(shared_server, repository, "manifests", referrer.digest) == 200


# --- end-10: a blob ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_end_10_deleting_a_blob_MUST_be_202(shared_server: RunningServer, repository: str, algorithm: str) -> None:
    digest = push_blob(shared_server, repository, unique_bytes(), algorithm=algorithm)

    answer = delete(shared_server, repository, "blobs", digest)

    assert (answer.status, answer.body) == (202, b"")
    for method in ("HEAD", "GET", "DELETE"):
        assert status(shared_server, repository, "blobs", digest, method) == 404


def test_end_10_a_blob_that_is_not_found_MUST_be_404(shared_server: RunningServer, repository: str) -> None:
    answer = delete(shared_server, repository, "blobs", NOBODY)

    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


def test_end_10_a_blob_of_another_repository_is_404_and_stays(
    shared_server: RunningServer, repository: str, ecr: Any
) -> None:
    other = unique_name()
    ecr.create_repository(repositoryName=other)
    digest = push_blob(shared_server, other, unique_bytes())

    assert delete(shared_server, repository, "blobs", digest).status == 404
    assert status(shared_server, other, "blobs", digest) == 200


def test_end_10_a_blob_in_use_is_405_until_its_last_image_is_gone(
    shared_server: RunningServer, repository: str
) -> None:
    layer = unique_bytes()
    first, second = image(layers=[layer]), image(layers=[layer])
    for built in (first, second):
        push(shared_server, repository, built)

    seen = []
    for built in (first, second):
        seen.append(delete(shared_server, repository, "blobs", digest_of(layer)).status)
        delete(shared_server, repository, "manifests", built.digest)
    seen.append(delete(shared_server, repository, "blobs", digest_of(layer)).status)

    assert seen == [405, 405, 202]


def test_end_10_a_deleted_blob_may_be_pushed_again(shared_server: RunningServer, repository: str) -> None:
    data = unique_bytes()
    digest = push_blob(shared_server, repository, data)
    delete(shared_server, repository, "blobs", digest)
    push_blob(shared_server, repository, data)

    assert shared_server.request("GET", f"/v2/{repository}/blobs/{digest}").body == data


def test_end_10_one_repository_gives_up_a_blob_and_another_keeps_it(
    shared_server: RunningServer, repository: str, ecr: Any
) -> None:
    other, data = unique_name(), unique_bytes()
    ecr.create_repository(repositoryName=other)
    for name in (repository, other):
        digest = push_blob(shared_server, name, data)
    delete(shared_server, repository, "blobs", digest)

    assert status(shared_server, repository, "blobs", digest) == 404
    assert shared_server.request("GET", f"/v2/{other}/blobs/{digest}").body == data


# --- P3, P6: while others push ----------------------------------------------------------------------------------------


def test_P6_no_tag_names_nothing_while_images_are_deleted(shared_server: RunningServer, repository: str) -> None:
    """A reader of a tag finds one of its images or 404, and never an error, whatever is deleted under it."""
    pushed = [image() for _ in range(3)]
    for built in pushed:
        push(shared_server, repository, built)
    known = {built.body for built in pushed}
    stop, odd = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            answer = shared_server.request("GET", f"/v2/{repository}/manifests/v1")
            if answer.status not in (200, 404) or (answer.status == 200 and answer.body not in known):
                odd.append(answer)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        built = pushed[turn % 3]
        assert put_manifest(shared_server, repository, built, "v1").status == 201
        assert delete(shared_server, repository, "manifests", built.digest).status == 202
        assert status(shared_server, repository, "manifests", "v1", "GET") == 404
        assert tags(shared_server, repository) == []
    stop.set()
    reader.join()

    assert odd == []


def test_P3_a_blob_is_deleted_or_pinned_and_never_both(shared_server: RunningServer, repository: str) -> None:
    """The manifest's push and the blob's delete at once: either is refused, or the image is whole."""
    outcomes = set()
    for _ in range(30):
        built = image(layers=[])
        push_blob(shared_server, repository, built.blobs[0])
        digest = digest_of(built.blobs[0])
        answers: dict[str, int] = {}

        def remove(digest: str = digest, answers: dict[str, int] = answers) -> None:
            answers["delete"] = delete(shared_server, repository, "blobs", digest).status

        other = threading.Thread(target=remove)
        other.start()
        pushed = shared_server.request(
            "PUT", f"/v2/{repository}/manifests/{built.digest}", built.body, {"Content-Type": OCI_IMAGE}
        ).status
        other.join()
        outcomes.add((pushed, answers["delete"]))
        assert (status(shared_server, repository, "blobs", digest) == 200) == (pushed == 201)

    assert outcomes <= {(201, 405), (404, 202)}
