"""Errors: each code of the specification is met, has the specification's body, and the status that goes with it."""

import json
from collections.abc import Callable
from typing import Final

import pytest

from registry.v2.errors import TABLE
from tests import wire
from tests.builders import Built, digest_of, image, index, push, push_blob, put_manifest, unique_bytes
from tests.conftest import Start
from tests.servers import ACCOUNT, Answer, RunningServer

NOBODY: Final = "sha256:" + "0" * 64
# "The `code` field MUST be one of the following" (specification, "Error Codes").
CODES: Final = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
    "UNSUPPORTED", "TOOMANYREQUESTS",
}  # fmt: skip

Send = Callable[[RunningServer, str], Answer]


def begin(server: RunningServer, repository: str) -> str:
    return str(server.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"])


def chunk(server: RunningServer, repository: str, content_range: str, body: bytes = b"12345") -> Answer:
    return server.request("PATCH", begin(server, repository), body, {"Content-Range": content_range})


def manifest(server: RunningServer, repository: str, body: bytes, **more: str) -> Answer:
    return server.request("PUT", f"/v2/{repository}/manifests/v1", body, {"Content-Type": image().media_type, **more})


def delete_used_blob(server: RunningServer, repository: str) -> Answer:
    built = image()
    push(server, repository, built)
    return server.request("DELETE", f"/v2/{repository}/blobs/{digest_of(built.blobs[0])}")


def delete_listed_child(server: RunningServer, repository: str) -> Answer:
    child = image()
    push(server, repository, child)
    push(server, repository, index(child))
    return server.request("DELETE", f"/v2/{repository}/manifests/{child.digest}")


def put_as_another_type(server: RunningServer, repository: str) -> Answer:
    body = json.dumps({"n": unique_bytes(8).hex()}).encode()
    assert put_manifest(server, repository, Built(body, "application/vnd.example.a"), "a").status == 201
    return put_manifest(server, repository, Built(body, "application/vnd.example.b"), "b")


# name -> (request, status, code)
ERRORS: dict[str, tuple[Send, int, str]] = {
    "code-1-blob": (lambda s, r: s.request("GET", f"/v2/{r}/blobs/{NOBODY}"), 404, "BLOB_UNKNOWN"),
    "code-1-delete-blob": (lambda s, r: s.request("DELETE", f"/v2/{r}/blobs/{NOBODY}"), 404, "BLOB_UNKNOWN"),
    "code-2-out-of-order": (lambda s, r: chunk(s, r, "5-9"), 416, "BLOB_UPLOAD_INVALID"),
    "code-2-no-range": (lambda s, r: chunk(s, r, "none"), 416, "BLOB_UPLOAD_INVALID"),
    "code-3-upload": (lambda s, r: s.request("GET", f"/v2/{r}/blobs/uploads/x"), 404, "BLOB_UPLOAD_UNKNOWN"),
    "code-3-cancel": (lambda s, r: s.request("DELETE", f"/v2/{r}/blobs/uploads/x"), 404, "BLOB_UPLOAD_UNKNOWN"),
    "code-3-chunk": (lambda s, r: s.request("PATCH", f"/v2/{r}/blobs/uploads/x", b"1"), 404, "BLOB_UPLOAD_UNKNOWN"),
    "code-4-other-bytes": (
        lambda s, r: s.request("PUT", f"{begin(s, r)}?digest={NOBODY}", b"12345"),
        400,
        "DIGEST_INVALID",
    ),
    "code-4-single-post": (
        lambda s, r: s.request("POST", f"/v2/{r}/blobs/uploads/?digest={NOBODY}", b"12345"),
        400,
        "DIGEST_INVALID",
    ),
    "code-4-no-digest": (lambda s, r: s.request("PUT", begin(s, r), b"12345"), 400, "DIGEST_INVALID"),
    "code-4-algorithm": (
        lambda s, r: s.request("POST", f"/v2/{r}/blobs/uploads/?digest-algorithm=md5"),
        400,
        "DIGEST_INVALID",
    ),
    "code-4-malformed": (lambda s, r: s.request("GET", f"/v2/{r}/blobs/sha256:abc"), 400, "DIGEST_INVALID"),
    "code-4-manifest": (
        lambda s, r: s.request("PUT", f"/v2/{r}/manifests/{NOBODY}", image(layers=[], config=b"{}").body),
        400,
        "DIGEST_INVALID",
    ),
    "code-5-layer": (lambda s, r: put_manifest(s, r, image(), "v1"), 404, "MANIFEST_BLOB_UNKNOWN"),
    "code-5-child": (lambda s, r: put_manifest(s, r, index(image()), "v1"), 404, "MANIFEST_BLOB_UNKNOWN"),
    "code-6-not-json": (lambda s, r: manifest(s, r, b"no"), 400, "MANIFEST_INVALID"),
    "code-6-empty": (lambda s, r: manifest(s, r, b""), 400, "MANIFEST_INVALID"),
    "code-6-tag": (lambda s, r: s.request("PUT", f"/v2/{r}/manifests/.v1", b"{}"), 400, "MANIFEST_INVALID"),
    "code-6-two-types": (put_as_another_type, 400, "MANIFEST_INVALID"),
    "code-7-by-tag": (lambda s, r: s.request("GET", f"/v2/{r}/manifests/v1"), 404, "MANIFEST_UNKNOWN"),
    "code-7-by-digest": (lambda s, r: s.request("GET", f"/v2/{r}/manifests/{NOBODY}"), 404, "MANIFEST_UNKNOWN"),
    "code-7-delete": (lambda s, r: s.request("DELETE", f"/v2/{r}/manifests/v1"), 404, "MANIFEST_UNKNOWN"),
    "code-8-name": (lambda s, r: s.request("GET", "/v2/Upper/tags/list"), 400, "NAME_INVALID"),
    "code-9-tags": (lambda s, r: s.request("GET", "/v2/never/made/tags/list"), 404, "NAME_UNKNOWN"),
    "code-9-push": (lambda s, r: s.request("POST", "/v2/never/made/blobs/uploads/"), 404, "NAME_UNKNOWN"),
    "code-10-chunk": (lambda s, r: chunk(s, r, "0-9"), 400, "SIZE_INVALID"),
    "code-10-range": (
        lambda s, r: s.request("GET", f"/v2/{r}/blobs/{push_blob(s, r, b'')}", headers={"Range": "bytes=1-"}),
        416,
        "SIZE_INVALID",
    ),
    "code-11-nobody": (lambda s, r: s.request("GET", f"/v2/{r}/tags/list", auth=None), 401, "UNAUTHORIZED"),
    "code-12-other-account": (
        lambda s, r: s.request(
            "GET", f"/v2/{r}/tags/list", headers={"Host": "111122223333.dkr.ecr.us-east-1.localhost"}
        ),
        403,
        "DENIED",
    ),
    # Not SIZE_INVALID: dockerd would send it all again, six times.
    "code-12-too-large": (lambda s, r: manifest(s, r, b" " * 4_194_305), 413, "DENIED"),
    "code-13-method": (lambda s, r: s.request("PUT", f"/v2/{r}/tags/list"), 405, "UNSUPPORTED"),
    "code-13-path": (lambda s, r: s.request("GET", f"/v2/{r}"), 404, "UNSUPPORTED"),
    "code-13-blob-in-use": (delete_used_blob, 405, "UNSUPPORTED"),
    "code-13-child-in-use": (delete_listed_child, 405, "UNSUPPORTED"),
    "code-13-page": (lambda s, r: s.request("GET", f"/v2/{r}/tags/list?n=ten"), 400, "UNSUPPORTED"),
    "code-13-compressed": (lambda s, r: manifest(s, r, b"{}", **{"Content-Encoding": "gzip"}), 415, "UNSUPPORTED"),
    "code-13-not-http": (lambda s, r: wire.ask(s, "GET", "/v2/", headers={"X-A": "b\rc"}), 400, "UNSUPPORTED"),
}


@pytest.mark.parametrize(("send", "status", "code"), ERRORS.values(), ids=list(ERRORS))
def test_each_error_has_its_status_code_and_body(
    shared_server: RunningServer, repository: str, send: Send, status: int, code: str
) -> None:
    answer = send(shared_server, repository)

    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json) == {"errors"}
    (error,) = answer.json["errors"]
    assert set(error) == {"code", "message", "detail"}
    assert error["message"] and isinstance(error["message"], str)


