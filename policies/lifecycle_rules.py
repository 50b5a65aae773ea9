"""A lifecycle policy's text becomes a `Policy` of frozen rules, or `Malformed` names what ECR would refuse.

A rule selects images (tag status, tags, storage class), sets a bound (how many, or how old) and says what becomes of
those beyond it: they expire, or go to the archive. What may be combined:

    count type               storage class   unit    action
    imageCountMoreThan       standard        none    expire, transition
    sinceImagePushed         standard        days    expire, transition
    sinceImagePulled         standard        days    transition
    sinceImageTransitioned   archive         days    expire, from 90 days up

With `extensions` two things are lawful that ECR refuses. `sinceImagePulled` may expire. And the action `keep` keeps
what is *within* the bound, or everything that is selected where no bound is given; what is beyond it is left to the
rules that follow. The restrictions on several rules with the same selection are not for keep rules.

Sources: Amazon ECR user guide, "Lifecycle policy properties in Amazon ECR", "Automate the cleanup of images by using
lifecycle policies in Amazon ECR", "Amazon ECR service quotas". Sentences are those that ECR answers, as far as they are
known; the JSON path and the reason after them are ours.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal, cast

from policies import jsontext
from policies.wildcards import STAR

MAX_TEXT: Final = 30_720
MAX_RULES: Final = 50
MAX_DESCRIPTION: Final = 256
MAX_STARS: Final = 4
MAX_NUMBER: Final = 2**31 - 1
LEAST_DAYS_IN_ARCHIVE: Final = 90

TagStatus = Literal["tagged", "untagged", "any"]
StorageClass = Literal["standard", "archive"]
CountType = Literal["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"]
Action = Literal["expire", "transition", "keep"]

_COUNT_TYPES: Final = ("imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned")
_BOUND: Final = ("countNumber", "countType")
_LISTS: Final = ("tagPatternList", "tagPrefixList")
_NO_SUCH_ACTION: Final = "instance failed to match exactly one schema (matched 0 out of 2)"
_NO_SUCH_SELECTION: Final = "instance failed to match exactly one schema (matched 0 out of 4)"
_TYPES: Final[Mapping[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


class Malformed(ValueError):
    """A lifecycle policy cannot be accepted. `str()` is ECR's sentence, with the JSON path and, where it says little,
    the reason after it."""

    def __init__(self, path: str, why: str, hint: str = "") -> None:
        told = f"'Lifecycle policy validation failure: {why}': {path}"
        super().__init__(
            f"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: {told}"
            + (f": {hint}" if hint else "")
        )
        self.path, self.why, self.hint = path, why, hint


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `count_type` is None for a keep rule without a bound; `count` is a number of images or of days."""

    priority: int
    tag_status: TagStatus
    patterns: tuple[str, ...] = ()  # each must be met by one of the image's tags; likewise the prefixes
    prefixes: tuple[str, ...] = ()
    storage_class: StorageClass = "standard"
    count_type: CountType | None
    count: int
    action: Action
    description: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """A policy that was accepted: its rules, from the lowest priority number up."""

    rules: tuple[Rule, ...]


def parse(text: str, *, extensions: bool = False) -> Policy:
    """The policy of `text`. Raises Malformed."""
    if len(text) > MAX_TEXT:
        raise Malformed("$", f"Member must have length less than or equal to {MAX_TEXT}")
    try:
        document = jsontext.loads(text)
    except jsontext.NotJson as trouble:
        raise Malformed("$", "Could not map policyString into LifecyclePolicy.", str(trouble)) from None
    if not isinstance(document, dict):
        raise Malformed("$", "Could not map policyString into LifecyclePolicy.", "expected an object")
    _check_members(document, "$", required=("rules",), known=())
    listed = _list(document["rules"], "$.rules", most=MAX_RULES)
    places = [f"$.rules[{number}]" for number in range(len(listed))]
    rules = [_rule(each, place, extensions) for each, place in zip(listed, places, strict=True)]
    _check_together(rules, places)
    return Policy(tuple(sorted(rules, key=lambda rule: rule.priority)))


# --- one rule ---------------------------------------------------------------------------------------------------------


