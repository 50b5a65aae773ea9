"""Temporary credentials: who may have which, for how long, narrowed how. What they are is `auth.sessions`' matter.

    assume      a role, for somebody whom its trust policy let in: by an identity here, or by an issuer's token
    lend        a user (or the root user) as they are, or with some of their rights to a federated user

A session holds no rights but narrows them: session policies, by their text or by the unique ids of managed policies.
It ends at its time, with its role or user, and with the long-lived key that it began with. Each one that is handed out
goes on record, which is all that is written.

Sources: AWS STS API reference; AWS IAM user guide, "Pass session tags in AWS STS", "IAM and AWS STS quotas", "Monitor
and control actions taken with assumed roles".
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from policies import documents
from policies.elements import PolicyInvalid
from registry import managed_policies
from registry.auth import sessions
from registry.auth.principals import Principal
from registry.auth.sessions import Credentials, Session
from registry.context import Deps
from registry.entities import Identity
from registry.errors import InvalidParameter
from registry.identity_errors import MalformedPolicyDocument, PackedPolicyTooLarge
from registry.names import AccountId
from registry.records import identities
from registry.records.engine import Tx

DEFAULT_ROLE_SECONDS: Final = 3600
CHAINED_SECONDS: Final = 3600
DEFAULT_USER_SECONDS: Final = 43200
ROOT_SECONDS: Final = 3600
MAX_TAGS: Final = 50
MAX_POLICY_ARNS: Final = 10
# Bytes of a session's facts, packed. Sealed in a docker-login password, and that in a Basic header, they must stay
# below the eight thousand characters that HTTP servers and clients let a header have.
_PACKED_BYTES: Final = 2800

_ROLE_ARN = re.compile(r"arn:aws:iam::([0-9]{12}):role/((?:[A-Za-z0-9+=,.@_-]+/)*)([A-Za-z0-9+=,.@_-]{1,64})")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a session shall be. `policy_arns` are managed policies of the account whose rights it narrows."""

    name: str = ""  # of a role's session or federated user
    seconds: int | None = None
    policy: str | None = None
    policy_arns: Sequence[str] = ()
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    transitive: Sequence[str] = ()
    source_identity: str = ""
    claims: Mapping[str, str] = dataclasses.field(default_factory=dict)  # condition keys of a web identity

    @property
    def is_narrow(self) -> bool:
        return self.policy is not None or bool(self.policy_arns)


class Issued(NamedTuple):
    """New credentials. `packed_percent`: how much of the room policies and tags took; None where there are none."""

    credentials: Credentials
    packed_percent: int | None
    session: Session


def role_account(arn: str) -> AccountId | None:
    """The account of a role's ARN; None for what is no such ARN."""
    found = _ROLE_ARN.fullmatch(arn)
    return AccountId(found[1]) if found else None


async def role(deps: Deps, arn: str) -> Identity | None:
    """The role of exactly that ARN, of any account."""
    named = _ROLE_ARN.fullmatch(arn)
    if named is None:
        return None
    found = await deps.db.point(lambda tx: identities.find(tx, AccountId(named[1]), "role", named[3]))
    return found if found is not None and found.arn == arn else None


async def assume(deps: Deps, role: Identity, who: Principal, wish: Wish) -> Issued:
    """A session of the role for who was let in. Raises InvalidParameter, MalformedPolicyDocument, PackedPolicyTooLarge.

    Transitive tags of the session that asks, and its source identity, go on and cannot be changed.
    """
    before = who.session
    chained = before is not None and before.kind == "role"
    tags, transitive = _inherited(wish, before)
    now = int(deps.clock.now().timestamp())
    session = Session(
        kind="role",
        account=str(role.account),
        entity=role.id,
        iat=now,
        exp=now + _role_seconds(wish, role, chained=chained),
        key=who.access_key or "",
        name=wish.name,
        policies=_policies(wish),
        managed=await _managed(deps, role.account, wish),
        tags=tags,
        transitive=transitive,
        source_identity=wish.source_identity or (before.source_identity if before is not None else ""),
        chained=chained,
        claims=dict(wish.claims),
    )
    return await _issue(deps, session)


