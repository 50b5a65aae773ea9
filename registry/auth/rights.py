"""Whatever has a say in one request: gathered from rows, and handed to `policies.access`.

Gathering is the same for every door, for the simulator and for `longshore policy explain`. What is read is kept while
no right changes (`stamped`), and a policy is parsed once for each text.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from policies import access
from policies.access import Policies, Source
from policies.callers import Caller
from policies.documents import Policy, Statement
from policies.principals import Principal as Named
from registry import aws_managed
from registry.auth.principals import Principal
from registry.auth.stamped import Stamped
from registry.entities import Bindings, Identity
from registry.model import Repository
from registry.names import AccountId, BadName, Region, RegistryRef, RepositoryArn, RepositoryName
from registry.records import identities, repositories, settings
from registry.records import rights as rows
from registry.records.engine import Tx

_SCOPE: Final = "REGISTRY_POLICY_SCOPE"
# What a registry policy of scope V1 has a say in. Source: ECR user guide, "Private registry permissions".
V1_ACTIONS: Final = frozenset({"ecr:replicateimage", "ecr:batchimportupstreamimage", "ecr:createrepository"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What hangs on one user or role, without session policies."""

    identity: tuple[Source, ...] = ()
    boundary: tuple[Source, ...] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a request is about, as far as rights go."""

    account: AccountId | None  # who owns it; None: it says nothing of that (`*`)
    tags: Mapping[str, str]
    policies: tuple[tuple[str, str, Bindings], ...] = ()  # (name, text, who its names were when it was put)
    trust: bool = False  # they are a role's trust policy: what it does not allow, nothing else does
    boundary: str | None = None  # ARN of a user's or role's permissions boundary


NOTHING: Final = Resource(account=None, tags={})
_OF_AWS: Final = "arn:aws:iam::aws:policy/"  # managed policies that are in every account, and nobody's


class Rights:
    """Gathers. One for each process."""

    def __init__(self, stamped: Stamped) -> None:
        self._stamped = stamped

    async def policies(self, principal: Principal, caller: Caller, resource: Resource) -> Policies:
        """Every policy that has a say when this principal asks about this resource."""
        if principal.account is None:
            return Policies(resource=_sources(resource, caller, ""), trust=resource.trust)
        held = await self.held(principal.entity_id) if _has_rows(principal) else Held()
        return Policies(
            identity=held.identity,
            boundary=held.boundary,
            session=await self._session(principal),
            resource=_sources(resource, caller, principal.entity_id),
            scps=await self.service_control(principal.account),
            trust=resource.trust,
        )

    async def held(self, identity_id: str) -> Held:
        """What hangs on a user or role."""
        return await self._stamped.get(("held", identity_id), functools.partial(_held, identity_id=identity_id))

    async def service_control(self, account: AccountId) -> tuple[tuple[Source, ...], ...]:
        text = await self._stamped.get(("scp", account), functools.partial(rows.service_control, account=account))
        return () if text is None else ((access.stored("identity", f"service control policy of {account}", text),),)

    async def resource(self, arn: str, action: str) -> Resource:
        """What an ARN names, which need not exist: then only the registry's policy speaks for it."""
        if arn.startswith(_OF_AWS):
            return NOTHING
        if arn.startswith("arn:aws:iam::"):
            return await self._identity_resource(arn, action)
        try:
            named = RepositoryArn.parse(arn)
        except BadName:
            return await self._registry_resource(arn, action)
        of_registry = await self._registry_policy(named.registry, action)
        repository = await self.repository(named.registry, named.name)
        if repository is None:
            return Resource(account=named.registry.account, tags={}, policies=of_registry)
        own = () if repository.policy is None else ((arn, repository.policy, repository.policy_bindings),)
        return Resource(account=named.registry.account, tags=repository.resource_tags, policies=(*own, *of_registry))

    async def repository(self, registry: RegistryRef, name: RepositoryName) -> Repository | None:
        unit = functools.partial(repositories.find, registry=registry, name=name)
        return await self._stamped.get(("repository", registry, name), unit)

    async def identity(self, identity_id: str) -> Identity | None:
        unit = functools.partial(identities.by_id, identity_id=identity_id)
        return await self._stamped.get(("identity", identity_id), unit)

    async def managed(self, policy_ids: Sequence[str]) -> tuple[Source, ...]:
        """Managed policies by id. One that is gone is one that cannot be read: nothing is allowed past it."""
        ids = tuple(policy_ids)
        return await self._stamped.get(("managed", ids), functools.partial(_managed, ids=ids))

    async def _session(self, principal: Principal) -> tuple[Source, ...] | None:
        session = principal.session
        if session is None or not (session.has_policies or session.kind == "federated"):
            return None
        given = (access.stored("identity", f"session policy {number}", text) for number, text in _numbered(session))
        return (*given, *await self.managed(session.managed))

    async def _identity_resource(self, arn: str, action: str) -> Resource:
        """A user or role. For who asks to be a role its trust policy speaks, and it alone for one that is not there."""
        found = await self._stamped.get(("named", arn), functools.partial(_named, arn=arn))
        account, trust = AccountId(arn.split(":", 5)[4]), action.lower().startswith("sts:")
        if found is None:
            return Resource(account=account, tags={}, trust=trust)
        identity, boundary = found
        own = () if identity.trust is None else ((arn, identity.trust.document, identity.trust.bindings),)
        return Resource(
            account=account,
            tags=identity.resource_tags,
            policies=own if trust else (),
            trust=trust,
            boundary=boundary,
        )

    async def _registry_resource(self, arn: str, action: str) -> Resource:
        """An ARN that names no one repository, such as `repository/*`; or none at all."""
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "ecr":
            return NOTHING if len(parts) != 6 else Resource(account=AccountId(parts[4]), tags={})
        registry = RegistryRef(AccountId(parts[4]), Region(parts[3]))
        return Resource(account=registry.account, tags={}, policies=await self._registry_policy(registry, action))

    async def _registry_policy(self, registry: RegistryRef, action: str) -> tuple[tuple[str, str, Bindings], ...]:
        found = await self._stamped.get(
            ("registry policy", registry), functools.partial(_registry_policy, registry=registry)
        )
        if found is None or (found.scope == "V1" and action.lower() not in V1_ACTIONS):
            return ()
        return ((f"registry policy of {registry.account} in {registry.region}", found.text, found.bindings),)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _RegistryPolicy:
    text: str
    bindings: Bindings
    scope: str