def _rule(value: object, path: str, extensions: bool) -> Rule:
    found = _object(value, path)
    _check_members(found, path, required=("action", "rulePriority", "selection"), known=("description",))
    priority = _number(found["rulePriority"], f"{path}.rulePriority")
    description = _string(found.get("description", ""), f"{path}.description", most=MAX_DESCRIPTION)
    action = _action(found["action"], f"{path}.action", extensions)
    at = f"{path}.selection"
    selection = _object(found["selection"], at)
    without_bound = action == "keep" and not any(name in selection for name in (*_BOUND, "countUnit"))
    _check_members(
        selection,
        at,
        required=("tagStatus",) if without_bound else (*_BOUND, "tagStatus"),
        known=("countUnit", "storageClass", *_LISTS),
    )
    tag_status = cast("TagStatus", _one_of(selection["tagStatus"], f"{at}.tagStatus", ("any", "tagged", "untagged")))
    storage = selection.get("storageClass", "standard")
    storage_class = cast("StorageClass", _one_of(storage, f"{at}.storageClass", ("archive", "standard")))
    prefixes, patterns = _tags(selection, at, tag_status)
    return Rule(
        priority=priority,
        tag_status=tag_status,
        patterns=patterns,
        prefixes=prefixes,
        storage_class=storage_class,
        count_type=None if without_bound else _count_type(selection, at, action, storage_class, extensions),
        count=0 if without_bound else _count(selection, at, action),
        action=action,
        description=description,
    )


def _action(value: object, path: str, extensions: bool) -> Action:
    found = _object(value, path)
    _check_members(found, path, required=("type",), known=("targetStorageClass",))
    kinds = ("expire", "keep", "transition") if extensions else ("expire", "transition")
    kind = cast("Action", _one_of(found["type"], f"{path}.type", kinds))
    if kind == "transition":
        if found.get("targetStorageClass") != "archive":
            raise Malformed(path, _NO_SUCH_ACTION, "transition needs the targetStorageClass archive")
    elif "targetStorageClass" in found:
        raise Malformed(path, _NO_SUCH_ACTION, f"{kind} has no targetStorageClass")
    return kind