async def lend(deps: Deps, who: Principal, kind: Literal["user", "root", "federated"], wish: Wish) -> Issued:
    """A session of the user or root user `who`, by their own key, or of a federated user that they vouch for.

    Raises InvalidParameter, MalformedPolicyDocument, PackedPolicyTooLarge.
    """
    assert who.account is not None
    seconds = wish.seconds or (ROOT_SECONDS if who.kind == "root" else DEFAULT_USER_SECONDS)
    if who.kind == "root":
        seconds = min(seconds, ROOT_SECONDS)
    tags, transitive = _inherited(wish, None)
    now = int(deps.clock.now().timestamp())
    session = Session(
        kind=kind,
        account=str(who.account),  # of an own kind: msgspec wants plain text
        entity=str(who.entity_id),
        iat=now,
        exp=now + seconds,
        key=who.access_key or "",
        name=wish.name,
        policies=_policies(wish),
        managed=await _managed(deps, who.account, wish),
        tags=tags,
        transitive=transitive,
    )
    return await _issue(deps, session)


async def _issue(deps: Deps, session: Session) -> Issued:
    percent = math.ceil(100 * len(sessions.pack(session)) / _PACKED_BYTES)
    if percent > 100:
        raise PackedPolicyTooLarge(percent)
    await deps.db.write(_nothing)
    narrow = session.has_policies or bool(session.tags)
    return Issued(sessions.issue(deps.sealer, session), percent if narrow else None, session)


def _nothing(_tx: Tx) -> None:
    """Credentials are no row; that they were handed out goes on record with this."""


def _role_seconds(wish: Wish, role: Identity, *, chained: bool) -> int:
    seconds = wish.seconds or DEFAULT_ROLE_SECONDS
    if chained and seconds > CHAINED_SECONDS:
        raise InvalidParameter(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )
    if seconds > role.max_session_seconds:
        raise InvalidParameter("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return seconds


def _inherited(wish: Wish, before: Session | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """The tags of the new session, and the keys of those that go on from it to further ones."""
    own = {name.lower(): name for name in wish.tags}
    if len(own) != len(wish.tags):
        raise InvalidParameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(name.startswith("aws:") for name in own):
        raise InvalidParameter("Tag keys that begin with aws: are reserved for system use.")
    if not {name.lower() for name in wish.transitive} <= own.keys():
        raise InvalidParameter("The specified transitive tag key must be included in the requested tags.")
    kept = {name: before.tags[name] for name in before.transitive} if before is not None else {}
    if {name.lower() for name in kept} & own.keys():
        raise InvalidParameter(
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from "
            "the calling session."
        )
    tags = {**kept, **wish.tags}
    if len(tags) > MAX_TAGS:
        raise InvalidParameter(f"A session has at most {MAX_TAGS} tags.")
    return tags, (*kept, *(own[name] for name in dict.fromkeys(one.lower() for one in wish.transitive)))


def _policies(wish: Wish) -> tuple[str, ...]:
    """The session policy that came as a text, if it is one that can be kept."""
    if wish.policy is None:
        return ()
    length = len(wish.policy) + sum(map(len, wish.policy_arns))
    if length > documents.SESSION_POLICY:
        raise PackedPolicyTooLarge(math.ceil(100 * length / documents.SESSION_POLICY))
    try:
        documents.parse_identity_policy(wish.policy, limit=documents.SESSION_POLICY)
    except PolicyInvalid as error:
        raise MalformedPolicyDocument(str(error)) from None
    return (wish.policy,)


async def _managed(deps: Deps, account: AccountId, wish: Wish) -> tuple[str, ...]:
    """Unique ids of the managed policies that are session policies too."""

    if len(wish.policy_arns) > MAX_POLICY_ARNS:
        raise InvalidParameter(f"A session has at most {MAX_POLICY_ARNS} managed policies.")

    def read(tx: Tx) -> tuple[str, ...]:
        found = []
        for arn in wish.policy_arns:
            policy = managed_policies.find(tx, account, arn)
            if policy is None:
                raise InvalidParameter(f"The specified policy {arn} was not found in account {account}.")
            found.append(policy.id)
        return tuple(dict.fromkeys(found))

    return await deps.db.point(read) if wish.policy_arns else ()
