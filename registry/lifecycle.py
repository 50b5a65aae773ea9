"""Lifecycle policies: put, get, preview, run.

    put          the text, as it was put
    evaluate     the policy, all images of the repository, who uses them → verdicts, as rows
    preview      an evaluation to be looked at; a job makes it
    run          an evaluation that is carried out: some images at a time, in its order, each step one transaction

Verdicts are rows before the first image goes, because what a rule decides depends on the images that are there: it
counts those that another rule takes away. A run that is broken off anywhere goes on with the same verdicts, and ends
with the images that an unbroken one would have left. A verdict is looked at once more when its turn comes: where the
image has changed since, or somebody uses it by now, it stays until the next run.
"""

import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from policies import lifecycle as rules
from policies.lifecycle import Candidate, Decisions, Policy
from registry import archiving, audit, image_users, images, reactions, repositories, threads
from registry.context import Deps
from registry.errors import (
    InvalidParameter,
    LifecyclePolicyNotFound,
    LifecyclePolicyPreviewInProgress,
    LifecyclePolicyPreviewNotFound,
)
from registry.events import ImageExpired, LifecyclePreviewStarted, about
from registry.model import Doer, Image, Repository, StorageClass
from registry.names import Digest, RegistryRef, RepositoryName, Tag, repository_arn
from registry.records import audit_log
from registry.records import images as image_rows
from registry.records import lifecycle as rows
from registry.records import repositories as repository_rows
from registry.records.engine import Tx
from registry.records.lifecycle import Evaluation, Sentence, Stored

ACTOR: Final = "lifecycle"  # in the audit log
_BATCH: Final = 50  # images that go in one transaction; more where an index and its images are more
_PAGE: Final = 500  # verdicts that are written in one
_STALE: Final = dt.timedelta(hours=1)  # after which a run that was broken off is decided anew
_LASTS: Final = dt.timedelta(days=1)  # how long a preview is shown

Status = Literal["IN_PROGRESS", "COMPLETE", "EXPIRED", "FAILED"]


