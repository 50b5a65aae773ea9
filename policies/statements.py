"""A statement made ready to be asked many times: does it speak of this caller, action, resource and circumstances?

What can be done once is done once: names of actions folded, patterns cut, dates and addresses read. A statement that
does not name resources speaks of whatever its policy hangs on, one that does not name principals of whoever has it.

Sources: AWS IAM user guide, "IAM JSON policy element reference".
"""

from collections.abc import Callable, Iterable, Mapping

from policies import operators, variables, wildcards
from policies.callers import Meant, Name, Way
from policies.documents import Effect, Policy, Statement, Version
from policies.variables import Keys
from policies.wildcards import Pattern


class Asked:
    """One request, made ready to be put to many statements."""

    __slots__ = ("action", "keys", "names", "resource")

    def __init__(self, *, action: str, resource: str, names: Mapping[Name, Way], keys: Keys) -> None:
        self.action = wildcards.lower(action)
        self.resource, self.names, self.keys = resource, names, keys


class Rule:
    """A statement. `position` is its place in the policy, from 0."""

    __slots__ = ("_on", "_tests", "_what", "_who", "effect", "position", "sid")

    def __init__(self, statement: Statement, position: int, version: Version) -> None:
        self.effect: Effect = statement.effect
        self.sid, self.position = statement.sid, position
        self._who = _principals(statement)
        self._what = _actions(statement)
        self._on = _resources(statement, version)
        self._tests = [operators.compiled(condition, version) for condition in statement.conditions]

    def speaks_of(self, asked: Asked) -> Way | None:
        """In which way the statement is about the request, or None when it is not.

        Every condition is asked, also after one that fails, so that all keys that are absent are known.
        """
        way = self._who(asked.names)
        if way is None or not self._what(asked.action) or not self._on(asked.resource, asked.keys):
            return None
        return way if all([test(asked.keys) for test in self._tests]) else None


def rules(policy: Policy) -> tuple[Rule, ...]:
    return tuple(Rule(statement, index, policy.version) for index, statement in enumerate(policy.statements))


def _principals(statement: Statement) -> Callable[[Mapping[Name, Way]], Way | None]:
    if statement.not_principals:
        excepted = Meant(statement.not_principals)
        return lambda names: None if excepted.all_of(names) else "direct"
    if statement.principals:
        return Meant(statement.principals).way
    return lambda _: "direct"


def _actions(statement: Statement) -> Callable[[str], bool]:
    """Whether the statement is about an action, in lower case."""
    folded = [wildcards.lower(text) for text in statement.actions or statement.not_actions]
    plain = frozenset(text for text in folded if not _has_wildcard(text))
    starts = tuple(text[:-1] for text in folded if text.endswith(wildcards.STAR) and not _has_wildcard(text[:-1]))
    # Most patterns are a beginning and a star, and all beginnings are tried at once; a pattern that goes on after
    # such a beginning adds nothing to it.
    patterns = [wildcards.compiled((text,)) for text in folded if text not in plain and not text.startswith(starts)]
    about = not statement.not_actions
    return lambda action: (action in plain or action.startswith(starts) or _any_matches(patterns, action)) is about


def _has_wildcard(text: str) -> bool:
    return wildcards.STAR in text or wildcards.QUESTION in text


def _any_matches(patterns: Iterable[Pattern], text: str) -> bool:
    return any(pattern.matches(text) for pattern in patterns)


def _resources(statement: Statement, version: Version) -> Callable[[str, Keys], bool]:
    """Whether the statement is about a resource. A text with a variable that stands for nothing matches none.

    A pattern is matched against the ARN as a whole: names of our resources hold no colon, so that a `*` finds nothing
    beyond the part of the ARN in which it stands.
    """
    texts = statement.resources or statement.not_resources
    if not texts:
        return lambda resource, keys: True
    fixed, with_variables = variables.sorted_out(texts, version)
    patterns = [wildcards.compiled(parts) for parts in fixed]
    templates = [(parts, *variables.ends(parts)) for parts in with_variables]
    about = not statement.not_resources

    def among(resource: str, keys: Keys) -> bool:
        if _any_matches(patterns, resource):
            return True
        for template, start, end in templates:
            if resource.startswith(start) and resource.endswith(end):  # replacing variables costs more than this
                parts = variables.resolved(template, keys)
                if parts is not None and wildcards.compiled(parts).matches(resource):
                    return True
        return False

    return lambda resource, keys: among(resource, keys) is about
