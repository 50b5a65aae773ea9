"""What clients meet: TLS, host names, the running server; and the scanner beside it."""

import datetime as dt
import re
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from longshore.config import Config
from longshore.doctor.finding import Finding, State

_SOON: Final = dt.timedelta(days=30)
_ANSWER_SECONDS: Final = 10
_VERSION: Final = re.compile(r"Version: v?([0-9]+\.[0-9]+\.[0-9]+)")
_HARMFUL: Final = frozenset({"0.69.4", "0.69.5", "0.69.6"})  # of trivy: published in March 2026 by somebody else


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


def scanner() -> Finding:
    """Which trivy is installed. Images are not scanned yet; a harmful one is told of all the same."""
    program = shutil.which("trivy")
    if program is None:
        return Finding(look="scanner", state="ok", found="trivy is not installed; this version scans no images")
    try:
        told = subprocess.run(  # noqa: S603 # whatever `trivy` is here, without a shell
            [program, "--version"], capture_output=True, text=True, timeout=_ANSWER_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        told = type(error).__name__
    found = _VERSION.search(told)
    if found is None:
        to_do = "run `trivy --version` by hand, and install it anew"
        return Finding(look="scanner", state="warning", found=f"{program} does not tell its version", to_do=to_do)
    if found[1] in _HARMFUL:
        return Finding(
            look="scanner",
            state="trouble",
            found=f"trivy {found[1]} is one of the releases that carried malicious code",
            to_do="remove it, install another, and change every secret that it could read",
        )
    return Finding(look="scanner", state="ok", found=f"trivy {found[1]}; this version scans no images")


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
