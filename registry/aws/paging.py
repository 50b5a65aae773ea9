"""Page marks: a nextToken says where one listing goes on, and is worth nothing for another.

The mark is sealed (`auth.sealing`), so a client can neither read nor make one, and it is bound to the listing that it
came from: operation, registry and the arguments that filter it. `maxResults` is not among them: a client may change
its page size on the way. Inside is a key of plain JSON values (the last name; the last time and id), never an offset:
pages do not shift when rows come and go.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from registry.auth.sealing import BadSeal, Sealer
from registry.aws.errors import invalid_parameter
from registry.names import RegistryRef

_PURPOSE: Final = "page"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is listed. `arguments` are the request's parameters that decide what is in it, as plain JSON."""

    operation: str  # `ecr:ListImages`
    registry: RegistryRef
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def fingerprint(self) -> str:
        text = json.dumps([self.operation, *self.registry, self.arguments], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def mark(sealer: Sealer, listing: Listing, position: Any) -> str:
    """The nextToken that goes on behind `position`, a plain JSON value."""
    return sealer.seal(_PURPOSE, json.dumps([listing.fingerprint(), position], separators=(",", ":")).encode())


def position(sealer: Sealer, listing: Listing, token: str | None, *, field: str = "nextToken") -> Any:
    """Where a listing goes on; None for its start. Raises InvalidParameter for a mark that is not this listing's.

    `field` is what the service calls its marks.
    """
    if not token:
        return None
    try:
        fingerprint, found = json.loads(sealer.open(_PURPOSE, token))
    except BadSeal:
        raise invalid_parameter(field, "is not a token that this listing gave out", token) from None
    if fingerprint != listing.fingerprint():
        raise invalid_parameter(field, "belongs to another listing, or to other arguments", token)
    return found
