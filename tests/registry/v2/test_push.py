"""Push of blobs (end-4a/b/c, end-5, end-6, end-11, end-13, end-14): what the specification asks of every way in."""

import http.client
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import wire
from tests.builders import digest_of, image, push, push_blob, unique_bytes, unique_name
from tests.conftest import Start
from tests.damage import file_of, stored_files
from tests.servers import Answer, RunningServer
from tests.waiting import until

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
EMPTY = digest_of(b"")
ALGORITHMS = ("sha256", "sha512")
KIB = 1024


def begin(server: RunningServer, repository: str, query: str = "") -> str:
    """POST; the upload's Location."""
    answer = server.request("POST", f"/v2/{repository}/blobs/uploads/{query}")
    assert answer.status == 202
    return str(answer.headers["Location"])


def patch(server: RunningServer, location: str, data: bytes, first: int | None = None) -> Answer:
    headers = {} if first is None else {"Content-Range": f"{first}-{first + len(data) - 1}"}
    return server.request("PATCH", location, data, headers)


def close(server: RunningServer, location: str, digest: str, data: bytes | None = None, **headers: str) -> Answer:
    return server.request("PUT", f"{location}?digest={digest}", data, headers)


def at_once(*calls: tuple[Callable[..., None], Any]) -> None:
    """Run every (function, argument) in a thread of its own, all beginning together."""
    barrier = threading.Barrier(len(calls))

    def run(function: Callable[..., None], argument: Any) -> None:
        barrier.wait(20)
        function(argument)

    threads = [threading.Thread(target=run, args=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def pulled(server: RunningServer, repository: str, digest: str) -> bytes:
    answer = server.request("GET", f"/v2/{repository}/blobs/{digest}")
    assert answer.status == 200
    return answer.body


def has(server: RunningServer, repository: str, digest: str) -> bool:
    return server.request("HEAD", f"/v2/{repository}/blobs/{digest}").status == 200


def assert_created(server: RunningServer, answer: Answer, digest: str, data: bytes) -> None:
    """201 with a Location that MUST be a pullable blob URL."""
    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Docker-Content-Digest"] == digest
    assert server.request("GET", answer.headers["Location"]).body == data


# --- end-4a, end-6: POST then PUT -------------------------------------------------------------------------------------


def test_end_4a_MUST_be_202_with_a_location_that_holds_a_uuid(shared_server: RunningServer, repository: str) -> None:
    answer = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/")
    location = answer.headers["Location"]

    assert (answer.status, answer.body) == (202, b"")
    assert re.fullmatch(rf"/v2/{repository}/blobs/uploads/{UUID}\.[\w-]+", location)
    assert answer.headers["Docker-Upload-UUID"] in location
    assert answer.headers["OCI-Chunk-Min-Length"] == str(64 * KIB)
    assert answer.headers["Range"] == "0-0"


def test_end_4a_two_uploads_have_two_ids(shared_server: RunningServer, repository: str) -> None:
    assert begin(shared_server, repository) != begin(shared_server, repository)


def test_end_4a_works_without_the_last_slash(shared_server: RunningServer, repository: str) -> None:
    assert shared_server.request("POST", f"/v2/{repository}/blobs/uploads").status == 202


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 700 * KIB], ids=lambda size: f"{size}-bytes")
def test_end_6_POST_then_PUT_MUST_be_201_with_a_pullable_location(
    shared_server: RunningServer, repository: str, size: int, algorithm: str
) -> None:
    data = unique_bytes(size)
    digest = digest_of(data, algorithm)
    location = begin(shared_server, repository, f"?digest-algorithm={algorithm}")

    answer = close(shared_server, location, digest, data, **{"Content-Type": "application/octet-stream"})

    assert_created(shared_server, answer, digest, data)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_end_6_the_algorithm_may_be_named_by_the_digest_alone(
    shared_server: RunningServer, repository: str, algorithm: str
) -> None:
    data = unique_bytes()
    digest = digest_of(data, algorithm)

    assert_created(shared_server, close(shared_server, begin(shared_server, repository), digest, data), digest, data)


