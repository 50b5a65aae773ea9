"""Pure code, timed by the processor time of its thread: cases with a target, as a table, and an exit status.

For what decides without I/O, where other programs on the machine cost waiting but no processor time of ours.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable

from bench import machine

Case = tuple[str, float | None, Callable[[], object]]  # name, most milliseconds that the high one may take, call


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Milliseconds of one case. `high`: the rank that is held against the target."""

    name: str
    median: float
    high: float
    target: float | None

    @property
    def is_missed(self) -> bool:
        return self.target is not None and self.high > self.target


def main(doc: str | None, cases: Callable[[], Iterable[Case]], *, rounds: int, percent: int, digits: int) -> None:
    """Time all cases and end the program: 1 where one misses its target. `percent`: the rank of the high figure."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    rounds = parser.parse_args().rounds
    with machine.on(machine.LOAD_CORES):
        found = [_measured(case, rounds, percent) for case in cases()]
    high = "worst" if percent == 100 else f"p{percent}"
    print(f"{'milliseconds':<58}{'median':>9}{high:>9}{'target':>9}")
    for each in found:
        target = "" if each.target is None else f"{each.target:g}"
        figures = f"{each.median:>9.{digits}f}{each.high:>9.{digits}f}"
        print(f"{each.name:<58}{figures}{target:>9}{'  missed' if each.is_missed else ''}")
    sys.exit(any(each.is_missed for each in found))


def _measured(case: Case, rounds: int, percent: int) -> Measured:
    name, target, call = case
    taken = []
    for _ in range(rounds):
        before = time.thread_time_ns()
        call()
        taken.append((time.thread_time_ns() - before) / 1e6)
    taken.sort()
    high = taken[min(rounds * percent // 100, rounds - 1)]
    return Measured(name=name, median=taken[rounds // 2], high=high, target=target)
