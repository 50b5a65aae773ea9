"""What clients asked of a server, by its own log, which has a line for each change and each failure."""

import json
from typing import NamedTuple

from tests.builders import unique_name
from tests.servers import RunningServer
from tests.waiting import until


class Asked(NamedTuple):
    """One request. `path`: below the repository, without its query."""

    method: str
    path: str
    status: int

    @property
    def brings_bytes(self) -> bool:
        """Whether it is a part of an upload."""
        return self.method in ("PATCH", "PUT") and self.path.startswith("blobs/uploads/")


def asked(server: RunningServer, repository: str, *, agent: str = "") -> list[Asked]:
    """The logged requests about a repository that were answered until now, of a server of one process.

    `agent`: only of clients that call themselves so.
    """
    # Lines are written later than answers, but in their order: once this one is there, all before it are.
    mark = unique_name("mark")
    server.request("DELETE", f"/v2/{mark}/manifests/none")
    until(lambda: any(mark in line for line in list(server.output)), what="the log line")
    found = []
    for line in list(server.output):
        entry = json.loads(line) if line.startswith("{") else {}
        path = str(entry.get("path", "")).partition("?")[0]
        if path.startswith(f"/v2/{repository}/") and str(entry["user_agent"]).startswith(agent):
            found.append(Asked(entry["method"], path.removeprefix(f"/v2/{repository}/"), entry["status"]))
    return found


def troubles(server: RunningServer) -> list[str]:
    """Lines that tell of a failure of the server's own."""
    return [line for line in server.output if '"level": "error"' in line or "Traceback" in line]
