"""promises.md T10, T13, T14, T18, T19, T23: uploads of others, forged, mislabelled, without end, compressed."""

import gzip
import io
import json
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import iam, wire
from tests.builders import digest_of, image, push, push_blob, put_manifest, unique_bytes, unique_name
from tests.damage import file_of, stored_files
from tests.forgery import altered, sealer_of
from tests.servers import Answer, RunningServer, basic

MIB = 1024 * 1024


def begin(server: RunningServer, repository: str, **more: Any) -> str:
    answer = server.request("POST", f"/v2/{repository}/blobs/uploads/", **more)
    assert answer.status == 202
    return str(answer.headers["Location"])


@pytest.fixture
def other(shared_server: RunningServer, ecr: Any) -> str:
    """A second repository."""
    name = unique_name("other")
    ecr.create_repository(repositoryName=name)
    return name


# --- T10: a blob that was taken away ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 300_000], ids=["small", "large"])
def test_T10_a_blob_is_gone_where_it_was_deleted_whoever_else_read_it(
    shared_server: RunningServer, repository: str, other: str, size: int
) -> None:
    data = unique_bytes(size)
    for name in (repository, other):
        digest = push_blob(shared_server, name, data)
        assert shared_server.request("GET", f"/v2/{name}/blobs/{digest}").body == data
    shared_server.request("DELETE", f"/v2/{repository}/blobs/{digest}")
    kept = shared_server.request("GET", f"/v2/{other}/blobs/{digest}")
    gone = [
        shared_server.request(method, f"/v2/{repository}/blobs/{digest}", headers=headers).status
        for method, headers in (
            ("GET", {}),
            ("HEAD", {}),
            ("GET", {"Range": "bytes=0-9"}),
            ("GET", {"If-None-Match": f'"{digest}"'}),
        )
    ]

    assert kept.body == data
    assert gone == [404] * 4


def test_T10_a_manifest_is_gone_where_it_was_deleted(shared_server: RunningServer, repository: str, other: str) -> None:
    built = image()
    for name in (repository, other):
        push(shared_server, name, built, "v1")
        assert shared_server.request("GET", f"/v2/{name}/manifests/v1").status == 200
    shared_server.request("DELETE", f"/v2/{repository}/manifests/{built.digest}")

    assert shared_server.request("GET", f"/v2/{other}/manifests/v1").body == built.body
    for reference in ("v1", built.digest):
        assert shared_server.request("GET", f"/v2/{repository}/manifests/{reference}").status == 404


# --- T13: another's upload --------------------------------------------------------------------------------------------


def drive(server: RunningServer, location: str, *, auth: str = "", host: str | None = None) -> list[Answer]:
    """Everything that can be done to an upload."""
    headers = {"Host": host} if host else {}
    query = f"?digest={digest_of(b'abcXY')}"
    return [
        server.request(method, location + (query if method == "PUT" else ""), body, headers, auth=auth)
        for method, body in (("GET", None), ("PATCH", b"XY"), ("PUT", b"XY"), ("DELETE", None))
    ]


def untouched(server: RunningServer, location: str) -> bool:
    """Whether the upload still holds `abc`, and becomes its blob."""
    stands = server.request("GET", location).headers["Range"] == "0-2"
    return stands and server.request("PUT", f"{location}?digest={digest_of(b'abc')}").status == 201


def test_T13_an_upload_is_unknown_in_another_repository(
    shared_server: RunningServer, repository: str, other: str
) -> None:
    location = begin(shared_server, repository)
    shared_server.request("PATCH", location, b"abc")

    for answer in drive(shared_server, location.replace(repository, other)):
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert untouched(shared_server, location)


