"""When images were last pulled, without a write for each pull; and whose pulls leave no trace, such as a scanner's."""

import asyncio
import contextlib
import datetime as dt
import functools
import logging
from collections.abc import Sequence
from typing import Final

from registry.context import Deps
from registry.errors import ExclusionAlreadyExists, ExclusionNotFound, LimitExceeded, Unavailable
from registry.names import RegistryRef
from registry.pulls import Pull
from registry.records import pulls as rows
from registry.records.engine import Tx

MAX_EXCLUSIONS: Final = 100
_BATCH: Final = 500  # pulls that are written in one transaction

_log = logging.getLogger(__name__)


async def write(deps: Deps) -> None:
    """Write down what has gathered. Raises Unavailable; what was not written then is lost."""
    gathered = sorted(deps.pulls.take().items())
    for first in range(0, len(gathered), _BATCH):
        await deps.db.housekeep(functools.partial(_record, gathered[first : first + _BATCH]))


async def keep_writing(deps: Deps, stop: asyncio.Event) -> None:
    """Write from time to time until `stop` is set, and then what is left."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), deps.settings.lifecycle.pull_seconds)
        try:
            await write(deps)
        except Unavailable as error:
            _log.warning("times of pulls are lost: %s", error.message)


# --- exclusions -------------------------------------------------------------------------------------------------------


async def exclude(deps: Deps, registry: RegistryRef, principal: str) -> dt.datetime:
    """Leave no trace of what a user or role pulls from now on; when that was. Raises ExclusionAlreadyExists,
    LimitExceeded."""
    now = deps.clock.now()

    def unit(tx: Tx) -> None:
        if not rows.exclude(tx, registry, principal, now):
            raise ExclusionAlreadyExists(principal)
        if rows.count_excluded(tx, registry) > MAX_EXCLUSIONS:
            raise LimitExceeded(f"A registry may have at most {MAX_EXCLUSIONS} pull time update exclusions")

    await deps.db.write(unit)
    return now


async def include(deps: Deps, registry: RegistryRef, principal: str) -> None:
    """Record a principal's pulls again. Raises ExclusionNotFound."""

    def unit(tx: Tx) -> None:
        if not rows.include(tx, registry, principal):
            raise ExclusionNotFound(principal)

    await deps.db.write(unit)


async def excluded(deps: Deps, registry: RegistryRef, *, after: str, limit: int) -> list[str]:
    """Principals whose pulls leave no trace, behind the ARN `after`."""
    return await deps.db.read(lambda tx: rows.excluded(tx, registry, after=after, limit=limit))


# --- inside -----------------------------------------------------------------------------------------------------------


def _record(pulls: Sequence[tuple[Pull, float]], tx: Tx) -> None:
    excluding = rows.excluding(tx)
    for (image_id, caller), seconds in pulls:
        if caller not in excluding or rows.registry_of(tx, image_id) not in excluding[caller]:
            rows.put(tx, image_id, dt.datetime.fromtimestamp(seconds, dt.UTC))
