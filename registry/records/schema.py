"""The shape of the database: brought up to date at start, refused when it is newer than this program.

Each change is a numbered script in `migrations/versions`, run by alembic inside one transaction under the write lock,
so a start that is killed half way leaves the old shape and two that start together do it once. alembic is imported
only when there is something to do: it would cost half a second at every start.
"""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from registry.records.engine import Tx

HEAD: Final = "0012"  # the newest script's number
_SCRIPTS: Final = Path(__file__).with_name("migrations")


class SchemaTooNew(Exception):
    """The data was written by a newer program. The message is for the operator."""


class SchemaTooOld(Exception):
    """The data was written by an older program, and no newer one has been started on it. For the operator."""


def version(tx: Tx) -> str | None:
    """The number of the last script that ran on this database; None for an empty one."""
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    return tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


def require(tx: Tx) -> None:
    """Return if the database is at HEAD. Raises SchemaTooNew, SchemaTooOld."""
    found = version(tx)
    if found == HEAD:
        return
    if found is None or found in known():
        raise SchemaTooOld(
            f"the database has schema {found or '0'}, this program writes schema {HEAD}: start the server once, which "
            "brings it up to date"
        )
    raise SchemaTooNew(_too_new(found))


def known() -> set[str]:
    """The numbers of all scripts."""
    return {path.name.partition("_")[0] for path in (_SCRIPTS / "versions").glob("[0-9]*_*.py")}


def upgrade(tx: Tx) -> None:
    """Bring the database to HEAD. Raises SchemaTooNew."""
    found = version(tx)
    if found == HEAD:
        return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise SchemaTooNew(_too_new(found))
    environment = EnvironmentContext(
        config, scripts, fn=lambda revision, _context: scripts._upgrade_revs("head", revision)
    )
    with environment:
        environment.configure(connection=tx, transactional_ddl=True)
        environment.run_migrations()


def _too_new(found: str) -> str:
    return f"the database has schema {found}, this program knows schemas up to {HEAD}: start the newer program"