def _has_rows(principal: Principal) -> bool:
    return principal.entity_id != principal.account


def _numbered(session: object) -> list[tuple[int, str]]:
    return list(enumerate(getattr(session, "policies", ()), 1))


# --- reading ----------------------------------------------------------------------------------------------------------


def _held(tx: Tx, *, identity_id: str) -> Held:
    found = identities.by_id(tx, identity_id)
    if found is None:
        return Held()
    names = rows.holders(tx, identity_id)
    ids = list(names)
    inline = [
        access.stored("identity", f"{names[holder]}: inline policy {name}", text)
        for holder, name, text in rows.inline_of(tx, ids)
    ]
    bounded = None if found.boundary_id is None else _managed(tx, ids=(found.boundary_id,))
    return Held(identity=(*inline, *_managed(tx, ids=tuple(rows.attached_to(tx, ids)))), boundary=bounded)


def _managed(tx: Tx, *, ids: tuple[str, ...]) -> tuple[Source, ...]:
    own = rows.managed(tx, [one for one in ids if one not in aws_managed.BY_ID])
    return tuple(_managed_source(one, own) for one in ids)


def _managed_source(policy_id: str, own: Mapping[str, tuple[str, str, str, str]]) -> Source:
    if policy_id in aws_managed.BY_ID:
        found = aws_managed.BY_ID[policy_id]
        return access.stored("identity", found.policy.arn, found.version.document)
    if policy_id not in own:
        return Source(name=f"policy {policy_id}", policy=None)
    account, path, name, document = own[policy_id]
    return access.stored("identity", f"arn:aws:iam::{account}:policy{path}{name}", document)


