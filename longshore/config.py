"""The operator's configuration: one TOML file, `LONGSHORE_SECTION__KEY` in the environment, and flags, in rising order.

Every setting is a field with its meaning; docs/configuration.md is written from them. A key that is not known is an
error in the file and a warning in the environment, where other programs' variables may live. Whatever is wrong is one
`ConfigError`: the setting, its trouble and where it came from, never the value of a secret.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from longshore import values
from registry import options
from registry.names import BadName, Region


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The process."""

    data: Annotated[str, Meta(min_length=1, description="Data directory: database, blobs, keys.")] = "./longshore-data"
    workers: Annotated[int, Meta(ge=1, le=64, description="Processes that share the port.")] = 1
    fast_replies: Annotated[
        bool,
        Meta(
            description="Keep the replies to reads, and give them again to the same request while nothing has changed. "
            "Answers are the same without it."
        ),
    ] = True
    drain_seconds: Annotated[int, Meta(ge=0, description="Time that requests in flight have after SIGTERM.")] = 30


class Database(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metadata: all that is known of images, users and rights."""

    url: Annotated[
        str,
        Meta(
            description="PostgreSQL database that any number of servers share, such as "
            "`postgresql+asyncpg://longshore:password@db.example.com:5432/longshore`; needs the extra `postgres`, and "
            "`secrets.master_key`. Parameters such as `?sslmode=verify-full` are libpq's. Empty: SQLite in the data "
            "directory."
        ),
    ] = ""
    connections: Annotated[
        int, Meta(ge=3, le=64, description="Connections to PostgreSQL that each process opens at most.")
    ] = 8


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The listening socket."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 5000
    tls_cert: Annotated[
        str, Meta(description="Certificate chain (PEM file); `longshore cert` makes one. Empty: plain HTTP.")
    ] = ""
    tls_key: Annotated[str, Meta(description="Private key of the certificate (PEM file), without a passphrase.")] = ""
    trusted_proxies: Annotated[
        tuple[str, ...], Meta(description="Addresses or networks whose X-Forwarded-For and -Proto are believed.")
    ] = ()


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log lines."""

    access: Annotated[
        Literal["off", "errors", "all"],
        Meta(description="Requests that are logged: none, changes and failures, or all."),
    ] = "errors"
    format: Annotated[
        Literal["auto", "json", "console"], Meta(description="`auto`: console on a terminal, JSON elsewhere.")
    ] = "auto"
    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level.")] = "info"
    file: Annotated[str, Meta(description="File to append to. Empty: standard error.")] = ""


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Counters for Prometheus."""

    token: Annotated[
        str, Meta(description="Bearer token that opens /metrics from elsewhere than loopback. Empty: loopback only.")
    ] = ""


class Secrets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys."""

    master_key: Annotated[
        str,
        Meta(
            description="Wraps all other keys: 32 bytes as 64 hexadecimal digits or base64. Empty: `master.key` in the "
            "data directory, made at the first start. Required with `database.url`, and the same for all servers."
        ),
    ] = ""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All sections. `warnings`: one line for each thing in the environment that was likely meant and is not known."""

    server: Server = msgspec.field(default_factory=Server)
    database: Database = msgspec.field(default_factory=Database)
    http: Http = msgspec.field(default_factory=Http)
    registry: options.Registry = msgspec.field(default_factory=options.Registry)
    auth: options.Auth = msgspec.field(default_factory=options.Auth)
    storage: options.Storage = msgspec.field(default_factory=options.Storage)
    limits: options.Limits = msgspec.field(default_factory=options.Limits)
    quotas: options.Quotas = msgspec.field(default_factory=options.Quotas)
    audit: options.Audit = msgspec.field(default_factory=options.Audit)
    gc: options.Gc = msgspec.field(default_factory=options.Gc)
    jobs: options.Jobs = msgspec.field(default_factory=options.Jobs)
    lifecycle: options.Lifecycle = msgspec.field(default_factory=options.Lifecycle)
    undo: options.Undo = msgspec.field(default_factory=options.Undo)
    events: options.Events = msgspec.field(default_factory=options.Events)
    webhooks: options.Webhooks = msgspec.field(default_factory=options.Webhooks)
    egress: options.Egress = msgspec.field(default_factory=options.Egress)
    log: Log = msgspec.field(default_factory=Log)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    secrets: Secrets = msgspec.field(default_factory=Secrets)
    warnings: tuple[str, ...] = ()


class ConfigError(Exception):
    """The configuration cannot be used. One line: which setting, what is wrong, where it came from."""


SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    field.name: field.type for field in msgspec.structs.fields(Config) if field.name != "warnings"
}
# Keys of [storage] that a table [storage.regions.<region>] may hold too, and the tables of PLACES as well.
PER_REGION: Final = tuple(field.name for field in msgspec.structs.fields(options.Place))
# Tables below [storage], and below that of a region, which are made of these keys.
PLACES: Final = ("previous", "archive")
# Every setting, `http.port`, and its type with its bounds and description.
SETTINGS: Final[dict[str, Any]] = {
    f"{section}.{field.name}": field.type
    for section, kind in SECTIONS.items()
    for field in msgspec.structs.fields(kind)
    if section != "storage" or field.name not in (*PLACES, "regions")  # tables of settings
}
DEFAULTS: Final[dict[str, Any]] = {
    setting: getattr(getattr(Config(), setting.partition(".")[0]), setting.partition(".")[2]) for setting in SETTINGS
}
# Those in tables below [storage], `storage.previous.kind`: each is to its place what `storage.kind` is to [storage].
BELOW: Final = {f"storage.{table}.{key}": f"storage.{key}" for table in PLACES for key in PER_REGION}
SECRETS: Final = frozenset(
    {"database.url", "metrics.token", "secrets.master_key", "storage.secret_access_key"}
    | {f"storage.{table}.secret_access_key" for table in PLACES}
)
# Comma-separated in the environment.
LISTS: Final = frozenset({"http.trusted_proxies", "egress.allow", "storage.redirect_networks"})

_PREFIX: Final = "LONGSHORE_"
_LARGEST: Final = 2**63 - 1


class _Given(NamedTuple):
    """A value that somebody set. `exact`: typed already, so that "5000" is no number. `region`: for this one alone."""

    setting: str
    value: Any
    origin: str
    exact: bool
    region: str = ""


def env_name(setting: str) -> str:
    """The environment's name of a setting: `http.port` is LONGSHORE_HTTP__PORT."""
    return _PREFIX + setting.replace(".", "__").upper()


def load(*, data: Path | None, file: Path | None, env: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """The configuration. `flags` are by setting, `http.port`. Raises ConfigError."""
    given_flags = {**({"server.data": str(data)} if data is not None else {}), **flags}
    given = [
        *(_from_file(file) if file is not None else ()),
        *_from_environment(env),
        *(_Given(setting, value, f"flag {_flag(setting)}", True) for setting, value in given_flags.items()),
    ]
    tree: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    regions: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    for one in given:
        section, _, key = one.setting.partition(".")
        if one.region:
            regions.setdefault(one.region, {})[key] = _converted(one)
        else:
            tree[section][key] = _converted(one)
            origins[one.setting] = one.origin
    tree["storage"] = _storage(tree["storage"], regions)
    built: dict[str, Any] = {section: kind(**tree[section]) for section, kind in SECTIONS.items()}
    config = Config(**built, warnings=tuple(_warnings(env)))
    _check_tls_pair(config, origins)
    _check_home(config.storage, "storage", origins.get("storage.kind", "default"))
    for region, home in config.storage.regions.items():
        _check_home(home, f"storage.regions.{region}", f"table [storage.regions.{region}]")
    return config


def _flag(setting: str) -> str:
    return f"--{setting.partition('.')[2].replace('_', '-')}"


# --- where values come from -------------------------------------------------------------------------------------------


def _from_file(file: Path) -> Iterator[_Given]:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration file {file} is not TOML: {_one_line(str(error))}") from None
    origin = f"file {file.name}"
    for section, held in found.items():
        if section in SECTIONS and not isinstance(held, dict):
            raise ConfigError(f"{section}: is a section, so it is written [{section}] ({origin})")
        for key, value in held.items() if isinstance(held, dict) else [("", held)]:
            setting = f"{section}.{key}".rstrip(".")
            if setting == "storage.regions":
                yield from _from_regions(value, origin)
                continue
            if section == "storage" and key in PLACES:
                yield from _from_place(setting, value, origin)
                continue
            if setting not in SETTINGS:
                raise ConfigError(f"{_one_line(setting)}: there is no such setting{_nearest(setting)} ({origin})")
            yield _Given(setting, value, origin, True)


def _from_regions(tables: object, origin: str) -> Iterator[_Given]:
    for region, table in tables.items() if isinstance(tables, dict) else [("", None)]:
        if not isinstance(table, dict):
            raise ConfigError(
                f"storage.regions: holds a table for each region, written [storage.regions.eu-west-1] ({origin})"
            )
        try:
            Region.parse(region)
        except BadName as error:
            raise ConfigError(f"storage.regions: {_shown('', region)}: {error.why} ({origin})") from None
        for key, value in table.items():
            if key in PLACES:
                yield from _from_place(f"storage.regions.{region}.{key}", value, origin, region)
                continue
            _require_known(key, f"storage.regions.{region}", origin)
            yield _Given(f"storage.{key}", value, f"{origin}, table [storage.regions.{region}]", True, region)


def _from_place(name: str, table: object, origin: str, region: str = "") -> Iterator[_Given]:
    if not isinstance(table, dict):
        raise ConfigError(f"{name}: is a table, so it is written [{name}] ({origin})")
    for key, value in table.items():
        _require_known(key, name, origin)
        setting = f"storage.{name.rpartition('.')[2]}.{key}"
        yield _Given(setting, value, f"{origin}, table [{name}]" if region else origin, True, region)


def _require_known(key: str, table: str, origin: str) -> None:
    if key not in PER_REGION:
        close = difflib.get_close_matches(key, PER_REGION, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"{_one_line(f'{table}.{key}')}: there is no such setting{hint} ({origin})")


def _storage(given: Mapping[str, Any], regions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """[storage] with its tables. What a region's table does not say is as in [storage]; what that of the archive does
    not say is as where all other bytes of its region lie, so that a storage class alone will do. Where bytes lay before
    has nothing to do with where they lie now."""
    plain = _plain(given)
    common = {key: value for key, value in plain.items() if key in PER_REGION}
    homes = {region: options.Home(**_home({**common, **_plain(own)}, given, own)) for region, own in regions.items()}
    return _home(plain, given) | {"regions": homes}


def _home(place: Mapping[str, Any], *tables: Mapping[str, Any]) -> dict[str, Any]:
    """A place with its tables, of which the last that says a thing holds."""
    previous = [options.Place(**found) for table in tables if (found := _table(table, "previous"))]
    archive = {key: value for table in tables for key, value in _table(table, "archive").items()}
    common = {key: value for key, value in place.items() if key in PER_REGION}
    beside = {**common, "prefix": options.archive_prefix(place.get("prefix", ""))}
    if previous and not _table(tables[-1], "previous") and previous[-1].spot == options.Place(**common).spot:
        previous = []  # said for all regions, and this one stays where it is
    return {
        **place,
        "previous": previous[-1] if previous else None,
        "archive": options.Place(**{**beside, **archive}) if archive else None,
    }


def _table(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a table of these settings holds."""
    return {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{name}.")}


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if "." not in key}


def _from_environment(env: Mapping[str, str]) -> Iterator[_Given]:
    for setting in (*SETTINGS, *BELOW):
        name = env_name(setting)
        if name in env:
            listed = setting in LISTS
            value: Any = [part.strip() for part in env[name].split(",") if part.strip()] if listed else env[name]
            yield _Given(setting, value, f"environment {name}", False)
        if setting in SECRETS and f"{name}_FILE" in env:
            if name in env:
                raise ConfigError(f"{setting}: is set twice: keep one (environment {name} and {name}_FILE)")
            yield _Given(setting, _secret_file(setting, f"{name}_FILE", env), f"environment {name}_FILE", False)


def _secret_file(setting: str, name: str, env: Mapping[str, str]) -> str:
    try:
        found = Path(env[name]).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"{setting}: cannot read {_shown(setting, env[name], file=True)}: {why} ({name})") from None
    if not found:
        raise ConfigError(f"{setting}: the file {_shown(setting, env[name], file=True)} is empty (environment {name})")
    return found


def _warnings(env: Mapping[str, str]) -> Iterator[str]:
    """Names that look meant for this program. Others may be anyone's: a Kubernetes service named `longshore` brings
    LONGSHORE_PORT and its like into every pod."""
    known = {env_name(setting): setting for setting in (*SETTINGS, *BELOW)}
    known |= {f"{env_name(setting)}_FILE": setting for setting in SECRETS}
    mistaken = {name.replace("__", "_"): name for name in known}
    # Without what they all have in common, which makes any two look alike.
    bare = {name.removeprefix(_PREFIX): name for name in known}
    for name in sorted(env):
        if not name.startswith(_PREFIX) or name in known:
            continue
        if name in mistaken:
            yield f"{name} is not a setting; did you mean {mistaken[name]}? (environment)"
        elif "__" in name:
            close = difflib.get_close_matches(name.removeprefix(_PREFIX), bare, 1)
            meant = f"; did you mean {bare[close[0]]}?" if close else ""
            yield f"{_one_line(name)} is not a setting{meant} (environment)"


def _nearest(setting: str) -> str:
    """A suggestion: the key where it really lives, else the setting that is written most like it."""
    key = setting.rpartition(".")[2]
    homes = [known for known in SETTINGS if known.partition(".")[2] == key]
    close = homes[:1] if len(homes) == 1 else difflib.get_close_matches(setting, SETTINGS, 1)
    return f"; did you mean {close[0]}?" if close else ""


# --- what a value may be ----------------------------------------------------------------------------------------------


def _converted(given: _Given) -> Any:
    """The value in its setting's type, checked by itself."""
    setting, shown = given.setting, _shown(given.setting, given.value)
    try:
        value = msgspec.convert(given.value, SETTINGS[BELOW.get(setting, setting)], strict=given.exact)
        if isinstance(value, int) and value > _LARGEST:
            raise ValueError("is too large")
        for text in [value] if isinstance(value, str) else value if isinstance(value, tuple) else ():
            _check_text(setting, text)
    except msgspec.ValidationError:
        raise ConfigError(f"{setting}: {shown} is not {expected(setting)} ({given.origin})") from None
    except (ValueError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{setting}: {shown}: {why} ({given.origin})") from None
    return value


def expected(setting: str) -> str:
    """What a setting's value is, in words: "a whole number from 0 to 65535"."""
    from msgspec import inspect

    like = SETTINGS[BELOW.get(setting, setting)]
    kind: Any = inspect.type_info(like)
    kind = kind.type if isinstance(kind, inspect.Metadata) else kind
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=least, le=most):
            return "a whole number" + (f" from {least} to {most}" if most is not None else f", {least} or more")
        case inspect.LiteralType():
            # In the order in which they are declared; msgspec sorts them.
            return "one of " + ", ".join(word or '""' for word in like.__origin__.__args__)
        case inspect.VarTupleType():
            return "a list of texts"
        case _:
            return "a text" + (" that is not empty" if kind.min_length else "")


def _shown(setting: str, value: object, *, file: bool = False) -> str:
    """A value for a message: short, on one line. A secret is not shown; `file`: the name of its file is."""
    if setting in SECRETS and not file:
        return "the value"
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f\s]+", " ", text)[:200]


def _check_text(setting: str, text: str) -> None:
    """Raises ValueError or OSError saying what is wrong."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("holds a control character")
    like = BELOW.get(setting, setting)
    if like in values.CHECKS and (text or DEFAULTS[like]):
        values.CHECKS[like](text)


def _check_tls_pair(config: Config, origins: Mapping[str, str]) -> None:
    cert, key = config.http.tls_cert, config.http.tls_key
    if bool(cert) != bool(key):
        has, lacks = ("http.tls_cert", "http.tls_key") if cert else ("http.tls_key", "http.tls_cert")
        raise ConfigError(f"{lacks}: is missing: {has} is set, and they go together ({origins[has]})")
    if cert:
        try:
            values.check_certificate(cert, key)
        except ValueError as error:
            raise ConfigError(f"http.tls_cert: {error} ({origins['http.tls_cert']})") from None


def _check_home(home: options.Home, name: str, origin: str) -> None:
    """Settings of a region's stores that only make sense together."""
    _check_place(home, "storage", origin)
    for table, place in (("previous", home.previous), ("archive", home.archive)):
        if place is not None:
            _check_place(place, f"storage.{table}", f"table [{name}.{table}]" if name != "storage" else origin)
    if home.previous is not None and home.previous.spot == home.spot:
        raise ConfigError(f"{name}.previous: is the same place as {name}: it names where bytes lay before ({origin})")
    if home.archive_place.kind == "s3" and home.archive_place.spot == home.spot:
        raise ConfigError(f"{name}.archive: is the same place as {name}: give it another prefix or bucket ({origin})")


def _check_place(place: options.Place, name: str, origin: str) -> None:
    if place.kind == "s3" and not place.bucket:
        raise ConfigError(f"{name}.bucket: is missing: {name}.kind is s3, and bytes go into a bucket ({origin})")
    if bool(place.access_key_id) != bool(place.secret_access_key):
        lacks = "secret_access_key" if place.access_key_id else "access_key_id"
        raise ConfigError(f"{name}.{lacks}: is missing: the id and the secret of an access key go together ({origin})")
    if place.sse_kms_key and place.sse != "aws:kms":
        raise ConfigError(f"{name}.sse_kms_key: is used with {name}.sse = aws:kms alone ({origin})")
