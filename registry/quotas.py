"""Quotas: what accounts and repositories may hold, set by the operator, and held against what pushes bring.

A push is told as early as it is plain: before its first byte where there is no room at all or the length that is
announced is too much, else at the byte that is too much. What decides is the transaction that makes a blob or an image
the repository's: it counts, sees what is held then, and raises, which undoes it. So of two pushes of which one fits,
one gets in. Where nothing has a quota, nothing is counted, and a push runs no statement more.
"""

import dataclasses
import functools

from registry import allowance
from registry.allowance import Allowance, Excess
from registry.context import Deps
from registry.errors import QuotaExceeded, RepositoryNotFound
from registry.model import Blob, Holding, Image, Quota, Repository
from registry.names import AccountId, Digest, Region, RegistryRef, RepositoryName
from registry.records import blobs as blob_rows
from registry.records import quotas as rows
from registry.records import repositories as repository_rows
from registry.records import stamps
from registry.records.engine import Tx
from registry.records.usage import Holder


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A quota and whose it is. `region` and `repository`: None for an account's, which spans all regions."""

    account: AccountId
    region: Region | None = None
    repository: RepositoryName | None = None
    quota: Quota
    allowance: Allowance


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many bytes a layer may have, and what is to be said of one that has more."""

    bytes: int
    refusal: QuotaExceeded


def may_be_counted(deps: Deps, repository: Repository) -> bool:
    return repository.counted or deps.settings.quotas.any


# --- what a push brings -----------------------------------------------------------------------------------------------


def blob_came(tx: Tx, deps: Deps, repository: Repository, blob: Blob) -> None:
    """Count a link that was just written. Raises QuotaExceeded."""
    if may_be_counted(deps, repository):
        ours, theirs, new = rows.of_link(tx, repository, blob)
        _count(tx, deps, repository, ours, theirs, coming=(blob.size - ours.needed_bytes, new - theirs.needed_bytes))


def image_came(tx: Tx, deps: Deps, repository: Repository, image: Image) -> None:
    """Count a manifest that was just written. Raises QuotaExceeded."""
    if may_be_counted(deps, repository):
        _count(tx, deps, repository, *rows.of_image(tx, repository.registry.account, image))


async def room(
    deps: Deps, repository: Repository, *, size: int | None = None, digest: Digest | None = None
) -> Room | None:
    """How large a layer may still come; None: as large as it likes.

    `size`: what is known of the size of the one that is to come; `digest`: its own, which the repository may have
    already. Raises QuotaExceeded where it cannot fit.
    """
    if not may_be_counted(deps, repository):
        return None
    rooms = await deps.db.point(lambda tx: _rooms(tx, deps, repository, digest, max(1, size or 0), at_least=not size))
    return min(rooms, key=lambda one: one.bytes, default=None)


# --- what an operator sets --------------------------------------------------------------------------------------------


async def set_for_account(
    deps: Deps, account: AccountId, *, bytes_allowed: int | None, images_allowed: int | None
) -> Listed:
    """None: what the settings say; 0: any number. It may be less than is held: then nothing more comes in."""

    def unit(tx: Tx) -> Listed:
        return _account(deps, account, _allow(tx, deps, account, bytes_allowed, images_allowed))

    return await deps.db.write(stamps.changing(unit))


async def set_for_repository(
    deps: Deps, registry: RegistryRef, name: RepositoryName, *, bytes_allowed: int | None, images_allowed: int | None
) -> Listed:
    """As `set_for_account`. Raises RepositoryNotFound."""

    def unit(tx: Tx) -> Listed:
        found = _require(tx, registry, name)
        return _repository(deps, found, _allow(tx, deps, found.id, bytes_allowed, images_allowed))

    return await deps.db.write(stamps.changing(unit))


async def remove_from_account(deps: Deps, account: AccountId) -> bool:
    """What the settings say holds again. False where it held already."""
    default = deps.settings.quotas.for_accounts
    return await deps.db.write(stamps.changing(lambda tx: _remove(tx, deps, account, keep=default)))


async def remove_from_repository(deps: Deps, registry: RegistryRef, name: RepositoryName) -> bool:
    """As `remove_from_account`. Raises RepositoryNotFound."""
    default = deps.settings.quotas.for_repositories
    return await deps.db.write(
        stamps.changing(lambda tx: _remove(tx, deps, _require(tx, registry, name).id, keep=default))
    )


async def recount(deps: Deps) -> int:
    """Count everything anew; how many counts were wrong."""
    wrong = 0
    for holder in await deps.db.read(rows.holders):
        wrong += await deps.db.write(functools.partial(rows.recount, holder=holder))
    return wrong


async def page_of_accounts(deps: Deps, *, after: str, limit: int) -> list[Listed]:
    """Accounts that have a quota or are counted, behind one, in order."""
    found = await deps.db.read(lambda tx: rows.accounts(tx, after=after, limit=limit))
    return [_account(deps, account, quota) for account, quota in found]


async def page_of_repositories(deps: Deps, *, after: int, limit: int) -> list[tuple[int, Listed]]:
    """Repositories that have a quota or are counted, by id, behind one."""

    def unit(tx: Tx) -> list[tuple[int, Listed]]:
        found = [
            (one, repository_rows.by_id(tx, one), quota)
            for one, quota in rows.of_repositories(tx, after=after, limit=limit)
        ]
        return [(one, _repository(deps, known, quota)) for one, known, quota in found if known is not None]

    return await deps.db.read(unit)


# --- inside -----------------------------------------------------------------------------------------------------------


def _count(
    tx: Tx,
    deps: Deps,
    repository: Repository,
    ours: Holding,
    theirs: Holding,
    coming: tuple[int, int] = (0, 0),
) -> None:
    settings, account = deps.settings.quotas, repository.registry.account
    quota = rows.move(tx, repository.id, ours) or (rows.begin(tx, repository.id) if settings.for_repositories else None)
    of_both = rows.move(tx, account, theirs) or (rows.begin(tx, account) if settings.for_accounts else None)
    if quota is not None:
        allowed = allowance.of_repository(settings, quota)
        if excess := allowance.excess(allowed, quota.holding, ours, coming=coming[0]):
            raise _refusal(_text(repository), excess)
    if of_both is not None:
        allowed = allowance.of_account(settings, of_both)
        if excess := allowance.excess(allowed, of_both.holding, theirs, coming=coming[1]):
            raise _refusal(_text(account), excess)


def _rooms(
    tx: Tx, deps: Deps, repository: Repository, digest: Digest | None, size: int, *, at_least: bool
) -> list[Room]:
    """Of the repository and of its account. Who is not counted yet holds nothing."""
    if digest is not None and blob_rows.linked(tx, repository.id, digest) is not None:
        return []
    settings, account = deps.settings.quotas, repository.registry.account
    own, common = rows.find(tx, repository.id), rows.find(tx, account)
    both = (
        (_text(repository), allowance.of_repository(settings, own), own),
        (_text(account), allowance.of_account(settings, common), common),
    )
    found: list[Room] = []
    for holder, allowed, quota in both:
        held = Holding() if quota is None else quota.holding
        left = allowance.room(allowed, held)
        if left is None:
            continue
        if left < size:
            raise _too_large(holder, allowed, held, size, at_least=at_least)
        found.append(Room(bytes=left, refusal=_too_large(holder, allowed, held, left + 1, at_least=True)))
    return found


def _too_large(holder: str, allowed: Allowance, held: Holding, size: int, *, at_least: bool) -> QuotaExceeded:
    after = dataclasses.replace(held, unneeded_bytes=held.unneeded_bytes + size)
    excess = allowance.excess(allowed, after, Holding(unneeded_bytes=size), coming=size)
    assert excess is not None
    return _refusal(holder, excess, at_least=at_least)


def _text(holder: Repository | AccountId) -> str:
    if isinstance(holder, Repository):
        return f"The repository with name '{holder.name}' in the registry with id '{holder.registry.account}'"
    return f"The account with id '{holder}'"


def _refusal(holder: str, excess: Excess, *, at_least: bool = False) -> QuotaExceeded:
    return QuotaExceeded(
        holder,
        excess.what,
        allowed=excess.allowed,
        used=excess.used,
        asked=excess.asked,
        needed=excess.needed,
        at_least=at_least,
    )


def _allow(tx: Tx, deps: Deps, holder: Holder, bytes_allowed: int | None, images_allowed: int | None) -> Quota:
    return rows.allow(tx, holder, bytes_allowed=bytes_allowed, images_allowed=images_allowed, now=deps.clock.now())


def _remove(tx: Tx, deps: Deps, holder: Holder, *, keep: bool) -> bool:
    """`keep`: it is counted for the settings' sake."""
    found = rows.find(tx, holder)
    if found is None or found.set_at is None:
        return False
    if keep:
        rows.unset(tx, holder)
    else:
        rows.forget(tx, holder)
    return True


def _require(tx: Tx, registry: RegistryRef, name: RepositoryName) -> Repository:
    found = repository_rows.find(tx, registry, name)
    if found is None:
        raise RepositoryNotFound(name, registry.account)
    return found


def _account(deps: Deps, account: AccountId, quota: Quota) -> Listed:
    return Listed(account=account, quota=quota, allowance=allowance.of_account(deps.settings.quotas, quota))


def _repository(deps: Deps, repository: Repository, quota: Quota) -> Listed:
    return Listed(
        account=repository.registry.account,
        region=repository.registry.region,
        repository=repository.name,
        quota=quota,
        allowance=allowance.of_repository(deps.settings.quotas, quota),
    )
