"""A filled data directory, made by the rooms themselves, that a test may damage and look at."""

import asyncio
import contextlib
import datetime as dt
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

from longshore import wiring
from longshore.config import Config, Server
from registry import images, integrity, repositories, uploads
from registry.context import Deps
from registry.findings import Report
from registry.model import Repository
from registry.names import AccountId, Digest, Region, RegistryRef, RepositoryName, Tag
from registry.records.engine import Opened
from registry.repositories import Wish
from registry.storage.base import Stores
from registry.storage.disk import DiskStore
from tests import builders

REGION = Region("us-east-1")
REGISTRY = RegistryRef(AccountId("000000000000"), REGION)
APP = RepositoryName("team/app")
LAYER = b"the layer that both images share" * 100
TOP = b"the layer of one image alone"
ONE, TWO = builders.image(layers=[LAYER]), builders.image(layers=[LAYER, TOP])
INDEX = builders.index(ONE, TWO)
PART = b"the first part of an upload"


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def push_blob(deps: Deps, repository: Repository, data: bytes) -> None:
    ticket = uploads.open_ticket(deps, repository, uploads.begin(deps, repository))
    await uploads.finish(deps, repository, ticket, Digest.of(data), chunks(data))


async def fill(deps: Deps) -> None:
    """Two images that share a layer, an index of them with a tag, a tag on one of them, and an open upload."""
    repository = await repositories.create(deps, REGISTRY, APP, Wish())
    for built, tags in ((ONE, ["one"]), (TWO, []), (INDEX, ["latest", "1.0"])):
        for blob in built.blobs:
            await push_blob(deps, repository, blob)
        await images.put(deps, REGISTRY, APP, built.body, built.media_type, tags=[Tag(tag) for tag in tags])
    ticket = uploads.open_ticket(deps, repository, uploads.begin(deps, repository))
    await uploads.append(deps, repository, ticket, chunks(PART), start=None)


def make(data: Path) -> None:
    """Fill a new data directory."""
    with rooms(data) as deps:
        asyncio.run(fill(deps))


@contextlib.contextmanager
def rooms(data: Path, **sections: Any) -> Iterator[Deps]:
    """What rooms are given, on a data directory without a server. `sections` of the configuration."""
    config = Config(server=Server(data=str(data)), **sections)
    wiring.prepare(config, {}, "http://localhost:5000")
    deps = wiring.build(config, "http://localhost:5000")
    try:
        yield deps
    finally:
        database_of(deps).close()


def database_of(deps: Deps) -> Opened:
    """The database itself, of rooms that have one, as `build` put it there."""
    return cast(Opened, deps.db)


class Place:
    """A data directory that a test may damage, and look at."""

    def __init__(self, data: Path) -> None:
        self.data, self.store = data, data / "blobs" / REGION

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Rows as anyone with an editor could change them: without foreign keys."""
        with contextlib.closing(sqlite3.connect(self.data / wiring.DATABASE)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def file_of(self, data: bytes) -> Path:
        [[key]] = self.sql("SELECT key FROM blobs WHERE digest = ?", builders.digest_of(data))
        return self.store / key[:2] / key

    def upload_file(self) -> Path:
        [[key]] = self.sql("SELECT key FROM uploads WHERE status = 'open'")
        return self.store / key[:2] / key

    def upload_status(self) -> str:
        """Of the upload that was begun and left; pushes leave rows of theirs too."""
        [[status]] = self.sql("SELECT status FROM uploads WHERE parts = 1 AND size = ?", len(PART))
        return str(status)

    def litter(self, name: str, *, age: dt.timedelta = dt.timedelta(days=1), size: int = 10) -> Path:
        path = self.store / name[:2] / name
        path.write_bytes(b"x" * size)
        then = (dt.datetime.now(dt.UTC) - age).timestamp()
        os.utime(path, (then, then))
        return path

    def check(self, **options: Any) -> Report:
        with wiring.opened(self.config) as (db, stores):
            return asyncio.run(integrity.check(db, stores, now=dt.datetime.now(dt.UTC), **options))

    def check_with(self, make_store: Callable[[Opened, Path], DiskStore], **options: Any) -> Report:
        """`check`, with a store that does something at a certain moment."""
        with wiring.opened(self.config) as (db, _):
            stores = Stores(lambda region, role: make_store(db, self.store))
            return asyncio.run(integrity.check(db, stores, now=dt.datetime.now(dt.UTC), **options))

    @property
    def config(self) -> Config:
        return Config(server=Server(data=str(self.data)))


def flip(path: Path) -> None:
    """Change one bit; the size stays."""
    with open(path, "r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))


def everything(place: Place) -> tuple[list[str], dict[str, bytes]]:
    """All rows, and all files but SQLite's own."""
    with contextlib.closing(sqlite3.connect(place.data / wiring.DATABASE)) as connection:
        rows = list(connection.iterdump())
    files = (path for path in place.data.rglob("*") if path.is_file() and not path.name.startswith(wiring.DATABASE))
    return rows, {str(path.relative_to(place.data)): path.read_bytes() for path in files}
