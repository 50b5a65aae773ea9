"""Users: create, get, rename, delete, list; and the answer to what this server has none of."""

from registry import identities, tagging
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.entities import folded
from registry.iam import listing, shapes
from registry.iam.resources import boundary_key, on, on_all, on_everything, on_new, on_self_or_user, subject
from registry.identity_errors import NoSuchEntity


@operation("iam", "CreateUser", on=on_new("user", "UserName"), keys=boundary_key)
async def create_user(ctx: Context, req: Params) -> Result:
    made = await identities.create(
        ctx.deps,
        ctx.registry.account,
        "user",
        req["UserName"],
        path=shapes.path_of(req),
        boundary=req.get("PermissionsBoundary"),
        resource_tags=tagging.read(req.get("Tags", [])),
    )
    return {"User": {**shapes.user(made.identity), **shapes.details(made)}}


@operation("iam", "GetUser", on=on_self_or_user)
async def get_user(ctx: Context, req: Params) -> Result:
    """Without a name: the caller."""
    account, name = ctx.registry.account, subject(ctx, req)
    if name is None:
        root = await identities.root(ctx.deps, account)
        return {"User": {"UserId": account, "Arn": ctx.principal.arn, "CreateDate": root.created_at}}
    found = await identities.describe(ctx.deps, account, "user", name)
    return {"User": {**shapes.user(found.identity), **shapes.details(found)}}


@operation("iam", "UpdateUser", on=on("user"))
async def update_user(ctx: Context, req: Params) -> Result:
    await identities.rename(
        ctx.deps,
        ctx.registry.account,
        "user",
        req["UserName"],
        new_name=req.get("NewUserName"),
        new_path=shapes.path_of(req, "NewPath") if "NewPath" in req else None,
    )
    return {}


@operation("iam", "DeleteUser", on=on("user"))
async def delete_user(ctx: Context, req: Params) -> Result:
    await identities.delete(ctx.deps, ctx.registry.account, "user", req["UserName"])
    return {}


@operation("iam", "ListUsers", on=on_all("user"))
async def list_users(ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, "ListUsers", "PathPrefix")
    found = await identities.page(
        ctx.deps,
        ctx.registry.account,
        "user",
        prefix=req.get("PathPrefix", "/"),
        after=page.after,
        limit=page.limit + 1,
    )
    return listing.answer(ctx, page, "Users", found, lambda one: folded(one.name), shapes.user)


# --- what users of this server never have -----------------------------------------------------------------------------
# There are no passwords, devices, certificates and keys of other kinds, so a list of a user's is empty, and true. Tools
# ask before they delete a user.


def _none_of(name: str, answer: str) -> None:
    @operation("iam", name, on=on_self_or_user)
    async def none(ctx: Context, req: Params) -> Result:
        user = subject(ctx, req)
        if user is not None:
            await identities.get(ctx.deps, ctx.registry.account, "user", user)
        return {answer: [], "IsTruncated": False}


_none_of("ListMFADevices", "MFADevices")
_none_of("ListSSHPublicKeys", "SSHPublicKeys")
_none_of("ListServiceSpecificCredentials", "ServiceSpecificCredentials")
_none_of("ListSigningCertificates", "Certificates")


@operation("iam", "ListVirtualMFADevices", on=on_everything)
async def list_virtual_mfa_devices(_ctx: Context, _req: Params) -> Result:
    return {"VirtualMFADevices": [], "IsTruncated": False}


@operation("iam", "GetLoginProfile", on=on_self_or_user)
@operation("iam", "DeleteLoginProfile", on=on_self_or_user)
async def no_login_profile(ctx: Context, req: Params) -> Result:
    user = subject(ctx, req)
    if user is not None:
        await identities.get(ctx.deps, ctx.registry.account, "user", user)
    raise NoSuchEntity(f"Login Profile for User {user or ctx.registry.account} cannot be found.")
