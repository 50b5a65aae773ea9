"""Whether the history of one register can be told as a sequence.

A register is linearizable if every operation can be given one moment between its begin and its end such that each read
returns the latest write before it. With every value written once there is a simple test (P. B. Gibbons and E. Korach,
"Testing shared memories", 1997): put the operations of each value together; between the first end and the last begin
of a value the register must have held it, so these zones of two values may not overlap, and a value that needs just a
moment may not have all of its time inside another's zone.
"""

import bisect
import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """`ended`: when its answer was there; infinity for a write without an answer, which may have happened or not."""

    kind: Literal["read", "write"]
    value: str
    begun: float
    ended: float


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class _Zone:
    start: float
    stop: float
    value: str


def violations(history: Sequence[Operation]) -> list[str]:
    """Why the history cannot be told as a sequence; empty where it can. Each value is written once."""
    groups: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        groups[operation.value].append(operation)
    held: list[_Zone] = []  # what the register must have been from start to stop
    passing: list[_Zone] = []  # what it must have been at some moment from start to stop
    for value, operations in groups.items():
        writes = [operation for operation in operations if operation.kind == "write"]
        if len(writes) != 1:
            return [f"{value} was read, and written {len(writes)} times"]
        if any(operation.ended < writes[0].begun for operation in operations):
            return [f"{value} was read before it was written"]
        if len(operations) == 1 and writes[0].ended == math.inf:
            continue  # it may never have happened
        first_end = min(operation.ended for operation in operations)
        last_begin = max(operation.begun for operation in operations)
        if first_end < last_begin:
            held.append(_Zone(first_end, last_begin, value))
        else:
            passing.append(_Zone(last_begin, first_end, value))
    return _overlaps(sorted(held), passing)


def _overlaps(held: list[_Zone], passing: list[_Zone]) -> list[str]:
    found = [
        f"{before.value} was read again after {after.value} was there"
        for before, after in itertools.pairwise(held)
        if after.start < before.stop
    ]
    starts = [zone.start for zone in held]
    for zone in passing:
        at = bisect.bisect_right(starts, zone.start) - 1
        if at >= 0 and held[at].start < zone.start and zone.stop < held[at].stop:
            found.append(f"{held[at].value} was read again after {zone.value} was written")
    return found
