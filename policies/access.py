"""May this caller do this action on this resource? A request and all policies that have a say in it -> a Decision.

    1  any Deny that speaks of the request, in any policy               explicitDeny
    2  service control policies are given, and a level has no Allow      implicitDeny
    3  within one account
         the resource's policy allows the caller by its own name         allowed
         else identity policies, or the resource's policy for the role
         or user behind the caller, allow it, and the boundary and the
         session policies, where there are any, do too                   allowed
    4  across accounts: the resource's policy, in whatever way, and
       identity policies, boundary and session policies, all of them     allowed
    5  anything else, and any trouble in finding out                     implicitDeny

The root user needs no identity policy. For a service, an identity provider and the anonymous no account answers: the
resource's policy decides alone. Nothing here reads a clock or a row: what is not in the request and the policies does
not count.

Sources: AWS IAM user guide, "Policy evaluation logic", "Cross-account policy evaluation logic", "Permissions
boundaries for IAM entities", "Session policies", "Troubleshoot access denied error messages"; AWS Organizations user
guide, "SCP evaluation".
"""

import dataclasses
import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal, Self

from policies import documents, statements
from policies.callers import Caller, Way
from policies.documents import Effect, Policy
from policies.elements import PolicyInvalid
from policies.statements import Asked, Rule
from policies.variables import Keys

Layer = Literal["scp", "resource", "identity", "boundary", "session"]
Kind = Literal["allowed", "explicitDeny", "implicitDeny"]  # in the words of the simulator
Form = Literal["identity", "resource"]

_ANY_SIZE: Final = 10**6  # what is stored was measured when it was written


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One policy and where it comes from: `name` is an ARN, or what tells an inline policy from others.

    Making one costs as much as many decisions: keep it with the text (`stored` does). `policy` is None for a stored
    text that cannot be read: every request that it would have a say in is denied.
    """

    name: str
    policy: Policy | None
    rules: tuple[Rule, ...] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", statements.rules(self.policy) if self.policy else ())

    @classmethod
    def read(cls, form: Form, name: str, text: str) -> Self:
        """A policy as it was stored; `form` says whether it names principals."""
        try:
            if form == "resource":
                return cls(name=name, policy=documents.parse_resource_policy(text))
            return cls(name=name, policy=documents.parse_identity_policy(text, limit=_ANY_SIZE))
        except PolicyInvalid:
            return cls(name=name, policy=None)


@functools.lru_cache(maxsize=1024)
def stored(form: Form, name: str, text: str) -> Source:
    """`Source.read`, kept by text."""
    return Source.read(form, name, text)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Every policy that has a say in one request."""

    identity: tuple[Source, ...] = ()  # of the user and their groups, or of the role
    boundary: tuple[Source, ...] | None = None  # None: the caller has none; empty: it allows nothing
    session: tuple[Source, ...] | None = None  # None: none was given to the session; empty: it allows nothing
    resource: tuple[Source, ...] = ()  # of the resource: repository and registry, or a role's trust policy
    scps: tuple[tuple[Source, ...], ...] = ()  # of the caller's account, from the root of the organization down
    trust: bool = False  # `resource` is a role's trust policy: what it does not allow, nothing else allows


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked. Keys of `context` may be spelt in any case; a tuple is what a key with many values has."""

    caller: Caller
    action: str  # ecr:PutImage
    resource: str  # an ARN; `*` for an action that is on no resource
    resource_account: str  # who owns the resource; for `*` the account that is called
    context: Mapping[str, str | tuple[str, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """A statement that speaks of the request."""

    layer: Layer
    level: int  # among service control policies: how far down; else 0
    source: str
    sid: str
    position: int  # of the statement in its policy, from 0
    effect: Effect
    way: Way  # by which of the caller's names


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is decided, and why. `clause` is what AWS adds to "... is not authorized to perform: ecr:PutImage"."""

    kind: Kind
    clause: str = ""
    matched: tuple[Matched, ...] = ()
    missing: tuple[Layer, ...] = ()  # where an Allow would be needed that is not there
    # Condition keys, case folded, that were looked at: beside caller, action and resource all that it depends on.
    asked_keys: tuple[str, ...] = ()
    absent_keys: tuple[str, ...] = ()  # those of them that the request lacks
    error: str = ""  # why nothing could be decided, for the log

    @property
    def allowed(self) -> bool:
        return self.kind == "allowed"

    @property
    def deciding(self) -> tuple[Matched, ...]:
        """The statements with which it was decided; none for an implicit denial."""
        effect = {"allowed": "Allow", "explicitDeny": "Deny"}.get(self.kind)
        return tuple(each for each in self.matched if each.effect == effect)


