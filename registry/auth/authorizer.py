"""May this principal do this action on this resource: one place that every route and operation asks.

Whatever has a say is gathered (`rights`), the keys of the request are put together, and `policies.access` decides. A
decision that depends on nothing but who asks, what for and on what is kept while no right changes.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Final

from policies import access, callers
from policies.access import Decision, Policies, Request
from policies.callers import Caller
from registry.auth.principals import Principal
from registry.auth.rights import Resource, Rights, caller_of
from registry.auth.stamped import Stamped
from registry.errors import AccessDenied, NotAuthenticated
from registry.names import AccountId

Keys = Mapping[str, str | tuple[str, ...]]

# Keys whose value is another one in each request; what depends on none of them is decided once.
_OF_THE_REQUEST: Final = frozenset(
    {"aws:sourceip", "aws:useragent", "aws:securetransport", "aws:currenttime", "aws:epochtime", "aws:requestedregion"}
)
OF_THE_CLOCK: Final = frozenset({"aws:currenttime", "aws:epochtime"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question. `keys` are condition keys beside those of every request."""

    principal: Principal
    action: str
    resource: str  # an ARN, or `*`
    region: str
    now: dt.datetime
    source_ip: str = ""
    user_agent: str = ""
    secure: bool = False
    keys: Keys = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A decision, with what it was made from."""

    request: Request
    policies: Policies
    decision: Decision


class Authorizer:
    def __init__(self, stamped: Stamped) -> None:
        self._stamped = stamped
        self.rights = Rights(stamped)

    async def check(self, asked: Asked) -> Decision:
        """The decision, if it allows. Raises AccessDenied, or NotAuthenticated where logging in could help."""
        decision = await self.decide(asked)
        if decision.allowed:
            return decision
        if asked.principal.is_anonymous:
            raise NotAuthenticated
        raise AccessDenied(asked.principal.arn, asked.action, asked.resource, decision.clause)

    async def decide(self, asked: Asked) -> Decision:
        principal = asked.principal
        if principal.session is not None or asked.keys:
            return (await self.explain(asked)).decision
        key = ("decision", principal.arn, principal.entity_id, asked.action, asked.resource)
        stamp, kept = await self._stamped.find(key)
        if kept is not None:
            found: Decision = kept
            return found
        decision = (await self.explain(asked)).decision
        if not decision.error and _OF_THE_REQUEST.isdisjoint(decision.asked_keys):
            self._stamped.keep(key, stamp, decision)
        return decision

    async def explain(self, asked: Asked) -> Explained:
        """The decision and all that went into it."""
        caller = caller_of(asked.principal, await self._behind(asked.principal))
        resource = await self.rights.resource(asked.resource, asked.action)
        policies = await self.rights.policies(asked.principal, caller, resource)
        request = Request(
            caller=caller,
            action=asked.action,
            resource=asked.resource,
            resource_account=resource.account or caller.account,
            context={**_keys(asked, caller, resource), **asked.keys},
        )
        return Explained(request=request, policies=policies, decision=access.evaluate(request, policies))

    async def would_allow(self, asked: Asked, policy_text: str) -> bool:
        """Whether it would be allowed if this were the resource's own policy. One that cannot be read is not judged."""
        explained = await self.explain(asked)
        source = access.stored("resource", asked.resource, policy_text)
        if source.policy is None:
            return True  # it will be refused for what it is
        others = tuple(one for one in explained.policies.resource if one.name != asked.resource)
        policies = dataclasses.replace(explained.policies, resource=(source, *others))
        return access.evaluate(explained.request, policies).allowed

    async def _behind(self, principal: Principal) -> str:
        """ARN of who made a federated user."""
        if principal.kind != "federated":
            return ""
        if principal.entity_id == principal.account:
            return f"arn:aws:iam::{principal.account}:root"
        maker = await self.rights.identity(principal.entity_id)
        # One who is gone ends what they made; the authenticator has seen to that.
        return maker.arn if maker is not None else f"arn:aws:iam::{principal.account}:user/gone"


def _keys(asked: Asked, caller: Caller, resource: Resource) -> dict[str, str | tuple[str, ...]]:
    """The condition keys of every request. Source: AWS IAM user guide, "AWS global condition context keys"."""
    principal = asked.principal
    owner = resource.account or AccountId(caller.account)
    found: dict[str, str | tuple[str, ...]] = {
        **callers.context(caller),
        "aws:CurrentTime": asked.now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "aws:EpochTime": str(int(asked.now.timestamp())),
        "aws:RequestedRegion": asked.region,
        "aws:SecureTransport": "true" if asked.secure else "false",
        "aws:ViaAWSService": "false",
        "aws:PrincipalIsAWSService": "false",
    }
    optional = {"aws:SourceIp": asked.source_ip, "aws:UserAgent": asked.user_agent, "aws:ResourceAccount": owner}
    found |= {name: value for name, value in optional.items() if value}
    found |= {f"aws:PrincipalTag/{name}": value for name, value in tag_values(principal.tags).items()}
    service = asked.action.partition(":")[0]
    for name, value in tag_values(resource.tags).items():
        found[f"aws:ResourceTag/{name}"] = value
        if service in ("ecr", "iam"):
            found[f"{service}:ResourceTag/{name}"] = value
    if service == "iam" and resource.boundary is not None:
        found["iam:PermissionsBoundary"] = resource.boundary
    if principal.session is not None:
        issued = principal.session.issued_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        found["aws:TokenIssueTime"] = issued
        found |= principal.session.claims
        if principal.session.source_identity:
            found["aws:SourceIdentity"] = principal.session.source_identity
    return found


def tag_values(tags: Mapping[str, str]) -> Keys:
    """Tags as the values of condition keys, whose names do not depend on case: tags whose names differ in nothing else
    are one key with several values."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in tags.items():
        found[name.casefold()] = (*found.get(name.casefold(), ()), value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
