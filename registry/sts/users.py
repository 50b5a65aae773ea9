"""GetSessionToken and GetFederationToken: a user's own rights for a while, or some of them for somebody else.

Only long-lived keys make such credentials: otherwise one of a few minutes could be stretched to days.
"""

from typing import Literal

from registry import sessions
from registry.aws.door import NO_PERMISSION_NEEDED, Params, Result, operation, tag_keys
from registry.context import Context
from registry.errors import AccessDenied
from registry.sts import shapes


def on_federated_user(ctx: Context, req: Params) -> str:
    return f"arn:aws:sts::{ctx.registry.account}:federated-user/{req['Name']}"


@operation("sts", "GetSessionToken", on=NO_PERMISSION_NEEDED)
async def get_session_token(ctx: Context, req: Params) -> Result:
    """Anyone may have their own rights for a while. There are no MFA devices, so none can have made a code."""
    await _check_long_lived(ctx, "GetSessionToken")
    if "SerialNumber" in req or "TokenCode" in req:
        sentence = "MultiFactorAuthentication failed, unable to validate MFA code."
        raise AccessDenied(ctx.principal.arn, "sts:GetSessionToken", "*", sentence=sentence)
    kind: Literal["root", "user"] = "root" if ctx.principal.kind == "root" else "user"
    issued = await sessions.lend(ctx.deps, ctx.principal, kind, shapes.wish(req, name=""))
    return {"Credentials": shapes.credentials(issued)}


@operation("sts", "GetFederationToken", on=on_federated_user)
async def get_federation_token(ctx: Context, req: Params) -> Result:
    await _check_long_lived(ctx, "GetFederationToken")
    arn, wish = on_federated_user(ctx, req), shapes.wish(req, name="Name")
    if wish.tags:
        await ctx.authorize("sts:TagSession", arn, tag_keys(req))
    issued = await sessions.lend(ctx.deps, ctx.principal, "federated", wish)
    return {
        "Credentials": shapes.credentials(issued),
        "FederatedUser": {"FederatedUserId": f"{ctx.registry.account}:{wish.name}", "Arn": arn},
        "PackedPolicySize": issued.packed_percent,
    }


async def _check_long_lived(ctx: Context, name: str) -> None:
    if ctx.principal.session is not None:
        action = f"sts:{name}"
        error = AccessDenied(ctx.principal.arn, action, "*", sentence=f"Cannot call {name} with session credentials")
        await ctx.refuse(error, action, "*")