def test_T13_an_upload_is_unknown_in_another_account(shared_server: RunningServer, repository: str) -> None:
    """By its own host, with a repository of the same name; and by ours, where it has no right at all."""
    account, keys = iam.make_account(shared_server)
    with iam.client(shared_server, "ecr", keys) as client:
        client.create_repository(repositoryName=repository)
    auth = basic(keys.access_key_id, keys.secret)
    host = f"{account}.dkr.ecr.us-east-1.localhost"
    location = begin(shared_server, repository)
    shared_server.request("PATCH", location, b"abc")

    at_home = drive(shared_server, location, auth=auth, host=host)
    here = drive(shared_server, location, auth=auth)

    assert [(answer.status, answer.code) for answer in at_home] == [(404, "BLOB_UPLOAD_UNKNOWN")] * 4
    assert [(answer.status, answer.code) for answer in here] == [(403, "DENIED")] * 4
    assert untouched(shared_server, location)


def test_T13_an_upload_needs_the_right_to_upload(shared_server: RunningServer, repository: str) -> None:
    """Its id alone opens nothing, not even its length."""
    name = unique_name("reader")
    _, keys = iam.make_user(shared_server, name)
    with iam.client(shared_server, "iam") as client:
        client.put_user_policy(
            UserName=name,
            PolicyName="read",
            PolicyDocument=iam.policy(Action=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], Resource="*"),
        )
    location = begin(shared_server, repository)
    shared_server.request("PATCH", location, b"abc")

    answers = drive(shared_server, location, auth=basic(keys.access_key_id, keys.secret))

    assert [(answer.status, answer.code) for answer in answers] == [(403, "DENIED")] * 4
    assert untouched(shared_server, location)


def test_T13_an_upload_is_unknown_in_a_repository_that_was_made_again(
    shared_server: RunningServer, repository: str, ecr: Any
) -> None:
    location, unbegun = begin(shared_server, repository), begin(shared_server, repository)
    shared_server.request("PATCH", location, b"abc")
    ecr.delete_repository(repositoryName=repository, force=True)
    ecr.create_repository(repositoryName=repository)

    for answer in (*drive(shared_server, location), *drive(shared_server, unbegun)):
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_T13_an_upload_of_the_api_is_none_of_this_door(shared_server: RunningServer, repository: str, ecr: Any) -> None:
    """Its id is a plain UUID there, which the API binds to who may ask."""
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]

    for answer in drive(shared_server, f"/v2/{repository}/blobs/uploads/{upload}"):
        assert answer.status == 404


# --- T14: forged locations --------------------------------------------------------------------------------------------


def test_T14_no_character_of_a_location_may_change(shared_server: RunningServer, repository: str) -> None:
    location = begin(shared_server, repository)
    shared_server.request("PATCH", location, b"abc")
    path = location.rpartition("/")[2]
    prefix = location.removesuffix(path)
    statuses = {shared_server.request("GET", prefix + text).status for text in altered(path)}

    assert statuses == {404}
    assert untouched(shared_server, location)


@pytest.mark.parametrize("bit", range(8))
def test_T14_no_bit_of_a_location_may_change(shared_server: RunningServer, repository: str, bit: int) -> None:
    """Byte by byte; what is no path any more is refused as such."""
    location = begin(shared_server, repository)
    shared_server.request("PATCH", location, b"abc")
    raw = location.encode()
    changed = [
        raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :] for at in range(len(f"/v2/{repository}"), len(raw))
    ]
    statuses = {wire.ask(shared_server, "GET", target).status for target in changed}

    assert statuses <= {400, 404, 405}
    assert untouched(shared_server, location)


def test_T14_the_two_halves_of_a_location_belong_together(shared_server: RunningServer, repository: str) -> None:
    first, second = (begin(shared_server, repository).rpartition("/")[2].split(".") for _ in range(2))

    answer = shared_server.request("GET", f"/v2/{repository}/blobs/uploads/{first[0]}.{second[1]}")

    assert answer.status == 404


