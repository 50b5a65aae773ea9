"""What is lawful in a policy and probably not meant: remarks for who wrote it, each with its place.

A remark never stands in the way: a policy that only gets remarks is accepted as it is. Each rule says only what is
certain from the text; what it is silent about may still be wrong.

Sources: AWS IAM user guide, "Access Analyzer policy check reference"; the evaluation rules in `policies/access.py`.
"""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from policies import jsontext, operators, values
from policies.conditions import Condition
from policies.documents import Policy, Statement, Version
from policies.principals import EVERYONE
from policies.variables import Keys
from policies.wildcards import QUESTION, lower, matches

_VARIABLE: Final = "${"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something to look at: `path` is the JSON path, with every statement counted as one of a list."""

    path: str
    text: str


def lint(policy: Policy, known_actions: Collection[str]) -> list[Remark]:
    """All remarks, in the order of the statements. `known_actions` are whole names (`ecr:PutImage`) of the services of
    which all are known; actions of other services are not looked at."""
    known = _Known(known_actions)
    found: list[Remark] = []
    for index, statement in enumerate(policy.statements):
        path = f"$.Statement[{index}]"
        found += _actions(statement, path, known)
        found += _too_wide(statement, path)
        found += _variables_of_old(policy.version, statement, path)
        found += _conditions(statement, path, policy.version)
    return found + list(_superfluous(policy.statements))


# --- actions ----------------------------------------------------------------------------------------------------------


class _Known:
    def __init__(self, actions: Collection[str]) -> None:
        self.actions = [lower(action) for action in actions]
        self.services = {action.partition(":")[0] for action in self.actions}

    def lacks(self, pattern: str) -> bool:
        """Whether the pattern is about services that are known and matches none of their actions."""
        service = lower(pattern).partition(":")[0]
        return service in self.services and not any(matches(pattern, action, fold=True) for action in self.actions)


def _actions(statement: Statement, path: str, known: _Known) -> Iterator[Remark]:
    element = "Action" if statement.actions else "NotAction"
    texts = statement.actions or statement.not_actions
    for text in texts:
        if known.lacks(text):
            yield Remark(path=f"{path}.{element}", text=f"{jsontext.shown(text)} matches no action that there is")
    yield from _repeated([lower(text) for text in texts], texts, f"{path}.{element}")
    resources = statement.resources or statement.not_resources
    yield from _repeated(resources, resources, f"{path}.{'Resource' if statement.resources else 'NotResource'}")


def _repeated(compared: Sequence[str], shown: Sequence[str], path: str) -> Iterator[Remark]:
    """Texts of a list that another one makes superfluous: an equal one before it, or a wider one anywhere."""
    for index, text in enumerate(compared):
        for other, wider in enumerate(compared):
            if _covers(wider, text) and (other < index or not _covers(text, wider)):
                yield Remark(
                    path=path, text=f"{jsontext.shown(shown[index])} is already in {jsontext.shown(shown[other])}"
                )
                break


# --- too much ---------------------------------------------------------------------------------------------------------


def _too_wide(statement: Statement, path: str) -> Iterator[Remark]:
    if statement.effect != "Allow":
        return
    if EVERYONE in statement.principals and not statement.conditions:
        yield Remark(path=f"{path}.Principal", text="allows everyone, also who has not logged in")
    if statement.not_actions:
        yield Remark(path=f"{path}.NotAction", text="allows every other action there is, and those that will be added")
    if statement.not_resources:
        yield Remark(path=f"{path}.NotResource", text="allows it on every other resource, and those that will be added")


def _variables_of_old(version: Version, statement: Statement, path: str) -> Iterator[Remark]:
    if version == "2012-10-17":
        return
    texts = (*statement.resources, *statement.not_resources, *(v for c in statement.conditions for v in c.values))
    for text in texts:
        if _VARIABLE in text:
            yield Remark(path=path, text=f"{jsontext.shown(text)} is no variable without Version 2012-10-17")


# --- conditions that nothing satisfies --------------------------------------------------------------------------------


def _conditions(statement: Statement, path: str, version: Version) -> Iterator[Remark]:
    by_key = itertools.groupby(sorted(statement.conditions, key=lambda each: each.key), key=lambda each: each.key)
    for key, group in by_key:
        if _never(list(group), version):
            yield Remark(path=f"{path}.Condition", text=f"no value of {jsontext.shown(key)} satisfies all of it")


def _never(conditions: list[Condition], version: Version) -> bool:
    """Whether no value of their key can satisfy all of them, as far as can be told. Left out: what has variables, and
    what has a quantifier; what has none is about keys with one value."""
    fixed = [
        each
        for each in conditions
        if each.operator.quantifier is None and not any(_VARIABLE in text for text in each.values)
    ]
    tests = [operators.compiled(each, version) for each in fixed]
    if all(test(Keys({})) for test in tests):
        return False
    if _is_empty_range(fixed):
        return True
    candidates = _candidates(fixed)
    key = fixed[0].key
    return candidates is not None and not any(all(test(Keys({key: value})) for test in tests) for value in candidates)


def _candidates(conditions: list[Condition]) -> Collection[str] | None:
    """Values of which one satisfies all the conditions if any value does; None where they cannot be listed.

    A number has many spellings, which are one to numeric operators and not to others: it can only be listed for them.
    """
    families = {each.operator.family for each in conditions} - {"null"}
    for each in conditions:
        if not each.values and not each.operator.negated:
            return ()
        if each.operator.family == "null" and values.boolean("".join(each.values)):
            return ()
        if each.operator.name == "StringEquals" or (len(families) == 1 and each.operator.name in _LISTING):
            return each.values
        if families == {"bool"}:
            return ("true", "false")
    return None


def _is_empty_range(conditions: list[Condition]) -> bool:
    """Whether what has to be greater than one number, or date, has to be less than a smaller one."""
    for family, read in _ORDERED.items():
        low: list[tuple[int, bool]] = []  # an end of the range, and whether the end itself is out of it
        high: list[tuple[int, bool]] = []
        for each in conditions:
            name = each.operator.name
            if each.operator.family != family or not each.values:
                continue
            numbers = [number for text in each.values if (number := read(text)) is not None]
            if "Greater" in name:
                low.append((min(numbers), not name.endswith("Equals")))
            elif "Less" in name:
                high.append((max(numbers), not name.endswith("Equals")))
        for (start, open_start), (end, open_end) in itertools.product(low, high):
            if start > end or (start == end and (open_start or open_end)):
                return True
    return False


# The value is one of those that are written there, if there is one.
_LISTING: Final = frozenset({"NumericEquals", "DateEquals", "BinaryEquals"})
_ORDERED: Final[Mapping[str, Callable[[str], int | None]]] = {"numeric": values.number, "date": values.instant}


# --- statements that other ones make superfluous ----------------------------------------------------------------------


def _superfluous(statements: Sequence[Statement]) -> Iterator[Remark]:
    for index, statement in enumerate(statements):
        for other, wider in enumerate(statements):
            if not _speaks_of_all(wider, statement):
                continue
            path = f"$.Statement[{index}]"
            if wider.effect == statement.effect and (other < index or not _speaks_of_all(statement, wider)):
                yield Remark(path=path, text=f"says nothing that $.Statement[{other}] does not say")
                break
            if wider.effect == "Deny" and statement.effect == "Allow":
                yield Remark(path=path, text=f"allows only what $.Statement[{other}] denies")
                break


def _speaks_of_all(wider: Statement, other: Statement) -> bool:
    """Whether `wider` surely speaks of every request of which `other` does."""
    return (
        set(wider.conditions) <= set(other.conditions)
        and _same_or_wider(wider.not_actions, other.not_actions, wider.actions, other.actions, fold=True)
        and _same_or_wider(wider.not_resources, other.not_resources, wider.resources, other.resources, fold=False)
        and wider.not_principals == other.not_principals
        and (EVERYONE in wider.principals or set(wider.principals) >= set(other.principals))
    )


def _same_or_wider(
    wider_not: Sequence[str], other_not: Sequence[str], wider: Sequence[str], other: Sequence[str], *, fold: bool
) -> bool:
    """Of an element and its Not element. What a Not element leaves is only compared with the same Not element."""
    if not wider and not wider_not:
        return True  # without the element the statement is about whatever its policy hangs on
    if not wider or not other:
        return wider_not == other_not and wider == other
    form = lower if fold else str
    return all(any(_covers(form(pattern), form(text)) for pattern in wider) for text in other)


def _covers(pattern: str, text: str) -> bool:
    """Whether `pattern` surely matches whatever the pattern `text` does: a star takes the wildcards of `text` for
    characters and rightly so; a question mark would not, and variables are not known here."""
    if pattern == text:
        return True
    return QUESTION not in pattern and _VARIABLE not in pattern and matches(pattern, text)
