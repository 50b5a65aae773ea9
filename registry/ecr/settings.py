"""What concerns a whole registry: DescribeRegistry and the account settings."""

from registry import repositories
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.ecr.shapes import on_registry


@operation("ecr", "DescribeRegistry", on=on_registry)
async def describe_registry(ctx: Context, _req: Params) -> Result:
    return {"registryId": ctx.registry.account, "replicationConfiguration": {"rules": []}}


@operation("ecr", "GetAccountSetting", on=on_registry)
async def get_account_setting(ctx: Context, req: Params) -> Result:
    return {"name": req["name"], "value": await repositories.setting(ctx.deps, ctx.registry, req["name"])}


@operation("ecr", "PutAccountSetting", on=on_registry)
async def put_account_setting(ctx: Context, req: Params) -> Result:
    await repositories.put_setting(ctx.deps, ctx.registry, req["name"], req["value"])
    return {"name": req["name"], "value": req["value"]}
