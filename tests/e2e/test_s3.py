"""A registry on a bucket: the same program, another place for the bytes."""

import contextlib
import hashlib
import http.client
import os
import random
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from registry.storage.s3 import PART_SIZE
from tests.builders import digest_of, image, push, push_blob, put_manifest, unique_bytes, unique_name
from tests.chunks import MIB, noise
from tests.conftest import Start
from tests.damage import database
from tests.s3_relay import On, Relay, cut, hide, refuse, stall
from tests.s3_servers import S3Service, TestBucket, new_bucket
from tests.servers import KEY_ID, SECRET, Answer, RunningServer, basic
from tests.waiting import until
from tests.workers import WORKERS, alone, workers_of

CYCLES = int(os.environ.get("LONGSHORE_TEST_S3_KILLS", "2"))


@pytest.fixture(scope="module")
def bucket(s3_service: S3Service) -> TestBucket:
    """The bucket of this module's servers; each has a prefix of its own."""
    return new_bucket(s3_service)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, bucket: TestBucket) -> Iterator[RunningServer]:
    """A server on the bucket, with a repository `app`."""
    found = RunningServer(tmp_path_factory.mktemp("s3") / "data", **bucket.environment(prefix="shared"))
    found.start()
    found.create("app")
    yield found
    found.stop()


@pytest.fixture(scope="module")
def relay(s3_service: S3Service) -> Iterator[Relay]:
    found = Relay(s3_service.url)
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def _relayed(tmp_path_factory: pytest.TempPathFactory, bucket: TestBucket, relay: Relay) -> Iterator[RunningServer]:
    environment = bucket.environment(prefix="relayed", endpoint=relay.url)
    found = RunningServer(tmp_path_factory.mktemp("s3") / "data", **environment)
    found.start()
    found.create("app")
    yield found
    found.stop()


@pytest.fixture
def relayed(_relayed: RunningServer, relay: Relay) -> Iterator[RunningServer]:
    """The same, with the relay between the two. What it was told ends with the test."""
    relay.script, relay.calls = [], []
    yield _relayed
    relay.script = []


def begin(server: RunningServer) -> str:
    """A new upload's path."""
    return urlsplit(server.request("POST", "/v2/app/blobs/uploads/").headers["Location"]).path


def patch(server: RunningServer, upload: str, start: int, data: bytes) -> Answer:
    return server.request("PATCH", upload, data, {"Content-Range": f"{start}-{start + len(data) - 1}"})


