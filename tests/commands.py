"""The command line as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers import ROOT, clean_environment


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def longshore(*arguments: str | Path, **environment: str) -> Ran:
    """Run a command to its end, without a terminal."""
    ran = subprocess.run(
        [sys.executable, "-m", "longshore", *map(str, arguments)],
        cwd=ROOT,
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)
