"""Rows of what hangs on users, groups and roles: attached managed policies, inline policies, boundaries."""

import sqlalchemy as sa

from registry.names import AccountId
from registry.records.engine import Tx
from registry.records.tables.identities import attachments, identities, inline_policies, instance_profiles

_a, _n, _i = attachments.c, inline_policies.c, identities.c


# --- managed policies -------------------------------------------------------------------------------------------------


def attach(tx: Tx, identity_id: str, policy_id: str) -> bool:
    """False where it is attached already."""
    if policy_id in attached(tx, identity_id):
        return False
    tx.execute(sa.insert(attachments).values(identity_id=identity_id, policy_id=policy_id))
    return True


def detach(tx: Tx, identity_id: str, policy_id: str) -> bool:
    """False where it is not attached."""
    mine = (_a.identity_id == identity_id) & (_a.policy_id == policy_id)
    return tx.execute(sa.delete(attachments).where(mine)).rowcount > 0


def attached(tx: Tx, identity_id: str) -> list[str]:
    """Ids of the managed policies that are attached, those of AWS too."""
    return list(tx.execute(sa.select(_a.policy_id).where(_a.identity_id == identity_id)).scalars())


def attached_to(tx: Tx, account: AccountId, policy_id: str) -> list[str]:
    """Ids of the account's identities that a policy is attached to."""
    statement = (
        sa.select(_a.identity_id)
        .join(identities, _i.id == _a.identity_id)
        .where(_a.policy_id == policy_id, _i.account == account)
    )
    return list(tx.execute(statement).scalars())


def bounded_by(tx: Tx, account: AccountId, policy_id: str) -> list[str]:
    """Ids of the account's identities whose permissions boundary a policy is."""
    statement = sa.select(_i.id).where(_i.boundary_id == policy_id, _i.account == account)
    return list(tx.execute(statement).scalars())


def counts(tx: Tx, account: AccountId) -> dict[str, int]:
    """How many identities of the account each managed policy is attached to, by its id."""
    statement = (
        sa.select(_a.policy_id, sa.func.count())
        .join(identities, _i.id == _a.identity_id)
        .where(_i.account == account)
        .group_by(_a.policy_id)
    )
    return {policy_id: count for policy_id, count in tx.execute(statement)}


def boundary_counts(tx: Tx, account: AccountId) -> dict[str, int]:
    """How many identities of the account each managed policy bounds, by its id."""
    statement = (
        sa.select(_i.boundary_id, sa.func.count())
        .where(_i.account == account, _i.boundary_id.is_not(None))
        .group_by(_i.boundary_id)
    )
    return {policy_id: count for policy_id, count in tx.execute(statement)}


# --- inline policies --------------------------------------------------------------------------------------------------


def inline(tx: Tx, identity_id: str) -> dict[str, str]:
    """Documents by name, in order of name."""
    statement = sa.select(_n.name, _n.document).where(_n.identity_id == identity_id).order_by(_n.name)
    return {name: document for name, document in tx.execute(statement)}


def put_inline(tx: Tx, identity_id: str, name: str, document: str) -> None:
    mine = (_n.identity_id == identity_id) & (_n.name == name)
    if tx.execute(sa.update(inline_policies).where(mine).values(document=document)).rowcount == 0:
        tx.execute(sa.insert(inline_policies).values(identity_id=identity_id, name=name, document=document))


def delete_inline(tx: Tx, identity_id: str, name: str) -> bool:
    """False where there is none of that name."""
    mine = (_n.identity_id == identity_id) & (_n.name == name)
    return tx.execute(sa.delete(inline_policies).where(mine)).rowcount > 0


def in_profile(tx: Tx, role_id: str) -> bool:
    """Whether an instance profile holds the role."""
    statement = sa.select(instance_profiles.c.id).where(instance_profiles.c.role_id == role_id).limit(1)
    return tx.execute(statement).first() is not None
