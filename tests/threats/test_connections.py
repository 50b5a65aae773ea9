"""Connections that are too many, idle, half made, or never read (promises.md T26, T27, F41, R8)."""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.builders import digest_of, image, push, push_blob, unique_bytes
from tests.servers import RunningServer
from tests.threats.processes import MIB, descriptors, growth, sockets
from tests.waiting import until
from tests.wire import Wire, connect, dial, root_head

DESCRIPTORS = 256  # of which half a hundred connections are left, and fewer for one source
ATTACKER = "127.0.0.2"
GONE = 45.0  # seconds, R8


class Narrow(RunningServer):
    """A server with few file descriptors."""

    @property
    def command(self) -> list[str]:
        return ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", *super().command]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = Narrow(tmp_path_factory.mktemp("narrow") / "data")
    server.start()
    server.create("narrow")
    yield server
    server.stop()


def crowd(server: RunningServer, number: int, *, sources: int = 1) -> contextlib.ExitStack:
    """Connections that say nothing, from one address or from several; some of them are closed by the server."""
    stack = contextlib.ExitStack()
    for one in range(number):
        stack.enter_context(dial(server, source=f"127.0.0.{2 + one % sources}"))
    return stack


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has not hung up."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def refused(server: RunningServer, why: str) -> float:
    page = server.request("GET", "/metrics").body.decode()
    found = [
        line for line in page.splitlines() if line.startswith(f'longshore_connections_refused_total{{why="{why}"}}')
    ]
    return float(found[0].split()[1]) if found else 0.0


def assert_serves(server: RunningServer) -> None:
    data = unique_bytes(100_000)
    push_blob(server, "narrow", data)
    assert server.request("GET", f"/v2/narrow/blobs/{digest_of(data)}").body == data
    assert server.request("GET", "/readyz").status == 200


# --- too many ---------------------------------------------------------------------------------------------------------


def test_who_opens_too_many_connections_shuts_out_only_themselves(narrow: RunningServer) -> None:
    before, open_sockets = refused(narrow, "source"), sockets(narrow.pid)
    with crowd(narrow, 300):
        for _ in range(3):
            assert_serves(narrow)
        with dial(narrow, source=ATTACKER) as another:
            until(lambda: not is_open(another), what="the end of one connection too many")
        assert descriptors(narrow.pid) < DESCRIPTORS - 64, "there are some left for rows and bytes"

    assert refused(narrow, "source") > before + 200
    until(lambda: sockets(narrow.pid) <= open_sockets + 3, what="all connections")
    with connect(narrow, source=ATTACKER) as again:
        again.send(root_head(narrow, "GET", "/v2/"))
        assert again.receive().status == 200


def test_who_is_connected_is_served_when_everyone_else_is_too_much(narrow: RunningServer) -> None:
    data = unique_bytes(100_000)
    with connect(narrow) as inside:
        inside.send(root_head(narrow, "GET", "/v2/"))
        assert inside.receive().status == 200
        with crowd(narrow, 300, sources=20):
            head = {"Content-Length": str(len(data))}
            inside.send(root_head(narrow, "POST", f"/v2/narrow/blobs/uploads/?digest={digest_of(data)}", head) + data)
            pushed = inside.receive("POST")
            inside.send(root_head(narrow, "GET", f"/v2/narrow/blobs/{digest_of(data)}"))
            pulled = inside.receive()
            with dial(narrow) as outside:
                until(lambda: not is_open(outside), what="the end of one connection too many")

    assert (pushed.status, pulled.body) == (201, data)
    until(lambda: serves(narrow), what="room for others")
    assert refused(narrow, "all") > 100


def serves(server: RunningServer) -> bool:
    with contextlib.suppress(OSError):
        return server.request("GET", "/readyz").status == 200
    return False


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_connections_that_never_agree_on_tls_are_counted_and_closed(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = Narrow(tmp_path / "data", "--tls-cert", str(chain), "--tls-key", str(key))
    server.start()
    try:
        open_sockets = sockets(server.pid)
        with crowd(server, 300):
            answers = [ready_over_tls(server, trust) for _ in range(3)]
            assert descriptors(server.pid) < DESCRIPTORS - 64
            until(lambda: sockets(server.pid) <= open_sockets + 3, seconds=GONE, what="the end of all handshakes")
        after = ready_over_tls(server, trust)
    finally:
        server.stop()

    assert [*answers, after] == [b"HTTP/1.1 200 OK"] * 4
    assert not [line for line in server.output if "Traceback" in line]


def ready_over_tls(server: RunningServer, trust: ssl.SSLContext) -> bytes:
    with dial(server) as plain, trust.wrap_socket(plain, server_hostname="localhost") as wrapped:
        wrapped.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return wrapped.recv(15)


# --- idle -------------------------------------------------------------------------------------------------------------


BEGINNINGS = {
    "nothing": b"",
    "half a line": b"GET /v2/ HT",
    "half a head": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-A: ",
    "a request, and nothing more": b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "a request, and half of another": b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /livez HTTP/1.1\r\n",
    "a body for a refused request": b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc",
    "a call that nobody signed": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc",
    "a call's form": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 1000\r\n\r\nAction=",
    "a login form": b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\ngrant_type=",
}


@pytest.fixture(scope="module", autouse=True)
def idle(shared_server: RunningServer) -> Iterator[dict[str, tuple[socket.socket, float]]]:
    """Connections with these beginnings, made before all other tests, so that they are old when their test comes; and
    when each was made."""
    with contextlib.ExitStack() as stack:
        made = {}
        for name, sent in BEGINNINGS.items():
            connection = stack.enter_context(dial(shared_server))
            connection.sendall(sent)
            made[name] = (connection, time.monotonic())
        yield made


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_connection_that_goes_nowhere_is_closed(idle: dict[str, tuple[socket.socket, float]], beginning: str) -> None:
    connection, made = idle[beginning]
    connection.setblocking(True)
    connection.settimeout(max(made + GONE - time.monotonic(), 0.1))
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


# --- never read -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False], ids=["all at once", "one by one"])
@pytest.mark.parametrize("kind", ["blobs", "manifests"])
def test_a_client_that_asks_on_and_never_reads_takes_little_memory(
    narrow: RunningServer, kind: str, together: bool
) -> None:
    """A manifest may be answered below the framework, which otherwise would wait for its reader."""
    large = image(annotations={"text": "x" * 200_000}, layers=[unique_bytes(60_000)])
    push(narrow, "narrow", large)
    digest = large.digest if kind == "manifests" else digest_of(large.blobs[1])
    request = root_head(narrow, "GET", f"/v2/narrow/{kind}/{digest}")
    with growth(narrow) as grown, dial(narrow) as connection, contextlib.closing(Wire(connection)) as wire:
        for _ in range(2):
            wire.send(request)
            wire.receive()
        connection.settimeout(2)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(30 if together else 400):
                connection.sendall(request * (100 if together else 1))
                time.sleep(0 if together else 0.005)  # so that each comes by itself
        assert narrow.request("GET", "/readyz").status == 200

    assert grown.bytes < 32 * MIB, f"{grown.bytes / MIB:.0f} MiB"