def test_end_6_a_digest_may_come_escaped(shared_server: RunningServer, repository: str) -> None:
    data = unique_bytes()
    location = begin(shared_server, repository)

    assert close(shared_server, location, digest_of(data).replace(":", "%3A"), data).status == 201


def test_end_6_a_body_may_come_in_chunks_of_http(shared_server: RunningServer, repository: str) -> None:
    data = unique_bytes(300 * KIB)

    def pieces() -> Iterator[bytes]:
        for first in range(0, len(data), 7777):
            yield data[first : first + 7777]

    answer = shared_server.request("PUT", f"{begin(shared_server, repository)}?digest={digest_of(data)}", pieces())

    assert_created(shared_server, answer, digest_of(data), data)


def test_end_6_other_bytes_than_the_digests_MUST_NOT_be_accepted(shared_server: RunningServer, repository: str) -> None:
    data = unique_bytes()
    location = begin(shared_server, repository)

    refused = close(shared_server, location, digest_of(b"else"), data)

    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    assert not has(shared_server, repository, digest_of(b"else"))
    assert not has(shared_server, repository, digest_of(data))
    assert close(shared_server, location, digest_of(data), data).status == 201  # nothing was sent before: try again


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "after-a-chunk"])
def test_end_6_a_put_that_is_sent_again_is_201_again(
    shared_server: RunningServer, repository: str, chunked: bool
) -> None:
    """F04: the first answer may have been lost on the way."""
    data = unique_bytes(100 * KIB)
    location, sent = begin(shared_server, repository), 70 * KIB if chunked else 0
    if chunked:
        patch(shared_server, location, data[:sent], 0)
    for _ in range(2):
        assert_created(
            shared_server, close(shared_server, location, digest_of(data), data[sent:]), digest_of(data), data
        )

    assert_created(shared_server, close(shared_server, location, digest_of(data)), digest_of(data), data)
    assert close(shared_server, location, digest_of(b"else")).status == 404


def test_end_6_a_put_without_bytes_makes_no_blob_of_another_upload(
    shared_server: RunningServer, repository: str
) -> None:
    digest = push_blob(shared_server, repository, unique_bytes())

    answer = close(shared_server, begin(shared_server, repository), digest)

    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_end_6_without_a_digest_is_400(shared_server: RunningServer, repository: str) -> None:
    answer = shared_server.request("PUT", begin(shared_server, repository), b"x")

    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


# --- end-4b: single POST ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 1, 700 * KIB], ids=lambda size: f"{size}-bytes")
def test_end_4b_single_POST_MUST_be_201_with_a_pullable_location(
    shared_server: RunningServer, repository: str, size: int, algorithm: str
) -> None:
    data = unique_bytes(size)
    digest = digest_of(data, algorithm)

    answer = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)

    assert_created(shared_server, answer, digest, data)


def test_end_4b_without_a_body_begins_an_upload(shared_server: RunningServer, repository: str) -> None:
    data = unique_bytes()

    location = begin(shared_server, repository, f"?digest={digest_of(data)}")

    assert_created(shared_server, close(shared_server, location, digest_of(data), data), digest_of(data), data)


def test_end_4b_other_bytes_are_400_and_nothing_is_kept(shared_server: RunningServer, repository: str) -> None:
    before = stored_files(shared_server.data)

    answer = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(b'else')}", b"these")

    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert stored_files(shared_server.data) == before


