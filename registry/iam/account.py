"""The account as a whole: how much there is of everything, its aliases, and everything in detail."""

from collections.abc import Mapping
from typing import Any, Final

from registry import account_summary
from registry.account_summary import Detail
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.iam import listing, shapes
from registry.iam.resources import on_everything

# What AWS grants by default and this server holds to, or would; the names are those of GetAccountSummary.
_QUOTAS: Final[Mapping[str, int]] = {
    "AccessKeysPerUserQuota": 2,
    "AssumeRolePolicySizeQuota": 2048,
    "GroupPolicySizeQuota": 5120,
    "PolicySizeQuota": 6144,
    "RolePolicySizeQuota": 10240,
    "UserPolicySizeQuota": 2048,
    "VersionsPerPolicyQuota": 5,
}


@operation("iam", "GetAccountSummary", on=on_everything)
async def get_account_summary(ctx: Context, _req: Params) -> Result:
    counts = await account_summary.counts(ctx.deps, ctx.registry.account)
    return {"SummaryMap": {**counts, **_QUOTAS}}


@operation("iam", "ListAccountAliases", on=on_everything)
async def list_account_aliases(_ctx: Context, _req: Params) -> Result:
    """Accounts have no aliases here."""
    return {"AccountAliases": [], "IsTruncated": False}


@operation("iam", "GetAccountAuthorizationDetails", on=on_everything)
async def get_account_authorization_details(ctx: Context, req: Params) -> Result:
    page = listing.asked(ctx, req, "GetAccountAuthorizationDetails", "Filter")
    found = await account_summary.details(
        ctx.deps, ctx.registry.account, wanted=frozenset(req.get("Filter", account_summary.FILTERS))
    )
    result = listing.answer(ctx, page, "All", listing.part(page, found, _key), _key, lambda one: one)
    listed: list[Detail] = result.pop("All")
    return {
        "UserDetailList": [_identity(one) for one in listed if one.of_kind("user")],
        "GroupDetailList": [_identity(one) for one in listed if one.of_kind("group")],
        "RoleDetailList": [_identity(one) for one in listed if one.of_kind("role")],
        "Policies": [_policy(one) for one in listed if one.policy is not None],
        **result,
    }


def _key(one: Detail) -> str:
    return one.key


def _identity(one: Detail) -> shapes.Structure:
    found = one.identity
    assert found is not None
    inline = [{"PolicyName": name, "PolicyDocument": shapes.document(text)} for name, text in one.inline.items()]
    shape: dict[str, Any] = {
        **_SHAPES[found.kind](found),
        **shapes.details(one.described),
        "AttachedManagedPolicies": [{"PolicyName": each.name, "PolicyArn": each.arn} for each in one.attached],
        f"{found.kind.capitalize()}PolicyList": inline,
    }
    if found.kind == "user":
        shape["GroupList"] = [group.name for group in one.groups]
    if found.kind == "role":
        shape["InstanceProfileList"] = [
            {
                "Path": profile.path,
                "InstanceProfileName": profile.name,
                "InstanceProfileId": profile.id,
                "Arn": profile.arn,
                "CreateDate": profile.created_at,
                "Roles": [shapes.role(found)],
            }
            for profile in one.profiles
        ]
    return shape


def _policy(one: Detail) -> shapes.Structure:
    policy = one.policy
    assert policy is not None
    return {
        **shapes.managed_policy(policy.policy, policy.attachments, policy.boundaries),
        "PolicyVersionList": [
            {
                "Document": shapes.document(version.document),
                "VersionId": version.name,
                "IsDefaultVersion": version.number == policy.policy.default_version,
                "CreateDate": version.created_at,
            }
            for version in one.versions
        ],
    }


_SHAPES: Final = {"user": shapes.user, "group": shapes.group, "role": shapes.role}
