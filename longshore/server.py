"""Processes: bind, serve, drain, end.

One worker: this process serves. Several: this process binds the socket, starts workers on the inherited descriptor,
says "ready" when all have reported, puts a new one in the place of one that died (later each time it dies soon), and
passes SIGTERM on. A worker ends when it is told to, and when its parent is gone.
"""

import asyncio
import contextlib
import dataclasses
import logging
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from longshore import collecting, notify, observe, wiring, working
from longshore.app import App
from longshore.config import Config
from longshore.connections import Census, Server, turn_away, waiting
from longshore.doorway import Doorway
from longshore.replies import Replies
from longshore.stores import StoreUnusable
from longshore.wiring import CannotStart
from registry import limits, pull_times
from registry.context import Deps
from registry.errors import StorageUnavailable
from registry.names import Region
from registry.storage.base import StoreMismatch

_log = logging.getLogger(__name__)

_KEEPALIVE: Final = 35.0  # seconds; longer than clients pause between requests, shorter than R8's 45
_READ_BUFFER: Final = 256 * 1024  # bytes of a body that may wait for its reader, for each connection
_REPLIES: Final = 32 * 1024 * 1024  # bytes of replies that are kept for the next time
_SOON: Final = 10.0  # seconds; a worker that dies sooner makes the next one wait
_WORKER_FD: Final = "--inherit"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """Descriptors that a worker gets from its parent: the socket, where to report, and what ends with the parent."""

    socket: int
    report: int
    parent: int

    @classmethod
    def parse(cls, text: str) -> "Inherited":
        found = [int(part) for part in text.split(",")]
        return cls(socket=found[0], report=found[1], parent=found[2])

    def __str__(self) -> str:
        return f"{self.socket},{self.report},{self.parent}"


def bind(config: Config) -> socket.socket:
    """The listening socket. Raises CannotStart."""
    host, port = config.http.host, config.http.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(found[0], socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[4])
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another by --port"
        ) from None
    listener.listen(1024)
    return listener


def listen_url(config: Config, listener: socket.socket) -> str:
    """The URL of the listening socket; an address that means "every interface" becomes localhost."""
    host, port = listener.getsockname()[:2]
    shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104 # compared
    return f"{'https' if config.http.tls_cert else 'http'}://{shown}:{port}"


