"""What hangs on users, groups and roles: attached policies, inline policies, permissions boundaries."""

from registry import attachments, identities
from registry.aws.door import Params, Result
from registry.context import Context
from registry.entities import Kind, ManagedPolicy
from registry.iam import listing, shapes
from registry.iam.kinds import for_each, name_of
from registry.iam.resources import NAMES, boundary_key, policy_key


@for_each("Attach{}Policy", keys=policy_key)
async def attach(kind: Kind, ctx: Context, req: Params) -> Result:
    await attachments.attach(ctx.deps, ctx.registry.account, kind, name_of(kind, req), req["PolicyArn"])
    return {}


@for_each("Detach{}Policy", keys=policy_key)
async def detach(kind: Kind, ctx: Context, req: Params) -> Result:
    await attachments.detach(ctx.deps, ctx.registry.account, kind, name_of(kind, req), req["PolicyArn"])
    return {}


@for_each("ListAttached{}Policies")
async def list_attached(kind: Kind, ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, f"ListAttached{kind}Policies", NAMES[kind], "PathPrefix")
    found = await attachments.attached(ctx.deps, ctx.registry.account, kind, name_of(kind, req))
    below = [one for one in found if one.path.startswith(req.get("PathPrefix", "/"))]
    return listing.answer(ctx, page, "AttachedPolicies", listing.part(page, below, _key), _key, _attached)


@for_each("Put{}Policy")
async def put_inline(kind: Kind, ctx: Context, req: Params) -> Result:
    await attachments.put_inline(
        ctx.deps, ctx.registry.account, kind, name_of(kind, req), req["PolicyName"], req["PolicyDocument"]
    )
    return {}


@for_each("Get{}Policy")
async def get_inline(kind: Kind, ctx: Context, req: Params) -> Result:
    name = name_of(kind, req)
    found = await attachments.get_inline(ctx.deps, ctx.registry.account, kind, name, req["PolicyName"])
    return {NAMES[kind]: name, "PolicyName": req["PolicyName"], "PolicyDocument": shapes.document(found)}


@for_each("Delete{}Policy")
async def delete_inline(kind: Kind, ctx: Context, req: Params) -> Result:
    await attachments.delete_inline(ctx.deps, ctx.registry.account, kind, name_of(kind, req), req["PolicyName"])
    return {}


@for_each("List{}Policies")
async def list_inline(kind: Kind, ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, f"List{kind}Policies", NAMES[kind])
    found = await attachments.inline(ctx.deps, ctx.registry.account, kind, name_of(kind, req))
    return listing.answer(ctx, page, "PolicyNames", listing.part(page, list(found), str), str, str)


@for_each("Put{}PermissionsBoundary", ("user", "role"), keys=boundary_key)
async def put_boundary(kind: Kind, ctx: Context, req: Params) -> Result:
    await identities.set_boundary(ctx.deps, ctx.registry.account, kind, name_of(kind, req), req["PermissionsBoundary"])
    return {}


@for_each("Delete{}PermissionsBoundary", ("user", "role"))
async def delete_boundary(kind: Kind, ctx: Context, req: Params) -> Result:
    await identities.set_boundary(ctx.deps, ctx.registry.account, kind, name_of(kind, req), None)
    return {}


def _key(policy: ManagedPolicy) -> str:
    """By what attached policies are listed: the order of `managed_policies.of_ids`."""
    return f"{policy.name.lower()} {policy.arn}"


def _attached(policy: ManagedPolicy) -> dict[str, str]:
    return {"PolicyName": policy.name, "PolicyArn": policy.arn}
