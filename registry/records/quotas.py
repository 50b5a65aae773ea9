"""Rows of quotas: what an account or a repository may hold, and a count of what it holds.

The count changes in the transaction that changes what is counted, by what changes and no more, so that a push costs a
few looks by key however much is there. Only what has a row is counted; a row begins with a count of everything. Exact
sums of the same are `usage.holding`, which a count never differs from.

A blob moves between two sums. A link that no manifest of its repository needs is unneeded: its image is still to come,
or was deleted. The first manifest that needs it makes it needed; when the last one goes, it is unneeded again, until
its link goes. An account needs it while any of its repositories does.
"""

import datetime as dt
from typing import Any, Final

import sqlalchemy as sa

from registry.model import Blob, Holding, Image, Quota, Repository
from registry.names import AccountId
from registry.records import usage
from registry.records.engine import Tx
from registry.records.tables.images import blobs, links, manifest_references, repositories
from registry.records.tables.quotas import account_quotas, repository_quotas
from registry.records.usage import Holder

_b, _l, _x, _r, _rq, _aq = (
    table.c for table in (blobs, links, manifest_references, repositories, repository_quotas, account_quotas)
)


def find(tx: Tx, holder: Holder) -> Quota | None:
    """None: it has no quota of its own, and was not counted yet."""
    table, mine = _row_of(holder)
    row = tx.execute(sa.select(table).where(mine)).one_or_none()
    return None if row is None else _quota(row)


def begin(tx: Tx, holder: Holder) -> Quota:
    """Count from now on; the first count is of all that is there."""
    table, _ = _row_of(holder)
    key = {"repository_id": holder} if isinstance(holder, int) else {"account": holder}
    tx.execute(sa.insert(table).values(**key, **_columns(usage.holding(tx, holder))))
    begun = find(tx, holder)
    assert begun is not None
    return begun


def allow(tx: Tx, holder: Holder, *, bytes_allowed: int | None, images_allowed: int | None, now: dt.datetime) -> Quota:
    """Set what it may hold."""
    table, mine = _row_of(holder)
    if find(tx, holder) is None:
        begin(tx, holder)
    new = {"bytes_allowed": bytes_allowed, "images_allowed": images_allowed, "set_at": now}
    tx.execute(sa.update(table).where(mine).values(**new))
    changed = find(tx, holder)
    assert changed is not None
    return changed


def unset(tx: Tx, holder: Holder) -> None:
    """Let the settings say what it may hold."""
    table, mine = _row_of(holder)
    tx.execute(sa.update(table).where(mine).values(bytes_allowed=None, images_allowed=None, set_at=None))


def forget(tx: Tx, holder: Holder) -> None:
    """Count it no longer."""
    table, mine = _row_of(holder)
    tx.execute(sa.delete(table).where(mine))


def recount(tx: Tx, holder: Holder) -> bool:
    """Count all that is there; whether that changes anything."""
    table, mine = _row_of(holder)
    found, now = find(tx, holder), usage.holding(tx, holder)
    tx.execute(sa.update(table).where(mine).values(**_columns(now)))
    return found is not None and found.holding != now


def move(tx: Tx, holder: Holder, change: Holding) -> Quota | None:
    """Add to a count; what stands then. None where it is not counted."""
    table, mine = _row_of(holder)
    added = {
        "images": table.c.images + change.images,
        "needed_bytes": table.c.needed_bytes + change.needed_bytes,
        "unneeded_bytes": table.c.unneeded_bytes + change.unneeded_bytes,
    }
    row = tx.execute(sa.update(table).where(mine).values(**added).returning(table)).one_or_none()
    return None if row is None else _quota(row)


def holders(tx: Tx) -> list[Holder]:
    """All that are counted."""
    counted: list[Holder] = [AccountId(one) for one in tx.execute(sa.select(_aq.account)).scalars()]
    return [*counted, *tx.execute(sa.select(_rq.repository_id)).scalars()]


def accounts(tx: Tx, *, after: str, limit: int) -> list[tuple[AccountId, Quota]]:
    """Counted accounts behind one, in order."""
    page = sa.select(account_quotas).where(_aq.account > after).order_by(_aq.account).limit(limit)
    return [(AccountId(row.account), _quota(row)) for row in tx.execute(page)]


def of_repositories(tx: Tx, *, after: int, limit: int) -> list[tuple[int, Quota]]:
    """Counted repositories behind an id, by id."""
    page = sa.select(repository_quotas).where(_rq.repository_id > after).order_by(_rq.repository_id).limit(limit)
    return [(row.repository_id, _quota(row)) for row in tx.execute(page)]


# --- what comes: the caller adds it by `move`, and sees whether it may ------------------------------------------------


def of_link(tx: Tx, repository: Repository, blob: Blob) -> tuple[Holding, Holding, int]:
    """What a link that was just written brings its repository and its account; and the bytes that the account will
    need when a manifest of the repository needs the blob."""
    mine = {"repository": repository.id, "account": repository.registry.account, "blob": blob.id}
    needed, elsewhere = tx.execute(_OF_LINK, mine | {"digest": blob.digest}).one()
    new = 0 if elsewhere else blob.size
    if needed:  # by a manifest that came before the blob, as `registry.accept_sparse` lets it
        return Holding(needed_bytes=blob.size), Holding(needed_bytes=new), new
    return Holding(unneeded_bytes=blob.size), Holding(unneeded_bytes=blob.size), new