def get(server: RunningServer, data: bytes, **headers: str) -> Answer:
    """GET of the blob with these bytes."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request("GET", f"/v2/app/blobs/{digest_of(data)}", headers=given)


def key_of(server: RunningServer, bucket: TestBucket, data: bytes) -> str:
    """The key in the bucket of the blob with these bytes."""
    with database(server.data) as db:
        (key,) = db.execute("SELECT key FROM blobs WHERE digest = ?", (digest_of(data),)).fetchone()
    return next(found for found in bucket.all_keys() if found.endswith(f"/{key}"))


# --- the same as on disk ----------------------------------------------------------------------------------------------


def test_images_go_in_and_out(server: RunningServer, bucket: TestBucket) -> None:
    built = image(layers=[os.urandom(2 * PART_SIZE + 77), unique_bytes(100), b""])

    push(server, "app", built, "v1")

    assert server.request("GET", "/v2/app/manifests/v1").body == built.body
    for blob in built.blobs:
        assert get(server, blob).body == blob
        head = server.request("HEAD", f"/v2/app/blobs/{digest_of(blob)}")
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(blob)))
    assert not list((server.data / "blobs").rglob("*"))
    for blob in built.blobs:
        assert bucket.body(key_of(server, bucket, blob)) == blob


@pytest.mark.parametrize(
    ("wanted", "part"),
    [("bytes=0-0", (0, 1)), ("bytes=100-", (100, None)), ("bytes=-7", (-7, None)), ("bytes=5-99999999999", (5, None))],
)
def test_ranges(server: RunningServer, wanted: str, part: tuple[int, int | None]) -> None:
    data = os.urandom(MIB)
    push_blob(server, "app", data)

    answer = get(server, data, Range=wanted)

    expected = data[slice(*part)]
    first = part[0] % len(data)
    assert (answer.status, answer.body) == (206, expected)
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(data)}"


def test_ranges_that_lie_outside(server: RunningServer) -> None:
    data = os.urandom(1000)
    push_blob(server, "app", data)

    answer = get(server, data, Range="bytes=1000-")

    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */1000")


@pytest.mark.real("boto3")
def test_layers_by_the_api(server: RunningServer) -> None:
    data = os.urandom(3 * 10 * MIB + 5)
    with server.client() as ecr:
        begun = ecr.initiate_layer_upload(repositoryName="app")
        upload, size = begun["uploadId"], begun["partSize"]
        for first in range(0, len(data), size):
            part = data[first : first + size]
            told = ecr.upload_layer_part(
                repositoryName="app",
                uploadId=upload,
                partFirstByte=first,
                partLastByte=first + len(part) - 1,
                layerPartBlob=part,
            )
            assert told["lastByteReceived"] == first + len(part) - 1
        ecr.complete_layer_upload(repositoryName="app", uploadId=upload, layerDigests=[digest_of(data)])
        built = image(layers=[data])
        push_blob(server, "app", built.blobs[0])
        put_manifest(server, "app", built, "v1")
        url = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest_of(data))["downloadUrl"]

    with urllib.request.urlopen(url) as answer:
        assert answer.read() == data
    assert url.startswith(server.url)


def test_wrong_bytes_are_refused_and_leave_nothing(server: RunningServer, bucket: TestBucket) -> None:
    upload, data, before = begin(server), os.urandom(PART_SIZE + 100), bucket.all_keys()
    assert patch(server, upload, 0, data).status == 202
    answer = server.request("PUT", f"{upload}?digest={digest_of(b'something else')}")

    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert server.request("GET", upload).status == 404
    assert (bucket.all_keys(), bucket.uploads()) == (before, [])


def test_an_upload_that_is_given_up_leaves_nothing(server: RunningServer, bucket: TestBucket) -> None:
    upload, before = begin(server), bucket.all_keys()
    assert patch(server, upload, 0, os.urandom(PART_SIZE + 100)).status == 202

    assert server.request("DELETE", upload).status == 204
    assert (bucket.all_keys(), bucket.uploads()) == (before, [])


# --- uploads that are interrupted -------------------------------------------------------------------------------------


def test_uploads_go_on_after_kills(start_server: Start, bucket: TestBucket) -> None:
    """F01: each is killed inside a PATCH at any moment; what was acknowledged is in, and the end has its digest."""
    server, dice = start_server("--workers", "2", **bucket.environment(prefix=unique_name())), random.Random(3)
    server.create("app")
    for cycle in range(CYCLES):
        data = noise(dice.randrange(PART_SIZE, 3 * PART_SIZE), seed=cycle)
        upload, acknowledged = begin(server), dice.randrange(1, len(data) - 1)
        assert patch(server, upload, 0, data[:acknowledged]).status == 202
        with ThreadPoolExecutor(1) as pool:
            doomed = pool.submit(patch, server, upload, acknowledged, data[acknowledged:])
            time.sleep(dice.uniform(0, 0.2))
            server.kill()
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                doomed.result()
        server.start()

        size = int(server.request("GET", upload).headers["Range"].removeprefix("0-")) + 1
        assert acknowledged <= size <= len(data)
        if size < len(data):
            assert patch(server, upload, size, data[size:]).status == 202
        assert server.request("PUT", f"{upload}?digest={digest_of(data)}").status == 201
        assert get(server, data).body == data


def test_chunks_may_reach_any_worker(start_server: Start, bucket: TestBucket) -> None:
    """None of them has seen the whole, so that the digest is known only when the bytes are read again."""
    server = start_server("--workers", str(WORKERS), **bucket.environment(prefix=unique_name()))
    server.create("app")
    data, upload, first = os.urandom(5 * 5 * MIB), begin(server), 0

    for worker in (*workers_of(server), workers_of(server)[0]):
        with alone(server, worker):
            assert patch(server, upload, first, data[first : first + 5 * MIB]).status == 202
        first += 5 * MIB
    with alone(server, workers_of(server)[1]):
        finished = server.request("PUT", f"{upload}?digest={digest_of(data)}", data[first:])

    assert finished.status == 201
    assert get(server, data).body == data


def test_many_push_the_same_layer_at_once(server: RunningServer, bucket: TestBucket) -> None:
    """F29: one copy stays."""
    data, before = os.urandom(PART_SIZE + 5), bucket.all_keys()
    path = f"/v2/app/blobs/uploads/?digest={digest_of(data)}"

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: server.request("POST", path, data).status, range(8)))

    assert statuses == [201] * 8
    assert get(server, data).body == data
    assert set(bucket.all_keys()) - set(before) == {key_of(server, bucket, data)}


def test_a_lost_answer_to_a_finished_upload_may_be_asked_for_again(relayed: RunningServer, relay: Relay) -> None:
    """F21: the parts became an object, and neither the server nor the client heard of it."""
    data, upload = os.urandom(2 * PART_SIZE), begin(relayed)
    assert patch(relayed, upload, 0, data[:PART_SIZE]).status == 202
    relay.script = [On("HeadObject", refuse(503, "SlowDown"))]
    put = f"{upload}?digest={digest_of(data)}"
    assert relayed.request("PUT", put, data[PART_SIZE:]).status == 503

    relay.script = []
    assert relayed.request("PUT", put, data[PART_SIZE:]).status == 201
    assert get(relayed, data).body == data


# --- redirects --------------------------------------------------------------------------------------------------------


def test_clients_are_sent_to_the_service(start_server: Start, bucket: TestBucket) -> None:
    server = start_server(**bucket.environment(prefix=unique_name(), redirect="true"))
    server.create("app")
    data = os.urandom(MIB)
    built = image(layers=[data])
    push(server, "app", built, "v1")

    answer = get(server, data)
    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["Docker-Content-Digest"] == digest_of(data)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Location"].startswith(bucket.service.url)
    with urllib.request.urlopen(answer.headers["Location"]) as found:
        assert found.read() == data
        assert found.headers["Content-Type"] == "application/octet-stream"
    part = urllib.request.Request(answer.headers["Location"], headers={"Range": "bytes=5-9"})
    with urllib.request.urlopen(part) as found:
        assert found.read() == data[5:10]

    assert server.request("HEAD", f"/v2/app/blobs/{digest_of(data)}").status == 200
    assert get(server, data, If_None_Match=f'"{digest_of(data)}"').status == 304
    assert get(server, data, Range="bytes=99999999-").status == 416
    with server.client() as ecr:
        url = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest_of(data))["downloadUrl"]
    assert url.startswith(bucket.service.url)
    with urllib.request.urlopen(url) as found:
        assert found.read() == data


def test_clients_of_some_networks_alone_are_sent_there(start_server: Start, bucket: TestBucket) -> None:
    """As their addresses are seen behind a proxy that is trusted."""
    settings = bucket.environment(prefix=unique_name(), redirect="true", redirect_networks="10.0.0.0/8, 2001:db8::/32")
    server = start_server(**settings, LONGSHORE_HTTP__TRUSTED_PROXIES="127.0.0.1")
    server.create("app")
    data = os.urandom(MIB)
    push(server, "app", image(layers=[data]), "v1")

    def url_for(address: str) -> str:
        with server.client() as ecr:
            ecr.meta.events.register(
                "before-call", lambda params, **_: params["headers"].update({"X-Forwarded-For": address})
            )
            asked = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest_of(data))
            return str(asked["downloadUrl"])

    for address in ("10.1.2.3", "2001:db8::7", "::ffff:10.1.2.3"):
        assert get(server, data, X_Forwarded_For=address).status == 307, address
        assert url_for(address).startswith(bucket.service.url), address
    for address in ("192.0.2.1", "11.0.0.1", "2001:db9::7", "10.1.2.3, 192.0.2.1", ""):
        answer = get(server, data, X_Forwarded_For=address)
        assert (answer.status, answer.body == data) == (200, True), address
        ours = url_for(address or "127.0.0.1")
        assert ours.startswith(server.url), address
        with urllib.request.urlopen(ours) as found:
            assert found.read() == data
    part = get(server, data, X_Forwarded_For="192.0.2.1", Range="bytes=5-9")
    assert (part.status, part.body) == (206, data[5:10])


@pytest.mark.parametrize("reads", ["always", "changed"])
def test_bytes_that_are_to_be_verified_come_from_here(start_server: Start, bucket: TestBucket, reads: str) -> None:
    server = start_server(**bucket.environment(prefix=unique_name(), redirect="true", verify_reads=reads))
    server.create("app")
    data = os.urandom(MIB)
    push_blob(server, "app", data)
    if reads == "changed":
        bucket.rewrite(key_of(server, bucket, data), data)

    answer = get(server, data)

    assert (answer.status, answer.body == data) == (200, True)


def test_a_tls_connection_is_not_sent_on_in_the_clear(start_server: Start, bucket: TestBucket, tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("localhost", "127.0.0.1")
    pair.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pair.pem"))
    files = {
        "LONGSHORE_HTTP__TLS_CERT": str(tmp_path / "pair.pem"),
        "LONGSHORE_HTTP__TLS_KEY": str(tmp_path / "pair.pem"),
    }
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = start_server(
        **bucket.environment(prefix=unique_name(), redirect="true"), **files, LONGSHORE_REGISTRY__CREATE_ON_PUSH="true"
    )
    data = os.urandom(1000)
    headers = {"Authorization": basic(KEY_ID, SECRET)}

    connection = http.client.HTTPSConnection(urlsplit(server.url).netloc, context=trust)
    connection.request("POST", f"/v2/app/blobs/uploads/?digest={digest_of(data)}", data, headers)
    assert connection.getresponse().read() == b""
    connection.request("GET", f"/v2/app/blobs/{digest_of(data)}", headers=headers)
    answer = connection.getresponse()

    assert (answer.status, answer.read()) == (200, data)
    connection.close()


# --- a service in trouble ---------------------------------------------------------------------------------------------


def test_f19_a_stalled_service_harms_no_request_that_needs_no_bytes(relayed: RunningServer, relay: Relay) -> None:
    built = image(layers=[os.urandom(1000)])
    push(relayed, "app", built, "v1")
    relay.script = [On("*", stall(4))]
    waiting = [threading.Thread(target=get, args=(relayed, built.blobs[1])) for _ in range(80)]
    for thread in waiting:
        thread.start()
    until(lambda: relay.count("HeadObject") >= 64, what="calls that wait")

    seconds = []
    for _ in range(20):
        started = time.monotonic()
        assert relayed.request("GET", "/v2/app/manifests/v1").status == 200
        assert relayed.request("GET", "/v2/app/tags/list").status == 200
        seconds.append((time.monotonic() - started) / 2)
    relay.script = []
    for thread in waiting:
        thread.join()

    assert sorted(seconds)[10] < 0.1
    assert get(relayed, built.blobs[1]).status == 200


def test_f20_a_blob_that_breaks_off_is_never_a_short_answer(relayed: RunningServer, relay: Relay) -> None:
    data = os.urandom(4 * MIB)
    push_blob(relayed, "app", data)
    relay.script = [On("GetObject", cut(0.5), times=1), On("GetObject", refuse(503, "SlowDown"))]

    with pytest.raises(http.client.IncompleteRead) as caught:
        get(relayed, data)

    assert len(caught.value.partial) < len(data)
    relay.script = [On("GetObject", cut(0.5), times=1)]
    assert get(relayed, data).body == data


def test_f22_a_blob_that_is_out_of_sight_is_not_unknown(relayed: RunningServer, relay: Relay) -> None:
    data = os.urandom(1000)
    push_blob(relayed, "app", data)
    relay.script = [On("HeadObject", hide), On("GetObject", hide, key="blobs/")]

    hidden = [get(relayed, data), relayed.request("HEAD", f"/v2/app/blobs/{digest_of(data)}")]
    assert [(answer.status, answer.headers["Retry-After"]) for answer in hidden] == [(503, "2")] * 2
    metrics = relayed.request("GET", "/metrics").body.decode()
    assert "longshore_blobs_not_found_total 2.0" in metrics
    assert any("though a row names it" in line for line in relayed.output)
    relay.script = []
    assert get(relayed, data).body == data


def test_a_blob_that_is_gone_heals_when_it_is_pushed_again(server: RunningServer, bucket: TestBucket) -> None:
    """P7, at once: with good bytes at hand it does not matter whether the missing ones may turn up again."""
    data = os.urandom(1000)
    push_blob(server, "app", data)
    bucket.client.delete_object(Bucket=bucket.name, Key=key_of(server, bucket, data))
    assert get(server, data).status == 503

    push_blob(server, "app", data)

    assert get(server, data).body == data


@pytest.mark.parametrize("size", [1000, 2 * MIB], ids=["one-piece", "many"])
def test_p4_bytes_that_changed_are_not_served(server: RunningServer, bucket: TestBucket, size: int) -> None:
    data, other = os.urandom(size), os.urandom(size)
    push_blob(server, "app", data)
    bucket.client.put_object(Bucket=bucket.name, Key=key_of(server, bucket, data), Body=other)

    try:
        answer = get(server, data)
    except http.client.IncompleteRead as broken:
        assert size > MIB and hashlib.sha256(broken.partial).hexdigest() != digest_of(data)
    else:
        assert answer.status == 503
    assert get(server, data).status == 404
    push_blob(server, "app", data)
    assert get(server, data).body == data


def test_readiness_is_the_stores_too(relayed: RunningServer, relay: Relay) -> None:
    assert relayed.request("GET", "/readyz", auth=None).status == 200
    relay.script = [On("*", refuse(503, "SlowDown"))]

    assert relayed.request("GET", "/readyz", auth=None).status == 503
    assert relayed.request("GET", "/livez", auth=None).status == 200
    relay.script = []
    assert relayed.request("GET", "/readyz", auth=None).status == 200


def test_a_worker_that_starts_while_the_service_is_away_serves_when_it_is_back(
    start_server: Start, bucket: TestBucket, relay: Relay
) -> None:
    server = start_server("--workers", "2", **bucket.environment(prefix=unique_name(), endpoint=relay.url))
    server.create("app")
    data = os.urandom(1000)
    push_blob(server, "app", data)
    relay.script = [On("*", refuse(503, "SlowDown"))]
    for worker in workers_of(server):
        os.kill(worker, 9)

    until(lambda: _status(server, "/v2/app/tags/list") == 200, what="an answer without the service")
    assert get(server, data).status == 503
    relay.script = []
    assert get(server, data).body == data


# --- starting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"bucket": "there-is-none"}, "cannot be used: get_object: 404 NoSuchBucket"),
        ({"secret_access_key": "wrong"}, "cannot be used: get_object: 403 SignatureDoesNotMatch"),
        ({"endpoint": "http://127.0.0.1:9"}, "cannot be used: get_object: EndpointConnectionError"),
    ],
    ids=["no-such-bucket", "bad-secret", "nobody-listens"],
)
def test_why_it_cannot_start_is_one_line(
    start_server: Start, bucket: TestBucket, more: dict[str, str], why: str
) -> None:
    started = time.monotonic()
    with pytest.raises(AssertionError) as caught:
        start_server(**bucket.environment(**more))

    said = [line for line in str(caught.value).splitlines() if line.startswith("longshore: ")]
    assert len(said) == 1 and why in said[0]
    assert "Traceback" not in str(caught.value)
    assert "a-secret-of-this-test-run" not in str(caught.value)
    assert time.monotonic() - started < 15


def test_two_databases_do_not_share_a_prefix(start_server: Start, bucket: TestBucket) -> None:
    prefix = unique_name()
    start_server(**bucket.environment(prefix=prefix))

    with pytest.raises(AssertionError, match=r"choose another storage\.prefix, or restore the two together"):
        start_server(**bucket.environment(prefix=prefix))
    start_server(**bucket.environment(prefix=f"{prefix}/second"))


def test_a_database_finds_its_store_again(start_server: Start, bucket: TestBucket) -> None:
    data, prefix = os.urandom(1000), unique_name()
    server = start_server(**bucket.environment(prefix=prefix))
    server.create("app")
    push_blob(server, "app", data)
    server.stop()
    server.start()
    assert get(server, data).body == data
    server.stop()

    for key in bucket.all_keys(prefix):
        bucket.client.delete_object(Bucket=bucket.name, Key=key)
    with pytest.raises(AssertionError, match="the blobs of region us-east-1 are missing"):
        server.start()


def test_regions_may_lie_elsewhere(start_server: Start, bucket: TestBucket, tmp_path: Path) -> None:
    other = bucket.client.create_bucket(Bucket=f"{bucket.name}-eu") and f"{bucket.name}-eu"
    file = tmp_path / "longshore.toml"
    file.write_text(f'[storage.regions.eu-west-1]\nbucket = "{other}"\nprefix = "europe"\n')
    prefix, data = unique_name(), os.urandom(1000)
    server = start_server("--config", str(file), **bucket.environment(prefix=prefix))

    for region in ("us-east-1", "eu-west-1", "ap-south-1"):
        with server.client(region=region) as ecr:
            ecr.create_repository(repositoryName="app")
            upload = ecr.initiate_layer_upload(repositoryName="app")["uploadId"]
            part: dict[str, Any] = {"partFirstByte": 0, "partLastByte": 999, "layerPartBlob": data}
            ecr.upload_layer_part(repositoryName="app", uploadId=upload, **part)
            ecr.complete_layer_upload(repositoryName="app", uploadId=upload, layerDigests=[digest_of(data)])

    folders = {key.split("/")[1] for key in bucket.all_keys(prefix) if "/blobs/" in key}
    pages = bucket.client.list_objects_v2(Bucket=other)["Contents"]
    assert folders == {"us-east-1", "ap-south-1"}
    assert {one["Key"].partition("/")[0] for one in pages} == {"europe"}


def test_a_spool_that_a_crash_left_is_swept(start_server: Start, bucket: TestBucket) -> None:
    server = start_server(**bucket.environment(prefix=unique_name()))
    server.stop()
    (server.data / "spool").mkdir(exist_ok=True)
    (server.data / "spool" / ("0" * 32)).write_bytes(b"left by a crash")

    server.start()

    assert list((server.data / "spool").iterdir()) == []


def _status(server: RunningServer, path: str) -> int:
    try:
        return server.request("GET", path).status
    except (OSError, http.client.HTTPException):
        return 0
