"""What rooms and doors are given: `Deps`, the same for the whole process, and `Context`, for one request."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Final, Protocol

from aiohttp import web

from registry.auth.authenticator import Authenticator
from registry.auth.authorizer import Authorizer
from registry.auth.principals import Principal
from registry.auth.sealing import Sealer
from registry.hosts import Hosts
from registry.intake import RunningHashes
from registry.names import RegistryRef
from registry.options import Settings
from registry.records.engine import Database
from registry.storage.base import Stores

# Where a door leaves word of who asked, for the log line of the request.
PRINCIPAL: Final = web.RequestKey("principal", Principal)


class Clock(Protocol):
    def now(self) -> dt.datetime:
        """The time, aware, in UTC."""
        ...


class SystemClock:
    """The wall clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """The parts that a process is made of, put together by `longshore/wiring.py`."""

    settings: Settings
    clock: Clock
    db: Database
    stores: Stores
    sealer: Sealer
    authenticator: Authenticator
    authorizer: Authorizer
    hosts: Hosts
    hashes: RunningHashes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request, once it is known who asks and which registry is meant."""

    deps: Deps
    principal: Principal
    registry: RegistryRef  # the registry that the door understood: of the host at /v2/, of the caller at an AWS door
    request_id: str
    source_ip: str = ""
    user_agent: str = ""
    secure: bool = False  # whether the request came over TLS

    async def authorize(self, action: str, resource: str, keys: Mapping[str, object] | None = None) -> None:
        """Return if the principal may do `action` (`ecr:PutImage`) on `resource` (an ARN, or `*`).

        `keys` are condition keys beside the global ones. Raises AccessDenied.
        """
        self.deps.authorizer.check(self.principal, action, resource, keys or {})
