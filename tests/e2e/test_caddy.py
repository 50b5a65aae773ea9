"""Caddy in front, as deploy/proxy/Caddyfile says: TLS ends there, and clients push and pull through it."""

import datetime as dt
import hashlib
import http.client
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from longshore import certificates
from tests.builders import digest_of, unique_bytes, unique_name
from tests.programs import run
from tests.servers import ROOT, RunningServer, clean_environment, free_port
from tests.waiting import until

pytestmark = pytest.mark.real("caddy")

LAYER = 100_000_000


class Proxied(NamedTuple):
    """A server, and the host by which clients reach it through Caddy."""

    server: RunningServer
    host: str
    bundle: Path  # the authority to trust

    def line(self) -> http.client.HTTPSConnection:
        trusting = ssl.create_default_context(cafile=str(self.bundle))
        return http.client.HTTPSConnection(self.host, context=trusting, timeout=60)


@pytest.fixture
def proxied(start_server, tmp_path) -> Iterator[Proxied]:
    port = free_port()
    server = start_server(
        LONGSHORE_HTTP__TRUSTED_PROXIES="127.0.0.1", LONGSHORE_REGISTRY__PUBLIC_URL=f"https://localhost:{port}"
    )
    issued = certificates.issue(tmp_path / "tls", [], days=30, now=dt.datetime.now(dt.UTC))
    text = (ROOT / "deploy" / "proxy" / "Caddyfile").read_text()
    for there, here in {
        # Its own certificate would be asked of an authority on the Internet.
        "registry.example.com {": f"https://localhost:{port} {{\n\ttls {issued.cert} {issued.key}",
        "127.0.0.1:5000": server.netloc,
    }.items():
        assert text.count(there) == 1
        text = text.replace(there, here)
    own = "{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n}\n"
    (tmp_path / "Caddyfile").write_text(own + text)
    homes = {variable: str(tmp_path / "home") for variable in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    with open(tmp_path / "caddy.log", "wb") as log:
        process = subprocess.Popen(
            ["caddy", "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"],
            env={**clean_environment(), **homes},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: _listens(port) or process.poll() is not None, what="Caddy")
        assert process.poll() is None, (tmp_path / "caddy.log").read_text()
        yield Proxied(server, f"localhost:{port}", issued.ca_cert)
    finally:
        process.kill()  # asked to end, it waits for whoever is still connected
        process.wait(20)


def test_a_long_layer_passes_while_it_comes_and_comes_back(proxied):
    name, blob = unique_name(), unique_bytes(LAYER)
    proxied.server.create(name)
    line = proxied.line()
    line.putrequest("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(blob)}")
    line.putheader("Authorization", proxied.server.basic)
    line.putheader("Content-Length", str(len(blob)))
    line.endheaders()
    line.send(blob[: LAYER // 2])
    until(lambda: _largest(proxied.server.data / "blobs") > LAYER // 3, what="the first half")
    line.send(blob[LAYER // 2 :])
    pushed = line.getresponse()
    where = pushed.headers["Location"]
    pushed.read()
    line.request("GET", f"/v2/{name}/blobs/{digest_of(blob)}", headers={"Authorization": proxied.server.basic})
    pulled = line.getresponse()
    digest = hashlib.file_digest(pulled, "sha256").hexdigest()
    line.close()

    assert (pushed.status, pulled.status) == (201, 200)
    assert pulled.headers["Content-Length"] == str(LAYER)
    assert f"sha256:{digest}" == digest_of(blob)
    assert where.removeprefix(f"https://{proxied.host}") == f"/v2/{name}/blobs/{digest_of(blob)}"


@pytest.mark.real("dockerd")
def test_docker_pushes_and_pulls_through_it(proxied, docker):
    name = unique_name()
    proxied.server.create(name)
    image = docker.new_image(f"{proxied.host}/{name}:1")  # docker asks for no certificate of loopback
    docker.log_in(proxied.host)
    docker("push", image.name)
    docker.forget(image.name)
    docker("pull", image.name)

    assert docker.id_of(image.name) == image.id


@pytest.mark.real("awscli")
def test_signed_requests_pass_and_uris_name_the_proxy(proxied):
    name = unique_name()
    there = {
        **clean_environment(),
        **proxied.server.client_environment(),
        "AWS_ENDPOINT_URL_ECR": f"https://{proxied.host}",
        "AWS_CA_BUNDLE": str(proxied.bundle),
    }
    made = run(
        "aws", "ecr", "create-repository", "--repository-name", name, "--query", "repository.repositoryUri",
        environment=there,
    )  # fmt: skip

    assert made.out.strip().strip('"') == f"{proxied.host}/{name}"


def _largest(directory: Path) -> int:
    return max((path.stat().st_size for path in directory.rglob("*") if path.is_file()), default=0)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
