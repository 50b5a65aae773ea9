"""Images by the AWS API: put, get, delete, list, describe, referrers.

The batch operations answer 200 with failures beside what succeeded; the codes and reasons are the ECR model's and API
reference's.
"""

from typing import Final, Literal, NoReturn

from registry import archiving, images, repositories
from registry.aws import paging
from registry.aws.door import Params, Result, operation, registry_of
from registry.aws.errors import invalid_parameter
from registry.aws.paging import Listing
from registry.context import Context
from registry.ecr import shapes
from registry.ecr.shapes import Structure, name_of, on_repository
from registry.errors import (
    ImageAlreadyExists,
    ImageDigestDoesNotMatch,
    ImageInaccessible,
    ImageNotFound,
    ImageReferencedByManifestList,
    LimitExceeded,
)
from registry.manifests import MAX_MANIFEST
from registry.model import Image, ImageStatus
from registry.names import BadName, Digest, RegistryRef, RepositoryName, Tag

_PAGE: Final = 100
_REFERRER_PAGE: Final = 20
_ANSWER: Final = (
    4 * MAX_MANIFEST
)  # characters of manifests in one answer: a hundred of the largest would fill the memory
# A manifest in JSON: each of its bytes may take six (\u00xx).
_BODY: Final = MAX_MANIFEST * 6 + 65_536


@operation("ecr", "PutImage", on=on_repository, body_limit=_BODY)
async def put_image(ctx: Context, req: Params) -> Result:
    registry, name, body = registry_of(ctx, req), name_of(req), req["imageManifest"].encode()
    tag = _tag(req["imageTag"]) if "imageTag" in req else None
    digest = _digest(req["imageDigest"], "imageDigest") if "imageDigest" in req else None
    pushed = await images.put(
        ctx.deps, registry, name, body, req.get("imageManifestMediaType"), tags=[tag] if tag else [], digest=digest
    )
    if not pushed.changed:
        raise ImageAlreadyExists(name, registry.account, digest=pushed.image.digest, tag=tag)
    return {
        "image": {
            "registryId": registry.account,
            "repositoryName": name,
            "imageId": shapes.image_id(pushed.image.digest, tag),
            "imageManifest": req["imageManifest"],
            "imageManifestMediaType": pushed.image.media_type,
        }
    }


@operation("ecr", "BatchGetImage", on=on_repository)
async def batch_get_image(ctx: Context, req: Params) -> Result:
    await repositories.get(ctx.deps, registry_of(ctx, req), name_of(req))
    found: list[Structure] = []
    failures: list[Structure] = []
    size = 0
    for wanted in req["imageIds"]:
        try:
            found.append(await _get(ctx, req, wanted))
        except (_Failure, ImageNotFound) as error:
            failures.append(_failure(wanted, error))
            continue
        size += len(found[-1]["imageManifest"])
        if size > _ANSWER:
            raise LimitExceeded(
                f"The manifests of one answer have more than {_ANSWER} characters; ask for fewer images"
            )
    return {"images": found, "failures": failures}


async def _get(ctx: Context, req: Params, wanted: Params) -> Structure:
    registry, name, (digest, tag) = registry_of(ctx, req), name_of(req), _parse(wanted)
    pulled = await images.get(ctx.deps, registry, name, tag or digest or _nothing())
    if digest is not None and pulled.digest != digest:
        raise _Failure("ImageTagDoesNotMatchDigest", "Requested image tag does not match the digest")
    accepted = req.get("acceptedMediaTypes")
    if accepted and pulled.media_type not in accepted:
        raise _Failure("ImageNotFound", "Requested image has none of the accepted media types")
    ctx.deps.pulls.of(pulled.image_id, ctx.principal.entity_arn)()
    return {
        "registryId": registry.account,
        "repositoryName": name,
        "imageId": shapes.image_id(pulled.digest, tag),
        "imageManifest": pulled.body.decode(),
        "imageManifestMediaType": pulled.media_type,
    }


