"""Waiting on a condition, never for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], *, seconds: float = 20.0, what: str = "the condition", every: float = 0.02) -> T:
    """The first true value of `condition`, asked `every` so many seconds. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(every)
