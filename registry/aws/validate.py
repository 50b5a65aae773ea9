"""Parameters against their shapes: what reaches an operation has the types and limits that AWS's model promises.

`read_json` takes a body apart; `params` walks a shape and returns the values that it knows: text, numbers, bytes for
blobs, aware datetimes for timestamps. Members that the shape does not know are left out, as AWS leaves them out. A
value of the wrong type is a SerializationException, one beyond a limit an InvalidParameter that names its place.

Limits are checked from the outside in and lengths before patterns, so that a hostile value is refused before it costs
anything. The patterns of the models are matched against the whole string; the one that backtracks without bound has a
linear equivalent here (promises.md T21, T37, T38, T61).
"""

import base64
import binascii
import datetime as dt
import functools
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sized
from typing import Any, Final

from policies import jsontext
from registry.aws.errors import Refusal, invalid_parameter
from registry.aws.spec import Kind, Service, Shape
from registry.errors import InvalidParameter

Params = Mapping[str, Any]
Scalars = Mapping[Kind, Callable[[Any], Any]]  # raw value -> typed one; raise ValueError for what is no such value

# Patterns of the models that can be matched in many ways, with the same language said in one way.
_LINEAR: Final[Mapping[str, str]] = {
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": r"[a-z0-9*]+(?:[._\-/][a-z0-9*]+)*",
}
_CATEGORY = re.compile(r"\\p\{([A-Z][a-z]?)\}")


def read_json(body: bytes) -> dict[str, Any]:
    """The object in a JSON 1.1 body; an empty body is an empty object. Raises Refusal."""
    try:
        found = jsontext.loads(body) if body else {}
    except jsontext.NotJson as trouble:
        raise _unreadable(str(trouble)) from None
    if not isinstance(found, dict):
        raise _unreadable("Start of structure or map expected.")
    return found


def params(service: Service, shape: str | None, raw: Mapping[str, Any], scalars: Scalars) -> dict[str, Any]:
    """The parameters of an operation whose input has that shape. Raises Refusal, InvalidParameter."""
    if shape is None:
        return {}
    return _Walk(service, scalars).structure(service.shapes[shape], raw, "")


class _Walk:
    """One pass over the raw parameters. `path` names the place in AWS's way: `tags.1.member.key`."""

    def __init__(self, service: Service, scalars: Scalars) -> None:
        self._shapes = service.shapes
        self._scalars = scalars

    def value(self, name: str, raw: Any, path: str) -> Any:
        shape = self._shapes[name]
        match shape.kind:
            case "structure":
                return self.structure(shape, raw, path)
            case "list":
                return self._list(shape, raw, path)
            case "map":
                return self._map(shape, raw, path)
        try:
            value = self._scalars[shape.kind](raw)
        except (ValueError, OverflowError, OSError):
            raise _unreadable(f"{path} is no {shape.kind}.") from None
        _check(shape, value, path)
        return value

    def structure(self, shape: Shape, raw: Any, path: str) -> dict[str, Any]:
        if not isinstance(raw, Mapping):
            raise _unreadable(f"{path or 'The request'} is no structure.")
        prefix = f"{path}." if path else ""
        found: dict[str, Any] = {}
        for member, name in shape.members.items():
            value = raw.get(member)
            if value is not None:  # null is how some clients say that there is none
                found[member] = self.value(name, value, prefix + member)
            elif member in shape.required:
                raise invalid_parameter(prefix + member, "Member must not be null")
        return found

    def _list(self, shape: Shape, raw: Any, path: str) -> list[Any]:
        if not isinstance(raw, list):
            raise _unreadable(f"{path} is no list.")
        _check_length(shape, raw, path)
        return [self.value(shape.item, item, f"{path}.{number}.member") for number, item in enumerate(raw, start=1)]

    def _map(self, shape: Shape, raw: Any, path: str) -> dict[str, Any]:
        if not isinstance(raw, Mapping):
            raise _unreadable(f"{path} is no map.")
        _check_length(shape, raw, path)
        return {
            self.value(shape.key, key, f"{path}.key"): self.value(shape.value, value, f"{path}.value")
            for key, value in raw.items()
        }


def _check(shape: Shape, value: Any, path: str) -> None:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        if shape.min is not None and value < shape.min:
            raise _refused(shape, path, f"Member must have value greater than or equal to {shape.min}", value)
        if shape.max is not None and value > shape.max:
            raise _refused(shape, path, f"Member must have value less than or equal to {shape.max}", value)
    elif isinstance(value, str | bytes):
        _check_length(shape, value, path)
        if isinstance(value, str):
            _check_text(shape, value, path)


def _check_length(shape: Shape, value: Sized, path: str) -> None:
    length = len(value)
    if shape.min is not None and length < shape.min:
        raise _refused(shape, path, f"Member must have length greater than or equal to {shape.min}", value)
    if shape.max is not None and length > shape.max:
        raise _refused(shape, path, f"Member must have length less than or equal to {shape.max}", value)


def _check_text(shape: Shape, value: str, path: str) -> None:
    if "\0" in value:
        raise _refused(shape, path, "Member must not hold the NUL character", value)  # no database keeps it
    if shape.enum and value not in shape.enum:
        raise _refused(shape, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]", value)
    if shape.pattern is not None and not compiled(shape.pattern).fullmatch(value):
        raise _refused(shape, path, f"must satisfy regular expression '{shape.pattern}'", value)


def _refused(shape: Shape, path: str, why: str, value: object) -> InvalidParameter:
    return invalid_parameter(path, why, "***" if shape.sensitive else value)


# --- patterns ---------------------------------------------------------------------------------------------------------


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of a model, for `fullmatch`. As in AWS's own engine, `\\w` and its like mean ASCII."""
    linear = _LINEAR.get(pattern, pattern)
    return re.compile(_CATEGORY.sub(lambda found: _ranges(found[1]), linear), re.ASCII)


@functools.cache
def _ranges(category: str) -> str:
    """A Unicode category, such as `L`, as ranges that may stand inside a character class: `re` knows no `\\p`."""
    ranges: list[list[int]] = []
    for point in range(sys.maxunicode + 1):
        if unicodedata.category(chr(point)).startswith(category):
            if ranges and ranges[-1][1] == point - 1:
                ranges[-1][1] = point
            else:
                ranges.append([point, point])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


# --- scalars of JSON --------------------------------------------------------------------------------------------------


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw


def _long(raw: Any) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise ValueError
    return raw  # `read_json` lets only 64 bits through


def _integer(raw: Any) -> int:
    if not -(2**31) <= _long(raw) < 2**31:
        raise ValueError
    return _long(raw)


def _number(raw: Any) -> float:
    if not isinstance(raw, int | float) or isinstance(raw, bool):
        raise ValueError
    return float(raw)


def _truth(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise ValueError
    return raw


def _moment(raw: Any) -> dt.datetime:
    """Seconds since 1970."""
    return dt.datetime.fromtimestamp(_number(raw), tz=dt.UTC)


def _bytes(raw: Any) -> bytes:
    try:
        return base64.b64decode(_text(raw), validate=True)
    except binascii.Error:
        raise ValueError from None


JSON: Final[Scalars] = {
    "string": _text,
    "integer": _integer,
    "long": _long,
    "double": _number,
    "float": _number,
    "boolean": _truth,
    "timestamp": _moment,
    "blob": _bytes,
}


def _unreadable(message: str) -> Refusal:
    return Refusal("SerializationException", 400, message)
