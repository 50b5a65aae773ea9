"""AssumeRoleWithWebIdentity: credentials of a role for who brings a token of an issuer that the role's account trusts.

The call is not signed: its token is the proof. It is read, and held against the registered provider, before the issuer
is asked for anything; what it claims is believed only after its signature held; and only then does the trust policy
decide, which names the provider and may ask for an audience or a subject.
"""

import dataclasses

from registry import oidc_providers, sessions
from registry.auth import principals, web_identity
from registry.auth.web_identity import Token
from registry.aws.door import BY_HANDLER, Params, Result, operation
from registry.context import Context
from registry.entities import OidcProvider
from registry.errors import AccessDenied, InvalidParameter
from registry.identity_errors import IDPCommunicationError, InvalidIdentityToken
from registry.names import RegistryRef
from registry.remote.issuers import IssuerFailed
from registry.sts import shapes
from registry.sts.roles import SET_SOURCE, TAG, on_role, session_keys

ASSUME = "sts:AssumeRoleWithWebIdentity"


@operation("sts", "AssumeRoleWithWebIdentity", on=BY_HANDLER, unsigned=True)
async def assume_role_with_web_identity(ctx: Context, req: Params) -> Result:
    arn = on_role(ctx, req)
    if "ProviderId" in req:
        raise InvalidParameter("ProviderId is for providers of OAuth 2.0, which are not supported.")
    token, provider, audience = await _believed(ctx, arn, req["WebIdentityToken"])
    claims = _claims(token, provider, audience)
    told = _told_by(ctx, arn, provider, token)
    tags, transitive = web_identity.session_tags(token)
    source = web_identity.source_identity(token)
    keys = {
        **claims,
        **session_keys(req),
        **({"sts:SourceIdentity": source} if source else {}),
        **({"sts:TransitiveTagKeys": transitive} if transitive else {}),
    }
    role = await sessions.role(ctx.deps, arn)  # before its trust policy is asked: the name may come again meanwhile
    await _authorize(told, ASSUME, arn, keys)
    if tags:
        tagged = {f"aws:RequestTag/{name}": value for name, value in tags.items()}
        await _authorize(told, TAG, arn, {**keys, **tagged, "aws:TagKeys": tuple(tags)})
    if source:
        await _authorize(told, SET_SOURCE, arn, keys)
    if role is None:
        raise _denied(told, ASSUME, arn)
    wish = dataclasses.replace(
        shapes.wish(req, name="RoleSessionName"),
        tags=tags,
        transitive=transitive,
        source_identity=source,
        claims={name: value for name, value in claims.items() if isinstance(value, str)},
    )
    issued = await sessions.assume(told.doing(ASSUME, arn).deps, role, told.principal, wish)
    return {
        **shapes.role_session(issued, role_name=role.name),
        "SubjectFromWebIdentityToken": token.subject,
        "Provider": provider.arn,
        "Audience": audience,
    }


async def _believed(ctx: Context, arn: str, text: str) -> tuple[Token, OidcProvider, str]:
    """The token, once it is proved to be its issuer's; the issuer; and the audience.

    Raises InvalidIdentityToken, ExpiredToken, IDPCommunicationError.
    """
    token = web_identity.parse(text)
    account = sessions.role_account(arn)
    provider = await oidc_providers.issuing(ctx.deps, account, token.issuer) if account is not None else None
    if provider is None:
        raise InvalidIdentityToken(f"No OpenIDConnect provider found in your account for {token.issuer[:255]}")
    audience = web_identity.check(token, provider.client_ids, ctx.deps.clock.now())
    try:
        key = await ctx.deps.issuers.key(f"https://{provider.url}", token.key_id)
    except IssuerFailed as error:
        raise IDPCommunicationError(
            f"Couldn't retrieve verification key from your identity provider: {error}"
        ) from None
    if key is None:
        raise InvalidIdentityToken("The issuer has no key of the ID Token's kid")
    web_identity.verify(token, key)
    return token, provider, audience


def _claims(token: Token, provider: OidcProvider, audience: str) -> dict[str, str | tuple[str, ...]]:
    """The condition keys that the token's claims are: `<provider>:aud`, `:sub` and its like."""
    found: dict[str, str | tuple[str, ...]] = {
        f"{provider.url}:aud": audience,
        f"{provider.url}:sub": token.subject,
        "aws:FederatedProvider": provider.arn,
    }
    if token.authorized_party is not None:
        found[f"{provider.url}:azp"] = token.authorized_party
        found[f"{provider.url}:oaud"] = token.audience
    methods = token.claims.get("amr")
    if isinstance(methods, list) and all(isinstance(one, str) for one in methods):
        found[f"{provider.url}:amr"] = tuple(methods)
    return found


def _told_by(ctx: Context, arn: str, provider: OidcProvider, token: Token) -> Context:
    """The request as its proved caller's, in the account of the role."""
    return dataclasses.replace(
        ctx,
        principal=principals.web_identity(provider.arn, token.subject),
        registry=RegistryRef(provider.account, ctx.registry.region),
        parameters={"roleArn": arn, "roleSessionName": ctx.parameters.get("RoleSessionName", "")},
    )


async def _authorize(told: Context, action: str, arn: str, keys: dict[str, str | tuple[str, ...]]) -> None:
    if not (await told.deps.authorizer.decide(told.asked(action, arn, keys))).allowed:
        await told.refuse(_denied(told, action, arn), action, arn)


def _denied(told: Context, action: str, arn: str) -> AccessDenied:
    """In AWS's words, which tell a stranger nothing of whether there is such a role."""
    return AccessDenied(told.principal.arn, action, arn, sentence=f"Not authorized to perform {action}")
