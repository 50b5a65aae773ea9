"""The operator's configuration: one TOML file, `LONGSHORE_SECTION__KEY` in the environment, and flags, in rising order.

Every setting is a field with its meaning; docs/configuration.md is written from them. A key that is not known is an
error in the file and a warning in the environment, where other programs' variables may live.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from registry import options
from registry.names import AccountId, BadName, Region


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The process."""

    data: Annotated[str, Meta(description="Data directory: database, blobs, keys.")] = "./longshore-data"
    workers: Annotated[int, Meta(ge=1, le=64, description="Processes that share the port.")] = 1
    drain_seconds: Annotated[int, Meta(ge=0, description="Time that requests in flight have after SIGTERM.")] = 30


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The listening socket."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 5000
    tls_cert: Annotated[str, Meta(description="Certificate chain (PEM file). Empty: plain HTTP.")] = ""
    tls_key: Annotated[str, Meta(description="Private key of the certificate (PEM file).")] = ""
    trusted_proxies: Annotated[
        tuple[str, ...], Meta(description="Addresses or networks whose X-Forwarded-For and -Proto are believed.")
    ] = ()


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log lines."""

    access: Annotated[
        Literal["off", "errors", "all"],
        Meta(description="Requests that are logged: none, changes and failures, or all."),
    ] = "errors"
    format: Annotated[Literal["auto", "json", "console"], Meta(description="`auto`: console on a terminal.")] = "auto"
    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level.")] = "info"
    file: Annotated[str, Meta(description="File to append to. Empty: standard error.")] = ""


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Counters for Prometheus."""

    token: Annotated[str, Meta(description="Bearer token that opens /metrics from elsewhere than loopback.")] = ""


class Secrets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys."""

    master_key: Annotated[
        str,
        Meta(
            description="Wraps all other keys: 32 bytes as 64 hexadecimal digits or base64. Empty: in a file of data."
        ),
    ] = ""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All sections."""

    server: Server = msgspec.field(default_factory=Server)
    http: Http = msgspec.field(default_factory=Http)
    registry: options.Registry = msgspec.field(default_factory=options.Registry)
    auth: options.Auth = msgspec.field(default_factory=options.Auth)
    storage: options.Storage = msgspec.field(default_factory=options.Storage)
    limits: options.Limits = msgspec.field(default_factory=options.Limits)
    log: Log = msgspec.field(default_factory=Log)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    secrets: Secrets = msgspec.field(default_factory=Secrets)
    warnings: tuple[str, ...] = ()


class ConfigError(Exception):
    """The configuration cannot be used. One line: which key, what is wrong, where it came from."""


PREFIX: Final = "LONGSHORE_"
SECRETS: Final = frozenset({("metrics", "token"), ("secrets", "master_key")})


def load(*, data: Path | None, file: Path | None, env: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """The configuration. `flags` are by setting, `http.port`. Raises ConfigError."""
    tree: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []
    if file is not None:
        _merge(tree, _read(file), f"file {file.name}")
    for name, value in sorted(env.items()):
        if name.startswith(PREFIX) and "__" in name:
            warnings += _from_environment(tree, name, value)
    for setting, given in {**flags, **({"server.data": str(data)} if data else {})}.items():
        section, _, key = setting.partition(".")
        tree.setdefault(section, {})[key] = given
    try:
        config = msgspec.convert({**tree, "warnings": warnings}, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"configuration: {error}") from None
    _check(config)
    return config


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file.name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.name} is not TOML: {error}") from None


def _merge(tree: dict[str, dict[str, Any]], found: Mapping[str, Any], origin: str) -> None:
    for section, values in found.items():
        for key, value in values.items() if isinstance(values, dict) else [("", values)]:
            if key not in _keys(section):
                raise ConfigError(f"{section}.{key} ({origin}) is no setting{_nearest(f'{section}.{key}')}")
            tree.setdefault(section, {})[key] = value


def _from_environment(tree: dict[str, dict[str, Any]], name: str, value: str) -> list[str]:
    section, _, key = name.removeprefix(PREFIX).lower().partition("__")
    if key.endswith("_file") and (section, key.removesuffix("_file")) in SECRETS:
        key = key.removesuffix("_file")
        try:
            value = Path(value).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"cannot read the file that {name} names: {error.strerror}") from None
    if key not in _keys(section):
        return [f"{name} is no setting{_nearest(f'{section}.{key}')}"]
    listed: Any = tuple(part.strip() for part in value.split(",") if part.strip())
    tree.setdefault(section, {})[key] = listed if (section, key) == ("http", "trusted_proxies") else value
    return []


def _keys(section: str) -> tuple[str, ...]:
    found = getattr(Config(), section, None)
    return found.__struct_fields__ if isinstance(found, msgspec.Struct) else ()


def _nearest(setting: str) -> str:
    known = [f"{section}.{key}" for section in Config.__struct_fields__ for key in _keys(section)]
    close = difflib.get_close_matches(setting, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _check(config: Config) -> None:
    try:
        AccountId.parse(config.registry.account)
        Region.parse(config.registry.region)
    except BadName as error:
        raise ConfigError(f"registry.{error.kind}: {error.why}") from None
    if bool(config.http.tls_cert) != bool(config.http.tls_key):
        raise ConfigError("http.tls_cert and http.tls_key go together")
    for path in filter(None, (config.http.tls_cert, config.http.tls_key)):
        if not os.access(path, os.R_OK):
            raise ConfigError(f"cannot read {path}")
