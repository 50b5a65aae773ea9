"""Building the parts: the one place that names, by `databases.py` and `stores.py`, the database and concrete stores.

`prepare` runs once per start, in the parent: it brings the database up to date, makes what a first start needs, and
proves that the data can be used at all. `build` runs in every process that serves. `opened` is for commands that look
at data which is there, beside a server or without one.
"""

import base64
import contextlib
import dataclasses
import datetime as dt
import fcntl
import json
import logging
import os
import secrets
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from longshore import databases, files, stores
from longshore.config import Config
from longshore.databases import DatabaseUnusable
from registry import failpoints, limits
from registry.audit import Refusals
from registry.auth.authenticator import Authenticator
from registry.auth.authorizer import Authorizer
from registry.auth.sealing import PURPOSES, BadSeal, Sealer
from registry.auth.stamped import Stamped
from registry.context import Deps, SystemClock
from registry.entities import AccessKey
from registry.errors import DatabaseUnavailable
from registry.hosts import Hosts
from registry.intake import RunningHashes
from registry.names import AccountId, Region, RegistryRef
from registry.options import Settings
from registry.pulls import Pulls
from registry.records import access_keys, accounts, installation, listeners, schema, stamps
from registry.records.engine import Opened, Tx
from registry.remote.egress import Egress
from registry.remote.issuers import Issuers
from registry.storage.base import StoreMismatch, Stores

DATABASE, MASTER_KEY, ROOT_KEY = databases.FILE, "master.key", "root-key.json"
UNFINISHED = "restore-unfinished"  # there while a data directory is being restored, and after a restore that was killed
_ROOT_VARIABLES = ("LONGSHORE_ROOT_ACCESS_KEY_ID", "LONGSHORE_ROOT_SECRET_ACCESS_KEY")

_log = logging.getLogger(__name__)


class CannotStart(Exception):
    """The data or the settings cannot be used. The message says what to do, in one line."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RootKey:
    """The key of the default account's root user. `is_new`: made at this start, to be shown once."""

    account: str
    access_key_id: str
    secret: str
    file: Path | None  # where it is kept; None where the environment brings it
    is_new: bool


def prepare(config: Config, environment: Mapping[str, str], listen_url: str) -> RootKey:
    """Make the data directory ready to serve. Raises CannotStart."""
    data = _data_directory(config)
    with _alone(data), _closing(databases.open_database, config) as db:
        try:
            databases.start(config, db, schema.upgrade)
            _keep_log(config, db)
            sealer = _sealer(config, data, db)
            key = _root_key(config, environment, data)
            if key is None:
                key = _common_root_key(db, sealer, config.registry.account, data / ROOT_KEY)
            _keep_root_key(db, sealer, key)
            regions = dict.fromkeys([config.registry.region, *db.read_here(installation.store_regions)])
            stores.prove(config, db, [Region(region) for region in regions])
        except (DatabaseUnusable, schema.SchemaTooNew, StoreMismatch, stores.StoreUnusable) as error:
            raise CannotStart(str(error)) from error
        except DatabaseUnavailable as error:
            reason = getattr(error.__cause__, "orig", None) or error.message
            raise CannotStart(f"cannot use the database {databases.where(config)}: {reason}") from error
        if key.file is not None:
            _write_root_key(key, config.registry.public_url or listen_url, config.registry.region)
    return key


