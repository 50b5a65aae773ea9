"""Opening blob stores: which kind a region has, and that it is the one that the database's rows speak of.

A region has a store for new bytes; it may have the one that was this before, and an archive, made when first used. A
store on disk is adopted when it is found first; where there is none it is made. An S3 store is named by the database
before it is written to the bucket, so that of two databases at one prefix the second is refused, however they start.
What S3 needs beside the core is imported only here, and only when a region lies there.
"""

import asyncio
import datetime as dt
import importlib.util
import logging
import secrets
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from longshore.config import Config
from registry.errors import StorageFull, StorageUnavailable
from registry.model import StoreRole
from registry.names import Region
from registry.options import Place
from registry.records import blobs, installation
from registry.records.engine import Opened, Tx
from registry.storage import disk, spool
from registry.storage.base import BlobStore, StoreMismatch
from registry.storage.disk import DiskStore

if TYPE_CHECKING:
    from registry.storage.s3 import S3Store

T = TypeVar("T")

SPOOL: Final = "spool"  # in the data directory: parts of uploads on their way to S3
_PROOF_SECONDS: Final = 10

_log = logging.getLogger(__name__)


class StoreUnusable(Exception):
    """The store cannot be reached or opened at all. The message says why, in one line."""


def open_store(config: Config, db: Opened, region: Region, role: StoreRole = "main") -> BlobStore:
    """A store of the region. Raises StoreMismatch, StoreUnusable; an S3 store says so only when proven or used."""
    place = _place(config, region, role)
    if place.kind == "disk":
        return _on_disk(_root(config, region, role), db, region, role)
    return _in_bucket(config, place, db, region, role)


def in_use(config: Config, db: Opened, region: Region, role: StoreRole) -> BlobStore:
    """A store that is first used by a request. What is wrong with it is for the operator's log."""
    try:
        return open_store(config, db, region, role)
    except (StoreMismatch, StoreUnusable) as error:
        _log.error("%s", error)
        raise StorageUnavailable from error


def roles(db: Opened, region: Region) -> dict[str, StoreRole]:
    """What a region's stores are, by identity."""
    return {store_id: role for role, store_id in db.read_here(lambda tx: installation.stores_of(tx, region)).items()}


def prove(config: Config, db: Opened, regions: Sequence[Region]) -> None:
    """Return if the regions' stores can be used now; a new one is made. Raises StoreMismatch, StoreUnusable."""
    spool_directory = Path(config.server.data) / SPOOL
    if spool_directory.exists():
        spool.sweep(spool_directory)
    asyncio.run(_all_proven(config, db, regions))


def awaiting_start(config: Config, db: Opened) -> list[Region]:
    """Regions whose new bytes go to another place than the settings say, until a server is started with them.

    Raises StoreMismatch, StoreUnusable.
    """

    async def found() -> list[Region]:
        waiting = []
        for region in map(Region, db.read_here(installation.store_regions)):
            place = config.storage.of(region).previous
            main = _known(db, region).get("main")
            if place is not None and await _found(config, place, region, "previous") == main:
                waiting.append(region)
        return waiting

    return asyncio.run(found())


async def make_buckets(config: Config) -> dict[str, bool]:
    """Make the buckets of all regions that are set up: each by name, with whether it was made now.

    Raises StorageUnavailable; StoreUnusable where no bucket is set up.
    """
    made: dict[str, bool] = {}
    homes = [config.storage, *config.storage.regions.values()]
    for place in [*homes, *(home.archive for home in homes if home.archive is not None)]:
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


async def _all_proven(config: Config, db: Opened, regions: Sequence[Region]) -> None:
    for region in regions:
        await _settle(config, db, region)
        for role in dict.fromkeys(["main", *_known(db, region)]):
            await _proven(open_store(config, db, region, role))


async def _proven(store: BlobStore) -> None:
    await _answered(store, store.prove())


async def _answered(store: BlobStore, question: Awaitable[T]) -> T:
    """The store's answer, after which it is closed."""
    try:
        async with asyncio.timeout(_PROOF_SECONDS):
            return await question
    except TimeoutError:
        raise StoreUnusable(f"the blob store {store} does not answer within {_PROOF_SECONDS} s") from None
    except (StorageUnavailable, StorageFull) as error:
        raise StoreUnusable(f"the blob store {store} cannot be used: {error.__cause__ or error}") from error
    finally:
        await store.close()


def _place(config: Config, region: Region, role: StoreRole) -> Place:
    """Where a store lies. Raises StoreMismatch where the settings do not say it any more."""
    home = config.storage.of(region)
    match role:
        case "main":
            return home
        case "archive":
            return home.archive_place
        case "previous":
            if home.previous is None:
                raise StoreMismatch(
                    f"bytes of region {region} still lie where storage.previous led to: set it again, and move them by "
                    "`longshore storage migrate`"
                )
            return home.previous


def _root(config: Config, region: Region, role: StoreRole) -> Path:
    return Path(config.server.data) / ("archive" if role == "archive" else "blobs") / region


def _known(db: Opened, region: Region) -> dict[StoreRole, str]:
    return db.read_here(lambda tx: installation.stores_of(tx, region))


