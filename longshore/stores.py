"""Opening blob stores: which kind a region has, and that it is the one that the database's rows speak of.

A store on disk is adopted when it is found first; where there is none it is made. An S3 store is named by the database
before it is written to the bucket, so that of two databases at one prefix the second is refused, however they start.
What S3 needs beside the core is imported only here, and only when a region lies there.
"""

import asyncio
import importlib.util
import logging
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from longshore.config import Config
from registry.errors import StorageFull, StorageUnavailable
from registry.names import Region
from registry.records import blobs, installation
from registry.records.engine import Opened
from registry.storage import spool
from registry.storage.base import BlobStore, StoreMismatch
from registry.storage.disk import DiskStore

SPOOL: Final = "spool"  # in the data directory: parts of uploads on their way to S3
_PROOF_SECONDS: Final = 10

_log = logging.getLogger(__name__)


class StoreUnusable(Exception):
    """The store cannot be reached or opened at all. The message says why, in one line."""


def open_store(config: Config, db: Opened, region: Region) -> BlobStore:
    """The region's store. Raises StoreMismatch, StoreUnusable; an S3 store says so only when it is proven or used."""
    data = Path(config.server.data)
    if config.storage.of(region).kind == "disk":
        return _on_disk(data / "blobs" / region, db, region)
    return _in_bucket(config, data / SPOOL, db, region)


def in_use(config: Config, db: Opened, region: Region) -> BlobStore:
    """The store of a region that is first used by a request. What is wrong with it is for the operator's log."""
    try:
        return open_store(config, db, region)
    except (StoreMismatch, StoreUnusable) as error:
        _log.error("%s", error)
        raise StorageUnavailable from error


def prove(config: Config, db: Opened, regions: Sequence[Region]) -> None:
    """Return if the regions' stores can be used now; a new one is made. Raises StoreMismatch, StoreUnusable."""
    spool_directory = Path(config.server.data) / SPOOL
    if spool_directory.exists():
        spool.sweep(spool_directory)
    asyncio.run(_proven([open_store(config, db, region) for region in regions]))


async def make_buckets(config: Config) -> dict[str, bool]:
    """Make the buckets of all regions that are set up: each by name, with whether it was made now.

    Raises StorageUnavailable; StoreUnusable where no bucket is set up.
    """
    made: dict[str, bool] = {}
    for place in [config.storage, *config.storage.regions.values()]:
        if place.kind == "s3":
            _require_s3()
            from registry.storage.s3_bucket import Bucket

            bucket = Bucket(place)
            try:
                made[str(bucket)] = await bucket.make()
            finally:
                await bucket.close()
    if not made:
        raise StoreUnusable("no region's bytes lie in a bucket: storage.kind is disk")
    return made


async def spares_what_is_there(store: BlobStore) -> bool:
    """Whether a conditional write leaves an object alone that is there, on which two first starts depend."""
    if isinstance(store, DiskStore):
        return True
    from registry.storage.s3 import S3Store
    from registry.storage.s3_calls import Clash

    assert isinstance(store, S3Store)
    key = f"{store.root}probes/{secrets.token_hex(16)}"
    await store.bucket.put_new(key, b"first")
    try:
        await store.bucket.put_new(key, b"second")
        return False
    except Clash:
        return True
    finally:
        await store.bucket.delete(key)


async def _proven(stores: Sequence[BlobStore]) -> None:
    for store in stores:
        await _one_proven(store)


async def _one_proven(store: BlobStore) -> None:
    try:
        async with asyncio.timeout(_PROOF_SECONDS):
            await store.prove()
    except TimeoutError:
        raise StoreUnusable(f"the blob store {store} does not answer within {_PROOF_SECONDS} s") from None
    except (StorageUnavailable, StorageFull) as error:
        raise StoreUnusable(f"the blob store {store} cannot be used: {error.__cause__ or error}") from error
    finally:
        await store.close()


def _on_disk(root: Path, db: Opened, region: Region) -> DiskStore:
    known = db.read_here(lambda tx: installation.store_of(tx, region))
    if known is not None and not root.exists():
        raise StoreMismatch(f"the blobs of region {region} are missing: {root} is not there")
    store = DiskStore(root, region, make=known is None)
    if known is None:
        known = db.write_here(lambda tx: installation.adopt_store(tx, region, store.store_id))
    if known != store.store_id:
        raise StoreMismatch(
            f"{root} is store {store.store_id}, but the database speaks of store {known}: "
            "restore the two from one backup"
        )
    return store


def _in_bucket(config: Config, spool_directory: Path, db: Opened, region: Region) -> BlobStore:
    _require_s3()
    from registry.storage.s3 import S3Store

    known = db.read_here(lambda tx: installation.store_of(tx, region))
    if known is None:
        fresh = secrets.token_hex(16)
        known = db.write_here(lambda tx: installation.adopt_store(tx, region, fresh))
    store_id = known
    return S3Store(
        config.storage.of(region),
        region,
        store_id=store_id,
        is_new=not db.read_here(lambda tx: blobs.any_in(tx, store_id)),
        spool_directory=spool_directory,
        largest=config.limits.layer_bytes,
    )


def _require_s3() -> None:
    if importlib.util.find_spec("aiobotocore") is None:
        raise StoreUnusable(
            "storage.kind is s3, which needs aiobotocore: install longshore with its extra, pip install "
            "'longshore[s3]'; in a checkout, make serve EXTRAS=s3"
        )
