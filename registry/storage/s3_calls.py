"""Calls to an S3 service: one client, made in the loop that serves, and what is done when a call fails.

Every call ends within its time. A failure that may pass is tried again at most three times, after a random pause, and
only while retries are a small part of all calls: a service that is down gets no storm of them. Credentials or a clock
that the service does not accept are looked up afresh once. Whatever remains is StorageUnavailable, whose `__cause__`
says to the operator what it was; nothing of botocore is seen outside of this module (promises.md F18, F19, F23).

At most `_SLOTS` calls are under way at once. While the service stalls, the next ones are turned away after a moment
instead of piling up; what needs no bytes never comes here.
"""

import asyncio
import contextlib
import dataclasses
import logging
import random
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected
from botocore.parsers import ResponseParserError
from prometheus_client import Counter

from registry.errors import StorageFull, StorageUnavailable
from registry.options import Place
from registry.storage.spool import Section

_SLOTS: Final = 64
_RETRIES: Final = 3
_PAUSE: Final = 0.05  # seconds; the longest first pause, each next one may be four times as long
_DEFAULT_REGION: Final = "us-east-1"

_log = logging.getLogger(__name__)
_CALLS = Counter("longshore_store_calls_total", "Calls to the S3 service.", ["operation", "outcome"])

# What S3 services call troubles that pass. BadDigest: the bytes changed on their way.
_PASSING: Final = frozenset(
    {
        "BadDigest",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "XAmzContentSHA256Mismatch",
    }
)
# What new credentials or a clock that was set right may change. An answer to HEAD has no body, so only its status.
_STALE: Final = frozenset(
    {
        "400",
        "403",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "XAdminUserNotFound",
    }
)
_ABSENT: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_CLASH: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
_NO_UPLOAD: Final = frozenset({"NoSuchUpload", "InvalidPart", "InvalidPartOrder"})
_BEYOND_END: Final = frozenset({"InvalidRange", "416"})
_FULL: Final = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "507"})
_TRANSPORT: Final = (HTTPClientError, NotConnected, ResponseParserError, aiohttp.ClientError, OSError, TimeoutError)


class Absent(Exception):
    """There is nothing at the key."""


class Clash(Exception):
    """The object is not as the call wants it: it exists, or is not the one that was read before."""


class NoUpload(Exception):
    """The service does not know the multipart upload, or not with these parts."""


class BeyondEnd(Exception):
    """The object has nothing of the range."""


class NotImplementedThere(Exception):
    """The service does not know the header or the call."""


class Trouble(Exception):
    """The cause of a StorageUnavailable, in a line for the operator."""


