"""The AWS door: one POST to `/` becomes one call of one operation.

    X-Amz-Target (JSON 1.1) or Action and Version (query) -> operation
    -> body, within its limits -> who signed it -> parameters against the model -> may they -> handler -> answer

Who asks is settled before anything of what they ask is judged, as AWS does it. The operations stand in a table that the
packages of the services (`registry.ecr`, `registry.sts`) fill when they are imported:

    @operation("ecr", "CreateRepository", on=repository)
    async def create_repository(ctx: Context, req: Params) -> Result: ...

`on` says which ARN the caller must be allowed to do `ecr:CreateRepository` on (it may have to look: an IAM user's ARN
holds a path that the request does not tell); without it an operation does not load. An `unsigned` operation is for
callers who have no key yet, and brings proof of its own.
An operation of a service of the table that nobody has built is answered with one honest error, never with an empty
success and never with a 5xx, which SDKs would try again.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from registry.auth import sigv4
from registry.auth.authorizer import Keys, tag_values
from registry.auth.principals import ANONYMOUS, Principal
from registry.aws import query, serialize, spec, validate
from registry.aws.bodies import Body, body_of
from registry.aws.errors import RETRY_SECONDS, Refusal, face
from registry.aws.validate import Params as Params
from registry.context import ACTION, ERROR, PRINCIPAL, RECORD, RESOURCE, Context, Deps
from registry.errors import NotAuthenticated
from registry.names import AccountId, BadName, Region, RegistryRef

Result = dict[str, Any]
Handler = Callable[[Context, Params], Awaitable[Result]]
Resource = Callable[[Context, Params], str | Awaitable[str]]
ConditionKeys = Callable[[Params], Keys]


class _NoPermission:
    """The type of NO_PERMISSION_NEEDED."""


NO_PERMISSION_NEEDED: Final = _NoPermission()  # any caller whose signature holds may do it
BY_HANDLER: Final = _NoPermission()  # its handler asks, for each of the resources that it finds

_PARSE_INLINE: Final = 256 * 1024  # bytes of JSON that are read without a hop to a thread
DEFAULT_BODY: Final = 1024 * 1024  # bytes of a request body, where an operation asks for no more
UNSIGNED_BODY: Final = 64 * 1024  # of one that comes without a signature

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One operation that is built."""

    service: str
    name: str
    handler: Handler
    on: Resource | _NoPermission
    body_limit: int
    keys: ConditionKeys
    unsigned: bool = False  # may come without a signature, from nobody in particular

    @property
    def action(self) -> str:
        return f"{self.service}:{self.name}"


class Operations:
    """The table of the operations that are built, by service and name."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._services: set[str] = set()

    def operation(
        self,
        service: str,
        name: str,
        *,
        on: Resource | _NoPermission,
        body_limit: int = DEFAULT_BODY,
        keys: ConditionKeys = lambda req: {},
        unsigned: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Enter the decorated function as the handler of `service`'s operation `name`."""

        def enter(handler: Handler) -> Handler:
            if (service, name) in self._entries:
                raise ValueError(f"{service}:{name} has a handler already")
            self._entries[(service, name)] = Entry(
                service=service,
                name=name,
                handler=handler,
                on=on,
                body_limit=body_limit,
                keys=keys,
                unsigned=unsigned,
            )
            self._services.add(service)
            return handler

        return enter

    def find(self, service: str, name: str) -> Entry | None:
        return self._entries.get((service, name))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def services(self) -> list[spec.Service]:
        """The models of the services that have at least one operation here."""
        return [spec.load(name) for name in sorted(self._services)]


OPERATIONS: Final = Operations()
operation = OPERATIONS.operation


def registry_of(ctx: Context, req: Params) -> RegistryRef:
    """The registry that a request means: `registryId`'s, or the caller's, in the region of the signature."""
    given = req.get("registryId")
    return RegistryRef(AccountId.parse(given), ctx.registry.region) if given else ctx.registry


async def handle(
    deps: Deps, request: web.BaseRequest, request_id: str, *, table: Operations = OPERATIONS
) -> web.Response:
    """Answer one request, whatever it is."""
    exchange = _Exchange(deps, request, request_id, table)
    try:
        return await exchange.run()
    except Exception as error:
        return exchange.failed(error)


