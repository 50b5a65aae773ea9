"""Why an answer was given, in a form in which it can be asked whether the same answer would be given again.

An answer to a read stands on: who asks may do it, as rows about rights say (all under one stamp that each change of
them moves); the rows of what was read; the file that was sent, where one was; and the time until which the credential
is good. The number of the last commit tells whether any row changed at all; only where it moved are the rows looked at
again. The file is looked at each time: it must be the one whose bytes were verified.

Where the database does not tell of commits, the rows are asked each time, by one statement for all who ask then.
"""

import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import web

from registry.auth.authorizer import OF_THE_CLOCK
from registry.context import Deps
from registry.records.engine import Database, Rows
from registry.records.hot import Question
from registry.storage.disk import identity_of
from registry.v2.calls import Beforehand, Call


@dataclasses.dataclass(slots=True)
class Evidence:
    """What one answer stands on. `version` is from before the rows were read, so a commit in between is noticed."""

    db: Rows
    version: int | None
    question: Question  # for the stamp, and what was read
    found: tuple[object, ...]  # its answer
    until: float  # seconds since 1970
    file: tuple[Path, str] | None = None  # the file that was sent, and the identity under which it was verified
    again: Callable[[], None] | None = None  # to be called when the answer is given again
    part: tuple[int, int] | None = None  # first byte and stop of the file, where it is to be sent anew each time

    def holds(self, now: float) -> bool | None:
        """Whether it would be answered the same now; None: that must be asked, of `still_holds`.

        A file that is sent anew is looked at when it is `opened`.
        """
        if now >= self.until or not (self.part is not None or self._is_the_file()):
            return False
        version = self.db.version()
        if version is None:
            return None
        if version != self.version:
            assert isinstance(self.db, Database)
            if self.db.glance(self.question) != self.found:
                return False
            self.version = version
        return True

    async def still_holds(self) -> bool:
        """Whether the rows would answer the same. Raises DatabaseUnavailable."""
        return await self.db.ask(self.question) == self.found

    def opened(self) -> BinaryIO | None:
        """The file, if it is the one that was verified; the caller closes it."""
        assert self.file is not None
        path, identity = self.file
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 # the caller closes it
        except OSError:
            return None
        if identity_of(os.fstat(file.fileno())) == identity:
            return file
        file.close()
        return None

    def _is_the_file(self) -> bool:
        if self.file is None:
            return True
        path, identity = self.file
        try:
            return identity_of(os.stat(path)) == identity
        except OSError:
            return False


EVIDENCE: Final = web.RequestKey("evidence", Evidence)


async def beforehand(deps: Deps) -> Beforehand:
    version = deps.db.version()
    return Beforehand(deps.db, version, await deps.stamped.stamp())


def give(
    call: Call,
    question: Question,
    *found: object,
    file: tuple[Path, str] | None = None,
    again: Callable[[], None] | None = None,
    part: tuple[int, int] | None = None,
) -> None:
    """Leave evidence for the answer to a read: what `question` finds beside the stamp must stay `found`."""
    before, decision, until = call.before, call.decision, call.context.principal.until
    if before is None or decision is None or not OF_THE_CLOCK.isdisjoint(decision.asked_keys):
        return
    call.request[EVIDENCE] = Evidence(
        db=before.db,
        version=before.version,
        question=question,
        found=(before.stamp, *found),
        until=until.timestamp() if until is not None else math.inf,
        file=file,
        again=again,
        part=part,
    )
