"""Rows and bytes held against each other, beside a running server or without one. Nothing is changed.

What house law 1 promises is what is proven: a row never names missing bytes. The reverse, bytes that no row names, is
litter of a crash, and no error.

Pushes and deletes go on meanwhile, so a trouble is reported only when it is certain. Bytes are there before the row
that names them, and go after it; a key is never used twice. So when bytes were found missing, short or wrong, and a
row that is read *after* that still names them, no order of lawful steps explains it. Whatever rows alone can
contradict is asked in one snapshot. Memory is bounded: tables are read in pages, and of each kind of trouble the first
`MOST` are kept and the rest counted.
"""

import asyncio
import collections
import datetime as dt
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeVar

from registry import manifests
from registry.errors import DatabaseDamaged, ManifestInvalid, StorageUnavailable, TooLarge
from registry.findings import KINDS, Finding, ImageName, Kind, Report
from registry.model import Blob, Holding, Quota, Upload
from registry.names import ALGORITHMS, Digest, Region
from registry.records import blobs as blob_rows
from registry.records import checks, installation, quotas, schema, usage
from registry.records.engine import Opened, Tx
from registry.records.usage import Holder
from registry.storage.base import BlobStore, Staged, StoreMismatch, Stores

T = TypeVar("T")

Step = Literal["database", "blobs", "hashing", "images", "uploads", "keys"]
Watch = Callable[[Step, int, int], None]  # (what is looked at, how far, of how many; 0: not known)

GRACE: Final = dt.timedelta(hours=1)  # bytes younger than this may be a push whose row is not written yet
MOST: Final = 1000  # findings of one kind that are kept
_SHOWN_IMAGES: Final = 20
_SHOWN_KEYS: Final = 20
_PAGE: Final = 500
_BODIES: Final = 100  # manifests that one transaction looks at
_AT_ONCE: Final = 4  # blobs that are looked at together
_EVER: Final = dt.timedelta(days=36500)  # a clock that was wrong once may have written times of the future
# Foreign keys whose breach is told by name, with the images that it affects.
_ASKED_OTHERWISE: Final = {("links", "blobs"), ("tags", "manifests")}


async def check(
    db: Opened,
    stores: Stores,
    *,
    now: dt.datetime,
    deep: bool = False,
    accept_sparse: bool = False,
    watch: Watch = lambda step, done, total: None,
) -> Report:
    """Look at everything. `deep`: hash the stored bytes too.

    `accept_sparse`: manifests may reference what is not there, so that is no trouble. Raises SchemaTooNew and
    SchemaTooOld; StorageUnavailable and DatabaseUnavailable where looking is not possible at all.
    """
    work = _Check(db, stores, now=now, deep=deep, accept_sparse=accept_sparse, watch=watch)
    await work.run()
    return work.report()


