"""No room: for bytes, rows, log lines or file names (promises.md F12, F13, F14, F17).

What is full says "not now" in the words of the door, keeps what it has, and works again when there is room, without a
restart.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import Built, digest_of, image, push, push_blob, put_manifest
from tests.conftest import Start
from tests.faults.disks import fill, more_names, small_disk, used
from tests.servers import Answer, RunningServer

pytestmark = pytest.mark.real("tmpfs")

MIB = 1024 * 1024


@pytest.fixture
def disks() -> Iterator[contextlib.ExitStack]:
    """Unmounts what was mounted on it; a server that uses it must be stopped by then."""
    with contextlib.ExitStack() as stack:
        yield stack


def start_on(stack: contextlib.ExitStack, start: Start, data: Path, **environment: str) -> RunningServer:
    server = start(data=data, **environment)
    stack.callback(server.stop)
    server.create("full")
    return server


def post(server: RunningServer, data: bytes) -> Answer:
    return server.request("POST", f"/v2/full/blobs/uploads/?digest={digest_of(data)}", data)


def is_not_now(answer: Answer) -> bool:
    """A well-formed "try again" of the OCI door."""
    return (
        answer.status == 503
        and answer.code == "UNSUPPORTED"
        and answer.headers["Content-Type"].startswith("application/json")
        and bool(answer.headers["Retry-After"])
    )


def refusal(call: Any, **arguments: Any) -> tuple[int, str]:
    """Status and code of a call of the AWS door that fails."""
    try:
        call(**arguments)
    except Exception as error:
        told: dict[str, Any] = getattr(error, "response", {})
        return told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"]
    return 200, ""


def assert_readable(server: RunningServer, built: Built) -> None:
    manifest = server.request("GET", "/v2/full/manifests/old")
    assert (manifest.status, manifest.body) == (200, built.body)
    for blob in built.blobs:
        assert server.request("GET", f"/v2/full/blobs/{digest_of(blob)}").body == blob


def test_a_full_blob_store_refuses_keeps_gives_back_and_recovers(
    tmp_path: Path, start_server: Start, disks: contextlib.ExitStack
) -> None:
    data = tmp_path / "data"
    store = disks.enter_context(small_disk(data / "blobs", "size=24m"))
    server = start_on(disks, start_server, data)
    old = image(layers=[os.urandom(MIB)])
    push(server, "full", old, "old")
    upload = server.request("POST", "/v2/full/blobs/uploads/").headers["Location"]
    half, rest = os.urandom(MIB), os.urandom(4 * MIB)
    assert server.request("PATCH", upload, half).status == 202
    blobs = [os.urandom(MIB) for _ in range(30)]
    answers = [post(server, blob) for blob in blobs]
    stored = [blob for blob, answer in zip(blobs, answers, strict=True) if answer.status == 201]

    assert 15 < len(stored) < 22
    assert all(answer.status == 201 or is_not_now(answer) for answer in answers)
    assert used(store) < (len(stored) + 2.2) * MIB, "the room of what was refused is free"
    for chunk in (rest, os.urandom(60 * MIB)):
        assert is_not_now(server.request("PATCH", upload, chunk))
        assert server.request("GET", upload).headers["Range"] == f"0-{MIB - 1}"
        assert used(store) < (len(stored) + 2.2) * MIB
    with server.client() as ecr:
        part = {"partFirstByte": 0, "partLastByte": 5 * MIB - 1, "layerPartBlob": os.urandom(5 * MIB)}
        begun = ecr.initiate_layer_upload(repositoryName="full")["uploadId"]
        told = refusal(ecr.upload_layer_part, repositoryName="full", uploadId=begun, **part)
    assert told == (503, "ServerException")
    assert used(store) < (len(stored) + 2.2) * MIB
    assert server.request("GET", "/readyz").status == 200
    assert_readable(server, old)

    for blob in stored[:8]:
        assert server.request("GET", f"/v2/full/blobs/{digest_of(blob)}").body == blob
    room_for(data, server, [digest_of(blob) for blob in stored[:8]])
    assert server.request("PATCH", upload, rest).status == 202
    assert server.request("PUT", f"{upload}?digest={digest_of(half + rest)}").status == 201
    assert server.request("GET", f"/v2/full/blobs/{digest_of(half + rest)}").body == half + rest
    push(server, "full", image(layers=[os.urandom(MIB)]), "new")
    assert_readable(server, old)


def room_for(data: Path, server: RunningServer, digests: list[str]) -> None:
    """Take blobs away, rows first, as garbage collection does."""
    with contextlib.closing(sqlite3.connect(data / "longshore.db")) as rows:
        for digest in digests:
            assert server.request("DELETE", f"/v2/full/blobs/{digest}").status == 202
            [(key,)] = rows.execute("SELECT key FROM blobs WHERE digest = ?", (digest,)).fetchall()
            rows.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
            rows.commit()
            next((data / "blobs").rglob(key)).unlink()


def test_a_full_database_reads_on_refuses_writes_and_recovers(
    tmp_path: Path, start_server: Start, disks: contextlib.ExitStack
) -> None:
    data = disks.enter_context(small_disk(tmp_path / "data", "size=8m"))
    disks.enter_context(small_disk(data / "blobs", "size=24m"))
    server = start_on(disks, start_server, data)
    old = image()
    push(server, "full", old, "old")
    for _ in range(2):
        filler = fill(data)
        refused = refused_writes(server, old)
        assert_readable(server, old)
        assert server.request("GET", "/v2/full/tags/list").json["tags"] == ["old"]
        with server.client() as ecr:
            assert {"imageDigest": old.digest, "imageTag": "old"} in ecr.list_images(repositoryName="full")["imageIds"]
            assert refusal(ecr.create_repository, repositoryName="another") == (503, "ServerException")
        server.kill()
        server.start()  # also on a full disk
        assert_readable(server, old)
        filler.unlink()

        assert refused >= 3, "the disk was full"
        assert put_manifest(server, "full", old, "again").status == 201
        assert server.request("DELETE", "/v2/full/manifests/again").status == 202
        push(server, "full", image(), "new")
        assert server.request("DELETE", "/v2/full/manifests/new").status == 202
    with contextlib.closing(sqlite3.connect(data / "longshore.db")) as rows:
        assert rows.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert rows.execute("PRAGMA foreign_key_check").fetchall() == []


def refused_writes(server: RunningServer, built: Built) -> int:
    """Write until nothing more goes in: SQLite may have a page or two left. How many writes were refused."""
    refused = 0
    for number in range(400):
        answer = put_manifest(server, "full", built, f"t{number}")
        if answer.status != 201:
            assert is_not_now(answer), (answer.status, answer.body)
            refused += 1
        if refused >= 3:
            break
    assert is_not_now(post(server, os.urandom(1000)))
    for number in range(400):
        server.request("DELETE", f"/v2/full/manifests/t{number}")
    return refused


def test_a_full_log_disk_disturbs_nobody(tmp_path: Path, start_server: Start, disks: contextlib.ExitStack) -> None:
    logs = disks.enter_context(small_disk(tmp_path / "logs", "size=1m"))
    server = start_on(
        disks, start_server, tmp_path / "data", LONGSHORE_LOG__FILE=str(logs / "log"), LONGSHORE_LOG__ACCESS="all"
    )
    fill(logs)
    for number in range(100):
        built = image()
        push(server, "full", built, f"t{number}")
        assert server.request("GET", f"/v2/full/manifests/t{number}").body == built.body
        assert server.request("GET", f"/v2/full/blobs/{digest_of(built.blobs[0])}").body == built.blobs[0]

    assert server.stop() == 0


def test_a_store_without_room_for_file_names_refuses_and_recovers(
    tmp_path: Path, start_server: Start, disks: contextlib.ExitStack
) -> None:
    data = tmp_path / "data"
    store = disks.enter_context(small_disk(data / "blobs", "size=24m,nr_inodes=300"))
    server = start_on(disks, start_server, data)
    old = image()
    push(server, "full", old, "old")
    answers = [post(server, os.urandom(100)) for _ in range(60)]
    refused = [answer for answer in answers if answer.status != 201]

    assert len(refused) > 10
    assert all(is_not_now(answer) for answer in refused)
    assert_readable(server, old)
    assert [line for line in server.output if "No space left on device" in line]
    more_names(store, 310)
    push_blob(server, "full", os.urandom(100))
