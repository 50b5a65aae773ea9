"""The command line as a user has it: a process of its own, in a directory of its own."""

import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.servers import clean_environment

BIN = Path(sys.executable).parent  # where the programs of this project and of its clients are installed


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float


def run(*command: str, cwd: Path, given: str = "", **environment: str) -> Finished:
    """Run a program to its end, with a home directory of its own and nothing of this user's."""
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(**{"HOME": str(cwd), "PATH": f"{BIN}:/usr/bin:/bin", **environment}),
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def longshore(*arguments: str, cwd: Path, given: str = "", **environment: str) -> Finished:
    return run(str(BIN / "longshore"), *arguments, cwd=cwd, given=given, **environment)