@operation("ecr", "BatchDeleteImage", on=on_repository)
async def batch_delete_image(ctx: Context, req: Params) -> Result:
    await repositories.get(ctx.deps, registry_of(ctx, req), name_of(req))
    gone: list[Structure] = []
    failures: list[tuple[Params, Exception]] = []
    left = list(req["imageIds"])
    while left:
        # An index and its children may be deleted by one call, in any order: what an index held back is tried again
        # as long as something else went.
        before, failures = len(gone), [one for one in failures if not isinstance(one[1], ImageReferencedByManifestList)]
        again: list[Params] = []
        for wanted in left:
            try:
                gone += await _delete(ctx, req, wanted)
            except ImageReferencedByManifestList as error:
                failures.append((wanted, error))
                again.append(wanted)
            except (_Failure, ImageNotFound) as error:
                failures.append((wanted, error))
        left = again if len(gone) > before else []
    return {"imageIds": gone, "failures": [_failure(wanted, error) for wanted, error in failures]}


async def _delete(ctx: Context, req: Params, wanted: Params) -> list[Structure]:
    """Delete what one id names: a tag, and the image with its last tag; or an image with all its tags."""
    registry, name, (digest, tag) = registry_of(ctx, req), name_of(req), _parse(wanted)
    if tag is None:
        deleted = await images.delete(ctx.deps, registry, name, digest or _nothing())
    else:
        try:
            deleted = await images.delete_tag(ctx.deps, registry, name, tag, expected=digest, last_takes_image=True)
        except ImageDigestDoesNotMatch:
            raise _Failure("ImageTagDoesNotMatchDigest", "Requested image tag does not match the digest") from None
    return [shapes.image_id(deleted.digest, one) for one in deleted.tags] or [shapes.image_id(deleted.digest)]


@operation("ecr", "ListImages", on=on_repository)
async def list_images(ctx: Context, req: Params) -> Result:
    registry, name, only = registry_of(ctx, req), name_of(req), _tag_status(req)
    status = _status(req, "imageStatus")
    arguments = {"repository": name, "only": only, "status": status}
    listing = Listing(operation="ecr:ListImages", registry=registry, arguments=arguments)
    limit = req.get("maxResults", _PAGE)
    digest, tag = paging.position(ctx.deps.sealer, listing, req.get("nextToken")) or ("", "")
    found = await images.id_page(
        ctx.deps, registry, name, after=(digest, tag), limit=limit + 1, only=only, status=status
    )
    result: Result = {"imageIds": [shapes.image_id(*one) for one in found[:limit]]}
    if len(found) > limit:
        digest, last_tag = found[limit - 1]
        result["nextToken"] = paging.mark(ctx.deps.sealer, listing, [digest, last_tag or ""])
    return result


@operation("ecr", "DescribeImages", on=on_repository)
async def describe_images(ctx: Context, req: Params) -> Result:
    registry, name = registry_of(ctx, req), name_of(req)
    if "imageIds" in req:
        if "nextToken" in req or "maxResults" in req:
            raise invalid_parameter("imageIds", "maxResults and nextToken cannot be used together with imageIds")
        found = [await _describe(ctx, registry, name, one) for one in req["imageIds"]]
        # Who names an image wants it whatever its status, unless a filter says otherwise.
        wanted = _status(req, "imageStatus") if "imageStatus" in req.get("filter", {}) else None
        unique = {image.digest: image for image in found if wanted is None or image.status == wanted}
        return {"imageDetails": [shapes.image_detail(registry, name, image) for image in unique.values()]}
    only, status = _tag_status(req), _status(req, "imageStatus")
    arguments = {"repository": name, "only": only, "status": status}
    listing = Listing(operation="ecr:DescribeImages", registry=registry, arguments=arguments)
    limit = req.get("maxResults", _PAGE)
    after = paging.position(ctx.deps.sealer, listing, req.get("nextToken")) or ""
    page = await images.page(ctx.deps, registry, name, after=after, limit=limit + 1, only=only, status=status)
    result: Result = {"imageDetails": [shapes.image_detail(registry, name, image) for image in page[:limit]]}
    if len(page) > limit:
        result["nextToken"] = paging.mark(ctx.deps.sealer, listing, page[limit - 1].digest)
    return result


