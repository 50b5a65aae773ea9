"""What a page and a point read cost: the same steps of SQLite's machine in a small repository and in a large one
(F43)."""

import datetime as dt
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from registry.model import Blob, Image, Repository, Upload
from registry.names import AccountId, Digest, Region, RegistryRef, RepositoryName, Tag
from registry.records import blobs, images, installation, repositories, schema
from registry.records.engine import Database, Tx

REGISTRY = RegistryRef(AccountId("000000000000"), Region("us-east-1"))
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SUBJECT = Digest.of(b"subject")
COMMON = "application/vnd.example.common"
SMALL, LARGE = 250, 2_000
PAGE = 100

# name -> the read, in repository 1
READS: dict[str, Callable[[Tx], Any]] = {
    "end-8-tags": lambda tx: images.tag_page(tx, 1, after="", limit=PAGE),
    "end-8-tags-behind": lambda tx: images.tag_page(tx, 1, after="t000100", limit=PAGE),
    "end-12-referrers": lambda tx: images.referrers(tx, 1, SUBJECT, after="", limit=PAGE),
    "end-12-referrers-behind": lambda tx: images.referrers(tx, 1, SUBJECT, after="sha256:0", limit=PAGE),
    "end-12-referrers-of-none": lambda tx: images.referrers(tx, 1, Digest.of(b"none"), after="", limit=PAGE),
    "end-12-referrers-of-a-type": lambda tx: images.referrers(
        tx, 1, SUBJECT, after="", limit=PAGE, artifact_types=[COMMON]
    ),
    "catalog": lambda tx: repositories.page(tx, REGISTRY, after="", limit=PAGE),
    "catalog-behind": lambda tx: repositories.page(tx, REGISTRY, after="r000100", limit=PAGE),
    "end-3-by-tag": lambda tx: images.read(tx, 1, Tag("t000007")),
    "end-3-by-digest": lambda tx: images.read(tx, 1, digest_at(7)),
    "end-3-absent": lambda tx: images.read(tx, 1, Tag("absent")),
    "end-2": lambda tx: blobs.linked(tx, 1, digest_at(7)),
    "end-7-what-is-held": lambda tx: blobs.held(tx, 1, [digest_at(number) for number in range(20)]),
    "end-7-children": lambda tx: images.sizes(tx, 1, [digest_at(number) for number in range(20)]),
    "end-9-parents": lambda tx: images.parents(tx, 1, digest_at(7)),
    "end-9-many-parents": lambda tx: images.parents(tx, 1, digest_at(9)),
    "end-10-in-use": lambda tx: blobs.is_referenced(tx, 1, digest_at(7)),
    "end-11-anywhere": lambda tx: blobs.somewhere(tx, REGISTRY, digest_at(7)),
    "end-11-anywhere-of-many": lambda tx: blobs.somewhere(tx, REGISTRY, digest_at(8)),
    "the-repository": lambda tx: repositories.find(tx, REGISTRY, RepositoryName("r000000")),
    "an-upload": lambda tx: blobs.upload(tx, "u000007"),
}


def digest_at(number: int) -> Digest:
    return Digest.of(str(number).encode())


def fill(tx: Tx, count: int) -> None:
    """So many repositories, and in the first of them so many images, tags, referrers, blobs and uploads.

    One blob is in every repository, and one image is a child of every index.
    """
    made = [repositories.insert(tx, repository_at(number)) for number in range(count)]
    ids = [one.id for one in made if one is not None]
    installation.adopt_store(tx, REGISTRY.region, "store")
    common = blob_at(tx, 8)
    for number, repository_id in enumerate(ids):
        blobs.link(tx, repository_id, common, NOW)
        blobs.link(tx, 1, blob_at(tx, number), NOW)
        image = images.insert(tx, image_at(number), b"{}", [], {digest_at(number + 1), digest_at(9)})
        images.put_tag(tx, image, Tag(f"t{number:06}"), NOW)
        blobs.insert_upload(tx, upload_at(number), status="finished")


