"""Lifecycle policies: put, get, delete, and previews of what one would do."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from registry import lifecycle
from registry.aws import paging
from registry.aws.door import Params, Result, operation, registry_of
from registry.aws.errors import invalid_parameter
from registry.aws.paging import Listing
from registry.context import Context
from registry.ecr.shapes import Structure, name_of, on_repository
from registry.lifecycle import Preview
from registry.names import BadName, Digest, RegistryRef, RepositoryName, Tag
from registry.records.lifecycle import Sentence, Stored

_PAGE: Final = 100
_PREVIEW: Final = "ecr:GetLifecyclePolicyPreview"
_NEVER: Final = dt.datetime.fromtimestamp(0, dt.UTC)  # when a policy was evaluated that never was, as ECR says it


@operation("ecr", "PutLifecyclePolicy", on=on_repository)
async def put_lifecycle_policy(ctx: Context, req: Params) -> Result:
    registry, name = registry_of(ctx, req), name_of(req)
    await lifecycle.put_policy(ctx.deps, registry, name, req["lifecyclePolicyText"])
    return _policy(registry, name, req["lifecyclePolicyText"])


@operation("ecr", "GetLifecyclePolicy", on=on_repository)
async def get_lifecycle_policy(ctx: Context, req: Params) -> Result:
    registry, name = registry_of(ctx, req), name_of(req)
    return _stored(registry, name, await lifecycle.get_policy(ctx.deps, registry, name))


@operation("ecr", "DeleteLifecyclePolicy", on=on_repository)
async def delete_lifecycle_policy(ctx: Context, req: Params) -> Result:
    registry, name = registry_of(ctx, req), name_of(req)
    return _stored(registry, name, await lifecycle.delete_policy(ctx.deps, registry, name))


@operation("ecr", "StartLifecyclePolicyPreview", on=on_repository)
async def start_lifecycle_policy_preview(ctx: Context, req: Params) -> Result:
    registry, name = registry_of(ctx, req), name_of(req)
    text = await lifecycle.start_preview(ctx.deps, registry, name, req.get("lifecyclePolicyText"))
    return {**_policy(registry, name, text), "status": "IN_PROGRESS"}


@operation("ecr", "GetLifecyclePolicyPreview", on=on_repository)
async def get_lifecycle_policy_preview(ctx: Context, req: Params) -> Result:
    registry, name = registry_of(ctx, req), name_of(req)
    only = req.get("filter", {}).get("tagStatus", "ANY")
    only = None if only == "ANY" else only
    if "imageIds" in req:
        if "nextToken" in req or "maxResults" in req:
            raise invalid_parameter("imageIds", "maxResults and nextToken cannot be used together with imageIds")
        wanted = [_reference(one) for one in req["imageIds"]]
        found = await lifecycle.preview(ctx.deps, registry, name, after=-1, limit=len(wanted), only=only, wanted=wanted)
        return _preview(registry, name, found, found.page)
    listing = Listing(operation=_PREVIEW, registry=registry, arguments={"repository": name, "only": only})
    limit = req.get("maxResults", _PAGE)
    after = paging.position(ctx.deps.sealer, listing, req.get("nextToken"))
    found = await lifecycle.preview(
        ctx.deps, registry, name, after=-1 if after is None else after, limit=limit + 1, only=only
    )
    result = _preview(registry, name, found, found.page[:limit])
    if len(found.page) > limit:
        result["nextToken"] = paging.mark(ctx.deps.sealer, listing, found.page[limit - 1].position)
    return result


# --- inside -----------------------------------------------------------------------------------------------------------


def _policy(registry: RegistryRef, name: RepositoryName, text: str) -> Result:
    return {"registryId": registry.account, "repositoryName": name, "lifecyclePolicyText": text}


def _stored(registry: RegistryRef, name: RepositoryName, found: Stored) -> Result:
    return {**_policy(registry, name, found.policy), "lastEvaluatedAt": found.evaluated_at or _NEVER}


def _preview(registry: RegistryRef, name: RepositoryName, found: Preview, page: Sequence[Sentence]) -> Result:
    result: Result = {
        **_policy(registry, name, found.policy),
        "status": found.status,
        "previewResults": [_image(one) for one in page],
    }
    if found.status == "COMPLETE":
        result["summary"] = _summary(found)
    return result


def _summary(found: Preview) -> Structure:
    summary: Structure = {"expiringImageTotalCount": found.expiring}
    if found.archiving:
        summary["transitioningImageTotalCounts"] = [
            {"targetStorageClass": "ARCHIVE", "imageTotalCount": found.archiving}
        ]
    return summary


def _image(verdict: Sentence) -> Structure:
    action = (
        {"type": "EXPIRE"} if verdict.action == "expire" else {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
    )
    return {
        "imageTags": list(verdict.tags),
        "imageDigest": verdict.digest,
        "imagePushedAt": verdict.pushed_at,
        "action": action,
        "appliedRulePriority": verdict.rule_priority,
        "storageClass": verdict.storage_class,
    }


def _reference(wanted: Params) -> Digest | Tag:
    """What an image id names; the digest, where it has both. Raises InvalidParameter."""
    try:
        if "imageDigest" in wanted:
            return Digest.parse(wanted["imageDigest"])
        if "imageTag" in wanted:
            return Tag.parse(wanted["imageTag"])
    except BadName as error:
        raise invalid_parameter("imageIds", error.why) from None
    raise invalid_parameter("imageIds", "both tag and digest cannot be null")
