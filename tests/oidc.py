"""An OpenID Connect issuer on loopback: its configuration and keys over TLS, and tokens as a test wants them."""

import base64
import collections
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CONFIGURATION: Final = "/.well-known/openid-configuration"
HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
CURVES: Final[dict[str, tuple[str, type[ec.EllipticCurve], int]]] = {
    "ES256": ("P-256", ec.SECP256R1, 32),
    "ES384": ("P-384", ec.SECP384R1, 48),
    "ES512": ("P-521", ec.SECP521R1, 66),
}


def encoded(value: bytes | dict[str, Any] | str) -> str:
    """base64url without padding; a dict as JSON."""
    raw = value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Key:
    """A signing key of an issuer. `algorithm`: RS256, ES384 and their like."""

    def __init__(self, key_id: str, algorithm: str = "RS256", *, bits: int = 2048) -> None:
        self.key_id, self.algorithm = key_id, algorithm
        self.private: Any = (
            ec.generate_private_key(CURVES[algorithm][1]())
            if algorithm in CURVES
            else rsa.generate_private_key(public_exponent=65537, key_size=bits)
        )

    @property
    def jwk(self) -> dict[str, Any]:
        numbers = self.private.public_key().public_numbers()
        common = {"kid": self.key_id, "use": "sig", "alg": self.algorithm}
        if self.algorithm in CURVES:
            name, _, size = CURVES[self.algorithm]
            x, y = (encoded(number.to_bytes(size)) for number in (numbers.x, numbers.y))
            return {**common, "kty": "EC", "crv": name, "x": x, "y": y}
        n, e = (encoded(number.to_bytes((number.bit_length() + 7) // 8)) for number in (numbers.n, numbers.e))
        return {**common, "kty": "RSA", "n": n, "e": e}

    def sign(self, signed: bytes) -> bytes:
        digest = HASHES[self.algorithm[2:]]()
        if self.algorithm not in CURVES:
            made: bytes = self.private.sign(signed, padding.PKCS1v15(), digest)
            return made
        size = CURVES[self.algorithm][2]
        r, s = decode_dss_signature(self.private.sign(signed, ec.ECDSA(digest)))
        return r.to_bytes(size) + s.to_bytes(size)


class Issuer:
    """A server of its own, in a thread. `documents` is what it answers, by path; `asked` counts by path."""

    def __init__(self, authority: trustme.CA, keys: list[Key]) -> None:
        self.keys = keys
        self.asked: collections.Counter[str] = collections.Counter()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.documents: dict[str, Any] = {}
        self.restore()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def restore(self) -> None:
        """Answer as an issuer should."""
        self.documents = {
            CONFIGURATION: {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": [key.jwk for key in self.keys]},
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def claims(self, **more: Any) -> dict[str, Any]:
        """What a good token claims; `more` replaces and adds, None takes away."""
        now = int(time.time())
        found = {"iss": self.url, "sub": "repo:app:main", "aud": "registry", "iat": now, "nbf": now, "exp": now + 600}
        return {name: value for name, value in {**found, **more}.items() if value is not None}

    def token(self, key: Key | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        key = key or self.keys[0]
        return self.signed(key, {"typ": "JWT", "alg": key.algorithm, "kid": key.key_id, **(header or {})}, claims)

    def signed(self, key: Key, header: dict[str, Any], claims: dict[str, Any]) -> str:
        signed = f"{encoded(header)}.{encoded(self.claims(**claims))}"
        return f"{signed}.{encoded(key.sign(signed.encode()))}"

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked[self.path] += 1
                found = issuer.documents.get(self.path)
                if isinstance(found, str):  # where it has moved
                    self.send_response(302)
                    self.send_header("Location", found)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Silence."""

        return Handler
