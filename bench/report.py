"""Figures: medians, least and most, and ratios; as tables for people and for docs/performance.md.

A ratio is the median of the ratios of single rounds: round k of Longshore against round k of a peer, which ran next
to each other. What slows the whole machine for a while slows both, and falls out.
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.loads import Load, Sample
from bench.servers import Server
from bench.wire import Refused

BEGIN: Final = "<!-- Figures: written by `make bench`; do not edit between these marks. -->"
END: Final = "<!-- End of figures. -->"
OURS: Final = "longshore"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All samples of one load, by server and in order of rounds."""

    load: Load
    samples: Mapping[str, Sequence[Sample]]

    def values(self, key: str) -> list[float]:
        return [sample.value for sample in self.samples.get(key, ())]

    def ratio(self, key: str) -> float | None:
        """Longshore's value over the server's."""
        pairs = zip(self.values(OURS), self.values(key), strict=False)
        found = [ours / theirs for ours, theirs in pairs if theirs]
        return statistics.median(found) if found else None

    def cost(self, key: str) -> float | None:
        """The server's processor time for one request, or gigabyte."""
        found = [sample.processor / sample.per for sample in self.samples.get(key, ()) if sample.per]
        scale = 1e6 if self.load.cost.startswith("µs") else 1.0
        return statistics.median(found) * scale if found else None

    def foreign(self) -> list[float]:
        return [sample.foreign for samples in self.samples.values() for sample in samples if sample.per]


def text(everything: Sequence[Figures], servers: Sequence[Server], facts: Mapping[str, str]) -> str:
    """The whole result, in Markdown."""
    more = [figures for figures in everything if figures.load.better == "more"]
    less = [figures for figures in everything if figures.load.better == "less"]
    costs = [figures for figures in everything if figures.load.cost]
    parts = ["\n".join(f"- {name}: {value}" for name, value in facts.items())]
    if more:
        parts += ["### Throughput (more is better)", _speeds(more, servers)]
    if less:
        parts += ["### Time and memory (less is better)", _speeds(less, servers)]
    if costs:
        parts += ["### Processor time of the server (less is better)", _costs(costs, servers)]
    return "\n\n".join(parts) + "\n"


def write(file: Path, figures: str) -> None:
    """Put the figures between the marks of the file. Raises Refused where there are no marks."""
    found = file.read_text(encoding="utf-8")
    before, begin, rest = found.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise Refused(f"{file.name} has no marks to write the figures between")
    file.write_text(f"{before}{BEGIN}\n\n{figures}\n{END}{after}", encoding="utf-8")


def line(figures: Figures, servers: Sequence[Server]) -> str:
    """One load, for the terminal."""
    cells = []
    for server in servers:
        values = figures.values(server.key)
        if values:
            ratio = figures.ratio(server.key)
            times = f" (x{ratio:.2f})" if ratio is not None and server.key != OURS else ""
            cells.append(f"{server.title} {number(statistics.median(values))}{times}")
    return f"{figures.load.title} [{figures.load.unit}]: " + "; ".join(cells)


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _speeds(rows: Sequence[Figures], servers: Sequence[Server]) -> str:
    peers = [server for server in servers if server.key != OURS and any(row.values(server.key) for row in rows)]
    ours = [server for server in servers if server.key == OURS]
    head = ["path", "unit", *(server.title for server in [*ours, *peers]), *(f"÷ {peer.title}" for peer in peers)]
    body = []
    for row in rows:
        ratios = [row.ratio(peer.key) for peer in peers]
        body.append(
            [
                row.load.title,
                row.load.unit,
                *(_spread(row.values(server.key)) for server in [*ours, *peers]),
                *("–" if ratio is None else f"**{ratio:.2f}**" for ratio in ratios),
            ]
        )
    return _table(head, body)


def _costs(rows: Sequence[Figures], servers: Sequence[Server]) -> str:
    known = [server for server in servers if any(row.cost(server.key) is not None for row in rows)]
    body = []
    for row in rows:
        costs = [row.cost(server.key) for server in known]
        body.append([row.load.title, row.load.cost, *("–" if cost is None else number(cost) for cost in costs)])
    return _table(["path", "unit", *(server.title for server in known)], body)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    align = ["---", "---", *["---:"] * (len(head) - 2)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, align, *body])