class _Exchange:
    """One request on its way; what is known of it when something fails decides how that is told."""

    def __init__(self, deps: Deps, request: web.BaseRequest, request_id: str, table: Operations) -> None:
        self.deps, self.request, self.request_id, self.table = deps, request, request_id, table
        target = request.headers.get("X-Amz-Target")
        form = request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == query.FORM
        self.is_query = target is None and form
        self.service: spec.Service | None = None
        self.operation: spec.Operation | None = None
        self.form: Mapping[str, str] = {}
        if target is not None:
            self._find_target(target)

    async def run(self) -> web.Response:
        if self.is_query and "Authorization" not in self.request.headers:
            return await self._run_unsigned()
        headers = tuple(self.request.headers.items())
        raw_path, _, raw_query = self.request.raw_path.partition("?")
        claim = sigv4.parse(headers, raw_query)
        now = self.deps.clock.now()
        sigv4.check_window(claim, now)  # before the body is read: an old signature should cost nothing
        entry = self._entry()
        limit = entry.body_limit if entry is not None else DEFAULT_BODY
        seconds, keep = self.deps.settings.limits.json_seconds, await self.deps.authenticator.knows(claim)
        async with body_of(self.request, limit=limit, seconds=seconds, keep=keep) as body:
            signed = sigv4.SignedRequest(
                method=self.request.method,
                raw_path=raw_path,
                raw_query=raw_query,
                headers=headers,
                body_sha256=body.sha256,
            )
            principal = await self.deps.authenticator.signed(claim, signed, now)
            self.request[PRINCIPAL] = principal
            if self.is_query:
                self._find_action(body)
                entry = self._entry()
            if self.service is None or self.operation is None:
                raise self._unknown()
            self.request[ACTION] = f"{self.service.name}:{self.operation.name}"
            if claim.service != self.service.signing_name:
                raise _scope(f"Credential should be scoped to correct service: '{self.service.signing_name}'.")
            assert principal.account is not None  # a signature is always somebody's
            context = self._context(principal, RegistryRef(principal.account, self._region(claim)))
            if entry is None:
                raise self._unsupported()
            return await self._perform(context, entry, self.service, self.operation, body)

    async def _run_unsigned(self) -> web.Response:
        """A form without a signature: good for the operations that ask for none."""
        async with body_of(self.request, limit=UNSIGNED_BODY, seconds=self.deps.settings.limits.json_seconds) as body:
            self._find_action(body)
            entry = self._entry()
            if entry is None or not entry.unsigned:
                sigv4.parse(tuple(self.request.headers.items()), self.request.raw_path.partition("?")[2])
                raise sigv4.missing()
            assert self.service is not None and self.operation is not None
            self.request[PRINCIPAL] = ANONYMOUS
            context = self._context(ANONYMOUS, self.deps.hosts.default)
            return await self._perform(context, entry, self.service, self.operation, body)

    def failed(self, error: Exception) -> web.Response:
        """The answer that tells of an error; what nobody foresaw goes to the log."""
        told = face(error, self.service if self.service is not None else self._query_stand_in(), self.operation)
        self.request[ERROR] = told.code
        if told.status == 500:
            _log.error("request %s failed", self.request_id, exc_info=error)
        if self.is_query:
            response = self._response(query.error(self.service, told, self.request_id), told.status)
        else:
            response = self._response(serialize.error(told), told.status)
        if told.retry:
            response.headers["Retry-After"] = str(RETRY_SECONDS)
        return response

    # --- steps --------------------------------------------------------------------------------------------------------

    async def _perform(
        self, context: Context, entry: Entry, service: spec.Service, operation: spec.Operation, body: Body
    ) -> web.Response:
        req = await self._params(service, operation, body)
        context = dataclasses.replace(context, parameters=req)
        context.count(entry.action)
        resource = "*" if isinstance(entry.on, _NoPermission) else await _found(entry.on(context, req))
        if not isinstance(entry.on, _NoPermission):
            self.request[RESOURCE] = resource
            await context.authorize(entry.action, resource, {**tag_keys(req), **entry.keys(req)})
        result = await entry.handler(context.doing(entry.action, resource), req)
        if self.is_query:
            return self._response(query.result(service, operation, result, self.request_id), 200)
        return self._response(serialize.result(service, operation.output, result), 200)

    async def _params(self, service: spec.Service, operation: spec.Operation, body: Body) -> Params:
        if self.is_query:
            raw = query.tree(service, operation.input, self.form)
            return validate.params(service, operation.input, raw, query.SCALARS)

        def read() -> Params:
            return validate.params(service, operation.input, validate.read_json(body.take()), validate.JSON)

        if len(body.data) > _PARSE_INLINE:
            return await asyncio.to_thread(read)  # others are not kept waiting while a megabyte is parsed
        return read()

    def _region(self, claim: sigv4.Claim) -> Region:
        assert self.service is not None
        try:
            return Region.parse(claim.region)
        except BadName:
            if self.service.is_global:
                return Region(self.deps.settings.registry.region)
            raise _scope("Credential should be scoped to a valid region.") from None

    def _context(self, principal: Principal, registry: RegistryRef) -> Context:
        context = Context(
            deps=self.deps,
            principal=principal,
            registry=registry,
            request_id=self.request_id,
            source_ip=self.request.remote or "",
            user_agent=self.request.headers.get("User-Agent", "")[:512],
            secure=self.request.secure,
        )
        self.request[RECORD] = context.record
        return context

    # --- which operation ----------------------------------------------------------------------------------------------

    def _find_target(self, target: str) -> None:
        prefix, _, name = target.rpartition(".")
        for service in self.table.services():
            if service.protocol == "json" and service.target_prefix == prefix:
                self.service, self.operation = service, service.operations.get(name)

    def _find_action(self, body: Body) -> None:
        self.form = query.fields(body.take())
        for service in self.table.services():
            if service.protocol == "query" and service.api_version == self.form.get("Version"):
                self.service, self.operation = service, service.operations.get(self.form.get("Action", ""))

    def _entry(self) -> Entry | None:
        if self.service is None or self.operation is None:
            return None
        return self.table.find(self.service.name, self.operation.name)

    def _query_stand_in(self) -> spec.Service | None:
        """Some service of the query protocol, for the names of errors that come before the service is known."""
        if not self.is_query:
            return None
        return next((service for service in self.table.services() if service.protocol == "query"), None)

    def _unknown(self) -> Refusal:
        services = ", ".join(service.title for service in self.table.services())
        if self.is_query:
            named = f"action '{self.form.get('Action', '')[:128]}' of version '{self.form.get('Version', '')[:32]}'"
        else:
            named = f"target '{self.request.headers.get('X-Amz-Target', '')[:160]}'"
        return Refusal(
            "UnknownOperationException", 400, f"There is no {named}. The services that answer here are: {services}."
        )

    def _unsupported(self) -> Refusal:
        assert self.service is not None and self.operation is not None
        return Refusal(
            "UnsupportedOperationException",
            400,
            f"{self.service.name}:{self.operation.name} is an operation of {self.service.title} that this server does "
            "not implement yet; docs/api-coverage.md lists those that it does. Nothing was changed.",
        )

    def _response(self, body: bytes, status: int) -> web.Response:
        content_type = query.CONTENT_TYPE if self.is_query else serialize.CONTENT_TYPE
        headers = {"x-amzn-RequestId": self.request_id, "Content-Type": content_type}
        return web.Response(body=body, status=status, headers=headers)


def tag_keys(req: Params) -> Keys:
    """The condition keys of the tags that a request brings, or takes away. Source: AWS IAM user guide, "Controlling
    access during AWS requests"."""
    listed: Sequence[Mapping[str, str]] = next((req[name] for name in ("tags", "Tags") if name in req), [])
    pairs = {one.get("Key", one.get("key", "")): one.get("Value", one.get("value", "")) for one in listed}
    names = next((req[name] for name in ("tagKeys", "TagKeys") if name in req), list(pairs))
    found: dict[str, str | tuple[str, ...]] = {
        f"aws:RequestTag/{name}": value for name, value in tag_values(pairs).items()
    }
    return {**found, "aws:TagKeys": tuple(names)} if names else found


async def _found(resource: str | Awaitable[str]) -> str:
    return resource if isinstance(resource, str) else await resource


def _scope(message: str) -> NotAuthenticated:
    return NotAuthenticated(message, code="InvalidSignatureException")