@operation("ecr", "ListImageReferrers", on=on_repository)
async def list_image_referrers(ctx: Context, req: Params) -> Result:
    registry, name = registry_of(ctx, req), name_of(req)
    subject = _digest(req["subjectId"]["imageDigest"], "subjectId.imageDigest")
    wanted = req.get("filter", {})
    types = wanted.get("artifactTypes", [])
    listing = Listing(
        operation="ecr:ListImageReferrers",
        registry=registry,
        arguments={"repository": name, "subject": subject, "filter": dict(wanted)},
    )
    limit = req.get("maxResults", _REFERRER_PAGE)
    after = paging.position(ctx.deps.sealer, listing, req.get("nextToken")) or ""
    page = await images.referrers(
        ctx.deps,
        registry,
        name,
        subject,
        after=after,
        limit=limit + 1,
        artifact_types=types,
        status=_status(req, "artifactStatus"),
    )
    result: Result = {"referrers": [shapes.referrer(image) for image in page[:limit]]}
    if len(page) > limit:
        result["nextToken"] = paging.mark(ctx.deps.sealer, listing, page[limit - 1].digest)
    return result


@operation("ecr", "UpdateImageStorageClass", on=on_repository)
async def update_image_storage_class(ctx: Context, req: Params) -> Result:
    registry, name, wanted = registry_of(ctx, req), name_of(req), req["imageId"]
    try:
        digest, tag = _parse(wanted)
    except _Failure as error:
        raise invalid_parameter("imageId", error.reason) from None
    image = await archiving.change(
        ctx.deps, registry, name, req["targetStorageClass"], digest=digest, tag=tag, by=ctx.principal.arn
    )
    return {
        "registryId": registry.account,
        "repositoryName": name,
        "imageId": shapes.image_id(image.digest, tag),
        "imageStatus": image.status,
    }


# --- inside -----------------------------------------------------------------------------------------------------------


class _Failure(Exception):
    """One image of a batch failed; `code` is the model's."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def _parse(wanted: Params) -> tuple[Digest | None, Tag | None]:
    """What an image id names, by either or both. Raises _Failure."""
    digest, tag = wanted.get("imageDigest"), wanted.get("imageTag")
    if digest is None and tag is None:
        raise _Failure("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    try:
        parsed = None if digest is None else Digest.parse(digest)
    except BadName as error:
        raise _Failure("InvalidImageDigest", f"Invalid request parameters: {error.why}") from None
    try:
        return parsed, None if tag is None else Tag.parse(tag)
    except BadName as error:
        raise _Failure("InvalidImageTag", f"Invalid request parameters: {error.why}") from None


def _failure(wanted: Params, error: Exception) -> Structure:
    if isinstance(error, _Failure):
        code, reason = error.code, error.reason
    elif isinstance(error, ImageReferencedByManifestList):
        code, reason = "ImageReferencedByManifestList", error.message
    elif isinstance(error, ImageInaccessible):
        code, reason = "ImageInaccessible", error.message
    else:
        code, reason = "ImageNotFound", "Requested image not found"
    return {"imageId": dict(wanted), "failureCode": code, "failureReason": reason}


async def _describe(ctx: Context, registry: RegistryRef, name: RepositoryName, wanted: Params) -> Image:
    """The image that an id names; a bad id fails the whole request."""
    try:
        digest, tag = _parse(wanted)
    except _Failure as error:
        raise invalid_parameter("imageIds", error.reason) from None
    missing = ImageNotFound(name, registry.account, digest=digest, tag=tag)  # the whole id, where it has both
    try:
        image = await images.describe(ctx.deps, registry, name, tag or digest or _nothing())
    except ImageNotFound:
        raise missing from None
    if digest is not None and image.digest != digest:
        raise missing
    return image


def _tag_status(req: Params) -> Literal["TAGGED", "UNTAGGED"] | None:
    found = req.get("filter", {}).get("tagStatus", "ANY")
    return None if found == "ANY" else found


def _status(req: Params, name: str) -> ImageStatus | None:
    """The status that is asked for by the filter of this name; None: any."""
    found = req.get("filter", {}).get(name, "ACTIVE")
    return None if found == "ANY" else found


def _tag(text: str) -> Tag:
    try:
        return Tag.parse(text)
    except BadName as error:
        raise invalid_parameter("imageTag", error.why) from None


def _digest(text: str, field: str) -> Digest:
    try:
        return Digest.parse(text)
    except BadName as error:
        raise invalid_parameter(field, error.why) from None


def _nothing() -> NoReturn:
    raise AssertionError("an image id without digest and tag was refused before")