def build(config: Config, listen_url: str) -> Deps:
    """The parts of a process that serves, on data that `prepare` made ready. `close` them at the end."""
    data = Path(config.server.data)
    db = databases.open_database(config)
    sealer, stamped = _sealer(config, data, db), Stamped(db)
    default = RegistryRef(AccountId(config.registry.account), Region(config.registry.region))
    egress = Egress(config.egress.allow, ca=config.egress.ca)
    return Deps(
        settings=Settings(
            registry=config.registry,
            auth=config.auth,
            storage=config.storage,
            limits=config.limits,
            quotas=config.quotas,
            audit=config.audit,
            gc=config.gc,
            jobs=config.jobs,
            lifecycle=config.lifecycle,
            undo=config.undo,
            events=config.events,
            webhooks=config.webhooks,
        ),
        clock=SystemClock(),
        db=db,
        stores=Stores(
            lambda region, role: stores.in_use(config, db, region, role), lambda region: stores.roles(db, region)
        ),
        sealer=sealer,
        authenticator=Authenticator(db, sealer, stamped, region=config.registry.region),
        authorizer=Authorizer(stamped),
        stamped=stamped,
        hosts=Hosts(
            default,
            domain=config.registry.domain,
            public_url=config.registry.public_url,
            listen_url=listen_url,
        ),
        hashes=RunningHashes(),
        pulls=Pulls(),
        issuers=Issuers(egress),
        egress=egress,
        refusals=Refusals(db, keep=dt.timedelta(days=config.audit.keep_days)),
        rates=limits.Rates(limits.rates(config.limits), share=1 / config.server.workers),
    )


async def close(deps: Deps) -> None:
    """Finish what is queued and close what `build` opened."""
    await deps.egress.close()
    cast(Opened, deps.db).close()  # as `build` put it there


@contextlib.asynccontextmanager
async def rooms(config: Config) -> AsyncIterator[Deps]:
    """What `build` gives, for a command beside the server that calls rooms. Raises CannotStart."""
    with opened_rows(config):
        pass  # the data is there, and this program's
    deps = build(config, config.registry.public_url)
    try:
        yield deps
    finally:
        await deps.stores.close()
        await close(deps)


@contextlib.contextmanager
def opened(config: Config) -> Iterator[tuple[Opened, Stores]]:
    """What a data directory and its database hold, for a command beside the server. Nothing is made, whatever the
    schema is.

    Raises CannotStart.
    """
    data = Path(config.server.data)
    refuse_unfinished(data)
    if not databases.is_shared(config):
        file = data / DATABASE
        if not file.exists():
            raise CannotStart(f"there is no {file}: name the server's data directory by --data")
        if not os.access(data, os.R_OK | os.W_OK | os.X_OK) or not os.access(file, os.R_OK | os.W_OK):
            raise CannotStart(f"{data} belongs to another user: run this as the one that the server runs as")
    # A command tells what is wrong itself, in its answer or in one line; a log line beside that says it twice.
    logging.getLogger("registry").addHandler(logging.NullHandler())
    with _closing(databases.reach, config) as db:
        yield (
            db,
            Stores(
                lambda region, role: stores.open_store(config, db, region, role),
                lambda region: stores.roles(db, region),
            ),
        )


@contextlib.contextmanager
def opened_with_stores(config: Config) -> Iterator[tuple[Opened, Stores]]:
    """As `opened`, if this program can read and write the rows. Raises CannotStart."""
    with opened(config) as (db, found):
        _require_schema(db)
        yield db, found


@contextlib.contextmanager
def opened_rows(config: Config) -> Iterator[Opened]:
    """The database that `opened` finds, if this program can read its rows. Raises CannotStart."""
    with opened_with_stores(config) as (db, _stores):
        yield db


def _require_schema(db: Opened) -> None:
    try:
        db.read_here(schema.require)
    except (schema.SchemaTooNew, schema.SchemaTooOld) as error:
        raise CannotStart(str(error)) from error


def arm_failpoint(environment: Mapping[str, str], *, host: str = "localhost") -> None:
    """Arm what LONGSHORE_FAILPOINT says, where nobody else can reach. Raises CannotStart."""
    try:
        failpoints.arm(environment.get(failpoints.VARIABLE, ""))
    except failpoints.BadFailpoint as error:
        raise CannotStart(str(error)) from None
    if failpoints.is_armed() and host not in ("localhost", "127.0.0.1", "::1"):
        failpoints.arm("")
        raise CannotStart(f"{failpoints.VARIABLE} is for tests on loopback, and this server listens on {host}")


