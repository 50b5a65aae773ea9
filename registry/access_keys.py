"""Access keys of users and of the root user: at most two each. A secret is shown once, when it is made."""

import base64
import secrets
from typing import Final, NamedTuple

from registry.context import Deps
from registry.entities import AccessKey, Identity
from registry.errors import LimitExceeded
from registry.identities import require
from registry.identity_errors import DeleteConflict, NoSuchEntity
from registry.names import AccountId
from registry.records import access_keys as rows
from registry.records import stamps
from registry.records.engine import Tx

MAX: Final = 2


class Made(NamedTuple):
    """A new key with its secret."""

    key: AccessKey
    secret: str


class Used(NamedTuple):
    """A key, and the name of the user whose it is; None: the root user."""

    key: AccessKey
    user: str | None


def new_key_id() -> str:
    """`AKIA` and eighty random bits."""
    return "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()


async def create(deps: Deps, account: AccountId, user: str | None) -> Made:
    """`user` None: for the root user. Raises NoSuchEntity, LimitExceeded."""
    secret = secrets.token_urlsafe(30)
    sealed = deps.sealer.seal_bytes("secret", secret.encode())
    now = deps.clock.now()

    def unit(tx: Tx) -> AccessKey:
        owner = _owner(tx, account, user)
        if len(rows.of_owner(tx, owner)) >= MAX:
            raise LimitExceeded(f"Cannot exceed quota for AccessKeysPerUser: {MAX}")
        key = AccessKey(
            id=new_key_id(), account=account, owner_id=owner, sealed_secret=sealed, active=True, created_at=now
        )
        rows.insert(tx, key)
        return key

    return Made(await deps.db.write(stamps.changing(unit)), secret)


async def of(deps: Deps, account: AccountId, user: str | None) -> list[AccessKey]:
    """Raises NoSuchEntity."""
    return await deps.db.read(lambda tx: rows.of_owner(tx, _owner(tx, account, user)))


async def used(deps: Deps, account: AccountId, key_id: str) -> Used:
    """When and where a key of the account was last used. Raises NoSuchEntity."""

    def read(tx: Tx) -> Used:
        found = rows.owned(tx, key_id)
        if found is None or found.key.account != account:
            raise _missing(key_id)
        return Used(found.key, None if found.user is None else found.user.name)

    return await deps.db.read(read)


async def owner_of(deps: Deps, account: AccountId, key_id: str) -> Identity | None:
    """The user whose key of the account it is, if it is a user's."""
    found = await deps.db.point(lambda tx: rows.owned(tx, key_id))
    return found.user if found is not None and found.key.account == account else None


async def account_of(deps: Deps, key_id: str) -> AccountId | None:
    """Whose key it is, whoever asks."""
    found = await deps.db.point(lambda tx: rows.find(tx, key_id))
    return None if found is None else found.account


async def set_active(deps: Deps, account: AccountId, user: str | None, key_id: str, active: bool) -> None:
    """Raises NoSuchEntity."""

    def unit(tx: Tx) -> None:
        rows.set_active(tx, _key(tx, account, user, key_id).id, active)

    await deps.db.write(stamps.changing(unit))


async def delete(deps: Deps, account: AccountId, user: str | None, key_id: str) -> None:
    """Raises NoSuchEntity, DeleteConflict."""

    def unit(tx: Tx) -> None:
        key = _key(tx, account, user, key_id)
        if key.installed:
            raise DeleteConflict(
                "Cannot delete this key: the server is started with it, and would bring it back. Start it with another "
                "one, which ends this."
            )
        rows.delete(tx, key.id)

    await deps.db.write(stamps.changing(unit))


def _owner(tx: Tx, account: AccountId, user: str | None) -> str:
    return account if user is None else require(tx, account, "user", user).id


def _key(tx: Tx, account: AccountId, user: str | None, key_id: str) -> AccessKey:
    owner, key = _owner(tx, account, user), rows.find(tx, key_id)
    if key is None or key.owner_id != owner:
        raise _missing(key_id)
    return key


def _missing(key_id: str) -> NoSuchEntity:
    return NoSuchEntity(f"The Access Key with id {key_id} cannot be found.")
