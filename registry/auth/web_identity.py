"""Tokens of OpenID Connect issuers: read strictly, believed only after the signature held (promises.md T01, T02).

Pure: the issuer's key, the clock and the audiences are given. One token has one reading:

- three parts in base64url; header and claims are JSON objects without a key that comes twice;
- `alg` is one of six asymmetric ones, and the key must be of its kind: there is no `none`, and no HMAC with which a
  public key could be mistaken for a secret;
- the key is the registered issuer's and is found by `kid`; `jwk`, `jku`, `x5c` and `x5u`, by which a token would bring
  its own, are not looked at; a token with `crit` asks for what is not known here and is refused;
- iss, sub, aud, exp and iat must be there, each of its type; nbf too where it is there.

Sources: RFC 7515, 7518 section 3, 7519; RFC 8725 (JWT best current practices); OpenID Connect Core 1.0, section 2; AWS
STS API reference, "AssumeRoleWithWebIdentity".
"""

import base64
import binascii
import dataclasses
import datetime as dt
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from policies import jsontext
from registry.identity_errors import ExpiredToken, InvalidIdentityToken

Jwk = Mapping[str, Any]

_LONGEST: Final = 20_000  # characters, as AWS
_SKEW: Final = 60  # seconds that the issuer's clock may be ahead
_LATEST: Final = 2**53
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_CURVES: Final[Mapping[str, tuple[str, type[ec.EllipticCurve], int]]] = {
    # alg -> (crv, curve, bytes of a coordinate)
    "ES256": ("P-256", ec.SECP256R1, 32),
    "ES384": ("P-384", ec.SECP384R1, 48),
    "ES512": ("P-521", ec.SECP521R1, 66),
}
_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", *_CURVES})
_SMALLEST_RSA: Final = 2048
_MALFORMED: Final = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
_TAGS: Final = "https://aws.amazon.com/tags"
_SOURCE_IDENTITY: Final = "https://aws.amazon.com/source_identity"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it reads; nothing of it is proved before `verify`."""

    algorithm: str
    key_id: str
    issuer: str
    subject: str
    audience: tuple[str, ...]
    authorized_party: str | None  # azp
    issued_at: float
    expires_at: float
    not_before: float | None
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def parse(text: str) -> Token:
    """Raises InvalidIdentityToken."""
    parts = text.split(".")
    if len(text) > _LONGEST or len(parts) != 3:
        raise InvalidIdentityToken(_MALFORMED)
    header, claims = _object(parts[0]), _object(parts[1])
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in _ALGORITHMS or not isinstance(key_id, str) or not key_id or "crit" in header:
        raise InvalidIdentityToken(
            f"The ID Token must name its key by kid, and be signed by one of: {', '.join(sorted(_ALGORITHMS))}"
        )
    audience = claims.get("aud")
    return Token(
        algorithm=algorithm,
        key_id=key_id,
        issuer=_text(claims, "iss"),
        subject=_text(claims, "sub"),
        audience=tuple(_text({"aud": one}, "aud") for one in (audience if isinstance(audience, list) else [audience])),
        authorized_party=_text(claims, "azp") if "azp" in claims else None,
        issued_at=_time(claims, "iat"),
        expires_at=_time(claims, "exp"),
        not_before=_time(claims, "nbf") if "nbf" in claims else None,
        claims=claims,
        signed=f"{parts[0]}.{parts[1]}".encode(),
        signature=_decoded(parts[2]),
    )


def check(token: Token, audiences: Collection[str], now: dt.datetime) -> str:
    """The audience for which it is good now. Raises InvalidIdentityToken, ExpiredToken."""
    wanted = (token.authorized_party,) if token.authorized_party is not None else token.audience
    audience = next((one for one in wanted if one in audiences), None)
    if audience is None:
        raise InvalidIdentityToken("Incorrect token audience")
    at = now.timestamp()
    if token.expires_at <= at:
        raise ExpiredToken(
            f"Token expired: current date/time {int(at)} must be before the expiration date/time "
            f"{int(token.expires_at)}"
        )
    if max(token.issued_at, token.not_before or 0) > at + _SKEW:
        raise InvalidIdentityToken("The ID Token is not valid yet")
    return audience


def verify(token: Token, key: Jwk) -> None:
    """Return if the holder of the issuer's key signed it. Raises InvalidIdentityToken."""
    try:
        good = _is_for(key, token.algorithm) and _holds(token, key)
    except (ValueError, KeyError, TypeError):
        good = False  # a key set of nonsense: nothing can be believed on it
    if not good:
        raise InvalidIdentityToken("The ID Token's signature is not one of its issuer")