def of_image(tx: Tx, account: AccountId, image: Image) -> tuple[Holding, Holding]:
    """What a manifest that is there adds to its repository and its account: it is the only one there that needs
    some blobs."""
    mine = {"manifest": image.id, "repository": image.repository_id, "account": account}
    alone, also_in_account = tx.execute(_OF_IMAGE, mine).one()
    return tuple(
        Holding(images=1, needed_bytes=image.body_size + int(needed), unneeded_bytes=-int(alone))
        for needed in (alone, also_in_account)
    )  # type: ignore[return-value] # they are two


# --- what goes --------------------------------------------------------------------------------------------------------


def image_goes(tx: Tx, image: Image) -> None:
    """Before a manifest is deleted."""
    account = _counted_account(tx, image.repository_id)
    if account is not None:
        ours, theirs = of_image(tx, account, image)
        move(tx, image.repository_id, _less(ours))
        move(tx, account, _less(theirs))


def blobs_go(tx: Tx, repository_id: int, size: int) -> None:
    """Links of blobs that no manifest of the repository needed are gone, with so many bytes."""
    account = _counted_account(tx, repository_id)
    if account is not None:
        move(tx, repository_id, Holding(unneeded_bytes=-size))
        move(tx, account, Holding(unneeded_bytes=-size))


def repository_goes(tx: Tx, repository_id: int) -> None:
    """Before a repository is deleted with all that is in it."""
    account = _counted_account(tx, repository_id)
    if account is not None:
        held = usage.holding(tx, repository_id)
        mine = {"repository": repository_id, "account": account}
        shared = int(tx.execute(_SHARED, mine).scalar_one())
        gone = Holding(images=held.images, needed_bytes=held.needed_bytes - shared, unneeded_bytes=held.unneeded_bytes)
        move(tx, account, _less(gone))


# --- inside -----------------------------------------------------------------------------------------------------------


def _row_of(holder: Holder) -> tuple[sa.Table, sa.ColumnElement[bool]]:
    if isinstance(holder, int):
        return repository_quotas, _rq.repository_id == holder
    return account_quotas, _aq.account == holder


def _counted_account(tx: Tx, repository_id: int) -> AccountId | None:
    """The repository's account, where either is counted."""
    found = tx.execute(_COUNTED, {"repository": repository_id}).scalar_one_or_none()
    return None if found is None else AccountId(found)


def _less(holding: Holding) -> Holding:
    return Holding(images=-holding.images, needed_bytes=-holding.needed_bytes, unneeded_bytes=-holding.unneeded_bytes)


def _columns(holding: Holding) -> dict[str, int]:
    return {
        "images": holding.images,
        "needed_bytes": holding.needed_bytes,
        "unneeded_bytes": holding.unneeded_bytes,
    }


def _quota(row: sa.Row[Any]) -> Quota:
    held = Holding(images=row.images, needed_bytes=row.needed_bytes, unneeded_bytes=row.unneeded_bytes)
    return Quota(bytes_allowed=row.bytes_allowed, images_allowed=row.images_allowed, set_at=row.set_at, holding=held)


_COUNTED: Final = (
    sa.select(_r.account)
    .outerjoin(repository_quotas, _rq.repository_id == _r.id)
    .outerjoin(account_quotas, _aq.account == _r.account)
    .where(_r.id == sa.bindparam("repository"))
    .where(sa.or_(_rq.repository_id.is_not(None), _aq.account.is_not(None)))
)


def _needed_elsewhere(blob_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Whether another repository of the account needs the blob. The cost is that of the blob's links."""
    links_, references, others = links.alias(), manifest_references.alias(), repositories.alias()
    # As a join, SQLite would look through all repositories of the account for those that the few links name.
    is_of_account = sa.exists().where(
        others.c.id == links_.c.repository_id, others.c.account == sa.bindparam("account")
    )
    is_needed = sa.exists().where(
        references.c.repository_id == links_.c.repository_id, references.c.digest == links_.c.digest
    )
    return sa.exists().where(
        links_.c.blob_id == blob_id,
        links_.c.repository_id != sa.bindparam("repository"),
        is_of_account,
        is_needed,
    )


def _total(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(sa.func.sum(column), 0)


_other: Final = manifest_references.alias()
_OF_LINK: Final = sa.select(
    sa.exists().where(_x.repository_id == sa.bindparam("repository"), _x.digest == sa.bindparam("digest")),
    _needed_elsewhere(sa.bindparam("blob")),
)
_OF_IMAGE: Final = (
    sa.select(_total(_b.size), _total(sa.case((_needed_elsewhere(_b.id), 0), else_=_b.size)))
    .select_from(manifest_references)
    .join(links, (_l.repository_id == _x.repository_id) & (_l.digest == _x.digest))
    .join(blobs, _b.id == _l.blob_id)
    .where(
        _x.manifest_id == sa.bindparam("manifest"),
        ~sa.exists().where(
            _other.c.repository_id == sa.bindparam("repository"),
            _other.c.digest == _x.digest,
            _other.c.manifest_id != sa.bindparam("manifest"),
        ),
    )
)
_SHARED: Final = (
    sa.select(_total(_b.size))
    .select_from(links)
    .join(blobs, _b.id == _l.blob_id)
    .where(
        _l.repository_id == sa.bindparam("repository"),
        sa.exists().where(_x.repository_id == _l.repository_id, _x.digest == _l.digest),
        _needed_elsewhere(_b.id),
    )
)
