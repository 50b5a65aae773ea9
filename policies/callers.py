"""Who asks, and by which of their names a statement of a resource policy means them.

A caller has several names, and it matters by which of them access is given:

    direct     the user, the session itself, a service, or everyone: nothing but a Deny takes it away
    limited    the role behind a session, the user behind a federated user: boundary and session policies limit it
    account    the account, which thereby may give what it was given: its identity policies have to allow it too

Source: AWS IAM user guide, "AWS JSON policy elements: Principal" and "NotPrincipal", "Policy evaluation logic".
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from policies.principals import Kind as PrincipalKind
from policies.principals import Principal

Kind = Literal[
    "root",
    "user",
    "role-session",
    "federated-user",  # a session of GetFederationToken
    "service",
    "provider",  # who comes with the word of an identity provider, and has no identity here yet
    "anonymous",
]
Way = Literal["direct", "limited", "account"]
Name = tuple[PrincipalKind, str]

_EVERYONE: Final[Name] = ("everyone", "*")
_OWN_NAME: Final[Mapping[Kind, PrincipalKind]] = {
    "user": "user",
    "role-session": "session",
    "federated-user": "federated-user",
    "service": "service",
    "provider": "provider",
}
_OUTSIDERS: Final = frozenset({"service", "provider", "anonymous"})
_NAME_BEHIND: Final[Mapping[Kind, PrincipalKind]] = {"role-session": "role", "federated-user": "user"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `arn` is what policies and messages name: for a session its own ARN, not its role's."""

    kind: Kind
    account: str = ""  # whose identity it is; empty for a service, a provider and the anonymous
    arn: str = ""  # a service's or provider's name, as in a Principal element; empty for the anonymous
    behind: str = ""  # ARN of a session's role, or of the user or root that federated; else empty
    user_id: str = ""  # aws:userid

    def __post_init__(self) -> None:
        has = (bool(self.account), bool(self.arn), bool(self.behind))
        if has != (not self.is_outsider, self.kind != "anonymous", self.kind in _NAME_BEHIND):
            raise ValueError(f"a caller of kind {self.kind} has other names: {self}")

    @property
    def principal_arn(self) -> str:
        """The value of aws:PrincipalArn."""
        return self.behind if self.kind == "role-session" else self.arn

    @property
    def is_outsider(self) -> bool:
        """No account answers for them, so only the resource's own policy can let them in."""
        return self.kind in _OUTSIDERS

    @property
    def needs_no_identity_policy(self) -> bool:
        """The root of an account may do everything, and who federates from it everything that the session allows."""
        return self.kind == "root" or self.behind.endswith(":root")

    def names(self) -> dict[Name, Way]:
        """By what a policy may name them, the strongest first; without the name that everyone has."""
        found: dict[Name, Way] = {}
        if self.kind in _OWN_NAME:
            found[_OWN_NAME[self.kind], self.arn] = "direct"
        if self.kind in _NAME_BEHIND and not self.needs_no_identity_policy:  # the name of a root is the account's
            found[_NAME_BEHIND[self.kind], self.behind] = "limited"
        if self.account:
            found["account", self.account] = "account"
        return found


def context(caller: Caller) -> dict[str, str]:
    """The condition keys that are known of every caller of that kind."""
    if caller.is_outsider:
        return {}
    found = {
        "aws:PrincipalArn": caller.principal_arn,
        "aws:PrincipalAccount": caller.account,
        "aws:PrincipalType": _TYPES[caller.kind],
    }
    if caller.user_id:
        found["aws:userid"] = caller.user_id
    if caller.kind == "user":
        found["aws:username"] = caller.arn.rpartition("/")[2]
    return found


_TYPES: Final[Mapping[Kind, str]] = {
    "root": "Account",
    "user": "User",
    "role-session": "AssumedRole",
    "federated-user": "FederatedUser",
}


class Meant:
    """The principals of one statement."""

    __slots__ = ("_names",)

    def __init__(self, principals: Iterable[Principal]) -> None:
        self._names = frozenset((principal.kind, principal.name) for principal in principals)

    def way(self, names: Mapping[Name, Way]) -> Way | None:
        """The strongest way in which they mean a caller of those names, or None."""
        if _EVERYONE in self._names:
            return "direct"
        return next((way for name, way in names.items() if name in self._names), None)

    def all_of(self, names: Mapping[Name, Way]) -> bool:
        """Whether they name a caller by all names: what is excepted from a Deny is the caller, role and account."""
        return _EVERYONE in self._names or (bool(names) and all(name in self._names for name in names))
