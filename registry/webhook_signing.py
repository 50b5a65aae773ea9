"""How a webhook's receiver tells that an event comes from here, and when it was sent: Standard Webhooks.

    webhook-id         the event's id, the same however often it is sent
    webhook-timestamp  seconds since 1970, of this very try
    webhook-signature  v1,BASE64 of HMAC-SHA256 over `id.timestamp.body`

A secret is shown as `whsec_` and the base64 of its bytes. Source: Standard Webhooks, "Signature scheme".
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

_PREFIX: Final = "whsec_"
_LEAST, _MOST = 24, 64  # bytes of a secret


def new_secret() -> bytes:
    return secrets.token_bytes(32)


def shown(secret: bytes) -> str:
    return _PREFIX + base64.b64encode(secret).decode()


def parse(text: str) -> bytes:
    """The bytes of a secret as it is shown, with `whsec_` or without. Raises ValueError."""
    try:
        found = base64.b64decode(text.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not _LEAST <= len(found) <= _MOST:
        raise ValueError(f"a secret is {_PREFIX} and the base64 of {_LEAST} to {_MOST} bytes")
    return found


def headers(secret: bytes, event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    signed = f"{event_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
