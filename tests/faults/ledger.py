"""What a server has acknowledged, and whether it is still so: the audit after every fault.

A register is what can be read back by name: a blob, a manifest, a tag. A change says beforehand which registers it sets
to what. Answered with 2xx, they are that; with 4xx, they are what they were. Without an answer, or with "not now", all
of them are old or all of them are new. `audit` reads registers from the server, says what must not be, and takes what
it saw as the truth from then on: what was seen once must stay.
"""

import contextlib
import dataclasses
import random
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from tests.builders import digest_of
from tests.servers import RunningServer

Value = str | None  # the digest of the bytes that are found; None: there is nothing


class Register(NamedTuple):
    """A blob or manifest by its digest, or a manifest by its tag."""

    repository: str
    kind: str  # "blobs" or "manifests", as in paths
    reference: str

    @property
    def path(self) -> str:
        return f"/v2/{self.repository}/{self.kind}/{self.reference}"

    @property
    def is_tag(self) -> bool:
        return ":" not in self.reference


@dataclasses.dataclass(eq=False)
class Change:
    """Registers on their way from one state to another. `status`: of the answer; None: there was none."""

    before: Mapping[Register, Value]
    after: Mapping[Register, Value]
    status: int | None = None

    @property
    def is_open(self) -> bool:
        return self.status is None or self.status >= 500


class Ledger:
    """Registers and changes of all clients. A register may be written by several, if they all set it to the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled: dict[Register, Value] = {}
        self._open: list[Change] = []
        self._recent: set[Register] = set()
        self._at_work = 0
        self.acknowledged = 0
        self.unanswered = 0
        self.refused: list[int] = []  # statuses of 4xx and 5xx

    @property
    def in_flight(self) -> int:
        """How many requests are on their way in this moment."""
        return self._at_work

    def value(self, register: Register) -> Value:
        """What it was when it was last known for sure."""
        return self._settled.get(register)

    def holding(self, value: str, among: Collection[Register]) -> list[Register]:
        return [register for register in among if self._settled.get(register) == value]

    @contextlib.contextmanager
    def change(self, after: Mapping[Register, Value]) -> Iterator[Change]:
        """The time in which a request is on its way. The block sets `status` when there is an answer."""
        with self._lock:
            change = Change({register: self._settled.get(register) for register in after}, dict(after))
            self._open.append(change)
            self._recent.update(after)
            self._at_work += 1
        try:
            yield change
        finally:
            with self._lock:
                self._close(change)

    def _close(self, change: Change) -> None:
        self._at_work -= 1
        if change.status is None:
            self.unanswered += 1
        elif change.status >= 400:
            self.refused.append(change.status)
        if not change.is_open:
            self._open.remove(change)
            if change.status is not None and change.status < 400:
                self.acknowledged += 1
                self._settled.update(change.after)

    # --- the audit ----------------------------------------------------------------------------------------------------

    def audit(self, server: RunningServer, *, sample: int | None = None, seed: int = 0) -> list[str]:
        """What must not be, one line each. Read is all that changed since the last audit, and of the rest as many as
        `sample`; None: everything."""
        assert not self._at_work, "audits are for when nothing is on its way"
        older = sorted(set(self._settled) - self._recent)
        chosen = older if sample is None else random.Random(seed).sample(older, min(sample, len(older)))
        found: list[str] = []
        seen: dict[Register, Value] = {}
        for register in [*sorted(self._recent), *chosen]:
            value, troubles = _read(server, register)
            found += troubles
            seen[register] = value
            if value not in self._allowed(register):
                found.append(f"{register.path} is {value}, and may be {self._allowed(register)}")
        found += [trouble for change in self._open for trouble in _half_done(change, seen)]
        for repository in {register.repository for register in seen}:
            found += _listing(
                server, repository, {r.reference: v for r, v in seen.items() if _is_tag_of(r, repository)}
            )
        self._settled.update(seen)
        self._open.clear()
        self._recent.clear()
        return found

    def _allowed(self, register: Register) -> set[Value]:
        afters = {change.after[register] for change in self._open if register in change.after}
        return {self._settled.get(register), *afters}


def _is_tag_of(register: Register, repository: str) -> bool:
    return register.repository == repository and register.kind == "manifests" and register.is_tag


def _read(server: RunningServer, register: Register) -> tuple[Value, list[str]]:
    """What is there, by GET, and what is wrong about it, by itself and against HEAD."""
    got, head = server.request("GET", register.path), server.request("HEAD", register.path)
    troubles: list[str] = []
    if got.status not in (200, 404) or head.status != got.status:
        troubles.append(f"GET {register.path} is answered {got.status}, HEAD {head.status}")
    if got.status != 200:
        return None, troubles
    value = digest_of(got.body)
    if not register.is_tag and value != register.reference:
        troubles.append(f"{register.path} hands out bytes with the digest {value}")
    told = {got.headers.get("Docker-Content-Digest"), head.headers.get("Docker-Content-Digest")}
    if told != {value} or head.headers["Content-Length"] != str(len(got.body)):
        troubles.append(f"{register.path} has {len(got.body)} bytes of {value}; its headers say otherwise: {told}")
    return value, troubles


def _half_done(change: Change, seen: Mapping[Register, Value]) -> list[str]:
    """A change that has no answer happened whole or not at all."""
    moved = [register for register in change.after if change.before[register] != change.after[register]]
    done = [register for register in moved if seen.get(register) == change.after[register]]
    if 0 < len(done) < len(moved):
        return [f"of one change {[r.path for r in done]} came true, of {[r.path for r in moved]}"]
    return []


def _listing(server: RunningServer, repository: str, tags: Mapping[str, Value]) -> list[str]:
    """Tags that were read are listed if they are there; every tag that is listed can be read."""
    listed: list[str] = []
    path: str | None = f"/v2/{repository}/tags/list?n=1000"
    while path is not None:
        answer = server.request("GET", path)
        if answer.status != 200:
            return [f"{path} is answered {answer.status}"]
        listed += answer.json["tags"]
        link = answer.headers.get("Link")
        path = link.partition("<")[2].partition(">")[0] if link else None
    found = [f"tag {tag} of {repository} is there and not listed" for tag in tags if tags[tag] and tag not in listed]
    found += [f"tag {tag} of {repository} is listed and not there" for tag in listed if tags.get(tag, "") is None]
    for tag in [tag for tag in listed if tag not in tags][-20:]:
        status = server.request("HEAD", f"/v2/{repository}/manifests/{tag}").status
        if status != 200:
            found.append(f"tag {tag} of {repository} is listed, and reading it is answered {status}")
    return found
