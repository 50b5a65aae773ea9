"""What the texts of the configuration may be, beyond their type.

Each check raises ValueError, or OSError where it looks at a file, with a reason that can stand behind the value:
`"12": an account id is twelve digits`. None repeats the value.
"""

import base64
import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from registry.names import AccountId, Region


def key_bytes(text: str) -> bytes:
    """The 32 bytes that a master key is written for. Raises ValueError."""
    try:
        found = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise ValueError("must be 32 bytes, as 64 hexadecimal digits or base64")
    return found


def _check_host(text: str) -> None:
    if re.search(r"[\s/@\[\]]", text) or text.count(":") == 1:
        raise ValueError("must be an address or a host name alone; the port is http.port")


def _check_domain(text: str) -> None:
    # What comes before it in a registry's host name needs up to 12 + 1 + 7 + 1 + 40 + 1 characters of the 253.
    label = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    if len(text) > 190 or not re.fullmatch(rf"{label}(?:\.{label})*", text):
        raise ValueError("must be a domain name in lower case, such as registry.example.com")


def _check_public_url(text: str) -> None:
    parts = urlsplit(text)
    good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    if not good or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(
            "must be http:// or https:// with a host, and a port if need be, such as https://r.example.com"
        )


def _check_database_url(text: str) -> None:
    form = "must be postgresql+asyncpg://user:password@host:5432/database, with %40 for an @ in the password and so on"
    parts = urlsplit(text)
    try:
        _ = parts.port
    except ValueError as error:
        if "," not in parts.netloc:  # several hosts, each with its port
            raise ValueError(form) from error
    if parts.scheme != "postgresql+asyncpg" or len(parts.path) < 2 or "/" in parts.path[1:] or parts.fragment:
        raise ValueError(form)


def _check_network(text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must hold addresses or networks, such as 10.0.0.0/8") from None


def _check_bucket(text: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise ValueError("must be a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens")


def _check_prefix(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9!_.*'()-]{1,128}(?:/[A-Za-z0-9!_.*'()-]{1,128}){0,15}/?", text):
        raise ValueError("must be made of letters, digits and !_.*'()- with single slashes between, not before")
    if any(part in (".", "..") for part in text.split("/")):
        raise ValueError("must not hold the parts . and ..")


def _check_signing_region(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise ValueError("must be a region's name, such as us-east-1")


def _check_key_id(text: str) -> None:
    if not re.fullmatch(r"[!-~]{1,128}", text):
        raise ValueError("must be an access key's id, without spaces")


def _check_storage_class(text: str) -> None:
    if not re.fullmatch(r"[A-Z0-9_-]{1,64}", text):
        raise ValueError("must be a storage class of the S3 service, in capitals, such as STANDARD_IA")
    if text in ("GLACIER", "DEEP_ARCHIVE"):
        raise ValueError("its bytes cannot be read at once; GLACIER_IR's can")


def _check_readable(text: str) -> None:
    with open(text, "rb") as found:
        found.read(1)


def _check_egress(text: str) -> None:
    from registry.remote.egress import Rule  # with an HTTP client behind it, which most commands do without

    Rule.parse(text)


def _check_authorities(text: str) -> None:
    import ssl

    _check_readable(text)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(text)
    except ssl.SSLError:
        raise ValueError("holds no certificates in PEM form") from None


def _check_writable(text: str) -> None:
    path = Path(text)
    target = path if path.exists() else path.absolute().parent
    if path.is_dir() or not target.exists() or not os.access(target, os.W_OK):
        raise ValueError("this user cannot write such a file")


# By setting. An empty text is not checked where it is the default: it means that there is none.
CHECKS: Final[dict[str, Callable[[str], object]]] = {
    "database.url": _check_database_url,
    "http.host": _check_host,
    "http.tls_cert": _check_readable,
    "http.tls_key": _check_readable,
    "http.trusted_proxies": _check_network,
    "registry.account": AccountId.parse,
    "registry.region": Region.parse,
    "registry.domain": _check_domain,
    "registry.public_url": _check_public_url,
    "egress.allow": _check_egress,
    "egress.ca": _check_authorities,
    "log.file": _check_writable,
    "secrets.master_key": key_bytes,
    "storage.endpoint": _check_public_url,
    "storage.public_endpoint": _check_public_url,
    "storage.bucket": _check_bucket,
    "storage.prefix": _check_prefix,
    "storage.region": _check_signing_region,
    "storage.access_key_id": _check_key_id,
    "storage.redirect_networks": _check_network,
    "storage.storage_class": _check_storage_class,
}


def check_certificate(cert: str, key: str) -> None:
    """Raises ValueError unless the two files are a certificate and its private key."""
    import ssl

    try:
        # Without a password OpenSSL asks for one on the terminal, and a server would wait there.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "-")
    except (OSError, ValueError) as error:
        # OpenSSL's own word, KEY_VALUES_MISMATCH or NO_START_LINE, says more than its sentence.
        reason = str(getattr(error, "reason", None) or "no PEM file").lower().replace("_", " ")
        raise ValueError(f"it and http.tls_key are not a certificate and its key: {reason}") from None
