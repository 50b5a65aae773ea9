"""The one way out: an HTTP client that connects nowhere but where the operator lets it (promises.md P14, T42).

URLs come from users: of an issuer, of an upstream, of a webhook. Without a guard whoever may write one could have the
server ask its own neighbours: the metadata service of the cloud, a database behind the same firewall, itself. So only
public addresses are connected to, and what `egress.allow` names: a host, an address, a network, each with a port or
without.

It is addresses that are judged, not names: after a name was resolved, and the connection is made to the very address
that was judged, so that a name which resolves differently the second time gains nothing. Redirects are followed by
hand, at most three, each judged like the first; headers that were given for one origin do not go to another. There is
no proxy, no cookie and no decompression, and every answer has a limit in bytes and in time.

Sources: IANA special-purpose address registries; RFC 4291, 6052 (NAT64), 3056 (6to4), 4380 (Teredo).
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_REDIRECTS: Final = 3
_LONGEST_URL: Final = 2048
_CONNECT_SECONDS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}

_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")
_HOST: Final = re.compile(r"[a-z0-9_.:-]+")
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # all else has a special meaning
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# What Python's own tables do not call special in every version.
_NOT_PUBLIC: Final[tuple[Network, ...]] = (
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("2001::/23"),
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv6Network("3fff::/20"),
)


class EgressFailed(Exception):
    """The other side could not be asked, or did not answer as it should. The message may be shown to clients."""


class EgressRefused(EgressFailed):
    """The guard: this server does not connect there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry of `egress.allow`. Either a host or a network; no port means every port."""

    host: str = ""
    network: Network | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`registry.lan`, `10.0.0.0/8`, `127.0.0.1:5000`, `[::1]:5000`. Raises ValueError."""
        bracketed = _BRACKETS.fullmatch(text)
        try:
            return cls(network=ipaddress.ip_network(bracketed[1] if bracketed else text, strict=False))
        except ValueError:
            parts = URL(f"//{text}")
        host = (parts.raw_host or "").rstrip(".")
        if not _HOST.fullmatch(host) or parts.user is not None or str(parts).count("/") > 2 or parts.query_string:
            raise ValueError("must be hosts, addresses or networks, each with a port or without: 10.0.0.0/8, a.lan:443")
        try:
            return cls(network=ipaddress.ip_network(host), port=parts.explicit_port)
        except ValueError:
            return cls(host=host, port=parts.explicit_port)

    def names(self, host: str, port: int) -> bool:
        return bool(self.host) and self.host == host and self.port in (None, port)

    def holds(self, address: Address, port: int) -> bool:
        return self.network is not None and address in self.network and self.port in (None, port)


