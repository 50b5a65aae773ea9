"""What follows from a fact: the one table from facts to jobs.

A room says what happened in the transaction that made it so, and the jobs that follow are rows of the same transaction:
there is neither one without the other, whatever happens to the process. A reaction looks at rows, and writes none but
those that its jobs are about.

What becomes of images is told to who listens: an event for each listener is a row, and the queue of the listener and
repository has a job. Rooms ask `Repository.listened` first, so that where nobody listens nothing is looked up.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from policies import filters
from registry import envelopes
from registry.envelopes import Event
from registry.events import (
    Fact,
    ImageDeleted,
    ImageExpired,
    ImageFact,
    ImagePushed,
    ImagesActivating,
    ImagesArchived,
    ImageStorageClassChanged,
    ImageUndeleted,
    LifecyclePreviewStarted,
)
from registry.model import NewJob
from registry.records import deliveries, jobs, listeners
from registry.records.engine import Tx
from registry.records.listeners import Listener

Reaction = Callable[[Tx, Any], Sequence[NewJob]]

DELIVER: Final = "webhook.deliver"
LOG: Final = "events.log"


def emit(tx: Tx, fact: Fact) -> None:
    """Write down what follows from a fact."""
    for reaction in REACTIONS[type(fact)]:
        for job in reaction(tx, fact):
            jobs.add(tx, job, fact.at)


def decide_preview(_tx: Tx, fact: LifecyclePreviewStarted) -> list[NewJob]:
    return [NewJob(kind="lifecycle.preview", payload={"evaluation": fact.evaluation_id}, run_at=fact.at)]


def tell_listeners(tx: Tx, fact: ImageFact) -> list[NewJob]:
    """Queue the fact's events for each who wants them."""
    told = envelopes.of(fact, lambda: str(uuid.uuid4()))
    found: list[NewJob] = []
    for listener in listeners.listening(tx, fact.registry):
        wanted = [event for event in told if _wants(listener, event)]
        if wanted and _queue(tx, listener, wanted, fact.at) and listener.paused is None:
            first = deliveries.head(tx, listener.id, fact.repository) if listener.kind == "webhook" else None
            # Behind one that failed, the next waits as long: to ask sooner would be for nothing.
            at = fact.at if first is None or first.next_at is None else first.next_at
            found.append(queue_job(listener, fact.repository, at))
    return found


def queue_job(listener: Listener, repository: str, at: dt.datetime) -> NewJob:
    """The job that empties a queue: a webhook has one for each repository, the log one for all."""
    if listener.kind == "log":
        return NewJob(kind=LOG, payload={"listener": listener.id}, dedupe_key=LOG, order_key=LOG, run_at=at)
    key = f"webhook:{listener.id}:{hashlib.sha256(repository.encode()).hexdigest()[:32]}"  # names may be long
    payload = {"listener": listener.id, "repository": repository}
    return NewJob(kind=DELIVER, payload=payload, dedupe_key=key, order_key=key, run_at=at)


def _wants(listener: Listener, event: Event) -> bool:
    chosen = not listener.types or event.type in listener.types
    return chosen and filters.names(listener.filters, event.repository)


def _queue(tx: Tx, listener: Listener, wanted: Sequence[Event], now: dt.datetime) -> int:
    """How many found room."""
    room = listener.most_waiting - deliveries.count(tx, listener.id, "waiting", most=listener.most_waiting)
    for event in wanted[:room]:
        deliveries.add(
            tx,
            listener.id,
            repository=event.repository,
            event_id=event.id,
            event_type=event.type,
            event=event.body,
            now=now,
        )
    if len(wanted) > room:
        listeners.note_dropped(tx, listener.id, len(wanted) - room)
    return min(len(wanted), room)


def send_bytes_to_archive(_tx: Tx, fact: ImagesArchived) -> list[NewJob]:
    """One job of a repository after the other: those whose images share layers would copy them twice."""
    order = f"archive:{fact.repository_id}"
    return [NewJob(kind="archive.send", payload={"images": list(fact.image_ids)}, order_key=order, run_at=fact.at)]


def bring_bytes_back(_tx: Tx, fact: ImagesActivating) -> list[NewJob]:
    return [NewJob(kind="archive.bring", payload={"images": list(fact.image_ids), "by": fact.by}, run_at=fact.at)]


REACTIONS: Final[Mapping[type[Fact], Sequence[Reaction]]] = {
    LifecyclePreviewStarted: (decide_preview,),
    ImagePushed: (tell_listeners,),
    ImageDeleted: (tell_listeners,),
    ImageStorageClassChanged: (tell_listeners,),
    ImagesArchived: (send_bytes_to_archive,),
    ImagesActivating: (bring_bytes_back,),
    ImageExpired: (tell_listeners,),  # and on record in the audit log; garbage collection finds its layers by itself
    ImageUndeleted: (tell_listeners,),
}
