"""Lifecycle decisions once more, slow and in other words, to hold the real ones against; and random repositories.

Nothing here comes from `policies/` but the types that are handed over. Rules are read as JSON. What a rule has is asked
image by image, and an image's place in a count is the number of images before it. What can go is found by taking away
one image after the other, as long as one is found that nothing holds.
"""

import datetime as dt
import fnmatch
import random
from collections.abc import Mapping, Sequence
from typing import Any

from policies.lifecycle import Candidate
from tests.policies.keeping import NOW, rule

Json = dict[str, Any]
TAGS = ("a1", "a2", "ab", "b1", "b2", "c")
SELECTIONS = (
    "any",
    "untagged",
    "prefix=a",
    "prefix=b",
    "prefix=a,b",
    "pattern=a*",
    "pattern=*1",
    "pattern=a*,b*",
    "pattern=*",
)
BOUNDS = (
    "count>1", "count>2", "count>3", "pushed>3", "pushed>5", "count>2 archive", "pushed>4 archive", "pulled>3 archive",
    "pulled>5", "archived>90", "archived>91", "keep", "count>2 keep", "pushed>5 keep", "pulled>4 keep",
    "in-archive keep", "archived>91 keep",
)  # fmt: skip


# --- decisions --------------------------------------------------------------------------------------------------------


class Slow:
    """What becomes of a repository: `fates` by digest, "expire" or "archive"."""

    def __init__(self, rules: Sequence[Json], images: Sequence[Candidate], now: dt.datetime, used: Mapping[str, str]):
        self.rules = sorted(rules, key=lambda rule: rule["rulePriority"])
        self.images = list(images)
        self.now = now
        self.all = {image.digest for image in images}
        self.fates: dict[str, str] = {}
        self.keepers = {image.digest for image in images if self.wish(image) == "keep"} | (self.all & set(used))
        while moved := next(filter(self.goes, self.images), None):
            self.fates[moved.digest] = self.fate(moved)

    def has_no_say(self, image: Candidate) -> bool:
        is_artifact = image.subject is not None
        return image.subject in self.all or bool(image.parents and (is_artifact or not image.tags))

    def over(self, image: Candidate) -> list[str]:
        return [*image.parents, *([image.subject] if image.subject in self.all else [])]

    def where(self, digest: str) -> str:
        found = [image for image in self.images if image.digest == digest]
        if digest in self.fates:
            return {"expire": "gone", "archive": "archived"}[self.fates[digest]]
        return "archived" if found and found[0].archived else "here"

    def fate(self, image: Candidate) -> str:
        """What is wanted of it, given what went before; "" for nothing."""
        wheres = [self.where(digest) for digest in self.over(image)]
        if not self.has_no_say(image):
            wish = self.wish(image)
            allowed = {"expire": {"gone"}, "archive": {"gone", "archived"}}.get(wish, set())
            return wish if set(wheres) <= allowed else ""
        if "here" in wheres or not any(digest in self.fates for digest in self.over(image)):
            return ""
        if "archived" in wheres:
            return "" if image.archived else "archive"
        return "expire"

    def goes(self, image: Candidate) -> bool:
        """Whether it is the next to go: nothing above it goes first."""
        if image.digest in self.fates or any(self.goes(master) for master in self.masters(image)):
            return False
        if self.fate(image) not in ("expire", "archive"):
            return False
        return not self.would_lose({image.digest}) & self.keepers

    def masters(self, image: Candidate) -> list[Candidate]:
        """Everything above it."""
        found = [other for other in self.images if other.digest in self.over(image)]
        return found + [higher for other in found for higher in self.masters(other)]

    def would_lose(self, digests: set[str]) -> set[str]:
        more = {
            image.digest
            for image in self.images
            if self.has_no_say(image) and image.digest not in digests and set(self.over(image)) & digests
        }
        return self.would_lose(digests | more) if more else digests

    # rules

    def wish(self, image: Candidate) -> str:
        """What the first rule that has the image wants: "" where it keeps it by its bound, or where no rule has it."""
        for each in self.rules:
            if self.selects(each, image):
                action = {"transition": "archive"}.get(each["action"]["type"], each["action"]["type"])
                beyond = self.is_beyond(each, image)
                if action != "keep":
                    return action if beyond else ""
                if not beyond:
                    return "keep"
        return ""

    def selects(self, each: Json, image: Candidate) -> bool:
        selection = each["selection"]
        if image.archived != (selection.get("storageClass") == "archive"):
            return False
        if self.has_no_say(image) and not (each["action"]["type"] == "keep" and image.tags):
            return False
        if selection["tagStatus"] != "tagged":
            return selection["tagStatus"] == "any" or not image.tags
        patterns = selection.get("tagPatternList", [f"{prefix}*" for prefix in selection.get("tagPrefixList", [])])
        return all(any(fnmatch.fnmatchcase(tag, pattern) for tag in image.tags) for pattern in patterns)

    def is_beyond(self, each: Json, image: Candidate) -> bool:
        selection = each["selection"]
        if "countType" not in selection:
            return False
        if selection["countType"] == "imageCountMoreThan":
            newer = [
                other
                for other in self.images
                if self.selects(each, other) and (self.start(other), other.digest) > (self.start(image), image.digest)
            ]
            return len(newer) >= selection["countNumber"]
        since = self.start(image)
        if selection["countType"] == "sinceImagePulled":
            pulls = [other.pulled_at for other in self.images if image.digest in self.wholes(other) and other.pulled_at]
            last = max(pulls, default=None)
            if last and not (image.activated_at and last < image.activated_at):
                since = last
        return self.now - dt.timedelta(days=selection["countNumber"]) > since

    def start(self, image: Candidate) -> dt.datetime:
        times = [image.transitioned_at] if image.archived else [image.activated_at, image.pushed_at]
        return next(time for time in times if time)

    def wholes(self, image: Candidate) -> set[str]:
        """The image, and every index of which it is a part, directly or through others."""
        found = {image.digest}
        if self.has_no_say(image):
            for other in self.images:
                if other.digest in image.parents:
                    found |= self.wholes(other)
        return found


