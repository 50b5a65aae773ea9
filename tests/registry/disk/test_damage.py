"""Promises P4 and P7, faults F44 and F45, over the wire: bytes that were harmed are never served as a full 200, are
unknown from then on, and are healed by one push for every repository that holds them."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import wire
from tests.builders import digest_of, image, push, push_blob, put_manifest, unique_bytes, unique_name
from tests.conftest import Start
from tests.damage import database, file_of, flip_bit, hide_harm, no_writer, row_of
from tests.servers import RunningServer

KIB = 1024
PIECE = 256 * KIB  # what the store reads at once
# One piece, less than one, several, and a last piece so short that an error's text would fill it.
SIZES = {"one-byte": 1, "inline": 5_000, "one-piece": PIECE, "short-tail": 3 * PIECE + 11, "many": 9 * PIECE}


def lose(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def grow(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"!")


def flip_and_grow(path: Path) -> None:
    """The piece that is held back must not be one that the client does not wait for."""
    flip_bit(path)
    grow(path)


def swap(path: Path) -> None:
    """Other bytes of the same length in a new file under the same name, with the old one's times."""
    times = path.stat()
    draft = path.with_suffix(".new")
    draft.write_bytes(bytes(byte ^ 255 for byte in path.read_bytes()))
    os.utime(draft, ns=(times.st_atime_ns, times.st_mtime_ns))
    draft.replace(path)


HARMS: dict[str, Callable[[Path], None]] = {
    "bit-flipped": flip_bit,
    "lost": lose,
    "cut-short": cut,
    "grown": grow,
    "flipped-and-grown": flip_and_grow,
    "swapped": swap,
}