class Superseded(Exception):
    """The evaluation is no more: the policy was put anew, the repository deleted, or another run began."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a policy would do, as far as that is known."""

    policy: str
    status: Status
    expiring: int
    archiving: int
    page: Sequence[Sentence]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run did. `spared`: images that were to go, and changed before their turn came."""

    repository: Repository
    expired: Sequence[Sentence]
    archived: Sequence[Sentence]
    spared: Sequence[Sentence]


# --- policies ---------------------------------------------------------------------------------------------------------


async def put_policy(deps: Deps, registry: RegistryRef, name: RepositoryName, text: str) -> None:
    """Keep a policy, as it was put; the next run is its first. Raises InvalidParameter, RepositoryNotFound."""
    _parse(deps, text)
    now = deps.clock.now()
    await deps.db.write(lambda tx: rows.put_policy(tx, repositories.require(tx, registry, name).id, text, now))


async def get_policy(deps: Deps, registry: RegistryRef, name: RepositoryName) -> Stored:
    """Raises RepositoryNotFound, LifecyclePolicyNotFound."""
    return await deps.db.read(lambda tx: _stored(tx, repositories.require(tx, registry, name)))


async def delete_policy(deps: Deps, registry: RegistryRef, name: RepositoryName) -> Stored:
    """The policy that is gone now. Raises RepositoryNotFound, LifecyclePolicyNotFound."""

    def unit(tx: Tx) -> Stored:
        repository = repositories.require(tx, registry, name)
        found = _stored(tx, repository)
        rows.delete_policy(tx, repository.id)
        return found

    return await deps.db.write(unit)


# --- previews ---------------------------------------------------------------------------------------------------------


async def start_preview(deps: Deps, registry: RegistryRef, name: RepositoryName, text: str | None) -> str:
    """Have a job find out what a policy would do (None: the repository's own). The text of the policy.

    Raises InvalidParameter, RepositoryNotFound, LifecyclePolicyNotFound, LifecyclePolicyPreviewInProgress.
    """
    if text is not None:
        _parse(deps, text)
    now, as_of = deps.clock.now(), deps.clock.steady()

    def unit(tx: Tx) -> str:
        repository = repositories.require(tx, registry, name)
        policy = text if text is not None else _stored(tx, repository).policy
        known = rows.evaluation(tx, repository.id, "preview")
        if known is not None and known.state == "deciding":
            raise LifecyclePolicyPreviewInProgress
        begun = rows.begin(tx, repository.id, "preview", policy, as_of)
        reactions.emit(tx, LifecyclePreviewStarted(at=now, evaluation_id=begun.id))
        return policy

    return await deps.db.write(unit)


async def preview(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    *,
    after: int,
    limit: int,
    only: Literal["TAGGED", "UNTAGGED"] | None = None,
    wanted: Sequence[Digest | Tag] | None = None,
) -> Preview:
    """The last preview, with its images behind the position `after`; of these images only, where `wanted` names some.

    Raises RepositoryNotFound, LifecyclePolicyPreviewNotFound.
    """
    now = deps.clock.now()

    def unit(tx: Tx) -> Preview:
        repository = repositories.require(tx, registry, name)
        found = rows.evaluation(tx, repository.id, "preview")
        if found is None:
            raise LifecyclePolicyPreviewNotFound(name, registry.account)
        status = _status(found, now)
        page: list[Sentence] = []
        if status == "COMPLETE":
            digests = None if wanted is None else _digests(tx, repository.id, wanted)
            page = rows.verdict_page(tx, found.id, after=after, limit=limit, only=only, digests=digests)
        return Preview(
            policy=found.policy, status=status, expiring=found.expiring, archiving=found.archiving, page=page
        )

    return await deps.db.read(unit)


async def make_preview(deps: Deps, evaluation_id: int) -> None:
    """Do what `start_preview` left to a job. One that nobody waits for any more is no trouble."""
    found = await deps.db.read(lambda tx: rows.by_id(tx, evaluation_id))
    if found is not None and found.state == "deciding":
        try:
            await _evaluate(deps, found)
        except Superseded:
            return
        except InvalidParameter:  # it was good when it was put, by settings that have changed
            await deps.db.write(lambda tx: fail_preview(tx, evaluation_id, deps.clock.now()))


def fail_preview(tx: Tx, evaluation_id: int, now: dt.datetime) -> None:
    """Say that there will be no preview, inside the transaction that gives it up."""
    rows.settle(tx, evaluation_id, "failed", now)


async def explain(
    deps: Deps, registry: RegistryRef, name: RepositoryName, text: str | None = None
) -> tuple[Decisions, Mapping[str, Candidate]]:
    """What a policy (None: the repository's own) says of every image now, and the images by digest; nothing is written.

    Raises InvalidParameter, RepositoryNotFound, LifecyclePolicyNotFound.
    """

    def unit(tx: Tx) -> tuple[str, _Scene]:
        repository = repositories.require(tx, registry, name)
        policy = text if text is not None else _stored(tx, repository).policy
        return policy, _scene(tx, repository.id, deps.clock.now())

    policy, scene = await deps.db.read(unit)
    decisions = await _decide(_parse(deps, policy), scene, deps.clock.steady())
    return decisions, {image.digest: image for image in scene.images}


# --- runs -------------------------------------------------------------------------------------------------------------


async def next_repository(deps: Deps, *, after: int) -> Repository | None:
    """The first repository behind the id `after` that has a policy, of any registry."""

    def unit(tx: Tx) -> Repository | None:
        found = rows.next_repository(tx, after=after)
        return None if found is None else repository_rows.by_id(tx, found)

    return await deps.db.read(unit)


async def run(deps: Deps, repository_id: int, *, pause: Callable[[], None] = lambda: None) -> Ran | None:
    """Carry out a repository's policy, or what a run of it that was broken off has left to do.

    None where there is no policy, or somebody else took this run over. `pause` is called between steps, and may raise.
    """
    now = deps.clock.steady()
    done: list[Sentence] = []
    spared: list[Sentence] = []
    try:
        plan = await deps.db.write(lambda tx: _plan(tx, repository_id, now))
        if plan is None:
            return None
        if plan.state == "deciding":
            pause()
            await _evaluate(deps, plan)
        while True:
            pause()
            step = await deps.db.write(lambda tx: _carry_out(tx, deps, plan))
            done += step.done
            spared += step.spared
            if step.is_last:
                break
    except Superseded:
        return None
    return Ran(
        repository=step.repository,
        expired=[verdict for verdict in done if verdict.action == "expire"],
        archived=[verdict for verdict in done if verdict.action == "archive"],
        spared=spared,
    )


async def note_trouble(deps: Deps, repository_id: int, trouble: str) -> None:
    """Say why a run did not come to its end."""
    await deps.db.write(lambda tx: rows.note_run(tx, repository_id, at=None, trouble=trouble))


# --- inside -----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    repository: Repository
    done: Sequence[Sentence]
    spared: Sequence[Sentence]
    is_last: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """A repository as a policy sees it: its images, who uses which, and whether it is protected from deletion."""

    images: Sequence[Candidate]
    users: Mapping[str, str]
    protected: bool


def _parse(deps: Deps, text: str) -> Policy:
    """Raises InvalidParameter, in ECR's words."""
    try:
        return rules.parse(text, extensions=deps.settings.lifecycle.extensions)
    except rules.Malformed as error:
        raise InvalidParameter(str(error), field="lifecyclePolicyText") from None


def _stored(tx: Tx, repository: Repository) -> Stored:
    found = rows.policy_of(tx, repository.id)
    if found is None:
        raise LifecyclePolicyNotFound(repository.name, repository.registry.account)
    return found


def _status(found: Evaluation, now: dt.datetime) -> Status:
    if found.state == "deciding":
        return "IN_PROGRESS"
    if found.state == "failed":
        return "FAILED"
    return "EXPIRED" if found.decided_at is not None and now - found.decided_at > _LASTS else "COMPLETE"


def _digests(tx: Tx, repository_id: int, wanted: Sequence[Digest | Tag]) -> list[Digest]:
    named = [one if isinstance(one, Digest) else image_rows.tagged(tx, repository_id, one) for one in wanted]
    return [one.digest if isinstance(one, Image) else one for one in named if one is not None]


def _scene(tx: Tx, repository_id: int, now: dt.datetime) -> _Scene:
    repository = repository_rows.by_id(tx, repository_id)
    return _Scene(
        images=rows.candidates(tx, repository_id),
        users=image_users.in_use(tx, repository_id, now),
        protected=repository is not None and repository.protected,
    )


async def _decide(policy: Policy, scene: _Scene, as_of: dt.datetime) -> Decisions:
    return await threads.run(rules.decide, policy, scene.images, as_of, in_use=scene.users, protected=scene.protected)


async def _evaluate(deps: Deps, evaluation: Evaluation) -> None:
    """Decide about every image, and write the verdicts down. Raises Superseded."""
    policy = _parse(deps, evaluation.policy)
    scene = await deps.db.read(lambda tx: _scene(tx, evaluation.repository_id, deps.clock.now()))
    decisions = await _decide(policy, scene, evaluation.began_at)
    verdicts = _sentences(decisions, {image.digest: image for image in scene.images})

    def begin(tx: Tx) -> None:
        _require(tx, evaluation)
        rows.clear_verdicts(tx, evaluation.id)  # of a try that was broken off

    def add(first: int, tx: Tx) -> None:
        _require(tx, evaluation)
        rows.add_verdicts(tx, evaluation.id, verdicts[first : first + _PAGE])

    def settle(tx: Tx) -> None:
        _require(tx, evaluation)
        archiving = sum(decisions.summary.transitioning.values())
        expiring = decisions.summary.expiring
        rows.settle(tx, evaluation.id, "decided", deps.clock.now(), expiring=expiring, archiving=archiving)

    await deps.db.write(begin)
    for first in range(0, len(verdicts), _PAGE):
        await deps.db.write(functools.partial(add, first))
    await deps.db.write(settle)


def _sentences(decisions: Decisions, found: Mapping[str, Candidate]) -> list[Sentence]:
    """The verdicts as rows, each with the number of the group that must go as one."""
    numbered = ((party, verdict) for party, group in enumerate(decisions.groups) for verdict in group)
    return [
        Sentence(
            position=position,
            party=party,
            digest=Digest(verdict.digest),
            tags=tuple(Tag(tag) for tag in verdict.tags),
            pushed_at=found[verdict.digest].pushed_at,
            storage_class=_class_of(archived=found[verdict.digest].archived),
            action=verdict.action,
            rule_priority=verdict.rule_priority,
            reason=verdict.reason,
        )
        for position, (party, verdict) in enumerate(numbered)
    ]


def _class_of(*, archived: bool) -> StorageClass:
    return "ARCHIVE" if archived else "STANDARD"


def _require(tx: Tx, evaluation: Evaluation) -> None:
    if rows.by_id(tx, evaluation.id) is None:
        raise Superseded


def _plan(tx: Tx, repository_id: int, now: dt.datetime) -> Evaluation | None:
    """What is to be carried out: the rest of a run that was broken off, or a new one."""
    stored = rows.policy_of(tx, repository_id)
    if stored is None:
        return None
    left = rows.evaluation(tx, repository_id, "run")
    if left is not None and left.state == "decided" and abs(now - left.began_at) < _STALE:
        return left
    image_users.forget_ended(tx, repository_id, now)
    return rows.begin(tx, repository_id, "run", stored.policy, now)


def _carry_out(tx: Tx, deps: Deps, plan: Evaluation) -> _Step:
    """One step of a run: some images go, with their verdicts. Raises Superseded."""
    _require(tx, plan)
    repository = repository_rows.by_id(tx, plan.repository_id)
    assert repository is not None  # the evaluation would be gone with it
    now = deps.clock.now()
    users = image_users.in_use(tx, repository.id, now)
    doer = Doer(principal=ACTOR, request_id=_run_of(plan))
    page = rows.next_parties(tx, plan.id, least=_BATCH)
    done: list[Sentence] = []
    archived: list[Image] = []
    spared: list[Sentence] = []
    for verdict in page:
        image = _as_decided(tx, repository.id, verdict)
        is_protected = repository.protected and verdict.action == "expire"
        if image is None or verdict.digest in users or is_protected:
            spared.append(verdict)
            continue
        if verdict.action == "archive":
            archived.append(
                archiving.put_away(tx, repository, image, now, by=ACTOR, rule_priority=verdict.rule_priority)
            )
        else:
            images.remove(tx, deps, repository, image, now=now, cause="expired", reason=verdict.reason, doer=doer)
        _tell(tx, deps, plan, repository, verdict, image, now)
        done.append(verdict)
    archiving.send_bytes(tx, repository, archived, now)
    if page:
        rows.remove_verdicts(tx, plan.id, up_to=page[-1].position)
    if len(page) < _BATCH:
        rows.forget(tx, repository.id, "run")
        rows.note_run(tx, repository.id, at=now, trouble=None)
    return _Step(repository=repository, done=done, spared=spared, is_last=len(page) < _BATCH)


def _run_of(plan: Evaluation) -> str:
    """What records of one run have in common."""
    return f"{ACTOR}-{plan.id}"


def _as_decided(tx: Tx, repository_id: int, verdict: Sentence) -> Image | None:
    """The image, if it is still the one that the verdict is about, and nothing that stays needs it."""
    image = image_rows.find(tx, repository_id, verdict.digest)
    if image is None or image.pushed_at != verdict.pushed_at or _is_needed(tx, image, verdict):
        return None
    if _class_of(archived=image.status == "ARCHIVED") != verdict.storage_class:
        return None  # it was archived or restored since, by hand
    image = image_rows.with_tags(tx, image)
    return image if image.tags == verdict.tags else None


def _is_needed(tx: Tx, image: Image, verdict: Sentence) -> bool:
    """Whether an index that lists the image, or its subject, stays where it is."""
    if verdict.action == "archive":
        return image.status == "ACTIVATING" or bool(archiving.keeps_active(tx, image))
    if image_rows.parents(tx, image.repository_id, image.digest):
        return True
    return image.subject is not None and image_rows.find(tx, image.repository_id, image.subject) is not None


def _tell(
    tx: Tx, deps: Deps, plan: Evaluation, repository: Repository, verdict: Sentence, what: Image, now: dt.datetime
) -> None:
    """Put an image that is gone or archived on record, and have happen what follows from that."""
    image = {"digest": verdict.digest, "tagList": list(verdict.tags), "pushedAt": verdict.pushed_at.isoformat()}
    action = {"lifecycleEventImage": image, "rulePriority": verdict.rule_priority, "reason": verdict.reason}
    if verdict.action == "archive":
        action["targetStorageClass"] = "ARCHIVE"
    entry = audit.of_the_house(
        ACTOR,
        "PolicyExecutionEvent",
        at=now,
        resource=repository_arn(repository.registry, repository.name),
        registry=repository.registry,
        run=_run_of(plan),
        details={"repositoryName": repository.name, "lifecycleEventImageActions": [action]},
    )
    audit_log.insert(tx, entry, keep=dt.timedelta(days=deps.settings.audit.keep_days))
    if verdict.action == "expire" and repository.listened:
        of = about(repository, what, verdict.tags, now)
        reactions.emit(tx, ImageExpired(**of, rule_priority=verdict.rule_priority, reason=verdict.reason))
