"""AWS Signature Version 4, from the side that checks it.

`parse` reads what a request claims; `verify` decides whether the claim holds. Both are pure: the secret, the clock and
the hash of the body that really came in are given. There is one verifier for every AWS door, and it knows one form:

- the credential stands in the Authorization header, never in the query string;
- the payload hash is that of the bytes received; what `x-amz-content-sha256` says is only a header like another, and
  the modes that leave a body unsigned are refused;
- `host`, `x-amz-date` and every `x-amz-*` header that is there are signed, and none that decides what a request means
  is there twice;
- the signature is at most fifteen minutes off, and its scope is of the same day;
- an unknown key costs what a wrong signature costs.

Sources: AWS, "Create a signed AWS API request" and "Troubleshoot Signature Version 4"; promises.md T28-T31, T33.
"""

import collections
import dataclasses
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from registry.errors import NotAuthenticated

Headers = tuple[tuple[str, str], ...]

ALGORITHM: Final = "AWS4-HMAC-SHA256"
WINDOW: Final = dt.timedelta(minutes=15)

_TERMINATOR: Final = "aws4_request"
_TIMESTAMP: Final = "%Y%m%dT%H%M%SZ"
_TIMESTAMP_FORM = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_DATE_FORM = re.compile(r"[0-9]{8}")
_SIGNATURE_FORM = re.compile(r"[0-9a-f]{64}")
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_SINGLE: Final = frozenset({"authorization", "host", "content-type"})  # beside every x-amz-* header
_UNSIGNED_MODES: Final = ("UNSIGNED-", "STREAMING-")

_MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
UNKNOWN: Final = "The security token included in the request is invalid."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says about who signed it; nothing of it is proved yet."""

    access_key_id: str
    date: str  # of the scope, YYYYMMDD
    region: str
    service: str
    signed_headers: tuple[str, ...]  # lower case, sorted
    signature: str  # 64 hexadecimal digits
    timestamp: dt.datetime  # X-Amz-Date
    security_token: str = ""  # X-Amz-Security-Token, which goes with temporary credentials


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """The request that a claim came with, as it was on the wire."""

    method: str
    raw_path: str  # without the query string, escapes untouched
    raw_query: str  # without the question mark
    headers: Headers  # names in any case, in the order in which they came
    body_sha256: str  # hexadecimal, of the body that was received


def parse(headers: Headers, raw_query: str) -> Claim:
    """The claim in a request's headers. Raises NotAuthenticated."""
    _refuse_query_credentials(raw_query)
    values = _single_values(headers)
    authorization = values.get("authorization")
    if authorization is None:
        raise missing()
    fields = _fields(authorization)
    key_id, date, region, service = _scope(fields["Credential"])
    if not _SIGNATURE_FORM.fullmatch(fields["Signature"]):
        raise _incomplete("Signature must be 64 lower-case hexadecimal digits.")
    signed = tuple(fields["SignedHeaders"].split(";"))
    _check_signed_headers(signed, values)
    if values.get("x-amz-content-sha256", "").upper().startswith(_UNSIGNED_MODES):
        raise _invalid("A payload must be signed: UNSIGNED and STREAMING modes of x-amz-content-sha256 are refused.")
    timestamp = _timestamp(values["x-amz-date"])
    if timestamp.strftime("%Y%m%d") != date:
        raise _invalid(
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date}' != '{timestamp:%Y%m%d}', from '{timestamp.strftime(_TIMESTAMP)}'."
        )
    return Claim(
        access_key_id=key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=signed,
        signature=fields["Signature"],
        timestamp=timestamp,
        security_token=values.get("x-amz-security-token", ""),
    )


def missing() -> NotAuthenticated:
    return NotAuthenticated("Missing Authentication Token", code="MissingAuthenticationTokenException")


def check_window(claim: Claim, now: dt.datetime) -> None:
    """Refuse a claim that is too old or too new. Raises NotAuthenticated."""
    signed, low, high = claim.timestamp, now - WINDOW, now + WINDOW
    if signed < low:
        raise _invalid(
            f"Signature expired: {signed.strftime(_TIMESTAMP)} is now earlier than {low.strftime(_TIMESTAMP)} "
            f"({now.strftime(_TIMESTAMP)} - 15 min.)"
        )
    if signed > high:
        raise _invalid(
            f"Signature not yet current: {signed.strftime(_TIMESTAMP)} is still later than {high.strftime(_TIMESTAMP)} "
            f"({now.strftime(_TIMESTAMP)} + 15 min.)"
        )


def verify(claim: Claim, request: SignedRequest, secret: str | None, *, now: dt.datetime, token: str = "") -> None:
    """Return if the holder of `secret` signed this request. Raises NotAuthenticated.

    `secret` is None where the key id is unknown or its key is not active: the same work is then done with a secret
    that nobody has. `token` is the security token that goes with the key; a long-lived key has none.
    """
    check_window(claim, now)
    stand_in = secrets.token_urlsafe(30)
    expected = signature(claim, request, stand_in if secret is None else secret)
    signature_holds = hmac.compare_digest(expected, claim.signature)
    token_holds = hmac.compare_digest(token.encode(), claim.security_token.encode(errors="surrogateescape"))
    if secret is None or not token_holds:
        raise NotAuthenticated(UNKNOWN, code="UnrecognizedClientException")
    if not signature_holds:
        raise _invalid(_MISMATCH)


