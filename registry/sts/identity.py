"""Who am I, and whose key is this?"""

from registry import access_keys
from registry.auth import sessions
from registry.aws.door import NO_PERMISSION_NEEDED, Params, Result, operation
from registry.context import Context
from registry.errors import InvalidParameter


@operation("sts", "GetCallerIdentity", on=NO_PERMISSION_NEEDED)
async def get_caller_identity(ctx: Context, _req: Params) -> Result:
    """What Terraform's provider and every login check ask first. Needs no permission, as at AWS."""
    principal = ctx.principal
    return {"UserId": principal.id, "Account": principal.account, "Arn": principal.arn}


def _on_everything(_ctx: Context, _req: Params) -> str:
    return "*"


@operation("sts", "GetAccessKeyInfo", on=_on_everything)
async def get_access_key_info(ctx: Context, req: Params) -> Result:
    """The account of a key, of any account; nothing of whether it is good."""
    key_id = req["AccessKeyId"]
    if key_id.startswith(sessions.KEY_PREFIX):
        account = sessions.account_of(key_id)
    else:
        account = await access_keys.account_of(ctx.deps, key_id)
    if account is None:
        raise InvalidParameter(f"The access key {key_id} is not one of this installation.")
    return {"Account": account}
