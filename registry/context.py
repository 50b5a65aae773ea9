"""What rooms and doors are given: `Deps`, the same for the whole process, and `Context`, for one request."""

import asyncio
import dataclasses
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NoReturn, Protocol

from aiohttp import web

from policies.access import Decision
from registry.audit import Call, Refusals, Witness
from registry.auth.authenticator import Authenticator
from registry.auth.authorizer import Asked, Authorizer, Keys
from registry.auth.principals import Principal
from registry.auth.sealing import Sealer
from registry.auth.stamped import Stamped
from registry.errors import AccessDenied
from registry.hosts import Hosts
from registry.intake import RunningHashes
from registry.limits import Rates
from registry.model import HOUSE, Doer, Repository
from registry.names import RegistryRef, repository_arn
from registry.options import Settings
from registry.pulls import Pulls
from registry.records.audit_log import Entry
from registry.records.engine import Rows
from registry.remote.egress import Egress
from registry.remote.issuers import Issuers
from registry.storage.base import Stores

# Where a door leaves word for the log line of the request: who asked, what for, and what of it goes on record.
PRINCIPAL: Final = web.RequestKey("principal", Principal)
RECORD: Final = web.RequestKey("record", list[Entry])
ACTION: Final = web.RequestKey("action", str)
RESOURCE: Final = web.RequestKey("resource", str)
ERROR: Final = web.RequestKey("error", str)


class Clock(Protocol):
    def now(self) -> dt.datetime:
        """The time, aware, in UTC."""
        ...

    def steady(self) -> dt.datetime:
        """The time, for what must not happen too early: a clock that is set ahead does not bring it nearer."""
        ...


class SystemClock:
    """The wall clock. A jump ahead counts for `steady` once it has stood for a day, in which somebody may see it."""

    def __init__(self) -> None:
        self._wall, self._running = self.now(), _running()
        self._ahead_since: dt.timedelta | None = None

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def steady(self) -> dt.datetime:
        wall, running = self.now(), _running()
        expected = self._wall + (running - self._running)
        if wall - expected > _JUMP:
            self._ahead_since = running if self._ahead_since is None else self._ahead_since
            if running - self._ahead_since < _BELIEVED:
                return expected
        self._wall, self._running, self._ahead_since = wall, running, None
        return wall


_JUMP: Final = dt.timedelta(minutes=1)
_BELIEVED: Final = dt.timedelta(days=1)


def _running() -> dt.timedelta:
    """How long the machine has been up, asleep or not."""
    return dt.timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """The parts that a process is made of, put together by `longshore/wiring.py`."""

    settings: Settings
    clock: Clock
    db: Rows
    stores: Stores
    sealer: Sealer
    authenticator: Authenticator
    authorizer: Authorizer
    stamped: Stamped
    hosts: Hosts
    hashes: RunningHashes
    pulls: Pulls
    refusals: Refusals
    issuers: Issuers
    egress: Egress
    rates: Rates = dataclasses.field(default_factory=Rates)
    doer: Doer = HOUSE  # of what is changed by these parts


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

    record: list[Entry] = dataclasses.field(default_factory=list)  # what of this request is on record so far
    parameters: Mapping[str, object] = dataclasses.field(default_factory=dict)  # as the record tells them

    def doing(self, action: str, resource: str) -> "Context":
        """This request while it does `action`: whatever it changes goes on record as that."""
        keep = dt.timedelta(days=self.deps.settings.audit.keep_days)
        witness = Witness(self.deps.db, self._told(action, resource), self.record, keep=keep)
        doer = Doer(principal=self.principal.arn, request_id=self.request_id)
        return dataclasses.replace(self, deps=dataclasses.replace(self.deps, db=witness, doer=doer))

    async def authorize(self, action: str, resource: str, keys: Keys | None = None) -> Decision:
        """The decision, if the principal may do `action` (`ecr:PutImage`) on `resource` (an ARN, or `*`).

        `keys` are condition keys beside those of every request. Raises AccessDenied, which goes on record;
        NotAuthenticated where logging in could help.
        """
        try:
            return await self.deps.authorizer.check(self.asked(action, resource, keys))
        except AccessDenied as error:
            await self.refuse(error, action, resource)

    async def allows(self, action: str, resource: str, keys: Keys | None = None) -> bool:
        """`authorize` as a question: to choose what to do, not to refuse the request."""
        return (await self.deps.authorizer.decide(self.asked(action, resource, keys))).allowed

    async def visible(
        self,
        action: str,
        page: Callable[[str, int], Awaitable[list[Repository]]],
        *,
        all_of_them: str,
        after: str,
        limit: int,
    ) -> list[Repository]:
        """The first `limit` repositories behind the name `after` that the principal may do `action` on.

        `page` gives those behind a name, at most as many as it is told. `all_of_them`: the ARN that stands for all.
        Raises AccessDenied or NotAuthenticated for who may not see a single one, wherever they begin.
        """
        found = await self._visible(action, page, after=after, limit=limit)
        if not found and not (after and await self._visible(action, page, after="", limit=1)):
            await self.authorize(action, all_of_them)
        return found

    async def _visible(
        self, action: str, page: Callable[[str, int], Awaitable[list[Repository]]], *, after: str, limit: int
    ) -> list[Repository]:
        found: list[Repository] = []
        while len(found) < limit:
            listed = await page(after, limit)
            for one in listed:
                if await self.allows(action, repository_arn(one.registry, one.name)):
                    found.append(one)
            if len(listed) < limit:
                break
            after = listed[-1].name
            await asyncio.sleep(0)  # a registry of many that nobody may see keeps no one else waiting
        return found[:limit]

    @property
    def is_redirected(self) -> bool:
        """Whether the client may be sent to where bytes lie, instead of getting them from here."""
        return self.deps.settings.storage.redirects(self.source_ip)

    def asked(self, action: str, resource: str, keys: Keys | None = None) -> Asked:
        """The question that this request puts to the policies."""
        return Asked(
            principal=self.principal,
            action=action,
            resource=resource,
            region=self.registry.region,
            now=self.deps.clock.now(),
            source_ip=self.source_ip,
            user_agent=self.user_agent,
            secure=self.secure,
            keys=keys or {},
        )

    def count(self, action: str) -> None:
        """Count the request as one of the caller's account. Raises TooManyRequests where it sends too many."""
        self.deps.rates.take(self.principal.account or self.principal.id, self.registry.region, action)

    async def refuse(self, error: AccessDenied, action: str, resource: str) -> NoReturn:
        """Put a refusal on record, and raise it."""
        entry = await self.deps.refusals.note(self._told(action, resource), error="AccessDenied", message=error.message)
        if entry is not None:
            self.record.append(entry)
        raise error

    def _told(self, action: str, resource: str) -> Call:
        return Call(
            at=self.deps.clock.now(),
            principal=self.principal,
            action=action,
            resource=resource,
            registry=self.registry,
            source=self.source_ip,
            user_agent=self.user_agent,
            request_id=self.request_id,
            parameters=self.parameters,
        )
