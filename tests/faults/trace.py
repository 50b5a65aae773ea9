"""What a server asks of the kernel, in order: strace's record, read back."""

import re
from pathlib import Path
from typing import Final, NamedTuple

from tests.servers import RunningServer

_CALLS: Final = "mkdir,mkdirat,rename,link,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync"
_WHOLE = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)")
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
_PATH = re.compile(r"^(?:AT_FDCWD<[^>]*>, )?(?:\d+<(?P<open>[^>]*)>|\"(?P<named>[^\"]*)\")")


class Event(NamedTuple):
    """A call that succeeded. `begun` and `done`: line numbers of the record."""

    name: str
    path: str  # of the file descriptor or the first argument
    text: str
    begun: int
    done: int


class TracedServer(RunningServer):
    """A server under strace."""

    def __init__(self, record: Path, data: Path, *arguments: str, **environment: str) -> None:
        super().__init__(data, *arguments, **environment)
        self.record = record

    @property
    def command(self) -> list[str]:
        return ["strace", "-f", "-y", "-s", "120", "-e", f"trace={_CALLS}", "-o", str(self.record), *super().command]

    def events(self) -> list[Event]:
        """All calls so far, in the order in which they were done."""
        found: list[Event] = []
        begun: dict[str, tuple[int, str]] = {}
        for number, line in enumerate(self.record.read_text(errors="replace").splitlines()):
            whole, resumed = _WHOLE.match(line), _RESUMED.match(line)
            if whole and whole["rest"].endswith("<unfinished ...>"):
                begun[whole["pid"]] = (number, whole["rest"])
                continue
            first, text = number, whole["rest"] if whole else ""
            if resumed:
                first, started = begun.pop(resumed["pid"], (number, ""))
                text = started.removesuffix("<unfinished ...>") + resumed["rest"]
            match = whole or resumed
            if match is not None and not re.search(r"= -1 E\w+", text):
                path = _PATH.match(text)
                found.append(Event(match["name"], _path(path), text, first, number))
        return found


def _path(found: re.Match[str] | None) -> str:
    return "" if found is None else found["open"] or found["named"] or ""