def run_single(config: Config, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Serve in this process until SIGTERM or SIGINT."""
    asyncio.run(_serve(config, listener, announce, parent=None))


def run_worker(config: Config, inherited: Inherited) -> None:
    """Serve as one of several workers."""
    listener = socket.socket(fileno=inherited.socket)

    def report() -> None:
        with contextlib.suppress(BrokenPipeError):  # of a worker that stands in for another nobody waits to hear
            os.write(inherited.report, b".")
        os.close(inherited.report)

    asyncio.run(_serve(config, listener, report, parent=inherited.parent))


def run_parent(config: Config, listener: socket.socket, command: Sequence[str], announce: Callable[[], None]) -> None:
    """Keep `config.server.workers` workers running until SIGTERM or SIGINT. `command` starts one worker."""
    counters = tempfile.mkdtemp(prefix="longshore-metrics-")
    os.environ[observe.MULTIPROCESS_DIR] = counters
    try:
        _Parent(config, listener, command).run(announce)
    finally:
        shutil.rmtree(counters, ignore_errors=True)


async def _serve(config: Config, listener: socket.socket, announce: Callable[[], None], *, parent: int | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if parent is not None:
        loop.add_reader(parent, stop.set)  # readable only at its end: the parent never writes
    deps = wiring.build(config, listen_url(config, listener))
    await _prove_store(deps, Region(config.registry.region))
    # Nothing that aiohttp does by itself to a body is wanted: it would inflate what was sent compressed.
    # With every request logged, or counted, none may be answered below the log and the count.
    counted = config.log.access == "all" or bool(limits.rates(config.limits))
    replies = Replies(most_bytes=_REPLIES) if config.server.fast_replies and not counted else None
    census = Census(config.limits)
    server = Server(
        App(config=config, deps=deps, replies=replies),
        census=census,
        replies=replies,
        loop=loop,
        keepalive_timeout=_KEEPALIVE,
        auto_decompress=False,
        read_bufsize=_READ_BUFFER,
        lingering_time=2.0,
        access_log=None,
    )
    runner = web.ServerRunner(server, shutdown_timeout=config.server.drain_seconds)
    await runner.setup()
    beside = [asyncio.create_task(pull_times.keep_writing(deps, stop))]
    if config.jobs.in_server:
        beside.append(asyncio.create_task(working.work(config, deps, stop)))
    try:
        tls = _tls(config)
        doorway = Doorway(server, listener, census, tls)
        doorway.open()
        announce()
        async with collecting.going_on(deps):
            await stop.wait()
        _log.info("draining: no new connections, requests in flight have %s s", config.server.drain_seconds)
        if parent is None:
            notify.stopping()
            turn_away(listener)
        accepted = waiting(listener)
        doorway.close()
        await server.take_in(accepted, tls)
    finally:
        await runner.cleanup()
        stop.set()
        await asyncio.gather(*beside)
        if parent is not None:
            loop.remove_reader(parent)
        await deps.stores.close()
        await wiring.close(deps)


async def _prove_store(deps: Deps, region: Region) -> None:
    """Connect to the store in this loop. One that does not answer now may later: until then, what needs bytes waits."""
    try:
        await deps.stores.of(region).prove()
    except (StoreMismatch, StoreUnusable) as error:
        raise CannotStart(str(error)) from error
    except StorageUnavailable as error:
        _log.warning("the blob store does not answer: %s", error.__cause__ or error)


def _tls(config: Config) -> ssl.SSLContext | None:
    if not config.http.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.http.tls_cert, config.http.tls_key or None)
    except (OSError, ssl.SSLError) as error:
        raise CannotStart(f"cannot use the TLS certificate {config.http.tls_cert}: {error.strerror or error}") from None
    return context


class _Parent:
    """The process that keeps the workers."""

    def __init__(self, config: Config, listener: socket.socket, command: Sequence[str]) -> None:
        self._config, self._listener, self._command = config, listener, command
        self._alive_read, self._alive_write = os.pipe()  # workers see the end of it when this process is gone
        self._workers: dict[subprocess.Popen[bytes], float] = {}  # and when each was born
        self._pause = 0.0
        self._signals = _Signals()

    def run(self, announce: Callable[[], None]) -> None:
        reports = [self._start() for _ in range(self._config.server.workers)]
        ready = all([self._reported(report) for report in reports])
        if ready:
            announce()
            self._watch()
        self._end()
        if not ready and not self._signals.stop:
            raise CannotStart("a worker could not start; its reason stands above")

    def _start(self) -> int:
        """Start a worker; the descriptor on which it will report."""
        report_read, report_write = os.pipe()
        inherited = Inherited(socket=self._listener.fileno(), report=report_write, parent=self._alive_read)
        worker = subprocess.Popen(  # noqa: S603 # this very program
            [*self._command, _WORKER_FD, str(inherited)],
            pass_fds=(inherited.socket, inherited.report, inherited.parent),
        )
        os.close(report_write)
        self._workers[worker] = time.monotonic()
        return report_read

    def _reported(self, report: int) -> bool:
        """Wait for a worker's report; whether it came, before the worker's end and before it is time to stop."""
        with open(report, "rb", buffering=0) as pipe:
            while not self._signals.stop:
                if self._signals.wait(also=report):
                    return pipe.read(1) == b"."
        return False

    def _watch(self) -> None:
        """Replace what dies, until it is time to stop."""
        while not self._signals.stop:
            for worker in [worker for worker in self._workers if worker.poll() is not None]:
                self._replace(worker)
            self._signals.wait()

    def _replace(self, dead: subprocess.Popen[bytes]) -> None:
        observe.forget(dead.pid)
        lived = time.monotonic() - self._workers.pop(dead)
        self._pause = min(max(self._pause * 2, 0.2), 10.0) if lived < _SOON else 0.0
        _log.error("worker %s died; starting another in %.1f s", dead.pid, self._pause)
        due = time.monotonic() + self._pause
        while (left := due - time.monotonic()) > 0 and not self._signals.stop:
            self._signals.wait(left)
        if not self._signals.stop:
            os.close(self._start())

    def _end(self) -> None:
        # This process first: whoever is the last to close the listener resets the connections that wait in it, and
        # only workers accept them before.
        notify.stopping()
        turn_away(self._listener)
        self._listener.close()
        deadline = time.monotonic() + self._config.server.drain_seconds + 10
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            try:
                worker.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


class _Signals:
    """Signals as something to wait for. Nothing is done in handlers, which run between any two steps."""

    def __init__(self) -> None:
        self.stop = False
        self._read, write = os.pipe()
        for end in (self._read, write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # with no handler it would wake nobody

    def _told_to_stop(self, *_: object) -> None:
        self.stop = True

    def wait(self, seconds: float | None = None, *, also: int | None = None) -> bool:
        """Wait for a signal, the time, or until descriptor `also` can be read: whether it can."""
        watched = [self._read] if also is None else [self._read, also]
        readable = select.select(watched, [], [], seconds)[0]
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        return also in readable


def worker_command(arguments: Sequence[str]) -> list[str]:
    """How this program is started again, as a worker."""
    return [sys.executable, "-m", "longshore", *arguments]
