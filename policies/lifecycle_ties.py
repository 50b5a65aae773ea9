"""The images of a repository, and what needs what among them: an index its images, an artifact its subject.

A *master* of an image must go before it does: every index that lists it, and its subject where that is there. An image
*follows* when it has no say of its own and goes with its masters: an artifact with a subject, as long as it has any
master, and what an index lists and has no tag. Another image that an index lists is decided by itself, but does not go
before the index. Whether an image follows never changes because one of its masters goes and another stays: else a
second run would count images that the first did not.

All of it takes one step for each image and each tie, however deep indexes are nested. Digests know no ring; where one
is given all the same, nothing in it ever goes.
"""

import collections
import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Self


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One image of the repository. Times are aware."""

    digest: str
    tags: tuple[str, ...] = ()
    pushed_at: dt.datetime
    pulled_at: dt.datetime | None = None
    transitioned_at: dt.datetime | None = None  # when it went to the archive
    activated_at: dt.datetime | None = None  # when it was last restored from there
    archived: bool = False
    index: bool = False  # for those who show it: no rule asks
    parents: tuple[str, ...] = ()  # indexes of the repository that list it
    subject: str | None = None

    @property
    def begun_at(self) -> dt.datetime:
        """When it began to be where it is: an image that was restored is as if it had been pushed then."""
        if self.archived:
            return self.transitioned_at or self.pushed_at
        return self.activated_at or self.pushed_at


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """`masters` of each image that has some; those that are not among the images stay for good.

    `depths` holds each image after its masters: 0 for one without, else one more than its deepest master. What is in a
    ring, or hangs on one, is not in it.
    """

    masters: Mapping[str, tuple[str, ...]]
    followers: frozenset[str]
    depths: Mapping[str, int]

    @classmethod
    def among(cls, images: Sequence[Candidate]) -> Self:
        here = {image.digest for image in images}
        masters: dict[str, tuple[str, ...]] = {}
        followers = set()
        for image in images:
            subject = (image.subject,) if image.subject is not None and image.subject in here else ()
            if subject or image.parents:
                masters[image.digest] = tuple(dict.fromkeys((*image.parents, *subject)))
            if subject or (image.parents and (not image.tags or image.subject is not None)):
                followers.add(image.digest)
        return cls(masters=masters, followers=frozenset(followers), depths=_depths(here, masters))

    def holding(self, digests: Iterable[str]) -> Mapping[str, str]:
        """Everything that would take one of `digests` along if it went, by the one that it would take; `digests`
        themselves by themselves."""
        found = {digest: digest for digest in digests}
        waiting = collections.deque(found)
        while waiting:
            digest = waiting.popleft()
            if digest in self.followers:
                for master in self.masters[digest]:
                    if master not in found:
                        found[master] = found[digest]
                        waiting.append(master)
        return found

    def together(self, digests: Collection[str]) -> Sequence[Sequence[str]]:
        """`digests` in groups: what is tied to each other, directly or through others of them."""
        near: dict[str, list[str]] = {digest: [] for digest in digests}
        for digest in digests:
            for master in self.masters.get(digest, ()):
                if master in near:
                    near[digest].append(master)
                    near[master].append(digest)
        groups, seen = [], set[str]()
        for first in near:
            if first not in seen:
                seen.add(first)
                group = [first]
                for digest in group:  # which grows as it is read
                    more = [each for each in near[digest] if each not in seen]
                    seen.update(more)
                    group += dict.fromkeys(more)
                groups.append(group)
        return groups

    def with_pulls(self, images: Sequence[Candidate]) -> Sequence[Candidate]:
        """The images, an index with the pull time of a part that was pulled later: who pulls a part uses the index."""
        latest = {image.digest: image.pulled_at for image in images if image.pulled_at is not None}
        listed = {image.digest: image.parents for image in images if image.digest in self.followers}
        for part in sorted(listed.keys() & self.depths.keys(), key=lambda digest: self.depths[digest], reverse=True):
            for index in listed[part] if part in latest else ():
                latest[index] = max(latest.get(index, latest[part]), latest[part])
        return [
            image
            if latest.get(image.digest) == image.pulled_at
            else dataclasses.replace(image, pulled_at=latest[image.digest])
            for image in images
        ]


def _depths(here: Collection[str], masters: Mapping[str, tuple[str, ...]]) -> Mapping[str, int]:
    waits = {digest: sum(master in here for master in masters.get(digest, ())) for digest in here}
    servants: dict[str, list[str]] = {}
    for digest, over in masters.items():
        for master in over:
            servants.setdefault(master, []).append(digest)
    depths = {digest: 0 for digest, count in waits.items() if not count}
    ready = collections.deque(depths)
    while ready:
        master = ready.popleft()
        for digest in servants.get(master, ()):
            waits[digest] -= 1
            if not waits[digest]:
                depths[digest] = depths[master] + 1  # the last master to be reached is the deepest
                ready.append(digest)
    return depths
