"""Rows of what is set for a whole registry: account settings, and its policy."""

import json

import sqlalchemy as sa

from registry.entities import Trust
from registry.names import RegistryRef
from registry.records import stamps
from registry.records.engine import Tx
from registry.records.tables.installation import account_settings, registry_policies

_s, _p = account_settings.c, registry_policies.c


def settings_of(tx: Tx, registry: RegistryRef) -> dict[str, str]:
    """The account settings that were put, by name."""
    mine = (_s.account == registry.account) & (_s.region == registry.region)
    return {name: value for name, value in tx.execute(sa.select(_s.name, _s.value).where(mine)).all()}


def put_setting(tx: Tx, registry: RegistryRef, name: str, value: str) -> None:
    stamps.move_policy(tx)
    mine = (_s.account == registry.account) & (_s.region == registry.region) & (_s.name == name)
    if tx.execute(sa.update(account_settings).where(mine).values(value=value)).rowcount == 0:
        tx.execute(
            sa.insert(account_settings).values(account=registry.account, region=registry.region, name=name, value=value)
        )


def policy_of(tx: Tx, registry: RegistryRef) -> Trust | None:
    """The registry's policy, as it was put."""
    row = tx.execute(sa.select(_p.policy, _p.policy_bindings).where(_mine(registry))).one_or_none()
    return None if row is None else Trust(document=row.policy, bindings=json.loads(row.policy_bindings or "{}"))


def put_policy(tx: Tx, registry: RegistryRef, policy: Trust) -> None:
    stamps.move_policy(tx)
    values = {"policy": policy.document, "policy_bindings": json.dumps(dict(policy.bindings))}
    if tx.execute(sa.update(registry_policies).where(_mine(registry)).values(**values)).rowcount == 0:
        tx.execute(sa.insert(registry_policies).values(account=registry.account, region=registry.region, **values))


def delete_policy(tx: Tx, registry: RegistryRef) -> None:
    stamps.move_policy(tx)
    tx.execute(sa.delete(registry_policies).where(_mine(registry)))


def _mine(registry: RegistryRef) -> sa.ColumnElement[bool]:
    return (_p.account == registry.account) & (_p.region == registry.region)
