"""What concerns a whole registry: DescribeRegistry, the account settings, the registry policy."""

from registry import settings
from registry.auth.authorizer import Keys
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.ecr.shapes import on_registry


def _setting_key(req: Params) -> Keys:
    return {"ecr:AccountSetting": req["name"]}


@operation("ecr", "DescribeRegistry", on=on_registry)
async def describe_registry(ctx: Context, _req: Params) -> Result:
    return {"registryId": ctx.registry.account, "replicationConfiguration": {"rules": []}}


@operation("ecr", "GetAccountSetting", on=on_registry, keys=_setting_key)
async def get_account_setting(ctx: Context, req: Params) -> Result:
    return {"name": req["name"], "value": await settings.setting(ctx.deps, ctx.registry, req["name"])}


@operation("ecr", "PutAccountSetting", on=on_registry, keys=_setting_key)
async def put_account_setting(ctx: Context, req: Params) -> Result:
    await settings.put_setting(ctx.deps, ctx.registry, req["name"], req["value"])
    return {"name": req["name"], "value": req["value"]}


@operation("ecr", "PutRegistryPolicy", on=on_registry)
async def put_registry_policy(ctx: Context, req: Params) -> Result:
    await settings.put_policy(ctx.deps, ctx.registry, req["policyText"])
    return _policy(ctx, req["policyText"])


@operation("ecr", "GetRegistryPolicy", on=on_registry)
async def get_registry_policy(ctx: Context, _req: Params) -> Result:
    return _policy(ctx, await settings.get_policy(ctx.deps, ctx.registry))


@operation("ecr", "DeleteRegistryPolicy", on=on_registry)
async def delete_registry_policy(ctx: Context, _req: Params) -> Result:
    return _policy(ctx, await settings.delete_policy(ctx.deps, ctx.registry))


def _policy(ctx: Context, text: str) -> Result:
    return {"registryId": ctx.registry.account, "policyText": text}