def signature(claim: Claim, request: SignedRequest, secret: str) -> str:
    """The signature that the holder of `secret` would have put on the request."""
    canonical = hashlib.sha256(canonical_request(claim, request)).hexdigest()
    scope = f"{claim.date}/{claim.region}/{claim.service}/{_TERMINATOR}"
    to_sign = f"{ALGORITHM}\n{claim.timestamp.strftime(_TIMESTAMP)}\n{scope}\n{canonical}"
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def canonical_request(claim: Claim, request: SignedRequest) -> bytes:
    """The request in the form that is signed."""
    values: dict[str, list[str]] = {}
    for name, value in request.headers:
        # What is trimmed and collapsed is the padding that a proxy may change.
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    lines = [
        request.method,
        quote(request.raw_path.encode(errors="surrogateescape"), safe="/~"),  # encoded twice, as AWS signs it
        _canonical_query(request.raw_query),
        *(f"{name}:{','.join(values.get(name, []))}" for name in claim.signed_headers),
        "",
        ";".join(claim.signed_headers),
        request.body_sha256,
    ]
    return "\n".join(lines).encode(errors="surrogateescape")


# --- reading a claim --------------------------------------------------------------------------------------------------


def _fields(authorization: str) -> dict[str, str]:
    algorithm, _, rest = authorization.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Authorization header requires '{ALGORITHM}' as its algorithm.")
    pairs = [part.strip().partition("=") for part in rest.split(",")]
    fields = {name: value for name, _, value in pairs}
    for name in ("Credential", "Signature", "SignedHeaders"):
        if not fields.get(name):
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    if len(pairs) != len(fields) or len(fields) != 3:
        raise _incomplete("Authorization header has parameters that are repeated or unknown.")
    return fields


def _scope(credential: str) -> tuple[str, str, str, str]:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or not all(parts) or not credential.isascii() or len(credential) > 300:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."
        )
    key_id, date, region, service, terminator = parts
    if terminator != _TERMINATOR:
        raise _invalid(f"Credential should be scoped with a valid terminator: '{_TERMINATOR}'.")
    if not _DATE_FORM.fullmatch(date):
        raise _invalid("Credential should be scoped with a date in the form YYYYMMDD.")
    return key_id, date, region, service


def _check_signed_headers(signed: tuple[str, ...], values: dict[str, str]) -> None:
    if not all(_HEADER_NAME.fullmatch(name) for name in signed) or list(signed) != sorted(set(signed)):
        raise _incomplete("SignedHeaders must be lower-case header names, sorted, each once.")
    needed = {"host", "x-amz-date"} | {name for name in values if name.startswith("x-amz-")}
    if missing := sorted(needed - set(signed)):
        raise _invalid(f"'{missing[0][:64]}' must be a 'SignedHeader' in the AWS Authorization.")
    if absent := sorted(set(signed) - set(values)):
        raise _invalid(f"The signed header '{absent[0][:64]}' is not in the request.")


def _single_values(headers: Headers) -> dict[str, str]:
    """Header values by lower-case name. Raises NotAuthenticated where one that matters is there twice."""
    counts = collections.Counter(name.lower() for name, _ in headers)
    for name, count in counts.items():
        if count > 1 and (name in _SINGLE or name.startswith("x-amz-")):
            raise _invalid(f"The header '{name[:64]}' is in the request more than once.")
    return {name.lower(): value for name, value in headers}


def _timestamp(text: str) -> dt.datetime:
    found = _TIMESTAMP_FORM.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, found.groups())
        return dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        raise _incomplete("X-Amz-Date must be a date in the form YYYYMMDDTHHMMSSZ.") from None


def _refuse_query_credentials(raw_query: str) -> None:
    for name, _ in _query_pairs(raw_query):
        if name.lower().startswith(b"x-amz-"):
            raise _incomplete("Credentials in the query string are not accepted here: sign the request's headers.")


# --- canonical form ---------------------------------------------------------------------------------------------------


def _query_pairs(raw_query: str) -> Iterable[tuple[bytes, bytes]]:
    for pair in filter(None, raw_query.encode(errors="surrogateescape").split(b"&")):
        name, _, value = pair.partition(b"=")
        yield unquote_to_bytes(name), unquote_to_bytes(value)


def _canonical_query(raw_query: str) -> str:
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in _query_pairs(raw_query))
    return "&".join(f"{name}={value}" for name, value in pairs)


def _incomplete(message: str) -> NotAuthenticated:
    return NotAuthenticated(message, code="IncompleteSignatureException")


def _invalid(message: str) -> NotAuthenticated:
    return NotAuthenticated(message, code="InvalidSignatureException")
