"""Which rule of a repository applies: whether a tag may move, who is told of what happens in it.

A tag moves when it is given to another image than the one that has it. Giving it to the same image again, or deleting
it, is no move and is not asked here.

Sources: Amazon ECR user guide, "Preventing image tags from being overwritten in Amazon ECR"; the ECR model's
ImageTagMutabilityExclusionFilter (filters, their number and characters); texts as Amazon ECR answers.
"""

import re
from collections.abc import Sequence
from typing import Final

from policies.wildcards import STAR, matches

MAX_FILTERS: Final = 5
MAX_STARS: Final = 2
_PLAIN: Final = ("MUTABLE", "IMMUTABLE")
_WITH_EXCLUSION: Final = ("IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")
MODES: Final = (*_PLAIN, *_WITH_EXCLUSION)
_FILTER = re.compile(r"[0-9a-zA-Z._*-]{1,128}")
_FIELD: Final = "imageTagMutabilityExclusionFilters"


def may_move(mode: str, filters: Sequence[str], tag: str) -> bool:
    """Whether `tag` may be moved to another image; `filters` are the exclusions from `mode`. An unknown mode allows
    nothing."""
    if mode in _PLAIN:
        return mode == "MUTABLE"
    excluded = any(matches(pattern, tag, question=False) for pattern in filters)
    return excluded if mode == "IMMUTABLE_WITH_EXCLUSION" else mode == "MUTABLE_WITH_EXCLUSION" and not excluded


def names(patterns: Sequence[str], repository: str) -> bool:
    """Whether one of the patterns is the name of the repository, `*` being any run of characters; no pattern at all
    is all repositories."""
    return not patterns or any(matches(pattern, repository, question=False) for pattern in patterns)


def check_mutability(mode: str, filters: Sequence[str] | None) -> None:
    """Raise ValueError, with the sentence that ECR answers, unless the mode and its exclusion filters belong together.

    `filters` is None when the caller sent none; an empty list is a list that is too short.
    """
    if mode not in MODES:
        raise ValueError(_sentence("imageTagMutability", f"Member must satisfy enum value set: [{', '.join(MODES)}]"))
    if filters is None:
        if mode in _WITH_EXCLUSION:
            raise ValueError(
                _sentence(
                    _FIELD, f"ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as {mode}"
                )
            )
        return
    if mode in _PLAIN:
        raise ValueError(
            _sentence(
                _FIELD, f"ImageTagMutabilityExclusionFilters must be null when imageTagMutability is set as {mode}"
            )
        )
    if not filters:
        raise ValueError(_sentence(_FIELD, "Member must have length greater than or equal to 1"))
    if len(filters) > MAX_FILTERS:
        raise ValueError(_sentence(_FIELD, f"Member must have length less than or equal to {MAX_FILTERS}"))
    for pattern in filters:
        _check_filter(pattern)


def _check_filter(pattern: str) -> None:
    if len(pattern) > 128 or not _FILTER.fullmatch(pattern):
        raise ValueError(_sentence(_FIELD, "Member must satisfy regular expression pattern: ^[0-9a-zA-Z._*-]{1,128}$"))
    if pattern.count(STAR) > MAX_STARS:
        raise ValueError(_sentence(_FIELD, f"A filter can have at most {MAX_STARS} wildcards (*): '{pattern}'"))


def _sentence(field: str, why: str) -> str:
    return f"Invalid parameter at '{field}' failed to satisfy constraint: '{why}'"
