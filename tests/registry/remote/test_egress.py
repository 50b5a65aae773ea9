"""Where the server connects to: every way to write an inside address, and every way to be led to one (T42, P14).

A canary listens on loopback and counts who calls. Unless it is allowed, nobody does.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from registry.remote.egress import Egress, EgressFailed, EgressRefused, Guard, Rule, is_public
from tests.inside_hosts import HOSTS

OTHER = "203.0.114.7"  # public, as far as the tables go


class Canary:
    """A server on loopback. `answers` is what it says, by path: a body, or where to go."""

    def __init__(self) -> None:
        self.port = 0
        self.hits: list[web.BaseRequest] = []
        self.answers: dict[str, bytes | str] = {"/": b"fine"}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.hits.append(request)
        found = self.answers.get(request.path, b"")
        if isinstance(found, str):
            return web.Response(status=302, headers={"Location": found})
        return web.Response(body=found)


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    made = Canary()
    runner = web.ServerRunner(web.Server(made.answer), shutdown_timeout=1)
    await runner.setup()
    for address in ("127.0.0.1", "::1"):
        with contextlib.suppress(OSError):
            await web.TCPSite(runner, address, made.port).start()
            made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
async def out() -> AsyncIterator[Callable[..., Egress]]:
    """A function that makes clients: `out("127.0.0.1")` allows that; `names` is what names resolve to."""
    made: list[Egress] = []

    def make(*allow: str, names: dict[str, list[str]] | None = None) -> Egress:
        async def resolve(host: str, port: int) -> list[str]:
            if names is None:
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
                return [str(entry[4][0]) for entry in found]
            if not names.get(host):
                raise socket.gaierror(-2, "unknown")
            return [names[host][0] if len(names[host]) == 1 else names[host].pop(0)]

        made.append(Egress(allow, resolve=resolve))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def get(egress: Egress, url: str, **more) -> bytes:
    return (await egress.get(url, **{"limit": 1000, "seconds": 5, **more})).body


@pytest.mark.parametrize("host", HOSTS)
async def test_an_inside_address_is_not_connected_to_however_it_is_written(out, canary, host):
    with pytest.raises(EgressFailed):
        await get(out(), f"http://{host}:{canary.port}/")

    assert canary.hits == []


def test_there_are_sixty_forms():
    assert len(set(HOSTS)) >= 60


# What is no host at all, or says more than one.
ODD_URLS = [
    "http://user@127.0.0.1:{}/", "http://a:b@127.0.0.1:{}/", "http://example.com@127.0.0.1:{}/", "//127.0.0.1:{}/",
    "127.0.0.1:{}", "file:///etc/passwd", "gopher://127.0.0.1:{}/", "ftp://127.0.0.1:{}/", "unix:///x", "http:///x",
    "http://:{}/", "http://127.0.0.1:{}\r\nX: y/", "http://127.0.0.1:{}/\x00", "http://exa mple:{}/", "http://[::1:{}/",
    "http://127.0.0.1:99999/", "http://" + "a" * 3000 + ":{}/", "http://" + "a" * 64 + ".com:{}/", "http://.:{}/", "",
]  # fmt: skip


@pytest.mark.parametrize("url", ODD_URLS, ids=range(len(ODD_URLS)))
async def test_what_is_no_plain_url_is_not_gone_to(out, canary, url):
    with pytest.raises(EgressFailed):
        await get(out(), url.format(canary.port))

    assert canary.hits == []


@pytest.mark.parametrize(
    "allow", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:{}", "inside.lan", "inside.lan:{}", "INSIDE.lan.", "0.0.0.0/0"]
)
async def test_what_the_operator_allows_is_connected_to(out, canary, allow):
    egress = out(allow.format(canary.port), names={"inside.lan": ["127.0.0.1"]})

    assert await get(egress, f"http://inside.lan:{canary.port}/") == b"fine"


@pytest.mark.parametrize(
    "allow", ["127.0.0.2", "127.0.0.1:1", "inside.lan:1", "side.lan", "lan", "x.inside.lan", "10.0.0.0/8", "::/0"]
)
async def test_what_is_allowed_is_only_that(out, canary, allow):
    with pytest.raises(EgressRefused):
        await get(out(allow, names={"inside.lan": ["127.0.0.1"]}), f"http://inside.lan:{canary.port}/")

    assert canary.hits == []


async def test_a_name_that_resolves_differently_the_second_time_gains_nothing(out, canary):
    """The address that is judged is the one that is connected to: there is no second resolution in between."""
    asked = []

    async def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1" if len(asked) > 1 else OTHER]

    egress = Egress(resolve=rebinding)
    try:
        with pytest.raises(EgressFailed):
            await egress.get(f"http://rebind.example:{canary.port}/", limit=1000, seconds=0.5)
        with pytest.raises(EgressRefused):
            await egress.get(f"http://rebind.example:{canary.port}/", limit=1000, seconds=5)
    finally:
        await egress.close()

    assert asked == ["rebind.example"] * 2
    assert canary.hits == []


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2:{}/x", "http://localhost:{}/x", "http://[::1]:{}/x", "http://0x7f000001:{}/x",
     "http://169.254.169.254/x", "http://127.0.0.2:{}/x#f", "//127.0.0.2:{}/x", "file:///etc/passwd",
    "http://u:p@inside.lan:{}/", "http://[::1"],
)  # fmt: skip
async def test_a_redirect_is_judged_like_the_first_url(out, canary, target):
    canary.answers["/go"] = target.format(canary.port)
    egress = out(f"inside.lan:{canary.port}", names={"inside.lan": ["127.0.0.1"], "localhost": ["127.0.0.1"]})
    with pytest.raises(EgressFailed):
        await get(egress, f"http://inside.lan:{canary.port}/go")

    assert [hit.path for hit in canary.hits] == ["/go"]


async def test_three_redirects_are_followed_and_no_fourth(out, canary):
    canary.answers |= {"/1": "/2", "/2": "/3", "/3": "/", "/0": "/1"}

    assert await get(out("127.0.0.1"), f"http://127.0.0.1:{canary.port}/1") == b"fine"
    with pytest.raises(EgressFailed, match="more than 3 times"):
        await get(out("127.0.0.1"), f"http://127.0.0.1:{canary.port}/0")


async def test_headers_for_one_origin_do_not_go_to_another(out, canary):
    canary.answers |= {"/same": "/", "/other": f"http://other.lan:{canary.port}/"}
    names = {"inside.lan": ["127.0.0.1"], "other.lan": ["127.0.0.1"]}
    egress = out("127.0.0.1", names=names)
    for path in ("same", "other"):
        await get(egress, f"http://inside.lan:{canary.port}/{path}", headers={"Authorization": "Bearer canary"})

    assert [hit.headers.get("Authorization") for hit in canary.hits] == ["Bearer canary"] * 3 + [None]


async def test_tls_is_not_left_by_a_redirect_or_from_the_start(out, canary):
    with pytest.raises(EgressRefused, match="only https"):
        await get(out("127.0.0.1"), f"http://127.0.0.1:{canary.port}/", tls=True)

    assert canary.hits == []


async def test_no_environment_leads_elsewhere(out, canary, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{canary.port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{canary.port}")
    with pytest.raises(EgressFailed):
        await get(out(names={"a.example": ["127.0.0.1"]}), "http://a.example/")

    assert canary.hits == []


async def test_an_answer_has_a_limit(out, canary):
    canary.answers |= {"/fits": b"x" * 1000, "/long": b"x" * 1001}

    assert len(await get(out("127.0.0.1"), f"http://127.0.0.1:{canary.port}/fits")) == 1000
    with pytest.raises(EgressFailed, match="more than 1000 bytes"):
        await get(out("127.0.0.1"), f"http://127.0.0.1:{canary.port}/long")


async def test_an_answer_has_a_time(out):
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client goes
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(EgressFailed, match=r"did not answer within 0\.3 seconds"):
            await get(out("127.0.0.1"), f"http://127.0.0.1:{port}/", seconds=0.3)
    finally:
        server.close()


async def test_nothing_is_inflated(out):
    """An answer that comes compressed, though nobody asked for it, may be a bomb."""

    async def bomb(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    runner = web.ServerRunner(web.Server(bomb), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        with pytest.raises(EgressFailed, match="encoding that nobody asked for"):
            await get(out("127.0.0.1"), f"http://127.0.0.1:{runner.addresses[0][1]}/")
    finally:
        await runner.cleanup()


async def test_who_is_not_there_is_told_without_paths(out):
    with pytest.raises(EgressFailed) as caught:
        await get(out("127.0.0.1"), "http://127.0.0.1:1/secret?token=canary")

    assert "canary" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "172.32.0.1", "100.63.255.255", "11.0.0.1"],
)
def test_the_public_internet_is_open(address):
    assert Guard([]).allows("any.example", address, 443)


@pytest.mark.parametrize("address", ["64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "2001:20::1", "2001:4:112::1"])
def test_what_wraps_an_inside_address_is_inside(address):
    import ipaddress

    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "text", ["", "a b", "http://a", "a/b", "10.0.0.0/33", "a:99999", "u@a", "a?x", "*", "a*", "[::1", "[10.0.0.1"]
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError):
        Rule.parse(text)


def test_rules_are_read():
    assert Rule.parse("Registry.LAN:443") == Rule(host="registry.lan", port=443)
    assert Rule.parse("[::1]:5000").network == Rule.parse("::1").network
    assert Rule.parse("[::1]:5000").port == 5000
    assert Rule.parse("10.1.2.3/8").holds(ipaddress.ip_address("10.9.9.9"), 1)
