"""An S3 server with faults: a relay to a real one that, by a script, refuses, stalls, cuts, hides or lies.

    relay.script = [On("UploadPart", refuse(503, "SlowDown"), times=2), On("GetObject", cut(0.5))]

For each request the first rule that matches, and has not been used up, says what happens; where none does the request
is passed on as it came.
"""

import asyncio
import contextlib
import dataclasses
import io
import random
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

import aiohttp
from aiohttp import web
from yarl import URL

_HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


class Passed(NamedTuple):
    """The real server's answer."""

    status: int
    headers: dict[str, str]
    body: bytes


Forward = Callable[[], Awaitable[Passed]]
Fault = Callable[[web.Request, Forward], Awaitable[web.StreamResponse]]


@dataclasses.dataclass
class On:
    """What happens to an operation. `key`: only where the object's key holds this text. `times`: None: always."""

    operation: str
    fault: Fault
    times: int | None = None
    key: str = ""
    chance: float = 1.0

    def takes(self, operation: str, key: str, dice: random.Random) -> bool:
        matches = self.operation in ("*", operation) and self.key in key and self.times != 0
        if not matches or dice.random() >= self.chance:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Relay:
    """Runs in a thread of its own, so that tests with and without a loop can use it."""

    def __init__(self, upstream: str, *, seed: int = 1) -> None:
        self.upstream, self.url = upstream, ""
        self.script: list[On] = []
        self.calls: list[tuple[str, str]] = []  # (operation, key) of every request that came
        self._dice = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.calls)

    async def _run(self) -> None:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as self._session:
            self._started.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name, key = _operation(request), request.path.partition("/")[2].partition("/")[2]
        self.calls.append((name, key))
        rule = next((one for one in self.script if one.takes(name, key, self._dice)), None)
        if rule is None:
            return _answer(await self._forward(request))
        return await rule.fault(request, lambda: self._forward(request))

    async def _forward(self, request: web.Request) -> Passed:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        async with self._session.request(
            request.method,
            URL(self.upstream + request.raw_path, encoded=True),
            headers=headers,
            data=io.BytesIO(body) if body else None,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
            allow_redirects=False,
        ) as answer:
            return Passed(answer.status, dict(answer.headers), await answer.read())


# --- faults -----------------------------------------------------------------------------------------------------------


def refuse(status: int, code: str) -> Fault:
    """Answer with an error, and do nothing."""

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        await request.read()
        return _error(status, code)

    return fault


def fail_after(status: int = 500, code: str = "InternalError") -> Fault:
    """Do it, and say that it failed."""

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        await forward()
        return _error(status, code)

    return fault


def error_in_200(*, after: bool) -> Fault:
    """Answer 200, and tell of an error in the body. `after`: though it was done."""

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        await (forward() if after else request.read())
        return _error(200, "InternalError")

    return fault


def stall(seconds: float) -> Fault:
    """Say nothing for a while, then hang up."""

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return _hang_up(request)

    return fault


def cut(fraction: float, *, hold: float = 0.0) -> Fault:
    """Answer, and hang up after this much of the body, and after saying nothing for `hold` seconds."""

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        passed = await forward()
        answer = web.StreamResponse(status=passed.status, headers=_kept(passed))
        answer.content_length = len(passed.body)
        await answer.prepare(request)
        await answer.write(passed.body[: int(len(passed.body) * fraction)])
        await asyncio.sleep(hold)
        return _hang_up(request)

    return fault


def garble() -> Fault:
    """Pass it on with one byte of its body changed."""

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        body = bytearray(await request.read())
        body[len(body) // 2] ^= 1
        request._read_bytes = bytes(body)  # what `read` gives from now on
        return _answer(await forward())

    return fault


def record(headers: list[Mapping[str, str]]) -> Fault:
    """No fault: keep the headers, and pass the request on."""

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        headers.append(request.headers)
        return _answer(await forward())

    return fault


hide: Final = refuse(404, "NoSuchKey")
hang_up: Final = stall(0)


# --- inside -----------------------------------------------------------------------------------------------------------


def _operation(request: web.Request) -> str:
    """S3's name of the call, as far as the registry makes it."""
    query, has_key = request.query, request.path.strip("/").count("/") > 0
    match request.method:
        case "PUT":
            return "UploadPart" if "partNumber" in query else "PutObject"
        case "POST":
            return "CompleteMultipartUpload" if "uploadId" in query else "CreateMultipartUpload"
        case "DELETE":
            return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
        case "HEAD":
            return "HeadObject"
        case _:
            return "GetObject" if has_key else "ListMultipartUploads" if "uploads" in query else "ListObjectsV2"


def _error(status: int, code: str) -> web.Response:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>by the script</Message></Error>'
    return web.Response(status=status, body=body.encode(), content_type="application/xml")


def _kept(passed: Passed) -> dict[str, str]:
    return {name: value for name, value in passed.headers.items() if name.lower() not in _HOP_BY_HOP}


def _answer(passed: Passed) -> web.StreamResponse:
    answer = web.Response(status=passed.status, headers=_kept(passed), body=passed.body)
    if "Content-Length" in passed.headers:  # of a HEAD: of what a GET would bring
        answer.headers["Content-Length"] = passed.headers["Content-Length"]
    return answer


def _hang_up(request: web.Request) -> web.StreamResponse:
    with contextlib.suppress(AttributeError):
        request.transport.abort()  # type: ignore[union-attr] # gone already
    raise ConnectionResetError("by the script")
