"""What operators see: structured logs, and counters at the doors.

A request that reads and succeeds is counted and, by default, not logged; changes, denials and failures always are.
Lines are written by one thread of their own, so a slow or full log disk holds nobody up (a full one loses lines, not
requests). Every line is one JSON object or one console line; control characters in what clients sent are escaped.
"""

import dataclasses
import logging
import logging.handlers
import os
import queue
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from longshore.config import Log
from registry.records.listeners import Listener

MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60)

REQUESTS = Counter("longshore_requests_total", "Requests answered.", ["door", "method", "status"])
SECONDS = Histogram("longshore_request_seconds", "Time to answer.", ["door"], buckets=_BUCKETS)
IN_FLIGHT = Gauge("longshore_requests_in_flight", "Requests being answered.", multiprocess_mode="livesum")
AGAIN = Counter("longshore_replies_given_again_total", "Replies that were given again, below the doors.")
JOBS = Counter("longshore_jobs_total", "Jobs that this process worked on, by what came of them.", ["kind", "outcome"])
REFUSED = Counter("longshore_connections_refused_total", "Connections closed for being too many.", ["why"])


def set_up_logs(settings: Log) -> logging.handlers.QueueListener:
    """Send structlog's and the standard library's lines to one place; call `stop` on the result at the end."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,  # here: lines are written in another thread
    ]
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            renderer,
        ],
    )
    sink: logging.Handler = logging.FileHandler(settings.file) if settings.file else logging.StreamHandler(sys.stderr)
    sink.setFormatter(formatter)
    lines: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(lines, sink)
    root = logging.getLogger()
    root.handlers[:] = [_Handover(lines)]
    root.setLevel(settings.level.upper())
    logging.raiseExceptions = False  # a log disk that is full must not fill stderr in turn
    logging.getLogger("alembic").setLevel("WARNING")
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.level.upper())),
        cache_logger_on_first_use=True,
    )
    listener.start()
    return listener


class _Handover(logging.handlers.QueueHandler):
    """Passes records on as they are: structlog's event is a dict, which the base class would turn into text."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


def metrics_page(*also: Collector) -> web.Response:
    """All processes' counters in Prometheus's text form, and those of `also`."""
    if os.environ.get(MULTIPROCESS_DIR):
        collected = CollectorRegistry()
        MultiProcessCollector(collected)  # type: ignore[no-untyped-call] # the library's own gap
        body = generate_latest(collected)
    else:
        body = generate_latest()
    for collector in also:
        beside = CollectorRegistry()
        beside.register(collector)
        body += generate_latest(beside)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


@dataclasses.dataclass(eq=False, slots=True, kw_only=True)
class Collections(Collector):
    """What garbage collection came to, by whichever process or command: the sums are rows, so they are read there."""

    ended_at: float  # seconds since 1970
    facts: Mapping[str, float]

    def collect(self) -> Iterator[Metric]:
        for name, meaning in _GC_SUMS.items():
            yield CounterMetricFamily(f"longshore_gc_{name}", meaning, value=self.facts.get(name, 0))
        yield GaugeMetricFamily(
            "longshore_gc_last_seconds", "Time that the last pass took.", value=self.facts.get("lastSeconds", 0)
        )
        yield GaugeMetricFamily(
            "longshore_gc_last_end_timestamp_seconds", "When the last pass ended; 0: never.", value=self.ended_at
        )


_GC_SUMS: Final = {
    "passes": "Passes of garbage collection.",
    "refusals": "Passes that did nothing, since the database looked older than the store.",
    "bytes": "Bytes that were freed.",
    "blobs": "Blobs whose bytes were deleted.",
    "failed": "Stored keys that could not be deleted when they were due.",
}


@dataclasses.dataclass(eq=False, slots=True, kw_only=True)
class Queue(Collector):
    """How many jobs there are, by kind and state, and for how many seconds the one has been due that waits longest."""

    counts: Mapping[tuple[str, str], int]
    oldest: Mapping[str, float]

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("longshore_jobs", "Jobs by kind and state.", labels=["kind", "state"])
        for (kind, state), count in self.counts.items():
            jobs.add_metric([kind, state], count)
        yield jobs
        meaning = "How long the job has been due that waits longest for a worker."
        oldest = GaugeMetricFamily("longshore_jobs_oldest_seconds", meaning, labels=["kind"])
        for kind, seconds in self.oldest.items():
            oldest.add_metric([kind], seconds)
        yield oldest


@dataclasses.dataclass(eq=False, slots=True)
class Told(Collector):
    """What became of events, summed over all webhooks, and for the log: rows, as any process or command may send."""

    listeners: Sequence[Listener]
    waiting: Mapping[tuple[int, str], int]  # by listener and state

    def collect(self) -> Iterator[Metric]:
        for name, meaning in _EVENT_SUMS.items():
            sums = CounterMetricFamily(f"longshore_events_{name}", meaning, labels=["to"])
            for kind, those in self._by_kind():
                sums.add_metric([kind], sum(getattr(one, name) for one in those))
            yield sums
        for state, meaning in _EVENT_STATES.items():
            left = GaugeMetricFamily(f"longshore_events_{state}", meaning, labels=["to"])
            for kind, those in self._by_kind():
                left.add_metric([kind], sum(self.waiting.get((one.id, state), 0) for one in those))
            yield left
        paused = sum(one.paused is not None for one in self.listeners)
        yield GaugeMetricFamily("longshore_webhooks_paused", "Webhooks to which nothing is sent.", value=paused)

    def _by_kind(self) -> list[tuple[str, list[Listener]]]:
        kinds = sorted({one.kind for one in self.listeners})
        return [(kind, [one for one in self.listeners if one.kind == kind]) for kind in kinds]


_EVENT_SUMS: Final = {
    "delivered": "Events that arrived.",
    "failed": "Tries to deliver an event that failed.",
    "dropped": "Events for which there was no room.",
}
_EVENT_STATES: Final = {
    "waiting": "Events that wait to be delivered.",
    "dead": "Events that were given up and can be sent again.",
}


def forget(pid: int) -> None:
    """Drop what a process that died was doing from the sums; what it had done still counts."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call] # the library's own gap
