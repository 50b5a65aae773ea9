"""Rows of issuers of OpenID Connect tokens that an account trusts."""

import json
from typing import Any

import sqlalchemy as sa

from registry.entities import OidcProvider
from registry.names import AccountId
from registry.records.engine import Tx
from registry.records.tables.identities import oidc_providers

_p = oidc_providers.c


def find(tx: Tx, account: AccountId, url: str) -> OidcProvider | None:
    """`url` is without https://."""
    statement = sa.select(oidc_providers).where(_p.account == account, _p.url == url)
    row = tx.execute(statement).one_or_none()
    return None if row is None else _provider(row)


def of(tx: Tx, account: AccountId) -> list[OidcProvider]:
    """By URL."""
    return [
        _provider(row) for row in tx.execute(sa.select(oidc_providers).where(_p.account == account).order_by(_p.url))
    ]


def insert(tx: Tx, new: OidcProvider) -> bool:
    """False where there is one of that URL."""
    if find(tx, new.account, new.url) is not None:
        return False
    tx.execute(
        sa.insert(oidc_providers).values(
            account=new.account, url=new.url, created_at=new.created_at, **_changeable(new)
        )
    )
    return True


def update(tx: Tx, changed: OidcProvider) -> None:
    """Write all that may change: everything but the URL."""
    mine = (_p.account == changed.account) & (_p.url == changed.url)
    tx.execute(sa.update(oidc_providers).where(mine).values(**_changeable(changed)))


def delete(tx: Tx, provider: OidcProvider) -> None:
    tx.execute(sa.delete(oidc_providers).where(_p.account == provider.account, _p.url == provider.url))


def _changeable(provider: OidcProvider) -> dict[str, object]:
    return {
        "client_ids": json.dumps(provider.client_ids),
        "thumbprints": json.dumps(provider.thumbprints),
        "resource_tags": json.dumps(dict(provider.resource_tags)),
    }


def _provider(row: sa.Row[Any]) -> OidcProvider:
    return OidcProvider(
        account=AccountId(row.account),
        url=row.url,
        client_ids=tuple(json.loads(row.client_ids)),
        thumbprints=tuple(json.loads(row.thumbprints)),
        created_at=row.created_at,
        resource_tags=json.loads(row.resource_tags),
    )
