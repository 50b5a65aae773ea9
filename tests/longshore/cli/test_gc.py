"""`longshore gc` and `longshore scrub`: what they answer, and by which exit code."""

import datetime as dt
import time
from pathlib import Path

import pytest

from tests.builders import digest_of
from tests.commands import Ran, longshore
from tests.damage import database, file_of, flip_bit
from tests.places import ONE, Place, make

YEAR_AGO = time.time() - 365 * 86400


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A filled directory; one image was deleted long ago, and an upload was begun and forgotten then."""
    make(tmp_path / "data")
    found = Place(tmp_path / "data")
    found.sql("PRAGMA foreign_keys = ON")
    found.sql("DELETE FROM tags WHERE name != 'one'")
    found.sql("DELETE FROM manifest_references WHERE manifest_id != (SELECT manifest_id FROM tags)")
    found.sql("DELETE FROM manifests WHERE id != (SELECT manifest_id FROM tags)")
    for table, column in (("links", "touched_at"), ("uploads", "updated_at"), ("blobs", "created_at")):
        found.sql(f"UPDATE {table} SET {column} = ?", int(YEAR_AGO * 1_000_000))
    return found


def gc(place: Place, *arguments: str, **environment: str) -> Ran:
    return longshore("gc", "--data", place.data, *arguments, **environment)


def files(place: Place) -> int:
    return len(list(place.store.glob("??/*")))


def test_it_says_what_went_and_by_how_much(place: Place) -> None:
    before = files(place)
    said = gc(place, "--dry-run")
    assert (said.code, files(place)) == (0, before)
    done = gc(place)

    assert done.code == 0, done.err
    assert "us-east-1: 2 blobs (" in done.out and "1 unfinished upload (27 B) went" in done.out
    assert [line.split(" w")[0] for line in done.out.splitlines()[:-1]] == [
        line.split(" w")[0] for line in said.out.splitlines()[:-1]
    ]
    assert files(place) == before - 3
    assert place.check(deep=True).is_sound


def test_json_says_the_same(place: Place) -> None:
    would, did, rest = (gc(place, "--output", "json", *more).json for more in (["--dry-run"], [], []))

    assert (would["dryRun"], did["dryRun"]) == (True, False)
    assert would["regions"][0]["blobs"] == did["regions"][0]["blobs"]
    assert would["repositories"] == did["repositories"]
    assert did["repositories"][0]["repository"] == "team/app"
    assert (did["complete"], did["refused"], did["regions"][0]["uploads"]) == (True, None, {"count": 1, "bytes": 27})
    assert did["bytes"] == sum(did["regions"][0][kind]["bytes"] for kind in ("blobs", "uploads", "unnamed"))
    assert (rest["bytes"], rest["repositories"]) == (0, [])


def test_a_database_that_is_older_than_its_store_is_refused_with_code_1(place: Place) -> None:
    """F27: what a restore from an old backup looks like. The advice says what to do."""
    for number in range(20):
        place.litter(f"{number:02}" + "0" * 30, size=1000, age=dt.timedelta(days=1 + number % 2))
    before = files(place)
    refused = gc(place)

    assert refused.code == 1
    assert refused.out == ""
    assert "likely older than the store" in refused.err and "--force" in refused.err and "backup" in refused.err
    assert files(place) == before
    assert gc(place, "--output", "json").json["refused"]
    assert gc(place, "--force").code == 0
    assert files(place) == 2 + 10  # half of it is still in its grace period


def test_the_share_is_a_setting(place: Place) -> None:
    place.litter("ab" + "0" * 30, size=100_000)

    assert gc(place).code == 1
    assert gc(place, LONGSHORE_GC__REFUSE_PERCENT="100").code == 0


def test_a_short_grace_period_is_warned_of(place: Place) -> None:
    told = gc(place, LONGSHORE_GC__GRACE_SECONDS="3599")

    assert (told.code, "gc.grace_seconds is 3599" in told.err) == (0, True)
    assert gc(place, LONGSHORE_GC__GRACE_SECONDS="3600").err == ""


@pytest.mark.parametrize("command", ["gc", "scrub"])
def test_a_directory_without_data_is_one_line_and_code_1(tmp_path: Path, command: str) -> None:
    ran = longshore(command, "--data", tmp_path)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("longshore: there is no ") and ran.err.count("\n") == 1


@pytest.mark.parametrize("command", ["gc", "scrub"])
def test_a_store_that_is_gone_is_left_alone_and_told(place: Place, command: str) -> None:
    identity = place.store / "longshore-store.json"
    identity.write_text('{"storeId": "another", "region": "us-east-1"}')
    before = files(place)
    ran = longshore(command, "--data", place.data)

    assert ran.code == 1
    assert "left alone: region us-east-1" in ran.err
    assert files(place) == before


def test_an_unknown_failpoint_is_refused(place: Place) -> None:
    ran = gc(place, LONGSHORE_FAILPOINT="gc-nowhere:kill")

    assert (ran.code, "there is no place 'gc-nowhere'" in ran.err) == (1, True)


def test_a_scrub_says_which_images_are_affected(place: Place) -> None:
    assert longshore("scrub", "--data", place.data).out.endswith("; all are right\n")
    flip_bit(file_of(place.data, digest_of(ONE.blobs[1])))
    told, by_json = (longshore("scrub", "--data", place.data, *more) for more in ([], ["--output", "json"]))

    assert (told.code, by_json.code) == (1, 1)
    assert "other bytes" in told.out and "team/app:one" in told.out
    [trouble] = by_json.json["troubles"]
    assert (trouble["digest"], trouble["marked"]) == (digest_of(ONE.blobs[1]), True)
    assert trouble["images"][0]["tags"] == ["one"]
    with database(place.data) as db:
        assert tuple(db.execute("SELECT count(*) FROM blobs WHERE damaged").fetchone()) == (1,)
