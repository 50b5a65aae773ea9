"""How much accounts and repositories hold, and how much of their quotas that is: counted anew when somebody asks."""

import dataclasses

from registry import allowance, repositories
from registry.allowance import Allowance
from registry.context import Deps
from registry.model import Holding
from registry.names import AccountId, Region, RegistryRef, RepositoryName
from registry.records import quotas, usage
from registry.records.engine import Tx
from registry.records.usage import Holder, Usage


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What one holds. `region` and `repository`: None for an account, in all regions."""

    account: AccountId
    region: Region | None = None
    repository: RepositoryName | None = None
    usage: Usage
    holding: Holding
    shared_bytes: int  # of blobs that others hold too: other repositories, or other accounts
    described_bytes: int  # the sizes that DescribeImages says, added up
    kept: Usage  # what only images that were deleted, and can be brought back, keep there
    allowance: Allowance

    @property
    def stored_bytes(self) -> int:
        return self.usage.blob_bytes + self.usage.image_bytes

    @property
    def kept_bytes(self) -> int:
        return self.kept.blob_bytes + self.kept.image_bytes


async def of_account(deps: Deps, account: AccountId) -> Used:
    """An account that nobody heard of holds nothing."""
    return await deps.db.read(lambda tx: _account(tx, deps, account))


async def of_repository(deps: Deps, registry: RegistryRef, name: RepositoryName) -> Used:
    """Raises RepositoryNotFound."""

    def unit(tx: Tx) -> Used:
        found = repositories.require(tx, registry, name)
        return _repository(tx, deps, found.id, registry, name, usage.of_repository(tx, found.id))

    return await deps.db.read(unit)


async def by_account(deps: Deps, *, after: str, limit: int) -> list[Used]:
    """Accounts that have repositories, behind one, in order."""

    def unit(tx: Tx) -> list[Used]:
        behind = [one for one in usage.accounts(tx) if one > after]
        return [_account(tx, deps, one) for one in behind[:limit]]

    return await deps.db.read(unit)


async def by_repository(
    deps: Deps, *, after: int, limit: int, account: AccountId | None = None
) -> list[tuple[int, Used]]:
    """Repositories, of one account or of all, by id, behind one."""

    def unit(tx: Tx) -> list[tuple[int, Used]]:
        page = usage.by_repository(tx, after=after, limit=limit, account=account)
        return [(one, _repository(tx, deps, one, registry, name, used)) for one, registry, name, used in page]

    return await deps.db.read(unit)


# --- inside -----------------------------------------------------------------------------------------------------------


def _account(tx: Tx, deps: Deps, account: AccountId) -> Used:
    allowed = allowance.of_account(deps.settings.quotas, quotas.find(tx, account))
    return Used(
        account=account,
        usage=usage.of_account(tx, account),
        holding=usage.holding(tx, account),
        shared_bytes=usage.shared_bytes(tx, account),
        described_bytes=usage.described_bytes(tx, account),
        kept=usage.kept_of_account(tx, account),
        allowance=allowed,
    )


def _repository(
    tx: Tx, deps: Deps, repository: Holder, registry: RegistryRef, name: RepositoryName, used: Usage
) -> Used:
    allowed = allowance.of_repository(deps.settings.quotas, quotas.find(tx, repository))
    return Used(
        account=registry.account,
        region=registry.region,
        repository=name,
        usage=used,
        holding=usage.holding(tx, repository),
        shared_bytes=usage.shared_bytes(tx, repository),
        described_bytes=usage.described_bytes(tx, repository),
        kept=usage.kept_of_repository(tx, registry, name),
        allowance=allowed,
    )
