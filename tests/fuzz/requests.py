"""Requests of `/v2/` and beside it: method x path x query x headers x body, mostly lawful, now and then not."""

import json
import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from hypothesis import strategies as st

from tests.builders import DOCKER_IMAGE, OCI_IMAGE, OCI_INDEX, digest_of
from tests.fuzz.pool import REPOSITORIES, Pool
from tests.fuzz.texts import anything, hostile
from tests.servers import basic

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_OTHER_METHODS: Final = ("OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get")
_TYPES: Final = (OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, "application/json", "text/plain; charset=x", "")


class Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    chunked: bool

    def raw(self, host: str) -> bytes:
        """The request's bytes; a body is announced as it is, or goes out in chunks."""
        headers = {"Host": host, "Connection": "close", **self.headers}
        body = self.body
        if self.chunked:
            headers["Transfer-Encoding"] = "chunked"
            body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        elif body:
            headers.setdefault("Content-Length", str(len(body)))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def requests(pool: Pool, key: str) -> st.SearchStrategy[Request]:
    """`key` is the Authorization header of the root user."""
    return _build(pool, key)


@st.composite
def _build(draw: st.DrawFn, pool: Pool, key: str) -> Request:
    lawful = draw(st.integers(0, 9)) < 7
    name = draw(st.sampled_from(REPOSITORIES))
    method, target, body = _lawful(draw, pool, name)
    headers = {"Authorization": key}
    if method == "PUT" and "/manifests/" in target:
        headers["Content-Type"] = draw(st.sampled_from(_TYPES[:3]))
    chunked = draw(st.integers(0, 9)) == 0
    if not lawful:
        method = draw(st.one_of(st.just(method), st.sampled_from(METHODS), st.sampled_from(_OTHER_METHODS)))
        target = draw(st.one_of(st.just(target), _paths(pool), _mangled(target)))
        headers |= draw(_headers(pool))
        body = draw(st.one_of(st.just(body), st.binary(max_size=300), _documents(pool)))
    query = draw(_queries(pool)) if not lawful or draw(st.integers(0, 4)) == 0 else ""
    if query:
        target += ("&" if "?" in target else "?") + query
    return Request(method, target.replace(" ", "%20").replace("\r", "%0d").replace("\n", "%0a"), headers, body, chunked)


def _lawful(draw: st.DrawFn, pool: Pool, name: str) -> tuple[str, str, bytes]:
    """One of the specification's own requests, about what is there."""
    base, blob = f"/v2/{name}", draw(st.sampled_from(pool.blobs))
    built, tag = draw(st.sampled_from(pool.built)), draw(st.sampled_from(["v1", "latest", "t1", "new"]))
    cases: list[tuple[str, str, bytes]] = [
        ("GET", "/v2/", b""),
        ("GET", "/v2/_catalog", b""),
        ("GET", "/token", b""),
        ("GET", f"{base}/tags/list", b""),
        ("GET", f"{base}/manifests/{tag}", b""),
        ("HEAD", f"{base}/manifests/{built.digest}", b""),
        ("GET", f"{base}/blobs/{digest_of(blob)}", b""),
        ("HEAD", f"{base}/blobs/{digest_of(blob)}", b""),
        ("GET", f"{base}/referrers/{built.digest}", b""),
        ("PUT", f"{base}/manifests/{tag}", built.body),
        ("PUT", f"{base}/manifests/{built.digest}", built.body),
        ("POST", f"{base}/blobs/uploads/", b""),
        ("POST", f"{base}/blobs/uploads/?digest={digest_of(blob)}", blob),
        ("POST", f"{base}/blobs/uploads/?mount={digest_of(blob)}&from={REPOSITORIES[0]}", b""),
        ("PATCH", draw(st.sampled_from(pool.uploads)), blob),
        ("GET", draw(st.sampled_from(pool.uploads)), b""),
        ("PUT", f"{draw(st.sampled_from(pool.uploads))}?digest={digest_of(blob)}", blob),
        ("DELETE", draw(st.sampled_from([*pool.uploads, f"{base}/manifests/new"])), b""),
    ]
    return draw(st.sampled_from(cases))


