"""One request through the process: name it, find its door, answer, count and log.

/livez /readyz /healthz      is it alive, can it work
/metrics                     counters, for loopback or a token
/v2/...  /token              the OCI door
POST /                       the AWS doors: ECR, IAM, STS
"""

import asyncio
import dataclasses
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import unquote

import structlog
from aiohttp import web

import registry.ecr
import registry.iam
import registry.sts
from longshore import observe
from longshore.config import Config
from longshore.connections import Connection, new_request_id
from longshore.replies import Replies
from registry import chores, downloads
from registry.aws import door as aws
from registry.context import ACTION, ERROR, PRINCIPAL, RECORD, RESOURCE, Deps
from registry.errors import LongshoreError, StorageUnavailable, Unavailable
from registry.names import Region
from registry.networks import lies_in
from registry.records import deliveries, jobs, listeners
from registry.storage.base import StoreMismatch
from registry.v2 import login, routes
from registry.v2.errors import answer_of, response
from registry.v2.evidence import EVIDENCE

DOORS: Final = (
    registry.ecr,
    registry.iam,
    registry.sts,
)  # importing them has put their operations on the AWS door's table

_log = structlog.get_logger("longshore.request")
_PROBE_SECONDS: Final = 5  # that the store has to answer a readiness probe
_QUIET: Final = ("health", "metrics")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What answers requests."""

    config: Config
    deps: Deps
    replies: Replies | None = None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The whole life of a request, in order."""
        started = time.monotonic()
        request = self._as_the_client_sent_it(request)
        request_id = new_request_id()
        name, door = self._door(request)
        with observe.IN_FLIGHT.track_inprogress():
            try:
                answer = await door(request, request_id)
            except ConnectionError:
                raise  # nobody is left to be told
            except LongshoreError as error:
                answer = response(error)
            except Exception:
                _log.exception("request failed", request_id=request_id, path=_shown(request.raw_path)[:256])
                if request.writer.output_size:
                    raise ConnectionResetError("the answer cannot be finished") from None
                answer = response(RuntimeError())
        if not answer.prepared:
            answer.headers["Server"] = "longshore"  # in place of the versions of Python and aiohttp
            answer.headers["x-amzn-RequestId"] = request_id
        self._keep(request, answer)
        self._note(request, request_id, name, answer.status, time.monotonic() - started)
        return answer

    def _door(self, request: web.BaseRequest) -> "tuple[str, Door]":
        path = request.raw_path.partition("?")[0]
        if request.headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
            return "other", _unreadable
        if path.startswith("/v2/") or path in ("/v2", login.TOKEN_PATH):
            return "v2", lambda request, request_id: routes.handle(self.deps, request, request_id)
        if path in _HEALTH:
            return "health", self._health
        if path == "/metrics":
            return "metrics", self._metrics
        if path == "/":
            if request.method == "POST":
                return "aws", lambda request, request_id: aws.handle(self.deps, request, request_id)
            return "other", _front
        return "other", _nothing

    def _as_the_client_sent_it(self, request: web.BaseRequest) -> web.BaseRequest:
        """With the client's address and scheme, where a proxy that the operator trusts tells them."""
        proxies = self.config.http.trusted_proxies
        if not proxies or not lies_in(request.remote, proxies):
            return request
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        # The right-most hop that is no proxy of ours: what stands left of it anyone may have written.
        client = next((hop for hop in reversed(hops) if not lies_in(hop, proxies)), request.remote or "")
        scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
        return request.clone(remote=client, scheme=scheme if scheme in ("http", "https") else request.scheme)

    async def _health(self, request: web.BaseRequest, _request_id: str) -> web.StreamResponse:
        """`/livez`: the process answers. `/readyz`, `/healthz`: rows and bytes can be reached too."""
        if request.raw_path.partition("?")[0] != "/livez":
            region = Region(self.config.registry.region)
            await self.deps.db.read(lambda tx: tx.exec_driver_sql("SELECT 1").scalar())
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await self.deps.stores.of(region).prove()
            except (StoreMismatch, TimeoutError) as error:
                raise StorageUnavailable from error
        return web.json_response({"status": "ok"})

    async def _metrics(self, request: web.BaseRequest, _request_id: str) -> web.StreamResponse:
        token = self.config.metrics.token
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        local = _is_loopback(request.remote) and "X-Forwarded-For" not in request.headers
        if not local and not (token and hmac.compare_digest(token.encode(), given.encode())):
            return answer_of("DENIED", 403, "metrics are for loopback, or for who has metrics.token")
        now = self.deps.clock.now()
        try:
            chore = await chores.figures(self.deps.db)
            counts, oldest = await self.deps.db.read(lambda tx: (jobs.counts(tx), jobs.oldest(tx, now)))
            told = await self.deps.db.read(lambda tx: (listeners.every(tx), deliveries.counts(tx)))
        except Unavailable:  # what this process counts can be told all the same
            return observe.metrics_page()
        ended_at = chore.ended_at.timestamp() if chore.ended_at is not None else 0.0
        waited = {kind: (now - moment).total_seconds() for kind, moment in oldest.items()}
        return observe.metrics_page(
            observe.Collections(ended_at=ended_at, facts=chore.facts),
            observe.Queue(counts=counts, oldest=waited),
            observe.Told(*told),
        )

    def _keep(self, request: web.BaseRequest, answer: web.StreamResponse) -> None:
        """Keep the answer for the next time, where its handler has given evidence."""
        evidence, connection = request.get(EVIDENCE), request.protocol
        if self.replies is None or evidence is None or not isinstance(connection, Connection):
            return
        if connection.key is not None and (evidence.part is None or connection.ssl_context is None):
            self.replies.keep(connection.key, request, answer, evidence)

    def _note(self, request: web.BaseRequest, request_id: str, door: str, status: int, seconds: float) -> None:
        observe.REQUESTS.labels(door, _method(request.method), str(status)).inc()
        observe.SECONDS.labels(door).observe(seconds)
        on_record = request.get(RECORD, ())
        wanted = self.config.log.access
        action = request.get(ACTION, "")
        plain = status < 400 and _only_reads(action)
        plain = plain or (request.method in ("GET", "HEAD") and (status < 400 or status == 404))
        unwanted = wanted == "off" or (wanted == "errors" and (plain or status == 401))
        if door in _QUIET or (unwanted and not on_record):
            return
        principal = request.get(PRINCIPAL)
        _log.info(
            "request",
            request_id=request_id,
            method=request.method[:16],
            path=_shown(request.raw_path)[:512],
            action=action or request.headers.get("X-Amz-Target", "")[:128] or None,
            resource=request.get(RESOURCE),
            status=status,
            error=request.get(ERROR),
            principal=principal.arn if principal is not None else None,
            source=request.remote,
            user_agent=request.headers.get("User-Agent", "")[:256],
            seconds=round(seconds, 4),
            **({"audit": [entry.event for entry in on_record]} if on_record else {}),
        )


