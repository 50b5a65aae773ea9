"""`longshore serve --profile FILE`: where the time of a process goes, counted by function.

The standard library's profiler, in the event loop's thread and in every thread that starts later: those that hash and
write, and the one that commits. The file holds their sum, to be read by `python -m pstats FILE`. Calls cost about twice
as much as without it, so shares are worth more than seconds.
"""

import contextlib
import cProfile
import os
import pstats
import sys
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def profiled(file: Path | None, *, is_worker: bool) -> Iterator[None]:
    """Write to `file` what the block took; a worker adds its process id to the name. None: no profile."""
    if file is None:
        yield
        return
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        """As a thread's first event: from then on its calls are counted without this function."""
        profile = cProfile.Profile()
        profiles.append(profile)
        profile.enable()

    if sys.version_info < (3, 12):  # from then on there can be only one profile, which follows all threads
        threading.setprofile(begin)
    begin()
    try:
        yield
    finally:
        threading.setprofile(None)
        for profile in profiles:
            profile.create_stats()
        pstats.Stats(*profiles).dump_stats(file.with_name(f"{file.name}.{os.getpid()}") if is_worker else file)
