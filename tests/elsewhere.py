"""Where the servers of a test run keep rows and bytes, and how many share them, as the run's environment says.

    LONGSHORE_TEST_DATABASE=postgresql   rows in a PostgreSQL database of each data directory's own
    LONGSHORE_TEST_STORE=s3              bytes in a bucket of each data directory's own (versitygw)
    LONGSHORE_TEST_SERVERS=3             three server processes behind a relay that sends each request to the next one
    LONGSHORE_TEST_FAST=off              without the fast ways of pulls and pushes, which are switched on by default

Nothing is set in an ordinary run: rows and bytes lie in the data directory, and one process serves them.
"""

import atexit
import functools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.pg_servers import PostgresService
    from tests.s3_servers import S3Service

DATABASE: Final = os.environ.get("LONGSHORE_TEST_DATABASE", "sqlite")
STORE: Final = os.environ.get("LONGSHORE_TEST_STORE", "disk")
SERVERS: Final = int(os.environ.get("LONGSHORE_TEST_SERVERS", "1"))
FAST: Final = os.environ.get("LONGSHORE_TEST_FAST", "on")
assert FAST in ("on", "off")
assert DATABASE in ("sqlite", "postgresql") and STORE in ("disk", "s3") and 1 <= SERVERS <= 9

MASTER_KEY: Final = "6b" * 32
_PLAIN: Final = {"LONGSHORE_SERVER__FAST_REPLIES": "false", "LONGSHORE_STORAGE__DIRECT_UPLOADS": "false"}
_chosen: dict[Path, tuple[dict[str, str], int]] = {}


def environment(data: Path) -> dict[str, str]:
    """What a server of this data directory is told beside its arguments; the same each time."""
    return dict(_of(data)[0])


def servers_of(data: Path) -> int:
    """How many servers there are to be where a test starts one on this data directory."""
    return _of(data)[1]


def choose(data: Path, *, database: str = DATABASE, store: str = STORE, servers: int = SERVERS, url: str = "") -> None:
    """Say, before its first server is made, where a data directory's rows and bytes are to lie. `url`: just there."""
    found: dict[str, str] = {} if FAST == "on" else dict(_PLAIN)
    if database == "postgresql":
        url = url or postgresql().new_database()
        found |= {"LONGSHORE_DATABASE__URL": url, "LONGSHORE_SECRETS__MASTER_KEY": MASTER_KEY}
    if store == "s3":
        from tests import s3_servers

        found |= s3_servers.new_bucket(_s3()).environment()
    _chosen[Path(os.path.abspath(data))] = (found, servers)


def _of(data: Path) -> tuple[dict[str, str], int]:
    path = Path(os.path.abspath(data))
    if path not in _chosen:
        choose(path)
    return _chosen[path]


@functools.cache
def postgresql() -> "PostgresService":
    """The one PostgreSQL server of this process, running until its end."""
    from tests.pg_servers import PostgresService

    service = PostgresService()
    atexit.register(service.remove)
    service.make()
    service.start()
    return service


@functools.cache
def _s3() -> "S3Service":
    from tests.s3_servers import S3Service

    service = S3Service("versitygw", Path(tempfile.mkdtemp(prefix="longshore-s3-")) / "objects")
    atexit.register(service.stop)
    service.start()
    return service