Door = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]
_HEALTH: Final = frozenset({"/livez", "/readyz", "/healthz"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


async def _front(request: web.BaseRequest, _request_id: str) -> web.StreamResponse:
    if request.method not in ("GET", "HEAD"):
        answer = answer_of("UNSUPPORTED", 405, f"{_method(request.method)} is not supported here")
        answer.headers["Allow"] = "GET, HEAD, POST"  # the last is the AWS APIs' door
        return answer
    text = "Longshore, a container registry. Images: /v2/   AWS API: POST /   Health: /readyz   Metrics: /metrics\n"
    return web.Response(text=text)


async def _unreadable(_request: web.BaseRequest, _request_id: str) -> web.StreamResponse:
    """A body in a coding that is not ours to undo: to keep it as it came would be to take it for another (T25)."""
    answer = answer_of("UNSUPPORTED", 400, "a request body may have no other Transfer-Encoding than chunked")
    answer.force_close()
    return answer


async def _nothing(_request: web.BaseRequest, _request_id: str) -> web.StreamResponse:
    return answer_of("UNSUPPORTED", 404, "nothing answers at this path")


def _method(method: str) -> str:
    return method if method in _METHODS else "other"


def _only_reads(action: str) -> bool:
    """Whether an AWS operation changes nothing; one that hands out a login counts as a change."""
    name = action.partition(":")[2]
    return name.startswith(("BatchCheck", "BatchGet", "Describe", "Get", "List")) and name != "GetAuthorizationToken"


def _shown(raw_path: str) -> str:
    """A path for the log: without its query, where that is a credential."""
    path, _, query = raw_path.partition("?")
    return f"{path}?(hidden)" if downloads.PARAMETER in unquote(query) else raw_path


def _is_loopback(address: str | None) -> bool:
    return lies_in(address, ("127.0.0.0/8", "::1/128"))
