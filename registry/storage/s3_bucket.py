"""One bucket: its objects and its multipart uploads, in the few forms that a blob store needs.

An object of this registry is written once, at a key of its own. What is sent has a checksum beside it, so that bytes
which changed on their way are refused; what is read is resumed where an answer breaks off, and ends in an error rather
than early (promises.md F20).
"""

import asyncio
import base64
import contextlib
import dataclasses
import datetime as dt
import functools
import hashlib
import random
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

import aiohttp
import msgspec
from botocore.exceptions import BotoCoreError

from registry import threads
from registry.errors import StorageUnavailable
from registry.options import Place
from registry.storage.s3_calls import Absent, BeyondEnd, Calls, Clash, NotImplementedThere, NoUpload, Patience, Trouble
from registry.storage.spool import PIECE, Body, Section

_RESUMES: Final = 3  # times that a read goes on after a break without a byte in between
_COMPLETE_SECONDS: Final = 300.0  # the service may copy all parts before it answers
# What reading an answer raises when its end will not come; RuntimeError where its client was closed meanwhile.
_BROKEN: Final = (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError, RuntimeError)
_HEADERS: Final = {"crc32": "ChecksumCRC32", "sha256": "ChecksumSHA256"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object as it is now."""

    key: str
    size: int
    etag: str
    modified: dt.datetime


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A part of a multipart upload that the service has acknowledged. Its number is its place among the parts."""

    size: int
    etag: str
    checksum: str = ""


class Bucket:
    """A bucket of one S3 service."""

    def __init__(self, place: Place, patience: Patience | None = None) -> None:
        self._place = place
        self._calls = Calls(place, patience or Patience())
        self._sse = _encryption(place)
        self._class = {"StorageClass": place.storage_class} if place.storage_class else {}

    def __str__(self) -> str:
        at = f" at {self._place.endpoint}" if self._place.endpoint else ""
        return f"s3://{self._place.bucket}/{self._place.prefix}{at}"

    async def close(self) -> None:
        await self._calls.close()

    async def make(self) -> bool:
        """Make the bucket, unless it is there: whether it was made."""
        try:
            await self._do("head_bucket")
            return False
        except Absent:
            region = self._place.region
            # Amazon wants the region said, but never its first; other services make buckets where they are.
            there = {} if self._place.endpoint or region in ("", "us-east-1") else {"LocationConstraint": region}
            await self._do("create_bucket", **({"CreateBucketConfiguration": there} if there else {}))
            return True

    # --- objects ------------------------------------------------------------------------------------------------------

    async def put(self, key: str, body: Body, *, lasting: bool = False) -> None:
        """`lasting`: it stays, so that it is worth its place's storage class."""
        kept = self._class if lasting else {}
        await self._do("put_object", Key=key, Body=body, **await self._guards(body), **self._sse, **kept)

    async def put_new(self, key: str, body: bytes) -> None:
        """Write an object unless there is one. Raises Clash. A service that cannot tell overwrites: read it again."""
        guards = {**await self._guards(body), **self._sse}
        try:
            await self._do("put_object", Key=key, Body=body, IfNoneMatch="*", **guards)
        except NotImplementedThere:
            await self._do("put_object", Key=key, Body=body, **guards)

    async def head(self, key: str) -> Found | None:
        try:
            answer = await self._do("head_object", Key=key)
        except Absent:
            return None
        return Found(
            key=key, size=answer["ContentLength"], etag=answer["ETag"].strip('"'), modified=answer["LastModified"]
        )

    async def get(self, key: str) -> bytes:
        """A small object, whole. Raises Absent."""
        return b"".join([piece async for piece in self.read(key)])

    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """Its bytes from `start` up to but excluding `stop`. Raises Absent, before the first of them."""
        etag, breaks = "", 0
        while stop is None or start < stop:
            answer = await self._get(key, start, stop, etag)
            if answer is None:
                return
            etag, stop = answer["ETag"], start + answer["ContentLength"]
            why = "the answer was short"
            try:
                async with contextlib.aclosing(answer["Body"]) as body:
                    # As it lies in memory: `body.read` would cut it into pieces of one size, by copying.
                    content = body.raw_stream.content
                    while piece := await content.readany():
                        start, breaks = start + len(piece), 0
                        yield piece
            except _BROKEN as error:
                why = type(error).__name__
            if start < stop:
                breaks += 1
                if breaks > _RESUMES:
                    raise StorageUnavailable from Trouble(f"get_object: {why}")
                await asyncio.sleep(random.uniform(0, 0.1 * breaks))  # noqa: S311 # spreads load, hides nothing

    async def _get(self, key: str, start: int, stop: int | None, etag: str) -> dict[str, Any] | None:
        """An answer with the bytes of a range; None where the object ends before."""
        ranged = {} if start == 0 and stop is None else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        try:
            answer = await self._do("get_object", Key=key, **ranged, **({"IfMatch": etag} if etag else {}))
        except Absent:
            if etag:
                raise StorageUnavailable from Trouble("get_object: the object went while it was being read")
            raise
        except Clash:
            raise StorageUnavailable from Trouble("get_object: the object changed while it was being read")
        except BeyondEnd:
            return None
        if "ContentLength" not in answer or (
            ranged and not answer.get("ContentRange", "").startswith(f"bytes {start}-")
        ):
            answer["Body"].close()
            raise StorageUnavailable from Trouble("get_object: the answer is not the range that was asked for")
        return answer

    async def delete(self, key: str) -> None:
        """Absent is fine."""
        with contextlib.suppress(Absent):
            await self._do("delete_object", Key=key)

    async def list(self, prefix: str) -> AsyncIterator[Found]:
        """Every object whose key begins so, in order of keys."""
        more: dict[str, str] = {}
        while True:
            answer = await self._do("list_objects_v2", Prefix=prefix, **more)
            for one in answer.get("Contents", ()):
                yield Found(key=one["Key"], size=one["Size"], etag=one["ETag"].strip('"'), modified=one["LastModified"])
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    async def url(self, key: str, seconds: int) -> str:
        """A URL that GETs the object, as a download and never as a page."""
        return await self._calls.url(
            "get_object",
            seconds=seconds,
            Bucket=self._place.bucket,
            Key=key,
            ResponseContentType="application/octet-stream",
            ResponseContentDisposition="attachment",
        )

    # --- multipart uploads --------------------------------------------------------------------------------------------

    async def begin(self, key: str) -> str:
        """A new multipart upload's id."""
        algorithm = self._place.checksums.upper()
        guards = {"ChecksumAlgorithm": algorithm} if self._place.checksums in _HEADERS else {}
        answer = await self._do(
            "create_multipart_upload",
            Key=key,
            ContentType="application/octet-stream",
            **guards,
            **self._sse,
            **self._class,
        )
        return str(answer["UploadId"])

    async def put_part(self, key: str, upload: str, number: int, body: Body) -> Part:
        """Raises NoUpload."""
        guards = await self._guards(body)
        answer = await self._do("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=body, **guards)
        checksum = guards.get(_HEADERS.get(self._place.checksums, ""), "")
        return Part(size=len(body), etag=answer["ETag"].strip('"'), checksum=checksum)

    async def parts(self, key: str, upload: str) -> dict[int, str]:
        """Tags of the parts that are there, by number; none where the upload is not known."""
        found: dict[int, str] = {}
        more: dict[str, int] = {}
        try:
            while True:
                answer = await self._do("list_parts", Key=key, UploadId=upload, **more)
                found |= {one["PartNumber"]: one["ETag"].strip('"') for one in answer.get("Parts", ())}
                if not answer.get("IsTruncated"):
                    return found
                more = {"PartNumberMarker": answer["NextPartNumberMarker"]}
        except NoUpload:
            return {}

    async def complete(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Make an object of exactly these parts. Raises NoUpload, also where it was done before."""
        header = _HEADERS.get(self._place.checksums)
        named = [
            {
                "PartNumber": number,
                "ETag": f'"{part.etag}"',
                **({header: part.checksum} if header and part.checksum else {}),
            }
            for number, part in enumerate(parts, 1)
        ]
        await self._do(
            "complete_multipart_upload",
            seconds=_COMPLETE_SECONDS,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": named},
        )

    async def abort(self, key: str, upload: str) -> None:
        """Absent is fine."""
        with contextlib.suppress(NoUpload, Absent):
            await self._do("abort_multipart_upload", Key=key, UploadId=upload)

    async def uploads(self, prefix: str) -> AsyncIterator[tuple[str, str, dt.datetime]]:
        """(key, id, begin) of every unfinished multipart upload whose key begins so.

        MinIO lists only those whose key is exactly `prefix`, and sweeps the rest by itself.
        """
        more: dict[str, str] = {}
        while True:
            answer = await self._do("list_multipart_uploads", Prefix=prefix, **more)
            for one in answer.get("Uploads", ()):
                yield one["Key"], one["UploadId"], one["Initiated"]
            if not answer.get("IsTruncated"):
                return
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _do(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self._calls.call(operation, Bucket=self._place.bucket, **parameters)

    async def _guards(self, body: Body) -> dict[str, str]:
        """The parameters that let the service see whether it received these bytes."""
        kind = self._place.checksums
        if kind == "none":
            return {}
        value = await threads.run(_checksum, kind, body) if isinstance(body, Section) else _checksum(kind, body)
        return {_HEADERS.get(kind, "ContentMD5"): value}


def joined_etag(parts: Sequence[Part]) -> str:
    """The tag of an object of these parts, as most services make it; empty where the parts' own are no MD5 sums."""
    try:
        sums = b"".join(bytes.fromhex(part.etag) for part in parts)
    except ValueError:
        return ""
    return f"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _checksum(kind: str, body: Body) -> str:
    pieces = iter(functools.partial(body.again().read, PIECE), b"") if isinstance(body, Section) else iter([body])
    if kind == "crc32":
        found = functools.reduce(lambda value, piece: zlib.crc32(piece, value), pieces, 0).to_bytes(4, "big")
    else:
        state = hashlib.new(kind, usedforsecurity=False)
        for piece in pieces:
            state.update(piece)
        found = state.digest()
    return base64.b64encode(found).decode()


def _encryption(place: Place) -> dict[str, str]:
    if not place.sse:
        return {}
    key = {"SSEKMSKeyId": place.sse_kms_key} if place.sse_kms_key else {}
    return {"ServerSideEncryption": place.sse, **key}
