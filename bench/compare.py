"""Compare Longshore with the registries found on this machine, in one run.

    python bench/compare.py                       everything, about half an hour
    python bench/compare.py --quick --only push   one group of loads, a few seconds each
    python bench/compare.py --write               and put the tables into docs/performance.md

Every load runs on one server after the other, A B then B A, for as many rounds as are asked for.
"""

import argparse
import datetime as dt
import shlex
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import dockerd, engine, machine, on_s3, report
from bench.loads import QUICK, Content, Effort, Load, Sample, everything
from bench.report import Figures
from bench.servers import Server, found, free_port
from longshore.config import Log
from registry.options import Storage

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
GROUPS: Final = ("manifest", "head", "blob", "push", "tags", "start", "memory", "workers", "docker", "s3")
_DOCKER_ROUNDS: Final = 3


def main() -> None:
    given = _arguments()
    groups = given.only or list(GROUPS)
    directory = Path(tempfile.mkdtemp(prefix="longshore-bench-", dir=given.temporary))
    servers: list[Server] = []
    try:
        servers = found(directory, shlex.split(given.longshore_command), given.workers, given.peers)
        with machine.on(machine.LOAD_CORES):
            figures = _run(servers, groups, given.rounds, QUICK if given.quick else Effort(), directory)
        text = report.text(figures, servers, _facts(figures, servers, given))
        print("\n" + text, flush=True)
        if given.write:
            report.write(PAGE, text)
    finally:
        # Last: a peer may have made a million files.
        for server in servers:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return [part for part in text.split(",") if part]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short loads and small amounts: to see that it works")
    parser.add_argument("--only", type=names, default=[], metavar="GROUPS", help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=names, default=[], help="docker-registry,distribution,nginx; all by default")
    parser.add_argument("--workers", type=int, default=1, help="Longshore's processes")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md; needs a whole run")
    parser.add_argument("--temporary", metavar="DIR", help="where the servers' data goes for the run")
    parser.add_argument("--longshore-command", default=f"{sys.executable} -m longshore serve", help="how to start it")
    given = parser.parse_args()
    unknown = set(given.only) - set(GROUPS)
    if unknown:
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    if given.write and (given.only or given.quick or given.peers):
        parser.error("--write needs a whole run")
    return given


def _run(
    servers: Sequence[Server], groups: Sequence[str], rounds: int, effort: Effort, directory: Path
) -> list[Figures]:
    content = Content(effort)
    for server in servers:
        server.start()
        print(f"{server.title} {server.version()} runs; preparing", file=sys.stderr, flush=True)
        content.prepare(server, groups)
    figures = []
    for load in everything(content):
        if load.group in groups:
            figures.append(_in_rounds(load, [one for one in servers if load.knows(one)], rounds))
            print(report.line(figures[-1], servers), file=sys.stderr, flush=True)
    if "docker" in groups and dockerd.is_available():
        figures += _docker(servers, min(rounds, _DOCKER_ROUNDS), directory)
    if "s3" in groups and on_s3.is_available():
        figures += on_s3.run(content, directory / "s3", rounds, free_port())
        for one in figures[-3:]:
            print(report.line(one, servers), file=sys.stderr, flush=True)
    return figures


def _in_rounds(load: Load, servers: Sequence[Server], rounds: int) -> Figures:
    samples: dict[str, list[Sample]] = {server.key: [] for server in servers}
    for number in range(min(rounds, load.most_rounds)):
        for server in servers if number % 2 == 0 else reversed(servers):
            samples[server.key].append(load.run(server))
    return Figures(load=load, samples=samples)


def _docker(servers: Sequence[Server], rounds: int, directory: Path) -> list[Figures]:
    """Whole pushes and pulls: both figures of a round come from one visit to a server."""
    size = f"{engine.LAYERS} layers, {engine.LAYERS * engine.LAYER_BYTES // 10**6} MB"
    pushes: dict[str, list[Sample]] = {}
    pulls: dict[str, list[Sample]] = {}
    daemon = engine.Engine(directory / "docker")
    registries = [server for server in servers if server.is_registry]
    try:
        daemon.start()
        for number in range(rounds):
            image = daemon.new_image()
            for server in registries if number % 2 == 0 else reversed(registries):
                pushed, pulled = daemon.push_and_pull(server, image)
                pushes.setdefault(server.key, []).append(Sample(value=pushed))
                pulls.setdefault(server.key, []).append(Sample(value=pulled))
    finally:
        daemon.stop()
    figures = [
        Figures(load=_whole(f"docker push, {size}"), samples=pushes),
        Figures(load=_whole(f"docker pull, {size}"), samples=pulls),
    ]
    for one in figures:
        print(report.line(one, servers), file=sys.stderr, flush=True)
    return figures


def _whole(title: str) -> Load:
    def run(_server: Server) -> Sample:
        raise NotImplementedError

    return Load(group="docker", title=title, unit="s", run=run, better="less", cost="")


def _facts(figures: Sequence[Figures], servers: Sequence[Server], given: argparse.Namespace) -> dict[str, str]:
    foreign = [share for one in figures for share in one.foreign()]
    busy = (
        f"{statistics.median(foreign):.0%} of it in the middle, {max(foreign):.0%} at most" if foreign else "not known"
    )
    python = ".".join(str(part) for part in sys.version_info[:3])
    return {
        "Run on": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {given.rounds} rounds",
        "Machine": machine.description(),
        "Used by others during a sample": busy,
        "Programs": ", ".join(f"{server.title} ({server.version()})" for server in servers) + f"; Python {python}",
        "Settings of Longshore": f"workers {given.workers}; all others as they come, so log.access = {Log().access}, "
        f"storage.verify_reads = {Storage().verify_reads}",
        "Load": f"{'wrk and ' if shutil.which('wrk') else ''}bench/load.py",
    }


if __name__ == "__main__":
    main()
