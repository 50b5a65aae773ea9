"""Tags of everything that has some: put, take away, list."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from registry import identities, instance_profiles, managed_policies, oidc_providers, tagging
from registry.aws.door import Params, Resource, Result, operation
from registry.context import Context, Deps
from registry.entities import Kind
from registry.iam import listing, shapes
from registry.iam.instance_profiles import on_profile
from registry.iam.kinds import for_each, name_of
from registry.iam.managed_policies import on_policy, own
from registry.iam.oidc_providers import on_provider
from registry.iam.resources import NAMES
from registry.names import AccountId


class _Tagged(NamedTuple):
    """A kind of thing with tags that is no identity."""

    parameter: str  # holds its name or ARN
    on: Resource
    tags_of: Callable[[Deps, AccountId, str], Awaitable[Mapping[str, str]]]
    add: Callable[[Deps, AccountId, str, Mapping[str, str]], Awaitable[None]]
    remove: Callable[[Deps, AccountId, str, Sequence[str]], Awaitable[None]]


async def _of_policy(deps: Deps, account: AccountId, arn: str) -> Mapping[str, str]:
    return (await managed_policies.describe(deps, account, arn)).policy.resource_tags


async def _of_profile(deps: Deps, account: AccountId, name: str) -> Mapping[str, str]:
    return (await instance_profiles.get(deps, account, name)).resource_tags


async def _of_provider(deps: Deps, account: AccountId, arn: str) -> Mapping[str, str]:
    return (await oidc_providers.get(deps, account, arn)).resource_tags


# By the word that stands in the names of the operations.
_TAGGED: Final[Mapping[str, _Tagged]] = {
    "Policy": _Tagged("PolicyArn", on_policy, _of_policy, managed_policies.add_tags, managed_policies.remove_tags),
    "InstanceProfile": _Tagged(
        "InstanceProfileName", on_profile, _of_profile, instance_profiles.add_tags, instance_profiles.remove_tags
    ),
    "OpenIDConnectProvider": _Tagged(
        "OpenIDConnectProviderArn", on_provider, _of_provider, oidc_providers.add_tags, oidc_providers.remove_tags
    ),
}


@for_each("Tag{}", ("user", "role"))
async def tag_identity(kind: Kind, ctx: Context, req: Params) -> Result:
    tags = tagging.read(req["Tags"])
    await identities.add_tags(ctx.deps, ctx.registry.account, kind, name_of(kind, req), tags)
    return {}


@for_each("Untag{}", ("user", "role"))
async def untag_identity(kind: Kind, ctx: Context, req: Params) -> Result:
    await identities.remove_tags(ctx.deps, ctx.registry.account, kind, name_of(kind, req), req["TagKeys"])
    return {}


@for_each("List{}Tags", ("user", "role"))
async def list_identity_tags(kind: Kind, ctx: Context, req: Params) -> Result:
    found = await identities.get(ctx.deps, ctx.registry.account, kind, name_of(kind, req))
    return _listed(ctx, req, f"List{kind}Tags", NAMES[kind], found.resource_tags)


def _enter(word: str, tagged: _Tagged) -> None:
    @operation("iam", f"Tag{word}", on=tagged.on)
    async def tag(ctx: Context, req: Params) -> Result:
        if word == "Policy":
            await own(ctx, req, "iam:TagPolicy")
        await tagged.add(ctx.deps, ctx.registry.account, req[tagged.parameter], tagging.read(req["Tags"]))
        return {}

    @operation("iam", f"Untag{word}", on=tagged.on)
    async def untag(ctx: Context, req: Params) -> Result:
        if word == "Policy":
            await own(ctx, req, "iam:UntagPolicy")
        await tagged.remove(ctx.deps, ctx.registry.account, req[tagged.parameter], req["TagKeys"])
        return {}

    @operation("iam", f"List{word}Tags", on=tagged.on)
    async def list_tags(ctx: Context, req: Params) -> Result:
        found = await tagged.tags_of(ctx.deps, ctx.registry.account, req[tagged.parameter])
        return _listed(ctx, req, f"List{word}Tags", tagged.parameter, found)


for _word, _one in _TAGGED.items():
    _enter(_word, _one)


def _listed(ctx: Context, req: Params, name: str, parameter: str, tags: Mapping[str, str]) -> Result:
    page = listing.asked(ctx, req, name, parameter)
    part = listing.part(page, shapes.tags(tags), _key)
    return listing.answer(ctx, page, "Tags", part, _key, lambda tag: tag)


def _key(tag: shapes.Structure) -> str:
    return str(tag["Key"])
