"""What is measured: one Load for each path, run in turn on every server that knows the path.

`prepare` is called once for each server, before any load; `run` gives one sample. A sample's value is what the Load's
unit says; `per` is how many requests (or, for bodies, gigabytes) the server's processor time is divided by.
"""

import dataclasses
import functools
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

from bench import crowds, load, machine, wire
from bench.load import Done
from bench.servers import Server
from bench.wire import Blob, Refused

MB: Final = 1_000_000
IMAGES: Final = "bench/images"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_SPREAD: Final = 200  # tags of IMAGES
_SIZES: Final = {"1 KB": 1000, "1 MB": MB, "100 MB": 100 * MB}
_SMALL_AT_ONCE: Final = 4
_MANY: Final = 64  # uploads at once, where memory is measured


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much of everything: the whole run, or the quick one."""

    seconds: float = 2.0
    big_pushes: int = 3
    small_pushes: int = 200
    many_bytes: int = 256 * MB
    slow_clients: int = 5_000
    few_tags: int = 1_000
    many_tags: int = 100_000


QUICK: Final = Effort(seconds=0.7, big_pushes=1, small_pushes=40, many_bytes=8 * MB, slow_clients=500, many_tags=5_000)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    value: float
    per: float = 0.0  # requests, or gigabytes; 0: processor time is not told
    processor: float = 0.0  # seconds of the server
    foreign: float = 0.0  # share of the machine that others had


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    group: str  # what --only names
    title: str
    unit: str
    run: Callable[[Server], Sample]
    knows: Callable[[Server], bool] = lambda server: server.is_registry
    better: Literal["more", "less"] = "more"
    cost: Literal["µs a request", "s a GB", ""] = "µs a request"
    most_rounds: int = 100


class Content:
    """The bytes that all servers hold."""

    def __init__(self, effort: Effort) -> None:
        self.effort = effort
        self.base = os.urandom(100 * MB)
        self.blobs = {name: wire.fresh(size, self.base) for name, size in _SIZES.items()}
        self.layers = [wire.fresh(1000, self.base) for _ in range(11)]
        config, *layers = self.layers
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": _descriptor(_CONFIG_TYPE, config),
                "layers": [_descriptor(_LAYER_TYPE, layer) for layer in layers],
            }
        ).encode()

    def prepare(self, server: Server, groups: Sequence[str]) -> None:
        """Have everything on the server that the groups of loads will ask for."""
        if "blob" in groups:
            for blob in self.blobs.values():
                server.keep(IMAGES, blob)
        if not server.is_registry:
            return
        if {"manifest", "head", "start", "workers"} & set(groups):
            self._image(server, IMAGES, _SPREAD)
        if {"tags", "start"} & set(groups):
            for count in (self.effort.few_tags, self.effort.many_tags):
                self._image(server, f"bench/tags-{count}", count)

    def _image(self, server: Server, repository: str, tags: int) -> None:
        with server.link() as link:
            for blob in self.layers:
                wire.push(link, repository, blob)
        server.tag(repository, self.manifest, MANIFEST_TYPE, [f"t{number:06}" for number in range(tags)])


def everything(content: Content) -> list[Load]:
    return [*_manifests(content), *_blobs(content), *_pushes(content), *_listings(content), *_process(content)]


# --- reading ----------------------------------------------------------------------------------------------------------


def _manifests(content: Content) -> list[Load]:
    seconds = content.effort.seconds
    path = f"/v2/{IMAGES}/manifests/t000007"

    def by_tag(server: Server, connections: int, kind: str = "bearer") -> Sample:
        return _fast(server, path, connections, seconds, kind)

    def head(server: Server) -> Sample:
        return _in_turn(server, "HEAD", [path], 16, seconds)

    def spread(server: Server) -> Sample:
        return _in_turn(server, "GET", [f"/v2/{IMAGES}/manifests/t{n:06}" for n in range(_SPREAD)], 64, seconds)

    return [
        Load(group="manifest", title="manifest GET by tag, 16 connections", unit="req/s", run=lambda s: by_tag(s, 16)),
        Load(group="manifest", title="manifest GET by tag, 64 connections", unit="req/s", run=lambda s: by_tag(s, 64)),
        Load(
            group="manifest",
            title="the same, Longshore's login by Basic",
            unit="req/s",
            run=lambda s: by_tag(s, 64, "basic"),
        ),
        Load(group="manifest", title=f"manifest GET over {_SPREAD} tags, 64 connections", unit="req/s", run=spread),
        Load(group="head", title="manifest HEAD by tag, 16 connections", unit="req/s", run=head),
    ]


def _blobs(content: Content) -> list[Load]:
    seconds = content.effort.seconds

    def path(name: str) -> str:
        return f"/v2/{IMAGES}/blobs/{content.blobs[name].digest}"

    def small(server: Server) -> Sample:
        return _fast(server, path("1 KB"), 16, seconds)

    def big(server: Server, *, name: str) -> Sample:
        return _in_turn(server, "GET", [path(name)], 16, seconds, size=_SIZES[name])

    return [
        Load(group="blob", title="blob GET 1 KB, 16 connections", unit="req/s", run=small, knows=_all),
        *(
            Load(
                group="blob",
                title=f"blob GET {name}, 16 connections",
                unit="MB/s",
                run=functools.partial(big, name=name),
                knows=_all,
                cost="s a GB",
            )
            for name in ("1 MB", "100 MB")
        ),
    ]


def _listings(content: Content) -> list[Load]:
    def pages(server: Server, *, tags: int) -> Sample:
        path = f"/v2/bench/tags-{tags}/tags/list?n=100&last=t{tags // 2:06}"
        with server.link() as link, machine.Meter(server.pid) as meter:
            count, began = 0, time.perf_counter()
            while time.perf_counter() - began < content.effort.seconds / 2:
                # docker-registry 2 knows no pages: it sends every tag, whatever `n` says.
                if len(json.loads(link.call("GET", path, expect=200).body)["tags"]) not in (100, tags):
                    raise Refused("the page does not hold 100 tags")
                count += 1
        return _sample(meter, count / meter.used.seconds, count)

    return [
        Load(
            group="tags",
            title=f"page of 100 tags out of {tags:,}, one after another",
            unit="pages/s",
            run=functools.partial(pages, tags=tags),
        )
        for tags in (content.effort.few_tags, content.effort.many_tags)
    ]


# --- pushing ----------------------------------------------------------------------------------------------------------


def _pushes(content: Content) -> list[Load]:
    effort = content.effort

    def big(server: Server, *, chunked: bool) -> Sample:
        blobs = [wire.fresh(100 * MB, content.base, chunked=chunked) for _ in range(effort.big_pushes)]
        return push_all(server, blobs, 1, wire.push_chunked if chunked else wire.push)

    def small(server: Server) -> Sample:
        blobs = [wire.fresh(MB, content.base) for _ in range(effort.small_pushes)]
        return push_all(server, blobs, _SMALL_AT_ONCE, wire.push)

    return [
        Load(
            group="push",
            title="push 100 MB, one PUT",
            unit="MB/s",
            run=functools.partial(big, chunked=False),
            cost="s a GB",
        ),
        Load(
            group="push",
            title="push 100 MB, chunked PATCH",
            unit="MB/s",
            run=functools.partial(big, chunked=True),
            cost="s a GB",
        ),
        Load(
            group="push",
            title=f"push 1 MB layers, {_SMALL_AT_ONCE} at a time",
            unit="MB/s",
            run=small,
            cost="s a GB",
        ),
    ]


def push_all(server: Server, blobs: list[Blob], at_once: int, push: Callable[[wire.Link, str, Blob], None]) -> Sample:
    """Push all blobs over `at_once` connections; MB a second until the last is acknowledged."""
    os.sync()  # what an earlier sample left to the disk is not this one's
    size = sum(len(blob.data) for blob in blobs)
    machine.warm_pages(server.directory, size + size // 4)
    waiting, failed = list(blobs), list[Exception]()

    def one_after_another() -> None:
        try:
            with server.link() as link:
                while waiting:
                    push(link, "bench/pushes", waiting.pop())
        except (Refused, OSError, IndexError) as error:
            failed.append(error)

    with machine.Meter(server.pid) as meter:
        threads = [threading.Thread(target=one_after_another) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
    return _sample(meter, size / MB / meter.used.seconds, size / 1e9)


def fetch(server: Server, repository: str, blob: Blob, times: int) -> Sample:
    """Pull a blob over one connection, again and again; MB a second."""
    size = len(blob.data)
    with server.link() as link, machine.Meter(server.pid) as meter:
        for _ in range(times):
            if len(link.call("GET", f"/v2/{repository}/blobs/{blob.digest}", expect=200).body) != size:
                raise Refused("the blob came short")
    return _sample(meter, times * size / MB / meter.used.seconds, times * size / 1e9)


# --- the process ------------------------------------------------------------------------------------------------------


def _process(content: Content) -> list[Load]:
    def start(server: Server) -> Sample:
        server.stop()
        return Sample(value=server.start())

    def idle(server: Server) -> Sample:
        server.stop()
        server.start()
        time.sleep(1.0)
        return Sample(value=machine.resident(server.pid))

    def uploads(server: Server) -> Sample:
        machine.forget_peak(server.pid)
        crowds.uploads(server, _MANY, content.effort.many_bytes, content.base)
        return Sample(value=machine.resident(server.pid, "VmHWM"))

    def slow(server: Server) -> Sample:
        machine.forget_peak(server.pid)
        crowds.slow_clients(server, content.effort.slow_clients)
        return Sample(value=machine.resident(server.pid, "VmHWM"))

    def two_workers(server: Server) -> Sample:
        path = f"/v2/{IMAGES}/manifests/t000007"
        costs = []
        for workers in (1, 2):
            server.stop()
            server.workers = workers
            server.start()
            sample = _fast(server, path, 64, content.effort.seconds)
            costs.append(sample.processor / sample.per)
        server.stop()
        server.workers = 1
        server.start()
        return Sample(value=costs[1] / costs[0])

    size = content.effort.many_bytes // MB
    return [
        Load(
            group="start",
            title="start to ready, existing data",
            unit="s",
            run=start,
            better="less",
            cost="",
            most_rounds=3,
        ),
        Load(group="start", title="memory, idle", unit="MiB", run=idle, better="less", cost="", most_rounds=3),
        Load(
            group="memory",
            title=f"most memory, {_MANY} uploads of {size} MB at once",
            unit="MiB",
            run=uploads,
            better="less",
            cost="",
            most_rounds=1,
        ),
        Load(
            group="memory",
            title=f"most memory, {content.effort.slow_clients:,} clients that send no more",
            unit="MiB",
            run=slow,
            better="less",
            cost="",
            most_rounds=1,
        ),
        Load(
            group="workers",
            title="processor time of a manifest GET: two workers ÷ one",
            unit="×",
            run=two_workers,
            knows=lambda server: server.key == "longshore",
            better="less",
            cost="",
            most_rounds=3,
        ),
    ]


# --- inside -----------------------------------------------------------------------------------------------------------


def _fast(server: Server, path: str, connections: int, seconds: float, kind: str = "bearer") -> Sample:
    """One path with small answers: by wrk where it is installed."""
    if shutil.which("wrk") is None:
        return _in_turn(server, "GET", [path], connections, seconds, kind=kind)
    authorization = server.authorization(kind)
    headers = {"Accept": MANIFEST_TYPE, **({"Authorization": authorization} if authorization else {})}
    return _measured(server, lambda: load.wrk(server.port, path, headers, connections, seconds))


def _in_turn(
    server: Server,
    method: str,
    paths: Sequence[str],
    connections: int,
    seconds: float,
    *,
    size: int = 0,
    kind: str = "bearer",
) -> Sample:
    """Several paths, or large bodies, or HEAD: by our own loop. With a size the value is MB a second."""
    authorization = server.authorization(kind)
    requests = [load.request(method, server.port, path, authorization, MANIFEST_TYPE) for path in paths]
    return _measured(server, lambda: load.rate(server.port, requests, connections, seconds), size)


def _measured(server: Server, run: Callable[[], Done], size: int = 0) -> Sample:
    with machine.Meter(server.pid) as meter:
        done = run()
    rate = done.answers / done.seconds
    if size:
        return _sample(meter, rate * size / MB, done.served * size / 1e9)
    return _sample(meter, rate, done.served)


def _sample(meter: machine.Meter, value: float, per: float) -> Sample:
    return Sample(value=value, per=per, processor=meter.used.processor, foreign=meter.used.foreign)


def _all(_server: Server) -> bool:
    return True


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": len(blob.data)}
