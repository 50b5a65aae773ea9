"""`longshore cert`: a private authority and a server certificate, and what each client needs to trust them.

The authority's certificate is the only file that clients get. A folder that clients read certificates from must hold
nothing else of ours: docker and podman take a `.key` file there for a client's, and fail.
"""

import datetime as dt
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from longshore.cli.options import with_data, with_output
from longshore.cli.output import show_json

if TYPE_CHECKING:
    from longshore.certificates import Issued
    from longshore.config import Config


@click.command()
@with_data
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Where to.  [default: DATA/tls]")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A further host name or address; repeatable.")
@click.option("--days", type=click.IntRange(1, 3650), default=397, show_default=True, help="How long it lasts.")
@with_output("text", "json")
def cert(
    data: Path | None, file: Path | None, directory: Path | None, hosts: Sequence[str], days: int, output: str
) -> None:
    """Make a TLS certificate, and say how clients come to trust it.

    The private authority that signs it is made at the first time and used again later: run the command again to renew
    the certificate, or to have it name further hosts, and clients need nothing new.
    """
    from longshore import certificates, config

    loaded = config.load(data=data, file=file, env=os.environ, flags={})
    place = (directory or Path(loaded.server.data) / "tls").absolute()
    try:
        issued = certificates.issue(place, _names(loaded, hosts), days=days, now=dt.datetime.now(dt.UTC))
    except certificates.CertificateTrouble as error:
        raise click.ClickException(str(error)) from None
    given = [*(["--data", str(data)] if data else []), *(["--config", str(file)] if file else [])]
    serve = ["longshore", "serve", *given, "--tls-cert", str(issued.cert), "--tls-key", str(issued.key)]
    steps = trust(issued.ca_cert, _registry_host(loaded, hosts))
    if output == "json":
        show_json(
            {
                "caCertificate": str(issued.ca_cert),
                "isNewAuthority": issued.is_new_authority,
                "serverCertificate": str(issued.cert),
                "serverKey": str(issued.key),
                "names": issued.names,
                "notAfter": issued.not_after,
                "serve": serve,
                "trust": steps,
            }
        )
    else:
        click.echo(_text(issued, serve, steps))


def _names(config: "Config", hosts: Sequence[str]) -> list[str]:
    """What the certificate names beside the machine's own names: as the configuration and the user say."""
    public = urlsplit(config.registry.public_url).hostname
    domains = dict.fromkeys([config.registry.domain or "localhost", "localhost"])
    return [
        *([public] if public else []),
        *hosts,
        *(f"*.dkr.ecr.{config.registry.region}.{domain}" for domain in domains),
    ]


def _registry_host(config: "Config", hosts: Sequence[str]) -> str:
    """The host, with port, under which clients know the registry."""
    if config.registry.public_url:
        return urlsplit(config.registry.public_url).netloc
    host = next((host for host in hosts if "*" not in host), "localhost")
    host = f"[{host}]" if ":" in host else host
    return host if config.http.port == 443 else f"{host}:{config.http.port}"


def trust(ca: Path, host: str) -> dict[str, list[str]]:
    """For each client, the lines that make it trust the authority for the registry at `host`."""
    file = shlex.quote(str(ca))
    hosts_toml = [f'server = "https://{host}"', f'[host."https://{host}"]', f'  ca = "{ca}"']
    return {
        "docker": [f"sudo install -D -m 644 {file} /etc/docker/certs.d/{host}/ca.crt"],
        "containerd": [
            f"sudo mkdir -p /etc/containerd/certs.d/{host}",
            f"printf '%s\\n' {shlex.join(hosts_toml)} | sudo tee /etc/containerd/certs.d/{host}/hosts.toml",
        ],
        "podman, skopeo, buildah": [
            f"install -D -m 644 {file} ~/.config/containers/certs.d/{host}/ca.crt",
            "# as root: /etc/containers/certs.d/ instead; or --cert-dir with a folder that holds ca.crt alone",
        ],
        "aws, boto3, Terraform": [f"export AWS_CA_BUNDLE={file}"],
        "crane, oras, helm and other Go programs": [f"export SSL_CERT_FILE={file}"],
        "regctl": [f'regctl registry set {host} --cacert "$(cat {file})"'],
        "curl": [f"curl --cacert {file} https://{host}/v2/"],
    }


def _text(issued: "Issued", serve: Sequence[str], steps: dict[str, list[str]]) -> str:
    made = "made now" if issued.is_new_authority else "as before: clients that trust it need nothing new"
    lines = [
        f"authority     {issued.ca_cert}  ({made})",
        f"certificate   {issued.cert}  (until {issued.not_after:%Y-%m-%d})",
        f"private key   {issued.key}",
        f"names         {', '.join(issued.names)}",
        "",
        "Start the server with it:",
        f"  {shlex.join(serve)}",
        "",
        "Have clients trust the authority:",
    ]
    for client, commands in steps.items():
        lines += [f"  # {client}", *(f"  {command}" for command in commands), ""]
    return "\n".join(lines).rstrip()
