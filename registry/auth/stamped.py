"""What rows say about rights, kept while nothing of it changes.

Every change of an identity, a key, a policy or a repository moves one stamp in its own transaction. So what was read
under a stamp holds while the stamp is the same; and the stamp itself need not be read while no one has committed
anything, which the database tells in microseconds (`Rows.version`). Where it cannot tell, the stamp is asked for each
time, together with all others who ask at that moment. Nothing is ever answered from here that was not confirmed for
this very request: a change takes effect with its commit, in every process, and where the database does not answer
nothing is allowed.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

from registry.records import stamps
from registry.records.engine import Rows, T, Tx, Unit
from registry.records.hot import STAMP

_MOST: Final = 4096  # values that are kept


class Stamped:
    """Values by key. One for each process."""

    def __init__(self, db: Rows) -> None:
        self._db = db
        self._version: int | None = None
        self._stamp: int | None = None
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    async def stamp(self) -> int:
        """The stamp as it is now."""
        version = self._db.version()
        if version is None or version != self._version or self._stamp is None:
            answer = await self._db.ask(STAMP)
            assert answer is not None and isinstance(answer[0], int)
            found = answer[0]
            if found != self._stamp:
                self._values.clear()
            # The version is from before the stamp was read: what is committed in between moves it again.
            self._version, self._stamp = version, found
            return found
        return self._stamp

    async def get(self, key: Hashable, unit: Unit[T]) -> T:
        """What `unit` reads. `key` names the unit and all that it depends on beside the rows."""
        stamp = await self.stamp()
        if key in self._values:
            self._values.move_to_end(key)
            found: T = self._values[key]
            return found

        def read(tx: Tx) -> tuple[int, T]:
            return stamps.policy(tx), unit(tx)

        read_under, value = await self._db.point(read)
        if read_under == stamp:
            self.keep(key, stamp, value)
        return value

    async def find(self, key: Hashable) -> tuple[int, Any]:
        """The stamp now, and what is kept under it by that key, or None."""
        stamp = await self.stamp()
        if key in self._values:
            self._values.move_to_end(key)
        return stamp, self._values.get(key)

    def keep(self, key: Hashable, stamp: int, value: Any) -> None:
        """Keep what was worked out from rows that were all read under `stamp` or later."""
        if stamp == self._stamp:
            self._values[key] = value
            while len(self._values) > _MOST:
                self._values.popitem(last=False)
