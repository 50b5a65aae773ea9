"""GetAuthorizationToken: what `aws ecr get-login-password` prints."""

import base64
import datetime as dt

from registry.auth import tokens
from registry.auth.authenticator import TOKEN_USER
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.ecr.shapes import on_registry
from registry.names import AccountId, RegistryRef


@operation("ecr", "GetAuthorizationToken", on=on_registry)
async def get_authorization_token(ctx: Context, req: Params) -> Result:
    """One token for each registry that was asked for; they all say the same, who is asking."""
    now, seconds = ctx.deps.clock.now(), ctx.deps.settings.auth.token_seconds
    accounts = [AccountId.parse(account) for account in req.get("registryIds", [])] or [ctx.registry.account]
    return {"authorizationData": [_data(ctx, account, now, seconds) for account in accounts]}


def _data(ctx: Context, account: AccountId, now: dt.datetime, seconds: int) -> dict[str, object]:
    password = tokens.issue(ctx.deps.sealer, "login", ctx.principal, now=now, seconds=seconds)
    return {
        "authorizationToken": base64.b64encode(f"{TOKEN_USER}:{password}".encode()).decode(),
        "expiresAt": tokens.expiry(ctx.principal, now=now, seconds=seconds),
        "proxyEndpoint": ctx.deps.hosts.registry_url(RegistryRef(account, ctx.registry.region)),
    }
