"""When what nothing needs may go: the deciding part of garbage collection. Times in, answers out.

What a repository may hand out is a link, and a link is in one of three states:

    live -------- nothing needs it, and nobody asked for it for the grace period ------> condemned
    condemned --- it is pushed, mounted, asked for, or a manifest needs it ------------> live
    condemned --- still so when it is swept, in one transaction -----------------------> gone

With its last link a blob's row goes, and with the row, in the same transaction, a burial is written: from then on a
push of these bytes makes a new row with a new key, and the old key's bytes are deleted at leisure. So nothing that is
being deleted can be asked for, and whoever is told that a blob is there has it for a whole grace period.
"""

import datetime as dt
from typing import Final, Literal

State = Literal["live", "condemned"]

SHORTEST: Final = dt.timedelta(hours=1)  # a grace period below this is for trying things out
# Bytes that were moved stay so long where they were: a URL of the store is good for an hour (`downloads.SECONDS`), and
# whoever began with it at its end, or read a row just before, has the other.
LINGER: Final = dt.timedelta(hours=2)
_STAMP_SHARE: Final = 4  # a question moves the stamp only when it is older than this share of the grace period


def due_before(now: dt.datetime, grace: dt.timedelta) -> dt.datetime:
    """What was touched before then is out of its grace period.

    A question does not move a stamp that is younger than a quarter of the period. So that the period counts from the
    question all the same, a stamp is held for that quarter longer.
    """
    return now - grace - grace / _STAMP_SHARE


def wants_stamp(touched_at: dt.datetime, now: dt.datetime, grace: dt.timedelta) -> bool:
    """Whether saying that an unneeded link is there has to move its stamp first."""
    return touched_at < now - grace / _STAMP_SHARE


def state_after_look(touched_at: dt.datetime, *, needed: bool, now: dt.datetime, grace: dt.timedelta) -> State:
    """What garbage collection makes of a link that it looks at, whatever it was before."""
    return "live" if needed or touched_at >= due_before(now, grace) else "condemned"


def refuses(unnamed_bytes: int, stored_bytes: int, percent: int) -> bool:
    """Whether so many bytes that no row names are a sign that the rows are not those of this store.

    What rows explain may be any share: deleting most of a registry is lawful. A database that was restored from an old
    backup knows nothing of what came after it, and to it all of that looks like litter (promises.md F27).
    """
    return unnamed_bytes * 100 > stored_bytes * percent
