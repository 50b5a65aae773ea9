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
    if config.registry.public_url:
        return _answering(config.registry.public_url.rstrip("/"), ssl.create_default_context())
    return local(config)


def local(config: Config) -> Finding:
    """Whether a server answers at this machine's port. Its certificate names what clients call it, so is not asked."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.http.host, config.http.host)  # noqa: S104 # compared
    shown = f"[{host}]" if ":" in host else host
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return _answering(f"{'https' if config.http.tls_cert else 'http'}://{shown}:{config.http.port}", trusting)


def _answering(url: str, tls: ssl.SSLContext) -> Finding:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=_ANSWER_SECONDS, context=tls) as answer:  # noqa: S310 # the operator's
            return Finding(look="server", state="ok", found=f"{url} is ready ({answer.status})")
    except urllib.error.HTTPError as error:
        to_do = "read its log, which says what cannot be reached"
        return Finding(look="server", state="trouble", found=f"{url} answers {error.code}", to_do=to_do)
    except OSError as error:
        reason = getattr(error, "reason", error)
        to_do = "start it, or see why it does not answer: `longshore serve`"
        if isinstance(reason, ssl.SSLCertVerificationError):
            to_do = "let this machine trust the authority (`longshore cert` says how), or get the chain right"
            reason = reason.verify_message
        return Finding(look="server", state="warning", found=f"{url} does not answer: {reason}", to_do=to_do)
