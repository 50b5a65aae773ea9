"""What follows from a fact: the one table from facts to jobs.

A room says what happened in the transaction that made it so, and the jobs that follow are rows of the same transaction:
there is neither one without the other, whatever happens to the process. A reaction looks at rows, and writes none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from registry.events import Fact, ImageExpired, ImageStorageClassChanged, LifecyclePreviewStarted
from registry.model import NewJob
from registry.records import jobs
from registry.records.engine import Tx

Reaction = Callable[[Tx, Any], Sequence[NewJob]]


def emit(tx: Tx, fact: Fact) -> None:
    """Write down what follows from a fact."""
    for reaction in REACTIONS[type(fact)]:
        for job in reaction(tx, fact):
            jobs.add(tx, job, fact.at)


def decide_preview(_tx: Tx, fact: LifecyclePreviewStarted) -> list[NewJob]:
    return [NewJob(kind="lifecycle.preview", payload={"evaluation": fact.evaluation_id}, run_at=fact.at)]


REACTIONS: Final[Mapping[type[Fact], Sequence[Reaction]]] = {
    LifecyclePreviewStarted: (decide_preview,),
    ImageExpired: (),  # on record in the audit log; garbage collection finds its layers by itself
    ImageStorageClassChanged: (),
}
