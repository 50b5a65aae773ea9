"""Docker's own configuration, `config.json`, as far as logins go.

    auths        host -> {"auth": base64 of user:password}; {} where a helper holds it
    credHelpers  host -> name of the helper for that host
    credsStore   name of the helper for all other hosts

A helper is a program `docker-credential-<name>`. What else is in the file stays as it is.
Source: docs.docker.com, "docker login", credential stores and helpers.
"""

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from longshore import files

_PATIENCE: Final = 60  # seconds; a helper may ask its user to unlock a key ring


class DockerConfigTrouble(Exception):
    """The file, or a helper that it names, cannot be used. One line that says what to do."""


class DockerConfig:
    """The file in one directory."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "config.json"

    @classmethod
    def of(cls, directory: Path | None, env: Mapping[str, str]) -> "DockerConfig":
        """The directory that is named, or the one that docker itself would use."""
        return cls(directory or Path(env.get("DOCKER_CONFIG") or "~/.docker").expanduser())

    def helper_of(self, host: str) -> str:
        """The name of the helper that holds this host's login; empty: the file does."""
        content = self._read()
        return str(_table(content, "credHelpers").get(host) or content.get("credsStore") or "")

    def store(self, host: str, user: str, password: str) -> str:
        """Keep a login, in the file or with the helper. Returns where, for people. Raises DockerConfigTrouble."""
        helper = self.helper_of(host)
        content = self._read()
        kept = {}
        if helper:
            _run_helper(helper, {"ServerURL": host, "Username": user, "Secret": password})
        else:
            kept = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
        # Docker too leaves an empty entry in the file for a login that a helper holds.
        self._write({**content, "auths": {**_table(content, "auths"), host: kept}})
        return f"docker-credential-{helper}" if helper else str(self.file)

    def use_helper(self, host: str, helper: str) -> None:
        """Have docker ask `helper` for this host's login from now on. Raises DockerConfigTrouble."""
        content = self._read()
        auths = {known: entry for known, entry in _table(content, "auths").items() if known != host}
        helpers = {**_table(content, "credHelpers"), host: helper}
        self._write({**content, "auths": auths, "credHelpers": helpers})

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.file.read_text(encoding="utf-8") or "{}")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DockerConfigTrouble(f"cannot read {self.file}: {error.strerror}") from None
        except ValueError:
            raise DockerConfigTrouble(
                f"{self.file} is not JSON: mend it, or choose another by --docker-config"
            ) from None
        if not isinstance(content, dict):
            raise DockerConfigTrouble(f"{self.file} does not hold docker's configuration")
        return content

    def _write(self, content: dict[str, Any]) -> None:
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.replace(self.file, (json.dumps(content, indent="\t") + "\n").encode())
        except OSError as error:
            raise DockerConfigTrouble(
                f"cannot write {self.file}: {error.strerror}; choose another by --docker-config"
            ) from None


def _table(content: dict[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def _run_helper(name: str, login: dict[str, str]) -> None:
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(  # noqa: S603 # the user's own configuration names it
            [program, "store"], input=json.dumps(login), capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except FileNotFoundError:
        raise DockerConfigTrouble(
            f"docker's configuration names the helper {program}, which is not installed: install it, or take it out"
        ) from None
    except (OSError, subprocess.TimeoutExpired):
        raise DockerConfigTrouble(f"{program} store did not come to an end") from None
    if done.returncode != 0:
        why = " ".join((done.stdout or done.stderr).split())[:300]
        raise DockerConfigTrouble(f"{program} store failed: {why or 'it says nothing'}")
