"""`longshore cert`: an authority and a certificate as files, a server that has it, and clients that trust it."""

import http.client
import ipaddress
import json
import re
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import SSLError
from cryptography import x509

from tests.cli import longshore, run
from tests.servers import ACCOUNT, RunningServer, basic

NO_KEY = {"LONGSHORE_ROOT_ACCESS_KEY_ID": "", "LONGSHORE_ROOT_SECRET_ACCESS_KEY": ""}


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def names_in(file: Path) -> set[str]:
    found = certificate(file).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))}


# --- files ------------------------------------------------------------------------------------------------------------


def test_four_files_of_which_the_keys_are_private(cli, tmp_path):
    done = cli("cert", "--data", "data")
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "data" / "tls").iterdir()}

    assert (done.code, done.err) == (0, "")
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": 0o600}
    assert (tmp_path / "data" / "tls").stat().st_mode & 0o777 == 0o700


def test_the_certificate_is_the_authoritys_for_397_days(cli, tmp_path):
    cli("cert", "--data", "data")
    tls = tmp_path / "data" / "tls"
    ca, server = certificate(tls / "ca.crt"), certificate(tls / "server.crt")
    server.verify_directly_issued_by(ca)
    lasts = server.not_valid_after_utc - server.not_valid_before_utc
    basic_constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints).value

    assert 397 <= lasts.days <= 398
    assert (basic_constraints.ca, basic_constraints.path_length) == (True, 0)
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_it_names_this_machine_and_every_registry_of_the_region(cli, tmp_path):
    cli("cert", "--data", "data")

    assert names_in(tmp_path / "data" / "tls" / "server.crt") == {
        "localhost",
        "127.0.0.1",
        "::1",
        "*.dkr.ecr.us-east-1.localhost",
    }


def test_it_names_what_the_configuration_and_the_user_say(cli, tmp_path):
    cli(
        "cert", "--data", "data", "--host", "Registry.Example.COM", "--host", "10.1.2.3", "--host", "*.dev.example.com",
        LONGSHORE_REGISTRY__DOMAIN="example.com",
        LONGSHORE_REGISTRY__REGION="eu-central-1",
        LONGSHORE_REGISTRY__PUBLIC_URL="https://public.example.com:8443",
    )  # fmt: skip

    assert names_in(tmp_path / "data" / "tls" / "server.crt") >= {
        "registry.example.com",
        "10.1.2.3",
        "*.dev.example.com",
        "public.example.com",
        "*.dkr.ecr.eu-central-1.example.com",
        "*.dkr.ecr.eu-central-1.localhost",
    }


def test_renewing_keeps_the_authority(cli, tmp_path):
    first = json.loads(cli("cert", "--dir", "tls", "--output", "json").out)
    before = {file.name: file.read_bytes() for file in (tmp_path / "tls").iterdir()}
    second = json.loads(cli("cert", "--dir", "tls", "--days", "30", "--output", "json").out)
    after = {file.name: file.read_bytes() for file in (tmp_path / "tls").iterdir()}

    assert (first["isNewAuthority"], second["isNewAuthority"]) == (True, False)
    assert {name for name in before if before[name] != after[name]} == {"server.crt", "server.key"}
    assert second["notAfter"] < first["notAfter"]


def test_json_says_where_everything_is(cli, tmp_path):
    done = json.loads(cli("cert", "--data", "data", "--output", "json").out)
    tls = tmp_path / "data" / "tls"

    assert done["caCertificate"] == str(tls / "ca.crt")
    assert (done["serverCertificate"], done["serverKey"]) == (str(tls / "server.crt"), str(tls / "server.key"))
    assert done["serve"] == [
        "longshore", "serve", "--data", "data", "--tls-cert", done["serverCertificate"], "--tls-key", done["serverKey"],
    ]  # fmt: skip
    assert set(done["names"]) == names_in(tls / "server.crt")
    assert re.fullmatch(r"[0-9-]{10}T[0-9:]{8}Z", done["notAfter"])