def refuse_unfinished(data: Path) -> None:
    """Raises CannotStart for a directory that is only half restored."""
    if (data / UNFINISHED).exists():
        raise CannotStart(f"{data} holds a restore that did not finish: delete the directory and restore again")


def sealer_of(config: Config, db: Opened) -> Sealer:
    """The installation's keys, for a command beside the server. Raises CannotStart."""
    return _sealer(config, Path(config.server.data), db)


def _data_directory(config: Config) -> Path:
    data = Path(config.server.data)
    refuse_unfinished(data)
    try:
        files.make_directory(data / "blobs")
    except OSError as error:
        raise CannotStart(
            f"cannot make the data directory {data}: {error.strerror}; choose another by --data"
        ) from error
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise CannotStart(f"the data directory {data} is not writable by this user")
    return data


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One start at a time: two that make the keys of an empty directory would each believe in its own."""
    directory = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


@contextlib.contextmanager
def _closing(opening: Callable[[Config], Opened], config: Config) -> Iterator[Opened]:
    try:
        db = opening(config)
    except DatabaseUnusable as error:
        raise CannotStart(str(error)) from error
    try:
        yield db
    finally:
        db.close()


def _keep_log(config: Config, db: Opened) -> None:
    now, kept = dt.datetime.now(dt.UTC), bool(config.events.log_file)
    db.write_here(lambda tx: listeners.keep_log(tx, kept=kept, now=now))


# --- keys -------------------------------------------------------------------------------------------------------------


def _sealer(config: Config, data: Path, db: Opened) -> Sealer:
    """The installation's keys, unwrapped by the master key; those that are not there yet are made."""
    if databases.is_shared(config) and not config.secrets.master_key:
        raise CannotStart(
            "with database.url all servers need one master key: make it by `openssl rand -hex 32`, keep it safe, and "
            "set LONGSHORE_SECRETS__MASTER_KEY_FILE to its file on each"
        )
    known = db.read_here(installation.installation_secrets)
    master = config.secrets.master_key or _master_key_file(data / MASTER_KEY, fresh=not known)
    wrapper = Sealer(dict.fromkeys(PURPOSES, _key_bytes(master)))
    keys = _unwrapped(wrapper, known)  # first, so that nothing is ever wrapped by a wrong master key
    if missing := [purpose for purpose in PURPOSES if purpose not in keys]:
        now = dt.datetime.now(dt.UTC)
        made: dict[str, bytes] = {purpose: wrapper.seal_bytes("secret", secrets.token_bytes(32)) for purpose in missing}
        db.write_here(lambda tx: installation.add_installation_secrets(tx, made, now))
        keys = _unwrapped(wrapper, db.read_here(installation.installation_secrets))
    return Sealer(keys)


def _unwrapped(wrapper: Sealer, wrapped: Mapping[str, bytes]) -> dict[str, bytes]:
    try:
        return {purpose: wrapper.open_bytes("secret", key) for purpose, key in wrapped.items()}
    except BadSeal:
        raise CannotStart(
            "the master key is not the one that this data was made with: set LONGSHORE_SECRETS__MASTER_KEY_FILE to it"
        ) from None


def _master_key_file(path: Path, *, fresh: bool) -> str:
    try:
        if fresh and not path.exists():
            files.replace(path, (secrets.token_hex(32) + "\n").encode())
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise CannotStart(
            f"{path} is missing: restore it from the backup, or set LONGSHORE_SECRETS__MASTER_KEY_FILE"
        ) from None
    except (OSError, ValueError) as error:
        raise CannotStart(f"cannot read the master key {path}: {error}") from None


def _key_bytes(text: str) -> bytes:
    try:
        found = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise CannotStart("the master key must be 32 bytes, as 64 hexadecimal digits or base64")
    return found


