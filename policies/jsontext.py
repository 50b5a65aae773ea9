"""JSON from outside, read in the one way that every parser agrees on, or refused.

Manifests and policies are kept as text and read again by other programs, so whatever two parsers may read differently
is no input: a key that appears twice, NaN and infinities, integers beyond 64 bits, half of a surrogate pair, a byte
order mark. Depth and number of brackets are bounded before anything is built, so that a hostile text costs linear
time and memory. Sources: RFC 8259, sections 4, 6, 8 and 9; RFC 7493 (I-JSON).
"""

import collections
import json
import re
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 64
MAX_CONTAINERS: Final = 200_000  # objects and arrays; a text of `{},{},...` would else take twenty times its size
MAX_INT: Final = 2**63 - 1

# A JSON string, or the rest of the text after a quote that nothing closes: every quote then matches at once, so that
# the scan is linear also where the text is no JSON.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]+")
_AS_PARENTHESES = str.maketrans("[]{}", "()()")


class NotJson(ValueError):
    """The text is not JSON, or not JSON with one reading; `str()` is a reason fit to be shown to a client."""


def loads(text: str | bytes) -> Any:
    """The value of `text`; bytes are UTF-8. Raises NotJson."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as trouble:
            raise NotJson(f"not UTF-8 at byte {trouble.start}") from None
    elif not _encodes(text):
        raise NotJson("the text holds half of a surrogate pair")
    _check_brackets(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
        )
    except json.JSONDecodeError as trouble:
        raise NotJson(f"not JSON: {trouble.msg} at character {trouble.pos}") from None
    if "\\u" in text and not _encodes(value):  # only an escape can smuggle half of a pair through UTF-8
        raise NotJson("a string holds half of a surrogate pair")
    return value


def shown(text: str) -> str:
    """A string of the document in quotes, short and printable, for a message."""
    return json.dumps(text if len(text) <= 64 else text[:61] + "...")


def _check_brackets(text: str) -> None:
    """Each round takes away the innermost pairs of brackets; what is left after all rounds is too deep."""
    brackets = _NO_BRACKETS.sub("", _STRING.sub("", text)).translate(_AS_PARENTHESES)
    if len(brackets) > 2 * MAX_CONTAINERS:
        raise NotJson(f"more than {MAX_CONTAINERS} objects and arrays")
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace("()", "")
    if brackets:
        raise NotJson(f"not JSON: brackets do not match, or are nested more than {MAX_DEPTH} levels deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        raise NotJson(f"the key {shown(counts.most_common(1)[0][0])} appears twice in one object")
    return found


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 20 else MAX_INT + 1  # int() of very many digits is slow or raises by itself
    if not -MAX_INT <= value <= MAX_INT:
        raise NotJson("an integer does not fit in 64 bits")
    return value


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise NotJson("a number is out of range")
    return value


def _encodes(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _constant(text: str) -> NoReturn:
    raise NotJson(f"not JSON: {text} is no JSON value")