def session_tags(token: Token) -> tuple[dict[str, str], tuple[str, ...]]:
    """Session tags in the token, and the keys of those that are transitive. Raises InvalidIdentityToken."""
    found = token.claims.get(_TAGS, {})
    listed = found.get("principal_tags", {}) if isinstance(found, dict) else None
    transitive = found.get("transitive_tag_keys", []) if isinstance(found, dict) else None
    if not isinstance(listed, dict) or not isinstance(transitive, list):
        raise InvalidIdentityToken("The session tags in the ID Token cannot be read")
    tags: dict[str, str] = {}
    for name, value in listed.items():
        single = value[0] if isinstance(value, list) and len(value) == 1 else value
        if not isinstance(single, str):
            raise InvalidIdentityToken("The session tags in the ID Token cannot be read")
        tags[name] = single
    if not all(isinstance(name, str) for name in transitive):
        raise InvalidIdentityToken("The session tags in the ID Token cannot be read")
    return tags, tuple(transitive)


def source_identity(token: Token) -> str:
    found = token.claims.get(_SOURCE_IDENTITY, "")
    if not isinstance(found, str):
        raise InvalidIdentityToken("The source identity in the ID Token cannot be read")
    return found


# --- reading ----------------------------------------------------------------------------------------------------------


def _decoded(part: str) -> bytes:
    if not _PART.fullmatch(part):
        raise InvalidIdentityToken(_MALFORMED)
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidIdentityToken(_MALFORMED) from None


def _object(part: str) -> Mapping[str, Any]:
    try:
        found = jsontext.loads(_decoded(part))
    except jsontext.NotJson:
        raise InvalidIdentityToken(_MALFORMED) from None
    if not isinstance(found, dict):
        raise InvalidIdentityToken(_MALFORMED)
    return found


def _text(claims: Mapping[str, Any], name: str) -> str:
    found = claims.get(name)
    if not isinstance(found, str) or not 1 <= len(found) <= 2048 or not found.isprintable():
        raise InvalidIdentityToken(f"The ID Token must have a claim {name} that is a text")
    return found


def _time(claims: Mapping[str, Any], name: str) -> float:
    found = claims.get(name)
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found < _LATEST:
        raise InvalidIdentityToken(f"The ID Token must have a claim {name} that is a time")
    return found


# --- signatures -------------------------------------------------------------------------------------------------------


def _is_for(key: Jwk, algorithm: str) -> bool:
    """Whether the issuer says that the key is for this."""
    return (
        key.get("kty") == ("EC" if algorithm in _CURVES else "RSA")
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and "verify" in key.get("key_ops", ["verify"])
    )


def _holds(token: Token, key: Jwk) -> bool:
    digest = _HASHES[token.algorithm[2:]]()
    try:
        if token.algorithm not in _CURVES:
            _rsa_key(key).verify(token.signature, token.signed, padding.PKCS1v15(), digest)
            return True
        name, curve, size = _CURVES[token.algorithm]
        if key.get("crv") != name or len(token.signature) != 2 * size:
            return False
        point = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), curve())
        r, s = int.from_bytes(token.signature[:size]), int.from_bytes(token.signature[size:])
        point.public_key().verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(digest))
        return True
    except InvalidSignature:
        return False


def _rsa_key(key: Jwk) -> rsa.RSAPublicKey:
    found = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
    if found.key_size < _SMALLEST_RSA:
        raise ValueError("the key is too small")
    return found


def _number(text: object) -> int:
    if not isinstance(text, str):
        raise ValueError("no number")
    return int.from_bytes(_decoded(text))