# --- end-5: chunks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["by-patch", "by-put"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("ranged", [True, False], ids=["ranged", "streamed"])
def test_end_5_chunks_MUST_be_202_with_location_and_range(
    shared_server: RunningServer, repository: str, algorithm: str, last: str, ranged: bool
) -> None:
    chunks = [unique_bytes(size) for size in (64 * KIB, 200 * KIB, 70 * KIB, 5)]
    data = b"".join(chunks)
    location, size = begin(shared_server, repository, f"?digest-algorithm={algorithm}"), 0
    for chunk in chunks[:-1]:
        answer = patch(shared_server, location, chunk, size if ranged else None)
        size += len(chunk)
        location = answer.headers["Location"]

        assert (answer.status, answer.headers["Range"]) == (202, f"0-{size - 1}")
    if last == "by-patch":
        assert patch(shared_server, location, chunks[-1], size).status == 202
        done = close(shared_server, location, digest_of(data, algorithm))
    else:
        range_ = {"Content-Range": f"{size}-{len(data) - 1}"} if ranged else {}
        done = close(shared_server, location, digest_of(data, algorithm), chunks[-1], **range_)

    assert_created(shared_server, done, digest_of(data, algorithm), data)


def test_end_5_a_location_stays_good_for_the_whole_upload(shared_server: RunningServer, repository: str) -> None:
    location = begin(shared_server, repository)

    for first, chunk in ((0, b"abc"), (3, b"de")):
        assert patch(shared_server, location, chunk, first).status == 202
    assert close(shared_server, location, digest_of(b"abcde")).status == 201


@pytest.mark.parametrize("form", ["bytes 0-4/*", "bytes 0-4/5", "0-4/5", " 0-4 "])
def test_end_5_other_ways_of_writing_a_range_are_understood(
    shared_server: RunningServer, repository: str, form: str
) -> None:
    answer = shared_server.request("PATCH", begin(shared_server, repository), b"12345", {"Content-Range": form})

    assert (answer.status, answer.headers["Range"]) == (202, "0-4")


def test_end_5_a_chunk_may_be_shorter_than_the_advertised_length(shared_server: RunningServer, repository: str) -> None:
    """OCI-Chunk-Min-Length is what clients SHOULD send; a slow one is not refused for it."""
    location = begin(shared_server, repository)

    for first, chunk in enumerate((b"a", b"b", b"c")):
        assert patch(shared_server, location, chunk, first).status == 202
    assert close(shared_server, location, digest_of(b"abc")).status == 201


def test_end_5_the_advertised_length_is_the_operators(start_server: Start) -> None:
    server = start_server(LONGSHORE_STORAGE__MIN_CHUNK="1048576")
    server.create("app")

    answer = server.request("POST", "/v2/app/blobs/uploads/")

    assert answer.headers["OCI-Chunk-Min-Length"] == "1048576"


def test_end_5_an_algorithm_that_was_not_named_is_found_at_the_end(
    shared_server: RunningServer, repository: str
) -> None:
    """Chunks are hashed as they come, by sha256 where nothing else was said; a sha512 digest costs a second reading."""
    data = unique_bytes(100 * KIB)
    location = begin(shared_server, repository)
    patch(shared_server, location, data[: 70 * KIB], 0)
    patch(shared_server, location, data[70 * KIB :], 70 * KIB)

    assert_created(
        shared_server, close(shared_server, location, digest_of(data, "sha512")), digest_of(data, "sha512"), data
    )


def test_end_5_a_chunk_of_nothing_changes_nothing(shared_server: RunningServer, repository: str) -> None:
    location = begin(shared_server, repository)
    patch(shared_server, location, b"abc", 0)

    answer = patch(shared_server, location, b"")

    assert (answer.status, answer.headers["Range"]) == (202, "0-2")
    assert close(shared_server, location, digest_of(b"abc")).status == 201


@pytest.mark.parametrize("first", [0, 2, 4, 999], ids=lambda first: f"at-{first}")
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_end_5_out_of_order_MUST_be_416_and_tells_where_the_upload_is(
    shared_server: RunningServer, repository: str, method: str, first: int
) -> None:
    location = begin(shared_server, repository)
    patch(shared_server, location, b"abc", 0)
    target = f"{location}?digest={digest_of(b'abcde')}"

    refused = shared_server.request(method, target, b"de", {"Content-Range": f"{first}-{first + 1}"})

    assert (refused.status, refused.code) == (416, "BLOB_UPLOAD_INVALID")
    assert refused.headers["Range"] == "0-2"
    assert shared_server.request("GET", location).headers["Range"] == "0-2"
    assert patch(shared_server, location, b"de", 3).status == 202
    assert close(shared_server, location, digest_of(b"abcde")).status == 201


