"""A request's credential -> Principal, or NotAuthenticated.

    AWS signature                        `signed`   the AWS doors; with a session token for temporary credentials
    Basic  AWS:<token>                   `header`   what `docker login` keeps
    Basic  <access key id>:<secret>      `header`   CI and imagePullSecrets: lives as long as the key
    Bearer <token>                       `header`   from the token service

What stands behind a credential is looked up on every use: the access key, the user whose it is, the role of a session.
So one that is taken away ends every credential that came from it. An unknown key takes the same path as a wrong
secret, and secrets are compared in constant time (promises.md T33).
"""

import base64
import binascii
import dataclasses
import datetime as dt
import functools
import hmac
import secrets
from collections.abc import Callable
from typing import Final

from registry.auth import principals, sessions, sigv4, tokens
from registry.auth.principals import ANONYMOUS, Principal, Source
from registry.auth.sealing import BadSeal, Sealer
from registry.auth.sessions import Session
from registry.auth.stamped import Stamped
from registry.entities import Identity
from registry.errors import NotAuthenticated
from registry.names import AccountId
from registry.records import access_keys, identities
from registry.records.access_keys import Owned
from registry.records.engine import Rows, Tx

TOKEN_USER = "AWS"  # noqa: S105 # a user name
_LONGEST_HEADER = 12_000
_USE_NOTED_EVERY: Final = dt.timedelta(minutes=15)
_GONE: Final = "the credential behind this token is gone: log in again"


