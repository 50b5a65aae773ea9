"""nginx in front, as deploy/proxy/nginx.conf says: TLS ends there, and clients push and pull through it."""

import datetime as dt
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

pytestmark = pytest.mark.real("nginx")


class Proxied(NamedTuple):
    """A server, and the host by which clients reach it through nginx."""

    server: RunningServer
    host: str
    bundle: Path  # the authority to trust
    prefix: Path  # nginx's own directory


@pytest.fixture
def proxied(start_server, tmp_path) -> Iterator[Proxied]:
    port = free_port()
    server = start_server(
        LONGSHORE_HTTP__TRUSTED_PROXIES="127.0.0.1", LONGSHORE_REGISTRY__PUBLIC_URL=f"https://localhost:{port}"
    )
    issued = certificates.issue(tmp_path / "tls", [], days=30, now=dt.datetime.now(dt.UTC))
    prefix = tmp_path / "nginx"
    for folder in ("body", "proxy"):
        (prefix / folder).mkdir(parents=True)
    text = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text()
    for there, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "server 127.0.0.1:5000": f"server {server.netloc}",
        "server_name registry.example.com": "server_name localhost",
        "/etc/longshore/server.crt": str(issued.cert),
        "/etc/longshore/server.key": str(issued.key),
    }.items():
        assert there in text
        text = text.replace(there, here)
    (prefix / "site.conf").write_text(text)
    (prefix / "nginx.conf").write_text(
        "daemon off; worker_processes 1; error_log stderr; pid nginx.pid; user root; events {}\n"
        "http { access_log off; client_body_temp_path body; proxy_temp_path proxy; include site.conf; }\n"
    )
    command = ["nginx", "-p", str(prefix), "-c", "nginx.conf", "-e", "stderr"]
    process = subprocess.Popen(command, env=clean_environment())
    try:
        until(lambda: _listens(port) or process.poll() is not None, what="nginx")
        yield Proxied(server, f"localhost:{port}", issued.ca_cert, prefix)
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.real("dockerd")
def test_docker_pushes_and_pulls_through_it(proxied, docker):
    host = proxied.host.replace("localhost", "127.0.0.1")  # whose certificates docker does not ask for
    name = unique_name()
    proxied.server.create(name)
    image = docker.new_image(f"{host}/{name}:1")
    docker.log_in(host)
    docker("push", image.name)
    docker.forget(image.name)
    docker("pull", image.name)

    assert docker.id_of(image.name) == image.id


@pytest.mark.real("awscli")
def test_signed_requests_pass_and_uris_name_the_proxy(proxied, tmp_path):
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


def test_bytes_reach_the_server_while_the_rest_is_still_to_come(proxied):
    name, blob = unique_name(), unique_bytes(20_000_000)
    proxied.server.create(name)
    trusting = ssl.create_default_context(cafile=str(proxied.bundle))
    line = http.client.HTTPSConnection(proxied.host, context=trusting, timeout=30)
    line.putrequest("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(blob)}")
    line.putheader("Authorization", proxied.server.basic)
    line.putheader("Content-Length", str(len(blob)))
    line.endheaders()
    line.send(blob[:15_000_000])
    until(lambda: _largest(proxied.server.data / "blobs") > 10_000_000, what="the first half")
    line.send(blob[15_000_000:])
    status = line.getresponse().status
    line.close()

    assert status == 201


def _largest(directory: Path) -> int:
    return max((path.stat().st_size for path in directory.rglob("*") if path.is_file()), default=0)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