@pytest.mark.parametrize(
    "ticket",
    [[], ["x"], {}, None, ["00000000-0000-4000-8000-000000000000", 1], [5, 1, "sha256"], ["x", "1", "sha256"],
     ["x", 1, "sha256", 1]],
    ids=repr,
)  # fmt: skip
def test_T14_a_location_with_another_content_is_unknown(
    shared_server: RunningServer, repository: str, ticket: Any
) -> None:
    """Sealed by the true key, and still nothing that an upload's id says."""
    sealed = sealer_of(shared_server).seal("upload", json.dumps(ticket).encode())

    answer = shared_server.request("GET", f"/v2/{repository}/blobs/uploads/x.{sealed}")

    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_T14_a_location_with_an_algorithm_that_is_none_is_unknown(
    shared_server: RunningServer, repository: str
) -> None:
    uid, sealed = begin(shared_server, repository).rpartition("/")[2].split(".")
    sealer = sealer_of(shared_server)
    ticket = json.loads(sealer.open("upload", sealed))
    ticket[2] = "md5"
    forged = sealer.seal("upload", json.dumps(ticket).encode())

    for answer in drive(shared_server, f"/v2/{repository}/blobs/uploads/{uid}.{forged}"):
        assert answer.status == 404


# --- T18: the algorithm -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha384", "sha224", "blake2b", "sha3_256"])
def test_T18_an_algorithm_that_is_not_registered_is_400(
    shared_server: RunningServer, repository: str, algorithm: str
) -> None:
    """Right as the hash may be: what nobody verifies must not be stored."""
    data = unique_bytes()
    digest = digest_of(data, algorithm)
    target = f"/v2/{repository}/blobs/uploads/"

    for method, path in (
        ("POST", f"{target}?digest={digest}"),
        ("POST", f"{target}?digest-algorithm={algorithm}"),
        ("PUT", f"{begin(shared_server, repository)}?digest={digest}"),
    ):
        answer = shared_server.request(method, path, data)
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize(("label", "algorithm"), [("sha256", "sha512"), ("sha512", "sha256"), ("sha256", "sha1")])
def test_T18_a_right_hash_under_a_wrong_label_is_400(
    shared_server: RunningServer, repository: str, label: str, algorithm: str
) -> None:
    data = unique_bytes()
    digest = f"{label}:{digest_of(data, algorithm).partition(':')[2]}"

    answer = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)

    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize(("pushed", "asked"), [("sha256", "sha512"), ("sha512", "sha256")])
def test_T18_what_was_pushed_by_one_algorithm_is_read_by_that_one_only(
    shared_server: RunningServer, repository: str, pushed: str, asked: str
) -> None:
    data = unique_bytes()
    push_blob(shared_server, repository, data, algorithm=pushed)

    for method in ("GET", "HEAD", "DELETE"):
        path = f"/v2/{repository}/blobs/{digest_of(data, asked)}"
        assert shared_server.request(method, path).status == 404


def test_T18_a_manifest_needs_its_blob_by_the_digest_that_it_names(
    shared_server: RunningServer, repository: str
) -> None:
    built = image(layers=[])
    push_blob(shared_server, repository, built.blobs[0], algorithm="sha512")

    assert put_manifest(shared_server, repository, built).code == "MANIFEST_BLOB_UNKNOWN"


# --- T19: bodies without end ------------------------------------------------------------------------------------------


