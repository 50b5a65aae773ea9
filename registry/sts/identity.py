"""GetCallerIdentity: what Terraform's provider and every login check ask first. Needs no permission, as at AWS."""

from registry.aws.door import NO_PERMISSION_NEEDED, Params, Result, operation
from registry.context import Context


@operation("sts", "GetCallerIdentity", on=NO_PERMISSION_NEEDED)
async def get_caller_identity(ctx: Context, _req: Params) -> Result:
    principal = ctx.principal
    return {"UserId": principal.id, "Account": principal.account, "Arn": principal.arn}