def test_end_5_the_first_chunk_MUST_begin_with_0(shared_server: RunningServer, repository: str) -> None:
    answer = patch(shared_server, begin(shared_server, repository), b"abc", 1)

    assert (answer.status, answer.headers["Range"]) == (416, "0-0")


@pytest.mark.parametrize(
    "form", ["", "bytes", "0-", "-4", "4-0", "a-b", "0-4-8", "bytes=0-4", "0x0-4", "-1-3", "1e1-12"]
)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_end_5_a_range_that_is_none_is_416(
    shared_server: RunningServer, repository: str, method: str, form: str
) -> None:
    location = begin(shared_server, repository)

    refused = shared_server.request(
        method, f"{location}?digest={digest_of(b'12345')}", b"12345", {"Content-Range": form}
    )

    assert (refused.status, refused.code) == (416, "BLOB_UPLOAD_INVALID")
    assert shared_server.request("GET", location).headers["Range"] == "0-0"


@pytest.mark.parametrize("last", [3, 5, 10**17], ids=["too-long-a-body", "too-short-a-body", "by-far"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_end_5_a_body_of_another_length_than_its_range_is_refused(
    shared_server: RunningServer, repository: str, method: str, chunked: bool, last: int
) -> None:
    location = begin(shared_server, repository)
    body: Any = iter([b"12", b"345"]) if chunked else b"12345"

    refused = shared_server.request(
        method, f"{location}?digest={digest_of(b'12345')}", body, {"Content-Range": f"0-{last}"}
    )

    assert (refused.status, refused.code) == (400, "SIZE_INVALID")
    assert shared_server.request("GET", location).headers["Range"] == "0-0"
    assert close(shared_server, location, digest_of(b"12345"), b"12345").status == 201


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "by-chunk"])
def test_end_5_a_finished_upload_takes_no_more(shared_server: RunningServer, repository: str, chunked: bool) -> None:
    location = begin(shared_server, repository)
    if chunked:
        patch(shared_server, location, b"abc", 0)
    close(shared_server, location, digest_of(b"abc"), None if chunked else b"abc")

    for method, target, body in (
        ("PATCH", location, b"de"),
        ("GET", location, None),
        ("DELETE", location, None),
        ("PUT", f"{location}?digest={digest_of(b'else')}", b"else"),
    ):
        answer = shared_server.request(method, target, body)
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN"), method
    assert pulled(shared_server, repository, digest_of(b"abc")) == b"abc"


def test_end_5_a_wrong_digest_ends_the_upload(shared_server: RunningServer, repository: str) -> None:
    before = stored_files(shared_server.data)
    location = begin(shared_server, repository)
    patch(shared_server, location, b"abc", 0)

    refused = close(shared_server, location, digest_of(b"else"))

    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    assert shared_server.request("GET", location).status == 404
    assert stored_files(shared_server.data) == before


def test_end_5_of_many_equal_chunks_one_gets_in(start_server: Start) -> None:
    """Over two processes: the bytes of the losers never become part of the blob."""
    server = start_server("--workers", "2")
    server.create("app")
    for _ in range(5):
        answers: dict[bytes, int] = {}
        location = begin(server, "app")

        def send(letter: bytes, location: str = location, answers: dict[bytes, int] = answers) -> None:
            answers[letter] = patch(server, location, letter * 50_000, 0).status

        at_once(*[(send, bytes([letter])) for letter in b"ABCDEFGH"])
        winners = [letter for letter, status in answers.items() if status == 202]

        assert sorted(answers.values()) == [202] + [416] * 7
        assert close(server, location, digest_of(winners[0] * 50_000)).status == 201


