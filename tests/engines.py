"""A dockerd of the tests' own, and the docker command against it.

The engine lives in a mount namespace of its own: what it takes for /etc/docker is a folder of the test run, so that it
can be told to trust an authority and the machine's engine cannot. It believes whatever certificate an address of
127.0.0.0/8 shows, hence TLS is tested by a name that nobody resolves: it asks its proxy for such a name, and that is a
relay of ours, for which every name is this machine.
"""

import base64
import contextlib
import io
import json
import shutil
import socket
import socketserver
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.dockerd import Dockerd
from tests.builders import unique_bytes
from tests.programs import Ran, run
from tests.servers import KEY_ID, SECRET, clean_environment

# Bind what is given over /etc/docker and over the list of name servers, then become the rest.
_OWN_ETC: Final = (
    'mount --bind "$1" /etc/docker; [ ! -e /etc/resolv.conf ] || mount --bind "$2" /etc/resolv.conf; shift 2; exec "$@"'
)


class Engine(Dockerd):
    """A dockerd. `trusted`: what it sees as /etc/docker/certs.d."""

    def __init__(self, directory: Path, relay: "Relay") -> None:
        super().__init__(directory)
        self._relay = relay
        self._etc = directory / "etc"
        self.trusted = self._etc / "certs.d"
        self.containerd = directory / "exec" / "containerd" / "containerd.sock"

    def start(self, **_how: Any) -> None:
        self.trusted.mkdir(parents=True)
        Path("/etc/docker").mkdir(exist_ok=True)
        nobody = self.directory / "resolv.conf"
        nobody.write_text("nameserver 127.0.0.1\n")
        super().start(
            within=["unshare", "--mount", "sh", "-euc", _OWN_ETC, "sh", str(self._etc), str(nobody)],
            environment=clean_environment(HTTPS_PROXY=self._relay.url),
        )


class Image(NamedTuple):
    """An image that the engine has. `id` is the digest of its configuration, and so says what all its layers hold."""

    name: str
    id: str
    layers: int


class Docker:
    """The docker command with a configuration folder of its own: one user."""

    def __init__(self, engine: Engine, config: Path) -> None:
        self.engine, self.config = engine, config
        self._environment = {
            "DOCKER_CONFIG": str(config),
            "DOCKER_HOST": engine.host,
            "DOCKER_BUILDKIT": "0",  # the builder that is in the engine
        }

    def __call__(
        self,
        *arguments: str | Path,
        refused: bool = False,
        input: str | bytes = "",
        environment: Mapping[str, str] | None = None,
    ) -> Ran:
        return run(
            "docker",
            *arguments,
            refused=refused,
            input=input,
            environment={**self._environment, **(environment or {})},
        )

    def log_in(self, host: str, user: str = KEY_ID, password: str = SECRET, *, refused: bool = False) -> Ran:
        return self("login", "--username", user, "--password-stdin", host, input=password, refused=refused)

    def remember(self, host: str, user: str, password: str) -> None:
        """Have a login as if docker had tried it."""
        remember(self.config, host, user, password)

    def new_image(self, name: str, *, layers: int = 3) -> Image:
        """An image that no registry has any layer of: a root that is imported, and layers built on it."""
        tree = {"bin/busybox": Path(shutil.which("busybox") or "").read_bytes(), "unique": unique_bytes(20_000)}
        root = self("import", "-", input=tar(tree)).out.strip()
        files = {f"layer-{number}": unique_bytes(50_000) for number in range(1, layers)}
        steps = [f"FROM {root}", *(f"COPY {file} /{file}" for file in files), 'CMD ["/bin/busybox", "true"]']
        context = tar({"Dockerfile": "\n".join(steps).encode(), **files})
        self("build", "--network=none", "--tag", name, "-", input=context)
        return Image(name, self.id_of(name), layers)

    def id_of(self, name: str) -> str:
        return self("image", "inspect", "--format", "{{.Id}}", name).out.strip()

    def forget(self, *names: str) -> None:
        """Have neither the images nor their layers."""
        self("image", "rm", "--force", *names)


def remember(config: Path, host: str, user: str, password: str) -> None:
    """A login, as docker keeps it and other clients read it."""
    config.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (config / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def tar(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files, all of them executable."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return raw.getvalue()


# --- the relay --------------------------------------------------------------------------------------------------------


class Relay:
    """An HTTP proxy on loopback that knows CONNECT alone, and connects to this machine whatever name is given."""

    def __init__(self) -> None:
        self._server = _Relays(("127.0.0.1", 0), _Connect)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Relays(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A connection that breaks is its two ends' trouble."""


class _Connect(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        port = int(self.rfile.readline().split()[1].rpartition(b":")[2])
        while self.rfile.readline().strip():
            pass  # the other header lines
        with socket.create_connection(("127.0.0.1", port)) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
            back.start()
            _pump(self.connection, there)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
