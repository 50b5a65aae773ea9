"""Every look, one after another. One that cannot begin, because what it needs is broken, is left out: that was told."""

import stat
from collections.abc import Iterator
from pathlib import Path

from longshore import wiring
from longshore.config import Config
from longshore.doctor import data, outside
from longshore.doctor.finding import Finding


def examine(config: Config) -> Iterator[Finding]:
    """Every finding, as it is made."""
    yield from _settings(config)
    yield from _keys(Path(config.server.data))
    yield from data.looks(config)
    yield from outside.tls(config)
    yield from outside.names(config)
    yield outside.scanner()
    yield outside.server(config)


def _settings(config: Config) -> Iterator[Finding]:
    for warning in config.warnings:
        yield Finding(look="settings", state="warning", found=warning, to_do="correct the name, or remove it")
    if not config.warnings:
        yield Finding(look="settings", state="ok", found="all are known")


def _keys(data: Path) -> Iterator[Finding]:
    for name in (wiring.MASTER_KEY, wiring.ROOT_KEY):
        file = data / name
        if file.exists() and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Finding(
                look="keys",
                state="trouble",
                found=f"{file} can be read by others",
                to_do=f"chmod 600 {file}; if someone did read it, change the key",
            )
        elif file.exists():
            yield Finding(look="keys", state="ok", found=f"{name} is its owner's alone")
