"""Rows of lifecycle policies, of what they decided, and the images that they decide about.

An evaluation is the decision of one policy about all images of a repository at one moment, kept as rows: to be shown (a
preview), or to be carried out (a run), which removes each verdict with the image that it names.
"""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from policies.lifecycle import Candidate
from registry.model import StorageClass
from registry.names import Digest, Tag
from registry.records.engine import Tx
from registry.records.tables.images import manifest_references, manifests, tags
from registry.records.tables.keeping import (
    image_pulls,
    image_storage,
    lifecycle_evaluations,
    lifecycle_policies,
    lifecycle_verdicts,
)

Purpose = Literal["preview", "run"]
State = Literal["deciding", "decided", "failed"]
Action = Literal["expire", "archive"]

_p, _e, _v = lifecycle_policies.c, lifecycle_evaluations.c, lifecycle_verdicts.c
_i, _t, _x, _s = manifests.c, tags.c, manifest_references.c, image_storage.c


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A repository's policy as it was put."""

    policy: str
    evaluated_at: dt.datetime | None
    trouble: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a policy decided. The counts are of all its verdicts, also of those that were carried out."""

    id: int
    repository_id: int
    purpose: Purpose
    policy: str
    state: State
    began_at: dt.datetime
    decided_at: dt.datetime | None
    expiring: int
    archiving: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A verdict as it is kept. Those of one `party` go together, in the order of their positions."""

    position: int
    party: int
    digest: Digest
    tags: tuple[Tag, ...]
    pushed_at: dt.datetime
    storage_class: StorageClass  # that the image had
    action: Action
    rule_priority: int
    reason: str


# --- policies ---------------------------------------------------------------------------------------------------------


def put_policy(tx: Tx, repository_id: int, policy: str, now: dt.datetime) -> None:
    """Keep a policy, which has not run yet; what another one decided and did not carry out is forgotten."""
    delete_policy(tx, repository_id)
    tx.execute(sa.insert(lifecycle_policies).values(repository_id=repository_id, policy=policy, put_at=now))


def policy_of(tx: Tx, repository_id: int) -> Stored | None:
    row = tx.execute(sa.select(lifecycle_policies).where(_p.repository_id == repository_id)).one_or_none()
    return None if row is None else Stored(policy=row.policy, evaluated_at=row.evaluated_at, trouble=row.trouble)


def delete_policy(tx: Tx, repository_id: int) -> None:
    tx.execute(sa.delete(lifecycle_policies).where(_p.repository_id == repository_id))
    forget(tx, repository_id, "run")


def next_repository(tx: Tx, *, after: int) -> int | None:
    """The id of the first repository behind `after` that has a policy."""
    return tx.execute(
        sa.select(_p.repository_id).where(_p.repository_id > after).order_by(_p.repository_id).limit(1)
    ).scalar_one_or_none()


def note_run(tx: Tx, repository_id: int, *, at: dt.datetime | None, trouble: str | None) -> None:
    """Say how the last run of a repository's policy ended; `at` is None where it did not."""
    values: dict[str, object] = {"trouble": trouble} | ({} if at is None else {"evaluated_at": at})
    tx.execute(sa.update(lifecycle_policies).where(_p.repository_id == repository_id).values(**values))


# --- evaluations ------------------------------------------------------------------------------------------------------


def begin(tx: Tx, repository_id: int, purpose: Purpose, policy: str, now: dt.datetime) -> Evaluation:
    """A new evaluation in the place of one of the same purpose."""
    forget(tx, repository_id, purpose)
    statement = sa.insert(lifecycle_evaluations).values(
        repository_id=repository_id,
        purpose=purpose,
        policy=policy,
        state="deciding",
        began_at=now,
        expiring=0,
        archiving=0,
    )
    row = tx.execute(statement.returning(lifecycle_evaluations)).one()
    return _evaluation(row)


def evaluation(tx: Tx, repository_id: int, purpose: Purpose) -> Evaluation | None:
    mine = (_e.repository_id == repository_id) & (_e.purpose == purpose)
    row = tx.execute(sa.select(lifecycle_evaluations).where(mine)).one_or_none()
    return None if row is None else _evaluation(row)


def by_id(tx: Tx, evaluation_id: int) -> Evaluation | None:
    row = tx.execute(sa.select(lifecycle_evaluations).where(_e.id == evaluation_id)).one_or_none()
    return None if row is None else _evaluation(row)


def settle(
    tx: Tx, evaluation_id: int, state: State, now: dt.datetime, *, expiring: int = 0, archiving: int = 0
) -> None:
    tx.execute(
        sa.update(lifecycle_evaluations)
        .where(_e.id == evaluation_id)
        .values(state=state, decided_at=now, expiring=expiring, archiving=archiving)
    )


def forget(tx: Tx, repository_id: int, purpose: Purpose) -> None:
    """Remove an evaluation with its verdicts."""
    tx.execute(sa.delete(lifecycle_evaluations).where(_e.repository_id == repository_id, _e.purpose == purpose))


# --- verdicts ---------------------------------------------------------------------------------------------------------