class _Check:
    """One check, as far as it has come."""

    def __init__(
        self, db: Opened, stores: Stores, *, now: dt.datetime, deep: bool, accept_sparse: bool, watch: Watch
    ) -> None:
        self._db, self._stores, self._now, self._watch = db, stores, now, watch
        self._deep, self._accept_sparse = deep, accept_sparse
        self._findings: list[Finding] = []
        self._counts: collections.Counter[Kind] = collections.Counter()
        self._tally: collections.Counter[str] = collections.Counter()
        self._totals: Mapping[str, int] = {}
        self._opened: dict[str, tuple[Region, BlobStore]] = {}  # stores that can be looked into, by identity
        self._main: dict[Region, BlobStore] = {}  # of these, where new bytes go
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        if not await self._database():
            return  # rows that cannot be trusted would accuse the wrong ones
        await self._open_stores()
        await self._blobs()
        await self._manifests()
        await self._kept_manifests()
        await self._relations()
        await self._quotas()
        await self._uploads()
        for region, store in self._opened.values():
            await self._keys(region, store)

    def report(self) -> Report:
        tally = self._tally
        return Report(
            deep=self._deep,
            findings=tuple(sorted(self._findings, key=lambda one: (KINDS.index(one.kind), one.subject))),
            counts={kind: self._counts[kind] for kind in KINDS if self._counts[kind]},
            blobs=tally["blobs"],
            blob_bytes=tally["blob_bytes"],
            unverified=tally["unverified"],
            images=tally["images"],
            tags=self._totals.get("tags", 0),
            uploads=tally["uploads"],
            stored_keys=tally["keys"],
            in_flight=tally["in_flight"],
            litter=tally["litter"],
            litter_bytes=tally["litter_bytes"],
        )

    async def _look(self, unit: Callable[[Tx], T]) -> T:
        """`db.read` without its time limit: some of these questions are about whole tables."""
        return await asyncio.to_thread(self._db.read_here, unit)

    async def _report(
        self,
        kind: Kind,
        subject: str,
        message: str,
        *,
        region: Region | None = None,
        images: Callable[[Tx], tuple[list[ImageName], int]] | None = None,
        count: int = 1,
    ) -> None:
        kept = self._counts[kind] < MOST
        self._counts[kind] += count
        if kept:
            affected, image_count = await self._look(images) if images is not None else ([], 0)
            self._findings.append(
                Finding(
                    kind=kind,
                    subject=subject,
                    message=message,
                    region=region,
                    images=tuple(affected),
                    image_count=image_count,
                )
            )

    # --- the database and the stores ----------------------------------------------------------------------------------

    async def _database(self) -> bool:
        """Whether the rows can be trusted at all."""
        self._watch("database", 0, 0)
        try:
            troubles = await self._look(checks.trouble_of_file)
        except DatabaseDamaged as error:
            troubles = [error.why]
        for trouble in troubles:
            await self._report("database", self._db.name, f"SQLite says: {trouble}")
        if troubles:
            return False
        await self._look(schema.require)
        for (table, parent), count in (await self._look(checks.broken_foreign_keys)).items():
            if (table, parent) not in _ASKED_OTHERWISE:
                message = f"{count} rows of {table} belong to a row of {parent} that is not there"
                await self._report("foreign-key", table, message, count=count)
        self._totals = await self._look(checks.totals)
        return True

    async def _open_stores(self) -> None:
        async for known, found in self._stores.proven(await self._look(installation.known_stores)):
            if isinstance(found, StoreMismatch):
                await self._report("store", known.store_id, str(found), region=known.region)
            elif isinstance(found, Exception):
                raise found
            else:
                self._opened[known.store_id] = known.region, found
                if known.role == "main":
                    self._main[known.region] = found
        lost = await self._look(checks.blobs_of_unknown_stores)
        if lost:
            await self._report("store", "unknown", f"{lost} blobs lie in a store that belongs to no region")

    # --- bytes that rows name -----------------------------------------------------------------------------------------

    async def _blobs(self) -> None:
        last = 0
        while page := await self._look(functools.partial(blob_rows.page, after=last, limit=_PAGE)):
            last = page[-1].id
            await asyncio.gather(*(self._one_blob(blob) for blob in page if blob.store_id in self._opened))

    async def _one_blob(self, blob: Blob) -> None:
        region, store = self._opened[blob.store_id]
        async with self._slots:
            seen: Blob | None = blob
            while seen is not None and (trouble := await self._trouble(store, seen)) is not None:
                # Only now is the row asked again: if it still names these bytes, it did so while they were bad.
                key, seen = seen.key, await self._look(functools.partial(blob_rows.by_id, blob_id=blob.id))
                if seen is not None and seen.key == key:
                    kind, why = trouble
                    affected = functools.partial(checks.images_with_blob, blob_id=blob.id, limit=_SHOWN_IMAGES)
                    await self._report(kind, blob.digest, f"{why} (key {key})", region=region, images=affected)
                    break
        self._tally["blobs"] += 1
        self._tally["blob_bytes"] += blob.size
        if not self._deep:
            self._watch("blobs", self._tally["blobs"], self._totals["blobs"])

    async def _trouble(self, store: BlobStore, blob: Blob) -> tuple[Kind, str] | None:
        """What is wrong with the bytes that a row names; None: nothing."""
        try:
            found = await store.stat(blob.key)
            if found is None:
                return "blob-missing", "the bytes are not there"
            if found.size != blob.size:
                return "blob-size", f"{found.size} bytes are stored where {blob.size} belong"
            if self._deep and await self._digest(store, blob.key, blob.size, blob.digest) != blob.digest:
                return "blob-digest", "the stored bytes have another digest"
        except FileNotFoundError:
            return "blob-missing", "the bytes are not there"
        except StorageUnavailable as error:
            return "blob-unreadable", f"the bytes cannot be read: {error.__cause__ or error}"
        if blob.damaged:
            return "blob-marked", "the server found it missing or damaged, and does not serve it"
        self._tally["unverified"] += found.identity is None or found.identity != blob.identity
        return None

    async def _digest(self, store: BlobStore, key: str, size: int, like: Digest) -> str:
        """The digest of the first `size` stored bytes, by the algorithm of `like`."""
        state = hashlib.new(like.algorithm)
        async for piece in store.read(key, 0, size):
            await asyncio.to_thread(state.update, piece)
            self._tally["hashed"] += len(piece)
            self._watch("hashing", self._tally["hashed"], self._totals["bytes"])
        return f"{like.algorithm}:{state.hexdigest()}"

    async def _uploads(self) -> None:
        last = ""
        while page := await self._look(functools.partial(checks.open_uploads, after=last, limit=_PAGE)):
            last = page[-1][0].id
            stored = [(upload, region) for upload, region in page if region in self._main]
            await asyncio.gather(*(self._one_upload(upload, region) for upload, region in stored))
            if not self._deep:
                self._watch("uploads", self._tally["uploads"], 0)

    async def _one_upload(self, upload: Upload, region: Region) -> None:
        async with self._slots:
            self._tally["uploads"] += 1
            why = await self._upload_trouble(self._main[region], upload) if upload.size else None
            if why is None:
                return
            # An upload only grows: one that is still open had these bytes all the time, where they have not moved.
            now = await self._look(functools.partial(blob_rows.upload, upload_id=upload.id))
            if now is not None and now[1] == "open" and now[0].state == upload.state:
                await self._report("upload", upload.id, f"{why} (key {upload.key})", region=region)

    async def _upload_trouble(self, store: BlobStore, upload: Upload) -> str | None:
        try:
            found = await store.arrived(Staged(key=upload.key, size=upload.size, state=upload.state))
            if found < upload.size:
                return f"{upload.size} bytes were received, and {found or 'none'} are there"
            wanted = upload.digest if self._deep and store.path(upload.key) is not None else None
            if wanted is not None and await self._digest(store, upload.key, upload.size, wanted) != wanted:
                return f"the {upload.size} bytes that were received have another digest"
        except FileNotFoundError:
            return f"{upload.size} bytes were received, and none are there"
        except StorageUnavailable as error:
            return f"the bytes cannot be read: {error.__cause__ or error}"
        return None

    # --- bytes that no row names --------------------------------------------------------------------------------------

    async def _keys(self, region: Region, store: BlobStore) -> None:
        litter: list[str] = []
        batch: list[str] = []
        async for key in store.keys(self._now + _EVER):
            batch.append(key)
            if len(batch) == _PAGE:
                litter += await self._litter(store, batch)
                del litter[_SHOWN_KEYS:], batch[:]
        litter += await self._litter(store, batch)
        count = self._tally["litter"] - self._counts["litter"]
        if count:
            shown = ", ".join(litter[:_SHOWN_KEYS]) + (", ..." if count > _SHOWN_KEYS else "")
            message = f"{count} stored files that no row names: {shown}"
            await self._report("litter", store.store_id, message, region=region, count=count)

    async def _litter(self, store: BlobStore, keys: Sequence[str]) -> list[str]:
        self._tally["keys"] += len(keys)
        self._watch("keys", self._tally["keys"], 0)
        named = await self._look(functools.partial(checks.named_keys, store_id=store.store_id, keys=keys))
        found = []
        for key in (key for key in keys if key not in named):
            stored = await store.stat(key)
            if stored is None:
                continue  # deleted between being listed and now
            if stored.written_at is None or stored.written_at > self._now - GRACE:
                self._tally["in_flight"] += 1
                continue
            self._tally["litter"] += 1
            self._tally["litter_bytes"] += stored.size
            found.append(key)
        return found

    # --- rows ---------------------------------------------------------------------------------------------------------

    async def _manifests(self) -> None:
        last = 0
        while True:
            seen, last, wrong = await self._look(functools.partial(_wrong_manifests, after=last))
            if not seen:
                return
            self._tally["images"] += seen
            for manifest_id, digest, kind, why in wrong:
                await self._report(kind, digest, why, images=_above(manifest_id))
            self._watch("images", self._tally["images"], self._totals["manifests"])

    async def _kept_manifests(self) -> None:
        """Of images that were deleted and can be brought back. The bytes that they hold are blobs like all others."""
        last: int | None = 0
        while last is not None:
            last, wrong = await self._look(functools.partial(_wrong_kept, after=last))
            for digest in wrong:
                await self._report("kept-manifest", digest, "the manifest of this deleted image has another digest")

    async def _relations(self) -> None:
        """Links, references and tags: each by one question, in one snapshot."""
        links = await self._look(functools.partial(checks.wrong_links, limit=MOST))
        for row in links.rows:
            needing = functools.partial(
                checks.images_with_digest, repository_id=row.repository_id, digest=row.digest, limit=_SHOWN_IMAGES
            )
            await self._report("link", row.digest, f"repository {row.name} does not lead to this blob", images=needing)
        self._counts["link"] += links.count - len(links.rows)
        tags = await self._look(functools.partial(checks.wrong_tags, limit=MOST))
        for row in tags.rows:
            await self._report("tag", f"{row.repository}:{row.tag}", "the tag names nothing", region=Region(row.region))
        self._counts["tag"] += tags.count - len(tags.rows)
        if self._accept_sparse:
            return
        references = await self._look(functools.partial(checks.missing_references, limit=MOST))
        for row in references.rows:
            what = "a blob" if row.kind == "blob" else "an image"
            message = f"{what} that an image needs is not in its repository"
            await self._report("reference-missing", row.digest, message, images=_above(row.manifest_id))
        self._counts["reference-missing"] += references.count - len(references.rows)

    async def _quotas(self) -> None:
        """Counts, each against what is there, in one snapshot."""
        for holder in await self._look(quotas.holders):
            found, exact = await self._look(functools.partial(_counted, holder=holder))
            if found is not None and found.holding != exact:
                subject = f"account {holder}" if isinstance(holder, str) else f"repository {holder}"
                await self._report("quota", subject, f"counted is {_told(found.holding)}, there is {_told(exact)}")


