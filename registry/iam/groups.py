"""Groups, and who is in them."""

from registry import groups, identities
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.entities import folded
from registry.iam import listing, shapes
from registry.iam.resources import on, on_all, on_new


@operation("iam", "CreateGroup", on=on_new("group", "GroupName"))
async def create_group(ctx: Context, req: Params) -> Result:
    made = await identities.create(ctx.deps, ctx.registry.account, "group", req["GroupName"], path=shapes.path_of(req))
    return {"Group": shapes.group(made.identity)}


@operation("iam", "GetGroup", on=on("group"))
async def get_group(ctx: Context, req: Params) -> Result:
    """The group with its users."""
    page = listing.asked(ctx, req, "GetGroup", "GroupName")
    group, found = await groups.members(
        ctx.deps, ctx.registry.account, req["GroupName"], after=page.after, limit=page.limit + 1
    )
    users = listing.answer(ctx, page, "Users", found, lambda one: folded(one.name), shapes.user)
    return {"Group": shapes.group(group), **users}


@operation("iam", "UpdateGroup", on=on("group"))
async def update_group(ctx: Context, req: Params) -> Result:
    await identities.rename(
        ctx.deps,
        ctx.registry.account,
        "group",
        req["GroupName"],
        new_name=req.get("NewGroupName"),
        new_path=shapes.path_of(req, "NewPath") if "NewPath" in req else None,
    )
    return {}


@operation("iam", "DeleteGroup", on=on("group"))
async def delete_group(ctx: Context, req: Params) -> Result:
    await identities.delete(ctx.deps, ctx.registry.account, "group", req["GroupName"])
    return {}


@operation("iam", "ListGroups", on=on_all("group"))
async def list_groups(ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, "ListGroups", "PathPrefix")
    found = await identities.page(
        ctx.deps,
        ctx.registry.account,
        "group",
        prefix=req.get("PathPrefix", "/"),
        after=page.after,
        limit=page.limit + 1,
    )
    return listing.answer(ctx, page, "Groups", found, lambda one: folded(one.name), shapes.group)


@operation("iam", "AddUserToGroup", on=on("group"))
async def add_user_to_group(ctx: Context, req: Params) -> Result:
    await groups.add(ctx.deps, ctx.registry.account, req["GroupName"], req["UserName"])
    return {}


@operation("iam", "RemoveUserFromGroup", on=on("group"))
async def remove_user_from_group(ctx: Context, req: Params) -> Result:
    await groups.remove(ctx.deps, ctx.registry.account, req["GroupName"], req["UserName"])
    return {}


@operation("iam", "ListGroupsForUser", on=on("user"))
async def list_groups_for_user(ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, "ListGroupsForUser", "UserName")
    found = await groups.of_user(
        ctx.deps, ctx.registry.account, req["UserName"], after=page.after, limit=page.limit + 1
    )
    return listing.answer(ctx, page, "Groups", found, lambda one: folded(one.name), shapes.group)
