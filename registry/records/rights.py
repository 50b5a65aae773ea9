"""What rows say of one principal's rights: one look for each kind of policy that has a say."""

import sqlalchemy as sa

from registry.names import AccountId
from registry.records.engine import Tx
from registry.records.tables.identities import (
    accounts,
    attachments,
    group_members,
    identities,
    inline_policies,
    managed_policies,
    policy_versions,
)

_a, _n, _i, _p, _v, _m = (
    attachments.c,
    inline_policies.c,
    identities.c,
    managed_policies.c,
    policy_versions.c,
    group_members.c,
)


def holders(tx: Tx, identity_id: str) -> dict[str, str]:
    """The identity and, of a user, the groups: what hangs on any of them counts. Name by unique id."""
    groups = sa.select(_m.group_id).where(_m.user_id == identity_id)
    statement = sa.select(_i.id, _i.kind, _i.name).where(sa.or_(_i.id == identity_id, _i.id.in_(groups)))
    return {row.id: f"{row.kind}/{row.name}" for row in tx.execute(statement)}


def inline_of(tx: Tx, ids: list[str]) -> list[tuple[str, str, str]]:
    """(holder's id, name, document) of every inline policy of these identities."""
    statement = sa.select(_n.identity_id, _n.name, _n.document).where(_n.identity_id.in_(ids)).order_by(_n.name)
    return [(row.identity_id, row.name, row.document) for row in tx.execute(statement)]


def attached_to(tx: Tx, ids: list[str]) -> list[str]:
    """Ids of the managed policies that are attached to any of these identities, those of AWS too."""
    return list(tx.execute(sa.select(_a.policy_id).where(_a.identity_id.in_(ids)).distinct()).scalars())


def managed(tx: Tx, policy_ids: list[str]) -> dict[str, tuple[str, str, str, str]]:
    """(account, path, name, document of the default version) by the id of a managed policy; not those of AWS."""
    statement = (
        sa.select(_p.id, _p.account, _p.path, _p.name, _v.document)
        .join(policy_versions, sa.and_(_v.policy_id == _p.id, _v.number == _p.default_version))
        .where(_p.id.in_(policy_ids))
    )
    return {row.id: (row.account, row.path, row.name, row.document) for row in tx.execute(statement)}


def service_control(tx: Tx, account: AccountId) -> str | None:
    """The service control policy that the operator put on an account."""
    statement = sa.select(accounts.c.service_control_policy).where(accounts.c.id == account)
    return tx.execute(statement).scalar_one_or_none()
