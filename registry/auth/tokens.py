"""Docker-login passwords and Bearer tokens: who someone is, sealed, with an end.

A token holds identity only, never rights: what its principal may do is decided at each request, and it is worth
nothing once the access key behind it is gone. Both kinds are sealed (`auth.sealing`), so there is no algorithm for an
attacker to choose and no key for them to name. Checking one writes nothing.
"""

import datetime as dt
from typing import Literal

import msgspec

from registry.auth.principals import Principal
from registry.auth.sealing import BadSeal, Sealer
from registry.errors import NotAuthenticated

Kind = Literal["login", "bearer"]

_SKEW = 300  # seconds that another server's clock may be ahead


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token says. Every field is required; times are whole seconds since 1970."""

    aud: Kind
    sub: str  # the principal's ARN; `*` for someone who did not log in
    key: str  # the access key behind it; empty for someone who did not log in
    iat: int
    exp: int


_decoder = msgspec.json.Decoder(Claims)


def issue(sealer: Sealer, kind: Kind, principal: Principal, *, now: dt.datetime, seconds: int) -> str:
    issued = int(now.timestamp())
    claims = Claims(aud=kind, sub=principal.arn, key=principal.access_key or "", iat=issued, exp=issued + seconds)
    return sealer.seal(kind, msgspec.json.encode(claims))


def open_token(sealer: Sealer, kind: Kind, text: str, *, now: dt.datetime) -> Claims:
    """The claims of a token that is good now. Raises NotAuthenticated."""
    try:
        claims = _decoder.decode(sealer.open(kind, text))
    except (BadSeal, msgspec.MsgspecError):
        raise NotAuthenticated("the token is not one of this registry", code="InvalidToken") from None
    at = now.timestamp()
    if claims.aud != kind or claims.iat > at + _SKEW:
        raise NotAuthenticated("the token is not valid here and now", code="InvalidToken")
    if claims.exp <= at:
        raise NotAuthenticated(
            "Your authorization token has expired. Reauthenticate and try again.", code="ExpiredToken"
        )
    return claims
