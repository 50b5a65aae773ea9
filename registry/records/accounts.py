"""Rows of accounts, with the policy that an operator may have put above each."""

import datetime as dt

import sqlalchemy as sa

from registry.entities import Account
from registry.names import AccountId
from registry.records.engine import Tx
from registry.records.tables.identities import accounts

_a = accounts.c


def find(tx: Tx, account: AccountId) -> Account | None:
    row = tx.execute(sa.select(accounts).where(_a.id == account)).one_or_none()
    return None if row is None else _account(row)


def every(tx: Tx) -> list[Account]:
    """All accounts, by id."""
    return [_account(row) for row in tx.execute(sa.select(accounts).order_by(_a.id))]


def insert(tx: Tx, account: AccountId, now: dt.datetime) -> bool:
    """False where it is there."""
    if find(tx, account) is not None:
        return False
    tx.execute(sa.insert(accounts).values(id=account, created_at=now))
    return True


def put_service_control_policy(tx: Tx, account: AccountId, document: str | None) -> bool:
    """False where there is no such account."""
    statement = sa.update(accounts).where(_a.id == account).values(service_control_policy=document)
    return tx.execute(statement).rowcount == 1


def _account(row: sa.Row[tuple[object, ...]]) -> Account:
    return Account(id=AccountId(row.id), created_at=row.created_at, service_control_policy=row.service_control_policy)
