"""Sending events to webhooks: one queue of one webhook and repository at a time, in order.

    head of the queue → POST, signed → 2xx: its row goes, the next is sent
                                     → else: again later, and the queue waits with it; dead after a day
                                     → 410: the receiver wants no more, the webhook is paused

What has no row any more was delivered; what died after the answer and before that is sent once more, with the same id.
So each event comes at least once, and those of a repository in the order of their causes, unless one died.

Nothing of the answer counts but its status and Retry-After: the body is not read, so it can be as long as it likes, and
nothing of what stands behind a firewall comes back to whoever put the URL there. Redirects are not followed.

Trouble stays where it is. A process has so many connections to webhooks, and so many to each; who fails three times in
a row is left alone for a while, with all of its queues, so that no number of queues that hang keeps others waiting.
"""

import dataclasses
import datetime as dt
import random
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

from policies import retries
from policies.retries import Retry
from registry import failpoints, webhook_signing
from registry.context import Deps
from registry.reactions import queue_job
from registry.records import deliveries, jobs, listeners
from registry.records.deliveries import Delivery
from registry.records.engine import Tx
from registry.records.listeners import Listener
from registry.remote.egress import EgressFailed

GONE: Final = "the receiver answered 410: it wants no more"
_TURN: Final = 50  # events of one queue after which others have their turn
_LONGEST_PAUSE: Final = dt.timedelta(hours=1)
_REST: Final = Retry(most=None, first=dt.timedelta(seconds=5), longest=dt.timedelta(minutes=5))
_PATIENCE: Final = 3  # failures in a row after which a webhook rests
_BUSY: Final = (429, 503)  # answers whose Retry-After counts


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of one try. `error`: why it failed, for the operator; None: it is delivered."""

    status: int | None
    error: str | None
    after: dt.timedelta | None = None  # how long the receiver wants to be left alone

    @property
    def is_gone(self) -> bool:
        return self.status == 410


async def empty(deps: Deps, listener_id: int, repository: str, pause: Callable[[], None]) -> None:
    """Send what waits in a queue, until there is nothing to do now. `pause` is called between steps, and may raise."""
    turn = await deps.db.write(lambda tx: _take(tx, deps, listener_id, repository))
    for _ in range(_TURN):
        if turn is None:
            return
        pause()
        turn = await _deliver(deps, *turn)
    if turn is not None:
        await deps.db.write(lambda tx: _later(tx, deps, listener_id, repository, deps.clock.now()))


async def send(deps: Deps, listener: Listener, event_id: str, event: str) -> Answered:
    """POST an event, once."""
    now, body = deps.clock.now(), event.encode()
    secret = deps.sealer.open_bytes("secret", listener.sealed_secret)
    sent = {
        "Content-Type": "application/json",
        **webhook_signing.headers(secret, event_id, int(now.timestamp()), body),
    }
    seconds = deps.settings.webhooks.seconds
    try:
        async with deps.egress.request(
            "POST", listener.url, seconds=seconds, headers=sent, body=body, any_encoding=True
        ) as response:
            status, after = response.status, response.headers.get("Retry-After")
            response.close()
    except EgressFailed as error:
        return Answered(status=None, error=str(error))
    if 200 <= status < 300:
        return Answered(status=status, error=None)
    why = GONE if status == 410 else f"the receiver answered {status}"
    if 300 <= status < 400:
        why += ": redirects are not followed"
    return Answered(status=status, error=why, after=_retry_after(after, now) if status in _BUSY else None)


# --- inside -----------------------------------------------------------------------------------------------------------


async def _deliver(deps: Deps, listener: Listener, delivery: Delivery) -> tuple[Listener, Delivery] | None:
    """Send one, and write down what came of it. What is to be sent next."""

    def unit(tx: Tx) -> tuple[Listener, Delivery] | None:
        _settle(tx, deps, listener, delivery, answered)
        return _take(tx, deps, listener.id, delivery.repository)

    await failpoints.crossing("delivery-taken")
    answered = await send(deps, listener, delivery.event_id, delivery.event)
    await failpoints.crossing("delivery-sent")
    turn = await deps.db.write(unit)
    await failpoints.crossing("delivery-settled")
    return turn


def _take(tx: Tx, deps: Deps, listener_id: int, repository: str) -> tuple[Listener, Delivery] | None:
    """What is to be sent now; None where there is nothing, or not yet: then a job will look again.

    It writes, so that on every database whoever queues another event comes before this look or sees that nobody will
    look again.
    """
    listener = listeners.by_id(tx, listener_id)
    if listener is None or listener.paused is not None:
        return None
    found = deliveries.head(tx, listener_id, repository)
    if found is None:
        return None
    now = deps.clock.now()
    # Further away than any pause: the clock was set back since, and the pause counts as over.
    pauses = [at for at in (listener.rest_until, found.next_at) if at is not None and at - now <= _LONGEST_PAUSE]
    due = max(pauses, default=now)
    if due > now:
        _later(tx, deps, listener_id, repository, due)
        return None
    return listener, found


def _later(tx: Tx, deps: Deps, listener_id: int, repository: str, at: dt.datetime) -> None:
    listener = listeners.by_id(tx, listener_id)
    if listener is not None:
        jobs.add(tx, queue_job(listener, repository, at), deps.clock.now())


def _settle(tx: Tx, deps: Deps, listener: Listener, delivery: Delivery, answered: Answered) -> None:
    now = deps.clock.now()
    if answered.error is None:
        deliveries.remove(tx, [delivery.id])
        listeners.note_delivered(tx, listener.id, now)
        return
    listeners.note_failed(tx, listener, now, answered.error, rest_until=_rest_until(listener, now))
    if answered.is_gone:
        listeners.pause(tx, listener.id, GONE)
    rule = _schedule(deps)
    failures, chance = delivery.failures + 1, random.random()  # noqa: S311 # no secret
    # By the steady clock: one that is set ahead gives nothing up early.
    age = deps.clock.steady() - delivery.since
    at = retries.next_try(rule, failures, now, chance=chance, age=age)
    if at is None:
        deliveries.bury(tx, delivery, now, answered.error)
        deliveries.trim_dead(tx, listener.id, most=deps.settings.webhooks.keep_dead)
        return
    if answered.after is not None:
        at = max(at, now + min(answered.after, _LONGEST_PAUSE))
    deliveries.put_off(tx, delivery, at, answered.error)


def _schedule(deps: Deps) -> Retry:
    return dataclasses.replace(retries.WEBHOOKS, within=dt.timedelta(hours=deps.settings.webhooks.give_up_hours))


def _rest_until(listener: Listener, now: dt.datetime) -> dt.datetime | None:
    """Until when a webhook that has just failed once more is left alone."""
    streak = listener.failures + 1 - _PATIENCE
    return None if streak < 0 else retries.next_try(_REST, streak + 1, now, chance=random.random())  # noqa: S311


def _retry_after(text: str | None, now: dt.datetime) -> dt.timedelta | None:
    """RFC 9110, 10.2.3: seconds, or a date."""
    if text is None or len(text) > 64:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return dt.timedelta(seconds=min(int(text), 86_400))
    try:
        return max(parsedate_to_datetime(text) - now, dt.timedelta(0))
    except (ValueError, TypeError):  # no date; one without a zone cannot be compared
        return None
