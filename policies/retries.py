"""When work that failed is tried again, and when no more.

Each failure doubles the pause before the next try, up to a longest one; chance shortens a pause by up to half, so that
what failed together is not tried together.
"""

import dataclasses
import datetime as dt
from typing import Final

_DOUBLINGS: Final = 20  # beyond these every pause is the longest one; larger powers only make large numbers


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How stubborn a kind of work is. `most`: failures after which it is given up; None: never."""

    most: int | None
    first: dt.timedelta
    longest: dt.timedelta


def next_try(rule: Retry, failures: int, now: dt.datetime, *, chance: float) -> dt.datetime | None:
    """When work that has failed `failures` times (1 or more) is tried again; None where it is given up.

    `chance` is from 0 (the whole pause) to 1 (half of it).
    """
    if rule.most is not None and failures >= rule.most:
        return None
    pause = min(rule.first * (1 << min(failures - 1, _DOUBLINGS)), rule.longest)
    return now + pause * (1 - chance / 2)
