"""An account's identities and policies as a whole: how many, and everything about each."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Final

from registry import aws_managed, managed_policies, roles
from registry.context import Deps
from registry.entities import Identity, InstanceProfile, Kind, ManagedPolicy, PolicyVersion
from registry.identities import Described as DescribedIdentity
from registry.managed_policies import Described as DescribedPolicy
from registry.names import AccountId
from registry.records import access_keys, attachments, identities, instance_profiles, oidc_providers
from registry.records import managed_policies as policy_rows
from registry.records.engine import Tx

FILTERS: Final = ("User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy")
_KINDS: Final[tuple[Kind, ...]] = ("user", "group", "role")
_EVERY: Final = 1_000_000  # more than one account has


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A user, group or role with all that hangs on it, or a managed policy with its versions."""

    key: str  # by what they are in order
    identity: Identity | None = None
    boundary: str | None = None
    attached: tuple[ManagedPolicy, ...] = ()
    inline: Mapping[str, str] = dataclasses.field(default_factory=dict)
    groups: tuple[Identity, ...] = ()
    profiles: tuple[InstanceProfile, ...] = ()
    policy: DescribedPolicy | None = None
    versions: tuple[PolicyVersion, ...] = ()

    def of_kind(self, kind: Kind) -> bool:
        return self.identity is not None and self.identity.kind == kind

    @property
    def described(self) -> DescribedIdentity:
        assert self.identity is not None
        return DescribedIdentity(self.identity, self.boundary)


async def counts(deps: Deps, account: AccountId) -> dict[str, int]:
    """By the names of GetAccountSummary. What this server has none of is told as 0."""

    def read(tx: Tx) -> dict[str, int]:
        return {
            "Users": identities.count(tx, account, "user"),
            "Groups": identities.count(tx, account, "group"),
            "Roles": identities.count(tx, account, "role"),
            "Policies": policy_rows.count(tx, account),
            "PolicyVersionsInUse": policy_rows.count_versions(tx, account),
            "InstanceProfiles": instance_profiles.count(tx, account),
            "Providers": len(oidc_providers.of(tx, account)),
            "AccountAccessKeysPresent": int(bool(access_keys.of_owner(tx, account))),
            "AccountMFAEnabled": 0,
            "AccountSigningCertificatesPresent": 0,
            "MFADevices": 0,
            "MFADevicesInUse": 0,
            "ServerCertificates": 0,
        }

    return await deps.db.read(read)


async def details(deps: Deps, account: AccountId, *, wanted: Collection[str]) -> list[Detail]:
    """Everything about what is `wanted` of FILTERS, in order. Of the policies of AWS those that something has."""

    def read(tx: Tx) -> list[Detail]:
        found = [
            _identity(tx, one)
            for kind in _KINDS
            if kind.capitalize() in wanted
            for one in identities.page(tx, account, kind, prefix="/", after="", limit=_EVERY)
        ]
        attached, bounding = attachments.counts(tx, account), attachments.boundary_counts(tx, account)
        policies = policy_rows.page(tx, account, prefix="/", after="", limit=None)
        if "LocalManagedPolicy" not in wanted:
            policies = []
        if "AWSManagedPolicy" in wanted:
            used = attached.keys() | bounding.keys()
            policies += [one.policy for one in aws_managed.BY_ID.values() if one.policy.id in used]
        described = [DescribedPolicy(one, attached.get(one.id, 0), bounding.get(one.id, 0)) for one in policies]
        return sorted([*found, *(_policy(tx, one) for one in described)], key=lambda one: one.key)

    return await deps.db.read(read)


def _identity(tx: Tx, found: Identity) -> Detail:
    return Detail(
        key=f"{found.kind} {found.name.lower()}",
        identity=roles.shown(tx, found) if found.kind == "role" else found,
        boundary=managed_policies.arn_of(tx, found.boundary_id),
        attached=tuple(managed_policies.of_ids(tx, attachments.attached(tx, found.id))),
        inline=attachments.inline(tx, found.id),
        groups=tuple(identities.groups_of(tx, found.id)) if found.kind == "user" else (),
        profiles=tuple(instance_profiles.of_role(tx, found.id)) if found.kind == "role" else (),
    )


def _policy(tx: Tx, found: DescribedPolicy) -> Detail:
    of_aws = aws_managed.BY_ID.get(found.policy.id)
    return Detail(
        key=f"z {found.policy.name.lower()} {found.policy.arn}",
        policy=found,
        versions=(of_aws.version,) if of_aws is not None else tuple(policy_rows.versions(tx, found.policy.id)),
    )
