"""A dockerd of one's own, below a directory of its own, that leaves the machine's networks alone (root only).

It has no bridge and no iptables rules, reads no configuration of the machine's, and is stopped by its process id.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.wire import Refused

_START_SECONDS: Final = 30
_STOP_SECONDS: Final = 60


def is_available() -> bool:
    return os.geteuid() == 0 and bool(shutil.which("dockerd")) and bool(shutil.which("docker"))


class Dockerd:
    """The process, and how the docker command reaches it. `directory` is made, and also holds docker's configuration.

    Its path must be short: a Unix socket's may have 107 bytes.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        (directory / "daemon.json").write_text("{}")
        self.host = f"unix://{directory}/d.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, within: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        """Return when it answers. `within`: a command that sets something up and then becomes the one behind it."""
        place = self.directory
        command = [
            *within, "dockerd", "--host", self.host, "--config-file", f"{place}/daemon.json",
            "--data-root", f"{place}/data", "--exec-root", f"{place}/exec", "--pidfile", f"{place}/pid",
            "--iptables=false", "--bridge=none",
        ]  # fmt: skip
        with open(place / "output.log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + _START_SECONDS
        while subprocess.run(self.command("version"), capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Refused("dockerd does not start: " + (place / "output.log").read_text()[-500:])
            time.sleep(0.2)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def command(self, *arguments: str) -> list[str]:
        return ["docker", "--host", self.host, "--config", str(self.directory), *arguments]
