"""Who a credential speaks for."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Literal

from registry.auth.sessions import Session
from registry.entities import Identity
from registry.names import AccountId

Kind = Literal[
    "root",
    "user",
    "role-session",
    "federated",
    "web-identity",  # who brings an issuer's token, and has no identity here yet
    "anonymous",
]
Source = Literal["none", "signature", "key", "login", "bearer"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The identity behind a request. It holds no rights: those are decided at each request.

    `arn` and `id` are what AWS calls it in policies and messages: aws:userid and the ARN of the very caller, which for
    a session is the session. `entity_id` and `entity_arn` are those of the entity whose policies count (the role of a
    session); aws:PrincipalArn is the latter.
    """

    kind: Kind
    account: AccountId | None  # None for who has no identity here: web-identity and anonymous
    arn: str
    id: str
    access_key: str | None = None  # the long-lived key that the credential came from, checked on every use
    entity_id: str = ""  # unique id of the user or role; the account's id for its root user
    entity_arn: str = ""
    name: str = ""  # aws:username: only users have one
    tags: Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )  # aws:PrincipalTag: the entity's and the session's
    session: Session | None = None  # of temporary credentials
    source: Source = "none"  # how the credential came in
    until: dt.datetime | None = None  # when the credential ends by itself; None: it does not

    @property
    def is_anonymous(self) -> bool:
        return self.kind == "anonymous"

    @property
    def owner(self) -> str:
        """Unique id of the entity that is held to what the principal leaves behind: all sessions of a role are one."""
        return str(self.entity_id or self.id)  # an account's id is more than text, and goes into tokens

    @property
    def session_end(self) -> dt.datetime | None:
        return self.session.expires_at if self.session is not None else None


ANONYMOUS = Principal(kind="anonymous", account=None, arn="*", id="anonymous")


def root(account: AccountId, access_key: str | None = None, *, session: Session | None = None) -> Principal:
    """The root user of an account."""
    arn = f"arn:aws:iam::{account}:root"
    return Principal(
        kind="root",
        account=account,
        arn=arn,
        id=account,
        access_key=access_key,
        entity_id=account,
        entity_arn=arn,
        tags=session.tags if session is not None else {},
        session=session,
    )


def user(found: Identity, access_key: str, *, session: Session | None = None) -> Principal:
    """A user, by a key of their own or by temporary credentials made with it."""
    return Principal(
        kind="user",
        account=found.account,
        arn=found.arn,
        id=found.id,
        access_key=access_key,
        entity_id=found.id,
        entity_arn=found.arn,
        name=found.name,
        tags=found.resource_tags,
        session=session,
    )


def role_session(role: Identity, session: Session) -> Principal:
    """Somebody who assumed a role."""
    return Principal(
        kind="role-session",
        account=role.account,
        arn=f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{session.name}",
        id=f"{role.id}:{session.name}",
        access_key=session.key or None,
        entity_id=role.id,
        entity_arn=role.arn,
        tags={**role.resource_tags, **session.tags},
        session=session,
    )


def federated(account: AccountId, maker: Identity | None, session: Session) -> Principal:
    """Somebody whom a user (None: the root user) vouches for, with some of the own rights."""
    arn = f"arn:aws:sts::{account}:federated-user/{session.name}"
    return Principal(
        kind="federated",
        account=account,
        arn=arn,
        id=f"{account}:{session.name}",
        access_key=session.key or None,
        entity_id=maker.id if maker is not None else account,
        entity_arn=arn,
        tags={**(maker.resource_tags if maker is not None else {}), **session.tags},
        session=session,
    )


def web_identity(provider_arn: str, subject: str) -> Principal:
    """Who brings a token of a registered issuer."""
    return Principal(kind="web-identity", account=None, arn=provider_arn, id=f"{provider_arn}:{subject}", name=subject)