def test_end_5_a_chunk_that_was_cut_keeps_what_came(shared_server: RunningServer, repository: str) -> None:
    """The upload resumes where GET says: never behind what came, never before what was acknowledged."""
    data = unique_bytes(100 * KIB)
    location = begin(shared_server, repository)
    with wire.connect(shared_server) as connection:
        head = {"Host": shared_server.netloc, "Authorization": shared_server.basic, "Content-Length": str(len(data))}
        connection.send(wire.head("PATCH", location, head) + data[: 60 * KIB])
    until(lambda: shared_server.request("GET", location).headers["Range"] != "0-0")
    size = int(shared_server.request("GET", location).headers["Range"].partition("-")[2]) + 1

    assert size <= 60 * KIB
    assert patch(shared_server, location, data[size:], size).status == 202
    assert close(shared_server, location, digest_of(data)).status == 201


def test_end_5_an_upload_goes_on_in_another_process(start_server: Start) -> None:
    """The running hash is in the first one's memory only: the second reads the bytes again."""
    server = start_server()
    server.create("app")
    location = begin(server, "app")
    data = unique_bytes(300 * KIB)
    patch(server, location, data[: 150 * KIB], 0)
    server.stop()
    server.start()

    assert patch(server, location, data[150 * KIB :], 150 * KIB).status == 202
    assert_created(server, close(server, location, digest_of(data)), digest_of(data), data)


def test_end_5_a_client_that_asks_first_is_told_to_send(shared_server: RunningServer, repository: str) -> None:
    """Expect: 100-continue; a refused request is refused before its body is sent."""
    base = {"Host": shared_server.netloc, "Authorization": shared_server.basic, "Expect": "100-continue"}
    location = begin(shared_server, repository)
    with wire.connect(shared_server) as connection:
        connection.send(wire.head("PATCH", location, {**base, "Content-Length": "3"}))
        assert connection.take(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"abc")
        taken = connection.receive()
    with wire.connect(shared_server) as connection:
        connection.send(wire.head("PATCH", location, {**base, "Content-Length": "3", "Content-Range": "9-11"}))
        refused = connection.receive()

    assert (taken.status, taken.headers["Range"]) == (202, "0-2")
    assert refused.status == 416


# --- end-13, end-14: status and cancel --------------------------------------------------------------------------------


def test_end_13_MUST_be_204_with_location_and_range(shared_server: RunningServer, repository: str) -> None:
    location = begin(shared_server, repository)
    before = shared_server.request("GET", location)
    patch(shared_server, location, b"abc", 0)

    after = shared_server.request("GET", location)

    assert (before.status, before.headers["Range"]) == (204, "0-0")
    assert (after.status, after.headers["Range"]) == (204, "0-2")
    assert after.headers["Location"] == location


@pytest.mark.parametrize("written", [True, False], ids=["with-bytes", "before-any"])
def test_end_14_SHOULD_be_204_and_ends_the_upload(shared_server: RunningServer, repository: str, written: bool) -> None:
    server, before = shared_server, stored_files(shared_server.data)
    location = begin(server, repository)
    if written:
        patch(server, location, b"abc", 0)

    cancelled = server.request("DELETE", location)

    assert (cancelled.status, cancelled.body) == (204, b"")
    assert stored_files(server.data) == before
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answer = server.request(method, f"{location}?digest={digest_of(b'abc')}", b"abc")
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN"), method
    assert not has(server, repository, digest_of(b"abc"))


# --- end-4c: digest-algorithm -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha384", "blake3", "SHA256", "sha256,sha512", "sha-256", "%00"])
def test_end_4c_an_unsupported_algorithm_SHOULD_be_400(
    shared_server: RunningServer, repository: str, algorithm: str
) -> None:
    answer = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/?digest-algorithm={algorithm}")

    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


# --- end-11: mount ----------------------------------------------------------------------------------------------------


@pytest.fixture
def source(shared_server: RunningServer, ecr: Any) -> str:
    """A second repository."""
    name = unique_name("source")
    ecr.create_repository(repositoryName=name)
    return name