class Authenticator:
    def __init__(self, db: Rows, sealer: Sealer, stamped: Stamped, *, region: str = "us-east-1") -> None:
        """`region`: noted as where a key was used at a door that has no region of its own."""
        self._db, self._sealer, self._stamped, self._region = db, sealer, stamped, region
        self._nobody = secrets.token_urlsafe(30)  # what an unknown key's secret is compared with
        self._open = functools.lru_cache(maxsize=1024)(self._unsealed)
        self._noted: dict[str, dt.datetime] = {}  # when this process last noted the use of a key or role

    async def signed(self, claim: sigv4.Claim, request: sigv4.SignedRequest, now: dt.datetime) -> Principal:
        """Who signed the request. Raises NotAuthenticated."""
        if claim.security_token:
            return await self._signed_in_session(claim, request, now)
        owned = await self._owned(claim.access_key_id)
        secret = self._open(owned.key.sealed_secret) if owned is not None else self._nobody
        sigv4.verify(claim, request, secret if owned is not None else None, now=now)
        return self._by_key(owned, "signature", claim.service, claim.region, now)

    async def knows(self, claim: sigv4.Claim) -> bool:
        """Whether there is such a key; the signature may be wrong all the same."""
        if claim.security_token:
            opened = sessions.open_token(self._sealer, claim.security_token)
            return opened is not None and opened.access_key_id == claim.access_key_id
        return await self._owned(claim.access_key_id) is not None

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
        owned = await self._owned(user)
        secret = self._open(owned.key.sealed_secret) if owned is not None else self._nobody
        if not hmac.compare_digest(secret.encode(), password.encode()) or owned is None:
            raise NotAuthenticated("wrong user name or password")
        return self._by_key(owned, "key", "ecr", self._region, now)

    # --- the forms of credentials -------------------------------------------------------------------------------------

    async def _signed_in_session(self, claim: sigv4.Claim, request: sigv4.SignedRequest, now: dt.datetime) -> Principal:
        opened = sessions.open_token(self._sealer, claim.security_token)
        if opened is not None and opened.access_key_id != claim.access_key_id:
            opened = None
        token = claim.security_token.encode(errors="replace").decode()  # one that opened has only ASCII
        sigv4.verify(claim, request, None if opened is None else opened.secret, now=now, token=token)
        assert opened is not None
        session = opened.session
        if session.expires_at <= now:
            raise NotAuthenticated(
                "The security token included in the request is expired", code="ExpiredTokenException"
            )
        principal = await self._in_session(session)
        if principal is None or (claim.service == "iam" and session.kind != "role"):
            # AWS lets what GetSessionToken and GetFederationToken made call no operation of IAM.
            raise NotAuthenticated(sigv4.UNKNOWN)
        self._note_role(principal, claim.region, now)
        return dataclasses.replace(principal, source="signature", until=session.expires_at)

    async def _token(self, kind: tokens.Kind, text: str, now: dt.datetime) -> Principal:
        claims = tokens.open_token(self._sealer, kind, text, now=now)
        until = dt.datetime.fromtimestamp(claims.exp, dt.UTC)
        if claims.sub == tokens.NOBODY:
            return dataclasses.replace(ANONYMOUS, until=until)
        if claims.session:
            in_session = await self._in_session(_session(claims.session))
            if in_session is None:
                raise NotAuthenticated(_GONE, code="InvalidToken")
            return dataclasses.replace(in_session, source=kind, until=min(until, in_session.session_end or until))
        owned = await self._owned(claims.key)
        principal = None if owned is None else _principal(owned)
        # A token of an earlier version names the root user by its ARN.
        if principal is None or claims.sub not in (principal.entity_id, principal.arn):
            raise NotAuthenticated(_GONE, code="InvalidToken")
        return dataclasses.replace(principal, source=kind, until=until)

    # --- what stands behind them --------------------------------------------------------------------------------------

    async def _owned(self, key_id: str) -> Owned | None:
        """The active key of that id, with its owner."""
        if not 1 <= len(key_id) <= 128 or not key_id.isascii() or not key_id.isprintable():
            return None
        return await self._stamped.get(("key", key_id), functools.partial(_active, key_id=key_id))

    async def _in_session(self, session: Session) -> Principal | None:
        """Who a session speaks for now; None where what it came from is gone."""

        if session.key and await self._owned(session.key) is None:
            return None
        account, by_root = AccountId(session.account), session.entity == session.account
        found = None if by_root else await self._identity(session.entity)
        if found is None and not by_root:
            return None
        match session.kind:
            case "root":
                return principals.root(account, session.key, session=session)
            case "federated":
                return principals.federated(account, found, session)
            case "user":
                return None if found is None else principals.user(found, session.key, session=session)
            case "role":
                return None if found is None else principals.role_session(found, session)

    async def _identity(self, identity_id: str) -> Identity | None:
        unit = functools.partial(identities.by_id, identity_id=identity_id)
        return await self._stamped.get(("identity", identity_id), unit)

    def _by_key(self, owned: Owned | None, source: Source, service: str, region: str, now: dt.datetime) -> Principal:
        assert owned is not None
        key = owned.key
        self._note(
            key.id,
            key.last_used_at,
            now,
            lambda tx: access_keys.note_use(tx, key.id, service=service[:64], region=region[:64], now=now),
        )
        return dataclasses.replace(_principal(owned), source=source)

    def _note_role(self, principal: Principal, region: str, now: dt.datetime) -> None:
        if principal.kind == "role-session":
            role = principal.entity_id
            self._note(role, None, now, lambda tx: identities.note_use(tx, role, region=region[:64], now=now))

    def _note(self, what: str, last: dt.datetime | None, now: dt.datetime, unit: Callable[[Tx], None]) -> None:
        """Note a use, unless one was noted a short time ago: reading should not become writing."""
        last = max(filter(None, (last, self._noted.get(what))), default=None)
        if last is None or not dt.timedelta() <= now - last < _USE_NOTED_EVERY:
            if len(self._noted) >= 10_000:
                self._noted.clear()
            self._noted[what] = now
            self._db.note(unit)

    def _unsealed(self, sealed: bytes) -> str:
        return self._sealer.open_bytes("secret", sealed).decode()


def _active(tx: Tx, *, key_id: str) -> Owned | None:
    owned = access_keys.owned(tx, key_id)
    return owned if owned is not None and owned.key.active else None


def _principal(owned: Owned) -> Principal:
    key, user = owned
    return principals.root(key.account, key.id) if user is None else principals.user(user, key.id)


def _session(packed: bytes) -> Session:
    try:
        return sessions.unpack(packed)
    except BadSeal:
        raise NotAuthenticated("the token is not one of this registry", code="InvalidToken") from None


def _user_and_password(encoded: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise NotAuthenticated("the Basic credentials are not base64 of user:password") from None
    user, colon, password = text.partition(":")
    if not colon:
        raise NotAuthenticated("the Basic credentials are not base64 of user:password")
    return user, password
