"""Which images a lifecycle policy expires or archives, and why: rules, the images of one repository, and `now`.

    1  every rule selects among the same images: storage class, tag status, tags
    2  in order of priority a rule claims what it selects, unless an earlier rule did: no later rule can touch it, but
       each counts it as if it were there
    3  of what it claimed, a rule marks what is beyond its bound
    4  what is marked goes, unless something that stays needs it

What needs what (`policies/lifecycle_ties.py`): an image that an index lists stays as long as the index; without a tag
of its own it is a part of the index, no rule sees it, and it goes with it. An artifact with a subject in the repository
(a signature, a bill of materials) likewise goes with its subject and is seen by no rule. What somebody uses stays, and
so does whatever would take it along.

Sources: Amazon ECR user guide, "Automate the cleanup of images by using lifecycle policies in Amazon ECR", "Lifecycle
policy properties in Amazon ECR", "Examples of lifecycle policies in Amazon ECR", "Archiving an image". What these leave
open is listed in docs/lifecycle-rules.md.
"""

import dataclasses
import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Self

from policies.lifecycle_claims import Claim, claims
from policies.lifecycle_rules import Malformed, Policy, Rule, parse
from policies.lifecycle_ties import Candidate, Ties

__all__ = ["Candidate", "Decisions", "Kept", "Malformed", "Policy", "Rule", "Summary", "Verdict", "decide", "parse"]

