"""Which rule has which image, and whether it is beyond the rule's bound: rules without regard to what needs what.

Images are put in order once, and tags are sorted once: a rule costs a step for each image it may select, and a pattern
one for each tag that begins as the pattern does, whatever the number of rules.
"""

import bisect
import dataclasses
import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from policies import wildcards
from policies.lifecycle_rules import Rule
from policies.lifecycle_ties import Candidate

_LONGEST: Final = dt.timedelta.max.days
_ORDINALS: Final = {1: "st", 2: "nd", 3: "rd"}
_SHOWN: Final = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A rule has an image; `beyond` its bound or not, and why."""

    rule: Rule
    beyond: bool
    why: str


def claims(
    rules: Sequence[Rule], images: Sequence[Candidate], seen: Collection[str], now: dt.datetime
) -> Mapping[str, Claim]:
    """Who has which image, by digest. Rules see the images in `seen`; keep rules also others that have a tag."""
    tags = _Tags(images)
    newest = sorted(images, key=lambda image: (image.begun_at, image.digest), reverse=True)
    found: dict[str, Claim] = {}
    for rule in rules:
        selected = _selected(rule, [image for image in newest if _sees(rule, image, seen)], tags)
        for position, image in enumerate(selected, 1):
            if image.digest not in found:
                beyond, why = _bound(rule, image, position, len(selected), now)
                if not (beyond and rule.action == "keep"):
                    found[image.digest] = Claim(rule=rule, beyond=beyond, why=why)
    return found


def _sees(rule: Rule, image: Candidate, seen: Collection[str]) -> bool:
    if image.archived is not (rule.storage_class == "archive"):
        return False
    return image.digest in seen or (rule.action == "keep" and bool(image.tags))


# --- selections -------------------------------------------------------------------------------------------------------


class _Tags:
    """Every tag of the repository, sorted, with the image that has it."""

    def __init__(self, images: Sequence[Candidate]) -> None:
        pairs = sorted((tag, image.digest) for image in images for tag in image.tags)
        self._tags = [tag for tag, _ in pairs]
        self._digests = [digest for _, digest in pairs]
        self._found: dict[tuple[str, bool], frozenset[str]] = {}

    def met_by(self, text: str, *, prefix: bool) -> frozenset[str]:
        """The images of which a tag begins with `text`, or matches it as a pattern."""
        known = self._found.get((text, prefix))
        if known is None:
            known = self._found[text, prefix] = frozenset(self._meeting(text, prefix))
        return known

    def _meeting(self, text: str, prefix: bool) -> Iterator[str]:
        head = text if prefix else text.partition(wildcards.STAR)[0]
        pattern = None if prefix else wildcards.compiled((text,), question=False)
        for place in range(bisect.bisect_left(self._tags, head), len(self._tags)):
            tag = self._tags[place]
            if not tag.startswith(head):
                break
            if pattern is None or pattern.matches(tag):
                yield self._digests[place]


def _selected(rule: Rule, among: Sequence[Candidate], tags: _Tags) -> Sequence[Candidate]:
    if rule.tag_status == "any":
        return among
    if rule.tag_status == "untagged":
        return [image for image in among if not image.tags]
    met = {image.digest for image in among}
    for text, prefix in [(text, True) for text in rule.prefixes] + [(text, False) for text in rule.patterns]:
        if met:
            met &= tags.met_by(text, prefix=prefix)
    return [image for image in among if image.digest in met]


# --- bounds -----------------------------------------------------------------------------------------------------------


def _bound(rule: Rule, image: Candidate, position: int, total: int, now: dt.datetime) -> tuple[bool, str]:
    """Whether the image, which is the rule's `position`th newest of `total`, is beyond the rule's bound; and why."""
    if rule.count_type is None:
        return False, f"every {_kind(rule)} is kept"
    if rule.count_type == "imageCountMoreThan":
        kept = f"{rule.count} {'is' if rule.count == 1 else 'are'} kept"
        place = "newest" if position == 1 else f"{_ordinal(position)} newest"
        return position > rule.count, f"{_counted(rule, total)}, {kept}, this is the {place}"
    word, since = _clock(rule, image)
    if since is None:
        return False, "it is not known when it was archived"
    beyond = now - since > dt.timedelta(days=min(rule.count, _LONGEST))
    days = "1 day" if rule.count == 1 else f"{rule.count} days"
    at = since.isoformat().replace("+00:00", "Z")
    return beyond, f"{word} {at}, {'more' if beyond else 'not more'} than {days} ago"


def _clock(rule: Rule, image: Candidate) -> tuple[str, dt.datetime | None]:
    """What happened when the rule's time began, and when that was."""
    if rule.count_type == "sinceImageTransitioned":
        return "archived", image.transitioned_at
    began = "pushed" if image.activated_at is None else "restored"
    if rule.count_type == "sinceImagePushed":
        return began, image.begun_at
    if image.pulled_at is None or (image.activated_at is not None and image.pulled_at < image.activated_at):
        return f"not pulled since it was {began}", image.begun_at
    return "last pulled", image.pulled_at


def _counted(rule: Rule, total: int) -> str:
    """So many images are selected. Lists are cut, so that no reason is long."""
    images = "image" if total == 1 else "images"
    if rule.tag_status == "any":
        return f"{total} {images} in all"
    if rule.tag_status == "untagged":
        return f"{total} untagged {images}"
    return f"{total} {images} match{'es' if total == 1 else ''} {_wanted(rule)}"


def _kind(rule: Rule) -> str:
    if rule.tag_status == "tagged":
        return f"image that matches {_wanted(rule)}"
    return "image" if rule.tag_status == "any" else "untagged image"


def _wanted(rule: Rule) -> str:
    texts = [f"{prefix}{wildcards.STAR}" for prefix in rule.prefixes] + list(rule.patterns)
    shown = [text if len(text) <= 40 else f"{text[:37]}..." for text in texts[:_SHOWN]]
    if len(texts) > _SHOWN:
        shown.append(f"{len(texts) - _SHOWN} more")
    return " and ".join(shown)


def _ordinal(number: int) -> str:
    teen = number // 10 % 10 == 1
    return f"{number}{'th' if teen else _ORDINALS.get(number % 10, 'th')}"
