"""The command line as a user has it: a process of its own, in a directory of its own."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.servers import clean_environment

BIN = Path(sys.executable).parent  # where the programs of this project and of its clients are installed


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float  # of processor time: the wall's clock also tells what else the machine does


def run(*command: str, cwd: Path, given: str = "", **environment: str) -> Finished:
    """Run a program to its end, with a home directory of its own and nothing of this user's."""
    before = _processor_seconds()
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(**{"HOME": str(cwd), "PATH": f"{BIN}:/usr/bin:/bin", **environment}),
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Finished(done.returncode, done.stdout, done.stderr, _processor_seconds() - before)


def _processor_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def longshore(*arguments: str, cwd: Path, given: str = "", **environment: str) -> Finished:
    return run(str(BIN / "longshore"), *arguments, cwd=cwd, given=given, **environment)
