"""`hosts.json`: by registry host, the server and the access key that make a docker login for it.

`longshore login --save-host` writes it, `docker-credential-longshore` reads it: `~/.config/longshore/hosts.json`, below
XDG_CONFIG_HOME where that is set. It holds secrets, so it is 0600, and is not used when others may read it.

    {"localhost:5000": {"endpoint": ..., "accessKeyId": ..., "secretAccessKey": ..., "region": ..., "ca": ...}}
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from longshore import files


class HostsTrouble(Exception):
    """The file cannot be used. One line that says what to do."""


def path(env: Mapping[str, str]) -> Path:
    base = env.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "longshore" / "hosts.json"


def read(file: Path) -> dict[str, dict[str, str]]:
    """All hosts; none where there is no file. Raises HostsTrouble."""
    try:
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise HostsTrouble(f"{file} can be read by others: chmod 600 it, and change the keys in it if they did")
        found: Any = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HostsTrouble(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        raise HostsTrouble(f"{file} is not JSON: mend it, or remove it and use `longshore login --save-host`") from None
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise HostsTrouble(f"{file} does not hold hosts with their keys")
    return {host: {key: str(value) for key, value in entry.items()} for host, entry in found.items()}


def save(file: Path, hosts: Iterable[str], entry: Mapping[str, str]) -> None:
    """Keep `entry` for these hosts, beside the others. Raises HostsTrouble, OSError."""
    known = read(file) | {host: dict(entry) for host in hosts}
    os.makedirs(file.parent, mode=0o700, exist_ok=True)
    files.replace(file, (json.dumps(known, indent=2) + "\n").encode())
