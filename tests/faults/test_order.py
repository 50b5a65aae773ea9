"""Before "it is in" is said, everything is on the disk (promises.md P1, F11): the order of calls, as the kernel
saw them.

A kill leaves the page cache, so no kill can show a missing fsync.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import digest_of, image, push_blob, put_manifest
from tests.faults.trace import Event, TracedServer
from tests.waiting import until

pytestmark = pytest.mark.real("strace")

SYNCS = ("fsync", "fdatasync")
SENDS = ("sendto", "sendmsg")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedServer]:
    directory = tmp_path_factory.mktemp("traced")
    server = TracedServer(directory / "record", directory / "above" / "data")
    server.start()
    server.create("traced")
    yield server
    server.kill()


def answered(server: TracedServer, since: int, status: bytes = b"HTTP/1.1 201") -> list[Event]:
    """What was done after line `since` and before the answer began to go out."""

    def recorded() -> list[Event]:  # strace writes a call down when it is over: the client may be quicker
        events = [event for event in server.events() if event.begun > since]
        answers = [event for event in events if event.name in SENDS and status.decode() in event.text]
        return [event for event in events if event.done < answers[0].begun] if answers else []

    return until(recorded, what="the answer in the record")


def lines(server: TracedServer) -> int:
    return len(server.record.read_text(errors="replace").splitlines()) - 1


def assert_blob_is_durable(events: list[Event]) -> None:
    """The bytes, then their file, its directory, and then the log of the database."""
    is_blob = [event for event in events if "/blobs/us-east-1/" in event.path and len(Path(event.path).name) == 32]
    writes = [event for event in is_blob if event.name in ("write", "writev")]
    [file] = {event.path for event in writes}
    synced = first(events, SYNCS, file, after=writes[-1].done)
    directory = first(events, SYNCS, str(Path(file).parent), after=synced.begun)
    assert_row_is_durable(events, after=directory.done)


def assert_row_is_durable(events: list[Event], *, after: int = -1) -> None:
    logged = [event for event in events if event.name == "pwrite64" and event.path.endswith("longshore.db-wal")]
    assert logged and logged[0].begun > after, "the row is written when the bytes are safe"
    log = first(events, SYNCS, logged[-1].path, after=logged[-1].done)
    assert log.done


def first(events: list[Event], names: tuple[str, ...], path: str, *, after: int) -> Event:
    found = [event for event in events if event.name in names and event.path == path and event.begun > after]
    assert found, f"no {names} of {path} after line {after}"
    return found[0]


def test_a_blob_by_one_post_is_on_the_disk_before_its_answer(traced: TracedServer) -> None:
    since = lines(traced)
    push_blob(traced, "traced", os.urandom(10_000))

    assert_blob_is_durable(answered(traced, since))


def test_a_chunk_is_on_the_disk_before_its_answer_and_so_is_the_blob(traced: TracedServer) -> None:
    data = os.urandom(300_000)
    upload = str(traced.request("POST", "/v2/traced/blobs/uploads/").headers["Location"])
    since = lines(traced)
    assert traced.request("PATCH", upload, data[:200_000]).status == 202
    patched = answered(traced, since, b"HTTP/1.1 202")
    since = lines(traced)
    assert traced.request("PUT", f"{upload}?digest={digest_of(data)}", data[200_000:]).status == 201

    assert_blob_is_durable(patched)
    assert_blob_is_durable(answered(traced, since))


def test_a_manifest_and_its_tag_are_on_the_disk_before_their_answer(traced: TracedServer) -> None:
    built = image(config=b"{}", layers=[])
    push_blob(traced, "traced", b"{}")
    since = lines(traced)
    assert put_manifest(traced, "traced", built, "v1").status == 201

    assert_row_is_durable(answered(traced, since))


def test_what_the_api_answers_is_on_the_disk(traced: TracedServer) -> None:
    data = os.urandom(10_000)
    with traced.client() as ecr:
        upload = ecr.initiate_layer_upload(repositoryName="traced")["uploadId"]
        at = {"repositoryName": "traced", "uploadId": upload}
        since = lines(traced)
        ecr.upload_layer_part(**at, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data)
        part = answered(traced, since, b"HTTP/1.1 200")
        since = lines(traced)
        ecr.complete_layer_upload(**at, layerDigests=[digest_of(data)])
        completed = answered(traced, since, b"HTTP/1.1 200")
        since = lines(traced)
        ecr.delete_repository(repositoryName="traced", force=True)
        deleted = answered(traced, since, b"HTTP/1.1 200")
        ecr.create_repository(repositoryName="traced")

    assert_blob_is_durable(part)
    assert_row_is_durable(completed)
    assert_row_is_durable(deleted)


def test_a_first_start_leaves_keys_and_directories_that_survive_a_power_cut(traced: TracedServer) -> None:
    events = traced.events()
    [ready] = [event for event in events if event.name == "write" and "longshore ready on" in event.text]
    before = [event for event in events if event.done < ready.begun]
    above = str(traced.data.parent.parent)
    made = [event for event in before if event.name in ("mkdir", "mkdirat") and event.path.startswith(above)]
    keys = [event for event in before if event.name == "rename" and "master.key" in event.text]

    assert len(made) > 256, "the directories of data and of the store"
    for event in made:
        first(before, SYNCS, str(Path(event.path).parent), after=event.done)
    assert len(keys) == 1
    named = first(before, SYNCS, str(traced.data), after=keys[0].done)
    logs = [event for event in before if event.name == "pwrite64" and event.path.endswith("longshore.db-wal")]
    assert any(event.begun > named.done for event in logs), "what the key wraps is written when the key is safe"
    assert [event for event in before if event.name in SYNCS and event.path.endswith("longshore-store.json")] or [
        event for event in before if event.name in SYNCS and ".longshore-store.json." in event.path
    ]
