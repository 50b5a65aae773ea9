"""`*` (any run of characters, also none) and `?` (exactly one) against a whole string.

Not fnmatch and not a regular expression: `[`, `/`, `.` and a line break are characters like others, the match is
always whole, and no pattern makes it slow. The pattern is cut at its stars; each piece between two stars is taken at
its leftmost place, which never loses a match, so nothing is ever tried twice.

Sources: AWS IAM user guide, "IAM JSON policy elements: Resource", "Using wildcards in resource ARNs".
"""

from typing import Final

STAR: Final = "*"
QUESTION: Final = "?"


def matches(pattern: str, text: str, *, question: bool = True, fold: bool = False) -> bool:
    """Whether all of `text` matches `pattern`.

    `question=False`: `?` is a character like others (tag filters know only `*`). `fold`: ASCII letters match in either
    case (names of actions); other letters never fold, so that no look-alike becomes equal.
    """
    if fold:
        pattern, text = _lower(pattern), _lower(text)
    single = question and QUESTION in pattern
    first, *rest = pattern.split(STAR)
    if not rest:
        return len(text) == len(first) and _stands(first, text, 0, single)
    last = rest.pop()
    end = len(text) - len(last)
    if end < len(first) or not _stands(first, text, 0, single) or not _stands(last, text, end, single):
        return False
    position = len(first)
    for piece in rest:
        found = _find(piece, text, position, end, single)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else "".join(c.lower() if c.isascii() else c for c in text)


def _stands(piece: str, text: str, at: int, single: bool) -> bool:
    """Whether `piece` stands in `text` at `at`; the text is long enough."""
    if not single or QUESTION not in piece:
        return text.startswith(piece, at)
    return all(p in (QUESTION, c) for p, c in zip(piece, text[at : at + len(piece)], strict=True))


def _find(piece: str, text: str, start: int, end: int, single: bool) -> int:
    """The leftmost place of `piece` within text[start:end], or -1.

    With `?` in it: one bit for each character of the piece, set while the text read so far ends with the piece up to
    there. All bits move at once, so a text costs one step a character, whatever the piece.
    """
    if not single or QUESTION not in piece:
        return text.find(piece, start, end)
    anything = 0
    places: dict[str, int] = {}
    for index, character in enumerate(piece):
        if character == QUESTION:
            anything |= 1 << index
        else:
            places[character] = places.get(character, 0) | 1 << index
    whole, state = 1 << (len(piece) - 1), 0
    for index in range(start, end):
        state = (state << 1 | 1) & (places.get(text[index], 0) | anything)
        if state & whole:
            return index + 1 - len(piece)
    return -1
