"""Clients that push images, move tags and delete images while garbage is collected, and know what must be there.

Like any client they ask for a blob before they send it, and send it only where they are told that it is not there. Some
layers are those of earlier images, live ones and deleted ones.
"""

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.builders import Built, digest_of, image
from tests.faults.writers import OciDoor
from tests.servers import RunningServer
from tests.waiting import until


class Pusher:
    """One client with a repository of its own."""

    def __init__(self, server: RunningServer, repository: str, seed: int) -> None:
        self._server, self.repository = server, repository
        self._rng = random.Random(seed)
        self._layers: list[bytes] = []
        self.alive: dict[str, Built] = {}  # by digest
        self.tags: dict[str, str] = {}
        self.deleted = self.serial = self.asked = 0
        self.refused: list[str] = []
        self.seconds: list[float] = []  # of whole pushes

    def run(self, stop: threading.Event) -> None:
        with contextlib.closing(OciDoor(self._server)) as door:
            while not stop.is_set():
                self.push(door)
                if self.alive and self._rng.random() < 0.4:
                    self.delete(door)

    def push(self, door: OciDoor) -> None:
        self.serial += 1
        layers = [self._rng.randbytes(self._rng.choice((100, 5000, 30_000))) for _ in range(2)]
        if self._layers and self._rng.random() < 0.6:
            layers[0] = self._rng.choice(self._layers)
        self._layers = [*self._layers, *layers][-30:]
        built = image(layers=layers, config=f"{self.repository} {self.serial}".encode())
        began = time.monotonic()
        for data in built.blobs:
            self._bring(door, data)
        tag = self._rng.choice(("latest", f"v{self.serial}"))
        status = door.put_manifest(self.repository, built, tag)
        self.seconds.append(time.monotonic() - began)
        if status != 201:
            self.refused.append(f"manifest {status}")
            return
        self.alive[built.digest] = built
        self.tags[tag] = built.digest

    def _bring(self, door: OciDoor, data: bytes) -> None:
        status = door._call("HEAD", f"/v2/{self.repository}/blobs/{digest_of(data)}").status
        if status == 200:
            self.asked += 1
            return
        status = door.push_blob(self.repository, data, self._rng)
        if status != 201:
            self.refused.append(f"blob {status}")

    def delete(self, door: OciDoor) -> None:
        digest = self._rng.choice(sorted(self.alive))
        status = door.delete_image(self.repository, digest)
        if status != 202:
            self.refused.append(f"delete {status}")
            return
        self.deleted += 1
        del self.alive[digest]
        self.tags = {tag: named for tag, named in self.tags.items() if named != digest}

    def broken(self) -> list[str]:
        """What of the images that were acknowledged and not deleted cannot be read whole."""
        found = []
        with contextlib.closing(OciDoor(self._server)) as door:
            for digest, built in self.alive.items():
                answer = door._call("GET", f"/v2/{self.repository}/manifests/{digest}")
                if answer.body != built.body:
                    found.append(f"{self.repository}@{digest}: {answer.status}")
                for data in built.blobs:
                    answer = door._call("GET", f"/v2/{self.repository}/blobs/{digest_of(data)}")
                    if answer.body != data:
                        found.append(f"{self.repository}@{digest} blob {digest_of(data)}: {answer.status}")
            for tag, digest in self.tags.items():
                answer = door._call("GET", f"/v2/{self.repository}/manifests/{tag}")
                if digest_of(answer.body) != digest:
                    found.append(f"{self.repository}:{tag}: {answer.status}")
        return found

    def needed(self) -> set[str]:
        return {digest_of(data) for built in self.alive.values() for data in built.blobs}


def crowd(server: RunningServer, count: int, seed: int = 1) -> list[Pusher]:
    """Pushers, each with a new repository."""
    for number in range(count):
        server.create(f"crowd-{number}")
    return [Pusher(server, f"crowd-{number}", seed + number) for number in range(count)]


@contextlib.contextmanager
def at_work(pushers: list[Pusher]) -> Iterator[None]:
    """While the block runs they push; from its beginning on each has pushed something in it."""
    stop, before = threading.Event(), [pusher.serial for pusher in pushers]
    with ThreadPoolExecutor(len(pushers)) as pool:
        ends = [pool.submit(pusher.run, stop) for pusher in pushers]
        try:
            until(
                lambda: (
                    all(p.serial > seen for p, seen in zip(pushers, before, strict=True)) or any(e.done() for e in ends)
                ),
                what="a push by each",
            )
            yield
        finally:
            stop.set()
        for end in ends:
            end.result()