def add_verdicts(tx: Tx, evaluation_id: int, verdicts: Sequence[Sentence]) -> None:
    tx.execute(
        sa.insert(lifecycle_verdicts),
        [
            {
                "evaluation_id": evaluation_id,
                "position": verdict.position,
                "party": verdict.party,
                "digest": verdict.digest,
                "tags": json.dumps(verdict.tags),
                "pushed_at": verdict.pushed_at,
                "storage_class": verdict.storage_class,
                "action": verdict.action,
                "rule_priority": verdict.rule_priority,
                "reason": verdict.reason,
            }
            for verdict in verdicts
        ],
    )


def clear_verdicts(tx: Tx, evaluation_id: int) -> None:
    tx.execute(sa.delete(lifecycle_verdicts).where(_v.evaluation_id == evaluation_id))


def verdict_page(
    tx: Tx,
    evaluation_id: int,
    *,
    after: int,
    limit: int,
    only: Literal["TAGGED", "UNTAGGED"] | None = None,
    digests: Iterable[Digest] | None = None,
) -> list[Sentence]:
    """Verdicts behind the position `after`, in order."""
    statement = sa.select(lifecycle_verdicts).where(_v.evaluation_id == evaluation_id, _v.position > after)
    if only is not None:
        statement = statement.where(_v.tags == "[]" if only == "UNTAGGED" else _v.tags != "[]")
    if digests is not None:
        statement = statement.where(_v.digest.in_(list(digests)))
    return [_sentence(row) for row in tx.execute(statement.order_by(_v.position).limit(limit))]


def next_parties(tx: Tx, evaluation_id: int, *, least: int) -> list[Sentence]:
    """The first `least` verdicts, and those that go together with the last of them."""
    found = verdict_page(tx, evaluation_id, after=-1, limit=least)
    if not found:
        return []
    behind = (_v.evaluation_id == evaluation_id) & (_v.position > found[-1].position)
    # Where the next party begins, in the order of the key: so that only rows that are wanted are read.
    others = sa.select(_v.position).where(behind, _v.party != found[-1].party).order_by(_v.position).limit(1)
    end = tx.execute(others).scalar()
    rest = sa.select(lifecycle_verdicts).where(behind if end is None else behind & (_v.position < end))
    return [*found, *(_sentence(row) for row in tx.execute(rest.order_by(_v.position)))]


def remove_verdicts(tx: Tx, evaluation_id: int, *, up_to: int) -> None:
    """Remove verdicts up to and with that position: they are carried out, or came too late."""
    tx.execute(sa.delete(lifecycle_verdicts).where(_v.evaluation_id == evaluation_id, _v.position <= up_to))


# --- images -----------------------------------------------------------------------------------------------------------


def candidates(tx: Tx, repository_id: int) -> list[Candidate]:
    """All images of a repository, as a policy sees them."""
    names: dict[int, list[str]] = {}
    for image_id, name in tx.execute(
        sa.select(_t.manifest_id, _t.name).where(_t.repository_id == repository_id).order_by(_t.name)
    ):
        names.setdefault(image_id, []).append(name)
    parents: dict[str, list[str]] = {}
    for child, parent in tx.execute(
        sa.select(_x.digest, _i.digest)
        .join(manifests, _i.id == _x.manifest_id)
        .where(_x.repository_id == repository_id, _x.kind == "child")
        .order_by(_x.manifest_id)
    ):
        parents.setdefault(child, []).append(parent)
    statement = (
        sa.select(_i.id, _i.digest, _i.kind, _i.subject, _i.pushed_at, image_pulls.c.pulled_at)
        .add_columns(_s.status, _s.archived_at, _s.activated_at)
        .join(image_pulls, image_pulls.c.manifest_id == _i.id, isouter=True)
        .join(image_storage, _s.manifest_id == _i.id, isouter=True)
        .where(_i.repository_id == repository_id)
    )
    return [
        Candidate(
            digest=row.digest,
            tags=tuple(names.get(row.id, ())),
            pushed_at=row.pushed_at,
            pulled_at=row.pulled_at,
            transitioned_at=row.archived_at,
            activated_at=row.activated_at,
            archived=row.status == "ARCHIVED",
            index=row.kind == "index",
            parents=tuple(parents.get(row.digest, ())),
            subject=row.subject,
        )
        for row in tx.execute(statement)
    ]


# --- inside -----------------------------------------------------------------------------------------------------------


def _evaluation(row: sa.Row[Any]) -> Evaluation:
    return Evaluation(
        id=row.id,
        repository_id=row.repository_id,
        purpose=row.purpose,
        policy=row.policy,
        state=row.state,
        began_at=row.began_at,
        decided_at=row.decided_at,
        expiring=row.expiring,
        archiving=row.archiving,
    )


def _sentence(row: sa.Row[Any]) -> Sentence:
    return Sentence(
        position=row.position,
        party=row.party,
        digest=Digest(row.digest),
        tags=tuple(Tag(name) for name in json.loads(row.tags)),
        pushed_at=row.pushed_at,
        storage_class=row.storage_class,
        action=row.action,
        rule_priority=row.rule_priority,
        reason=row.reason,
    )
