"""AWS service models: what operations there are, what goes in, what comes out and what may go wrong.

The models are the JSON files that botocore installs. They are read as data: botocore itself is never imported, which
would cost a quarter of a second at start; this module is the only one that knows where they lie. A model is read when
it is first asked for (about 15 ms for ECR) and kept. The surface so moves with botocore's version, which is locked and
shown by the coverage table (`registry/aws/coverage.py`).
"""

import dataclasses
import functools
import gzip
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

Kind = Literal[
    "structure", "list", "map", "string", "integer", "long", "double", "float", "boolean", "timestamp", "blob"
]
Protocol = Literal["json", "query"]

_DEFAULT_FAULT_STATUS: Final = 500
_DEFAULT_STATUS: Final = 400


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The form of a value. Shapes name each other, since they may be recursive: look them up in the service."""

    name: str
    kind: Kind
    members: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of a structure: member -> shape
    required: tuple[str, ...] = ()
    item: str = ""  # of a list
    key: str = ""  # of a map
    value: str = ""
    min: float | None = None  # of a number its value, of a string its characters, of the others their items or bytes
    max: float | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    sensitive: bool = False  # not to be repeated in a message


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of a service."""

    name: str
    input: str | None  # shape names
    output: str | None
    wrapper: str | None  # of the query protocol: the element around the output's members
    errors: frozenset[str]  # shapes of the errors that it declares


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ErrorModel:
    """An error that a service declares: the code on the wire, the HTTP status, and the shape of what it carries."""

    code: str
    status: int
    shape: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service, by botocore's name of it, which is also the prefix of its IAM actions."""

    name: str
    signing_name: str  # the service of a signature's scope
    title: str
    protocol: Protocol
    api_version: str
    target_prefix: str  # of X-Amz-Target; empty for the query protocol
    xml_namespace: str  # empty for the JSON protocol
    operations: Mapping[str, Operation]
    shapes: Mapping[str, Shape]
    errors: Mapping[str, ErrorModel]  # by shape name
    is_global: bool = False  # one for all regions: what region a signature names does not matter


@functools.cache
def load(name: str) -> Service:
    """The service that botocore calls `name`, such as `ecr`. Raises LookupError if it has none."""
    model = _read(name)
    metadata, shapes = model["metadata"], model["shapes"]
    return Service(
        name=name,
        signing_name=metadata.get("signingName", metadata["endpointPrefix"]),
        title=metadata.get("serviceAbbreviation", metadata["serviceFullName"]),
        protocol=metadata["protocol"],
        api_version=metadata["apiVersion"],
        target_prefix=metadata.get("targetPrefix", ""),
        xml_namespace=metadata.get("xmlNamespace", ""),
        is_global="globalEndpoint" in metadata,
        operations={key: _operation(key, body) for key, body in model["operations"].items()},
        shapes={key: _shape(key, body) for key, body in shapes.items()},
        errors={key: _error(key, body) for key, body in shapes.items() if body.get("exception")},
    )


def _read(name: str) -> dict[str, Any]:
    found = importlib.util.find_spec("botocore")
    if found is None or not found.submodule_search_locations:
        raise LookupError("botocore, which brings the service models, is not installed")
    folder = Path(found.submodule_search_locations[0]) / "data" / name
    files = sorted(folder.glob("*/service-2.json.gz"))
    if not files:
        raise LookupError(f"no service model is called {name}")
    return cast(dict[str, Any], json.loads(gzip.decompress(files[-1].read_bytes())))


def _operation(name: str, body: Mapping[str, Any]) -> Operation:
    return Operation(
        name=name,
        input=body.get("input", {}).get("shape"),
        output=body.get("output", {}).get("shape"),
        wrapper=body.get("output", {}).get("resultWrapper"),
        errors=frozenset(error["shape"] for error in body.get("errors", ())),
    )


def _shape(name: str, body: Mapping[str, Any]) -> Shape:
    return Shape(
        name=name,
        kind=body["type"],
        members={member: reference["shape"] for member, reference in body.get("members", {}).items()},
        required=tuple(body.get("required", ())),
        item=body.get("member", {}).get("shape", ""),
        key=body.get("key", {}).get("shape", ""),
        value=body.get("value", {}).get("shape", ""),
        min=body.get("min"),
        max=body.get("max"),
        pattern=body.get("pattern"),
        enum=tuple(body.get("enum", ())),
        sensitive=body.get("sensitive", False),
    )


def _error(name: str, body: Mapping[str, Any]) -> ErrorModel:
    declared = body.get("error", {})
    status = declared.get("httpStatusCode", _DEFAULT_FAULT_STATUS if body.get("fault") else _DEFAULT_STATUS)
    return ErrorModel(code=declared.get("code", name), status=status, shape=name)
