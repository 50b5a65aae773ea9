"""Why an answer was given, in a form in which it can be asked whether the same answer would be given again.

An answer to a read stands on: who asks may do it, as rows about rights say (all under one stamp that each change of
them moves); the rows of what was read; the file that was sent, where one was; and the time until which the credential
is good. The number of the last commit tells whether any row changed at all; only where it moved are the rows looked at
again. The file is looked at each time: it must be the one whose bytes were verified.
"""

import dataclasses
import math
import os
from pathlib import Path
from typing import Final

from aiohttp import web

from registry.auth.authorizer import OF_THE_CLOCK
from registry.context import Deps
from registry.records.engine import Database
from registry.records.hot import Question
from registry.storage.disk import identity_of
from registry.v2.calls import Beforehand, Call


@dataclasses.dataclass(slots=True)
class Evidence:
    """What one answer stands on. `version` is from before the rows were read, so a commit in between is noticed."""

    db: Database
    version: int
    statement: str  # reads the stamp, and what was read
    parameters: tuple[object, ...]
    found: tuple[object, ...]  # what the statement gave
    until: float  # seconds since 1970
    file: tuple[Path, str] | None = None  # the file that was sent, and the identity under which it was verified

    def holds(self, now: float) -> bool:
        """Whether it would be answered the same now."""
        if now >= self.until or not self._is_the_file():
            return False
        version = self.db.version()
        if version != self.version:
            if self.db.glance(self.statement, self.parameters) != self.found:
                return False
            self.version = version
        return True

    def _is_the_file(self) -> bool:
        if self.file is None:
            return True
        path, identity = self.file
        try:
            return identity_of(os.stat(path)) == identity
        except OSError:
            return False


EVIDENCE: Final = web.RequestKey("evidence", Evidence)


async def beforehand(deps: Deps) -> Beforehand | None:
    """None where the database cannot tell of commits: then nothing is kept."""
    if not isinstance(deps.db, Database):
        return None
    version = deps.db.version()
    return Beforehand(deps.db, version, await deps.stamped.stamp())


def give(call: Call, question: Question, *found: object, file: tuple[Path, str] | None = None) -> None:
    """Leave evidence for the answer to a read: what `question` finds beside the stamp must stay `found`."""
    before, decision, until = call.before, call.decision, call.context.principal.until
    if before is None or decision is None or not OF_THE_CLOCK.isdisjoint(decision.asked_keys):
        return
    call.request[EVIDENCE] = Evidence(
        db=before.db,
        version=before.version,
        statement=question[0],
        parameters=question[1],
        found=(before.stamp, *found),
        until=until.timestamp() if until is not None else math.inf,
        file=file,
    )