class Guard:
    """Where connections may go."""

    def __init__(self, allow: Sequence[str]) -> None:
        self._rules = [Rule.parse(text) for text in allow]

    def allows(self, host: str, address: str, port: int) -> bool:
        """Whether the address, which `host` was resolved to, may be connected to."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        name = host.lower().rstrip(".")
        if any(rule.names(name, port) or rule.holds(found, port) for rule in self._rules):
            return True
        return "%" not in address and is_public(found)


def is_public(address: Address) -> bool:
    """Whether it is an address of the public internet, whatever it is wrapped in."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return False  # a public address comes as itself; who writes it so has something to hide
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in _GLOBAL_UNICAST:
            return False
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as this machine resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Pinned(AbstractResolver):
    """Resolves for the connector, which connects to what it gets from here and to nothing else."""

    def __init__(self, guard: Guard, resolve: Resolve) -> None:
        self._guard, self._resolve = guard, resolve

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        try:
            found = await self._resolve(host, port)
        except UnicodeError as error:  # a label that is too long
            raise OSError(f"{host[:128]} is no host name") from error
        allowed = [address for address in found if self._guard.allows(host, address, port)]
        if found and not allowed:
            raise EgressRefused(f"connections to {host[:128]} are not allowed: see egress.allow")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in allowed
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Egress:
    """The client. One for each process; `close` it at the end."""

    def __init__(self, allow: Sequence[str] = (), *, ca: str = "", resolve: Resolve = system_resolve) -> None:
        """`ca`: a PEM file of authorities that are trusted beside the system's. Raises ValueError."""
        self._guard = Guard(allow)
        self._resolver = _Pinned(self._guard, resolve)
        self._ca = ca
        self._session: aiohttp.ClientSession | None = None

    async def get(
        self, url: str, *, limit: int, seconds: float, headers: Mapping[str, str] | None = None, tls: bool = False
    ) -> Answer:
        """GET, the whole answer: of at most `limit` bytes, within `seconds`. `tls`: nothing but https on the way.

        Raises EgressRefused, EgressFailed.
        """
        async with self.request("GET", url, seconds=seconds, headers=headers, tls=tls) as response:
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > limit:
                    raise EgressFailed(f"{_shown(response.url)} answered more than {limit} bytes")
            return Answer(status=response.status, headers=dict(response.headers), body=bytes(body))

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        tls: bool = False,
        any_encoding: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request, its body unread and as it is on the wire. Redirects of a GET have been followed.
        `any_encoding`: for who does not read it.

        Raises EgressRefused, EgressFailed, also while the body is read.
        """
        target, sent = _parsed(url, tls=tls), {"Accept-Encoding": "identity", **(headers or {})}
        origin = target.origin()
        try:
            async with asyncio.timeout(seconds):
                for _ in range(MAX_REDIRECTS + 1):
                    self._check_literal(target)
                    own = sent if target.origin() == origin else {"Accept-Encoding": "identity"}
                    async with self._client().request(
                        method, target, headers=own, data=body, allow_redirects=False
                    ) as response:
                        if response.status not in _REDIRECTS or method not in ("GET", "HEAD"):
                            encoding = response.headers.get("Content-Encoding", "identity").lower()
                            if encoding != "identity" and not any_encoding:
                                raise EgressFailed(f"{_shown(target)} answered in an encoding that nobody asked for")
                            yield response
                            return
                        target = _parsed(_joined(target, response.headers.get("Location", "")), tls=tls)
        except TimeoutError:
            raise EgressFailed(f"{_shown(target)} did not answer within {seconds:g} seconds") from None
        except aiohttp.ClientError as error:
            raise EgressFailed(f"{_shown(target)} cannot be asked: {type(error).__name__}") from error
        raise EgressFailed(f"{_shown(URL(url))} redirects more than {MAX_REDIRECTS} times")

    async def judge(self, url: str) -> None:
        """Raise EgressRefused where a request would be refused now. A name that leads nowhere is not: it may, later."""
        target = _parsed(url, tls=False)
        self._check_literal(target)
        with contextlib.suppress(OSError):
            await self._resolver.resolve(target.raw_host or "", target.port or 0)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _check_literal(self, url: URL) -> None:
        """An address in the URL itself never meets the resolver."""
        host = url.raw_host or ""
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return
        if not self._guard.allows(host, host, url.port or 0):
            raise EgressRefused(f"connections to {host[:128]} are not allowed: see egress.allow")

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            tls = ssl.create_default_context()
            if self._ca:
                tls.load_verify_locations(self._ca)
            connector = aiohttp.TCPConnector(
                resolver=self._resolver, use_dns_cache=False, ssl=tls, limit=100, limit_per_host=20
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                headers={"User-Agent": "longshore"},
            )
        return self._session


def _parsed(text: str, *, tls: bool) -> URL:
    """An absolute URL that can be gone to. Raises EgressRefused."""
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise EgressRefused("the URL cannot be read") from None
    if len(text) > _LONGEST_URL or any(ord(character) < 33 or ord(character) == 127 for character in text):
        raise EgressRefused("the URL is too long, or holds characters that no URL has")
    if url.scheme not in (("https",) if tls else _PORTS) or not url.raw_host or not port:
        raise EgressRefused(f"only {'https' if tls else 'http and https'} URLs are gone to")
    if url.user is not None or url.password is not None:
        raise EgressRefused("a URL with a user or password is not gone to")
    return url.with_fragment(None)


def _joined(base: URL, location: str) -> str:
    try:
        return str(base.join(URL(location)))
    except ValueError:
        raise EgressRefused("a redirect's URL cannot be read") from None


def _shown(url: URL) -> str:
    """Scheme and host: paths and queries may hold secrets."""
    return f"{url.scheme}://{url.raw_host}"[:256]
