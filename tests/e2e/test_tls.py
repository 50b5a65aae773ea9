"""TLS by the authority of `longshore cert`, with each client told to trust it by the lines that the command prints.

Clients reach the server by a name, through a relay: several of them believe any certificate of a loopback address.
"""

import json
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import layouts
from tests.builders import Built, unique_name
from tests.engines import Docker, Engine, Relay
from tests.programs import run
from tests.servers import KEY_ID, SECRET, RunningServer

NAME = "registry.longshore.test"
UNKNOWN = "certificate signed by unknown authority"  # as Go says it


class Secure(NamedTuple):
    """A server that speaks TLS. `trust`: client -> the lines that make it trust the authority."""

    server: RunningServer
    host: str
    ca: Path
    trust: dict[str, list[str]]

    def new_repository(self) -> str:
        name = unique_name()
        with self.server.client(verify=str(self.ca)) as ecr:
            ecr.create_repository(repositoryName=name)
        return f"{self.host}/{name}"

    def environment(self, client: str) -> dict[str, str]:
        """What the `export` lines for a client set."""
        exported = [line.removeprefix("export ") for line in self.trust[client] if line.startswith("export ")]
        assert exported
        return {key: shlex.split(value)[0] for key, _, value in (line.partition("=") for line in exported)}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    data = tmp_path_factory.mktemp("tls") / "data"
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"{NAME}:{free.getsockname()[1]}"
    settings = {"LONGSHORE_REGISTRY__PUBLIC_URL": f"https://{host}"}
    made = json.loads(run("longshore", "cert", "--data", data, "--output", "json", environment=settings).out)
    serve = made["serve"][made["serve"].index("--tls-cert") :]
    server = RunningServer(data, "--port", host.partition(":")[2], *serve, **settings)
    server.start()
    yield Secure(server, host, Path(made["caCertificate"]), made["trust"])
    server.stop()


@pytest.fixture
def there(relay: Relay, tmp_path: Path) -> dict[str, str]:
    """The environment of a client that can reach the server, and trusts nobody new."""
    return {
        "HTTPS_PROXY": relay.url,
        "HOME": str(tmp_path),
        "DOCKER_CONFIG": str(tmp_path),
        "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
    }


@pytest.fixture
def built() -> Built:
    return layouts.root_image()


@pytest.fixture
def source(built: Built, tmp_path: Path) -> Path:
    return layouts.write(tmp_path / "source", "v1", built)


@pytest.mark.real("dockerd")
def test_docker(secure: Secure, engine: Engine, docker: Docker) -> None:
    name = f"{secure.new_repository()}:v1"
    image = docker.new_image(name)
    stranger = docker.log_in(secure.host, refused=True)
    *_, source, target = shlex.split(secure.trust["docker"][0])
    folder = engine.trusted / Path(target).relative_to("/etc/docker/certs.d").parent
    folder.mkdir()
    (folder / Path(target).name).write_bytes(Path(source).read_bytes())
    docker.log_in(secure.host)
    docker("push", name)
    docker.forget(name)
    docker("pull", name)

    assert UNKNOWN in stranger.said
    assert docker.id_of(name) == image.id


@pytest.mark.real("containerd")
def test_containerd(
    secure: Secure, engine: Engine, there: dict[str, str], source: Path, built: Built, tmp_path: Path
) -> None:
    name = f"{secure.new_repository()}:v1"
    program: list[str | Path] = ["ctr", "--address", engine.containerd, "--namespace", "tls", "images"]
    with_login = ["--user", f"{KEY_ID}:{SECRET}"]
    run("tar", "-C", source, "-cf", tmp_path / "source.tar", ".")
    run(*program, "import", "--index-name", name, tmp_path / "source.tar")
    stranger = run(*program, "push", *with_login, name, environment=there, refused=True)
    for line in secure.trust["containerd"]:
        run("sh", "-euc", line.replace("sudo ", "").replace("/etc/containerd", str(tmp_path)))
    hosts: list[str | Path] = ["--hosts-dir", tmp_path / "certs.d"]
    run(*program, "push", *hosts, *with_login, name, environment=there)
    run(*program, "rm", "--sync", name)
    run(*program, "pull", *hosts, *with_login, name, environment=there)
    listed = run(*program, "list").out

    assert UNKNOWN in stranger.said
    assert f"{name} " in listed and built.digest in listed