def evaluate(request: Request, policies: Policies) -> Decision:
    """Decide. Raises nothing: what cannot be decided is denied."""
    try:
        return _decided(request, policies)
    except Exception as trouble:  # whatever it is: without a decision there is no access
        return Decision(
            kind="implicitDeny",
            clause="because the policies could not be evaluated",
            error=f"{type(trouble).__name__}: {trouble}",
        )


def _decided(request: Request, policies: Policies) -> Decision:
    if not request.resource_account:
        raise ValueError("the resource belongs to nobody")
    keys = Keys(request.context)
    asked = Asked(action=request.action, resource=request.resource, names=request.caller.names(), keys=keys)
    matched = tuple(found for place in _places(policies) for found in _speaking(*place, asked))
    told = functools.partial(
        Decision, matched=matched, asked_keys=tuple(sorted(keys.asked)), absent_keys=tuple(sorted(keys.absent))
    )
    for each in matched:
        if each.effect == "Deny":
            return told(kind="explicitDeny", clause=f"with an explicit deny in {_word(each.layer, policies)}")
    missing = tuple(_missing(request, policies, matched))
    if missing:
        lack = _NONE[missing[0]] if missing[0] != "resource" or not policies.trust else "role trust policy"
        return told(
            kind="implicitDeny", clause=f"because no {lack} allows the {request.action} action", missing=missing
        )
    return told(kind="allowed")


_NONE: Final[Mapping[Layer, str]] = {
    "scp": "service control policy",
    "resource": "resource-based policy",
    "identity": "identity-based policy",
    "boundary": "permissions boundary",
    "session": "session policy",
}


def _word(layer: Layer, policies: Policies) -> str:
    if layer == "resource" and policies.trust:
        return "the role trust policy"
    return f"{'an' if layer == 'identity' else 'a'} {_NONE[layer]}"


def _places(policies: Policies) -> Iterator[tuple[Layer, int, Collection[Source]]]:
    """Every place where policies stand, in the order in which a denial is told."""
    for level, sources in enumerate(policies.scps):
        yield "scp", level, sources
    yield "resource", 0, policies.resource
    yield "identity", 0, policies.identity
    yield "boundary", 0, policies.boundary or ()
    yield "session", 0, policies.session or ()


def _speaking(layer: Layer, level: int, sources: Collection[Source], asked: Asked) -> Iterator[Matched]:
    for source in sources:
        if source.policy is None:
            raise ValueError(f"the policy {source.name} cannot be read")
        for rule in source.rules:
            way = rule.speaks_of(asked)
            if way is not None:
                yield Matched(
                    layer=layer,
                    level=level,
                    source=source.name,
                    sid=rule.sid,
                    position=rule.position,
                    effect=rule.effect,
                    way=way,
                )


def _missing(request: Request, policies: Policies, matched: Collection[Matched]) -> Iterator[Layer]:
    """Where an Allow is needed and not there; nothing is denied, so every statement in `matched` is an Allow."""
    caller = request.caller
    allowing = {(each.layer, each.level) for each in matched}
    ways = {each.way for each in matched if each.layer == "resource"}
    if any(("scp", level) not in allowing for level in range(len(policies.scps))):
        yield "scp"
    at_home = caller.account == request.resource_account
    if at_home and "direct" in ways:
        return
    if not caller.is_outsider:
        by_resource = at_home and "limited" in ways
        if not (("identity", 0) in allowing or by_resource or caller.needs_no_identity_policy):
            yield "identity"
        if policies.boundary is not None and ("boundary", 0) not in allowing:
            yield "boundary"
        must_have_session = policies.session is not None or caller.kind == "federated-user"
        if must_have_session and ("session", 0) not in allowing:
            yield "session"
    if not ways and (not at_home or policies.trust):
        yield "resource"
