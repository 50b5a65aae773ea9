"""How fast a body has to come, so that nobody holds a connection by sending next to nothing (promises.md T26)."""

import time
from collections.abc import Callable
from typing import Final

from registry.intake import BodyCut

FLOOR: Final = 1024  # bytes a second that a body must bring, measured over the floor's time


class Pace:
    """Of one body, from now on."""

    def __init__(self, floor_seconds: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = floor_seconds, clock
        self._due, self._came = clock() + floor_seconds, 0

    @property
    def due(self) -> float:
        """When it is judged next, by its clock."""
        return self._due

    def left(self) -> float:
        """Seconds until then."""
        return max(self._due - self._clock(), 0.0)

    def came(self, size: int) -> None:
        """Note `size` more bytes. Raises BodyCut where too few came in the floor's time."""
        self._came += size
        enough = self._came >= FLOOR * self._seconds
        if not enough and self._clock() < self._due:
            return
        if not enough:
            raise self.too_slow()
        self._due, self._came = self._clock() + self._seconds, 0

    def too_slow(self) -> BodyCut:
        return BodyCut(f"less than {FLOOR} bytes a second came for {self._seconds} s")
