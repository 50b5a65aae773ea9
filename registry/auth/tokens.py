"""Docker-login passwords and Bearer tokens: who someone is, sealed, with an end.

A token holds identity only, never rights: what its principal may do is decided at each request, and it is worth
nothing once the access key behind it, or the role of its session, is gone. One that temporary credentials asked for
carries the facts of their session and ends with it. Both kinds are sealed (`auth.sealing`), so there is no algorithm
for an attacker to choose and no key for them to name. Checking one writes nothing.
"""

import datetime as dt
from typing import Literal

import msgspec

from registry.auth import sessions
from registry.auth.principals import Principal
from registry.auth.sealing import BadSeal, Sealer
from registry.errors import NotAuthenticated

Kind = Literal["login", "bearer"]
NOBODY = "*"

_SKEW = 300  # seconds that another server's clock may be ahead


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a token says. Times are whole seconds since 1970."""

    aud: Kind
    sub: str  # unique id of the user, role or root user; `*` for someone who did not log in
    key: str  # the access key behind it; empty for a web identity and for someone who did not log in
    iat: sessions.Second
    exp: sessions.Second
    session: bytes = b""  # the packed facts of a session; empty where a long-lived key asked


_decoder = msgspec.json.Decoder(Claims)


def issue(sealer: Sealer, kind: Kind, principal: Principal, *, now: dt.datetime, seconds: int) -> str:
    session = principal.session
    claims = Claims(
        aud=kind,
        sub=NOBODY if principal.is_anonymous else str(principal.entity_id),  # of an own kind: msgspec wants plain text
        key=principal.access_key or "",
        iat=int(now.timestamp()),
        exp=int(expiry(principal, now=now, seconds=seconds).timestamp()),
        session=b"" if session is None else sessions.pack(session),
    )
    return sealer.seal(kind, msgspec.json.encode(claims))


def expiry(principal: Principal, *, now: dt.datetime, seconds: int) -> dt.datetime:
    """When a token for the principal ends: after `seconds`, or with the session that asks for it."""
    wanted = now.replace(microsecond=0) + dt.timedelta(seconds=seconds)
    return wanted if principal.session is None else min(wanted, principal.session.expires_at)


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