def _above(manifest_id: int) -> Callable[[Tx], tuple[list[ImageName], int]]:
    """The image of a manifest, and the indexes that list it."""
    return functools.partial(checks.images_with_manifest, manifest_id=manifest_id, limit=_SHOWN_IMAGES)


def _counted(tx: Tx, *, holder: Holder) -> tuple[Quota | None, Holding]:
    return quotas.find(tx, holder), usage.holding(tx, holder)


def _told(held: Holding) -> str:
    return f"{held.images} images, {held.needed_bytes} bytes needed and {held.unneeded_bytes} not"


def _wrong_manifests(tx: Tx, *, after: int) -> tuple[int, int, list[tuple[int, str, Kind, str]]]:
    """Of a page of manifests: how many there are, the last one's id, and those that are not what they should be."""
    seen, last, wrong = 0, after, []
    for row in checks.manifest_page(tx, after=after, limit=_BODIES):
        seen, last = seen + 1, row.id
        trouble = _manifest_trouble(row)
        if trouble is not None:
            wrong.append((row.id, row.digest, *trouble))
    return seen, last, wrong


def _wrong_kept(tx: Tx, *, after: int) -> tuple[int | None, list[str]]:
    """Of a page of deleted images: the last one's id, None behind the last page, and the digests of those whose
    manifest is not what it should be."""
    last, wrong = None, []
    for row in checks.kept_page(tx, after=after, limit=_BODIES):
        last = row.id
        if Digest.of(row.body, Digest(row.digest).algorithm) != row.digest:
            wrong.append(row.digest)
    return last, wrong


def _manifest_trouble(row: checks.ManifestRow) -> tuple[Kind, str] | None:
    algorithm = row.digest.partition(":")[0]
    if algorithm not in ALGORITHMS or Digest.of(row.body, algorithm) != row.digest:
        return "manifest-digest", f"the stored manifest ({len(row.body)} bytes) has another digest"
    try:
        parsed = manifests.parse(row.body, row.media_type)
    except (ManifestInvalid, TooLarge):
        return None  # its bytes are what was pushed, by a version that understood them
    pinned = {(digest, "blob") for digest in parsed.blobs} | {(digest, "child") for digest in parsed.child_digests}
    if pinned != row.pinned:
        return "manifest-references", "what the rows say that the manifest needs is not what it says itself"
    return None