def repository_at(number: int) -> Repository:
    return Repository(id=0, registry=REGISTRY, name=RepositoryName(f"r{number:06}"), created_at=NOW)


def blob_at(tx: Tx, number: int) -> Blob:
    key = f"k{number}"
    blob, _ = blobs.put(
        tx,
        store_id="store",
        digest=digest_at(number),
        size=2,
        key=key,
        identity=None,
        replaces=None,
        now=NOW,
        good=key,
    )
    return blob


def image_at(number: int) -> Image:
    return Image(
        id=0,
        repository_id=1,
        digest=digest_at(number),
        media_type="application/vnd.example",
        kind="image",
        artifact_type=COMMON,
        config_media_type=None,
        subject=SUBJECT if number % 2 else None,
        annotations={},
        body_size=2,
        image_size=2,
        pushed_at=NOW,
    )


def upload_at(number: int) -> Upload:
    return Upload(
        id=f"u{number:06}",
        repository_id=1,
        key=f"k{number}",
        size=2,
        digest=None,
        algorithm="sha256",
        parts=1,
        small_part=False,
        last_part=2,
        state={},
        updated_at=NOW,
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Database]]:
    """A database of either size."""
    found = {}
    for count in (SMALL, LARGE):
        database = Database(_path(tmp_path_factory, count))
        database.write_here(schema.upgrade)
        database.write_here(functools.partial(fill, count=count))
        found[count] = database
    yield found
    for database in found.values():
        database.close()


def _path(tmp_path_factory: pytest.TempPathFactory, count: int) -> Path:
    return tmp_path_factory.mktemp(f"of-{count}") / "longshore.db"


def steps(database: Database, read: Callable[[Tx], Any]) -> int:
    """Instructions of SQLite's machine."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    def unit(tx: Tx) -> None:
        dbapi: Any = tx.connection.dbapi_connection
        dbapi.set_progress_handler(count, 1)
        try:
            read(tx)
        finally:
            dbapi.set_progress_handler(None, 1)

    database.read_here(unit)
    return counted


def plans(database: Database, read: Callable[[Tx], Any]) -> list[str]:
    """How SQLite goes about each statement of the read."""
    asked: list[tuple[str, Any]] = []
    found: list[str] = []

    def unit(tx: Tx) -> None:
        def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            asked.append((statement, parameters))

        sa.event.listen(tx, "before_cursor_execute", note)
        try:
            read(tx)
        finally:
            sa.event.remove(tx, "before_cursor_execute", note)
        for statement, parameters in asked:
            rows = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            found.extend(str(row[3]) for row in rows)

    database.read_here(unit)
    return found


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
def test_a_read_costs_what_it_returns_and_not_what_there_is(
    filled: dict[int, Database], read: Callable[[Tx], Any]
) -> None:
    small, large = (filled[count].read_here(read) for count in (SMALL, LARGE))
    if isinstance(small, list):
        assert len(small) == len(large)

    cost = {count: steps(filled[count], read) for count in (SMALL, LARGE)}

    assert cost[LARGE] <= cost[SMALL] * 1.1 + 20, cost


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
def test_a_read_is_a_search_in_an_index_and_sorts_nothing(
    filled: dict[int, Database], read: Callable[[Tx], Any]
) -> None:
    found = plans(filled[LARGE], read)

    assert found
    # `stores` has a few rows for each region, whatever else there is.
    planned = [line for line in found if line != "SCAN stores"]
    assert not [line for line in planned if line.startswith("SCAN") or "TEMP B-TREE" in line], found
    assert any("USING" in line for line in found)


def test_the_measure_notices_a_scan(filled: dict[int, Database]) -> None:
    """Of itself: a read that looks at everything costs more where there is more, and is planned as a scan."""

    def scan(tx: Tx) -> Any:
        return tx.exec_driver_sql("SELECT name FROM tags WHERE tagged_at = 1 ORDER BY manifest_id").all()

    assert steps(filled[LARGE], scan) > 5 * steps(filled[SMALL], scan)
    assert any(line.startswith("SCAN") for line in plans(filled[LARGE], scan))