@pytest.mark.parametrize(
    ("client", "says"),
    [
        ("docker", "/etc/docker/certs.d/{host}/ca.crt"),
        ("containerd", "/etc/containerd/certs.d/{host}/hosts.toml"),
        ("podman, skopeo, buildah", "~/.config/containers/certs.d/{host}/ca.crt"),
        ("aws, boto3, Terraform", "export AWS_CA_BUNDLE="),
        ("crane, oras, helm and other Go programs", "export SSL_CERT_FILE="),
        ("regctl", "regctl registry set {host} --cacert"),
        ("curl", "curl --cacert "),
    ],
    ids=lambda value: value.split(",")[0] if "{" not in value and "export" not in value else "",
)
def test_every_client_is_told_what_to_do(cli, tmp_path, client, says):
    done = cli("cert", "--data", "data", "--host", "registry.example.com")
    as_json = json.loads(cli("cert", "--data", "data", "--host", "registry.example.com", "--output", "json").out)
    wanted = says.format(host="registry.example.com:5000")
    section = done.out.partition(f"  # {client}\n")[2].partition("\n\n")[0]

    assert wanted in section
    assert any(wanted in line for line in as_json["trust"][client])
    assert "ca.key" not in section and "server.key" not in section


def test_a_path_with_a_space_is_quoted(cli, tmp_path):
    done = cli("cert", "--dir", "my tls")

    assert f"--tls-cert '{tmp_path}/my tls/server.crt'" in done.out
    assert f"AWS_CA_BUNDLE='{tmp_path}/my tls/ca.crt'" in done.out


@pytest.mark.parametrize("name", ["https://x", "x:5000", "a b", "-x", "x..y", "é.example", "a.*.b", "*", ""])
def test_what_is_no_host_is_refused_and_nothing_is_made(cli, tmp_path, name):
    done = cli("cert", "--data", "data", f"--host={name}")

    assert (done.code, done.out) == (1, "")
    assert "is no host name and no address" in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda tls: (tls / "ca.key").unlink(), "ca.key is missing beside"),
        (lambda tls: (tls / "ca.crt").unlink(), "ca.crt is missing, and its key is there"),
        (lambda tls: (tls / "ca.key").chmod(0o644), "ca.key can be read by others"),
        (lambda tls: (tls / "ca.crt").write_text("nothing"), "is damaged"),
        (lambda tls: shutil.copy(tls / "server.key", tls / "ca.key"), "is not the key of"),
    ],
    ids=["no-key", "no-certificate", "readable", "damaged", "another-key"],
)
def test_an_authority_that_cannot_be_used_is_told_and_left_alone(cli, tmp_path, harm, says):
    cli("cert", "--dir", "tls")
    harm(tmp_path / "tls")
    before = {file.name: file.read_bytes() for file in (tmp_path / "tls").iterdir()}
    done = cli("cert", "--dir", "tls")

    assert (done.code, done.out) == (1, "")
    assert says in done.err
    assert {file.name: file.read_bytes() for file in (tmp_path / "tls").iterdir()} == before


@pytest.mark.parametrize("days", ["0", "3651", "x"])
def test_a_time_beyond_reason_is_refused(cli, tmp_path, days):
    assert cli("cert", "--dir", "tls", "--days", days).code == 2
    assert not (tmp_path / "tls").exists()


# --- a server that has it ---------------------------------------------------------------------------------------------


class Secured(NamedTuple):
    """A server with a certificate of `longshore cert`."""

    server: RunningServer
    ca: Path
    home: Path
    key: dict[str, str]

    @property
    def port(self) -> int:
        return urlsplit(self.server.url).port or 0


@pytest.fixture(scope="module")
def secured(tmp_path_factory) -> Iterator[Secured]:
    home = tmp_path_factory.mktemp("secured")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    made = longshore("cert", "--data", "data", "--output", "json", cwd=home)
    files = json.loads(made.out)
    server = RunningServer(
        home / "data",
        "--port",
        port,
        "--tls-cert",
        files["serverCertificate"],
        "--tls-key",
        files["serverKey"],
        **NO_KEY,
    )
    server.start()
    key = json.loads((home / "data" / "root-key.json").read_text())
    yield Secured(server, Path(files["caCertificate"]), home, key)
    server.stop()


