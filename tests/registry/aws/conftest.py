"""A real server on loopback around `door.handle`, with one access key, and real clients to call it."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import boto3
import pytest
from aiohttp import web
from botocore.config import Config

from registry.audit import Call
from registry.auth import sigv4
from registry.auth.authorizer import Asked
from registry.auth.principals import Principal, root
from registry.auth.sealing import PURPOSES, Sealer
from registry.aws import door
from registry.context import Deps
from registry.errors import AccessDenied
from registry.names import AccountId
from registry.options import Limits, Settings

KEY_ID, SECRET, ACCOUNT = "AKIDEXAMPLE", "a secret/of+some length", "111122223333"


class OneKey:
    """An authenticator that knows one access key."""

    async def knows(self, claim: sigv4.Claim) -> bool:
        return claim.access_key_id == KEY_ID

    async def signed(self, claim: sigv4.Claim, request: sigv4.SignedRequest, now: dt.datetime) -> Principal:
        sigv4.verify(claim, request, SECRET if claim.access_key_id == KEY_ID else None, now=now)
        return root(AccountId(ACCOUNT), KEY_ID)


class Unwritten:
    """Refusals that nobody keeps."""

    async def note(self, call: Call, *, error: str, message: str) -> None:
        return None


class RootOnly:
    """Rights of an account's root user: everything at home, nothing elsewhere."""

    async def check(self, asked: Asked) -> None:
        if asked.resource != "*" and asked.resource.split(":")[4] != asked.principal.account:
            clause = f"because no resource-based policy allows the {asked.action} action"
            raise AccessDenied(asked.principal.arn, asked.action, asked.resource, clause)


class Hands:
    """A clock that a test may turn."""

    def __init__(self) -> None:
        self.offset = dt.timedelta()

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.offset

    def steady(self) -> dt.datetime:
        return self.now()


def make_deps(**limits: Any) -> Deps:
    """Deps of a door that reaches no room: what only rooms need is not there."""
    nothing: Any = None
    return Deps(
        settings=Settings(limits=Limits(**limits)),
        clock=Hands(),
        db=nothing,
        stores=nothing,
        sealer=Sealer({purpose: bytes([number]) * 32 for number, purpose in enumerate(PURPOSES)}),
        authenticator=cast(Any, OneKey()),
        authorizer=cast(Any, RootOnly()),
        stamped=nothing,
        hosts=nothing,
        hashes=nothing,
        pulls=nothing,
        refusals=cast(Any, Unwritten()),
        issuers=nothing,
        egress=nothing,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it was on the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """What a test needs to know of the running server."""

    def __init__(self, url: str, deps: Any) -> None:
        self.url, self.deps = url, deps

    @property
    def netloc(self) -> str:
        return self.url.removeprefix("http://")

    @contextlib.contextmanager
    def client(self, service: str, *, secret: str = SECRET, key_id: str = KEY_ID, region: str = "eu-west-1"):
        make: Any = boto3.client
        client = make(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )
        try:
            yield client
        finally:
            client.close()

    async def call(self, service: str, operation: str, *, secret: str = SECRET, **params: Any) -> Any:
        """The answer of a boto3 client, which works in a thread."""

        def work() -> Any:
            with self.client(service, secret=secret) as client:
                return getattr(client, operation)(**params)

        return await asyncio.to_thread(work)

    def request(
        self,
        body: bytes = b"{}",
        *,
        target: str | None = None,
        headers: dict[str, str] | None = None,
        service: str = "ecr",
        region: str = "eu-west-1",
        query: str = "",
        key_id: str = KEY_ID,
        secret: str = SECRET,
        signed_body: bytes | None = None,
    ) -> list[tuple[str, str]]:
        """The headers of a signed POST: a list, so that a test can alter and repeat what it likes."""
        now = self.deps.clock.now()
        pairs = {"Host": self.netloc, "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}", **(headers or {})}
        if target is not None:
            pairs = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target, **pairs}
        claim = sigv4.Claim(
            access_key_id=key_id,
            date=f"{now:%Y%m%d}",
            region=region,
            service=service,
            signed_headers=tuple(sorted(name.lower() for name in pairs)),
            signature="",
            timestamp=now.replace(microsecond=0),
        )
        request = sigv4.SignedRequest(
            method="POST",
            raw_path="/",
            raw_query=query,
            headers=tuple(pairs.items()),
            body_sha256=hashlib.sha256(body if signed_body is None else signed_body).hexdigest(),
        )
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={key_id}/{claim.date}/{region}/{service}/aws4_request, "
            f"SignedHeaders={';'.join(claim.signed_headers)}, Signature={sigv4.signature(claim, request, secret)}"
        )
        return [*pairs.items(), ("Authorization", authorization)]

    async def send(self, headers: list[tuple[str, str]], body: bytes = b"{}", *, query: str = "") -> Answer:
        """The answer to a POST with just these headers, and a length where none is among them."""
        names = {name.lower() for name, _ in headers}
        if not names & {"content-length", "transfer-encoding"}:
            headers = [*headers, ("Content-Length", str(len(body)))]
        lines = [f"POST /{'?' + query if query else ''} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        head = "\r\n".join([*lines, "Connection: close", "", ""]).encode(errors="surrogateescape")
        return await self.raw(head + body)

    async def raw(self, data: bytes) -> Answer:
        """The answer to these bytes."""
        host, port = self.netloc.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(data)
            await writer.drain()
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode()
            status, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            return Answer(status=int(status.split()[1]), headers=headers, body=body)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A function that starts a server over an operation table (the product's own, where none is given)."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(table: door.Operations = door.OPERATIONS, **limits: int) -> Server:
            deps = make_deps(**limits)

            async def answer(request: web.BaseRequest) -> web.StreamResponse:
                return await door.handle(deps, request, "00000000-0000-4000-8000-000000000001", table=table)

            runner = web.ServerRunner(web.Server(answer, auto_decompress=False), shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0]
            return Server(f"http://{host}:{port}", deps)

        yield start
