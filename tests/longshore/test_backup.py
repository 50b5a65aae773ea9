"""A backup is one moment of the registry whatever happens meanwhile, and what comes back of it is whole."""

import asyncio
import contextlib
import datetime as dt
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import alembic.config
import pytest
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from longshore import archive, backup, restore, wiring
from longshore.archive import Archive, BackupTrouble, Description
from longshore.backup import Made
from longshore.config import Config, Server
from longshore.restore import Restored
from longshore.wiring import CannotStart
from registry import images, layers, uploads
from registry.errors import DatabaseDamaged
from registry.model import KnownStore
from registry.names import Digest
from registry.records import copies, schema
from registry.records import repositories as repository_rows
from tests import builders, places
from tests.places import APP, INDEX, LAYER, ONE, PART, REGION, REGISTRY, TOP, TWO, Place, database_of, flip, rooms

TOP_DIGEST = builders.digest_of(TOP)
OLD = "0004"  # a schema


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("original") / "data"
    places.make(data)
    return data


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Place:
    return Place(Path(shutil.copytree(original, tmp_path / "data")))


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def back_up(place: Place, dest: Path, *, verify: bool = False) -> Made:
    return backup.make(place.config, dest, verify=verify, watch=lambda step, done, total: None)


def put_back(dest: Path, data: Path, *, partial: bool = False) -> Restored:
    config = Config(server=Server(data=str(data)))
    return restore.restore(config, dest, partial=partial, watch=lambda step, done, total: None)


def restored(dest: Path, data: Path | None = None) -> Place:
    target = data or dest.with_name("restored")
    put_back(dest, target)
    return Place(target)


def state_of(dest: Path) -> Path:
    [state] = (dest / "states").iterdir()
    return state


def copy_of(dest: Path, file: Path) -> Path:
    """The backup's copy of a stored file."""
    return dest / "blobs" / REGION / file.parent.name / file.name


def rows_of(data: Path) -> list[str]:
    """All rows, without what copying changes on purpose: what files a blob was verified as."""
    with contextlib.closing(sqlite3.connect(data / wiring.DATABASE)) as connection:
        connection.execute("UPDATE blobs SET identity = NULL")
        return list(connection.iterdump())


def push(place: Place, data: bytes) -> None:
    """Push a blob to the place's repository, as the rooms do."""
    with rooms(place.data) as deps:
        repository = database_of(deps).read_here(lambda tx: repository_rows.find(tx, REGISTRY, APP))
        assert repository is not None
        asyncio.run(places.push_blob(deps, repository, data))


