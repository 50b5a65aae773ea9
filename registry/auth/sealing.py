"""Sealed tokens: small payloads that only this installation can make, read or change.

One primitive serves docker-login passwords, Bearer and session tokens, page marks, upload ids and signed layer URLs, so
there is one place to get it right: AES-256-GCM under a key of the purpose, with the purpose as associated data. A token
of one purpose is meaningless for another, there is no algorithm to negotiate, and nothing in it can be read from
outside.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Purpose = Literal["login", "bearer", "page", "upload", "layer-url", "secret", "session"]
PURPOSES: Final[tuple[Purpose, ...]] = ("login", "bearer", "page", "upload", "layer-url", "secret", "session")

_VERSION = b"\x01"
_NONCE = 12
_LONGEST = 8192  # characters; anything longer was not made here


class BadSeal(Exception):
    """The text was not sealed here for this purpose, or was altered."""


class Sealer:
    """Seals and opens; holds one 32-byte key for each purpose."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {purpose: AESGCM(keys[purpose]) for purpose in PURPOSES}

    def seal_bytes(self, purpose: Purpose, payload: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._ciphers[purpose].encrypt(nonce, payload, purpose.encode())

    def open_bytes(self, purpose: Purpose, sealed: bytes) -> bytes:
        if len(sealed) < 1 + _NONCE + 16 or sealed[:1] != _VERSION:
            raise BadSeal
        try:
            return self._ciphers[purpose].decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], purpose.encode())
        except InvalidTag:
            raise BadSeal from None

    def seal(self, purpose: Purpose, payload: bytes) -> str:
        """The payload as URL-safe text without padding."""
        return base64.urlsafe_b64encode(self.seal_bytes(purpose, payload)).rstrip(b"=").decode()

    def open(self, purpose: Purpose, text: str) -> bytes:
        """The payload of `text`. Raises BadSeal."""
        if len(text) > _LONGEST or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
            raise BadSeal
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise BadSeal from None
        # Base64 leaves spare bits in the last character: without this, several texts would open as one token.
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
            raise BadSeal
        return self.open_bytes(purpose, raw)