def _is_empty(db: Opened, store_id: str) -> bool:
    """Whether no row names bytes of the store."""
    return not db.read_here(lambda tx: blobs.any_in(tx, store_id))


def _on_disk(root: Path, db: Opened, region: Region, role: StoreRole) -> DiskStore:
    known = _known(db, region).get(role)
    if known is not None and not root.exists() and (role != "archive" or not _is_empty(db, known)):
        raise StoreMismatch(f"the blobs of region {region} are missing: {root} is not there")
    store = DiskStore(root, region, make=known is None or not root.exists(), store_id=known)
    if known is None:
        known = db.write_here(lambda tx: installation.adopt_store(tx, region, store.store_id, role))
    if known != store.store_id:
        raise StoreMismatch(
            f"{root} is store {store.store_id}, but the database speaks of store {known}: "
            "restore the two from one backup"
        )
    return store


def _in_bucket(config: Config, place: Place, db: Opened, region: Region, role: StoreRole) -> BlobStore:
    known = _known(db, region).get(role)
    if known is None:
        fresh = secrets.token_hex(16)
        known = db.write_here(lambda tx: installation.adopt_store(tx, region, fresh, role))
    # One that bytes lay in before is never written to.
    is_new = role != "previous" and _is_empty(db, known)
    return _bucket_store(config, place, region, store_id=known, is_new=is_new)


def _bucket_store(config: Config, place: Place, region: Region, *, store_id: str, is_new: bool) -> "S3Store":
    _require_s3()
    from registry.storage.s3 import S3Store

    return S3Store(
        place,
        region,
        store_id=store_id,
        is_new=is_new,
        spool_directory=Path(config.server.data) / SPOOL,
        largest=config.limits.layer_bytes,
    )


def _require_s3() -> None:
    if importlib.util.find_spec("aiobotocore") is None:
        raise StoreUnusable(
            "storage.kind is s3, which needs aiobotocore: install longshore with its extra, pip install "
            "'longshore[s3]'; in a checkout, make serve EXTRAS=s3"
        )


# --- when bytes go to another place -----------------------------------------------------------------------------------


async def _settle(config: Config, db: Opened, region: Region) -> None:
    """Hold what the settings say of a region's previous store against the rows, and note there what changed.

    Where the store that new bytes went to so far is found at the place that `storage.previous` names, new bytes go to
    another one from now on.
    """
    known, place = _known(db, region), config.storage.of(region).previous
    if place is None:
        if "previous" in known:
            if not _is_empty(db, known["previous"]):
                _place(config, region, "previous")  # which says so
            db.write_here(lambda tx: installation.leave_store(tx, region))
        return
    if "main" not in known:
        return  # nothing was ever stored
    found = await _found(config, place, region, "previous")
    past = db.read_here(lambda tx: installation.past_store(tx, region))
    if found == known["main"]:
        await _succeed(config, db, region, known, past)
    elif found == past and found is not None:
        db.write_here(lambda tx: installation.return_to_store(tx, region))
    elif found is None and "previous" in known and _is_empty(db, known["previous"]):
        db.write_here(lambda tx: installation.leave_store(tx, region))  # it was cleared away
    elif found != known.get("previous") and found is not None:
        raise StoreMismatch(
            f"storage.previous leads to store {found} of region {region}, but the database speaks of store "
            f"{known.get('previous', known['main'])}: name the place where the bytes lay before"
        )


async def _succeed(
    config: Config, db: Opened, region: Region, known: Mapping[StoreRole, str], past: str | None
) -> None:
    """Let new bytes go where the settings say, which is another place than that of the region's main store so far."""
    if "previous" in known and not _is_empty(db, known["previous"]):
        raise StoreMismatch(
            f"the bytes of region {region} are still moving here from the place before: name that in storage.previous, "
            "and let `longshore storage migrate` end before they move on"
        )
    place = _place(config, region, "main")
    found = await _found(config, place, region, "main")
    if found is not None and place.kind == "s3" and found not in (known.get("previous"), past):
        raise StoreMismatch(
            f"storage leads to store {found} of region {region}, which is another installation's: choose another "
            "storage.prefix or storage.bucket"
        )
    if found is None and place.kind == "disk":
        found = DiskStore(_root(config, region, "main"), region).store_id
    main, was, now = found or secrets.token_hex(16), known["main"], dt.datetime.now(dt.UTC)

    def unit(tx: Tx) -> None:
        installation.succeed_store(tx, region, was=was, main=main)
        blobs.end_uploads(tx, region, now)

    db.write_here(unit)
    _log.warning("new bytes of region %s go to another store; `longshore storage migrate` moves the others", region)


async def _found(config: Config, place: Place, region: Region, role: StoreRole) -> str | None:
    """The identity of the store at a place; None: there is none. Raises StoreMismatch, StoreUnusable."""
    if place.kind == "disk":
        return disk.found(_root(config, region, role), region)
    store = _bucket_store(config, place, region, store_id="", is_new=False)
    found = await _answered(store, store.found())
    if found is not None and found[1] != region:
        raise StoreMismatch(f"{store} holds the bytes of region {found[1]}, not of {region}")
    return found and found[0]
