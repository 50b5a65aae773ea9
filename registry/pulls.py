"""When images were pulled, as far as this process has seen and nobody has written down yet.

A pull costs an entry in memory; `pull_times.write` writes what has gathered, in one transaction for many. What a
process that dies has gathered is lost, which makes an image look pulled a little earlier than it was.
"""

import time
from collections.abc import Callable
from typing import Final

_MOST: Final = 50_000  # images and callers at a time; what is beyond waits for its next pull

Pull = tuple[int, str]  # the image's id, and the ARN of the user or role that pulled it; empty: of nobody


class Pulls:
    """The last pulls, by image and caller."""

    def __init__(self) -> None:
        self._seen: dict[Pull, float] = {}

    def of(self, image_id: int, caller: str) -> Callable[[], None]:
        """What to call at each pull of an image by a caller."""
        pull = (image_id, caller)

        def note() -> None:
            if pull in self._seen or len(self._seen) < _MOST:
                self._seen[pull] = time.time()

        return note

    def take(self) -> dict[Pull, float]:
        """What has gathered, in seconds since 1970; from now on it gathers anew."""
        found, self._seen = self._seen, {}
        return found