@pytest.mark.parametrize("named", [True, False], ids=["from", "from-anywhere"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_end_11_mount_MUST_be_201_with_a_pullable_location(
    shared_server: RunningServer, repository: str, source: str, algorithm: str, named: bool
) -> None:
    data = unique_bytes()
    digest = push_blob(shared_server, source, data, algorithm=algorithm)
    query = f"?mount={digest}" + (f"&from={source}" if named else "")

    answer = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/{query}")

    assert_created(shared_server, answer, digest, data)
    assert answer.headers["Location"] == f"/v2/{repository}/blobs/{digest}"


def test_end_11_a_mount_copies_no_bytes_and_outlives_its_source(
    shared_server: RunningServer, repository: str, source: str
) -> None:
    data = unique_bytes()
    digest = push_blob(shared_server, source, data)
    before = file_of(shared_server.data, digest)
    shared_server.request("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={source}")
    shared_server.request("DELETE", f"/v2/{source}/blobs/{digest}")

    assert file_of(shared_server.data, digest) == before
    assert not has(shared_server, source, digest)
    assert pulled(shared_server, repository, digest) == data


@pytest.mark.parametrize("from_", ["never/made", "Not-A-Name", "{other}", "", "../{source}"])
def test_end_11_what_cannot_be_mounted_SHOULD_begin_an_upload(
    shared_server: RunningServer, repository: str, source: str, from_: str
) -> None:
    data = unique_bytes()
    digest = push_blob(shared_server, source, data)
    named = from_.format(source=source, other=repository)

    answer = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={named}")

    assert answer.status == 202
    assert not has(shared_server, repository, digest)
    assert close(shared_server, answer.headers["Location"], digest, data).status == 201


def test_end_11_a_digest_that_nobody_has_begins_an_upload(shared_server: RunningServer, repository: str) -> None:
    answer = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/?mount={digest_of(unique_bytes())}")

    assert answer.status == 202


def test_end_11_mounting_can_be_turned_off(start_server: Start) -> None:
    server = start_server()
    for name in ("one", "two"):
        server.create(name)
    digest = push_blob(server, "one", unique_bytes())
    with server.client() as ecr:
        ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")

    assert server.request("POST", f"/v2/two/blobs/uploads/?mount={digest}&from=one").status == 202
    assert not has(server, "two", digest)


def test_end_11_bytes_encrypted_otherwise_are_not_shared(shared_server: RunningServer, ecr: Any, source: str) -> None:
    """ECR mounts between repositories of one encryption setting only."""
    target = unique_name()
    ecr.create_repository(repositoryName=target, encryptionConfiguration={"encryptionType": "KMS"})
    digest = push_blob(shared_server, source, unique_bytes())

    assert shared_server.request("POST", f"/v2/{target}/blobs/uploads/?mount={digest}&from={source}").status == 202


# --- create on push ---------------------------------------------------------------------------------------------------


def test_without_create_on_push_a_push_to_no_repository_is_404(shared_server: RunningServer) -> None:
    name = unique_name("absent")

    for answer in (
        shared_server.request("POST", f"/v2/{name}/blobs/uploads/"),
        shared_server.request("PUT", f"/v2/{name}/manifests/v1", image().body),
    ):
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
        assert f"aws ecr create-repository --repository-name {name}" in answer.json["errors"][0]["message"]
    assert shared_server.request("GET", f"/v2/{name}/tags/list").status == 404


@pytest.fixture(scope="module")
def creating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that makes repositories on push."""
    data = tmp_path_factory.mktemp("creating") / "data"
    server = RunningServer(data, LONGSHORE_REGISTRY__CREATE_ON_PUSH="true")
    server.start()
    yield server
    server.stop()


def test_with_create_on_push_the_first_push_makes_the_repository(creating: RunningServer) -> None:
    built, name = image(), unique_name("team/new")

    push(creating, name, built, "v1")

    assert creating.request("GET", f"/v2/{name}/manifests/v1").body == built.body
    with creating.client() as ecr:
        assert ecr.describe_repositories(repositoryNames=[name])["repositories"]


def test_with_create_on_push_a_read_still_makes_nothing(creating: RunningServer) -> None:
    name = unique_name("team/new")
    reads = (("GET", "tags/list"), ("HEAD", "manifests/v1"), ("GET", f"blobs/{EMPTY}"), ("DELETE", "manifests/v1"))
    for method, path in reads:
        assert creating.request(method, f"/v2/{name}/{path}").status == 404

    assert name not in creating.request("GET", "/v2/_catalog").json["repositories"]


def test_with_create_on_push_many_first_pushes_make_one_repository(creating: RunningServer) -> None:
    name, statuses = unique_name("team/new"), []

    def send(path: str) -> None:
        statuses.append(creating.request("POST", path).status)

    at_once(*[(send, f"/v2/{name}/blobs/uploads/")] * 8)

    assert statuses == [202] * 8
    assert creating.request("GET", "/v2/_catalog").json["repositories"].count(name) == 1


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that takes blobs of a thousand bytes, and no body that drips."""
    limits = {"LONGSHORE_LIMITS__LAYER_BYTES": "1000", "LONGSHORE_LIMITS__BODY_FLOOR_SECONDS": "1"}
    server = RunningServer(tmp_path_factory.mktemp("narrow") / "data", **limits)
    server.start()
    server.create("app")
    yield server
    server.stop()


@pytest.mark.parametrize("way", ["post", "put", "patch", "second-patch"])
def test_a_blob_over_the_limit_is_413_and_leaves_nothing(narrow: RunningServer, way: str) -> None:
    data, before = unique_bytes(1001), stored_files(narrow.data)
    location = begin(narrow, "app")
    if way == "post":
        refused = narrow.request("POST", f"/v2/app/blobs/uploads/?digest={digest_of(data)}", data)
    elif way == "put":
        refused = close(narrow, location, digest_of(data), data)
    elif way == "patch":
        refused = patch(narrow, location, data, 0)
    else:
        assert patch(narrow, location, data[:600], 0).status == 202
        refused = patch(narrow, location, data[600:], 600)

    assert (refused.status, refused.code) == (413, "DENIED")
    if way == "second-patch":
        assert narrow.request("GET", location).headers["Range"] == "0-599"
        narrow.request("DELETE", location)
    assert stored_files(narrow.data) == before


def test_a_blob_of_the_limit_gets_in(narrow: RunningServer) -> None:
    assert push_blob(narrow, "app", unique_bytes(1000))


def test_a_body_that_drips_is_cut_off_and_can_be_resumed(narrow: RunningServer) -> None:
    """T26: 408 once it fell below the floor; what came stays."""
    server, location = narrow, begin(narrow, "app")
    with wire.connect(server) as connection:
        head = {"Host": server.netloc, "Authorization": server.basic, "Content-Length": "900"}
        connection.send(wire.head("PATCH", location, head) + b"abc")
        answer = connection.receive()

    assert (answer.status, answer.code) == (408, "BLOB_UPLOAD_INVALID")
    assert server.request("GET", location).headers["Range"] == "0-2"
    assert close(server, location, digest_of(b"abcde"), b"de").status == 201


def test_a_keep_alive_connection_carries_a_whole_push(shared_server: RunningServer, repository: str) -> None:
    """Refusals in between leave it in step."""
    data = unique_bytes(300 * KIB)
    connection = http.client.HTTPConnection(shared_server.netloc, timeout=20)

    def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, http.client.HTTPMessage]:
        connection.request(method, path, body, {"Authorization": shared_server.basic, **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers

    location = ask("POST", f"/v2/{repository}/blobs/uploads/")[1]["Location"]
    seen = [
        ask("PATCH", location, data[:100_000], **{"Content-Range": "5-100004"})[0],
        ask("PATCH", location, data[:100_000], **{"Content-Range": "0-99999"})[0],
        ask("PUT", location, data[100_000:])[0],
        ask("PUT", f"{location}?digest={digest_of(data)}", data[100_000:])[0],
        ask("HEAD", f"/v2/{repository}/blobs/{digest_of(data)}")[0],
    ]
    connection.close()

    assert seen == [416, 202, 400, 201, 200]