def _named(tx: Tx, *, arn: str) -> tuple[Identity, str | None] | None:
    """The user or role of exactly that ARN, and the ARN of the boundary."""
    kind, _, rest = arn.split(":", 5)[5].partition("/")
    if kind not in ("user", "role"):
        return None
    account = AccountId(arn.split(":", 5)[4])
    found = identities.find(tx, account, "user" if kind == "user" else "role", rest.rpartition("/")[2])
    if found is None or found.arn != arn:
        return None
    return found, None if found.boundary_id is None else _managed(tx, ids=(found.boundary_id,))[0].name


def _registry_policy(tx: Tx, *, registry: RegistryRef) -> _RegistryPolicy | None:
    found = settings.policy_of(tx, registry)
    if found is None:
        return None
    scope = settings.settings_of(tx, registry).get(_SCOPE, "V2")
    return _RegistryPolicy(text=found.document, bindings=found.bindings, scope=scope)


# --- policies that name principals ------------------------------------------------------------------------------------


def _sources(resource: Resource, caller: Caller, entity_id: str) -> tuple[Source, ...]:
    return tuple(_bound(name, text, bindings, caller, entity_id) for name, text, bindings in resource.policies)


def _bound(name: str, text: str, bindings: Bindings, caller: Caller, entity_id: str) -> Source:
    """The policy as it speaks of this caller.

    A policy that names a user or role means the one who had the name when it was put. Who has the name now, and is
    another one, is not meant (promises.md T03); who has another name by now is.
    """
    source = access.stored("resource", name, text)
    strangers = frozenset(arn for arn in (caller.arn, caller.behind) if arn in bindings and bindings[arn] != entity_id)
    now = caller.behind or caller.arn
    former = frozenset(
        arn for arn, identity in bindings.items() if identity == entity_id and arn != now and arn != caller.arn
    )
    if source.policy is None or not (strangers or former):
        return source
    return _as_meant(name, source.policy, strangers, former, now)


@functools.lru_cache(maxsize=256)
def _as_meant(name: str, policy: Policy, strangers: frozenset[str], former: frozenset[str], now: str) -> Source:
    """The policy with the names of strangers standing for nobody, and those that the caller had before for `now`."""

    def one_meant(one: Named) -> Named:
        if one.name in strangers:
            return _NOBODY
        return dataclasses.replace(one, name=now) if one.name in former and one.kind != "session" else one

    def meant(named: tuple[Named, ...]) -> tuple[Named, ...]:
        return tuple(map(one_meant, named))

    def statement(one: Statement) -> Statement:
        return dataclasses.replace(one, principals=meant(one.principals), not_principals=meant(one.not_principals))

    return Source(name=name, policy=dataclasses.replace(policy, statements=tuple(map(statement, policy.statements))))


_NOBODY: Final = Named(kind="canonical-user", name="nobody")

Kind = Literal["root", "user", "role-session", "federated-user", "provider", "anonymous"]
_KINDS: Final[Mapping[str, Kind]] = {
    "root": "root",
    "user": "user",
    "role-session": "role-session",
    "federated": "federated-user",
    "web-identity": "provider",
    "anonymous": "anonymous",
}


def caller_of(principal: Principal, behind: str) -> Caller:
    """The principal as policies see it. `behind`: ARN of who federated, for a federated user."""
    kind = _KINDS[principal.kind]
    if kind == "anonymous":
        return Caller(kind=kind)
    if principal.account is None:
        return Caller(kind=kind, arn=principal.arn)
    return Caller(
        kind=kind,
        account=principal.account,
        arn=principal.arn,
        behind={"role-session": principal.entity_arn, "federated-user": behind}.get(kind, ""),
        user_id=principal.id,
    )
