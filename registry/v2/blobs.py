"""Blobs (end-2, end-10): send, check, delete; whole or by range, by the kernel where it can."""

import contextlib
import re
from typing import BinaryIO, Final

from aiohttp import web

from registry import layers
from registry.errors import CorruptBlob
from registry.layers import Opened
from registry.model import Blob, Repository
from registry.names import Digest
from registry.records import hot
from registry.v2 import evidence, sendfile
from registry.v2.calls import PUSHED, Call, empty, is_known
from registry.v2.errors import API_VERSION, OciError

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_INLINE: Final = 64 * 1024  # a blob this small goes out in one write with its headers

_REDIRECT_SECONDS: Final = 1200  # for the client to begin


async def get(call: Call) -> web.StreamResponse:
    digest, repository = Digest.parse(call.reference), await call.repository()
    if is_known(call.request, digest):
        return await _unchanged(call, repository, digest)
    wanted = _range_header(call.request, digest)
    seconds = _REDIRECT_SECONDS if call.context.is_redirected else 0
    opened = await layers.open_blob(call.deps, repository, digest, whole=wanted is None, url_seconds=seconds)
    try:
        span = _span(wanted, opened.blob.size)
        if opened.file is not None:
            _give_evidence(call, repository, opened, span)
            return await _send_file(call, opened.blob, opened.file, span)
        if opened.url is not None and (opened.url.startswith("https:") or not call.request.secure):
            return empty(307, Location=opened.url, Docker_Content_Digest=digest, Cache_Control="no-store")
        return await _send_chunks(call, opened, span)
    finally:
        if opened.file is not None:
            opened.file.close()


async def head(call: Call) -> web.StreamResponse:
    digest, repository = Digest.parse(call.reference), await call.repository()
    if is_known(call.request, digest):
        return await _unchanged(call, repository, digest)
    blob = await layers.stat(call.deps, repository, digest)
    return web.Response(headers={**_headers(blob), "Content-Length": str(blob.size)})


async def delete(call: Call) -> web.StreamResponse:
    await layers.delete(call.deps, await call.repository(), Digest.parse(call.reference))
    return empty(202)


async def _unchanged(call: Call, repository: Repository, digest: Digest) -> web.StreamResponse:
    """304 to a client that has the blob, if a GET could have served it."""
    return web.Response(status=304, headers=_headers(await layers.stat(call.deps, repository, digest)))


def _give_evidence(call: Call, repository: Repository, opened: Opened, span: tuple[int, int] | None) -> None:
    blob, (first, stop) = opened.blob, span or (0, opened.blob.size)
    if opened.verified is not None and blob.identity is not None:
        evidence.give(
            call,
            hot.blob(repository.id, blob.digest),
            blob.id,
            blob.key,
            int(blob.damaged),
            file=(opened.verified, blob.identity),
            part=(first, stop) if stop - first > _INLINE else None,
        )


def _headers(blob: Blob) -> dict[str, str]:
    return {
        API_VERSION[0]: API_VERSION[1],
        "Server": "longshore",
        "Docker-Content-Digest": blob.digest,
        "ETag": f'"{blob.digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Type": "application/octet-stream",
        **PUSHED,
    }


def _begun(call: Call, blob: Blob, span: tuple[int, int] | None) -> web.StreamResponse:
    """The head of an answer with the blob, or with a part of it."""
    first, stop = span or (0, blob.size)
    answer = web.StreamResponse(status=200 if span is None else 206, headers=_headers(blob))
    answer.headers["x-amzn-RequestId"] = call.context.request_id
    if span is not None:
        answer.headers["Content-Range"] = f"bytes {first}-{stop - 1}/{blob.size}"
    answer.content_length = stop - first
    return answer


async def _send_file(call: Call, blob: Blob, file: BinaryIO, span: tuple[int, int] | None) -> web.StreamResponse:
    first, stop = span or (0, blob.size)
    answer = _begun(call, blob, span)
    if stop - first <= _INLINE:
        file.seek(first)
        body = file.read(stop - first)
        if len(body) < stop - first:  # cut off since it was opened
            raise CorruptBlob(blob.digest)
        return web.Response(status=answer.status, headers=answer.headers, body=body)
    transport = call.request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    with sendfile.corked(transport):
        await answer.prepare(call.request)
        at = sendfile.at_once(transport, file.fileno(), first, stop)
    if at < stop:
        at = await sendfile.send(transport, file, at, stop)
    if at < stop:
        raise CorruptBlob(blob.digest)
    await answer.write_eof()
    return answer


async def _send_chunks(call: Call, opened: Opened, span: tuple[int, int] | None) -> web.StreamResponse:
    """Send as it comes. Bytes that turn out bad, or too few, end the connection before the last piece: never a full
    200."""
    first, stop = span or (0, opened.blob.size)
    pieces = opened.chunks if opened.read is None else opened.read(first, stop)
    assert pieces is not None
    request, answer = call.request, _begun(call, opened.blob, span)
    left, prepared = stop - first, False
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            # A blob of one piece is verified before anything is sent, and then gets a proper error.
            if not prepared:
                await answer.prepare(request)
                prepared = True
            left -= len(piece)
            await answer.write(piece)
    if left:
        raise CorruptBlob(opened.blob.digest)
    if not prepared:
        await answer.prepare(request)
    await answer.write_eof()
    return answer


def _range_header(request: web.BaseRequest, digest: Digest) -> tuple[str, str] | None:
    """First and last byte of a single range as sent, either of them perhaps empty; None: send everything.

    Forms that we do not serve, several ranges among them, may be answered whole (RFC 9110, 14.2); a range that ends
    before it begins is a mistake, and is told so by `_span`.
    """
    if_range = request.headers.get("If-Range")
    if if_range is not None and if_range.strip() != f'"{digest}"':
        return None
    found = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if found is None or not (found[1] or found[2]):
        return None
    return found[1], found[2]


def _span(wanted: tuple[str, str] | None, size: int) -> tuple[int, int] | None:
    """The range as first byte and stop. Raises OciError 416 where the blob has nothing of it."""
    if wanted is None:
        return None
    first, last = wanted
    span = (int(first), min(int(last) + 1, size) if last else size) if first else (max(size - int(last), 0), size)
    if span[0] >= span[1]:
        raise RangeUnsatisfiable(size)
    return span


class RangeUnsatisfiable(OciError):
    """The blob has `size` bytes, and none of those that were asked for."""

    def __init__(self, size: int) -> None:
        super().__init__("SIZE_INVALID", 416, f"the range lies outside of the blob's {size} bytes")
        self.size = size
