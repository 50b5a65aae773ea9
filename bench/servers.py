"""The programs under load, each on a loopback port and a directory of its own, all on one disk.

Longshore runs as its users run it, with a login. The peers run at their best: no login, no access log, descriptors
cached in memory. nginx serves the same blobs as plain files: the floor below every registry.
"""

import base64
import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import machine, wire
from bench.wire import Blob, Link, Refused

KEY_ID: Final = "AKIABENCHBENCHBENCH0"
SECRET: Final = "only-for-the-bench-and-thrown-away"
_BASIC: Final = "Basic " + base64.b64encode(f"{KEY_ID}:{SECRET}".encode()).decode()
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_TAGS_AT_ONCE: Final = 100


class Server:
    """One program. `directory` is its own and may hold data of an earlier start."""

    key = ""
    title = ""
    is_registry = True
    workers = 1

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir()
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def version(self) -> str:
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def start(self) -> float:
        """Start, and wait for the first answer; the seconds that it took."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with open(self.directory / "output.log", "ab") as log, machine.on(machine.SERVER_CORES):
            began = time.perf_counter()
            self._process = subprocess.Popen(
                self.command(),
                env={**inherited, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - began > _START_SECONDS:
                raise Refused(f"{self.title} does not start: {self._last_words()}")
            time.sleep(0.005)
        return time.perf_counter() - began

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def authorization(self, kind: str = "bearer") -> str:
        """The Authorization header for requests; empty where the server asks for none."""
        return ""

    def link(self) -> Link:
        return Link(self.port, self.authorization())

    def keep(self, repository: str, blob: Blob) -> None:
        """Have the blob, by whatever way."""
        with self.link() as link:
            wire.push(link, repository, blob)

    def tag(self, repository: str, manifest: bytes, media_type: str, tags: Sequence[str]) -> None:
        """Have the manifest under many tags, by the fastest honest way."""
        raise NotImplementedError

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as probe:
                probe.sendall(b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                return probe.recv(12)[9:] in (b"200", b"401", b"403", b"404")
        except OSError:
            return False

    def _last_words(self) -> str:
        return (self.directory / "output.log").read_text(errors="replace")[-500:]


class Longshore(Server):
    """This project, on SQLite and local disk, with its default settings but for creating repositories on push."""

    key, title = "longshore", "Longshore"
    start_command: Sequence[str] = ()

    def version(self) -> str:
        return importlib.metadata.version("longshore")

    def command(self) -> Sequence[str]:
        data = str(self.directory / "data")
        return [*self.start_command, "--data", data, "--port", str(self.port), "--workers", str(self.workers)]

    def environment(self) -> Mapping[str, str]:
        return {
            "LONGSHORE_ROOT_ACCESS_KEY_ID": KEY_ID,
            "LONGSHORE_ROOT_SECRET_ACCESS_KEY": SECRET,
            "LONGSHORE_REGISTRY__CREATE_ON_PUSH": "true",
        }

    def authorization(self, kind: str = "bearer") -> str:
        if kind == "basic":
            return _BASIC
        with Link(self.port, _BASIC) as link:
            return "Bearer " + str(json.loads(link.call("GET", "/token", expect=200).body)["token"])

    def tag(self, repository: str, manifest: bytes, media_type: str, tags: Sequence[str]) -> None:
        with self.link() as link:
            for first in range(0, len(tags), _TAGS_AT_ONCE):
                some = tags[first : first + _TAGS_AT_ONCE]
                wire.put_manifest(link, repository, manifest, media_type, wire.digest_of(manifest), some)


class Distribution(Server):
    """The CNCF distribution registry, filesystem storage, nothing asked and nothing logged."""

    program = ""

    def version(self) -> str:
        return _number(self.program, "--version")

    def command(self) -> Sequence[str]:
        settings = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"cache": {"blobdescriptor": "inmemory"}, "delete": {"enabled": True}, **self.storage()},
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        file = self.directory / "config.yml"
        file.write_text(json.dumps(settings))  # JSON is YAML
        return [self.program, "serve", str(file)]

    def storage(self) -> Mapping[str, object]:
        return {"filesystem": {"rootdirectory": str(self.directory / "data")}}

    def environment(self) -> Mapping[str, str]:
        return {"OTEL_TRACES_EXPORTER": "none"}

    def tag(self, repository: str, manifest: bytes, media_type: str, tags: Sequence[str]) -> None:
        """The first by the API; the rest as the files that it left: one request each would take minutes."""
        digest = wire.digest_of(manifest)
        with self.link() as link:
            wire.put_manifest(link, repository, manifest, media_type, tags[0])
        top = self.directory / "data/docker/registry/v2/repositories" / repository / "_manifests/tags"
        for tag in tags[1:]:
            (top / tag / "current").mkdir(parents=True)
            (top / tag / "current/link").write_text(digest)


class Registry2(Distribution):
    key, title, program = "docker-registry", "docker-registry 2", "docker-registry"


class Registry3(Distribution):
    key, title, program = "distribution", "distribution 3", "registry"


class Nginx(Server):
    key, title, is_registry = "nginx", "nginx", False

    def version(self) -> str:
        return _number("nginx", "-v")

    def command(self) -> Sequence[str]:
        places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{name}_temp_path {self.directory}/{name};" for name in places)
        file = self.directory / "nginx.conf"
        file.write_text(
            f"daemon off; master_process off; worker_processes 1; pid {self.directory}/pid; error_log stderr error;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; "
            f"default_type application/octet-stream; {temporary}\n"
            f"server {{ listen 127.0.0.1:{self.port}; root {self.directory}/files; }} }}\n"
        )
        return ["nginx", "-p", str(self.directory), "-c", str(file), "-e", "stderr"]

    def keep(self, repository: str, blob: Blob) -> None:
        file = self.directory / "files/v2" / repository / "blobs" / blob.digest
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(blob.data)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def found(directory: Path, start_command: Sequence[str], workers: int, only: Iterable[str]) -> list[Server]:
    """Longshore, and the peers that this machine has (or those of them that are named), not yet started."""
    Longshore.start_command, Longshore.workers = start_command, workers
    peers: list[type[Server]] = []
    if shutil.which("docker-registry"):
        peers.append(Registry2)
    if shutil.which("registry") and _number("registry", "--version").startswith("3."):
        peers.append(Registry3)
    if shutil.which("nginx"):
        peers.append(Nginx)
    named = set(only)
    kinds: list[type[Server]] = [Longshore, *(kind for kind in peers if not named or kind.key in named)]
    return [kind(directory / kind.key) for kind in kinds]


def _number(program: str, option: str) -> str:
    """The version that a program gives itself."""
    told = subprocess.run([program, option], capture_output=True, text=True, check=False, timeout=10)
    number = re.search(r"[ /v]([0-9]+\.[0-9]+\.[0-9]+)", told.stdout + told.stderr)
    return number[1] if number else "unknown"
