"""A private certificate authority and the server's certificate, as files in one directory.

    ca.crt       the authority: what clients are told to trust
    ca.key       its private key (0600): whoever has it can pose as any host to these clients
    server.crt   the server's certificate, signed by the authority
    server.key   its private key (0600)

The authority is made once and then used again, so that a renewed server certificate needs nothing new from clients.
Keys are ECDSA on P-256. Sources: RFC 5280 (extensions), RFC 6125 (names), CA/Browser Forum baseline (398 days).
"""

import dataclasses
import datetime as dt
import ipaddress
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from longshore import files

CA_CERT, CA_KEY, SERVER_CERT, SERVER_KEY = "ca.crt", "ca.key", "server.crt", "server.key"
ALWAYS: Final = ("localhost", "127.0.0.1", "::1")
DEFAULT_DAYS: Final = 397
_CA_YEARS: Final = 10
_EARLIER: Final = dt.timedelta(hours=1)  # clients whose clock is behind

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_DNS_NAME: Final = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")


class CertificateTrouble(Exception):
    """The certificate cannot be made. One line that says what to do."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A server certificate that was made. `is_new_authority`: clients must be told to trust it."""

    directory: Path
    names: tuple[str, ...]
    not_after: dt.datetime
    is_new_authority: bool

    @property
    def ca_cert(self) -> Path:
        return self.directory / CA_CERT

    @property
    def cert(self) -> Path:
        return self.directory / SERVER_CERT

    @property
    def key(self) -> Path:
        return self.directory / SERVER_KEY


def issue(directory: Path, names: Sequence[str], *, days: int, now: dt.datetime) -> Issued:
    """Make a server certificate for `names`, and the authority if there is none. Raises CertificateTrouble."""
    wanted = tuple(dict.fromkeys([*ALWAYS, *(name.lower().rstrip(".") for name in names)]))
    alternatives = [_general_name(name) for name in wanted]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not (directory / CA_CERT).exists()
        ca, ca_key = _make_authority(directory, now) if is_new else _read_authority(directory, now)
        not_after = min(now + dt.timedelta(days=days), ca.not_valid_after_utc)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder("Longshore server", ca.subject, key.public_key(), now, not_after)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        files.replace(directory / SERVER_KEY, _pem(key))
        files.replace(directory / SERVER_CERT, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    except OSError as error:
        raise CertificateTrouble(f"cannot write to {directory}: {error.strerror}; choose another by --dir") from None
    return Issued(directory=directory, names=wanted, not_after=not_after, is_new_authority=is_new)


def authority_for(directory: Path, host: str) -> Path | None:
    """The directory's authority, if the server certificate beside it names this host."""
    try:
        certificate = x509.load_pem_x509_certificate((directory / SERVER_CERT).read_bytes())
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return None
    names = {name.lower() for name in found.get_values_for_type(x509.DNSName)}
    names |= {str(address) for address in found.get_values_for_type(x509.IPAddress)}
    host = host.lower()
    covered = host in names or f"*.{host.partition('.')[2]}" in names
    return directory / CA_CERT if covered and (directory / CA_CERT).is_file() else None


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if len(name) > 253 or not _DNS_NAME.fullmatch(name):
        raise CertificateTrouble(
            f"{name[:100]!r} is no host name and no address: give it without scheme and port, in ASCII, with `*.` at "
            "most in front"
        )
    return x509.DNSName(name)


# --- the authority ----------------------------------------------------------------------------------------------------


def _make_authority(directory: Path, now: dt.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if (directory / CA_KEY).exists():
        raise CertificateTrouble(f"{directory / CA_CERT} is missing, and its key is there: restore it, or remove both")
    key = ec.generate_private_key(ec.SECP256R1())
    # Its own name for each: clients that hold two with one name may try the wrong one.
    name = f"Longshore private CA {x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:12]}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(name, subject, key.public_key(), now, now + dt.timedelta(days=365 * _CA_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    files.replace(directory / CA_KEY, _pem(key))
    files.replace(directory / CA_CERT, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return certificate, key


def _read_authority(directory: Path, now: dt.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    cert_file, key_file = directory / CA_CERT, directory / CA_KEY
    again = "or remove both for a new authority, which every client must then be told to trust"
    try:
        if key_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CertificateTrouble(f"{key_file} can be read by others: chmod 600 it if nobody did, {again}")
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except FileNotFoundError:
        raise CertificateTrouble(f"{key_file} is missing beside {cert_file}: restore it, {again}") from None
    except (ValueError, TypeError):
        raise CertificateTrouble(f"{cert_file} or {key_file} is damaged: restore it, {again}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CertificateTrouble(f"{key_file} is not the key of {cert_file}: restore it, {again}")
    if certificate.not_valid_after_utc <= now:
        raise CertificateTrouble(f"{cert_file} has expired: remove it and {key_file} for a new authority")
    return certificate, key


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, not_after: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