def _paths(pool: Pool) -> st.SearchStrategy[str]:
    name = st.one_of(st.sampled_from(REPOSITORIES), anything)
    reference = st.one_of(st.sampled_from(pool.digests), st.sampled_from(["v1", "latest"]), anything)
    kind = st.sampled_from(["manifests", "blobs", "blobs/uploads", "tags", "referrers", "_catalog", "x"])
    escapes: list[Callable[[str], str]] = [str, quote, lambda text: quote(text, safe="")]
    escaped = st.sampled_from(escapes)
    parts = st.tuples(name, kind, reference, escaped)
    beside = st.sampled_from(["/", "//", "/v1/", "/v2", "/token", "/metrics", "/readyz", "/livez", "/favicon.ico", "*"])
    return st.one_of(parts.map(lambda p: f"/v2/{p[3](_sane(p[0]))}/{p[1]}/{p[3](_sane(p[2]))}"), beside)


def _sane(text: str) -> str:
    """Without half characters, which have no bytes."""
    return text.encode(errors="replace").decode()


def _mangled(target: str) -> st.SearchStrategy[str]:
    def mangle(seed: int, part: str) -> str:
        at = random.Random(seed).randrange(len(target) + 1)
        return target[:at] + quote(_sane(part), safe="/%:@") + target[at + len(part) // 2 :]

    return st.builds(mangle, st.integers(0, 2**16), hostile)


def _queries(pool: Pool) -> st.SearchStrategy[str]:
    key = st.one_of(
        st.sampled_from(
            ["digest", "mount", "from", "n", "last", "digest-algorithm", "artifactType", "tag", "scope", "service"]
        ),
        anything,
    )
    value = st.one_of(st.sampled_from(pool.digests), st.sampled_from(["1", "10", "sha512", "v1"]), anything)
    pair = st.tuples(key, value).map(lambda p: f"{quote(_sane(p[0]))}={quote(_sane(p[1]))}")
    return st.lists(pair, max_size=4).map("&".join)


def _headers(pool: Pool) -> st.SearchStrategy[dict[str, str]]:
    value = anything.map(lambda text: "".join(c for c in _sane(text) if c.isprintable())[:500])
    ranges = st.sampled_from(
        ["bytes=0-9", "bytes=-5", "bytes=9-", "bytes=5-2", "bytes=0-0,2-3", "0-99", "5-9", "bytes 0-9/10", "x"]
    )
    numbers = st.sampled_from(["0", "5", "-1", "1e3", "99999999999", "x"])
    known: dict[str, st.SearchStrategy[str]] = {
        "Authorization": st.one_of(value, st.sampled_from(["", "Basic", "Bearer ", "Bearer x", basic("AWS", "x")])),
        "Content-Type": st.one_of(value, st.sampled_from(_TYPES)),
        "Content-Range": ranges,
        "Range": ranges,
        "If-Range": value,
        "If-None-Match": st.one_of(value, st.sampled_from(pool.digests).map(lambda digest: f'"{digest}"')),
        "Accept": value,
        "Content-Encoding": st.sampled_from(["gzip", "identity", "br", ""]),
        "Content-Length": numbers,
        "Host": value,
        "X-Forwarded-For": value,
        "X-Forwarded-Proto": value,
        "X-Amz-Target": st.sampled_from(["AmazonEC2ContainerRegistry_V20150921.ListImages", "x", ""]),
        "X-Amz-Date": value,
        "User-Agent": value,
    }
    return st.lists(st.sampled_from(sorted(known)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: known[name] for name in names})
    )


def _documents(pool: Pool) -> st.SearchStrategy[bytes]:
    """Manifests with something else in some place."""
    odd = st.one_of(st.none(), st.integers(), st.booleans(), anything, st.just([]), st.just({}), st.floats())

    def change(built: Any, where: list[str], what: Any) -> bytes:
        document = json.loads(built.body)
        place: Any = document
        for step in where[:-1]:
            inner = place.get(step) if isinstance(place, dict) else None
            place = inner[0] if isinstance(inner, list) and inner else inner if isinstance(inner, dict) else place
        if isinstance(place, dict):
            place[where[-1]] = what
        return json.dumps(document).encode()

    step = st.sampled_from(
        ["config", "layers", "manifests", "digest", "size", "mediaType", "subject", "annotations", "schemaVersion"]
    )
    return st.builds(change, st.sampled_from(pool.built), st.lists(step, min_size=1, max_size=3), odd)
