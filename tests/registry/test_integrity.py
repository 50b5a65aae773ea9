"""Damage of every kind, made by hand, is found and named; what pushes and deletes do meanwhile is not taken for it."""

import asyncio
import contextlib
import datetime as dt
import os
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from longshore import wiring
from registry import images, integrity
from registry.errors import StorageUnavailable
from registry.findings import KINDS, TO_DO, Finding, Report
from registry.names import Digest
from registry.records.schema import SchemaTooNew, SchemaTooOld
from registry.storage.base import Stored
from registry.storage.disk import DiskStore
from tests import builders
from tests.places import APP, INDEX, LAYER, ONE, REGION, REGISTRY, TOP, TWO, Place, everything, flip, make, rooms


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("original") / "data"
    make(data)
    return data


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Place:
    return Place(Path(shutil.copytree(original, tmp_path / "data")))


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


# --- sound ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True], ids=["quick", "deep"])
def test_sound_data_is_found_sound_and_left_as_it_is(place: Place, deep: bool) -> None:
    before = everything(place)
    report = place.check(deep=deep)

    assert report.is_sound
    assert report.findings == ()
    assert (report.blobs, report.images, report.tags, report.uploads) == (4, 3, 3, 1)
    assert report.stored_keys == 5
    assert report.blob_bytes == len(LAYER) + len(TOP) + len(ONE.blobs[0]) + len(TWO.blobs[0])
    assert (report.litter, report.in_flight) == (0, 0)
    assert everything(place) == before


def test_files_that_are_not_those_that_were_hashed_last_are_counted(place: Place) -> None:
    assert place.check().unverified == 4  # the place is a copy


def test_pages_are_joined(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "_PAGE", 1)
    monkeypatch.setattr(integrity, "_BODIES", 1)
    place.litter("ab0")
    place.litter("cd0")
    report = place.check(deep=True)

    assert (report.blobs, report.images, report.uploads, report.stored_keys, report.litter) == (4, 3, 1, 7, 2)


# --- damage -----------------------------------------------------------------------------------------------------------

Damage = Callable[[Place], object]


def unlink_layer(place: Place) -> None:
    place.file_of(LAYER).unlink()


def lose_store(place: Place) -> None:
    shutil.rmtree(place.store)


def lose_identity(place: Place) -> None:
    (place.store / "longshore-store.json").unlink()


def link_elsewhere(place: Place) -> None:
    other = "(SELECT id FROM blobs WHERE digest != ? LIMIT 1)"
    place.sql(f"UPDATE links SET blob_id = {other} WHERE digest = ?", DIGEST, DIGEST)


def lose_child(place: Place) -> None:
    [[manifest]] = place.sql("SELECT id FROM manifests WHERE digest = ?", TWO.digest)
    place.sql("DELETE FROM manifest_references WHERE manifest_id = ?", manifest)
    place.sql("DELETE FROM manifests WHERE id = ?", manifest)


def alter_kept(place: Place) -> None:
    with rooms(place.data) as deps:
        asyncio.run(images.delete(deps, REGISTRY, APP, Digest(INDEX.digest)))
    place.sql("UPDATE deleted_images SET body = CAST(body || ' ' AS BLOB)")


def sql(statement: str, *values: Any) -> Damage:
    return lambda place: place.sql(statement, *values)


def write_identity(text: str) -> Damage:
    return lambda place: (place.store / "longshore-store.json").write_text(text)


DIGEST, TOP_DIGEST = builders.digest_of(LAYER), builders.digest_of(TOP)
# What is done; the kind and the subject that it is found as.
DAMAGE: dict[str, tuple[Damage, str, str]] = {
    "bytes-gone": (unlink_layer, "blob-missing", DIGEST),
    "bytes-cut": (lambda place: os.truncate(place.file_of(LAYER), 5), "blob-size", DIGEST),
    "bytes-added": (lambda place: os.truncate(place.file_of(LAYER), 5000), "blob-size", DIGEST),
    "marked": (sql("UPDATE blobs SET damaged = 1 WHERE digest = ?", DIGEST), "blob-marked", DIGEST),
    "link-to-nothing": (sql("UPDATE links SET blob_id = 999 WHERE digest = ?", DIGEST), "link", DIGEST),
    "link-elsewhere": (link_elsewhere, "link", DIGEST),
    "manifest-altered": (
        sql("UPDATE manifests SET body = CAST(body || ' ' AS BLOB) WHERE digest = ?", ONE.digest),
        "manifest-digest",
        ONE.digest,
    ),
    "reference-row-gone": (
        sql("DELETE FROM manifest_references WHERE digest = ?", ONE.digest),
        "manifest-references",
        INDEX.digest,
    ),
    "link-gone": (sql("DELETE FROM links WHERE digest = ?", TOP_DIGEST), "reference-missing", TOP_DIGEST),
    "child-gone": (lose_child, "reference-missing", TWO.digest),
    "kept-manifest-altered": (alter_kept, "kept-manifest", INDEX.digest),
    "tag-of-nothing": (sql("UPDATE tags SET manifest_id = 999 WHERE name = 'one'"), "tag", "team/app:one"),
    "upload-gone": (lambda place: place.upload_file().unlink(), "upload", ""),
    "upload-cut": (lambda place: os.truncate(place.upload_file(), 3), "upload", ""),
    "store-gone": (lose_store, "store", ""),
    "store-of-another": (write_identity('{"storeId": "another", "region": "us-east-1"}'), "store", ""),
    "store-of-another-region": (write_identity('{"storeId": "another", "region": "eu-west-1"}'), "store", ""),
    "store-without-identity": (lose_identity, "store", ""),
    "row-without-repository": (sql("INSERT INTO tags VALUES (77, 'lost', 1, 0)"), "foreign-key", "tags"),
}
# These keep every size, so only hashing finds them.
ROT: dict[str, tuple[Damage, str, str]] = {
    "blob": (lambda place: flip(place.file_of(LAYER)), "blob-digest", DIGEST),
    "upload": (lambda place: flip(place.upload_file()), "upload", ""),
}