@pytest.mark.real("skopeo")
@pytest.mark.parametrize("way", ["home", "folder", "environment"])
def test_skopeo(way: str, secure: Secure, there: dict[str, str], source: Path, built: Built, tmp_path: Path) -> None:
    name, options = f"docker://{secure.new_repository()}:v1", []
    login = ["skopeo", "login", "-u", KEY_ID, "--password-stdin"]
    stranger = run(*login, secure.host, input=SECRET, environment=there, refused=True)
    install = secure.trust["podman, skopeo, buildah"][0]
    if way == "home":
        run("sh", "-euc", install, environment=there)
    elif way == "folder":
        run("sh", "-euc", install.replace("~/", f"{tmp_path}/apart/"), environment=there)
        options = ["--cert-dir", f"{tmp_path}/apart/.config/containers/certs.d/{secure.host}"]
    else:
        there = {**there, "SSL_CERT_FILE": str(secure.ca)}
    run(*login, *options, secure.host, input=SECRET, environment=there)
    copy = ["skopeo", "--insecure-policy", "copy", "--preserve-digests"]
    ends = [[option.replace("--cert", f"--{end}-cert") for option in options] for end in ("dest", "src")]
    run(*copy, *ends[0], f"oci:{source}:v1", name, environment=there)
    run(*copy, *ends[1], name, f"oci:{tmp_path}/back:v1", environment=there)

    assert UNKNOWN in stranger.said
    assert layouts.digests(tmp_path / "back") == layouts.all_digests(built)


@pytest.mark.real("buildah")
def test_buildah(secure: Secure, there: dict[str, str], source: Path, tmp_path: Path) -> None:
    name = f"{secure.new_repository()}:v1"
    buildah = ["buildah", "--root", f"{tmp_path}/root", "--runroot", f"{tmp_path}/run", "--storage-driver", "vfs"]
    run("sh", "-euc", secure.trust["podman, skopeo, buildah"][0], environment=there)
    run(*buildah, "login", "-u", KEY_ID, "--password-stdin", secure.host, input=SECRET, environment=there)
    pulled = run(*buildah, "pull", f"oci:{source}:v1", environment=there).out.split()[-1]
    run(*buildah, "push", pulled, f"docker://{name}", environment=there)
    run(*buildah, "rmi", "--all", "--force", environment=there)

    assert run(*buildah, "pull", name, environment=there).out.split()[-1] == pulled


@pytest.mark.real("crane")
def test_crane(secure: Secure, there: dict[str, str], source: Path, built: Built, tmp_path: Path) -> None:
    name = f"{secure.new_repository()}:v1"
    run("crane", "auth", "login", "-u", KEY_ID, "--password-stdin", secure.host, input=SECRET, environment=there)
    stranger = run("crane", "push", source, name, environment=there, refused=True)
    there = {**there, **secure.environment("crane, oras, helm and other Go programs")}
    run("crane", "push", source, name, environment=there)
    run("crane", "pull", "--format", "oci", name, tmp_path / "back", environment=there)

    assert UNKNOWN in stranger.said
    assert layouts.digests(tmp_path / "back") == layouts.all_digests(built)


@pytest.mark.real("regctl")
@pytest.mark.parametrize("way", ["setting", "environment"])
def test_regctl(way: str, secure: Secure, there: dict[str, str], source: Path, built: Built, tmp_path: Path) -> None:
    name = f"{secure.new_repository()}:v1"
    there = {**there, "REGCTL_CONFIG": str(tmp_path / "regctl.json")}
    login = ["regctl", "registry", "login", secure.host, "-u", KEY_ID, "--pass-stdin"]
    run(*login, "--skip-check", input=SECRET, environment=there)
    copy = ["regctl", "image", "copy"]
    stranger = run(*copy, f"ocidir://{source}:v1", name, environment=there, refused=True)
    if way == "setting":
        [line] = secure.trust["regctl"]
        run("sh", "-euc", line, environment=there)
    else:
        there["SSL_CERT_FILE"] = str(secure.ca)
    run(*copy, f"ocidir://{source}:v1", name, environment=there)
    run(*copy, name, f"ocidir://{tmp_path}/back:v1", environment=there)

    assert UNKNOWN in stranger.said
    assert layouts.all_digests(built) <= layouts.digests(tmp_path / "back")


@pytest.mark.real("awscli")
@pytest.mark.real("crane")
def test_the_aws_cli_and_longshore_itself(secure: Secure, there: dict[str, str], source: Path) -> None:
    client = secure.server.client_environment(**there, AWS_MAX_ATTEMPTS="1")
    client["AWS_ENDPOINT_URL_ECR"] = f"https://{secure.host}"
    stranger = run("aws", "ecr", "describe-repositories", environment=client, refused=True)
    trusting = {**client, **secure.environment("aws, boto3, Terraform")}
    create = ["aws", "ecr", "create-repository", "--repository-name", unique_name()]
    text = ["--query", "repository.repositoryUri", "--output", "text"]
    uri = run(*create, *text, environment=trusting).out.strip()
    logged_in = run("longshore", "login", environment=trusting).said
    go = {**there, **secure.environment("crane, oras, helm and other Go programs")}
    run("crane", "push", source, f"{uri}:v1", environment=go)

    assert "CERTIFICATE_VERIFY_FAILED" in stranger.said
    assert uri.startswith(f"{secure.host}/")
    assert logged_in.startswith(f"{secure.host}: logged in until")
