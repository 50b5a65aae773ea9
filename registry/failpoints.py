"""Places in the program where it can be made to die, fail or wait, so that what holds afterwards can be tested.

`LONGSHORE_FAILPOINT=name:kill`, `name:error` or `name:sleep`, with `:3` behind it for the third time that the place is
passed. Off by default; a server that listens elsewhere than on loopback refuses to start with it. Passing a place that
is not armed costs one comparison.
"""

import asyncio
import dataclasses
import errno
import os
import signal
import time
from typing import Final, Literal

from registry.errors import StorageUnavailable

VARIABLE: Final = "LONGSHORE_FAILPOINT"
SLEEP_SECONDS: Final = 2.0

# Every place, and what has happened when it is passed.
PLACES: Final = {
    "disk-fsync": "bytes are written, and not yet synced",
    "upload-synced": "an upload's bytes are durable, and its row does not say so",
    "upload-finished": "a blob's bytes are durable under their key, and no row names them",
    "upload-committed": "a blob's row is committed, and the client has no answer",
    "manifest-rows": "a manifest's rows are written, and not committed",
    "manifest-committed": "a manifest is committed, and the client has no answer",
    "image-rows": "an image's rows are deleted, and that is not committed",
    "repository-rows": "a repository's rows are deleted, and that is not committed",
    "repository-committed": "a repository is deleted, and the client has no answer",
    "undelete-rows": "a deleted image is back among the rows, and that is not committed",
    "move-copied": "a blob's bytes are in another store too, and its row names the old ones",
    "move-named": "a blob's row names the bytes in the other store, and the old ones are there",
    "archive-brought": "bytes of archived images are back, and the images are not active",
    "delivery-taken": "an event is about to be sent to a webhook",
    "delivery-sent": "a webhook has answered, and the event's row does not say so",
    "delivery-settled": "an event that was delivered has no row any more, and its queue's job is there",
    "event-logged": "events are in the log, and their rows are there",
    "gc-mark": "candidates of a page are found, and none is condemned",
    "gc-condemn": "a page of links is condemned",
    "gc-sweep": "some condemned links are gone",
    "gc-bury": "rows of blobs are gone, and their bytes are there",
    "gc-delete": "bytes are gone, and the note of their burial is there",
    "gc-upload": "an upload was given up, and its bytes are there",
}

What = Literal["kill", "error", "sleep"]
_WHATS: Final[dict[str, What]] = {"kill": "kill", "error": "error", "sleep": "sleep"}


class BadFailpoint(Exception):
    """The variable cannot be understood. The message says why, in one line."""


@dataclasses.dataclass(slots=True)
class _Armed:
    name: str
    what: What
    left: int  # how often the place is passed until it happens


_armed: _Armed | None = None


def arm(text: str) -> None:
    """Arm one place; an empty text disarms. Raises BadFailpoint."""
    global _armed
    if not text:
        _armed = None
        return
    name, _, rest = text.partition(":")
    what, _, count = rest.partition(":")
    if name not in PLACES:
        raise BadFailpoint(f"{VARIABLE}: there is no place {name!r}; there are {', '.join(PLACES)}")
    if what not in _WHATS or not (count or "1").isdecimal() or int(count or "1") < 1:
        raise BadFailpoint(f"{VARIABLE}: is written NAME:kill, NAME:error or NAME:sleep, and :COUNT behind it")
    _armed = _Armed(name, _WHATS[what], int(count or "1"))


def is_armed() -> bool:
    return _armed is not None


def passing(name: str) -> None:
    """Pass a place in a thread. Raises StorageUnavailable where an error was asked for."""
    if _armed is not None and _is_due(_armed, name):
        time.sleep(SLEEP_SECONDS)


async def crossing(name: str) -> None:
    """Pass a place in the event loop. Raises as `passing`."""
    if _armed is not None and _is_due(_armed, name):
        await asyncio.sleep(SLEEP_SECONDS)


def _is_due(armed: _Armed, name: str) -> bool:
    """Whether to sleep now; other things happen here."""
    if armed.name != name:
        return False
    armed.left -= 1
    if armed.left:
        return False
    if armed.what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if armed.what == "error":
        raise StorageUnavailable from OSError(errno.EIO, f"failpoint {name}")
    return True