@pytest.mark.parametrize("deep", [False, True], ids=["quick", "deep"])
@pytest.mark.parametrize(("damage", "kind", "subject"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_named(place: Place, damage: Damage, kind: str, subject: str, deep: bool) -> None:
    damage(place)
    report = place.check(deep=deep)

    found = only(report)
    assert found.kind == kind
    assert subject in found.subject
    assert found.is_error and found.to_do == TO_DO[found.kind]
    assert report.counts == {kind: 1}
    assert not report.is_sound


@pytest.mark.parametrize(("damage", "kind", "subject"), ROT.values(), ids=ROT)
def test_rot_is_found_by_hashing_alone(place: Place, damage: Damage, kind: str, subject: str) -> None:
    damage(place)

    assert place.check().is_sound
    found = only(place.check(deep=True))
    assert found.kind == kind
    assert subject in found.subject


def test_a_blob_of_no_store_is_found(place: Place) -> None:
    place.sql("UPDATE blobs SET store_id = 'gone' WHERE digest = ?", DIGEST)
    report = place.check()

    assert report.counts == {"store": 1, "link": 1}  # the link leads out of its region's store too


def test_bytes_that_cannot_be_read_are_told_with_the_reason(place: Place) -> None:
    class Broken(DiskStore):
        async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes]:
            for trouble in (OSError(5, "Input/output error"),):
                raise StorageUnavailable from trouble
            yield b""

    place.sql("DELETE FROM uploads")
    report = place.check_with(lambda _db, root: Broken(root, REGION), deep=True)

    assert report.counts == {"blob-unreadable": 4}
    assert "Input/output error" in report.findings[0].message


@pytest.mark.parametrize("at", [0, 8192], ids=["header", "page"])
def test_a_damaged_database_is_told_and_nothing_else_is_judged(place: Place, at: int) -> None:
    with contextlib.closing(sqlite3.connect(place.data / wiring.DATABASE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(place.data / wiring.DATABASE, "r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 4096)
    report = place.check()

    assert set(report.counts) == {"database"}
    assert "SQLite says" in report.findings[0].message
    assert report.blobs == 0


def test_every_kind_of_trouble_says_what_to_do() -> None:
    assert set(TO_DO) == set(KINDS)


# --- which images -----------------------------------------------------------------------------------------------------


def test_a_bad_blob_names_the_images_and_the_indexes_above_them(place: Place) -> None:
    unlink_layer(place)
    found = only(place.check())

    named = {(image.repository, image.digest): image.tags for image in found.images}
    assert named == {
        (APP, INDEX.digest): ("1.0", "latest"),
        (APP, ONE.digest): ("one",),
        (APP, TWO.digest): (),
    }
    assert found.images[-1].digest == TWO.digest  # tagged ones come first
    assert found.image_count == 3
    assert found.region == REGION


def test_a_blob_of_one_image_names_only_that_and_its_index(place: Place) -> None:
    place.file_of(TOP).unlink()
    found = only(place.check())

    assert {image.digest for image in found.images} == {INDEX.digest, TWO.digest}


def test_of_many_images_the_first_are_named_and_all_are_counted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "_SHOWN_IMAGES", 1)
    unlink_layer(place)
    found = only(place.check())

    assert (len(found.images), found.image_count) == (1, 3)


def test_of_many_troubles_the_first_are_kept_and_all_are_counted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "MOST", 2)
    for [key] in place.sql("SELECT key FROM blobs"):
        (place.store / key[:2] / key).unlink()
    place.sql("UPDATE tags SET manifest_id = 999")
    report = place.check()

    assert report.counts == {"blob-missing": 4, "tag": 3}
    assert [found.kind for found in report.findings] == ["blob-missing"] * 2 + ["tag"] * 2


def test_sparse_manifests_are_sound_where_they_are_accepted(place: Place) -> None:
    place.sql("DELETE FROM links WHERE digest = ?", TOP_DIGEST)

    assert place.check().counts == {"reference-missing": 1}
    assert place.check(accept_sparse=True).is_sound


# --- litter -----------------------------------------------------------------------------------------------------------


def test_old_files_that_no_row_names_are_litter_and_no_error(place: Place) -> None:
    place.litter("ab" + "0" * 30, size=10)
    place.litter("ff" + "0" * 30, size=5)
    report = place.check()

    found = only(report)
    assert report.is_sound and not found.is_error
    assert (report.litter, report.litter_bytes, report.counts) == (2, 15, {"litter": 2})
    assert "ab" + "0" * 30 in found.message


def test_young_files_that_no_row_names_are_in_flight(place: Place) -> None:
    place.litter("ab" + "0" * 30, age=integrity.GRACE / 2)
    report = place.check()

    assert report.findings == ()
    assert (report.litter, report.in_flight) == (0, 1)


@pytest.mark.parametrize(("status", "litter"), [("open", 0), ("cancelled", 1), ("finished", 1)])
def test_bytes_of_an_upload_are_litter_when_it_is_over(place: Place, status: str, litter: int) -> None:
    then = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).timestamp()
    os.utime(place.upload_file(), (then, then))
    place.sql("UPDATE uploads SET status = ? WHERE status = 'open'", status)

    assert place.check().litter == litter


# --- beside pushes ----------------------------------------------------------------------------------------------------


class Acting(DiskStore):
    """A store behind whose back something happens when one key is first looked at: what is then found is bad."""

    def __init__(self, root: Path, key: str, act: Callable[[], None]) -> None:
        super().__init__(root, REGION, make=False)
        self._key, self._act, self.acted = key, act, False

    async def stat(self, key: str) -> Stored | None:
        if key == self._key and not self.acted:
            self.acted = True
            self._act()
        return await super().stat(key)


def test_a_blob_that_is_replaced_meanwhile_is_looked_at_again(place: Place) -> None:
    old = place.file_of(LAYER)
    new = old.parent / (old.name[:2] + "f" * 30)

    def replace() -> None:
        shutil.copy2(old, new)
        place.sql("UPDATE blobs SET key = ? WHERE key = ?", new.name, old.name)
        old.unlink()

    report = place.check_with(lambda _db, root: Acting(root, old.name, replace))

    assert report.findings == ()
    assert not old.exists()


def test_a_blob_that_is_replaced_by_bad_bytes_meanwhile_is_found(place: Place) -> None:
    old = place.file_of(LAYER)

    def replace() -> None:
        place.sql("UPDATE blobs SET key = ? WHERE key = ?", "ff" + "f" * 30, old.name)
        old.unlink()

    report = place.check_with(lambda _db, root: Acting(root, old.name, replace))

    assert only(report).kind == "blob-missing"


def test_a_blob_that_is_deleted_meanwhile_is_no_trouble(place: Place) -> None:
    place.sql("DELETE FROM tags")
    place.sql("DELETE FROM manifests")
    place.sql("DELETE FROM manifest_references")
    place.sql("DELETE FROM links")
    old = place.file_of(LAYER)

    def sweep() -> None:
        place.sql("DELETE FROM blobs WHERE key = ?", old.name)
        old.unlink()

    report = place.check_with(lambda _db, root: Acting(root, old.name, sweep))

    assert report.findings == ()


@pytest.mark.parametrize(("status", "kinds"), [("cancelled", set()), ("finished", set()), ("open", {"upload"})])
def test_an_upload_that_ends_meanwhile_is_no_trouble(place: Place, status: str, kinds: set[str]) -> None:
    file = place.upload_file()

    def end() -> None:
        place.sql("UPDATE uploads SET status = ? WHERE status = 'open'", status)
        file.unlink()

    report = place.check_with(lambda _db, root: Acting(root, file.name, end))

    assert set(report.counts) == kinds


# --- what cannot be looked at -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "error"), [("9999", SchemaTooNew), ("0000", SchemaTooNew)], ids=["newer", "unknown"]
)
def test_a_schema_of_another_program_is_refused(place: Place, version: str, error: type[Exception]) -> None:
    place.sql("UPDATE alembic_version SET version_num = ?", version)

    with pytest.raises(error, match=f"schema {version}"):
        place.check()


def test_a_schema_that_was_never_written_is_refused(place: Place) -> None:
    place.sql("DELETE FROM alembic_version")

    with pytest.raises(SchemaTooOld, match="start the server once"):
        place.check()


@pytest.mark.parametrize("damage", [lose_store, lose_identity], ids=["no store", "no identity"])
def test_looking_makes_nothing(place: Place, damage: Damage) -> None:
    damage(place)
    before = everything(place)
    place.check()

    assert everything(place) == before
