"""Managed policies and their versions. Those of AWS can be read and attached like any other, and never changed."""

from typing import Final

from registry import managed_policies, tagging
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.entities import Identity, ManagedPolicy, PolicyVersion
from registry.errors import AccessDenied
from registry.iam import listing, shapes
from registry.iam.resources import on_everything, on_new
from registry.managed_policies import Described

_OF_AWS: Final = "arn:aws:iam::aws:policy/"


def on_policy(_ctx: Context, req: Params) -> str:
    return str(req["PolicyArn"])


async def own(ctx: Context, req: Params, action: str) -> str:
    """The ARN of the request's policy, if it can be changed at all. Raises AccessDenied."""
    arn = str(req["PolicyArn"])
    if arn.startswith(_OF_AWS):
        await ctx.refuse(AccessDenied(ctx.principal.arn, action, arn), action, arn)
    return arn


@operation("iam", "CreatePolicy", on=on_new("policy", "PolicyName"))
async def create_policy(ctx: Context, req: Params) -> Result:
    made = await managed_policies.create(
        ctx.deps,
        ctx.registry.account,
        req["PolicyName"],
        req["PolicyDocument"],
        path=shapes.path_of(req),
        description=req.get("Description"),
        resource_tags=tagging.read(req.get("Tags", [])),
    )
    return {"Policy": {**_policy(Described(made, 0, 0)), **_tags(made)}}


@operation("iam", "GetPolicy", on=on_policy)
async def get_policy(ctx: Context, req: Params) -> Result:
    found = await managed_policies.describe(ctx.deps, ctx.registry.account, req["PolicyArn"])
    return {"Policy": {**_policy(found), "Description": found.policy.description, **_tags(found.policy)}}


@operation("iam", "DeletePolicy", on=on_policy)
async def delete_policy(ctx: Context, req: Params) -> Result:
    arn = await own(ctx, req, "iam:DeletePolicy")
    await managed_policies.delete(ctx.deps, ctx.registry.account, arn)
    return {}


@operation("iam", "ListPolicies", on=on_everything)
async def list_policies(ctx: Context, req: Params) -> Result:
    scope, usage, only_attached = req.get("Scope", "All"), req.get("PolicyUsageFilter"), req.get("OnlyAttached", False)
    page = listing.asked(ctx, req, "ListPolicies", "Scope", "OnlyAttached", "PathPrefix", "PolicyUsageFilter")

    def wanted(one: Described) -> bool:
        used = {"PermissionsPolicy": one.attachments, "PermissionsBoundary": one.boundaries}
        count = sum(used.values()) if usage is None else used[usage]
        return count > 0 or not (only_attached or usage)

    found = await managed_policies.listed(
        ctx.deps,
        ctx.registry.account,
        aws=scope != "Local",
        own=scope != "AWS",
        prefix=req.get("PathPrefix", "/"),
        wanted=wanted,
    )
    return listing.answer(ctx, page, "Policies", listing.part(page, found, _key), _key, _policy)


@operation("iam", "ListEntitiesForPolicy", on=on_policy)
async def list_entities_for_policy(ctx: Context, req: Params) -> Result:
    page = listing.asked(
        ctx, req, "ListEntitiesForPolicy", "PolicyArn", "EntityFilter", "PathPrefix", "PolicyUsageFilter"
    )
    users = await managed_policies.users_of(ctx.deps, ctx.registry.account, req["PolicyArn"])
    usage, kind = req.get("PolicyUsageFilter"), req.get("EntityFilter")
    found = {
        one.id: one
        for listed, named in ((users.attached, "PermissionsPolicy"), (users.bounded, "PermissionsBoundary"))
        for one in listed
        if usage in (None, named)
        and kind in (None, one.kind.capitalize())
        and one.path.startswith(req.get("PathPrefix", "/"))
    }
    in_order = listing.part(page, sorted(found.values(), key=_entity_key), _entity_key)
    result = listing.answer(ctx, page, "Entities", in_order, _entity_key, lambda one: one)
    entities: list[Identity] = result.pop("Entities")
    for name in ("Group", "User", "Role"):
        result[f"Policy{name}s"] = [
            {f"{name}Name": one.name, f"{name}Id": one.id} for one in entities if one.kind == name.lower()
        ]
    return result


# --- versions ---------------------------------------------------------------------------------------------------------


@operation("iam", "CreatePolicyVersion", on=on_policy)
async def create_policy_version(ctx: Context, req: Params) -> Result:
    arn, default = await own(ctx, req, "iam:CreatePolicyVersion"), req.get("SetAsDefault", False)
    made = await managed_policies.create_version(
        ctx.deps, ctx.registry.account, arn, req["PolicyDocument"], default=default
    )
    return {"PolicyVersion": _version(made, is_default=default)}


@operation("iam", "GetPolicyVersion", on=on_policy)
async def get_policy_version(ctx: Context, req: Params) -> Result:
    policy, found = await managed_policies.version(ctx.deps, ctx.registry.account, req["PolicyArn"], req["VersionId"])
    version = _version(found, is_default=found.number == policy.default_version)
    return {"PolicyVersion": {**version, "Document": shapes.document(found.document)}}


@operation("iam", "ListPolicyVersions", on=on_policy)
async def list_policy_versions(ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, "ListPolicyVersions", "PolicyArn")
    policy, found = await managed_policies.versions(ctx.deps, ctx.registry.account, req["PolicyArn"])
    return listing.answer(
        ctx,
        page,
        "Versions",
        listing.part(page, found, _newest_first),
        _newest_first,
        lambda one: _version(one, is_default=one.number == policy.default_version),
    )


@operation("iam", "SetDefaultPolicyVersion", on=on_policy)
async def set_default_policy_version(ctx: Context, req: Params) -> Result:
    arn = await own(ctx, req, "iam:SetDefaultPolicyVersion")
    await managed_policies.set_default_version(ctx.deps, ctx.registry.account, arn, req["VersionId"])
    return {}


@operation("iam", "DeletePolicyVersion", on=on_policy)
async def delete_policy_version(ctx: Context, req: Params) -> Result:
    arn = await own(ctx, req, "iam:DeletePolicyVersion")
    await managed_policies.delete_version(ctx.deps, ctx.registry.account, arn, req["VersionId"])
    return {}


# --- inside -----------------------------------------------------------------------------------------------------------


def _policy(found: Described) -> shapes.Structure:
    return shapes.managed_policy(found.policy, found.attachments, found.boundaries)


def _tags(policy: ManagedPolicy) -> shapes.Structure:
    return {"Tags": shapes.tags(policy.resource_tags)} if policy.resource_tags else {}


def _version(found: PolicyVersion, *, is_default: bool) -> shapes.Structure:
    return {"VersionId": found.name, "IsDefaultVersion": is_default, "CreateDate": found.created_at}


def _key(found: Described) -> str:
    """By what policies are listed: the order of `managed_policies.listed`."""
    return f"{found.policy.name.lower()} {found.policy.arn}"


def _entity_key(found: Identity) -> str:
    return f"{found.kind} {found.name.lower()}"


def _newest_first(found: PolicyVersion) -> str:
    return f"{10**9 - found.number:010}"