_TOLD: Final = (
    (_ABSENT, Absent),
    (_BEYOND_END, BeyondEnd),
    (_CLASH, Clash),
    (_FULL, StorageFull),
    (_NO_UPLOAD, NoUpload),
    (frozenset({"NotImplemented", "501"}), NotImplementedThere),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long what may take, in seconds."""

    call: float = 30.0  # a whole call, its retries included
    connect: float = 5.0
    silence: float = 30.0  # between two pieces of an answer
    slot: float = 5.0  # until one of the calls that are under way ends
    renewal: float = 10.0  # between two looks for new credentials


class Budget:
    """How many retries there may be: some at once, and afterwards one for every other call that succeeds."""

    def __init__(self, capacity: float = 100.0) -> None:
        self._capacity = self._left = capacity

    def take(self) -> bool:
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give(self) -> None:
        self._left = min(self._left + 0.5, self._capacity)


class Calls:
    """A line to one S3 service with one set of credentials."""

    def __init__(self, place: Place, patience: Patience) -> None:
        self._place, self._patience = place, patience
        self._lock = asyncio.Lock()
        self._slots = asyncio.Semaphore(_SLOTS)
        self._budget = Budget()
        self._loader: Any = None  # of botocore's models: reading them anew would hold up the loop
        self._client: Any = None
        self._signer: Any = None
        self._open = contextlib.AsyncExitStack()
        self._retired = contextlib.AsyncExitStack()
        self._renewed_at = -patience.renewal

    async def call(self, operation: str, *, seconds: float = 0.0, **parameters: Any) -> dict[str, Any]:
        """The answer. `seconds`: another time than most calls have.

        Raises StorageUnavailable, StorageFull, and the module's own errors but Trouble.
        """
        seconds = seconds or self._patience.call
        try:
            async with asyncio.timeout(seconds), self._slot():
                return await self._until_done(operation, parameters)
        except TimeoutError:
            raise StorageUnavailable from _trouble(operation, f"no answer within {seconds:.0f} s")

    async def url(self, operation: str, *, seconds: int, **parameters: Any) -> str:
        """A signed URL for this one call, at the service's public endpoint."""
        if self._signer is None:
            await self._connected()
        try:
            found = await self._signer.generate_presigned_url(operation, Params=parameters, ExpiresIn=seconds)
        except BotoCoreError as error:
            raise StorageUnavailable from _trouble(operation, _one_line(error))
        return str(found)

    async def close(self) -> None:
        await self._retired.aclose()
        await self._open.aclose()
        self._client = self._signer = None

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience.slot):
                await self._slots.acquire()
        except TimeoutError:
            raise StorageUnavailable from _trouble("wait", f"{_SLOTS} calls are under way, and none ends")
        try:
            yield
        finally:
            self._slots.release()

    # --- trying -------------------------------------------------------------------------------------------------------

    async def _until_done(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        tries, renewed = 0, False
        while True:
            client = await self._connected()
            try:
                answer: dict[str, Any] = await getattr(client, operation)(**_fresh(parameters))
            except (ClientError, BotoCoreError, *_TRANSPORT) as error:
                reason = self._judged(operation, error)
                if _is_stale(error) and not renewed:
                    renewed = await self._renew(client)
                    if renewed:
                        continue
                tries += 1
                if not _may_pass(error) or tries > _RETRIES or not self._budget.take():
                    raise StorageUnavailable from _trouble(operation, reason)
                _CALLS.labels(operation, "again").inc()
                await asyncio.sleep(random.uniform(0, _PAUSE * 4 ** (tries - 1)))  # noqa: S311 # spreads load, hides nothing
            else:
                self._budget.give()
                _CALLS.labels(operation, "good").inc()
                return answer

    def _judged(self, operation: str, error: Exception) -> str:
        """Why the call failed, in a line. Raises what its caller must know; that is an answer, and no trouble."""
        code = _code(error)
        for codes, told in _TOLD:
            if code in codes:
                self._budget.give()
                _CALLS.labels(operation, told.__name__).inc()
                raise told from None
        return _one_line(error)

    # --- the client ---------------------------------------------------------------------------------------------------

    async def _connected(self) -> Any:
        if self._client is None:
            async with self._lock:
                if self._client is None:
                    await self._connect()
        return self._client

    async def _renew(self, failed: Any) -> bool:
        """Whether there is another client than the one that failed: credentials are looked up again, but not often."""
        async with self._lock:
            if self._client is failed:
                if time.monotonic() - self._renewed_at < self._patience.renewal:
                    return False
                self._renewed_at = time.monotonic()
                # Answers are still being read over the old client's connections; it goes with the next renewal.
                await self._retired.aclose()
                self._retired, self._open = self._open, contextlib.AsyncExitStack()
                self._client = self._signer = None
                await self._connect()
        return True

    async def _connect(self) -> None:
        session = AioSession()
        if self._loader is None:
            self._loader = session.get_component("data_loader")
        session.register_component("data_loader", self._loader)
        place = self._place
        try:
            region = place.region or session.get_config_variable("region") or _DEFAULT_REGION
            client = await self._open.enter_async_context(self._made(session, region, place.endpoint))
            public = place.public_endpoint
            self._signer = (
                await self._open.enter_async_context(self._made(session, region, public)) if public else client
            )
        except (BotoCoreError, ValueError) as error:
            raise StorageUnavailable from _trouble("connect", _one_line(error))
        self._client = client

    def _made(self, session: AioSession, region: str, endpoint: str) -> Any:
        place = self._place
        style = place.addressing if place.addressing != "auto" or not endpoint else "path"
        return session.create_client(
            "s3",
            region_name=region,
            endpoint_url=endpoint or None,
            aws_access_key_id=place.access_key_id or None,
            aws_secret_access_key=place.secret_access_key or None,
            config=AioConfig(
                signature_version="s3v4",  # botocore's own choice for presigned URLs in us-east-1 is the old form
                connect_timeout=self._patience.connect,
                read_timeout=self._patience.silence,
                max_pool_connections=0,  # no limit: slots bound the calls, and clients the answers that are being read
                retries={"total_max_attempts": 1, "mode": "standard"},
                # Bytes are guarded by a checksum that is made in a thread; signing them would hash them in the loop.
                s3={"addressing_style": style, "payload_signing_enabled": False},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


def _fresh(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with a body that is read from its beginning."""
    body = parameters.get("Body")
    return {**parameters, "Body": body.again()} if isinstance(body, Section) else dict(parameters)


def _code(error: Exception) -> str:
    if not isinstance(error, ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code") or error.response["ResponseMetadata"]["HTTPStatusCode"])


def _status(error: Exception) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) if isinstance(error, ClientError) else 0


def _may_pass(error: Exception) -> bool:
    if isinstance(error, ClientError):
        return _status(error) in (429, 500, 502, 503, 504) or _code(error) in _PASSING
    return isinstance(error, _TRANSPORT)


def _is_stale(error: Exception) -> bool:
    return _code(error) in _STALE or type(error).__name__ in ("NoCredentialsError", "CredentialRetrievalError")


def _trouble(operation: str, why: str) -> Trouble:
    _CALLS.labels(operation, "failed").inc()
    _log.warning("S3: %s: %s", operation, why)
    return Trouble(f"{operation}: {why}")


def _one_line(error: Exception) -> str:
    if isinstance(error, ClientError):
        found = error.response.get("Error", {})
        return " ".join(f"{_status(error)} {_code(error)} {found.get('Message', '')}".split())[:200]
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