@pytest.fixture(scope="module", params=["changed", "always"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A server of this module's own, with either way of verifying."""
    server = RunningServer(tmp_path_factory.mktemp("damage") / "data", LONGSHORE_STORAGE__VERIFY_READS=request.param)
    server.start()
    for name in ("first", "second"):
        server.create(name)
    yield server
    server.stop()


def blob_path(digest: str, repository: str = "first") -> str:
    return f"/v2/{repository}/blobs/{digest}"


def is_served_whole(server: RunningServer, digest: str, repository: str = "first") -> bool:
    """Whether a GET ends as a complete 200, whatever bytes came with it."""
    with wire.connect(server) as connection:
        head = {"Host": server.netloc, "Authorization": server.basic}
        connection.send(wire.head("GET", blob_path(digest, repository), head))
        try:
            answer = connection.receive()
        except wire.Broken as broken:
            assert broken.answer is not None and len(broken.answer.body) < int(broken.answer.headers["Content-Length"])
            return False
        assert answer.status == 200 or answer.code in ("BLOB_UNKNOWN", "UNSUPPORTED")
        return answer.status == 200


@pytest.mark.parametrize("harm", HARMS.values(), ids=list(HARMS))
@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_harmed_bytes_are_never_a_full_200(server: RunningServer, size: int, harm: Callable[[Path], None]) -> None:
    data = unique_bytes(size)
    digest = push_blob(server, "first", data)
    harm(file_of(server.data, digest))

    assert not is_served_whole(server, digest)
    assert server.request("GET", blob_path(digest)).status == 404


@pytest.mark.parametrize("harm", HARMS.values(), ids=list(HARMS))
def test_harmed_bytes_are_not_claimed_by_head_before_anyone_read_them(
    server: RunningServer, harm: Callable[[Path], None]
) -> None:
    digest = push_blob(server, "first", unique_bytes(300 * KIB))
    harm(file_of(server.data, digest))

    assert server.request("HEAD", blob_path(digest)).status == 404


@pytest.mark.parametrize("harm", HARMS.values(), ids=list(HARMS))
@pytest.mark.parametrize("wanted", ["bytes=0-9", "bytes=-10", "bytes=150000-"])
def test_harmed_bytes_are_not_served_in_part(server: RunningServer, wanted: str, harm: Callable[[Path], None]) -> None:
    digest = push_blob(server, "first", unique_bytes(300 * KIB))
    harm(file_of(server.data, digest))

    answer = server.request("GET", blob_path(digest), headers={"Range": wanted})

    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("harm", HARMS.values(), ids=list(HARMS))
def test_harmed_bytes_are_not_called_unchanged(server: RunningServer, harm: Callable[[Path], None]) -> None:
    digest = push_blob(server, "first", unique_bytes())
    harm(file_of(server.data, digest))

    answer = server.request("GET", blob_path(digest), headers={"If-None-Match": f'"{digest}"'})

    assert answer.status == 404


@pytest.mark.parametrize("harm", HARMS.values(), ids=list(HARMS))
def test_harmed_bytes_are_not_mounted(server: RunningServer, harm: Callable[[Path], None]) -> None:
    digest = push_blob(server, "first", unique_bytes())
    harm(file_of(server.data, digest))

    answer = server.request("POST", f"/v2/second/blobs/uploads/?mount={digest}&from=first")

    assert answer.status == 202
    assert server.request("HEAD", blob_path(digest, "second")).status == 404


@pytest.mark.parametrize("noticed", [True, False], ids=["after-a-read", "unnoticed"])
@pytest.mark.parametrize("harm", HARMS.values(), ids=list(HARMS))
def test_one_push_heals_for_every_repository(
    server: RunningServer, harm: Callable[[Path], None], noticed: bool
) -> None:
    data = unique_bytes(300 * KIB)
    digest = push_blob(server, "first", data)
    push_blob(server, "second", data)
    harm(file_of(server.data, digest))
    if noticed:
        assert not is_served_whole(server, digest, "second")
    push_blob(server, "first", data)

    for repository in ("first", "second"):
        assert server.request("HEAD", blob_path(digest, repository)).status == 200
        assert server.request("GET", blob_path(digest, repository)).body == data
    assert file_of(server.data, digest).read_bytes() == data


def test_healing_leaves_no_second_copy(server: RunningServer) -> None:
    data = unique_bytes(300 * KIB)
    digest = push_blob(server, "first", data)
    old = file_of(server.data, digest)
    flip_bit(old)
    push_blob(server, "second", data)

    assert file_of(server.data, digest) != old
    assert not old.exists()


def test_pushing_an_image_again_heals_its_lost_layers(server: RunningServer) -> None:
    """F45 as a client meets it: it asks for each blob, and sends those that are unknown."""
    built = image(layers=[unique_bytes(), unique_bytes(300 * KIB)])
    push(server, "first", built, "healed")
    for blob in built.blobs:
        file_of(server.data, digest_of(blob)).unlink()

    for blob in built.blobs:
        if server.request("HEAD", blob_path(digest_of(blob))).status != 200:
            push_blob(server, "first", blob)
    put_manifest(server, "first", built, "healed")

    for blob in built.blobs:
        assert server.request("GET", blob_path(digest_of(blob))).body == blob


def test_an_image_that_needs_known_damage_is_refused(server: RunningServer) -> None:
    built = image()
    for blob in built.blobs:
        push_blob(server, "first", blob)
    broken = digest_of(built.blobs[1])
    flip_bit(file_of(server.data, broken))
    server.request("HEAD", blob_path(broken))

    refused = put_manifest(server, "first", built)

    assert (refused.status, refused.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert broken in refused.json["errors"][0]["message"]


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_harmed_manifest_is_not_served_and_a_push_heals_it(server: RunningServer, by: str) -> None:
    built, tag = image(), unique_name("tag")
    push(server, "first", built, tag)
    path = f"/v2/first/manifests/{tag if by == 'tag' else built.digest}"
    with database(server.data) as db:
        harmed = built.body.replace(b'"size"', b'"sIze"', 1)
        db.execute("UPDATE manifests SET body = ? WHERE digest = ?", (harmed, built.digest))

    refused = [server.request(method, path) for method in ("GET", "HEAD", "GET")]
    put_manifest(server, "first", built, tag)

    assert [answer.status for answer in refused] == [503] * 3
    assert server.request("GET", path).body == built.body


def test_a_file_that_was_only_touched_is_served_and_trusted_again(server: RunningServer) -> None:
    """A restore changes every inode: each blob is verified once, and then sent by the kernel as before."""
    data = unique_bytes(300 * KIB)
    digest = push_blob(server, "first", data)
    path = file_of(server.data, digest)
    before = row_of(server.data, digest)["identity"]
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    copy.replace(path)

    assert server.request("GET", blob_path(digest)).body == data
    after = row_of(server.data, digest)
    assert after["identity"] != before
    assert not after["damaged"]
    assert server.request("GET", blob_path(digest)).body == data
    assert row_of(server.data, digest) == after


def test_F44_no_flipped_bit_is_served_and_every_blob_heals(server: RunningServer) -> None:
    count = int(os.environ.get("LONGSHORE_TEST_FLIPS", "100"))
    blobs = {digest_of(data): data for data in (unique_bytes(2_000 + number) for number in range(count))}
    for number, (digest, data) in enumerate(blobs.items()):
        push_blob(server, "first", data)
        flip_bit(file_of(server.data, digest), number * 20 % len(data))

    served = [digest for digest in blobs if is_served_whole(server, digest)]
    for data in blobs.values():
        push_blob(server, "first", data)
    healed = [digest for digest, data in blobs.items() if server.request("GET", blob_path(digest)).body == data]

    assert served == []
    assert len(healed) == count


# --- what each way of verifying can and cannot see --------------------------------------------------------------------


def test_always_sees_rot_that_left_no_trace(start_server: Start) -> None:
    server = start_server(LONGSHORE_STORAGE__VERIFY_READS="always")
    server.create("first")
    digest = push_blob(server, "first", unique_bytes(300 * KIB))
    flip_bit(file_of(server.data, digest), 7)
    hide_harm(server.data, digest)

    assert not is_served_whole(server, digest)
    assert server.request("HEAD", blob_path(digest)).status == 404


def test_always_reads_without_writing(start_server: Start) -> None:
    """A pull neither costs a transaction nor waits for one."""
    server = start_server(LONGSHORE_STORAGE__VERIFY_READS="always")
    server.create("first")
    data = unique_bytes(300 * KIB)
    digest = push_blob(server, "first", data)
    with no_writer(server.data):
        started = time.monotonic()
        answer = server.request("GET", blob_path(digest))

    assert answer.body == data
    assert time.monotonic() - started < 5  # a writer that waits for the lock gives up after 15 s


@pytest.mark.parametrize("size", [1_000, 300 * KIB])
def test_never_still_refuses_bytes_of_the_wrong_length(start_server: Start, size: int) -> None:
    """Nothing is hashed, but an answer that is shorter than it says would spoil the connection behind it."""
    server = start_server(LONGSHORE_STORAGE__VERIFY_READS="never")
    server.create("first")
    digest = push_blob(server, "first", unique_bytes(size))
    cut(file_of(server.data, digest))

    assert not is_served_whole(server, digest)
    assert server.request("HEAD", blob_path(digest)).status == 404


def test_a_file_that_cannot_be_opened_is_no_unknown_blob(start_server: Start) -> None:
    """F15: 503, and nothing is marked: the bytes may be well."""
    server = start_server()
    server.create("first")
    data = unique_bytes()
    digest = push_blob(server, "first", data)
    path = file_of(server.data, digest)
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.symlink_to(path.name)

    refused = server.request("GET", blob_path(digest))
    path.unlink()
    aside.rename(path)

    assert refused.status == 503
    assert server.request("GET", blob_path(digest)).body == data


def test_the_log_names_what_was_found(start_server: Start) -> None:
    server = start_server()
    name = unique_name()
    server.create(name)
    digest = push_blob(server, name, unique_bytes())
    file_of(server.data, digest).unlink()
    server.request("GET", blob_path(digest, name))
    server.stop()

    assert any(digest in line and "missing" in line for line in server.output)
