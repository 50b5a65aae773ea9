"""How long a lifecycle decision takes: many images, many rules, and rules of the worst kind.

    python bench/lifecycle.py             half a minute; exit status 1 where a target is missed
    python bench/lifecycle.py --rounds 20

A round is one call of `decide` on images that are in memory. Time is this process's own on the processor, so that other
programs do not count. The target is a second for ten thousand images; ten times as many images stand beside it, to show
that no step is quadratic.
"""

import datetime as dt
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench import thread_time
from policies.lifecycle import Candidate, Policy, decide, parse
from policies.lifecycle_rules import MAX_TEXT

NOW: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TARGET: Final = 1_000.0
MANY: Final = 10_000
_LETTERS: Final = "".join(f"{number:02}" for number in range(50))


def _cases() -> list[thread_time.Case]:
    usual, many, wide = _usual(), _many("release{}-"), _many("v{}")
    flat = _flat(MANY)
    built = _built(MANY)
    chain = [_image(0, ("v",)), *(_image(level, (), parents=(_digest(level - 1),)) for level in range(1, MANY))]
    part_of_many = [*(_image(at, (f"v{at}",)) for at in range(MANY - 5)), *_parts_of_all(MANY - 5, 5)]
    return [
        ("10,000 images, four rules", TARGET, _deciding(usual, flat)),
        ("100,000 images, four rules", None, _deciding(usual, _flat(10 * MANY))),
        ("10,000 images in indexes of three with signatures", TARGET, _deciding(usual, built)),
        ("100,000 images in indexes of three with signatures", None, _deciding(usual, _built(10 * MANY))),
        ("10,000 images, fifty rules, each for some", TARGET, _deciding(many, flat)),
        ("10,000 images, fifty rules, all for all", TARGET, _deciding(_all_for_all(), flat)),
        ("10,000 images with ten tags each, fifty rules", TARGET, _deciding(wide, _tagged(MANY, 10))),
        ("10,000 images in a chain of indexes", TARGET, _deciding(usual, chain)),
        ("10,000 images, five of them listed by all others", TARGET, _deciding(usual, part_of_many)),
        ("10,000 images, 30 KB of patterns that match all", None, _deciding(_wild(), _alike(MANY))),
        ("to read a policy of 30 KB", None, lambda: _wild()),
    ]


def _deciding(policy: Policy, images: Sequence[Candidate]) -> Callable[[], object]:
    found = decide(policy, images, NOW)
    assert len(found.verdicts) + len(found.kept) == len(images)
    return lambda: decide(policy, images, NOW)


# --- images -----------------------------------------------------------------------------------------------------------


def _digest(number: int) -> str:
    return f"sha256:{number * 2654435761 % 2**64:064x}"


def _image(number: int, tags: tuple[str, ...], **more: Any) -> Candidate:
    return Candidate(digest=_digest(number), tags=tags, pushed_at=NOW - dt.timedelta(minutes=number), **more)


def _flat(count: int) -> list[Candidate]:
    """Releases, builds and untagged ones by turns."""
    kinds = ("release{}-{}", "build-{}-{}", "dev-{}-{}", "")
    return [
        _image(number, (kinds[number % 4].format(number % 48, number),) if number % 4 < 3 else ())
        for number in range(count)
    ]


def _built(count: int) -> list[Candidate]:
    """Indexes with three parts and a signature each."""
    found: list[Candidate] = []
    for first in range(0, count, 5):
        index = _digest(first)
        found.append(_image(first, (f"release{first % 48}-{first}",), index=True))
        found += [_image(first + part, (), parents=(index,)) for part in (1, 2, 3)]
        found.append(_image(first + 4, (), subject=index))
    return found


def _alike(count: int) -> list[Candidate]:
    return [_image(number, (f"{_LETTERS}{number}",)) for number in range(count)]


def _tagged(count: int, tags: int) -> list[Candidate]:
    return [_image(number, tuple(f"v{tag}-{number}" for tag in range(tags))) for number in range(count)]


def _parts_of_all(indexes: int, parts: int) -> list[Candidate]:
    every = tuple(_digest(number) for number in range(indexes))
    return [_image(indexes + number, (), parents=every) for number in range(parts)]


# --- rules ------------------------------------------------------------------------------------------------------------


def _rule(priority: int, selection: dict[str, Any], *, count: int = 0, days: int = 0) -> dict[str, Any]:
    bound: dict[str, Any] = {"countType": "imageCountMoreThan", "countNumber": count}
    if days:
        bound = {"countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}
    return {"rulePriority": priority, "selection": selection | bound, "action": {"type": "expire"}}


def _matching(*patterns: str) -> dict[str, Any]:
    return {"tagStatus": "tagged", "tagPatternList": list(patterns)}


def _policy(rules: list[dict[str, Any]]) -> Policy:
    text = json.dumps({"rules": rules}, separators=(",", ":"))
    assert len(text) <= MAX_TEXT, len(text)
    return parse(text)


def _usual() -> Policy:
    return _policy(
        [
            _rule(1, _matching("release*"), count=100),
            _rule(2, _matching("build-*"), days=3),
            _rule(3, {"tagStatus": "untagged"}, days=1),
            _rule(4, {"tagStatus": "any"}, count=1_000),
        ]
    )


def _many(beginning: str) -> Policy:
    rules = [_rule(number + 1, _matching(f"{beginning.format(number)}*"), count=10) for number in range(49)]
    return _policy([*rules, _rule(50, {"tagStatus": "any"}, count=1_000)])


def _all_for_all() -> Policy:
    """Each rule selects every tagged image, and no beginning of a tag helps."""
    texts = ("*", "**", "***", "****", "*-*", "**-*")
    lists = [chosen for size in range(1, 7) for chosen in itertools.combinations(texts, size)]
    rules = [_rule(number + 1, _matching(*chosen), count=9_999) for number, chosen in enumerate(lists[:49])]
    return _policy([*rules, _rule(50, {"tagStatus": "any"}, count=1_000)])


def _wild() -> Policy:
    """As many patterns as fit, each found in every tag of `_alike`."""
    texts = {
        f"*{_LETTERS[at : at + 3]}*{_LETTERS[at + gap : at + gap + 3]}*" for at in range(40) for gap in range(3, 60)
    }
    return _policy([_rule(1, _matching(*sorted(texts)), count=1)])


if __name__ == "__main__":
    thread_time.main(__doc__, _cases, rounds=5, percent=100, digits=1)
