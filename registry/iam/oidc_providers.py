"""Issuers of OpenID Connect tokens that the account trusts."""

from registry import oidc_providers, tagging
from registry.aws.door import Params, Result, operation
from registry.context import Context
from registry.iam import shapes
from registry.iam.resources import on_everything


def on_provider(_ctx: Context, req: Params) -> str:
    return str(req["OpenIDConnectProviderArn"])


def on_new_provider(ctx: Context, req: Params) -> str:
    return f"arn:aws:iam::{ctx.registry.account}:oidc-provider/{req['Url'].removeprefix('https://')}"


@operation("iam", "CreateOpenIDConnectProvider", on=on_new_provider)
async def create_open_id_connect_provider(ctx: Context, req: Params) -> Result:
    tags = tagging.read(req.get("Tags", []))
    made = await oidc_providers.create(
        ctx.deps,
        ctx.registry.account,
        req["Url"],
        client_ids=req.get("ClientIDList", []),
        thumbprints=req.get("ThumbprintList", []),
        resource_tags=tags,
    )
    return {"OpenIDConnectProviderArn": made.arn, **({"Tags": shapes.tags(tags)} if tags else {})}


@operation("iam", "GetOpenIDConnectProvider", on=on_provider)
async def get_open_id_connect_provider(ctx: Context, req: Params) -> Result:
    found = await oidc_providers.get(ctx.deps, ctx.registry.account, req["OpenIDConnectProviderArn"])
    return {
        "Url": found.url,
        "ClientIDList": list(found.client_ids),
        "ThumbprintList": list(found.thumbprints),
        "CreateDate": found.created_at,
        "Tags": shapes.tags(found.resource_tags),
    }


@operation("iam", "DeleteOpenIDConnectProvider", on=on_provider)
async def delete_open_id_connect_provider(ctx: Context, req: Params) -> Result:
    await oidc_providers.delete(ctx.deps, ctx.registry.account, req["OpenIDConnectProviderArn"])
    return {}


@operation("iam", "ListOpenIDConnectProviders", on=on_everything)
async def list_open_id_connect_providers(ctx: Context, _req: Params) -> Result:
    found = await oidc_providers.of(ctx.deps, ctx.registry.account)
    return {"OpenIDConnectProviderList": [{"Arn": one.arn} for one in found]}


@operation("iam", "UpdateOpenIDConnectProviderThumbprint", on=on_provider)
async def update_open_id_connect_provider_thumbprint(ctx: Context, req: Params) -> Result:
    await oidc_providers.set_thumbprints(
        ctx.deps, ctx.registry.account, req["OpenIDConnectProviderArn"], req["ThumbprintList"]
    )
    return {}


@operation("iam", "AddClientIDToOpenIDConnectProvider", on=on_provider)
async def add_client_id_to_open_id_connect_provider(ctx: Context, req: Params) -> Result:
    await oidc_providers.add_client_id(ctx.deps, ctx.registry.account, req["OpenIDConnectProviderArn"], req["ClientID"])
    return {}


@operation("iam", "RemoveClientIDFromOpenIDConnectProvider", on=on_provider)
async def remove_client_id_from_open_id_connect_provider(ctx: Context, req: Params) -> Result:
    await oidc_providers.remove_client_id(
        ctx.deps, ctx.registry.account, req["OpenIDConnectProviderArn"], req["ClientID"]
    )
    return {}
