"""Many clients at once: what a server needs of memory for them."""

import contextlib
import resource
import socket
import threading
from typing import Final

from bench import wire
from bench.servers import Server
from bench.wire import Refused

_REPOSITORY: Final = "bench/crowds"
_HELD: Final = 100_000  # bytes that a slow client promises
_SENT: Final = 100  # bytes that it sends
_SPARE: Final = 200  # file descriptors for everything else


def uploads(server: Server, clients: int, size: int, base: bytes) -> None:
    """So many layers of `size` bytes come in at once, and are given up when they are in: disks have other uses."""
    failed: list[Exception] = []

    def one() -> None:
        try:
            with server.link() as link:
                location = wire.begin(link, _REPOSITORY)
                location = wire.path_of(link.send("PATCH", location, base, size, expect=202))
                link.call("DELETE", location, expect=204)
        except (Refused, OSError) as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def slow_clients(server: Server, clients: int) -> None:
    """So many begin a layer and send nothing more; while they are there, another is answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + _SPARE
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    with contextlib.ExitStack() as held, server.link() as link:
        for _ in range(clients):
            location = wire.begin(link, _REPOSITORY)
            client = held.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))
            client.sendall(link.head("PATCH", location, {"Content-Length": str(_HELD)}) + bytes(_SENT))
        with server.link() as another:
            wire.push(another, _REPOSITORY, wire.fresh(1000, bytes(1000)))
