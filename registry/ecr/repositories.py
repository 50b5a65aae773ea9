"""Repositories: create, describe, delete, mutability, scan on push, resource tags, policy."""

from collections.abc import Mapping, Sequence

from registry import repositories
from registry.aws import paging
from registry.aws.door import BY_HANDLER, Params, Result, operation, registry_of, tag_keys
from registry.aws.errors import invalid_parameter
from registry.aws.paging import Listing
from registry.context import Context
from registry.ecr import shapes
from registry.ecr.shapes import name_of, on_repository
from registry.errors import InvalidTagParameter
from registry.model import Repository
from registry.names import BadName, RegistryRef, RepositoryArn, repository_arn
from registry.repositories import Wish

_PAGE = 100
_DESCRIBE = "ecr:DescribeRepositories"


def _on_arn(ctx: Context, req: Params) -> str:
    arn = _arn(ctx, req)
    return repository_arn(arn.registry, arn.name)


@operation("ecr", "CreateRepository", on=on_repository)
async def create_repository(ctx: Context, req: Params) -> Result:
    registry = registry_of(ctx, req)
    tags = _tags(req.get("tags", []))
    if tags:
        await ctx.authorize("ecr:TagResource", on_repository(ctx, req), tag_keys(req))
    encryption = req.get("encryptionConfiguration", {})
    wish = Wish(
        mutability=req.get("imageTagMutability", "MUTABLE"),
        mutability_filters=_filters(req),
        scan_on_push=req.get("imageScanningConfiguration", {}).get("scanOnPush", False),
        encryption=encryption.get("encryptionType", "AES256"),
        kms_key=_kms_key(encryption, registry),
        resource_tags=tags,
    )
    created = await repositories.create(ctx.deps, registry, name_of(req), wish)
    return {"repository": shapes.repository(ctx, created)}


@operation("ecr", "DescribeRepositories", on=BY_HANDLER)
async def describe_repositories(ctx: Context, req: Params) -> Result:
    registry = registry_of(ctx, req)
    if "repositoryNames" in req:
        if "nextToken" in req or "maxResults" in req:
            raise invalid_parameter(
                "repositoryNames", "maxResults and nextToken cannot be used together with repositoryNames"
            )
        names = [shapes.parse_name(name) for name in req["repositoryNames"]]
        for name in names:
            await ctx.authorize(_DESCRIBE, repository_arn(registry, name))
        found = await repositories.get_many(ctx.deps, registry, names)
        return {"repositories": [shapes.repository(ctx, one) for one in found]}
    return await _describe_all(ctx, req, registry)


async def _describe_all(ctx: Context, req: Params, registry: RegistryRef) -> Result:
    """The repositories that the caller may describe; a caller who may describe none is told so."""
    limit = req.get("maxResults", _PAGE)
    listing = Listing(operation=_DESCRIBE, registry=registry)
    after = paging.position(ctx.deps.sealer, listing, req.get("nextToken")) or ""

    async def page(after: str, most: int) -> list[Repository]:
        return await repositories.page(ctx.deps, registry, after=after, limit=most)

    everything = repository_arn(registry, "*")
    found = await ctx.visible(_DESCRIBE, page, all_of_them=everything, after=after, limit=limit + 1)
    result: Result = {"repositories": [shapes.repository(ctx, one) for one in found[:limit]]}
    if len(found) > limit:
        result["nextToken"] = paging.mark(ctx.deps.sealer, listing, found[limit - 1].name)
    return result


@operation("ecr", "DeleteRepository", on=on_repository)
async def delete_repository(ctx: Context, req: Params) -> Result:
    gone = await repositories.delete(ctx.deps, registry_of(ctx, req), name_of(req), force=req.get("force", False))
    return {"repository": shapes.repository(ctx, gone)}


@operation("ecr", "PutImageTagMutability", on=on_repository)
async def put_image_tag_mutability(ctx: Context, req: Params) -> Result:
    changed = await repositories.set_mutability(
        ctx.deps, registry_of(ctx, req), name_of(req), req["imageTagMutability"], _filters(req)
    )
    result: Result = {
        "registryId": changed.registry.account,
        "repositoryName": changed.name,
        "imageTagMutability": changed.mutability,
    }
    if changed.mutability_filters:
        result["imageTagMutabilityExclusionFilters"] = shapes.exclusions(changed)
    return result


@operation("ecr", "PutImageScanningConfiguration", on=on_repository)
async def put_image_scanning_configuration(ctx: Context, req: Params) -> Result:
    scan = req["imageScanningConfiguration"].get("scanOnPush", False)
    changed = await repositories.set_scan_on_push(ctx.deps, registry_of(ctx, req), name_of(req), scan)
    return {
        "registryId": changed.registry.account,
        "repositoryName": changed.name,
        "imageScanningConfiguration": {"scanOnPush": changed.scan_on_push},
    }


