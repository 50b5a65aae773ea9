"""Layers by the AWS API: availability, upload in parts, and a URL to download from.

Limits and texts: the ECR model, and the user guide's "service quotas": parts of 5 to 10 MiB but for the last, which the
model lets grow to 20,971,520 bytes.
"""

import uuid
from collections.abc import AsyncIterator
from typing import Final

from registry import downloads, layers, repositories, uploads
from registry.aws.door import Params, Result, operation, registry_of
from registry.aws.errors import invalid_parameter
from registry.context import Context
from registry.ecr.shapes import name_of, on_repository
from registry.errors import (
    BlobArchived,
    BlobNotFound,
    EmptyUpload,
    InvalidLayerPart,
    LayerAlreadyExists,
    LayerPartTooSmall,
    RangeInvalid,
)
from registry.model import Repository, Upload
from registry.names import BadName, Digest
from registry.uploads import Ticket

PART_SIZE: Final = 10 * 1024 * 1024
_LARGEST_PART: Final = 20_971_520
_BODY: Final = _LARGEST_PART * 4 // 3 + 4096  # base64, and the JSON around it


@operation("ecr", "BatchCheckLayerAvailability", on=on_repository)
async def batch_check_layer_availability(ctx: Context, req: Params) -> Result:
    repository = await repositories.get(ctx.deps, registry_of(ctx, req), name_of(req))
    found: list[dict[str, object]] = []
    failures: list[dict[str, object]] = []
    for text in req["layerDigests"]:
        try:
            digest = Digest.parse(text)
        except BadName as error:
            code = "InvalidLayerDigest" if text else "MissingLayerDigest"
            failures.append({"layerDigest": text, "failureCode": code, "failureReason": error.why})
            continue
        try:
            blob = await layers.stat(ctx.deps, repository, digest)
        except BlobArchived as error:
            found.append({"layerDigest": digest, "layerAvailability": "ARCHIVED", "layerSize": error.size})
        except BlobNotFound:
            found.append({"layerDigest": digest, "layerAvailability": "UNAVAILABLE", "layerSize": 0})
        else:
            found.append({"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": blob.size})
    return {"layers": found, "failures": failures}


@operation("ecr", "InitiateLayerUpload", on=on_repository)
async def initiate_layer_upload(ctx: Context, req: Params) -> Result:
    repository = await repositories.get(ctx.deps, registry_of(ctx, req), name_of(req))
    upload_id = str(uuid.uuid4())
    await uploads.begin_row(ctx.deps, repository, upload_id, owner=ctx.principal.owner)
    return {"uploadId": upload_id, "partSize": PART_SIZE}


@operation("ecr", "UploadLayerPart", on=on_repository, body_limit=_BODY)
async def upload_layer_part(ctx: Context, req: Params) -> Result:
    repository = await repositories.get(ctx.deps, registry_of(ctx, req), name_of(req))
    upload = await uploads.row_of(ctx.deps, repository, req["uploadId"])
    first, last, part = req["partFirstByte"], req["partLastByte"], req["layerPartBlob"]
    if not part or last - first + 1 != len(part):
        raise invalid_parameter(
            "layerPartBlob", "the part must have as many bytes as partFirstByte and partLastByte say, at least one"
        )
    try:
        new = await uploads.append(ctx.deps, repository, _ticket(upload), _one(part), start=first, length=len(part))
    except RangeInvalid as error:
        raise InvalidLayerPart(upload.id, repository.name, repository.registry.account, error.size - 1) from None
    return {**_names(repository), "uploadId": upload.id, "lastByteReceived": new.size - 1}


@operation("ecr", "CompleteLayerUpload", on=on_repository)
async def complete_layer_upload(ctx: Context, req: Params) -> Result:
    repository = await repositories.get(ctx.deps, registry_of(ctx, req), name_of(req))
    digest = _only_digest(req["layerDigests"])
    if await uploads.was_finished(ctx.deps, repository, req["uploadId"], digest):
        raise LayerAlreadyExists(repository.name, repository.registry.account, digest)
    upload = await uploads.row_of(ctx.deps, repository, req["uploadId"])
    if upload.parts == 0:
        raise EmptyUpload
    if upload.small_part:
        raise LayerPartTooSmall
    finished = await uploads.finish(ctx.deps, repository, _ticket(upload), digest)
    if finished.existed:
        raise LayerAlreadyExists(repository.name, repository.registry.account, digest)
    return {**_names(repository), "uploadId": upload.id, "layerDigest": digest}


@operation("ecr", "GetDownloadUrlForLayer", on=on_repository)
async def get_download_url_for_layer(ctx: Context, req: Params) -> Result:
    repository = await repositories.get(ctx.deps, registry_of(ctx, req), name_of(req))
    digest = _only_digest([req["layerDigest"]])
    blob = await layers.require_used(ctx.deps, repository, digest)
    direct = await layers.url(ctx.deps, repository, blob, downloads.SECONDS) if ctx.is_redirected else None
    return {"downloadUrl": direct or downloads.url(ctx.deps, repository, digest), "layerDigest": digest}


# --- inside -----------------------------------------------------------------------------------------------------------


def _ticket(upload: Upload) -> Ticket:
    return Ticket(upload.id, upload.repository_id, upload.algorithm)


def _names(repository: Repository) -> dict[str, object]:
    return {"registryId": repository.registry.account, "repositoryName": repository.name}


def _only_digest(texts: list[str]) -> Digest:
    """The one digest that is used. Raises InvalidParameter."""
    try:
        return Digest.parse(texts[0])
    except BadName as error:
        raise invalid_parameter("layerDigests", error.why) from None


async def _one(part: bytes) -> AsyncIterator[bytes]:
    yield part
