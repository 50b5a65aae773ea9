"""Who may act, as values: accounts, users, groups, roles, access keys, policies. Frozen; a change is a new value.

Each entity has AWS's unique id (AIDA... for a user), which is never used again. Names may be: whatever outlives an
entity (a token, a session, a policy that names a user) is bound to the id, so that somebody who later gets the same
name inherits nothing (promises.md T03). Names are unique without regard to case and keep the case that they were given.

Sources: AWS IAM user guide, "IAM identifiers".
"""

import base64
import dataclasses
import datetime as dt
import secrets
from collections.abc import Mapping
from typing import Final, Literal

from registry.names import AccountId

Kind = Literal["user", "group", "role"]
Entity = Literal["user", "group", "role", "policy", "instance-profile"]

_PREFIXES: Final[Mapping[Entity, str]] = {
    "user": "AIDA",
    "group": "AGPA",
    "role": "AROA",
    "policy": "ANPA",
    "instance-profile": "AIPA",
}
Bindings = Mapping[str, str]  # ARN of a user, role or role session that a policy names -> unique id of the entity
_NO_BINDINGS: Final[Bindings] = {}


def new_id(entity: Entity) -> str:
    """A unique id: 85 random bits, so that none is ever made twice."""
    return _PREFIXES[entity] + base64.b32encode(secrets.token_bytes(11)).decode()[:17]


def entity_arn(account: AccountId, entity: Entity, path: str, name: str) -> str:
    """`path` begins and ends with a slash. IAM is global: its ARNs have no region."""
    return f"arn:aws:iam::{account}:{entity}{path}{name}"


def folded(name: str) -> str:
    """By what names are unique."""
    return name.lower()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of this installation. Its root user has the account's id for a unique id."""

    id: AccountId
    created_at: dt.datetime
    service_control_policy: str | None = None  # the text as the operator put it


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A policy that hangs on something (a role, a registry) and names principals: its text, and who they were when it
    was put."""

    document: str
    bindings: Bindings = dataclasses.field(default_factory=lambda: _NO_BINDINGS)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user, group or role. What stands behind `description` only a role has."""

    id: str
    account: AccountId
    kind: Kind
    name: str
    path: str
    created_at: dt.datetime
    resource_tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    boundary_id: str | None = None  # the managed policy that bounds its permissions
    description: str | None = None
    max_session_seconds: int = 3600
    trust: Trust | None = None
    last_used_at: dt.datetime | None = None
    last_used_region: str | None = None

    @property
    def arn(self) -> str:
        return entity_arn(self.account, self.kind, self.path, self.name)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A long-lived credential. The secret is sealed in the row; only the authenticator opens it."""

    id: str
    account: AccountId
    owner_id: str  # unique id of a user, or the account's id for its root user
    sealed_secret: bytes
    active: bool
    created_at: dt.datetime
    installed: bool = False  # brought by the server's start, which may replace it
    last_used_at: dt.datetime | None = None
    last_used_service: str | None = None
    last_used_region: str | None = None

    @property
    def is_root(self) -> bool:
        return self.owner_id == self.account


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPolicy:
    """A policy that may be attached to many. Those of AWS have no account and cannot be changed."""

    id: str
    account: AccountId | None
    name: str
    path: str
    description: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    default_version: int
    last_version: int
    resource_tags: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account or 'aws'}:policy{self.path}{self.name}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """One version of a managed policy; versions are called v1, v2 and so on."""

    number: int
    document: str
    created_at: dt.datetime

    @property
    def name(self) -> str:
        return f"v{self.number}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceProfile:
    """What hands a role to a machine: at most one role."""

    id: str
    account: AccountId
    name: str
    path: str
    created_at: dt.datetime
    resource_tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    role: Identity | None = None

    @property
    def arn(self) -> str:
        return entity_arn(self.account, "instance-profile", self.path, self.name)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OidcProvider:
    """An issuer of OpenID Connect tokens that roles of the account may trust. `url` is without https://."""

    account: AccountId
    url: str
    client_ids: tuple[str, ...]  # the audiences that are accepted
    thumbprints: tuple[str, ...]
    created_at: dt.datetime
    resource_tags: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:oidc-provider/{self.url}"
