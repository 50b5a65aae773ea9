"""Why an answer was given, in a form in which it can be asked whether the same answer would be given again.

An answer to a read stands on three things: who asks may do it, as rows about rights say (all under one stamp that each
change of them moves); the rows of what was read; and the time until which the credential is good. The number of the
last commit tells whether any row changed at all; only where it moved are the rows looked at again.
"""

import dataclasses
from typing import Final

from aiohttp import web

from registry.records.engine import Database


@dataclasses.dataclass(slots=True)
class Evidence:
    """What one answer stands on. `version` is from before the rows were read, so a commit in between is noticed."""

    db: Database
    version: int
    statement: str  # reads the stamp, and what was read
    parameters: tuple[object, ...]
    found: tuple[object, ...]  # what the statement gave
    until: float  # seconds since 1970

    def holds(self, now: float) -> bool:
        """Whether it would be answered the same now."""
        if now >= self.until:
            return False
        version = self.db.version()
        if version != self.version:
            if self.db.glance(self.statement, self.parameters) != self.found:
                return False
            self.version = version
        return True


EVIDENCE: Final = web.RequestKey("evidence", Evidence)
