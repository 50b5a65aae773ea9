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
    """How stubborn a kind of work is. `most`: failures after which it is given up; None: any number. `within`: the age
    at which it is given up with its next failure; None: at none."""

    most: int | None
    first: dt.timedelta
    longest: dt.timedelta
    within: dt.timedelta | None = None


# Of an event that a webhook does not take: after seconds first, then up to an hour apart, for a day.
WEBHOOKS: Final = Retry(
    most=None, first=dt.timedelta(seconds=5), longest=dt.timedelta(hours=1), within=dt.timedelta(days=1)
)


def next_try(
    rule: Retry, failures: int, now: dt.datetime, *, chance: float, age: dt.timedelta = dt.timedelta(0)
) -> dt.datetime | None:
    """When work that has failed `failures` times (1 or more) is tried again; None where it is given up.

    `chance` is from 0 (the whole pause) to 1 (half of it). `age`: for how long it has been tried; the last try is when
    `within` is over.
    """
    if rule.most is not None and failures >= rule.most:
        return None
    pause = min(rule.first * (1 << min(failures - 1, _DOUBLINGS)), rule.longest)
    pause *= 1 - chance / 2
    if rule.within is None:
        return now + pause
    return None if age >= rule.within else now + min(pause, rule.within - age)
