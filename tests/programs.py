"""Clients that are programs: run one, and judge how it ended."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.servers import ROOT, clean_environment

# Where `longshore`, `docker-credential-longshore` and `aws` of this environment are found, before any other.
PATH: Final = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


class Ran(NamedTuple):
    """How a program ended. `said`: both outputs, for people; `out`, `raw`: standard output alone."""

    said: str
    out: str
    raw: bytes
    seconds: float


def run(
    *command: str | Path,
    refused: bool = False,
    input: str | bytes = "",
    environment: Mapping[str, str] | None = None,
    directory: Path = ROOT,
    seconds: float = 120,
) -> Ran:
    """Run a program to its end. It must succeed, or with `refused` must fail; AssertionError with its words otherwise.

    `environment` is set over this process's, from which nothing reaches AWS or another Longshore.
    """
    began = time.monotonic()
    done = subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env={**clean_environment(), **(environment or {}), "PATH": PATH},
        input=input.encode() if isinstance(input, str) else input,
        capture_output=True,
        check=False,
        timeout=seconds,
    )
    took = time.monotonic() - began
    out, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    said = out + errors
    assert (done.returncode != 0) == refused, f"{_shown(command)} ended with {done.returncode}:\n{said[-3000:]}"
    return Ran(said, out, done.stdout, took)


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(str(word) for word in command)[:300]
