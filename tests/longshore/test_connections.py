"""A connection answers below the framework only while its client reads."""

import asyncio
from typing import Any

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from longshore.connections import Census, Server
from longshore.replies import Replies
from registry.options import Limits

ASKED = b"GET /v2/app/manifests/v1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Transport(asyncio.Transport):
    """A client that takes what is written, or lets it lie."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.lies = 0

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.lies

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Good:
    """Evidence that always holds, of an answer with a body of its own."""

    part = again = None

    def holds(self, now: float) -> bool:
        return True


async def test_a_reply_is_not_given_again_to_a_client_that_does_not_read() -> None:
    asked: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.raw_path)
        return web.Response(body=b"{}")

    loop, replies, transport = asyncio.get_running_loop(), Replies(most_bytes=100_000), Transport()
    request: Any = type("Request", (), {})()
    request.method, request.raw_path, request.version = "GET", "/v2/app/manifests/v1", HttpVersion11
    request.keep_alive, request.headers = True, CIMultiDict()
    evidence: Any = Good()
    replies.keep(("local", ASKED), request, web.Response(body=b"{}"), evidence)
    server = Server(handler, census=Census(Limits()), replies=replies, loop=loop, keepalive_timeout=5)
    connection = server()
    connection.connection_made(transport)
    await asyncio.sleep(0)
    for transport.lies in (0, 0, 1, 0):
        connection.data_received(ASKED)
        for _ in range(5):
            await asyncio.sleep(0)
    connection.connection_lost(None)

    assert asked == ["/v2/app/manifests/v1"], "the third: what was answered before still lies there"
    assert len(transport.written) >= 4
