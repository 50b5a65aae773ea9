"""What clients meet: TLS, host names, the running server."""

import datetime as dt
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from longshore.config import Config
from longshore.doctor.finding import Finding, State

_SOON: Final = dt.timedelta(days=30)
_ANSWER_SECONDS: Final = 10


def tls(config: Config) -> Iterator[Finding]:
    """Whether there is encryption, and how long its certificate lasts."""
    if not config.http.tls_cert:
        url = config.registry.public_url
        if not url.startswith("https:") and config.http.host not in ("127.0.0.1", "::1", "localhost"):
            yield Finding(
                look="tls",
                state="warning",
                found="logins and bytes cross the network unencrypted",
                to_do="set http.tls_cert and http.tls_key (`longshore cert`), or a TLS proxy as registry.public_url",
            )
        return
    from cryptography import x509

    certificate, *_ = x509.load_pem_x509_certificates(Path(config.http.tls_cert).read_bytes())
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    state: State = "trouble" if left < dt.timedelta() else "warning" if left < _SOON else "ok"
    yield Finding(
        look="tls",
        state=state,
        found=f"the certificate ends on {certificate.not_valid_after_utc:%Y-%m-%d}, in {left.days} days",
        to_do="" if state == "ok" else "renew it (`longshore cert` renews its own) and restart the server",
    )


def names(config: Config) -> Iterator[Finding]:
    """Whether the host name of the default registry leads anywhere from here."""
    if not config.registry.domain:
        return
    name = f"{config.registry.account}.dkr.ecr.{config.registry.region}.{config.registry.domain}"
    try:
        addresses = sorted({str(found[4][0]) for found in socket.getaddrinfo(name, None)})
    except OSError:
        yield Finding(
            look="names",
            state="trouble",
            found=f"{name} leads nowhere",
            to_do=f"let *.dkr.ecr.{config.registry.region}.{config.registry.domain} lead to this server in your DNS",
        )
        return
    yield Finding(look="names", state="ok", found=f"{name} is {', '.join(addresses)}")


def server(config: Config) -> Finding:
    """Whether a server answers where clients look for it."""
    url = config.registry.public_url.rstrip("/") or (
        f"{'https' if config.http.tls_cert else 'http'}://"
        f"{'127.0.0.1' if config.http.host in ('0.0.0.0', '::') else config.http.host}:{config.http.port}"  # noqa: S104
    )
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 # the operator's
            return Finding(look="server", state="ok", found=f"{url} is ready ({answer.status})")
    except urllib.error.HTTPError as error:
        return Finding(
            look="server", state="trouble", found=f"{url} answers {error.code}", to_do="read its log, and /readyz"
        )
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            to_do = "let this machine trust the authority (`longshore cert` says how), or get the chain right"
            return Finding(look="server", state="warning", found=f"{url}: {reason.verify_message}", to_do=to_do)
        to_do = "start it, or see why it does not answer: `longshore serve`"
        return Finding(look="server", state="warning", found=f"{url} does not answer: {reason}", to_do=to_do)