# --- random repositories ----------------------------------------------------------------------------------------------


class Dice:
    """Random rules, images and uses: the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def rules(self, *, plain: bool = False) -> list[Json]:
        """Rules that are accepted together, in any order; `plain` as ECR knows them."""
        chosen: list[Json] = []
        for priority in self.random.sample(range(1, 100), self.random.randint(1, 5)):
            bound = self.random.choice([bound for bound in BOUNDS if not plain or self._is_plain(bound)])
            chosen.append(rule(f"{priority} {self.random.choice(SELECTIONS)} {bound}"))
        return self._lawful(chosen)

    @staticmethod
    def _is_plain(bound: str) -> bool:
        return "keep" not in bound and (not bound.startswith("pulled") or bound.endswith("archive"))

    def _lawful(self, chosen: list[Json]) -> list[Json]:
        """Those of them that can stand together: no selection twice in a class, `any` last."""
        kept: list[Json] = []
        seen: set[object] = set()
        for each in sorted(chosen, key=lambda rule: rule["rulePriority"]):
            selection = each["selection"]
            storage = selection.get("storageClass", "standard")
            key = str({name: selection.get(name) for name in ("tagStatus", "tagPrefixList", "tagPatternList")})
            if each["action"]["type"] != "keep":
                if (storage, key) in seen or (storage, "any") in seen:
                    continue
                seen |= {(storage, key), (storage, selection["tagStatus"] if selection["tagStatus"] == "any" else key)}
            kept.append(each)
        self.random.shuffle(kept)
        return kept or [rule("1 any count>2")]

    def images(self) -> list[Candidate]:
        tags = [*TAGS, *(f"{tag}x" for tag in TAGS)]
        self.random.shuffle(tags)
        found: list[Candidate] = []
        for digest in "ABCDEFGHIJ"[: self.random.randint(1, 10)]:
            own = tuple(tags.pop() for _ in range(self.random.choice([0, 0, 1, 1, 2])) if tags)
            archived = self.random.random() < 0.2
            before = [image.digest for image in found]
            found.append(
                Candidate(
                    digest=digest,
                    tags=own,
                    pushed_at=self._time(100, 108) if archived else self._time(0, 8),
                    pulled_at=self._time(0, 8) if self.random.random() < 0.4 else None,
                    activated_at=self._time(0, 6) if not archived and self.random.random() < 0.2 else None,
                    transitioned_at=self._time(88, 94) if archived else None,
                    archived=archived,
                    parents=tuple(self.random.sample(before, min(len(before), self.random.choice([0, 0, 0, 0, 1, 2])))),
                    subject=self.random.choice([*before, "Z"]) if self.random.random() < 0.12 else None,
                )
            )
        self.random.shuffle(found)
        return found

    def used(self) -> dict[str, str]:
        return dict.fromkeys(
            self.random.sample("ABCDEFGHIJ", self.random.choice([0, 0, 0, 0, 1, 2])), "somebody runs it"
        )

    def _time(self, least: int, most: int) -> dt.datetime:
        return NOW - dt.timedelta(days=self.random.randint(least, most))