def _tags(selection: Mapping[str, Any], path: str, tag_status: TagStatus) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The prefixes and the patterns."""
    given = [name for name in _LISTS if name in selection]
    if tag_status != "tagged":
        if given:
            raise Malformed(path, f"Cannot specify {given[0]} when tagStatus={tag_status.upper()}.")
        return (), ()
    if not given:
        raise Malformed(path, "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.")
    if len(given) > 1:
        raise Malformed(path, "Cannot specify both tagPrefixList and tagPatternList.")
    at = f"{path}.{given[0]}"
    texts = tuple(
        _string(each, f"{at}[{number}]", least=1) for number, each in enumerate(_list(selection[given[0]], at))
    )
    if given[0] == "tagPrefixList":
        return texts, ()
    for number, text in enumerate(texts):
        if text.count(STAR) > MAX_STARS:
            raise Malformed(f"{at}[{number}]", f"A tag pattern can have at most {MAX_STARS} wildcards (*).")
    return (), texts


def _count_type(
    selection: Mapping[str, Any], path: str, action: Action, storage_class: StorageClass, extensions: bool
) -> CountType:
    found = selection["countType"]
    if found not in _COUNT_TYPES:
        raise Malformed(path, _NO_SUCH_SELECTION, f"countType must be one of {', '.join(_COUNT_TYPES)}")
    count_type = cast("CountType", found)
    if count_type == "imageCountMoreThan":
        if "countUnit" in selection:
            raise Malformed(path, _NO_SUCH_SELECTION, "imageCountMoreThan has no countUnit")
    elif selection.get("countUnit") != "days":
        raise Malformed(path, _NO_SUCH_SELECTION, f"{count_type} needs the countUnit days")
    in_archive = count_type == "sinceImageTransitioned"
    if in_archive is not (storage_class == "archive"):
        wanted = "needs the storageClass archive" if in_archive else "selects in the storageClass standard only"
        raise Malformed(path, _NO_SUCH_SELECTION, f"{count_type} {wanted}")
    if in_archive and action == "transition":
        raise Malformed(path, "sinceImageTransitioned can be used with the action type expire only.")
    if count_type == "sinceImagePulled" and action == "expire" and not extensions:
        raise Malformed(path, "sinceImagePulled can be used with the action type transition only.")
    return count_type


def _count(selection: Mapping[str, Any], path: str, action: Action) -> int:
    long = selection["countType"] == "sinceImageTransitioned" and action == "expire"
    return _number(selection["countNumber"], f"{path}.countNumber", least=LEAST_DAYS_IN_ARCHIVE if long else 1)


# --- rules together ---------------------------------------------------------------------------------------------------


def _check_together(rules: Sequence[Rule], places: Sequence[str]) -> None:
    priorities: set[int] = set()
    for rule, place in zip(rules, places, strict=True):
        if rule.priority in priorities:
            raise Malformed(
                f"{place}.rulePriority", f"Rules must have unique priorities, but {rule.priority} is used twice."
            )
        priorities.add(rule.priority)
    for storage_class in ("standard", "archive"):
        _check_class(
            [
                (rule, place)
                for rule, place in zip(rules, places, strict=True)
                if rule.storage_class == storage_class and rule.action != "keep"
            ]
        )


def _check_class(rules: Sequence[tuple[Rule, str]]) -> None:
    last = max((rule.priority for rule, _ in rules), default=0)
    selections: set[tuple[str, frozenset[str]]] = set()
    for rule, place in rules:
        if rule.tag_status == "any":
            if rule.priority != last:
                raise Malformed(place, "Rule for tagStatus=ANY must have the lowest priority per storage class.")
            continue
        selection = ("prefix", frozenset(rule.prefixes)) if rule.prefixes else ("pattern", frozenset(rule.patterns))
        if selection in selections:
            if rule.tag_status == "untagged":
                raise Malformed(place, "Only one rule can select Untagged images per storage class.")
            raise Malformed(place, "Rules must have a unique set of tag prefixes or patterns per storage class.")
        selections.add(selection)


# --- values -----------------------------------------------------------------------------------------------------------


def _check_members(found: Mapping[str, Any], path: str, *, required: Collection[str], known: Collection[str]) -> None:
    missing = sorted(set(required) - set(found))
    if missing:
        raise Malformed(path, f"object has missing required properties ({json.dumps(missing)})")
    foreign = sorted(set(found) - {*required, *known})
    if foreign:
        raise Malformed(
            path,
            "object instance has properties which are not allowed by the schema: "
            f"([{', '.join(jsontext.shown(name) for name in foreign[:10])}])",
        )


def _object(value: object, path: str) -> Mapping[str, Any]:
    _check_type(value, path, dict)
    return cast("Mapping[str, Any]", value)


def _list(value: object, path: str, *, most: int = MAX_TEXT) -> list[Any]:
    _check_type(value, path, list)
    found = cast("list[Any]", value)
    if not found:
        raise Malformed(path, "array is too short: must have at least 1 elements but instance has 0 elements")
    if len(found) > most:
        raise Malformed(
            path, f"array is too long: must have at most {most} elements but instance has {len(found)} elements"
        )
    return found


def _string(value: object, path: str, *, least: int = 0, most: int = MAX_TEXT) -> str:
    _check_type(value, path, str)
    found = cast("str", value)
    if len(found) < least:
        raise Malformed(path, f"string {jsontext.shown(found)} is too short (length: 0, required at least: {least})")
    if len(found) > most:
        raise Malformed(
            path, f"string {jsontext.shown(found)} is too long (length: {len(found)}, maximum allowed: {most})"
        )
    return found


def _number(value: object, path: str, *, least: int = 1) -> int:
    _check_type(value, path, int)
    found = cast("int", value)
    if found < least:
        raise Malformed(path, f"numeric instance is lower than the required minimum (minimum: {least}, found: {found})")
    if found > MAX_NUMBER:
        raise Malformed(
            path, "Could not map policyString into LifecyclePolicy.", f"the number is greater than {MAX_NUMBER}"
        )
    return found


def _one_of(value: object, path: str, words: Sequence[str]) -> str:
    _check_type(value, path, str)
    found = cast("str", value)
    if found not in words:
        shown = found if len(found) <= 64 else found[:61] + "..."
        raise Malformed(
            path, f"instance value ({shown}) not found in enum :(possible values: {json.dumps(list(words))})"
        )
    return found


def _check_type(value: object, path: str, wanted: type) -> None:
    if type(value) is not wanted:  # not isinstance: true and false are no numbers
        raise Malformed(
            path,
            f"instance type ({_TYPES[type(value)]}) does not match any allowed primitive type "
            f'(allowed: ["{_TYPES[wanted]}"])',
        )
