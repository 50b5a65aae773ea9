"""Access keys of a user, or without a name of the caller."""

from registry import access_keys
from registry.aws.door import Params, Result, operation
from registry.aws.errors import invalid_parameter
from registry.context import Context
from registry.iam import listing, shapes
from registry.iam.resources import on_owner, on_self_or_user, subject


@operation("iam", "CreateAccessKey", on=on_self_or_user)
async def create_access_key(ctx: Context, req: Params) -> Result:
    user = subject(ctx, req)
    made = await access_keys.create(ctx.deps, ctx.registry.account, user)
    return {"AccessKey": {**shapes.access_key(made.key, user), "SecretAccessKey": made.secret}}


@operation("iam", "ListAccessKeys", on=on_self_or_user)
async def list_access_keys(ctx: Context, req: Params) -> Result:
    user = subject(ctx, req)
    page = listing.asked(ctx, req, "ListAccessKeys", "UserName")
    found = await access_keys.of(ctx.deps, ctx.registry.account, user)
    in_order = listing.part(page, sorted(found, key=lambda one: one.id), lambda one: one.id)
    return listing.answer(
        ctx, page, "AccessKeyMetadata", in_order, lambda one: one.id, lambda one: shapes.access_key(one, user)
    )


@operation("iam", "UpdateAccessKey", on=on_self_or_user)
async def update_access_key(ctx: Context, req: Params) -> Result:
    user, status = subject(ctx, req), req["Status"]
    if status not in ("Active", "Inactive"):
        raise invalid_parameter("Status", "Member must satisfy enum value set: [Active, Inactive]", status)
    await access_keys.set_active(ctx.deps, ctx.registry.account, user, req["AccessKeyId"], status == "Active")
    return {}


@operation("iam", "DeleteAccessKey", on=on_self_or_user)
async def delete_access_key(ctx: Context, req: Params) -> Result:
    await access_keys.delete(ctx.deps, ctx.registry.account, subject(ctx, req), req["AccessKeyId"])
    return {}


@operation("iam", "GetAccessKeyLastUsed", on=on_owner)
async def get_access_key_last_used(ctx: Context, req: Params) -> Result:
    """What was never used has no date, and no place but N/A."""
    key, user = await access_keys.used(ctx.deps, ctx.registry.account, req["AccessKeyId"])
    return {
        "UserName": user,
        "AccessKeyLastUsed": {
            "LastUsedDate": key.last_used_at,
            "ServiceName": key.last_used_service or "N/A",
            "Region": key.last_used_region or "N/A",
        },
    }
