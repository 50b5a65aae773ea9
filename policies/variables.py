"""Variables of a policy, `${aws:username}`, and the keys of a request that they and the conditions ask for.

A text is read once into parts: pattern text, text that stands for itself, and variables. What a variable stands for is
always text that stands for itself, so that no value of a request can bring a wildcard into a policy. A variable stands
for nothing, and its text then matches nothing, when the request lacks its key or may have several values of it.

Only policies of version 2012-10-17 have variables; for the others `${` is text like any other.

Source: AWS IAM user guide, "IAM policy elements: Variables and tags".
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Final

from policies.documents import Version
from policies.wildcards import QUESTION, STAR, Verbatim

_OPENING: Final = "${"
_WITH_DEFAULT = re.compile(r"([^',]+), *'([^']*)'")
_CHARACTERS: Final = frozenset({"*", "?", "$"})  # `${*}` is the character `*`
_KNOWS_VARIABLES: Final = "2012-10-17"
_LONGEST: Final = 65_536  # characters; a text full of variables, each with a long value, would else fill the memory


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """A key of the request, case folded, and what stands in for it when it has no value."""

    key: str
    default: str | None = None


Part = str | Variable  # a str is a piece of a pattern, or Verbatim


class Keys:
    """The condition keys of one request. Their names do not depend on case.

    `asked` collects the keys that were looked at: all that a decision depends on. `absent` are those of them that the
    request lacks: what `explain` tells, and the simulator calls missing.
    """

    __slots__ = ("_values", "absent", "asked")

    def __init__(self, context: Mapping[str, str | tuple[str, ...]]) -> None:
        self._values: dict[str, str | tuple[str, ...]] = {name.casefold(): value for name, value in context.items()}
        self.absent: set[str] = set()
        self.asked: set[str] = set()
        if len(self._values) != len(context):
            raise ValueError("a condition key is there twice, in different capitalization")
        for name, value in self._values.items():
            if not isinstance(value, str) and not (isinstance(value, tuple) and all(isinstance(v, str) for v in value)):
                raise TypeError(f"the condition key {name} is neither a string nor a tuple of strings")

    def has(self, key: str) -> bool:
        """Whether the request has a value of the key; a key with no values at all is not there."""
        self.asked.add(key)
        return self._values.get(key, ()) != ()

    def of(self, key: str) -> tuple[str, ...]:
        """All values of the key; none when it is not there."""
        self.asked.add(key)
        value = self._values.get(key, ())
        if value == ():
            self.absent.add(key)
        return (value,) if isinstance(value, str) else value

    def single(self, key: str) -> str | None:
        """The value of a key that never has several, else None."""
        self.asked.add(key)
        value = self._values.get(key)
        if value is None:
            self.absent.add(key)
        return value if isinstance(value, str) else None


def read(text: str, version: Version) -> tuple[Part, ...]:
    """The parts of a text of a policy. An opening `${` that nothing closes is text."""
    if version != _KNOWS_VARIABLES:
        return (text,)
    before, *pieces = text.split(_OPENING)
    parts: list[Part] = [before]
    for piece in pieces:
        name, closed, rest = piece.partition("}")
        parts += [_named(name), rest] if closed else [_OPENING + piece]
    return tuple(part for part in parts if part != "")


def _named(name: str) -> Part:
    if name in _CHARACTERS:
        return Verbatim(name)
    found = _WITH_DEFAULT.fullmatch(name)
    return Variable(found[1].casefold(), found[2]) if found else Variable(name.casefold())


def sorted_out(texts: Iterable[str], version: Version) -> tuple[list[tuple[str, ...]], list[tuple[Part, ...]]]:
    """The parts of each text: first of those that are the same for every request, then of those with a variable."""
    fixed: list[tuple[str, ...]] = []
    with_variables: list[tuple[Part, ...]] = []
    for text in texts:
        parts = read(text, version)
        same = tuple(part for part in parts if isinstance(part, str))
        if len(same) == len(parts):
            fixed.append(same)
        else:
            with_variables.append(parts)
    return fixed, with_variables


def ends(parts: tuple[Part, ...]) -> tuple[str, str]:
    """How every text that the parts can match begins, and how it ends."""
    first, last = parts[0], parts[-1]
    return _run(first, 0), _run(last, -1)


def _run(part: Part, end: int) -> str:
    """The characters of a part up to its first wildcard, or after its last one (`end` is -1)."""
    if isinstance(part, Variable):
        return ""
    return part if isinstance(part, Verbatim) else part.replace(QUESTION, STAR).split(STAR)[end]


def resolved(parts: tuple[Part, ...], keys: Keys) -> tuple[str, ...] | None:
    """The parts with their variables replaced, or None when one of them stands for nothing."""
    found: list[str] = []
    for part in parts:
        if isinstance(part, Variable):
            value = keys.single(part.key)
            value = part.default if value is None else value
            if value is None:
                return None
            part = Verbatim(value)
        found.append(part)
    if sum(map(len, found)) > _LONGEST:
        raise ValueError(f"a text with its variables replaced has more than {_LONGEST} characters")
    return tuple(found)
