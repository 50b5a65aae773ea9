"""Repositories and lifecycle policies, in a line each.

    rule("1 untagged pushed>14")            what is selected, and the bound beyond which it expires
    rule("2 prefix=prod count>1")           `prefix=a,b` and `pattern=a*,*b` are lists
    rule("3 any pulled>90 archive")         moved to the archive, not expired
    rule("4 any archived>365")              of images in the archive
    rule("5 pattern=v* count>3 keep")       an extension: keeps what is within the bound

    image("A prod-1,beta-1 10d")            digest, tags (`-` for none), how many days ago it was pushed
    image("B - 9d in=A,C")                  indexes that list it
    image("C - 8d on=A")                    its subject
    image("D x 9d pulled=2 restored=3")     days ago
    image("E x 9d archived=2")              in the archive, for two days

Outcomes: `-A` for an image that expires and `~A` for one that goes to the archive, in the order of the verdicts.
Digests are single letters. Pages are of docs.aws.amazon.com, AmazonECR/latest/userguide/<page>.html; `ours` marks what
they leave open, as docs/lifecycle-rules.md tells.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Any

from policies.lifecycle import Candidate, Decisions, Kept, Policy, Verdict, decide, parse

Json = dict[str, Any]

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
COUNT_TYPES = {
    "count": "imageCountMoreThan",
    "pushed": "sinceImagePushed",
    "pulled": "sinceImagePulled",
    "archived": "sinceImageTransitioned",
}


def rule(line: str) -> Json:
    """A rule as in JSON."""
    priority, select, *rest = line.split()
    selection: Json = {"tagStatus": select}
    kind, equals, texts = select.partition("=")
    if equals:
        selection = {"tagStatus": "tagged", {"prefix": "tagPrefixList", "pattern": "tagPatternList"}[kind]: None}
        selection[f"tag{kind.capitalize()}List"] = texts.split(",")
    action: Json = {"type": "expire"}
    for word in rest:
        name, bounded, number = word.partition(">")
        if bounded:
            selection |= {"countType": COUNT_TYPES[name], "countNumber": int(number)}
            selection |= {} if name == "count" else {"countUnit": "days"}
            selection |= {"storageClass": "archive"} if name == "archived" else {}
        elif word == "archive":
            action = {"type": "transition", "targetStorageClass": "archive"}
        elif word == "in-archive":
            selection |= {"storageClass": "archive"}
        else:
            action = {"type": word}
    return {"rulePriority": int(priority), "selection": selection, "action": action}


def rows(table: str) -> list[tuple[str, ...]]:
    """The cells of a table: a line each, `|` between cells; a line that is indented goes on with the one before."""
    lines = table.strip().replace("\n    ", " ").splitlines()
    return [tuple(cell.strip() for cell in line.split("|")) for line in lines]


def text(rules: Iterable[Json]) -> str:
    return json.dumps({"rules": list(rules)})


def policy(lines: str, *, extensions: bool = False) -> Policy:
    """Rules with `;` between them."""
    return parse(text(map(rule, _parts(lines))), extensions=extensions)


def image(line: str) -> Candidate:
    digest, tags, pushed, *rest = line.split()
    words: dict[str, str] = dict(word.split("=") for word in rest)
    return Candidate(
        digest=digest,
        tags=() if tags == "-" else tuple(tags.split(",")),
        pushed_at=ago(float(pushed.removesuffix("d"))),
        pulled_at=_ago(words.get("pulled")),
        activated_at=_ago(words.get("restored")),
        transitioned_at=_ago(words.get("archived")),
        archived="archived" in words,
        parents=tuple(words["in"].split(",")) if "in" in words else (),
        subject=words.get("on"),
    )


def ago(days: float) -> dt.datetime:
    return NOW - dt.timedelta(days=days)


def _ago(days: str | None) -> dt.datetime | None:
    return None if days is None else ago(float(days))


def _parts(lines: str) -> list[str]:
    return [part for part in lines.split(";") if part.strip()]


def decided(rules: str, images: str, *, in_use: Mapping[str, str] | None = None, extensions: bool = False) -> Decisions:
    """Rules and images with `;` between them."""
    found = [image(line) for line in _parts(images)]
    return decide(policy(rules, extensions=extensions), found, NOW, in_use=in_use or {})


def short(decisions: Decisions) -> str:
    return " ".join({"expire": "-", "archive": "~"}[each.action] + each.digest for each in decisions.verdicts)


def reasons(decisions: Decisions) -> dict[str, str]:
    told: list[Verdict | Kept] = [*decisions.verdicts, *decisions.kept]
    return {each.digest: each.reason for each in told}
