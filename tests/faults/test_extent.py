"""Much of one thing: uploads that were given up (R24), images at a restart (R14), layers of one manifest (F42).

LONGSHORE_TEST_ABORTED: uploads. LONGSHORE_TEST_IMAGES: images.
"""

import json
import os
import random
import sqlite3
import time
from collections.abc import Callable

import pytest

from tests import elsewhere
from tests.builders import digest_of, image, push, put_manifest, unique_bytes
from tests.commands import longshore
from tests.conftest import Start
from tests.damage import stored_files
from tests.servers import RunningServer
from tests.threats.processes import MIB, growth
from tests.waiting import until
from tests.wire import connect, root_head

ABORTED = int(os.environ.get("LONGSHORE_TEST_ABORTED", "40"))
IMAGES = int(os.environ.get("LONGSHORE_TEST_IMAGES", "5000"))
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))
MOST_MANIFEST = 4 * MIB

pytestmark = pytest.mark.skipif(
    (elsewhere.DATABASE, elsewhere.STORE) != ("sqlite", "disk"), reason="looks into the data directory"
)


def test_uploads_that_were_given_up_leave_nothing(
    start_server: Start, record_property: Callable[[str, object], None]
) -> None:
    """R24: cancelled, cut off within a chunk, or left alone between two; one collection after their time."""
    terms = {
        "LONGSHORE_GC__UPLOAD_SECONDS": "1",
        "LONGSHORE_GC__GRACE_SECONDS": "1",
        "LONGSHORE_GC__INTERVAL_SECONDS": "0",
    }
    server, rng = start_server(**terms), random.Random(SEED)
    server.create("app")
    push(server, "app", image(), "kept")
    kept = stored_files(server.data)
    for number in range(ABORTED):
        give_up(server, number, rng.randrange(1, 300_000))
    left = len(stored_files(server.data) - kept)
    for name in stored_files(server.data) - kept:
        os.utime(server.data / "blobs" / name, (0, 0))  # younger ones without a row are left alone
    # An upload's time is counted from its last chunk; what is asked here is that one pass is enough.
    collected = until(lambda: _collected(server, terms), what="the last upload's time") or set()
    record_property("aborted", f"{ABORTED} uploads, {left} files before, {len(collected - kept)} after a collection")

    assert collected == kept
    assert server.request("GET", "/v2/app/manifests/kept").status == 200


def _collected(server: RunningServer, terms: dict[str, str]) -> set[str] | None:
    """The files behind a pass that found every upload old enough; None where one was too young yet."""
    with sqlite3.connect(server.data / "longshore.db") as rows:
        newest = rows.execute("SELECT max(updated_at) FROM uploads WHERE status = 'open'").fetchone()[0] or 0
    if time.time() - newest / 1e6 < 1.1:
        return None
    ran = longshore("gc", "--data", server.data, "--force", **terms)
    assert ran.code == 0, ran
    return stored_files(server.data)


def give_up(server: RunningServer, number: int, size: int) -> None:
    location = server.request("POST", "/v2/app/blobs/uploads/").headers["Location"]
    data = unique_bytes(size)
    if number % 3 == 0:
        with connect(server) as client:
            client.send(root_head(server, "PATCH", location, {"Content-Length": str(2 * size)}) + data)
            client.reset()
        return
    assert server.request("PATCH", location, data).status == 202
    if number % 3 == 1:
        assert server.request("DELETE", location).status == 204


def test_a_restart_reads_no_image(start_server: Start, record_property: Callable[[str, object], None]) -> None:
    """R14: after a kill, with many images, one row each for the same layers."""
    server = start_server()
    server.create("app")
    push(server, "app", image(), "first")
    server.kill()
    with sqlite3.connect(server.data / "longshore.db") as rows:
        many(rows, IMAGES)
    server.start()
    push(server, "app", image(), "second")
    server.kill()
    began = time.monotonic()
    server.start()
    seconds = time.monotonic() - began
    record_property("restart", f"{IMAGES} images: ready after {seconds:.2f} s")

    assert server.request("GET", "/v2/app/manifests/second").status == 200
    assert server.request("GET", "/v2/app/tags/list?n=1&last=t").json["tags"] == ["t0"]


def many(rows: sqlite3.Connection, count: int) -> None:
    """So many images that are the first one under other digests, each with a tag."""
    columns = [name for _, name, *_ in rows.execute("PRAGMA table_info(manifests)") if name not in ("id", "digest")]
    listed = ", ".join(columns)
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})"
    rows.execute(
        f"{numbers} INSERT INTO manifests (digest, {listed}) "
        f"SELECT 'sha256:' || printf('%064x', i), {listed} FROM n, manifests WHERE manifests.id = 1"
    )
    rows.execute(
        "INSERT INTO manifest_references (manifest_id, digest, kind, repository_id) SELECT m.id, r.digest, r.kind, "
        "r.repository_id FROM manifests AS m, manifest_references AS r WHERE m.id > 1 AND r.manifest_id = 1"
    )
    rows.execute(
        "INSERT INTO tags (repository_id, name, manifest_id, tagged_at) "
        "SELECT repository_id, 't' || (id - 2), id, pushed_at FROM manifests WHERE id > 1"
    )
    rows.commit()


def test_F42_the_largest_manifest_holds_nobody_up(
    start_server: Start, record_property: Callable[[str, object], None]
) -> None:
    """Twenty thousand layers that others keep: pushed, pulled, listed and collected, in memory bounded by its size."""
    server = start_server()
    server.create("app")
    small = image(config=b"{}")
    push(server, "app", small, "small")
    document = json.loads(small.body)
    foreign = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "size": 1,
        "urls": ["https://a.b/c"],
    }
    document["layers"] += [{**foreign, "digest": digest_of(str(number).encode())} for number in range(21_000)]
    body = json.dumps(document, separators=(",", ":")).encode()
    body += b" " * (MOST_MANIFEST - len(body))
    assert len(body) == MOST_MANIFEST
    largest = type(small)(body=body, media_type=small.media_type, blobs=small.blobs)
    with growth(server) as grown:
        began = time.monotonic()
        answer = put_manifest(server, "app", largest, "largest")
        pushed = time.monotonic() - began
        pulled = server.request("GET", "/v2/app/manifests/largest")
    record_property("largest", f"pushed in {pushed:.2f} s; {grown.bytes // MIB} MiB more")

    assert (answer.status, pulled.body == body) == (201, True), answer.body
    assert grown.bytes < 16 * MOST_MANIFEST
    with server.client() as ecr:
        assert len(ecr.describe_images(repositoryName="app")["imageDetails"]) == 2
    assert longshore("gc", "--data", server.data, "--dry-run").code == 0