def get(secured: Secured, host: str, context: ssl.SSLContext) -> int:
    """GET /v2/ with the name that TLS and HTTP shall hear, whatever resolves it."""

    class Connection(http.client.HTTPSConnection):
        def connect(self) -> None:
            plain = socket.create_connection(("127.0.0.1", secured.port), timeout=20)
            self.sock = context.wrap_socket(plain, server_hostname=host)

    connection = Connection(host, secured.port, context=context)
    try:
        connection.request("GET", "/v2/", headers={"Authorization": credential(secured)})
        return connection.getresponse().status
    finally:
        connection.close()


def credential(secured: Secured) -> str:
    return basic(secured.key["accessKeyId"], secured.key["secretAccessKey"])


def test_the_server_says_https(secured):
    assert secured.server.url == f"https://127.0.0.1:{secured.port}"
    assert secured.key["endpoint"] == secured.server.url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", f"{ACCOUNT}.dkr.ecr.us-east-1.localhost"])
def test_who_trusts_the_authority_trusts_every_name(secured, host):
    assert get(secured, host, ssl.create_default_context(cafile=str(secured.ca))) == 200


def test_another_name_is_not_trusted(secured):
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        get(secured, "registry.example.com", ssl.create_default_context(cafile=str(secured.ca)))


def test_who_does_not_trust_the_authority_is_told(secured):
    with pytest.raises(ssl.SSLCertVerificationError):
        get(secured, "localhost", ssl.create_default_context())


def test_old_tls_is_refused(secured):
    context = ssl.create_default_context(cafile=str(secured.ca))
    context.maximum_version = context.minimum_version = ssl.TLSVersion.TLSv1_2
    assert get(secured, "localhost", context) == 200
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        get(secured, "localhost", context)


def test_curl_with_the_authority(secured):
    url = f"https://localhost:{secured.port}/v2/"
    user = f"{secured.key['accessKeyId']}:{secured.key['secretAccessKey']}"
    curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-u", user]
    trusting = run(*curl, "--cacert", str(secured.ca), url, cwd=secured.home)
    other = run(*curl, url, cwd=secured.home)

    assert (trusting.code, trusting.out) == (0, "200")
    assert other.code == 60  # curl's word for a certificate that it does not trust


@pytest.mark.real("boto3")
def test_boto3_with_the_authority(secured):
    made: dict[str, Any] = {
        "endpoint_url": secured.server.url,
        "region_name": "us-east-1",
        "aws_access_key_id": secured.key["accessKeyId"],
        "aws_secret_access_key": secured.key["secretAccessKey"],
        "config": Config(retries={"total_max_attempts": 1}),
    }
    trusting, other = boto3.client("ecr", verify=str(secured.ca), **made), boto3.client("ecr", **made)
    try:
        repositories = trusting.describe_repositories()["repositories"]
        with pytest.raises(SSLError):
            other.describe_repositories()
    finally:
        trusting.close()
        other.close()

    assert isinstance(repositories, list)


def test_our_own_commands_find_the_authority_by_themselves(secured):
    made = longshore("repo", "create", "app", "--data", "data", cwd=secured.home)
    exported = json.loads(longshore("env", "--data", "data", "--output", "json", cwd=secured.home).out)
    listed = longshore("repo", "list", cwd=secured.home, **exported)
    exported_ca = exported.pop("AWS_CA_BUNDLE")
    untrusting = longshore("repo", "list", cwd=secured.home, **exported)

    assert (made.code, made.out) == (0, f"127.0.0.1:{secured.port}/app\n")
    assert exported_ca == str(secured.ca)
    assert listed.code == 0 and "app" in listed.out
    assert untrusting.code == 1
    assert f"no trusted TLS connection to {secured.server.url}" in untrusting.err
    assert "ca.crt of `longshore cert`" in untrusting.err


def test_addresses_of_the_certificate_are_addresses(secured):
    """As names they would be ignored by clients."""
    found = certificate(secured.ca.with_name("server.crt"))
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert {str(one) for one in alternatives.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    for name in alternatives.get_values_for_type(x509.DNSName):
        with pytest.raises(ValueError, match="does not appear"):
            ipaddress.ip_address(name)
