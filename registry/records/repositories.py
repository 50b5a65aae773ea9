"""Rows of repositories."""

import dataclasses
import json
from typing import Any

import sqlalchemy as sa

from registry.model import Repository
from registry.names import AccountId, Region, RegistryRef, RepositoryName
from registry.records import quotas, stamps
from registry.records.engine import Tx
from registry.records.tables.images import repositories
from registry.records.tables.listeners import listeners
from registry.records.tables.quotas import account_quotas, repository_quotas

_r, _n, _rq, _aq = repositories.c, listeners.c, repository_quotas.c, account_quotas.c


def find(tx: Tx, registry: RegistryRef, name: RepositoryName) -> Repository | None:
    row = tx.execute(_BY_NAME, {"account": registry.account, "region": registry.region, "name": name}).one_or_none()
    return None if row is None else _repository(row)


def by_id(tx: Tx, repository_id: int) -> Repository | None:
    row = tx.execute(_BY_ID, {"id": repository_id}).one_or_none()
    return None if row is None else _repository(row)


def page(tx: Tx, registry: RegistryRef, *, after: str, limit: int) -> list[Repository]:
    """The first `limit` repositories whose name sorts behind `after`, by name."""
    statement = (
        sa.select(repositories, _LISTENED, _COUNTED)
        .where(_r.account == registry.account, _r.region == registry.region, _r.name > after)
        .order_by(_r.name)
        .limit(limit)
    )
    return [_repository(row) for row in tx.execute(statement)]


def count(tx: Tx, registry: RegistryRef) -> int:
    statement = sa.select(sa.func.count()).where(_r.account == registry.account, _r.region == registry.region)
    return tx.execute(statement).scalar_one()


def insert(tx: Tx, repository: Repository) -> Repository | None:
    """The repository with its id; None where the name is taken."""
    values = {
        "account": repository.registry.account,
        "region": repository.registry.region,
        "name": repository.name,
        "created_at": repository.created_at,
        "encryption": repository.encryption,
        "kms_key": repository.kms_key,
        **_changeable(repository),
    }
    if find(tx, repository.registry, repository.name) is not None:
        return None
    stamps.move_policy(tx)
    found = tx.execute(sa.insert(repositories).values(**values).returning(_r.id)).scalar_one()
    return dataclasses.replace(repository, id=found)


def update(tx: Tx, repository: Repository) -> None:
    """Write what may change of a repository: everything but its name, birth and encryption."""
    stamps.move_policy(tx)
    tx.execute(sa.update(repositories).where(_r.id == repository.id).values(**_changeable(repository)))


def delete(tx: Tx, repository_id: int) -> None:
    """Remove the repository and every row that hangs on it."""
    stamps.move_policy(tx)
    quotas.repository_goes(tx, repository_id)
    tx.execute(sa.delete(repositories).where(_r.id == repository_id))


# In the statement that is made anyway: where nobody listens, and nothing has a quota, no change of an image costs one
# more.
_LISTENED = sa.exists().where(_n.account.in_((_r.account, "")), _n.region.in_((_r.region, ""))).label("listened")
_COUNTED = sa.or_(sa.exists().where(_rq.repository_id == _r.id), sa.exists().where(_aq.account == _r.account)).label(
    "counted"
)
_BY_ID: sa.Select[Any] = sa.select(repositories, _LISTENED, _COUNTED).where(_r.id == sa.bindparam("id"))
_BY_NAME: sa.Select[Any] = sa.select(repositories, _LISTENED, _COUNTED).where(
    _r.account == sa.bindparam("account"), _r.region == sa.bindparam("region"), _r.name == sa.bindparam("name")
)


def _changeable(repository: Repository) -> dict[str, object]:
    return {
        "mutability": repository.mutability,
        "mutability_filters": json.dumps(repository.mutability_filters),
        "scan_on_push": repository.scan_on_push,
        "policy": repository.policy,
        "policy_bindings": json.dumps(dict(repository.policy_bindings)) if repository.policy_bindings else None,
        "resource_tags": json.dumps(dict(repository.resource_tags)),
        "protected": repository.protected,
    }


def _repository(row: sa.Row[Any]) -> Repository:
    return Repository(
        id=row.id,
        registry=RegistryRef(AccountId(row.account), Region(row.region)),
        name=RepositoryName(row.name),
        created_at=row.created_at,
        mutability=row.mutability,
        mutability_filters=_texts(row.mutability_filters),
        scan_on_push=row.scan_on_push,
        encryption=row.encryption,
        kms_key=row.kms_key,
        policy=row.policy,
        policy_bindings=json.loads(row.policy_bindings) if row.policy_bindings else {},
        resource_tags=json.loads(row.resource_tags),
        listened=bool(row.listened),
        counted=bool(row.counted),
        protected=row.protected,
    )


def _texts(column: str) -> tuple[str, ...]:
    return () if column == "[]" else tuple(json.loads(column))
