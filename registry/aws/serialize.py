"""Results and errors as JSON 1.1: by the output's shape, and nothing that the shape does not know.

Timestamps are seconds since 1970 as numbers, blobs are base64; what is None is left out.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from registry.aws.errors import Face
from registry.aws.spec import Service

CONTENT_TYPE = "application/x-amz-json-1.1"


def result(service: Service, shape: str | None, value: Mapping[str, Any]) -> bytes:
    """The body that answers an operation whose output has that shape."""
    return _dump(_plain(service, shape, value) if shape is not None else {})


def error(face: Face) -> bytes:
    """The body that tells an error."""
    return _dump({"__type": face.code, "message": face.message, **face.members})


def _plain(service: Service, name: str, value: Any) -> Any:
    shape = service.shapes[name]
    match shape.kind:
        case "structure":
            return {
                member: _plain(service, inner, value[member])
                for member, inner in shape.members.items()
                if value.get(member) is not None
            }
        case "list":
            return [_plain(service, shape.item, item) for item in value]
        case "map":
            return {key: _plain(service, shape.value, item) for key, item in value.items()}
        case "timestamp":
            return round(value.timestamp(), 3)
        case "blob":
            return base64.b64encode(value).decode()
        case _:
            return value


def _dump(value: Any) -> bytes:
    # A message may quote a header that is not UTF-8; such bytes must not keep the answer from being told.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(errors="replace")
