"""The shape that the scripts build is the one that the code speaks of, from empty and from every earlier one."""

import datetime as dt
import importlib
import pkgutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql

from registry.model import KnownStore
from registry.names import AccountId, Region
from registry.records import access_keys, accounts, installation, schema, stamps, tables
from registry.records.tables.columns import metadata
from tests import elsewhere

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
SCRIPTS = Path(schema.__file__).with_name("migrations")

for module in pkgutil.iter_modules(tables.__path__, f"{tables.__name__}."):
    importlib.import_module(module.name)  # each adds its tables to the metadata


@pytest.fixture
def db(empty):
    return empty


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def upgrade_to(tx, target: str) -> None:
    found = scripts()
    environment = EnvironmentContext(Config(), found, fn=lambda revision, _: found._upgrade_revs(target, revision))
    with environment:
        environment.configure(connection=tx, transactional_ddl=True)
        environment.run_migrations()


def differences(tx) -> list:
    return compare_metadata(MigrationContext.configure(tx, opts={"compare_type": False}), metadata)


def test_the_newest_script_is_the_head():
    assert scripts().get_current_head() == schema.HEAD


def test_an_empty_database_gets_the_shape_of_the_tables(db):
    db.start_here(schema.upgrade)

    assert db.read_here(differences) == []
    assert db.read_here(schema.version) == schema.HEAD
    assert db.read_here(stamps.policy) >= 1


def test_columns_may_be_null_where_the_tables_say_so(db):
    db.start_here(schema.upgrade)

    def nullable(tx):
        inspector = sa.inspect(tx)
        return {
            (table, column["name"]): column["nullable"]
            for table in metadata.tables
            for column in inspector.get_columns(table)
        }

    assert db.read_here(nullable) == {
        (table.name, column.name): column.nullable for table in metadata.tables.values() for column in table.columns
    }


def test_the_key_of_the_first_version_becomes_its_root_users(db):
    """A data directory of schema 0001: one root key and a repository of another account."""

    def old(tx):
        upgrade_to(tx, "0001")
        key = sa.text(
            "INSERT INTO access_keys (id, account, arn, sealed_secret, active, created_at) "
            "VALUES ('AKIAOLD', '111122223333', 'arn:aws:iam::111122223333:root', :secret, TRUE, 1700000000000000)"
        )
        tx.execute(key.bindparams(sa.bindparam("secret", b"\x00\xff", sa.LargeBinary)))
        tx.exec_driver_sql(
            "INSERT INTO repositories (account, region, name, created_at, mutability, mutability_filters, "
            "scan_on_push, encryption, resource_tags) "
            "VALUES ('222233334444', 'us-east-1', 'app', 1700000000000000, 'MUTABLE', '[]', FALSE, 'AES256', '{}')"
        )

    db.start_here(old)
    db.start_here(schema.upgrade)
    key = db.read_here(lambda tx: access_keys.owned(tx, "AKIAOLD"))

    assert key is not None and key.user is None
    assert key.key.is_root and key.key.installed and key.key.active
    assert key.key.account == "111122223333" and key.key.sealed_secret == b"\x00\xff"
    assert [one.id for one in db.read_here(accounts.every)] == ["111122223333", "222233334444"]
    assert db.read_here(differences) == []


def test_the_one_store_of_a_region_becomes_where_new_bytes_go(db):
    db.start_here(lambda tx: upgrade_to(tx, "0010"))
    db.write_here(lambda tx: tx.exec_driver_sql("INSERT INTO stores (region, store_id) VALUES ('eu-west-1', 'one')"))
    db.start_here(schema.upgrade)

    assert db.read_here(installation.known_stores) == [
        KnownStore(region=Region("eu-west-1"), role="main", store_id="one")
    ]


def test_a_database_of_a_newer_program_is_refused_and_left_alone(db):
    db.start_here(schema.upgrade)
    db.start_here(lambda tx: tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9001'"))

    for unit in (schema.upgrade, schema.require):
        with pytest.raises(schema.SchemaTooNew, match="9001"):
            db.start_here(unit)

    assert db.read_here(schema.version) == "9001"


@pytest.mark.parametrize("after", [0, 2, 10, 30, 50])
def test_a_start_that_ends_half_way_leaves_nothing_and_the_next_one_comes_to_the_end(db, after):
    """F10. Every script runs in one transaction, whichever statement is its last."""

    class Killed(BaseException):
        pass

    def killed(tx):
        ran = 0

        def count(*_):
            nonlocal ran
            ran += 1
            if ran > after:
                raise Killed

        sa.event.listen(tx, "before_cursor_execute", count)
        try:
            schema.upgrade(tx)
        finally:
            sa.event.remove(tx, "before_cursor_execute", count)

    with pytest.raises(Killed):
        db.start_here(killed)
    left = db.read_here(lambda tx: sa.inspect(tx).get_table_names())
    db.start_here(schema.upgrade)

    assert left == []
    assert db.read_here(differences) == []


@pytest.mark.real("postgresql")
def test_starts_at_the_same_moment_do_it_once(another):
    url = elsewhere.postgresql().new_database()
    servers = [another(url) for _ in range(4)]
    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(lambda one: one.start_here(schema.upgrade), servers))

    assert {one.read_here(schema.version) for one in servers} == {schema.HEAD}
    assert servers[0].read_here(differences) == []


@pytest.mark.real("postgresql")
def test_names_compare_by_bytes_whatever_the_locale(another):
    """In order and in uniqueness, as on SQLite: pages would skip and repeat otherwise."""
    db = another(elsewhere.postgresql().new_database(locale="und-x-icu"))
    db.start_here(schema.upgrade)

    def collations(tx):
        found = tx.execute(
            sa.text(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_schema = 'public' AND collation_name = 'C'"
            )
        )
        return {tuple(row) for row in found}

    wanted = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.columns
        if getattr(column.type.dialect_impl(postgresql.dialect()), "collation", None) == "C"
    }

    assert {"tags", "repositories", "manifests", "links"} <= {table for table, _ in wanted}
    assert db.read_here(collations) == wanted


def test_every_change_moves_the_policy_stamp(db):
    db.start_here(schema.upgrade)
    before = db.read_here(stamps.policy)

    db.write_here(stamps.changing(lambda tx: accounts.insert(tx, AccountId("111122223333"), NOW)))

    assert db.read_here(stamps.policy) == before + 1
