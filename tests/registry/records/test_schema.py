"""The shape that the scripts build is the one that the code speaks of, from empty and from every earlier one."""

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from registry.names import AccountId
from registry.records import access_keys, accounts, schema, stamps
from registry.records.engine import Database
from registry.records.tables import metadata

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
SCRIPTS = Path(schema.__file__).with_name("migrations")


@pytest.fixture
def db(tmp_path):
    opened = Database(tmp_path / "longshore.db")
    yield opened
    opened.close()


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
    db.write_here(schema.upgrade)

    assert db.read_here(differences) == []
    assert db.read_here(schema.version) == schema.HEAD
    assert db.read_here(stamps.policy) >= 1


def test_columns_may_be_null_where_the_tables_say_so(db):
    db.write_here(schema.upgrade)

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
        tx.exec_driver_sql(
            "INSERT INTO access_keys (id, account, arn, sealed_secret, active, created_at) "
            "VALUES ('AKIAOLD', '111122223333', 'arn:aws:iam::111122223333:root', x'00ff', 1, 1700000000000000)"
        )
        tx.exec_driver_sql(
            "INSERT INTO repositories (account, region, name, created_at, mutability, mutability_filters, "
            "scan_on_push, encryption, resource_tags) "
            "VALUES ('222233334444', 'us-east-1', 'app', 1700000000000000, 'MUTABLE', '[]', 0, 'AES256', '{}')"
        )

    db.write_here(old)
    db.write_here(schema.upgrade)
    key = db.read_here(lambda tx: access_keys.owned(tx, "AKIAOLD"))

    assert key is not None and key.user is None
    assert key.key.is_root and key.key.installed and key.key.active
    assert key.key.account == "111122223333" and key.key.sealed_secret == b"\x00\xff"
    assert [one.id for one in db.read_here(accounts.every)] == ["111122223333", "222233334444"]
    assert db.read_here(differences) == []


def test_every_change_moves_the_policy_stamp(db):
    db.write_here(schema.upgrade)
    before = db.read_here(stamps.policy)

    db.write_here(stamps.changing(lambda tx: accounts.insert(tx, AccountId("111122223333"), NOW)))

    assert db.read_here(stamps.policy) == before + 1
