"""`*` (any run of characters, also none) and `?` (exactly one) against a whole string.

Not fnmatch and not a regular expression: `[`, `/`, `.` and a line break are characters like others, the match is
always whole, and no pattern makes it slow. The pattern is cut at its stars; each piece between two stars is taken at
its leftmost place, which never loses a match, so nothing is ever tried twice.

Sources: AWS IAM user guide, "IAM JSON policy elements: Resource", "Using wildcards in resource ARNs".
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Final, Self

STAR: Final = "*"
QUESTION: Final = "?"


class Verbatim(str):
    """Text of a pattern in which `*` and `?` are characters like others: what a variable stands for."""

    __slots__ = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """What stands between two stars: its characters, and the places in it where any character may stand."""

    text: str
    any_at: frozenset[int] = frozenset()
    runs: tuple[tuple[int, str], ...] = ()  # where there are such places: (place, characters) of what is between them

    @classmethod
    def of(cls, text: str, any_at: Iterable[int]) -> Self:
        places = sorted(any_at)
        if not places:
            return cls(text)
        spans = zip([0, *(place + 1 for place in places)], [*places, len(text)], strict=True)
        return cls(text, frozenset(places), tuple((start, text[start:end]) for start, end in spans if start < end))


@dataclasses.dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern, cut at its stars: at least one piece."""

    pieces: tuple[Piece, ...]

    def matches(self, text: str) -> bool:
        """Whether all of `text` matches."""
        first, last = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return len(text) == len(first.text) and _stands(first, text, 0)
        position, end = len(first.text), len(text) - len(last.text)
        if end < position or not _stands(first, text, 0) or not _stands(last, text, end):
            return False
        for piece in self.pieces[1:-1]:
            found = _find(piece, text, position, end)
            if found < 0:
                return False
            position = found + len(piece.text)
        return True


def compiled(parts: Iterable[str], *, question: bool = True) -> Pattern:
    """The pattern that `parts` are together. `question=False`: `?` is a character like others."""
    pieces: list[Piece] = []
    text, any_at = "", set[int]()
    for part in parts:
        if isinstance(part, Verbatim):
            text += part
            continue
        for number, run in enumerate(part.split(STAR)):
            if number:
                pieces.append(Piece.of(text, any_at))
                text, any_at = "", set()
            if question and QUESTION in run:
                any_at |= {len(text) + place for place, character in enumerate(run) if character == QUESTION}
            text += run
    return Pattern((*pieces, Piece.of(text, any_at)))


def matches(pattern: str, text: str, *, question: bool = True, fold: bool = False) -> bool:
    """Whether all of `text` matches `pattern`.

    `question=False`: `?` is a character like others (tag filters know only `*`). `fold`: ASCII letters match in either
    case (names of actions); other letters never fold, so that no look-alike becomes equal.
    """
    if fold:
        pattern, text = lower(pattern), lower(text)
    return _kept(pattern, question).matches(text)


def lower(text: str) -> str:
    """The text with its ASCII letters in lower case."""
    return text.lower() if text.isascii() else "".join(c.lower() if c.isascii() else c for c in text)


@functools.lru_cache(maxsize=1024)
def _kept(pattern: str, question: bool) -> Pattern:
    return compiled((pattern,), question=question)


def _stands(piece: Piece, text: str, at: int) -> bool:
    """Whether `piece` stands in `text` at `at`; the text is long enough."""
    if not piece.any_at:
        return text.startswith(piece.text, at)
    for place, run in piece.runs:  # noqa: SIM110 # all() would take twice as long, and this is asked most of all
        if not text.startswith(run, at + place):
            return False
    return True


def _find(piece: Piece, text: str, start: int, end: int) -> int:
    """The leftmost place of `piece` within text[start:end], or -1.

    With `?` in it: one bit for each character of the piece, set while the text read so far ends with the piece up to
    there. All bits move at once, so a text costs one step a character, whatever the piece.
    """
    if not piece.any_at:
        return text.find(piece.text, start, end)
    anything = 0
    places: dict[str, int] = {}
    for index, character in enumerate(piece.text):
        if index in piece.any_at:
            anything |= 1 << index
        else:
            places[character] = places.get(character, 0) | 1 << index
    whole, state = 1 << (len(piece.text) - 1), 0
    for index in range(start, end):
        state = (state << 1 | 1) & (places.get(text[index], 0) | anything)
        if state & whole:
            return index + 1 - len(piece.text)
    return -1