@contextlib.contextmanager
def after_the_database(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> Iterator[None]:
    """Do something whenever the database was copied: `act(1)` after the first time."""
    taken, count = copies.take, 0

    def take(source: Path, to: Path) -> None:
        nonlocal count
        taken(source, to)
        count += 1
        act(count)

    with monkeypatch.context() as patched:
        patched.setattr(copies, "take", take)
        yield


def replace(place: Place, data: bytes) -> Path:
    """What a push over damaged bytes does: a new key in the row, then the old bytes go. The new file."""
    old = place.file_of(data)
    new = old.parent / f"{old.name[:2]}{os.urandom(15).hex()}"
    new.write_bytes(data)
    place.sql("UPDATE blobs SET key = ? WHERE key = ?", new.name, old.name)
    old.unlink()
    return new


# --- there and back ---------------------------------------------------------------------------------------------------


def test_what_comes_back_is_what_there_was(place: Place, dest: Path) -> None:
    made = back_up(place, dest)
    back = restored(dest)

    assert (made.description.blobs, made.uploads, made.copied, made.rounds, made.lost) == (4, 1, 5, 1, ())
    report = back.check(deep=True)
    assert report.findings == ()
    assert (report.blobs, report.images, report.tags, report.uploads) == (4, 3, 3, 1)
    assert back.upload_file().read_bytes() == PART
    assert (back.data / wiring.MASTER_KEY).read_bytes() == (place.data / wiring.MASTER_KEY).read_bytes()
    assert (back.data / wiring.ROOT_KEY).read_bytes() == (place.data / wiring.ROOT_KEY).read_bytes()
    assert rows_of(back.data) == rows_of(place.data)


def test_restored_blobs_need_no_hashing_at_their_first_pull(place: Place, dest: Path) -> None:
    assert place.check().unverified == 4  # a plain copy needs it
    back_up(place, dest)

    assert restored(dest).check().unverified == 0


def test_a_restored_directory_serves_images_and_goes_on_with_uploads(place: Place, dest: Path) -> None:
    [[upload_id]] = place.sql("SELECT id FROM uploads WHERE status = 'open'")
    back_up(place, dest)
    back = restored(dest)

    async def use() -> tuple[bytes, bytes]:
        pulled = await images.get(deps, REGISTRY, APP, Digest(TWO.digest))
        repository = database_of(deps).read_here(lambda tx: repository_rows.find(tx, REGISTRY, APP))
        assert repository is not None
        ticket = uploads.Ticket(upload_id, repository.id, "sha256")
        whole = Digest.of(PART + b" and the rest")
        await uploads.finish(deps, repository, ticket, whole, places.chunks(b" and the rest"))
        opened = await layers.open_blob(deps, repository, whole, whole=True)
        assert opened.file is not None
        with opened.file:
            return pulled.body, opened.file.read()

    with rooms(back.data) as deps:
        body, blob = asyncio.run(use())

    assert body == TWO.body
    assert blob == PART + b" and the rest"


def test_certificates_come_along(place: Place, dest: Path) -> None:
    (place.data / "tls").mkdir(mode=0o700)
    (place.data / "tls" / "ca.key").write_bytes(b"a private key")
    made = back_up(place, dest)
    back = restored(dest)

    assert set(made.description.files) == {"longshore.db", "master.key", "root-key.json", "tls/ca.key"}
    assert (back.data / "tls" / "ca.key").read_bytes() == b"a private key"


def test_a_master_key_of_the_configuration_is_not_looked_for(place: Place, dest: Path) -> None:
    (place.data / wiring.MASTER_KEY).unlink()
    made = back_up(place, dest)

    assert wiring.MASTER_KEY not in made.description.files


@pytest.mark.parametrize("umask", [0o000, 0o022], ids=oct)
def test_nobody_else_can_read_what_is_written(place: Place, dest: Path, umask: int) -> None:
    (place.data / "tls").mkdir()
    (place.data / "tls" / "ca.key").write_bytes(b"a private key")
    before = os.umask(umask)
    try:
        back_up(place, dest)
        back = restored(dest)
    finally:
        os.umask(before)

    open_to_others = [
        path
        for root in (dest, back.data)
        for path in (root, *root.rglob("*"))
        if path.stat().st_mode & 0o077 and path.name != "longshore-store.json"  # an id, and no secret
    ]
    assert open_to_others == []
    secret = [state_of(dest) / name for name in ("longshore.db", "master.key", "root-key.json", "tls/ca.key")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_a_backup_of_an_older_program_is_brought_up_to_date(dest: Path) -> None:
    made, state = Archive(dest), Place(dest / archive.STATES / "then")
    state.data.mkdir(parents=True)
    store = made.store(KnownStore(region=REGION, role="main", store_id="5a" * 16), make=True)
    make_old_schema(state.data / wiring.DATABASE)
    state.sql("INSERT INTO stores VALUES (?, ?)", REGION, store.store_id)
    state.sql(
        "INSERT INTO blobs (store_id, digest, size, key, damaged, created_at) VALUES (?, ?, ?, ?, 0, 0)",
        *(store.store_id, TOP_DIGEST, len(TOP), "ab" + "0" * 30),
    )
    store.path("ab" + "0" * 30).write_bytes(TOP)
    made.describe(
        Description(
            format=archive.FORMAT,
            state="then",
            created_at=dt.datetime.now(dt.UTC),
            schema=OLD,
            stores={REGION: store.store_id},
            files={wiring.DATABASE: archive.look(state.data / wiring.DATABASE)},
            blobs=1,
            bytes=len(TOP),
            lost=0,
        )
    )
    back = restored(dest)

    assert back.sql("SELECT version_num FROM alembic_version") == [(schema.HEAD,)]
    report = back.check(deep=True)
    assert (report.findings, report.blobs) == ((), 1)


def make_old_schema(path: Path) -> None:
    """A database as an older program made it."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    engine = sa.create_engine(f"sqlite:///{path}")
    with (
        engine.begin() as tx,
        EnvironmentContext(
            config, scripts, fn=lambda revision, _context: scripts._upgrade_revs(OLD, revision)
        ) as environment,
    ):
        environment.configure(connection=tx)
        environment.run_migrations()
    engine.dispose()


# --- again ------------------------------------------------------------------------------------------------------------


def test_a_second_backup_copies_only_what_is_new(place: Place, dest: Path) -> None:
    back_up(place, dest)
    kept = copy_of(dest, place.file_of(LAYER)).stat()
    push(place, b"a new layer")
    made = back_up(place, dest)

    assert (made.copied, made.copied_bytes, made.description.blobs) == (1, len(b"a new layer"), 5)
    assert copy_of(dest, place.file_of(LAYER)).stat().st_mtime_ns == kept.st_mtime_ns
    assert copy_of(dest, place.file_of(LAYER)).stat().st_nlink == 1
    assert restored(dest).check(deep=True).findings == ()


def test_an_upload_that_grew_is_copied_again(place: Place, dest: Path) -> None:
    back_up(place, dest)
    file = place.upload_file()
    longer = PART + b" and more"
    file.write_bytes(longer)
    place.sql("UPDATE uploads SET size = ?, digest = ?", len(longer), builders.digest_of(longer))
    made = back_up(place, dest)

    assert made.copied == 1
    assert restored(dest).upload_file().read_bytes() == longer


def test_what_was_deleted_goes_from_the_next_backup(place: Place, dest: Path) -> None:
    back_up(place, dest)
    gone = copy_of(dest, place.file_of(TOP))
    place.sql("DELETE FROM tags")
    place.sql("DELETE FROM manifest_references")
    place.sql("DELETE FROM manifests")
    place.sql("DELETE FROM links WHERE digest = ?", TOP_DIGEST)
    place.sql("DELETE FROM blobs WHERE digest = ?", TOP_DIGEST)
    first = state_of(dest)
    made = back_up(place, dest)

    assert made.removed == 1
    assert not gone.exists()
    assert state_of(dest) != first


def test_verify_finds_and_mends_rot_in_the_backup(place: Place, dest: Path) -> None:
    back_up(place, dest)
    flip(copy_of(dest, place.file_of(LAYER)))

    assert back_up(place, dest).copied == 0
    assert back_up(place, dest, verify=True).copied == 1
    assert restored(dest).check(deep=True).findings == ()


def test_a_failure_on_the_way_leaves_the_backup_of_before(
    place: Place, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(place, dest)
    push(place, b"a new layer")
    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(archive, "copy_bytes", fails(28, "No space left on device"))
        back_up(place, dest)
    back = restored(dest)

    assert back.check(deep=True).findings == ()
    assert back.check().blobs == 4
    assert back_up(place, dest).copied == 1
    assert len(list((dest / "states").iterdir())) == 1


def fails(number: int, text: str) -> Callable[..., Any]:
    async def fail(*_: object, **__: object) -> None:
        raise OSError(number, text)

    return fail


def test_a_first_backup_that_failed_is_gone_on_with(place: Place, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = archive.copy_bytes

    async def fail_at_the_upload(*args: Any, whole: bool, **options: Any) -> str | None:
        if not whole:
            raise OSError(28, "No space left on device")
        return await copy(*args, whole=whole, **options)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(archive, "copy_bytes", fail_at_the_upload)
        back_up(place, dest)
    with pytest.raises(BackupTrouble, match="holds no finished backup"):
        put_back(dest, dest.with_name("restored"))
    made = back_up(place, dest)

    assert (made.copied, made.description.blobs) == (1, 4)
    assert restored(dest).check(deep=True).findings == ()


# --- beside a server --------------------------------------------------------------------------------------------------


def test_a_blob_that_is_replaced_meanwhile_is_in_the_backup(
    place: Place, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with after_the_database(monkeypatch, lambda count: replace(place, LAYER) if count == 1 else None):
        made = back_up(place, dest)
    back = restored(dest)

    assert (made.rounds, made.lost) == (2, ())
    assert back.file_of(LAYER).read_bytes() == LAYER
    assert back.check(deep=True).findings == ()


def test_a_blob_that_is_swept_meanwhile_is_not_in_the_backup(
    place: Place, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(place, b"nobody needs this")
    file, digest = place.file_of(b"nobody needs this"), builders.digest_of(b"nobody needs this")

    def sweep(count: int) -> None:
        place.sql("DELETE FROM links WHERE digest = ?", digest)
        place.sql("DELETE FROM blobs WHERE digest = ?", digest)
        file.unlink(missing_ok=True)

    with after_the_database(monkeypatch, sweep):
        made = back_up(place, dest)

    assert (made.rounds, made.lost, made.description.blobs) == (2, (), 4)
    assert restored(dest).check(deep=True).findings == ()


def test_a_blob_that_slips_away_every_time_is_told_and_marked(
    place: Place, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with after_the_database(monkeypatch, lambda _count: replace(place, TOP)):
        made = back_up(place, dest)
    back = restored(dest)

    [lost] = made.lost
    assert (made.rounds, lost.digest, lost.why) == (backup.ROUNDS, TOP_DIGEST, "deleted while the backup ran")
    assert {image.digest for image in lost.images} == {TWO.digest, INDEX.digest}
    assert back.check().counts == {"blob-missing": 1}
    assert back.sql("SELECT digest FROM blobs WHERE damaged") == [(TOP_DIGEST,)]
    assert back_up(place, dest).lost == ()


@pytest.mark.parametrize("status", ["cancelled", "finished"])
def test_an_upload_that_ends_meanwhile_has_ended_in_the_backup(
    place: Place, dest: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    def end(_count: int) -> None:
        file = place.upload_file()
        place.sql("UPDATE uploads SET status = ? WHERE status = 'open'", status)
        file.unlink()

    with after_the_database(monkeypatch, end):
        made = back_up(place, dest)
    back = restored(dest)

    assert (made.rounds, made.uploads, made.lost) == (1, 0, ())
    assert back.upload_status() == "cancelled"
    assert back.check(deep=True).findings == ()


def test_an_upload_that_goes_on_meanwhile_comes_back_as_it_was(
    place: Place, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(_count: int) -> None:
        with open(place.upload_file(), "ab") as file:
            file.write(b" and more")

    with after_the_database(monkeypatch, grow):
        back_up(place, dest)

    assert restored(dest).upload_file().read_bytes() == PART


# --- a damaged original -----------------------------------------------------------------------------------------------

Damage = Callable[[Place], object]
BAD_BYTES: dict[str, tuple[Damage, str]] = {
    "gone": (lambda place: place.file_of(TOP).unlink(), "missing"),
    "cut": (lambda place: os.truncate(place.file_of(TOP), 3), "cut short (3 of 28 bytes)"),
    "longer": (lambda place: os.truncate(place.file_of(TOP), 100), "longer than its row says"),
    "rotten": (lambda place: flip(place.file_of(TOP)), "not what its digest says"),
}


@pytest.mark.parametrize(("damage", "why"), BAD_BYTES.values(), ids=BAD_BYTES)
def test_lost_bytes_are_told_and_all_else_is_backed_up(place: Place, dest: Path, damage: Damage, why: str) -> None:
    damage(place)
    made = back_up(place, dest)
    target = dest.with_name("restored")
    result = put_back(dest, target)

    [lost] = made.lost
    assert (lost.digest, lost.why, made.rounds, made.description.lost) == (TOP_DIGEST, why, 1, 1)
    assert (result.blobs, result.damaged) == (3, 1)
    assert Place(target).check(deep=True).counts == {"blob-missing": 1}
    assert list((dest / "drafts").iterdir()) == []


def test_bytes_that_an_earlier_backup_has_are_not_lost(place: Place, dest: Path) -> None:
    back_up(place, dest)
    place.file_of(TOP).unlink()
    made = back_up(place, dest)

    assert made.lost == ()
    assert restored(dest).check(deep=True).findings == ()


def spoil_a_page(place: Place) -> None:
    """Damage that opening the database does not show."""
    with contextlib.closing(sqlite3.connect(place.data / wiring.DATABASE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [[page]] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'uploads'")
    with open(place.data / wiring.DATABASE, "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


def test_a_damaged_database_never_takes_the_place_of_a_good_one(place: Place, dest: Path) -> None:
    back_up(place, dest)
    spoil_a_page(place)

    with pytest.raises(DatabaseDamaged):
        back_up(place, dest)
    assert restored(dest).check(deep=True).findings == ()


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_the_backup_of_another_installation_is_left_alone(place: Place, dest: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with rooms(other):
        pass
    back_up(Place(other), dest)
    before = sorted(dest.rglob("*"))

    with pytest.raises(BackupTrouble, match="another installation"):
        back_up(place, dest)
    assert sorted(dest.rglob("*")) == before


def test_a_directory_with_other_things_is_left_alone(place: Place, dest: Path) -> None:
    dest.mkdir()
    (dest / "holiday.jpg").touch()

    with pytest.raises(BackupTrouble, match="is not empty and holds no backup"):
        back_up(place, dest)
    assert [path.name for path in dest.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("where", [".", "backup", "blobs/backup", ".."])
def test_backup_and_data_lie_apart(place: Place, where: str) -> None:
    with pytest.raises(BackupTrouble, match="lie in each other"):
        back_up(place, place.data / where)
    with pytest.raises(BackupTrouble, match="lie in each other"):
        restore._check(place.data / where, place.data, describe(place))


def describe(place: Place) -> archive.Description:
    made = back_up(place, place.data.with_name("elsewhere"))
    return made.description


def test_two_backups_into_one_directory_do_not_run_together(place: Place, dest: Path) -> None:
    back_up(place, dest)
    with archive.Archive(dest).held(alone=False):
        with pytest.raises(BackupTrouble, match="at work on"):
            back_up(place, dest)
        assert restored(dest).check().findings == ()  # readers may


@pytest.mark.parametrize(
    "spoil",
    [
        lambda place: shutil.rmtree(place.data),
        lambda place: (place.data / "restore-unfinished").touch(),
        lambda place: (place.data / "longshore.db").write_bytes(b"no database" * 1000),
        spoil_a_page,
        lambda place: shutil.rmtree(place.store),
        lambda place: place.sql("UPDATE alembic_version SET version_num = '9999'"),
    ],
    ids=["no data", "half restored", "no database", "damaged page", "no store", "newer schema"],
)
def test_what_cannot_be_backed_up_leaves_no_directory_behind(place: Place, dest: Path, spoil: Damage) -> None:
    spoil(place)
    with pytest.raises(Exception, match=r"."):
        back_up(place, dest / "deep" / "below")

    assert not dest.exists()


# --- damaged backups --------------------------------------------------------------------------------------------------


def in_state(name: str, act: Callable[[Path], object]) -> Callable[[Place, Path], object]:
    return lambda _place, dest: act(state_of(dest) / name)


def edit(old: str, new: str) -> Callable[[Place, Path], object]:
    def act(_place: Place, dest: Path) -> None:
        path = dest / "backup.json"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return act


DAMAGED: dict[str, tuple[Callable[[Place, Path], object], str]] = {
    "blob gone": (lambda place, dest: copy_of(dest, place.file_of(LAYER)).unlink(), "is missing in"),
    "blob rotten": (lambda place, dest: flip(copy_of(dest, place.file_of(LAYER))), "is not what its digest says in"),
    "blob cut": (lambda place, dest: os.truncate(copy_of(dest, place.file_of(LAYER)), 9), "is cut short"),
    "upload gone": (lambda place, dest: copy_of(dest, place.upload_file()).unlink(), "upload .* is missing in"),
    "store gone": (lambda _place, dest: shutil.rmtree(dest / "blobs" / REGION), "is missing: restore it"),
    "database gone": (in_state("longshore.db", Path.unlink), "longshore.db is missing: use another backup"),
    "database altered": (in_state("longshore.db", flip), "longshore.db is damaged: use another backup"),
    "key altered": (in_state("master.key", flip), "master.key is damaged: use another backup"),
    "never finished": (lambda _place, dest: (dest / "backup.json").unlink(), "holds no finished backup"),
    "description cut": (edit("{", ""), "is damaged: make a new backup"),
    "description incomplete": (edit('"schema"', '"skema"'), "is damaged: make a new backup"),
    "newer format": (edit('"format": 1', '"format": 2'), "written by a newer program"),
    "newer schema": (edit('"schema": "', '"schema": "9'), "this program knows schemas up to"),
    "a file outside": (edit('"master.key"', '"../master.key"'), "is damaged: use another backup"),
    "no database listed": (edit('"longshore.db"', '"tls/x"'), "holds no database: use another backup"),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_backup_is_refused_and_nothing_is_left(
    place: Place, dest: Path, damage: Callable[[Place, Path], object], says: str
) -> None:
    back_up(place, dest)
    damage(place, dest)

    with pytest.raises(Exception, match=says):
        put_back(dest, dest.with_name("new") / "restored")
    assert not dest.with_name("new").exists()


def test_a_refused_restore_leaves_an_empty_directory_empty(place: Place, dest: Path) -> None:
    """`lost+found` is what a fresh file system holds."""
    target = dest.with_name("restored")
    (target / "lost+found").mkdir(parents=True)
    back_up(place, dest)
    flip(copy_of(dest, place.file_of(LAYER)))

    with pytest.raises(BackupTrouble, match="not what its digest says"):
        put_back(dest, target)
    assert [path.name for path in target.rglob("*")] == ["lost+found"]
    put_back(dest, target, partial=True)
    assert Place(target).check().blobs == 4


@pytest.mark.parametrize("name", ["blob gone", "blob rotten", "blob cut"])
def test_partial_brings_back_the_rest_of_a_damaged_backup(place: Place, dest: Path, name: str) -> None:
    back_up(place, dest)
    DAMAGED[name][0](place, dest)
    target = dest.with_name("restored")
    result = put_back(dest, target, partial=True)

    assert (result.blobs, result.damaged) == (3, 1)
    report = Place(target).check(deep=True)
    assert report.counts == {"blob-missing": 1}
    assert {image.digest for image in report.findings[0].images} == {ONE.digest, TWO.digest, INDEX.digest}


def test_partial_ends_an_upload_whose_bytes_are_lost(place: Place, dest: Path) -> None:
    back_up(place, dest)
    copy_of(dest, place.upload_file()).unlink()
    target = dest.with_name("restored")
    put_back(dest, target, partial=True)

    assert Place(target).upload_status() == "cancelled"
    assert Place(target).check(deep=True).findings == ()


def test_a_directory_with_data_is_not_restored_into(place: Place, dest: Path) -> None:
    back_up(place, dest)
    before = places.everything(place)

    with pytest.raises(BackupTrouble, match="is not empty: stop the server and move the directory away"):
        put_back(dest, place.data)
    assert places.everything(place) == before


def test_a_half_restored_directory_is_told_apart(place: Place, dest: Path, tmp_path: Path) -> None:
    back_up(place, dest)
    target = tmp_path / "restored"
    target.mkdir()
    (target / "restore-unfinished").touch()

    for refused in (lambda: put_back(dest, target), lambda: wiring.prepare(Place(target).config, {}, "")):
        with pytest.raises(CannotStart, match="did not finish: delete the directory and restore again"):
            refused()
