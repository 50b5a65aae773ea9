"""A request's credential -> Principal, or NotAuthenticated.

    AWS signature                        `signed`   the AWS doors
    Basic  AWS:<token>                   `header`   what `docker login` keeps
    Basic  <access key id>:<secret>      `header`   CI and imagePullSecrets: lives as long as the key
    Bearer <token>                       `header`   from the token service

The access key behind each is looked up on every use, so a key that is taken away ends every token made with it.
An unknown key takes the same path as a wrong secret, and secrets are compared in constant time (promises.md T33).
"""

import base64
import binascii
import datetime as dt
import functools
import hmac
import secrets

from registry.auth import sigv4, tokens
from registry.auth.principals import ANONYMOUS, Principal
from registry.auth.sealing import Sealer
from registry.errors import NotAuthenticated
from registry.model import AccessKey
from registry.names import AccountId
from registry.records import identities
from registry.records.engine import Rows

TOKEN_USER = "AWS"  # noqa: S105 # a user name
_LONGEST_HEADER = 12_000


class Authenticator:
    def __init__(self, db: Rows, sealer: Sealer) -> None:
        self._db, self._sealer = db, sealer
        self._nobody = secrets.token_urlsafe(30)  # what an unknown key's secret is compared with
        self._open = functools.lru_cache(maxsize=1024)(self._unsealed)

    async def signed(self, claim: sigv4.Claim, request: sigv4.SignedRequest, now: dt.datetime) -> Principal:
        """Who signed the request. Raises NotAuthenticated."""
        key = await self._key(claim.access_key_id)
        secret = self._open(key.sealed_secret) if key is not None else self._nobody
        sigv4.verify(claim, request, secret if key is not None else None, now=now)
        return _principal(key)

    async def header(self, authorization: str, now: dt.datetime) -> Principal:
        """Who an Authorization header of `/v2/` speaks for; ANONYMOUS for a token got without a login."""
        scheme, _, rest = authorization.partition(" ")
        if len(authorization) > _LONGEST_HEADER:
            raise NotAuthenticated("the Authorization header is too long")
        if scheme.lower() == "bearer":
            return await self._token("bearer", rest.strip(), now)
        if scheme.lower() == "basic":
            user, password = _user_and_password(rest.strip())
            return await self.password(user, password, now)
        raise NotAuthenticated("use Basic or Bearer credentials")

    async def password(self, user: str, password: str, now: dt.datetime) -> Principal:
        """Who a user name and password speak for."""
        if user == TOKEN_USER:
            return await self._token("login", password, now)
        key = await self._key(user)
        secret = self._open(key.sealed_secret) if key is not None else self._nobody
        if not hmac.compare_digest(secret.encode(), password.encode()) or key is None:
            raise NotAuthenticated("wrong user name or password")
        return _principal(key)

    async def _token(self, kind: tokens.Kind, text: str, now: dt.datetime) -> Principal:
        claims = tokens.open_token(self._sealer, kind, text, now=now)
        if not claims.key:
            return ANONYMOUS
        key = await self._key(claims.key)
        if key is None or key.arn != claims.sub:
            raise NotAuthenticated("the credential behind this token is gone: log in again", code="InvalidToken")
        return _principal(key)

    async def _key(self, key_id: str) -> AccessKey | None:
        """The active key of that id."""
        if not 1 <= len(key_id) <= 128 or not key_id.isascii():
            return None
        key = await self._db.point(lambda tx: identities.access_key(tx, key_id))
        return key if key is not None and key.active else None

    def _unsealed(self, sealed: bytes) -> str:
        return self._sealer.open_bytes("secret", sealed).decode()


def _principal(key: AccessKey | None) -> Principal:
    assert key is not None
    account = AccountId(key.arn.split(":")[4])
    return Principal(kind="root", account=account, arn=key.arn, id=account, access_key=key.id)


def _user_and_password(encoded: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise NotAuthenticated("the Basic credentials are not base64 of user:password") from None
    user, colon, password = text.partition(":")
    if not colon:
        raise NotAuthenticated("the Basic credentials are not base64 of user:password")
    return user, password
