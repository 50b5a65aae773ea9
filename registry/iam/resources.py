"""What an operation is authorized on: the ARN of the entity that it names.

An ARN holds the path, which a request does not tell, so the entity is looked up first; one that does not exist has the
path `/`, and whoever may not do the operation on that learns nothing of whether it exists.
"""

from collections.abc import Awaitable, Callable

from registry import access_keys, identities
from registry.auth.authorizer import Keys
from registry.aws.door import Params
from registry.context import Context
from registry.entities import Entity, Kind, entity_arn
from registry.errors import InvalidParameter
from registry.names import AccountId

Resource = Callable[[Context, Params], Awaitable[str]]

NAMES: dict[Kind, str] = {"user": "UserName", "group": "GroupName", "role": "RoleName"}


def on_everything(_ctx: Context, _req: Params) -> str:
    """Operations that are about no entity in particular: a statement must say `*`."""
    return "*"


def on_new(entity: Entity, name: str) -> Callable[[Context, Params], str]:
    """What is about to be created under the request's `Path`; `name` is the parameter that holds the name."""
    return lambda ctx, req: entity_arn(ctx.registry.account, entity, req.get("Path", "/"), req[name])


def on_all(entity: Entity) -> Callable[[Context, Params], str]:
    """All that lie below the request's `PathPrefix`."""
    return lambda ctx, req: f"arn:aws:iam::{ctx.registry.account}:{entity}{req.get('PathPrefix', '/')}"


def on(kind: Kind) -> Resource:
    """The user, group or role that the request names."""

    async def resource(ctx: Context, req: Params) -> str:
        return await arn_of(ctx, kind, req[NAMES[kind]])

    return resource


async def on_self_or_user(ctx: Context, req: Params) -> str:
    """The user that the request names, else the caller."""
    user = subject(ctx, req)
    return _root(ctx.registry.account) if user is None else await arn_of(ctx, "user", user)


async def on_owner(ctx: Context, req: Params) -> str:
    """The user whose access key the request names."""
    owner = await access_keys.owner_of(ctx.deps, ctx.registry.account, req["AccessKeyId"])
    return _root(ctx.registry.account) if owner is None else owner.arn


async def arn_of(ctx: Context, kind: Kind, name: str) -> str:
    found = await identities.find(ctx.deps, ctx.registry.account, kind, name)
    return entity_arn(ctx.registry.account, kind, "/", name) if found is None else found.arn


def subject(ctx: Context, req: Params) -> str | None:
    """The name of the user whom the request is about: `UserName`, else the caller's own; None: the root user."""
    if "UserName" in req:
        return str(req["UserName"])
    principal = ctx.principal
    if principal.kind not in ("root", "user"):
        raise InvalidParameter("Must specify userName when calling with non-User credentials", field="userName")
    return principal.name if principal.kind == "user" else None


def _root(account: AccountId) -> str:
    return f"arn:aws:iam::{account}:root"


# --- condition keys ---------------------------------------------------------------------------------------------------
# Source: AWS service authorization reference, "AWS Identity and Access Management". Who may attach only some policies,
# or only create who is bounded by one, is held to it by these.


def policy_key(req: Params) -> Keys:
    """The managed policy that is attached or detached."""
    return {"iam:PolicyARN": req["PolicyArn"]}


def boundary_key(req: Params) -> Keys:
    """The boundary that is put, or that who is created gets."""
    return {"iam:PermissionsBoundary": req["PermissionsBoundary"]} if "PermissionsBoundary" in req else {}