# --- resource tags ----------------------------------------------------------------------------------------------------


@operation("ecr", "TagResource", on=_on_arn)
async def tag_resource(ctx: Context, req: Params) -> Result:
    arn = _arn(ctx, req)
    await repositories.add_resource_tags(ctx.deps, arn.registry, arn.name, _tags(req["tags"]))
    return {}


@operation("ecr", "UntagResource", on=_on_arn)
async def untag_resource(ctx: Context, req: Params) -> Result:
    arn = _arn(ctx, req)
    await repositories.remove_resource_tags(ctx.deps, arn.registry, arn.name, req["tagKeys"])
    return {}


@operation("ecr", "ListTagsForResource", on=_on_arn)
async def list_tags_for_resource(ctx: Context, req: Params) -> Result:
    arn = _arn(ctx, req)
    found = await repositories.get(ctx.deps, arn.registry, arn.name)
    return {"tags": [{"Key": key, "Value": value} for key, value in sorted(found.resource_tags.items())]}


# --- policy -----------------------------------------------------------------------------------------------------------


@operation("ecr", "SetRepositoryPolicy", on=on_repository)
async def set_repository_policy(ctx: Context, req: Params) -> Result:
    if not req.get("force", False):
        await _refuse_lock_out(ctx, req)
    changed = await repositories.set_policy(ctx.deps, registry_of(ctx, req), name_of(req), req["policyText"])
    return _policy(changed.registry, changed.name, req["policyText"])


@operation("ecr", "GetRepositoryPolicy", on=on_repository)
async def get_repository_policy(ctx: Context, req: Params) -> Result:
    registry, name = registry_of(ctx, req), name_of(req)
    return _policy(registry, name, await repositories.get_policy(ctx.deps, registry, name))


@operation("ecr", "DeleteRepositoryPolicy", on=on_repository)
async def delete_repository_policy(ctx: Context, req: Params) -> Result:
    registry, name = registry_of(ctx, req), name_of(req)
    return _policy(registry, name, await repositories.delete_policy(ctx.deps, registry, name))


# --- inside -----------------------------------------------------------------------------------------------------------


async def _refuse_lock_out(ctx: Context, req: Params) -> None:
    """Raise InvalidParameter if the policy would keep the caller from setting another one."""
    asked = ctx.asked("ecr:SetRepositoryPolicy", on_repository(ctx, req))
    if not await ctx.deps.authorizer.would_allow(asked, req["policyText"]):
        raise invalid_parameter(
            "PolicyText",
            "The policy would prevent you from setting another repository policy in the future. Use force to set it "
            "all the same",
        )


def _policy(registry: RegistryRef, name: str, text: str) -> Result:
    return {"registryId": registry.account, "repositoryName": name, "policyText": text}


def _filters(req: Params) -> tuple[str, ...]:
    return tuple(one["filter"] for one in req.get("imageTagMutabilityExclusionFilters", []))


def _tags(listed: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Resource tags by key. Raises InvalidTagParameter for a key that comes twice."""
    found = {one["Key"]: one["Value"] for one in listed}
    if len(found) != len(listed):
        raise InvalidTagParameter("Tag keys must be unique")
    return found


def _kms_key(encryption: Mapping[str, str], registry: RegistryRef) -> str | None:
    """The key as it reads back: a full ARN, since Terraform compares it. KMS without a key means AWS's own."""
    key = encryption.get("kmsKey")
    if encryption.get("encryptionType", "AES256") == "AES256":
        if key is not None:
            raise invalid_parameter("encryptionConfiguration", "kmsKey cannot be given with encryptionType AES256")
        return None
    key = key or "alias/aws/ecr"
    if key.startswith("arn:"):
        return key
    resource = key if key.startswith("alias/") else f"key/{key}"
    return f"arn:{registry.region.arn_partition}:kms:{registry.region}:{registry.account}:{resource}"


def _arn(ctx: Context, req: Params) -> RepositoryArn:
    """The repository that `resourceArn` names, of the region that was asked. Raises InvalidParameter."""
    try:
        arn = RepositoryArn.parse(req["resourceArn"])
    except BadName as error:
        raise invalid_parameter("resourceArn", error.why) from None
    if arn.registry.region != ctx.registry.region:
        raise invalid_parameter("resourceArn", f"this is region {ctx.registry.region}, and not the ARN's")
    return arn
