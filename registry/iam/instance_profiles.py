"""Instance profiles."""

from registry import instance_profiles, tagging
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.entities import InstanceProfile, entity_arn, folded
from registry.iam import listing, shapes
from registry.iam.resources import arn_of, on, on_all, on_new


async def on_profile(ctx: Context, req: Params) -> str:
    account, name = ctx.registry.account, req["InstanceProfileName"]
    found = await instance_profiles.find(ctx.deps, account, name)
    return entity_arn(account, "instance-profile", "/", name) if found is None else found.arn


@operation("iam", "CreateInstanceProfile", on=on_new("instance-profile", "InstanceProfileName"))
async def create_instance_profile(ctx: Context, req: Params) -> Result:
    made = await instance_profiles.create(
        ctx.deps,
        ctx.registry.account,
        req["InstanceProfileName"],
        path=shapes.path_of(req),
        resource_tags=tagging.read(req.get("Tags", [])),
    )
    return {"InstanceProfile": {**_profile(made), **_tags(made)}}


@operation("iam", "GetInstanceProfile", on=on_profile)
async def get_instance_profile(ctx: Context, req: Params) -> Result:
    found = await instance_profiles.get(ctx.deps, ctx.registry.account, req["InstanceProfileName"])
    return {"InstanceProfile": {**_profile(found), **_tags(found)}}


@operation("iam", "DeleteInstanceProfile", on=on_profile)
async def delete_instance_profile(ctx: Context, req: Params) -> Result:
    await instance_profiles.delete(ctx.deps, ctx.registry.account, req["InstanceProfileName"])
    return {}


@operation("iam", "AddRoleToInstanceProfile", on=on_profile)
async def add_role_to_instance_profile(ctx: Context, req: Params) -> Result:
    await ctx.authorize("iam:PassRole", await arn_of(ctx, "role", req["RoleName"]))
    await instance_profiles.add_role(ctx.deps, ctx.registry.account, req["InstanceProfileName"], req["RoleName"])
    return {}


@operation("iam", "RemoveRoleFromInstanceProfile", on=on_profile)
async def remove_role_from_instance_profile(ctx: Context, req: Params) -> Result:
    await instance_profiles.remove_role(ctx.deps, ctx.registry.account, req["InstanceProfileName"], req["RoleName"])
    return {}


@operation("iam", "ListInstanceProfiles", on=on_all("instance-profile"))
async def list_instance_profiles(ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, "ListInstanceProfiles", "PathPrefix")
    found = await instance_profiles.page(
        ctx.deps,
        ctx.registry.account,
        prefix=req.get("PathPrefix", "/"),
        after=page.after,
        limit=page.limit + 1,
    )
    return listing.answer(ctx, page, "InstanceProfiles", found, _key, _profile)


@operation("iam", "ListInstanceProfilesForRole", on=on("role"))
async def list_instance_profiles_for_role(ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, "ListInstanceProfilesForRole", "RoleName")
    found = await instance_profiles.of_role(ctx.deps, ctx.registry.account, req["RoleName"])
    return listing.answer(ctx, page, "InstanceProfiles", listing.part(page, found, _key), _key, _profile)


def _key(profile: InstanceProfile) -> str:
    return folded(profile.name)


def _profile(found: InstanceProfile) -> shapes.Structure:
    return {
        "Path": found.path,
        "InstanceProfileName": found.name,
        "InstanceProfileId": found.id,
        "Arn": found.arn,
        "CreateDate": found.created_at,
        "Roles": [] if found.role is None else [shapes.role(found.role)],
    }


def _tags(found: InstanceProfile) -> shapes.Structure:
    return {"Tags": shapes.tags(found.resource_tags)} if found.resource_tags else {}
