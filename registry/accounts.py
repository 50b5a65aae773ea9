"""Accounts of this installation, as their operator makes them: there is no API for it, only commands beside the server.

An account comes with one access key of its root user. Above it may stand a service control policy, which bounds all of
its identities, the root user too.
"""

import datetime as dt
import secrets

from policies import documents
from registry import managed_policies
from registry.access_keys import Made, new_key_id
from registry.auth.sealing import Sealer
from registry.entities import AccessKey, Account
from registry.identity_errors import EntityAlreadyExists, NoSuchEntity
from registry.names import AccountId
from registry.records import access_keys, stamps
from registry.records import accounts as rows
from registry.records.engine import Tx


def create(tx: Tx, account: AccountId, sealer: Sealer, now: dt.datetime) -> Made:
    """The account's first root key, to be shown once. Raises EntityAlreadyExists."""
    if not rows.insert(tx, account, now):
        raise EntityAlreadyExists(f"there is an account {account} already")
    secret = secrets.token_urlsafe(30)
    key = AccessKey(
        id=new_key_id(),
        account=account,
        owner_id=account,
        sealed_secret=sealer.seal_bytes("secret", secret.encode()),
        active=True,
        created_at=now,
    )
    access_keys.insert(tx, key)
    stamps.move_policy(tx)
    return Made(key, secret)


def every(tx: Tx) -> list[Account]:
    """By id."""
    return rows.every(tx)


def require(tx: Tx, account: AccountId) -> Account:
    """Raises NoSuchEntity."""
    found = rows.find(tx, account)
    if found is None:
        raise NoSuchEntity(f"there is no account {account}: make it by `longshore admin account create {account}`")
    return found


def put_service_control_policy(tx: Tx, account: AccountId, document: str | None) -> None:
    """None takes it away. Raises NoSuchEntity, MalformedPolicyDocument, LimitExceeded."""
    require(tx, account)
    if document is not None:
        managed_policies.checked(document, limit=documents.SERVICE_CONTROL_POLICY)
    rows.put_service_control_policy(tx, account, document)
    stamps.move_policy(tx)
