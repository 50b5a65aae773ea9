"""Blob uploads (end-4a/b/c, 5, 6, 11, 13, 14)."""

import re
from collections.abc import AsyncIterable, AsyncIterator

from aiohttp import web

from registry import layers, quotas, repositories, settings, uploads
from registry.errors import RepositoryNotFound, SizeInvalid
from registry.model import Repository
from registry.names import ALGORITHMS, BadName, Digest, RepositoryName, repository_arn
from registry.uploads import Ticket
from registry.v2 import bodies
from registry.v2.calls import Call, empty
from registry.v2.errors import OciError, range_of

_CONTENT_RANGE = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?")


async def begin(call: Call) -> web.StreamResponse:
    """POST: begin an upload (202), or mount a blob or take it whole (201)."""
    digest = _digest(call, "digest")
    algorithm = call.query("digest-algorithm") or (digest.algorithm if digest else "sha256")
    if algorithm not in ALGORITHMS:
        raise OciError("DIGEST_INVALID", 400, f"unsupported digest algorithm: use {' or '.join(ALGORITHMS)}")
    mounted = _digest(call, "mount")
    repository = await call.repository_for_push()
    if mounted is not None and await _mount(call, repository, mounted):
        return _created(call, mounted)
    upload = uploads.begin(call.deps, repository, algorithm, owner=call.context.principal.owner)
    has_body = bodies.has_body(call.request)
    if digest is not None and (has_body or digest == Digest.of(b"", digest.algorithm)):
        await call.context.authorize("ecr:CompleteLayerUpload", call.arn)
        if has_body:
            await call.context.authorize("ecr:UploadLayerPart", call.arn)
        ticket = uploads.open_ticket(call.deps, repository, upload)
        await uploads.finish(call.deps, repository, ticket, digest, _body(call), length=_coming(call))
        return _created(call, digest)
    await quotas.room(call.deps, repository)
    return _accepted(call, upload, 0, 202, OCI_Chunk_Min_Length=str(call.deps.settings.storage.min_chunk))


async def append(call: Call) -> web.StreamResponse:
    """PATCH: add a chunk."""
    repository, ticket = await _ticket(call)
    start, length = _content_range(call.request)
    chunks, coming = _body(call, length), _coming(call, length)
    upload = await uploads.append(call.deps, repository, ticket, chunks, start=start, length=coming)
    return _accepted(call, call.reference, upload.size, 202)


async def finish(call: Call) -> web.StreamResponse:
    """PUT: add the last chunk, if there is one, and close."""
    repository, ticket = await _ticket(call)
    digest = _digest(call, "digest")
    if digest is None:
        raise OciError("DIGEST_INVALID", 400, "the digest parameter is missing")
    start, length = _content_range(call.request)
    chunks: AsyncIterable[bytes] | None = None
    if bodies.has_body(call.request):
        await call.context.authorize("ecr:UploadLayerPart", call.arn)
        chunks = _body(call, length)
    coming = _coming(call, length)
    await uploads.finish(call.deps, repository, ticket, digest, chunks, start=start, length=coming)
    return _created(call, digest)


async def status(call: Call) -> web.StreamResponse:
    """GET: how far an upload is."""
    repository, ticket = await _ticket(call)
    row = await uploads.status(call.deps, repository, ticket)
    return _accepted(call, call.reference, row.size if row else 0, 204)


async def cancel(call: Call) -> web.StreamResponse:
    """DELETE: give an upload up."""
    repository, ticket = await _ticket(call)
    await uploads.cancel(call.deps, repository, ticket)
    return empty(204)


async def _mount(call: Call, repository: Repository, digest: Digest) -> bool:
    """Mount from the repository that is named, or from any that the caller may read. A refusal is no error: the client
    uploads instead, and learns nothing about what others hold."""
    if await settings.setting(call.deps, call.context.registry, "BLOB_MOUNTING") != "ENABLED":
        return False
    sources = await _sources(call, repository, digest)
    readable = [source for source in sources if await _may_read(call, source)]
    alike = [one for one in readable if (one.encryption, one.kms_key) == (repository.encryption, repository.kms_key)]
    return await layers.mount(call.deps, repository, digest, alike) is not None


async def _sources(call: Call, repository: Repository, digest: Digest) -> list[Repository]:
    named = call.query("from")
    if named is None:
        return await layers.holders(call.deps, repository, digest)
    try:
        name = RepositoryName.parse(named)
        return [await repositories.get(call.deps, call.context.registry, name)]
    except (BadName, RepositoryNotFound):
        return []


async def _may_read(call: Call, source: Repository) -> bool:
    return await call.context.allows("ecr:GetDownloadUrlForLayer", repository_arn(source.registry, source.name))


async def _ticket(call: Call) -> tuple[Repository, Ticket]:
    repository = await call.repository()
    return repository, uploads.open_ticket(call.deps, repository, call.reference)


def _body(call: Call, length: int | None = None) -> AsyncIterable[bytes]:
    """The body; `length`: the bytes that it must have. A Content-Length says the same, or was refused."""
    given = call.deps.settings
    body = bodies.body(
        call.request, floor_seconds=given.limits.body_floor_seconds, lending=given.storage.direct_uploads
    )
    return body if length is None or call.request.content_length is not None else _exactly(body, length)


def _coming(call: Call, length: int | None = None) -> int | None:
    """How many bytes the body will have, as far as the client says. `length`: as Content-Range has it."""
    return length if call.request.content_length is None else call.request.content_length


async def _exactly(chunks: AsyncIterable[bytes], length: int) -> AsyncIterator[bytes]:
    """The chunks; SizeInvalid where they are not as many bytes as Content-Range said, before the last is accepted."""
    left = length
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left != 0:
        raise SizeInvalid("the body does not have the length that Content-Range says")


def _content_range(request: web.BaseRequest) -> tuple[int | None, int | None]:
    """First byte and length that Content-Range claims; (None, None) without one."""
    header = request.headers.get("Content-Range")
    if header is None:
        return None, None
    found = _CONTENT_RANGE.fullmatch(header.strip())
    first, last = (int(found[1]), int(found[2])) if found else (0, -1)
    if found is None or last < first:
        if found is not None and last == first - 1 and not request.content_length:
            return first, 0
        raise OciError("BLOB_UPLOAD_INVALID", 416, "Content-Range must be <first byte>-<last byte>")
    if request.content_length is not None and request.content_length != last - first + 1:
        raise SizeInvalid("Content-Length and Content-Range do not agree")
    return first, last - first + 1


def _digest(call: Call, parameter: str) -> Digest | None:
    text = call.query(parameter)
    return None if text is None else Digest.parse(text)


def _accepted(call: Call, upload: str, size: int, status: int, **headers: str) -> web.Response:
    return empty(
        status,
        Location=f"/v2/{call.name}/blobs/uploads/{upload}",
        Range=range_of(size),
        Docker_Upload_UUID=upload.partition(".")[0],
        **headers,
    )


def _created(call: Call, digest: Digest) -> web.Response:
    return empty(201, Location=f"/v2/{call.name}/blobs/{digest}", Docker_Content_Digest=digest)
