"""Roles."""

from registry import identities, roles, tagging
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.entities import folded
from registry.iam import listing, shapes
from registry.iam.resources import boundary_key, on, on_all, on_new


@operation("iam", "CreateRole", on=on_new("role", "RoleName"), keys=boundary_key)
async def create_role(ctx: Context, req: Params) -> Result:
    made = await roles.create(
        ctx.deps,
        ctx.registry.account,
        req["RoleName"],
        trust=req["AssumeRolePolicyDocument"],
        path=shapes.path_of(req),
        description=req.get("Description"),
        max_session_seconds=req.get("MaxSessionDuration", roles.SESSION_SECONDS),
        boundary=req.get("PermissionsBoundary"),
        resource_tags=tagging.read(req.get("Tags", [])),
    )
    return {"Role": {**shapes.role(made.identity), **shapes.details(made)}}


@operation("iam", "GetRole", on=on("role"))
async def get_role(ctx: Context, req: Params) -> Result:
    found = await roles.describe(ctx.deps, ctx.registry.account, req["RoleName"])
    last_used = {"LastUsedDate": found.identity.last_used_at, "Region": found.identity.last_used_region}
    return {"Role": {**shapes.role(found.identity), **shapes.details(found), "RoleLastUsed": last_used}}


@operation("iam", "UpdateRole", on=on("role"))
async def update_role(ctx: Context, req: Params) -> Result:
    await _update(ctx, req)
    return {}


@operation("iam", "UpdateRoleDescription", on=on("role"))
async def update_role_description(ctx: Context, req: Params) -> Result:
    await _update(ctx, req)
    found = await roles.describe(ctx.deps, ctx.registry.account, req["RoleName"])
    return {"Role": {**shapes.role(found.identity), **shapes.details(found)}}


@operation("iam", "UpdateAssumeRolePolicy", on=on("role"))
async def update_assume_role_policy(ctx: Context, req: Params) -> Result:
    await roles.set_trust(ctx.deps, ctx.registry.account, req["RoleName"], req["PolicyDocument"])
    return {}


@operation("iam", "DeleteRole", on=on("role"))
async def delete_role(ctx: Context, req: Params) -> Result:
    await identities.delete(ctx.deps, ctx.registry.account, "role", req["RoleName"])
    return {}


@operation("iam", "ListRoles", on=on_all("role"))
async def list_roles(ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, "ListRoles", "PathPrefix")
    found = await roles.page(
        ctx.deps,
        ctx.registry.account,
        prefix=req.get("PathPrefix", "/"),
        after=page.after,
        limit=page.limit + 1,
    )
    return listing.answer(ctx, page, "Roles", found, lambda one: folded(one.name), shapes.role)


async def _update(ctx: Context, req: Params) -> None:
    await roles.update(
        ctx.deps,
        ctx.registry.account,
        req["RoleName"],
        description=req.get("Description"),
        max_session_seconds=req.get("MaxSessionDuration"),
    )
