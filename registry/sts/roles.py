"""AssumeRole: credentials of a role, for whoever its trust policy lets in."""

from registry import sessions
from registry.auth.authorizer import Keys
from registry.aws.door import Params, Result, operation, tag_keys
from registry.context import Context
from registry.errors import AccessDenied, InvalidParameter
from registry.sts import shapes

ASSUME, TAG, SET_SOURCE = "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"


def on_role(_ctx: Context, req: Params) -> str:
    """The role, whichever account it is of. Raises InvalidParameter."""
    arn = str(req["RoleArn"])
    if sessions.role_account(arn) is None:
        raise InvalidParameter(f"{arn[:300]} is invalid")
    return arn


def session_keys(req: Params) -> Keys:
    """The condition keys of a request for a role's session."""
    found: dict[str, str | tuple[str, ...]] = {
        key: req[name]
        for key, name in (
            ("sts:ExternalId", "ExternalId"),
            ("sts:RoleSessionName", "RoleSessionName"),
            ("sts:SourceIdentity", "SourceIdentity"),
        )
        if name in req
    }
    if req.get("TransitiveTagKeys"):
        found["sts:TransitiveTagKeys"] = tuple(req["TransitiveTagKeys"])
    return found


@operation("sts", "AssumeRole", on=on_role, keys=session_keys)
async def assume_role(ctx: Context, req: Params) -> Result:
    arn = on_role(ctx, req)
    if "SerialNumber" in req or "TokenCode" in req:
        raise _no_device(ctx, arn)
    if ctx.principal.kind == "root":
        error = AccessDenied(ctx.principal.arn, ASSUME, arn, sentence="Roles may not be assumed by root accounts.")
        await ctx.refuse(error, ASSUME, arn)
    if ctx.principal.kind == "federated":
        sentence = "Cannot call AssumeRole with the credentials of a federated user"
        await ctx.refuse(AccessDenied(ctx.principal.arn, ASSUME, arn, sentence=sentence), ASSUME, arn)
    wish, before = shapes.wish(req, name="RoleSessionName"), ctx.principal.session
    keys = {**tag_keys(req), **session_keys(req)}
    role = await sessions.role(ctx.deps, arn)
    # Once more, now that it is known which role this is: another one may have got the name meanwhile, and the trust
    # policy that let the caller in would be that of the one before.
    await ctx.authorize(ASSUME, arn, keys)
    if role is None:
        await ctx.refuse(AccessDenied(ctx.principal.arn, ASSUME, arn), ASSUME, arn)
    if wish.tags:
        await ctx.authorize(TAG, arn, keys)
    if wish.source_identity:
        await ctx.authorize(SET_SOURCE, arn, keys)
        if before is not None and before.source_identity not in ("", wish.source_identity):
            await ctx.refuse(AccessDenied(ctx.principal.arn, SET_SOURCE, arn), SET_SOURCE, arn)
    issued = await sessions.assume(ctx.deps, role, ctx.principal, wish)
    return shapes.role_session(issued, role_name=role.name)


def _no_device(ctx: Context, arn: str) -> AccessDenied:
    sentence = "MultiFactorAuthentication failed, unable to validate MFA code."
    return AccessDenied(ctx.principal.arn, ASSUME, arn, sentence=sentence)