def test_every_code_of_the_table_is_the_specifications() -> None:
    assert {code for code, _ in TABLE.values()} <= CODES
    assert {code for _, _, code in ERRORS.values()} <= CODES


def test_code_14_comes_with_the_time_to_wait(start_server: Start) -> None:
    server = start_server(LONGSHORE_LIMITS__OPEN_UPLOADS="1")
    server.create("app")
    assert server.request("PATCH", begin(server, "app"), b"1").status == 202

    refused = server.request("PATCH", begin(server, "app"), b"1")

    assert (refused.status, refused.code) == (429, "TOOMANYREQUESTS")
    assert int(refused.headers["Retry-After"]) > 0


# --- what is said about who may and what is there ---------------------------------------------------------------------


def test_a_missing_repository_is_told_with_the_command_that_makes_it(shared_server: RunningServer) -> None:
    answer = shared_server.request("POST", "/v2/team/never-made/blobs/uploads/")

    assert answer.json["errors"][0]["message"] == (
        f"The repository with name 'team/never-made' does not exist in the registry with id '{ACCOUNT}'. "
        "Create it first: aws ecr create-repository --repository-name team/never-made"
    )


def test_a_pull_from_a_missing_repository_is_told_without_it(shared_server: RunningServer) -> None:
    answer = shared_server.request("GET", "/v2/team/never-made/manifests/v1")

    assert "create-repository" not in answer.json["errors"][0]["message"]


