"""Whole `docker push` and `docker pull`, by a dockerd of the run's own.

Each round has an image of its own, since an engine remembers which layers a registry holds. The engine compresses
what it pushes and unpacks what it pulls, on the load's core: mostly it is itself that is measured here.
"""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any, Final

from bench import machine
from bench.dockerd import Dockerd
from bench.servers import Server
from bench.wire import Refused

LAYERS: Final = 20
LAYER_BYTES: Final = 25_000_000
_PATIENCE: Final = 300.0


class Engine(Dockerd):
    """A dockerd on the load's core."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._archive = directory / "image.tar"
        self._rounds = 0

    def start(self, **how: Any) -> None:
        with machine.on(machine.LOAD_CORES):
            super().start(**how)

    def new_image(self) -> str:
        """Make an image that no registry has seen; its name."""
        self._rounds += 1
        name = f"bench:{self._rounds}"
        _write_image(self._archive, name)
        return name

    def push_and_pull(self, server: Server, image: str) -> tuple[float, float]:
        """Seconds of the push, and of the pull of what was pushed."""
        self._log_in(server)
        target = f"127.0.0.1:{server.port}/bench/docker:{image.partition(':')[2]}"
        self._run("load", "--quiet", "--input", str(self._archive))
        self._run("tag", image, target)
        os.sync()
        pushed = self._timed("push", "--quiet", target)
        self._run("image", "rm", image, target)
        os.sync()
        pulled = self._timed("pull", "--quiet", target)
        self._run("image", "rm", target)
        return pushed, pulled

    def _log_in(self, server: Server) -> None:
        given = server.authorization("basic").removeprefix("Basic ")
        auths = {f"127.0.0.1:{server.port}": {"auth": given}} if given else {}
        (self.directory / "config.json").write_text(json.dumps({"auths": auths}))

    def _timed(self, *arguments: str) -> float:
        began = time.perf_counter()
        self._run(*arguments)
        return time.perf_counter() - began

    def _run(self, *arguments: str) -> None:
        command = self.command(*arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
        if done.returncode:
            raise Refused(f"docker {arguments[0]}: {done.stderr[-300:]}")


def _write_image(file: Path, name: str) -> None:
    """An image in docker's own archive form: layers of random bytes, which do not shrink."""
    diff_ids = []
    with tarfile.open(file, "w") as archive:
        for number in range(LAYERS):
            layer = _layer(number)
            diff_ids.append("sha256:" + hashlib.sha256(layer).hexdigest())
            _add(archive, f"{number}/layer.tar", layer)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        _add(archive, "config.json", json.dumps(config).encode())
        layers = [f"{number}/layer.tar" for number in range(LAYERS)]
        _add(
            archive,
            "manifest.json",
            json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": layers}]).encode(),
        )


def _layer(number: int) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as layer:
        _add(layer, f"file-{number}", os.urandom(LAYER_BYTES))
    return raw.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
