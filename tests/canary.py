"""A listener that nobody may call: what would have gone out, had the server believed what it was sent."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Canary:
    """Counts connections on a loopback port."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.hits = 0
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def count(self) -> None:
        """Until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                self._listener.accept()[0].close()
                self.hits += 1


@contextlib.contextmanager
def listening() -> Iterator[Canary]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        canary = Canary(listener)
        thread = threading.Thread(target=canary.count)
        thread.start()
        try:
            yield canary
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