Outcome = Literal["expire", "archive"]
_NOBODY: Final[Mapping[str, str]] = {}
_DONE: Final[Mapping[Outcome, str]] = {"expire": "expired", "archive": "archived"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An image that goes, by one rule; `rule_priority` is that of its index or subject where it goes with that."""

    digest: str
    tags: tuple[str, ...]
    action: Outcome
    rule_priority: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An image that stays; `rule_priority` is that of the rule that claimed it, None where no rule did."""

    digest: str
    rule_priority: int | None
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many images go; `transitioning` by the storage class that they go to."""

    expiring: int
    transitioning: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What becomes of every image.

    `groups` are to be carried out one after the other, each in one step: after half of a group, what is left of it
    would look like loose images to the next run. In a group an index stands before what it lists, and a subject before
    what refers to it; groups are in the order of the rules, the oldest image first.
    """

    groups: tuple[tuple[Verdict, ...], ...]
    kept: tuple[Kept, ...]
    verdicts: tuple[Verdict, ...] = dataclasses.field(init=False, repr=False, compare=False)  # of all groups

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdicts", tuple(itertools.chain.from_iterable(self.groups)))

    @property
    def summary(self) -> Summary:
        archived = sum(verdict.action == "archive" for verdict in self.verdicts)
        return Summary(expiring=len(self.verdicts) - archived, transitioning={"archive": archived} if archived else {})


def decide(
    policy: Policy,
    images: Sequence[Candidate],
    now: dt.datetime,
    *,
    in_use: Mapping[str, str] = _NOBODY,
    protected: bool = False,
) -> Decisions:
    """What becomes of `images`: all images of one repository, in any order.

    `in_use` says by digest why an image must stay, in words that go on after "kept because": "service web runs it".
    Where the repository is `protected`, none expires.
    """
    scene = _Scene.of(policy, images, now, in_use, protected)
    verdicts: dict[str, Verdict] = {}
    kept: list[Kept] = []
    for digest in (*scene.ties.depths, *(scene.here.keys() - scene.ties.depths.keys())):
        found = _decided(scene.here[digest], scene, verdicts)
        if isinstance(found, Verdict):
            verdicts[digest] = found
        else:
            kept.append(found)

    return Decisions(
        groups=_grouped(scene, verdicts),
        kept=tuple(sorted(kept, key=lambda each: (scene.here[each.digest].begun_at, each.digest), reverse=True)),
    )


def _grouped(scene: "_Scene", verdicts: Mapping[str, Verdict]) -> tuple[tuple[Verdict, ...], ...]:
    def turn(verdict: Verdict) -> tuple[int, dt.datetime, str]:
        return verdict.rule_priority, scene.here[verdict.digest].begun_at, verdict.digest

    def place(verdict: Verdict) -> tuple[int, int, dt.datetime, str]:
        return scene.ties.depths[verdict.digest], *turn(verdict)

    groups = [
        tuple(sorted((verdicts[digest] for digest in group), key=place)) for group in scene.ties.together(verdicts)
    ]
    return tuple(sorted(groups, key=lambda group: turn(group[0])))


# --- one image --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What is known before the first image is decided. `needed` says why an image must stay; `held` names for each
    image the needed one that would go with it."""

    here: Mapping[str, Candidate]
    ties: Ties
    had: Mapping[str, Claim]
    needed: Mapping[str, str]
    held: Mapping[str, str]
    protected: bool

    @classmethod
    def of(
        cls,
        policy: Policy,
        images: Sequence[Candidate],
        now: dt.datetime,
        in_use: Mapping[str, str],
        protected: bool,
    ) -> Self:
        ties = Ties.among(images)
        here = {image.digest: image for image in ties.with_pulls(images)}
        had = claims(policy.rules, list(here.values()), here.keys() - ties.followers, now)
        needed = {
            digest: f"rule {claim.rule.priority} keeps it"
            for digest, claim in had.items()
            if claim.rule.action == "keep"
        }
        needed |= {digest: in_use[digest] for digest in sorted(in_use) if digest in here}
        return cls(here=here, ties=ties, had=had, needed=needed, held=ties.holding(needed), protected=protected)

    def end(self, digest: str, verdicts: Mapping[str, Verdict]) -> Literal["gone", "archived", "active"]:
        """Where a master will be."""
        if digest in verdicts:
            return "gone" if verdicts[digest].action == "expire" else "archived"
        return "archived" if digest in self.here and self.here[digest].archived else "active"


def _decided(image: Candidate, scene: _Scene, verdicts: Mapping[str, Verdict]) -> Verdict | Kept:
    """`verdicts` holds those of the image's masters."""
    if image.digest in scene.ties.followers:
        wish = _with_masters(image, scene, verdicts)
    else:
        wish = _by_itself(image, scene, verdicts)
    if isinstance(wish, Kept):
        return wish
    if scene.protected and wish.action == "expire":
        return _in_spite(wish, "the repository is protected")
    if image.digest not in scene.held:
        return wish
    cause = scene.held[image.digest]
    why = scene.needed[cause]
    return _in_spite(wish, why if cause == image.digest else f"{_short(cause)} would go with it, and {why}")


def _by_itself(image: Candidate, scene: _Scene, verdicts: Mapping[str, Verdict]) -> Verdict | Kept:
    claim = scene.had.get(image.digest)
    if claim is None:
        return Kept(digest=image.digest, rule_priority=None, reason="kept: no rule selects it")
    priority = claim.rule.priority
    if not claim.beyond:
        return Kept(digest=image.digest, rule_priority=priority, reason=f"kept by rule {priority}: {claim.why}")
    action: Outcome = "expire" if claim.rule.action == "expire" else "archive"
    wish = Verdict(
        digest=image.digest,
        tags=image.tags,
        action=action,
        rule_priority=priority,
        reason=f"{_DONE[action]} by rule {priority}: {claim.why}",
    )
    enough = ("gone",) if action == "expire" else ("gone", "archived")
    for parent in image.parents:
        if scene.end(parent, verdicts) not in enough:
            return _in_spite(wish, f"the index {_short(parent)} lists it")
    return wish


def _with_masters(image: Candidate, scene: _Scene, verdicts: Mapping[str, Verdict]) -> Verdict | Kept:
    masters = scene.ties.masters[image.digest]
    ends = {master: scene.end(master, verdicts) for master in masters}
    action: Outcome = "archive" if "archived" in ends.values() else "expire"
    moved = [verdicts[master] for master in masters if master in verdicts]
    staying = [master for master in masters if ends[master] == "active"]
    if staying or not moved or (action == "archive" and image.archived):
        reason = f"kept with {_tie(image, (staying or masters)[0])}"
        return Kept(digest=image.digest, rule_priority=None, reason=reason)
    last = max(moved, key=lambda verdict: (verdict.rule_priority, verdict.digest))
    return Verdict(
        digest=image.digest,
        tags=image.tags,
        action=action,
        rule_priority=last.rule_priority,
        reason=f"{_DONE[action]} with {_tie(image, last.digest)}, by rule {last.rule_priority}",
    )


def _in_spite(wish: Verdict, why: str) -> Kept:
    reason = f"kept because {why}; else {wish.reason}"
    return Kept(digest=wish.digest, rule_priority=wish.rule_priority, reason=reason)


def _tie(image: Candidate, master: str) -> str:
    return f"{'its subject' if master == image.subject else 'the index'} {_short(master)}"


def _short(digest: str) -> str:
    """A digest as people know it: sha256: and twelve characters."""
    return digest[:19]