def test_a_refused_manifest_names_what_is_missing(shared_server: RunningServer, repository: str) -> None:
    built = image(layers=[unique_bytes(), unique_bytes()])
    push_blob(shared_server, repository, built.blobs[1])

    message = put_manifest(shared_server, repository, built).json["errors"][0]["message"]

    assert digest_of(built.blobs[0]) in message
    assert digest_of(built.blobs[1]) not in message
    assert digest_of(built.blobs[2]) in message


def test_a_child_that_may_not_go_is_told_with_its_index(shared_server: RunningServer, repository: str) -> None:
    child = image()
    push(shared_server, repository, child)
    parent = index(child)
    push(shared_server, repository, parent)

    answer = shared_server.request("DELETE", f"/v2/{repository}/manifests/{child.digest}")

    assert parent.digest in answer.json["errors"][0]["message"]


# --- HEAD and Allow (RFC 9110, 9.1 and 15.5.6) ------------------------------------------------------------------------

PATHS = {
    "end-1": ("/v2/", "GET, HEAD"),
    "end-2-10": ("/v2/{name}/blobs/{digest}", "GET, HEAD, DELETE"),
    "end-3-7-9": ("/v2/{name}/manifests/v1", "GET, HEAD, PUT, DELETE"),
    "end-4-11": ("/v2/{name}/blobs/uploads/", "POST"),
    "end-5-6-13-14": ("/v2/{name}/blobs/uploads/x", "GET, HEAD, PATCH, PUT, DELETE"),
    "end-8": ("/v2/{name}/tags/list", "GET, HEAD"),
    "end-12": ("/v2/{name}/referrers/{digest}", "GET, HEAD"),
    "catalog": ("/v2/_catalog", "GET, HEAD"),
    "token": ("/token", "GET, HEAD, POST"),
}


@pytest.mark.parametrize(("path", "allowed"), PATHS.values(), ids=list(PATHS))
def test_405_says_what_is_allowed(shared_server: RunningServer, repository: str, path: str, allowed: str) -> None:
    for method in ("OPTIONS", "TRACE", "REPORT"):
        answer = shared_server.request(method, path.format(name=repository, digest=NOBODY))

        assert (answer.status, answer.code) == (405, "UNSUPPORTED")
        assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_the_front_page_takes_nothing(shared_server: RunningServer, method: str) -> None:
    """A client that lost its way, as one does that follows a Location which was not there, hears no success."""
    answer = shared_server.request(method, "/", b"x")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert shared_server.request("GET", "/").status == 200


def test_405_of_what_is_in_use_does_not_offer_it(shared_server: RunningServer, repository: str) -> None:
    assert delete_used_blob(shared_server, repository).headers["Allow"] == "GET, HEAD"
    assert delete_listed_child(shared_server, repository).headers["Allow"] == "GET, HEAD, PUT"


@pytest.mark.parametrize(
    "path",
    ["/v2/", "/v2/_catalog", "/v2/{name}/tags/list", "/v2/{name}/referrers/" + NOBODY, "/v2/{name}/manifests/v1",
     "/v2/{name}/blobs/{digest}", "/token"],
)  # fmt: skip
def test_HEAD_is_GET_without_the_body(shared_server: RunningServer, repository: str, path: str) -> None:
    built = image()
    push(shared_server, repository, built, "v1")
    target = path.format(name=repository, digest=digest_of(built.blobs[0]))

    got, headed = (shared_server.request(method, target) for method in ("GET", "HEAD"))

    assert (headed.status, headed.body) == (got.status, b"")
    assert headed.headers["Content-Type"] == got.headers["Content-Type"]
    assert headed.headers["Content-Length"] == str(len(got.body))


def test_HEAD_of_an_upload_is_its_status(shared_server: RunningServer, repository: str) -> None:
    answer = shared_server.request("HEAD", begin(shared_server, repository))

    assert (answer.status, answer.headers["Range"]) == (204, "0-0")
