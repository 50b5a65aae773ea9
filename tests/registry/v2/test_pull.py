"""Pull (end-1, end-2, end-3): what the specification asks of GET and HEAD, and RFC 9110 of ranges and conditions."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from tests.builders import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    OCI_IMAGE,
    OCI_INDEX,
    digest_of,
    image,
    index,
    push,
    push_blob,
    put_manifest,
    unique_bytes,
)
from tests.conftest import Start
from tests.servers import RunningServer

NOBODY = "sha256:" + "0" * 64
KIB = 1024
BIG = 300 * KIB  # goes out by the kernel, a small one with its headers


# --- end-1 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_end_1_says_yes_to_who_is_logged_in(shared_server: RunningServer, path: str, method: str) -> None:
    answer = shared_server.request(method, path)

    assert answer.status == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


def test_end_1_asks_for_a_login(shared_server: RunningServer) -> None:
    answer = shared_server.request("GET", "/v2/", auth=None)

    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer realm=")


# --- end-2: blobs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 64 * KIB + 1, BIG], ids=lambda size: f"{size}-bytes")
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_end_2_GET_MUST_give_the_blob_with_200_and_its_digest(
    shared_server: RunningServer, repository: str, algorithm: str, size: int
) -> None:
    data = unique_bytes(size)
    digest = push_blob(shared_server, repository, data, algorithm=algorithm)

    answer = shared_server.request("GET", f"/v2/{repository}/blobs/{digest}")

    assert answer.status == 200
    assert answer.body == data
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["Content-Length"] == str(size)


@pytest.mark.parametrize("size", [0, 1, BIG], ids=lambda size: f"{size}-bytes")
def test_end_2_HEAD_MUST_tell_digest_and_size(shared_server: RunningServer, repository: str, size: int) -> None:
    digest = push_blob(shared_server, repository, unique_bytes(size))

    answer = shared_server.request("HEAD", f"/v2/{repository}/blobs/{digest}")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["Content-Length"] == str(size)
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_end_2_HEAD_tells_what_GET_tells(shared_server: RunningServer, repository: str) -> None:
    digest = push_blob(shared_server, repository, unique_bytes(BIG))

    heads = [
        dict(shared_server.request(method, f"/v2/{repository}/blobs/{digest}").headers) for method in ("GET", "HEAD")
    ]

    for one in heads:
        del one["Date"]
        one.pop("x-amzn-RequestId", None)
    assert heads[0] == heads[1]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_end_2_a_blob_that_is_not_there_MUST_be_404(shared_server: RunningServer, repository: str, method: str) -> None:
    answer = shared_server.request(method, f"/v2/{repository}/blobs/{NOBODY}")

    assert answer.status == 404
    assert method == "HEAD" or answer.code == "BLOB_UNKNOWN"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_end_2_a_blob_of_another_repository_is_404(
    shared_server: RunningServer, repository: str, ecr: Any, method: str
) -> None:
    digest = push_blob(shared_server, repository, unique_bytes())
    other = f"{repository}-other"
    ecr.create_repository(repositoryName=other)

    assert shared_server.request(method, f"/v2/{other}/blobs/{digest}").status == 404


@pytest.mark.parametrize("kind", ["blobs", "manifests", "referrers"])
def test_a_repository_that_does_not_exist_MUST_be_404(shared_server: RunningServer, kind: str) -> None:
    answer = shared_server.request("GET", f"/v2/never/made/{kind}/{NOBODY}")

    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_a_colon_may_come_escaped(shared_server: RunningServer, repository: str) -> None:
    data = unique_bytes()
    escaped = push_blob(shared_server, repository, data).replace(":", "%3A")

    assert shared_server.request("GET", f"/v2/{repository}/blobs/{escaped}").body == data
    assert shared_server.request("GET", f"/v2/{repository}/blobs/{escaped.lower()}").body == data


# --- ranges (RFC 9110, section 14) ------------------------------------------------------------------------------------

RANGES = {
    "first-bytes": ("bytes=0-9", 0, 10),
    "middle": ("bytes=1000-1999", 1000, 2000),
    "one-byte": ("bytes=7-7", 7, 8),
    "open-end": ("bytes=4000-", 4000, 5000),
    "from-zero": ("bytes=0-", 0, 5000),
    "suffix": ("bytes=-10", 4990, 5000),
    "suffix-longer-than-all": ("bytes=-99999", 0, 5000),
    "end-beyond-the-blob": ("bytes=4990-99999", 4990, 5000),
    "spaces-around": (" bytes=0-9 ", 0, 10),
}


@pytest.mark.parametrize(("wanted", "first", "stop"), RANGES.values(), ids=list(RANGES))
def test_a_range_is_206_with_its_bytes(
    shared_server: RunningServer, repository: str, wanted: str, first: int, stop: int
) -> None:
    data = unique_bytes(5000)
    digest = push_blob(shared_server, repository, data)

    answer = shared_server.request("GET", f"/v2/{repository}/blobs/{digest}", headers={"Range": wanted})

    assert answer.status == 206
    assert answer.body == data[first:stop]
    assert answer.headers["Content-Range"] == f"bytes {first}-{stop - 1}/5000"
    assert answer.headers["Content-Length"] == str(stop - first)
    assert answer.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize(("first", "last"), [(1, BIG - 1), (BIG - 70 * KIB, BIG - 1), (5, 100 * KIB)])
def test_a_long_range_is_206_with_its_bytes(
    shared_server: RunningServer, repository: str, first: int, last: int
) -> None:
    data = unique_bytes(BIG)
    digest = push_blob(shared_server, repository, data)

    answer = shared_server.request(
        "GET", f"/v2/{repository}/blobs/{digest}", headers={"Range": f"bytes={first}-{last}"}
    )

    assert answer.status == 206
    assert answer.body == data[first : last + 1]


@pytest.mark.parametrize(
    "wanted", ["bytes=5000-", "bytes=5000-6000", "bytes=-0", "bytes=500-0", "bytes=999999999999999999-"]
)
def test_a_range_with_nothing_in_it_is_416(shared_server: RunningServer, repository: str, wanted: str) -> None:
    digest = push_blob(shared_server, repository, unique_bytes(5000))

    answer = shared_server.request("GET", f"/v2/{repository}/blobs/{digest}", headers={"Range": wanted})

    assert (answer.status, answer.code) == (416, "SIZE_INVALID")
    assert answer.headers["Content-Range"] == "bytes */5000"


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=0-9,20-29",
        "bytes=0-0,-1",
        "lines=0-9",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes 0-9",
        "bytes=0x0-9",
        "0-9",
    ],
)
def test_a_range_of_another_form_is_the_whole_blob(shared_server: RunningServer, repository: str, wanted: str) -> None:
    data = unique_bytes(5000)
    digest = push_blob(shared_server, repository, data)

    answer = shared_server.request("GET", f"/v2/{repository}/blobs/{digest}", headers={"Range": wanted})

    assert (answer.status, answer.body) == (200, data)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize(
    ("form", "status"),
    [('"{digest}"', 206), ('W/"{digest}"', 200), ('"sha256:other"', 200), ("Tue, 01 Jan 2030 00:00:00 GMT", 200)],
    ids=["the-etag", "weak", "another", "a-date"],
)
def test_if_range_gives_the_part_only_of_the_same_bytes(
    shared_server: RunningServer, repository: str, form: str, status: int
) -> None:
    data = unique_bytes(5000)
    digest = push_blob(shared_server, repository, data)
    headers = {"Range": "bytes=0-9", "If-Range": form.format(digest=digest)}

    answer = shared_server.request("GET", f"/v2/{repository}/blobs/{digest}", headers=headers)

    assert answer.status == status
    assert answer.body == (data[:10] if status == 206 else data)


def test_head_knows_no_ranges(shared_server: RunningServer, repository: str) -> None:
    digest = push_blob(shared_server, repository, unique_bytes(5000))

    answer = shared_server.request("HEAD", f"/v2/{repository}/blobs/{digest}", headers={"Range": "bytes=0-9"})

    assert (answer.status, answer.headers["Content-Length"]) == (200, "5000")


def test_a_range_of_a_blob_that_is_not_there_is_404(shared_server: RunningServer, repository: str) -> None:
    answer = shared_server.request("GET", f"/v2/{repository}/blobs/{NOBODY}", headers={"Range": "bytes=9-1"})

    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


def test_a_pull_resumes_where_it_was_cut(shared_server: RunningServer, repository: str) -> None:
    data = unique_bytes(BIG)
    path = f"/v2/{repository}/blobs/{push_blob(shared_server, repository, data)}"
    first = shared_server.request("GET", path, headers={"Range": "bytes=0-123455"})

    rest = shared_server.request(
        "GET", path, headers={"Range": f"bytes={len(first.body)}-", "If-Range": first.headers["ETag"]}
    )

    assert first.body + rest.body == data


# --- conditions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("form", ['"{digest}"', 'W/"{digest}"', '"other", "{digest}"', "*"])
@pytest.mark.parametrize("kind", ["blobs", "manifests"])
def test_who_has_the_bytes_gets_304(
    shared_server: RunningServer, repository: str, kind: str, form: str, method: str
) -> None:
    built = image()
    manifest = push(shared_server, repository, built)
    digest = manifest if kind == "manifests" else digest_of(built.blobs[0])
    known = form.format(digest=digest)

    answer = shared_server.request(method, f"/v2/{repository}/{kind}/{digest}", headers={"If-None-Match": known})

    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["ETag"] == f'"{digest}"'
    assert answer.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("kind", ["blobs", "manifests"])
@pytest.mark.parametrize("form", ['"{digest}"', "*"])
def test_a_condition_does_not_make_what_is_not_there(
    shared_server: RunningServer, repository: str, kind: str, form: str, method: str
) -> None:
    known = {"If-None-Match": form.format(digest=NOBODY)}

    assert shared_server.request(method, f"/v2/{repository}/{kind}/{NOBODY}", headers=known).status == 404
    assert shared_server.request(method, f"/v2/never/made/{kind}/{NOBODY}", headers=known).status == 404


def test_another_etag_gets_the_bytes(shared_server: RunningServer, repository: str) -> None:
    built = image()
    push(shared_server, repository, built, "v1")

    answer = shared_server.request("GET", f"/v2/{repository}/manifests/v1", headers={"If-None-Match": f'"{NOBODY}"'})

    assert (answer.status, answer.body) == (200, built.body)


# --- end-3: manifests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["tag", "digest"])
@pytest.mark.parametrize("media_type", [OCI_IMAGE, DOCKER_IMAGE])
def test_end_3_GET_MUST_give_the_manifest_as_it_was_pushed(
    shared_server: RunningServer, repository: str, media_type: str, by: str
) -> None:
    built = image(media_type=media_type)
    push(shared_server, repository, built, "v1")

    answer = shared_server.request("GET", f"/v2/{repository}/manifests/{'v1' if by == 'tag' else built.digest}")

    assert (answer.status, answer.body) == (200, built.body)
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Docker-Content-Digest"] == built.digest
    assert answer.headers["Content-Length"] == str(len(built.body))


@pytest.mark.parametrize("by", ["tag", "digest"])
@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_end_3_HEAD_MUST_tell_digest_and_size(
    shared_server: RunningServer, repository: str, media_type: str, by: str
) -> None:
    child = image()
    push(shared_server, repository, child)
    built = index(child, media_type=media_type)
    push(shared_server, repository, built, "v1")

    answer = shared_server.request("HEAD", f"/v2/{repository}/manifests/{'v1' if by == 'tag' else built.digest}")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Docker-Content-Digest"] == built.digest
    assert answer.headers["Content-Length"] == str(len(built.body))


@pytest.mark.parametrize("reference", ["absent", NOBODY, "sha512:" + "0" * 128])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_end_3_a_manifest_that_is_not_there_MUST_be_404(
    shared_server: RunningServer, repository: str, reference: str, method: str
) -> None:
    answer = shared_server.request(method, f"/v2/{repository}/manifests/{reference}")

    assert answer.status == 404
    assert method == "HEAD" or answer.code == "MANIFEST_UNKNOWN"


@pytest.mark.parametrize(
    "accept",
    [None, "*/*", OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, "application/json", "text/html", f"{OCI_INDEX}, {DOCKER_LIST}"],
)
def test_end_3_one_digest_has_one_form_whatever_is_accepted(
    shared_server: RunningServer, repository: str, accept: str | None
) -> None:
    built = image()
    push(shared_server, repository, built, "v1")

    answer = shared_server.request(
        "GET", f"/v2/{repository}/manifests/v1", headers={"Accept": accept} if accept else None
    )

    assert (answer.status, answer.body) == (200, built.body)
    assert answer.headers["Content-Type"] == OCI_IMAGE  # and no parameter with it


def test_end_3_a_tag_is_not_found_by_the_start_of_its_name(shared_server: RunningServer, repository: str) -> None:
    push(shared_server, repository, image(), "v10")

    assert [
        shared_server.request("GET", f"/v2/{repository}/manifests/{tag}").status for tag in ("v1", "V10", "v100")
    ] == [
        404,
        404,
        404,
    ]


def test_a_repository_may_be_called_like_a_route(shared_server: RunningServer, ecr: Any) -> None:
    """The path is read from its end."""
    for name in ("a/manifests/b", "tags/list", "x/blobs/uploads", "blobs/referrers"):
        ecr.create_repository(repositoryName=name)
        built = image()
        push(shared_server, name, built, "v1")

        assert shared_server.request("GET", f"/v2/{name}/manifests/v1").body == built.body
        assert shared_server.request("GET", f"/v2/{name}/tags/list").json == {"name": name, "tags": ["v1"]}


def test_unknown_fields_and_spacing_are_kept_to_the_byte(shared_server: RunningServer, repository: str) -> None:
    """The registry MUST store the manifest in the exact byte representation provided by the client."""
    built = image(**cast(Any, {"org.example.unknown": [1, {"a": None}]}))
    push(shared_server, repository, built)
    spaced = built._replace(body=json.dumps(built.document, indent=3).encode() + b"\n\n")
    assert put_manifest(shared_server, repository, spaced, "spaced").status == 201

    assert shared_server.request("GET", f"/v2/{repository}/manifests/spaced").body == spaced.body


def test_one_connection_serves_many_pulls(shared_server: RunningServer, repository: str) -> None:
    """Every answer ends where it says: HEADs, ranges, refusals and blobs in turn."""
    data = {digest_of(part): part for part in (unique_bytes(10), unique_bytes(BIG), b"")}
    for part in data.values():
        push_blob(shared_server, repository, part)
    connection = http.client.HTTPConnection(shared_server.netloc, timeout=20)
    seen = []
    for method, wanted in (("HEAD", None), ("GET", "bytes=3-"), ("GET", None), ("GET", "bytes=9-1")):
        for digest in (*data, NOBODY):
            headers = {"Authorization": shared_server.basic, **({"Range": wanted} if wanted else {})}
            connection.request(method, f"/v2/{repository}/blobs/{digest}", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            seen.append(answer.status)
            if (method, wanted, answer.status) == ("GET", None, 200):
                assert body == data[digest]
    connection.close()

    assert seen == [200, 200, 200, 404, 206, 206, 416, 404, 200, 200, 200, 404, 416, 416, 416, 404]


def test_blobs_are_served_over_tls(start_server: Start, tmp_path: Path) -> None:
    """TLS takes the other way of sending: the kernel cannot encrypt."""
    authority = trustme.CA()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("127.0.0.1")
    chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    server = start_server(
        LONGSHORE_HTTP__TLS_CERT=str(chain), LONGSHORE_HTTP__TLS_KEY=str(key), LONGSHORE_REGISTRY__CREATE_ON_PUSH="true"
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)
    connection = http.client.HTTPSConnection(server.netloc, context=context, timeout=20)
    data = unique_bytes(3 * BIG)
    auth = {"Authorization": server.basic}
    connection.request("POST", f"/v2/app/blobs/uploads/?digest={digest_of(data)}", data, auth)
    assert connection.getresponse().read() == b""

    connection.request("GET", f"/v2/app/blobs/{digest_of(data)}", headers=auth)
    whole = connection.getresponse().read()
    connection.request("GET", f"/v2/app/blobs/{digest_of(data)}", headers={**auth, "Range": "bytes=100-"})
    part = connection.getresponse().read()
    connection.close()

    assert whole == data
    assert part == data[100:]
