"""Managed policies: an account's own, with up to five versions each, and those of AWS, which nobody changes.

What they are attached to knows them by their unique ids. A policy that something still hangs on cannot be deleted, so
that a new one of the same name is nobody's by surprise.

Sources: AWS IAM API reference; AWS IAM user guide, "Versioning IAM policies", "IAM and AWS STS quotas".
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from policies import documents
from policies.elements import PolicyInvalid
from registry import aws_managed, tagging
from registry.context import Deps
from registry.entities import Identity, ManagedPolicy, PolicyVersion, new_id
from registry.errors import LimitExceeded
from registry.identity_errors import DeleteConflict, EntityAlreadyExists, MalformedPolicyDocument, NoSuchEntity
from registry.names import AccountId
from registry.records import attachments, identities, stamps
from registry.records import managed_policies as rows
from registry.records.engine import Tx

MAX_VERSIONS: Final = 5


class Described(NamedTuple):
    """A policy, and how many it is attached to and bounds."""

    policy: ManagedPolicy
    attachments: int
    boundaries: int


def checked(document: str, *, limit: int = documents.MANAGED_POLICY) -> str:
    """The text of an identity policy that can be kept. Raises MalformedPolicyDocument, LimitExceeded."""
    try:
        documents.parse_identity_policy(document, limit=max(limit, len(document)))
    except PolicyInvalid as error:
        raise MalformedPolicyDocument(str(error)) from None
    if size(document) > limit:
        raise LimitExceeded(f"Cannot exceed quota for PolicySize: {limit}")
    return document


def size(document: str) -> int:
    """Characters as IAM counts them: white space is free."""
    return len("".join(document.split()))


# --- finding ----------------------------------------------------------------------------------------------------------


def find(tx: Tx, account: AccountId, arn: str) -> ManagedPolicy | None:
    """The policy of that ARN that the account may use: its own, or one of AWS."""
    if arn in aws_managed.BY_ARN:
        return aws_managed.BY_ARN[arn].policy
    found = rows.find(tx, account, arn.rpartition("/")[2])
    return found if found is not None and found.arn == arn else None


def require(tx: Tx, account: AccountId, arn: str) -> ManagedPolicy:
    """Raises NoSuchEntity."""
    found = find(tx, account, arn)
    if found is None:
        raise NoSuchEntity(f"Policy {arn} was not found.")
    return found


def attachable(tx: Tx, account: AccountId, arn: str) -> ManagedPolicy:
    """Raises NoSuchEntity."""
    found = find(tx, account, arn)
    if found is None:
        raise NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")
    return found


def of_ids(tx: Tx, ids: Iterable[str]) -> list[ManagedPolicy]:
    """By name. An id whose policy is gone is left out."""
    wanted = set(ids)
    of_aws = [aws_managed.BY_ID[one].policy for one in wanted if one in aws_managed.BY_ID]
    return sorted([*of_aws, *rows.by_ids(tx, wanted)], key=lambda policy: (policy.name.lower(), policy.arn))


def arn_of(tx: Tx, policy_id: str | None) -> str | None:
    found = of_ids(tx, [policy_id]) if policy_id is not None else []
    return found[0].arn if found else None


def document_of(tx: Tx, policy: ManagedPolicy) -> str:
    """The text of the default version."""
    return _version(tx, policy, policy.default_version).document


async def describe(deps: Deps, account: AccountId, arn: str) -> Described:
    """Raises NoSuchEntity."""

    def read(tx: Tx) -> Described:
        found = require(tx, account, arn)
        return Described(
            found,
            len(attachments.attached_to(tx, account, found.id)),
            len(attachments.bounded_by(tx, account, found.id)),
        )

    return await deps.db.read(read)


async def listed(
    deps: Deps,
    account: AccountId,
    *,
    aws: bool,
    own: bool,
    prefix: str = "/",
    wanted: Callable[[Described], bool] = lambda _: True,
) -> list[Described]:
    """All that are `wanted`, by name."""

    def read(tx: Tx) -> list[Described]:
        found = rows.page(tx, account, prefix=prefix, after="", limit=None) if own else []
        if aws:
            found += [one.policy for one in aws_managed.BY_ID.values() if one.policy.path.startswith(prefix)]
        attached, bounding = attachments.counts(tx, account), attachments.boundary_counts(tx, account)
        every = [Described(one, attached.get(one.id, 0), bounding.get(one.id, 0)) for one in found]
        return sorted(filter(wanted, every), key=lambda one: (one.policy.name.lower(), one.policy.arn))

    return await deps.db.read(read)


class Users(NamedTuple):
    """Who a policy is attached to, or bounds."""

    attached: Sequence[Identity]
    bounded: Sequence[Identity]


async def users_of(deps: Deps, account: AccountId, arn: str) -> Users:
    """By kind and name. Raises NoSuchEntity."""

    def read(tx: Tx) -> Users:
        found = require(tx, account, arn)
        return Users(
            identities.by_ids(tx, attachments.attached_to(tx, account, found.id)),
            identities.by_ids(tx, attachments.bounded_by(tx, account, found.id)),
        )

    return await deps.db.read(read)


# --- changing ---------------------------------------------------------------------------------------------------------


async def create(
    deps: Deps,
    account: AccountId,
    name: str,
    document: str,
    *,
    path: str,
    description: str | None,
    resource_tags: Mapping[str, str],
) -> ManagedPolicy:
    """Raises EntityAlreadyExists, MalformedPolicyDocument, LimitExceeded."""
    now = deps.clock.now()
    new = ManagedPolicy(
        id=new_id("policy"),
        account=account,
        name=name,
        path=path,
        description=description,
        created_at=now,
        updated_at=now,
        default_version=1,
        last_version=1,
        resource_tags=resource_tags,
    )
    text = checked(document)

    def unit(tx: Tx) -> ManagedPolicy:
        if not rows.insert(tx, new, text):
            raise EntityAlreadyExists(f"A policy called {name} already exists. Duplicate names are not allowed.")
        return new

    return await deps.db.write(stamps.changing(unit))


async def delete(deps: Deps, account: AccountId, arn: str) -> None:
    """Raises NoSuchEntity, DeleteConflict."""

    def unit(tx: Tx) -> None:
        found = _own(tx, account, arn)
        if attachments.attached_to(tx, account, found.id) or attachments.bounded_by(tx, account, found.id):
            raise DeleteConflict("Cannot delete a policy attached to entities.")
        if len(rows.versions(tx, found.id)) > 1:
            raise DeleteConflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's "
                "versions. The default version is deleted with the policy."
            )
        rows.delete(tx, found.id)

    await deps.db.write(stamps.changing(unit))


async def add_tags(deps: Deps, account: AccountId, arn: str, added: Mapping[str, str]) -> None:
    """Raises NoSuchEntity, LimitExceeded."""
    await _retag(deps, account, arn, lambda present: tagging.merged(present, added, quota="TagsPerPolicy"))


async def remove_tags(deps: Deps, account: AccountId, arn: str, keys: Sequence[str]) -> None:
    """Raises NoSuchEntity."""
    await _retag(deps, account, arn, lambda present: tagging.without(present, keys))


# --- versions ---------------------------------------------------------------------------------------------------------


async def versions(deps: Deps, account: AccountId, arn: str) -> tuple[ManagedPolicy, list[PolicyVersion]]:
    """The newest first. Raises NoSuchEntity."""

    def read(tx: Tx) -> tuple[ManagedPolicy, list[PolicyVersion]]:
        found = require(tx, account, arn)
        of_aws = aws_managed.BY_ID.get(found.id)
        return found, [of_aws.version] if of_aws is not None else rows.versions(tx, found.id)

    return await deps.db.read(read)


async def version(deps: Deps, account: AccountId, arn: str, name: str) -> tuple[ManagedPolicy, PolicyVersion]:
    """`name` as in v2. Raises NoSuchEntity."""

    def read(tx: Tx) -> tuple[ManagedPolicy, PolicyVersion]:
        found = require(tx, account, arn)
        return found, _version(tx, found, _number(found, name))

    return await deps.db.read(read)


async def create_version(deps: Deps, account: AccountId, arn: str, document: str, *, default: bool) -> PolicyVersion:
    """Raises NoSuchEntity, LimitExceeded, MalformedPolicyDocument."""
    now, text = deps.clock.now(), checked(document)

    def unit(tx: Tx) -> PolicyVersion:
        found = _own(tx, account, arn)
        if len(rows.versions(tx, found.id)) >= MAX_VERSIONS:
            raise LimitExceeded(
                f"A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you must "
                "delete an existing version."
            )
        return rows.add_version(tx, found, text, default=default, now=now)

    return await deps.db.write(stamps.changing(unit))


async def set_default_version(deps: Deps, account: AccountId, arn: str, name: str) -> None:
    """Raises NoSuchEntity."""
    now = deps.clock.now()

    def unit(tx: Tx) -> None:
        found = _own(tx, account, arn)
        wanted = _version(tx, found, _number(found, name))
        rows.update(tx, dataclasses.replace(found, default_version=wanted.number, updated_at=now))

    await deps.db.write(stamps.changing(unit))


async def delete_version(deps: Deps, account: AccountId, arn: str, name: str) -> None:
    """Raises NoSuchEntity, DeleteConflict."""
    now = deps.clock.now()

    def unit(tx: Tx) -> None:
        found = _own(tx, account, arn)
        wanted = _version(tx, found, _number(found, name))
        if wanted.number == found.default_version:
            raise DeleteConflict("Cannot delete the default version of a policy.")
        rows.delete_version(tx, found.id, wanted.number)
        rows.update(tx, dataclasses.replace(found, updated_at=now))

    await deps.db.write(stamps.changing(unit))


# --- inside -----------------------------------------------------------------------------------------------------------


def _own(tx: Tx, account: AccountId, arn: str) -> ManagedPolicy:
    """One that the account may change: those of AWS are nobody's."""
    found = require(tx, account, arn)
    if found.account is None:
        raise NoSuchEntity(f"Policy {arn} is of AWS and cannot be changed.")
    return found


def _number(policy: ManagedPolicy, name: str) -> int:
    number = name.removeprefix("v").partition(".")[0]
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 9 else 0


def _version(tx: Tx, policy: ManagedPolicy, number: int) -> PolicyVersion:
    of_aws = aws_managed.BY_ID.get(policy.id)
    if of_aws is not None:
        found = of_aws.version if of_aws.version.number == number else None
    else:
        found = rows.version(tx, policy.id, number)
    if found is None:
        raise NoSuchEntity(f"Policy {policy.arn} version v{number} does not exist or is not attachable.")
    return found


async def _retag(
    deps: Deps, account: AccountId, arn: str, change: Callable[[Mapping[str, str]], Mapping[str, str]]
) -> None:
    def unit(tx: Tx) -> None:
        found = _own(tx, account, arn)
        rows.update(tx, dataclasses.replace(found, resource_tags=change(found.resource_tags)))

    await deps.db.write(stamps.changing(unit))
