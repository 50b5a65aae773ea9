"""The query protocol, which STS and IAM speak: parameters in a form, answers in XML.

    Action=GetUser&Version=2010-05-08&UserName=ann&Tags.member.1.Key=team

`fields` reads the form; `tree` gives its dotted names the form of a shape, for `validate.params`; `result` and `error`
write the answer. Source: AWS, "Query API" of the IAM and STS references; Smithy, "AWS query protocol".
"""

import base64
import datetime as dt
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from registry.aws.errors import Face, Refusal
from registry.aws.spec import Operation, Service
from registry.aws.validate import JSON, Scalars

CONTENT_TYPE = "text/xml"
FORM: Final = "application/x-www-form-urlencoded"

_MAX_FIELDS: Final = 2000
_MAX_DEPTH: Final = 20
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def fields(body: bytes) -> dict[str, str]:
    """The form in a body, by name. Raises Refusal."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS, encoding="utf-8"
        )
    except ValueError:
        raise _malformed("The request is no form of at most 2000 fields in UTF-8.") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("A parameter is given more than once.")
    return found


def tree(service: Service, shape: str | None, form: Mapping[str, str]) -> dict[str, Any]:
    """The form's fields as the nested values that the shape describes; what it does not know is left out."""
    nested: dict[str, Any] = {}
    for name, value in form.items():
        path = name.split(".")
        if len(path) > _MAX_DEPTH:
            raise _malformed("A parameter's name is nested too deeply.")
        level = nested
        for part in path[:-1]:
            level = level.setdefault(part, {})
            if not isinstance(level, dict):
                raise _malformed("A parameter is given both as a value and as a structure.")
        if path[-1] in level:
            raise _malformed("A parameter is given both as a value and as a structure.")
        level[path[-1]] = value
    return {} if shape is None else _typed(service, shape, nested)


def result(service: Service, operation: Operation, value: Mapping[str, Any], request_id: str) -> bytes:
    """The document that answers an operation."""
    inner = "".join(_members(service, operation.output, value)) if operation.output else ""
    if operation.wrapper:
        inner = f"<{operation.wrapper}>{inner}</{operation.wrapper}>"
    metadata = f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>"
    name = f"{operation.name}Response"
    return f'<{name} xmlns="{service.xml_namespace}">{inner}{metadata}</{name}>'.encode()


def error(service: Service | None, face: Face, request_id: str) -> bytes:
    """The document that tells an error."""
    namespace = f' xmlns="{service.xml_namespace}"' if service else ""
    kind = "Receiver" if face.status >= 500 else "Sender"
    inner = f"<Type>{kind}</Type><Code>{_text(face.code)}</Code><Message>{_text(face.message)}</Message>"
    request = f"<RequestId>{escape(request_id)}</RequestId>"
    return f"<ErrorResponse{namespace}><Error>{inner}</Error>{request}</ErrorResponse>".encode()


def _typed(service: Service, name: str, value: Any) -> Any:
    """`value` with the lists and maps of its shape, which the form writes as numbered fields."""
    shape = service.shapes[name]
    if shape.kind == "structure" and isinstance(value, dict):
        return {
            member: _typed(service, inner, value[member]) for member, inner in shape.members.items() if member in value
        }
    if shape.kind == "list":
        return [_typed(service, shape.item, item) for item in _numbered(value, "member")]
    if shape.kind == "map":
        return {
            str(entry.get("key", "")): _typed(service, shape.value, entry.get("value", ""))
            for entry in _numbered(value, "entry")
            if isinstance(entry, dict)
        }
    return value


def _numbered(value: Any, word: str) -> list[Any]:
    """The items of `Name.member.1`, `Name.member.2`, ... in order; `Name=` alone is the empty list."""
    if value == "":
        return []
    items = value.get(word) if isinstance(value, dict) else None
    if not isinstance(items, dict) or not all(_NUMBER.fullmatch(number) for number in items):
        raise _malformed(f"A list or map must be given as Name.{word}.1, Name.{word}.2 and so on.")
    return [items[number] for number in sorted(items, key=int)]


def _members(service: Service, name: str, value: Mapping[str, Any]) -> Iterable[str]:
    for member, inner in service.shapes[name].members.items():
        if value.get(member) is not None:
            yield f"<{member}>{_xml(service, inner, value[member])}</{member}>"


def _xml(service: Service, name: str, value: Any) -> str:
    shape = service.shapes[name]
    match shape.kind:
        case "structure":
            return "".join(_members(service, name, value))
        case "list":
            return "".join(f"<member>{_xml(service, shape.item, item)}</member>" for item in value)
        case "map":
            return "".join(
                f"<entry><key>{_text(key)}</key><value>{_xml(service, shape.value, item)}</value></entry>"
                for key, item in value.items()
            )
        case "timestamp":
            return f"{value.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        case "blob":
            return base64.b64encode(value).decode()
        case "boolean":
            return "true" if value else "false"
        case _:
            return _text(str(value))


def _text(value: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", value))


def _malformed(message: str) -> Refusal:
    return Refusal("SerializationException", 400, message)


# --- scalars of a form ------------------------------------------------------------------------------------------------


def _matching(form: str, raw: Any) -> str:
    if not isinstance(raw, str) or not re.fullmatch(form, raw):
        raise ValueError
    return raw


def _integer(raw: Any) -> int:
    return JSON["integer"](_long(raw))  # type: ignore[no-any-return]


def _long(raw: Any) -> int:
    return int(_matching(r"-?[0-9]{1,18}", raw))


def _number(raw: Any) -> float:
    return float(_matching(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", raw))


def _truth(raw: Any) -> bool:
    return _matching("true|false", raw) == "true"


def _moment(raw: Any) -> dt.datetime:
    found = dt.datetime.fromisoformat(_matching(r"[0-9TZ:.+-]{10,40}", raw))
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


SCALARS: Final[Scalars] = {
    "string": JSON["string"],
    "integer": _integer,
    "long": _long,
    "double": _number,
    "float": _number,
    "boolean": _truth,
    "timestamp": _moment,
    "blob": JSON["blob"],
}
