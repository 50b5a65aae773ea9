"""Rooms on a data directory with a clock whose hands a test turns, and passes of garbage collection over it."""

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

from registry import gc, images, layers, uploads
from registry.collected import Collected
from registry.context import Deps
from registry.errors import BlobNotFound
from registry.model import Repository
from registry.names import Digest, Tag
from registry.options import Gc, Settings, Undo
from registry.records.engine import Tx
from registry.storage.base import Stores
from tests.builders import Built
from tests.places import REGION, REGISTRY, chunks

GRACE = dt.timedelta(hours=4)
SPENT = GRACE * 5 / 4 + dt.timedelta(seconds=1)  # after which nothing is in its grace period
UPLOADS = dt.timedelta(hours=12)
TERMS = Gc(grace_seconds=int(GRACE.total_seconds()), upload_seconds=int(UPLOADS.total_seconds()), refuse_percent=100)


class Hands:
    """A clock. Its time begins at the real one: what is written to disk has that."""

    def __init__(self) -> None:
        self.time = dt.datetime.now(dt.UTC)

    def now(self) -> dt.datetime:
        return self.time

    def steady(self) -> dt.datetime:
        return self.now()


class Ground:
    """What a test of the collector acts on: pushes, questions, mounts, deletes, and time."""

    def __init__(self, deps: Deps, terms: Gc = TERMS, *, window: dt.timedelta = dt.timedelta()) -> None:
        """`window`: how long what is deleted can be brought back."""
        self.hands, self.terms = Hands(), terms
        settings = Settings(gc=terms, undo=Undo(window_seconds=int(window.total_seconds())))
        self.deps = dataclasses.replace(deps, clock=self.hands, settings=settings)

    def wait(self, time: dt.timedelta) -> None:
        self.hands.time += time

    async def push(self, repository: Repository, data: bytes) -> Digest:
        ticket = uploads.open_ticket(self.deps, repository, uploads.begin(self.deps, repository))
        digest = Digest.of(data)
        await uploads.finish(self.deps, repository, ticket, digest, chunks(data))
        return digest

    async def put(self, repository: Repository, built: Built, *tags: str, blobs: bool = True) -> Digest:
        for data in built.blobs if blobs else ():
            await self.push(repository, data)
        named = [Tag(tag) for tag in tags]
        await images.put(self.deps, REGISTRY, repository.name, built.body, built.media_type, tags=named)
        return Digest(built.digest)

    async def delete(self, repository: Repository, digest: Digest) -> None:
        await images.delete(self.deps, REGISTRY, repository.name, digest)

    async def is_told(self, repository: Repository, digest: Digest) -> bool:
        """Whether a client that asks is told that the blob is there."""
        try:
            await layers.stat(self.deps, repository, digest)
        except BlobNotFound:
            return False
        return True

    async def reads(self, repository: Repository, data: bytes) -> bool:
        """Whether a client gets these very bytes."""
        try:
            opened = await layers.open_blob(self.deps, repository, Digest.of(data), whole=True)
        except BlobNotFound:
            return False
        assert opened.file is not None
        with opened.file as file:
            return file.read() == data

    async def has_link(self, repository: Repository, digest: Digest) -> bool:
        """The same without asking: a question would keep it."""

        def unit(tx: Tx) -> bool:
            text = "SELECT count(*) FROM links WHERE repository_id = ? AND digest = ?"
            return bool(tx.exec_driver_sql(text, (repository.id, str(digest))).scalar_one())

        return await self.deps.db.read(unit)

    async def collect(self, stores: Stores | None = None, **options: Any) -> Collected:
        return await gc.collect(self.deps.db, stores or self.deps.stores, self.terms, now=self.hands.time, **options)

    async def count(self, table: str) -> int:
        return await self.deps.db.read(lambda tx: tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())

    async def dump(self) -> list[str]:
        """All rows."""

        def unit(tx: Tx) -> list[str]:
            raw = tx.connection.driver_connection
            assert raw is not None
            return list(raw.iterdump())

        return await self.deps.db.read(unit)

    @property
    def root(self) -> Path:
        path = self.deps.stores.of(REGION).path("ab")
        assert path is not None
        return path.parent.parent

    def files(self) -> dict[str, int]:
        """Sizes of stored files, by key."""
        return {path.name: path.stat().st_size for path in self.root.glob("??/*")}