def rss(server: RunningServer) -> int:
    """Bytes of memory of the server's process."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_T19_a_manifest_of_64_MiB_is_refused_while_it_comes(
    shared_server: RunningServer, repository: str, chunked: bool
) -> None:
    """A hundred: each is told 413 long before its end, and the server does not grow by those who do not stop."""
    size, piece = 64 * MIB, b"x" * 65536
    framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(size)}
    block = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
    head = wire.root_head(shared_server, "PUT", f"/v2/{repository}/manifests/v1", framing)
    before, peak = rss(shared_server), [0]
    told: list[tuple[int, int]] = []  # the status, and how much was sent when it came

    def send(stubborn: bool) -> None:
        with wire.connect(shared_server) as connection:
            connection.send(head)
            sent = 0
            while sent < size and (stubborn or not connection.has_news()):
                if connection.send(block) < len(block):
                    return  # hung up on
                sent += len(piece)
                peak[0] = max(peak[0], rss(shared_server)) if sent % MIB == 0 else peak[0]
            if not stubborn:
                told.append((connection.receive().status, sent))

    for _ in range(5):
        threads = [threading.Thread(target=send, args=(number % 10 == 0,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(told) == 90
    assert {status for status, _ in told} == {413}
    assert max(sent for _, sent in told) < size // 2
    assert max(peak[0], rss(shared_server)) - before < 100 * MIB


@pytest.mark.parametrize("target", ["/token", "manifests"])
def test_T19_a_client_that_asks_first_need_not_send(shared_server: RunningServer, repository: str, target: str) -> None:
    """Expect: 100-continue with a length over the limit: 413, and no invitation."""
    path = target if target.startswith("/") else f"/v2/{repository}/manifests/v1"
    method = "POST" if target == "/token" else "PUT"
    head = wire.root_head(shared_server, method, path, {"Content-Length": "99999999", "Expect": "100-continue"})
    with wire.connect(shared_server) as connection:
        connection.send(head)

        assert connection.receive().status == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "1 2", "", "99999999999999999999999999"])
def test_T19_a_length_that_is_none_is_refused(shared_server: RunningServer, repository: str, length: str) -> None:
    with wire.connect(shared_server) as connection:
        head = {"Host": "a", "Authorization": shared_server.basic, "Content-Length": length}
        connection.send(wire.head("PUT", f"/v2/{repository}/manifests/v1", head))

        assert connection.receive().status in (400, 413)


# --- T23: compressed bodies -------------------------------------------------------------------------------------------


def gzipped(size: int) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed:
        for _ in range(size // MIB):
            packed.write(b"\0" * MIB)
    return out.getvalue()


BOMB = gzipped(256 * MIB)  # a quarter of a megabyte on the wire
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: data,
    "x-gzip": lambda data: data,
    "deflate": lambda data: zlib.compress(b"\0" * MIB),
    "br": lambda data: data,
    "zstd": lambda data: data,
    "gzip, gzip": lambda data: gzip.compress(data),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("way", ["post", "put", "patch"])
def test_T23_a_blobs_bytes_are_those_of_the_wire(
    shared_server: RunningServer, repository: str, way: str, encoding: str
) -> None:
    """Nothing is inflated: the digest is of what was sent, and that is what is stored."""
    data = ENCODINGS[encoding](BOMB) + unique_bytes(8)
    digest, headers, before = digest_of(data), {"Content-Encoding": encoding}, rss(shared_server)
    location = begin(shared_server, repository)
    if way == "post":
        path = f"/v2/{repository}/blobs/uploads/?digest={digest}"
        done = shared_server.request("POST", path, data, headers)
    elif way == "put":
        done = shared_server.request("PUT", f"{location}?digest={digest}", data, headers)
    else:
        assert shared_server.request("PATCH", location, data, headers).status == 202
        done = shared_server.request("PUT", f"{location}?digest={digest}")

    assert done.status == 201
    assert file_of(shared_server.data, digest).read_bytes() == data
    assert rss(shared_server) - before < 64 * MIB


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_T23_a_compressed_manifest_is_415(shared_server: RunningServer, repository: str, encoding: str) -> None:
    before = rss(shared_server)

    answer = shared_server.request("PUT", f"/v2/{repository}/manifests/v1", BOMB, {"Content-Encoding": encoding})

    assert (answer.status, answer.code) == (415, "UNSUPPORTED")
    assert rss(shared_server) - before < 64 * MIB


def test_T23_what_clients_accept_changes_no_bytes(shared_server: RunningServer, repository: str) -> None:
    built = image()
    push(shared_server, repository, built, "v1")
    for path, body in (("manifests/v1", built.body), (f"blobs/{digest_of(built.blobs[0])}", built.blobs[0])):
        answer = shared_server.request(
            "GET", f"/v2/{repository}/{path}", headers={"Accept-Encoding": "gzip, deflate, br, zstd, *"}
        )

        assert answer.body == body
        assert "Content-Encoding" not in answer.headers


def test_T23_nothing_was_left_behind(shared_server: RunningServer, repository: str) -> None:
    """A refused upload leaves no file: the store holds what its rows name."""
    before = stored_files(shared_server.data)
    shared_server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(b'else')}", BOMB)
    path = urlsplit(begin(shared_server, repository)).path
    shared_server.request("PUT", f"{path}?digest={digest_of(b'else')}", BOMB)

    assert stored_files(shared_server.data) == before