def _root_key(config: Config, environment: Mapping[str, str], data: Path) -> RootKey | None:
    """From the environment, or the data directory, or made now; None: from the database that servers share."""
    given = [environment.get(name, "") for name in _ROOT_VARIABLES]
    account, file = config.registry.account, data / ROOT_KEY
    if any(given):
        if not all(given) or not 16 <= len(given[0]) <= 128 or len(given[1]) < 16 or not given[0].isalnum():
            raise CannotStart(
                f"{' and '.join(_ROOT_VARIABLES)} go together: an id of 16 to 128 letters and digits, and a secret of "
                "16 or more characters"
            )
        return RootKey(account=account, access_key_id=given[0], secret=given[1], file=None, is_new=False)
    if databases.is_shared(config):
        return None
    return _read_root_key(file, account) if file.exists() else _new_root_key(account, file)


def _new_root_key(account: str, file: Path) -> RootKey:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    key_id = "AKIA" + "".join(secrets.choice(alphabet) for _ in range(16))
    return RootKey(account=account, access_key_id=key_id, secret=secrets.token_urlsafe(30), file=file, is_new=True)


def _common_root_key(db: Opened, sealer: Sealer, account: str, file: Path) -> RootKey:
    """The one that the first server made; every server keeps it in its own directory, where commands look for it."""
    new, now = _new_root_key(account, file), dt.datetime.now(dt.UTC)
    row = _row_of(new, sealer, now)

    def unit(tx: Tx) -> AccessKey:
        known = access_keys.installed(tx, row.account)
        if known is not None:
            return known
        accounts.insert(tx, row.account, now)
        access_keys.install(tx, row)
        stamps.move_policy(tx)
        return row

    kept = db.write_here(unit)
    if kept.id == new.access_key_id:
        return new
    secret = sealer.open_bytes("secret", kept.sealed_secret).decode()
    return dataclasses.replace(new, access_key_id=kept.id, secret=secret, is_new=False)


def _row_of(key: RootKey, sealer: Sealer, now: dt.datetime) -> AccessKey:
    account = AccountId(key.account)
    return AccessKey(
        id=key.access_key_id,
        account=account,
        owner_id=account,
        sealed_secret=sealer.seal_bytes("secret", key.secret.encode()),
        active=True,
        installed=True,
        created_at=now,
    )


def _read_root_key(file: Path, account: str) -> RootKey:
    try:
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CannotStart(f"{file} can be read by others: chmod 600 it, and change the key if they did")
        found = json.loads(file.read_text(encoding="utf-8"))
        return RootKey(
            account=account,
            access_key_id=str(found["accessKeyId"]),
            secret=str(found["secretAccessKey"]),
            file=file,
            is_new=False,
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise CannotStart(f"{file} is damaged: remove it, and a new root key is made at the next start") from None


def _keep_root_key(db: Opened, sealer: Sealer, key: RootKey) -> None:
    """Make it the key of the root user that starts bring. One that is there is left alone: a restart writes nothing."""
    account = AccountId(key.account)
    known = db.read_here(lambda tx: access_keys.find(tx, key.access_key_id))
    if (
        known is not None
        and known.owner_id == account
        and sealer.open_bytes("secret", known.sealed_secret) == key.secret.encode()
    ):
        return
    now = dt.datetime.now(dt.UTC)
    row = _row_of(key, sealer, now)

    def unit(tx: Tx) -> None:
        accounts.insert(tx, account, now)
        access_keys.install(tx, row)

    db.write_here(stamps.changing(unit))


def _write_root_key(key: RootKey, endpoint: str, region: str) -> None:
    assert key.file is not None
    content = {
        "accountId": key.account,
        "accessKeyId": key.access_key_id,
        "secretAccessKey": key.secret,
        "endpoint": endpoint,
        "region": region,
    }
    files.replace(key.file, (json.dumps(content, indent=2) + "\n").encode())
