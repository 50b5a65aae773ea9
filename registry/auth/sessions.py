"""Temporary credentials: an access key id `ASIA...`, a secret, and a session token that carries all that is known.

Nothing of a session is kept: its facts and its secret are sealed in the token (`auth.sealing`), which must come with
every request. Rights are no facts: a session is bound to the unique id of its role or user, whose policies are read at
each use, and to the long-lived key that it began with. It ends with any of them, or at its own time.

The key id holds the account's id, as AWS's does, so that GetAccessKeyInfo can tell it.
"""

import base64
import datetime as dt
import secrets
import zlib
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from registry.auth.sealing import BadSeal, Sealer
from registry.names import AccountId, BadName

KEY_PREFIX: Final = "ASIA"
_KEY_ID, _SECRET = 20, 40  # characters
_ACCOUNT_BYTES, _RANDOM_BYTES = 5, 5

# Whole seconds since 1970, to the end of the year 9999: what a datetime can hold.
Second = Annotated[int, Meta(ge=0, le=253_402_300_799)]


class Session(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The facts of a session. Times are whole seconds since 1970."""

    kind: Literal["root", "user", "role", "federated"]
    account: str
    entity: str  # unique id of the role or user; the account's id for its root user
    iat: Second
    exp: Second
    key: str = ""  # the long-lived access key that it began with; none where a web identity did
    name: str = ""  # of a role's session or a federated user
    policies: tuple[str, ...] = ()  # session policies, as they were given
    managed: tuple[str, ...] = ()  # unique ids of managed policies that are session policies too
    tags: dict[str, str] = {}  # msgspec copies it for each instance
    transitive: tuple[str, ...] = ()  # keys of the tags that a further session inherits
    source_identity: str = ""
    chained: bool = False  # whether another role's session assumed the role
    claims: dict[str, str] = {}  # condition keys of a web identity: `<provider>:sub` and its like

    @property
    def issued_at(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.iat, dt.UTC)

    @property
    def expires_at(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.exp, dt.UTC)

    @property
    def has_policies(self) -> bool:
        """Whether session policies narrow it."""
        return bool(self.policies or self.managed)


class Credentials(NamedTuple):
    """What is handed out."""

    access_key_id: str
    secret: str
    token: str
    expires_at: dt.datetime


class Opened(NamedTuple):
    """What a session token says."""

    access_key_id: str
    secret: str
    session: Session


_decoder = msgspec.json.Decoder(Session)


def issue(sealer: Sealer, session: Session) -> Credentials:
    key_id, secret = _new_key_id(AccountId(session.account)), secrets.token_urlsafe(30)
    token = sealer.seal("session", f"{key_id}{secret}".encode() + pack(session))
    return Credentials(key_id, secret, token, session.expires_at)


def open_token(sealer: Sealer, token: str) -> Opened | None:
    """What was sealed here, whether or not its time is over; None for all else."""
    try:
        payload = sealer.open("session", token)
        session = unpack(payload[_KEY_ID + _SECRET :])
    except BadSeal:
        return None
    return Opened(payload[:_KEY_ID].decode(), payload[_KEY_ID : _KEY_ID + _SECRET].decode(), session)


def pack(session: Session) -> bytes:
    """The facts, small: tokens travel in headers, which have at most eight thousand characters."""
    return zlib.compress(msgspec.json.encode(session), 9)


def unpack(packed: bytes) -> Session:
    """Raises BadSeal. Only for bytes that were sealed: nothing bounds what they grow to."""
    try:
        return _decoder.decode(zlib.decompress(packed))
    except (zlib.error, msgspec.MsgspecError):
        raise BadSeal from None


def account_of(key_id: str) -> AccountId | None:
    """The account that is written in the id of temporary credentials."""
    try:
        raw = base64.b32decode(key_id.removeprefix(KEY_PREFIX)) if len(key_id) == _KEY_ID else b""
        return AccountId.parse(f"{int.from_bytes(raw[:_ACCOUNT_BYTES]):012}") if raw else None
    except (ValueError, BadName):
        return None


def _new_key_id(account: AccountId) -> str:
    raw = int(account).to_bytes(_ACCOUNT_BYTES) + secrets.token_bytes(_RANDOM_BYTES)
    return KEY_PREFIX + base64.b32encode(raw).decode()
