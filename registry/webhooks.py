"""Webhooks: who is told of events by HTTP, and what became of that.

They are the operator's, as where the server itself connects to is: commands manage them beside a running server, which
sees each change with the next event. `delivering.py` sends.
"""

import asyncio
import dataclasses
import datetime as dt
import re
import uuid
from collections.abc import Sequence
from typing import Final

from registry import delivering, envelopes
from registry.context import Deps
from registry.delivering import Answered
from registry.errors import InvalidParameter, LimitExceeded
from registry.names import RegistryRef
from registry.reactions import queue_job
from registry.records import deliveries as delivery_rows
from registry.records import jobs
from registry.records import listeners as rows
from registry.records.deliveries import Delivery, State
from registry.records.engine import Tx
from registry.records.listeners import Listener
from registry.remote.egress import EgressFailed

MOST_WAITING: Final = 10_000  # events, where nothing else is said
_MOST: Final = 50  # webhooks of one registry: each costs every change of an image
_MOST_FILTERS: Final = 50
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILTER: Final = re.compile(r"[a-z0-9._/*-]{1,256}")
_BY_HAND: Final = "paused by the operator"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A webhook, and how many events wait for it or are dead."""

    webhook: Listener
    waiting: int
    dead: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A webhook as somebody wants it. `secret`: its bytes."""

    name: str
    url: str
    types: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    most_waiting: int = MOST_WAITING
    secret: bytes = dataclasses.field(repr=False)


async def add(deps: Deps, registry: RegistryRef, wish: Wish) -> Listener | None:
    """The webhook; None where its name is taken. Raises InvalidParameter, LimitExceeded."""
    _check(wish)
    await _check_url(deps, wish.url)
    new = Listener(
        id=0,
        kind="webhook",
        account=registry.account,
        region=registry.region,
        name=wish.name,
        url=wish.url,
        sealed_secret=deps.sealer.seal_bytes("secret", wish.secret),
        types=wish.types,
        filters=wish.filters,
        most_waiting=wish.most_waiting,
        created_at=deps.clock.now(),
    )

    def unit(tx: Tx) -> Listener | None:
        if len(rows.page(tx, registry, after="", limit=_MOST)) == _MOST:
            raise LimitExceeded(f"a registry may have {_MOST} webhooks at most: remove one that is not needed")
        return rows.insert(tx, new)

    return await deps.db.write(unit)


async def find(deps: Deps, registry: RegistryRef, name: str) -> Standing | None:
    return await deps.db.read(lambda tx: _standing(tx, rows.find(tx, registry, name)))


async def page(deps: Deps, registry: RegistryRef, *, after: str, limit: int) -> list[Standing]:
    """Those behind the name `after`, by name."""

    def unit(tx: Tx) -> list[Standing]:
        found = (_standing(tx, one) for one in rows.page(tx, registry, after=after, limit=limit))
        return [one for one in found if one is not None]

    return await deps.db.read(unit)


async def remove(deps: Deps, webhook: Listener) -> None:
    """With all that waits for it."""
    await deps.db.write(lambda tx: rows.remove(tx, webhook.id))


async def pause(deps: Deps, webhook: Listener) -> None:
    """Send nothing from now on; what happens is kept, up to the webhook's bound."""
    await deps.db.write(lambda tx: rows.pause(tx, webhook.id, _BY_HAND))


async def resume(deps: Deps, webhook: Listener) -> None:
    """Send again, from now on, all that waits."""

    def unit(tx: Tx) -> None:
        rows.pause(tx, webhook.id, None)
        delivery_rows.hurry(tx, webhook.id)
        _rouse(tx, webhook, delivery_rows.queues(tx, webhook.id), deps.clock.now())

    await deps.db.write(unit)


async def test(deps: Deps, registry: RegistryRef, webhook: Listener) -> Answered:
    """Send an event that tells of nothing, now and from here, also where the webhook is paused."""
    event = envelopes.trial(registry, webhook.name, deps.clock.now(), str(uuid.uuid4()))
    return await delivering.send(deps, webhook, event.id, event.body)


# --- events -----------------------------------------------------------------------------------------------------------


async def events(deps: Deps, webhook: Listener, state: State, *, after: int, limit: int) -> list[Delivery]:
    """Events that wait for a webhook, or are dead: those behind the id `after`, oldest first."""
    return await deps.db.read(lambda tx: delivery_rows.page(tx, webhook.id, state, after=after, limit=limit))


async def resend(deps: Deps, webhook: Listener, ids: Sequence[int]) -> int:
    """Have dead events sent as if nothing had been tried, before what still waits; none of `ids`: all. How many."""
    now = deps.clock.now()

    def unit(tx: Tx) -> int:
        found = delivery_rows.resend(tx, webhook.id, ids, now)
        _rouse(tx, webhook, sorted(set(found)), now)
        return len(found)

    return await deps.db.write(unit)


async def drop(deps: Deps, webhook: Listener, ids: Sequence[int]) -> int:
    """Remove dead events; none of `ids`: all. How many."""
    return await deps.db.write(lambda tx: delivery_rows.drop(tx, webhook.id, ids))


# --- inside -----------------------------------------------------------------------------------------------------------


def _standing(tx: Tx, webhook: Listener | None) -> Standing | None:
    if webhook is None:
        return None
    waiting = delivery_rows.count(tx, webhook.id, "waiting", most=webhook.most_waiting + 1)
    dead = delivery_rows.count(tx, webhook.id, "dead", most=1_000_001)
    return Standing(webhook=webhook, waiting=waiting, dead=dead)


def _rouse(tx: Tx, webhook: Listener, queues: Sequence[str], now: dt.datetime) -> None:
    for repository in queues:
        jobs.add(tx, queue_job(webhook, repository, now), now)


def _check(wish: Wish) -> None:
    if not _NAME.fullmatch(wish.name):
        raise InvalidParameter("a name is 1 to 64 letters, digits and . _ -, and begins with none of these", field="")
    if unknown := [one for one in wish.types if one not in envelopes.TYPES]:
        raise InvalidParameter(f"there are no events {unknown[0]!r}: {', '.join(envelopes.TYPES)}", field="")
    if len(wish.filters) > _MOST_FILTERS or not all(_FILTER.fullmatch(one) for one in wish.filters):
        raise InvalidParameter(
            f"a repository filter is a name in which * stands for any characters; {_MOST_FILTERS} at most", field=""
        )


async def _check_url(deps: Deps, url: str) -> None:
    try:
        async with asyncio.timeout(deps.settings.webhooks.seconds):
            await deps.egress.judge(url)
    except EgressFailed as error:
        raise InvalidParameter(str(error), field="") from None
    except TimeoutError:
        pass  # a name that cannot be looked up now may be later; each connection is judged anyway
