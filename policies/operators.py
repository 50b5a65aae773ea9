"""How a condition is decided: one condition, once compiled, says of any request's keys whether it holds.

    the key is absent            false; true if the operator is negated, has IfExists or is ForAllValues
    no quantifier                any value of the request that matches makes it true
    ForAllValues, ForAnyValue    each value of the request, or one of them, has to match by itself
    negated (Not...)             matching is to be none of the policy's values

A value "matches" when it matches any of the policy's values. A value of the request that is not of the operator's
kind (`abc` as a number) matches nothing. For quantifiers an empty string is no value.

Sources: AWS IAM user guide, "IAM JSON policy elements: Condition operators", "Single-valued vs. multivalued context
keys", "Conditions with multiple context keys or values".
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from policies import values, variables
from policies.conditions import Condition
from policies.documents import Version
from policies.variables import Keys
from policies.wildcards import Pattern, Verbatim
from policies.wildcards import compiled as pattern_of

Test = Callable[[Keys], bool]
Match = Callable[[str, Keys], bool]  # whether a value of the request matches any of the policy's values
V = TypeVar("V")

_ARN_PARTS: Final = 6


def compiled(condition: Condition, version: Version) -> Test:
    """The test that `condition` is; `version` is the policy's."""
    operator, key = condition.operator, condition.key
    if operator.family == "null":
        wanted = {values.boolean(text) for text in condition.values}
        return lambda keys: (not keys.has(key)) in wanted
    match = _MATCHES[operator.name.replace("Not", "")](condition.values, version)
    negated, quantifier = operator.negated, operator.quantifier
    absent = operator.if_exists or quantifier == "ForAllValues" or (negated and quantifier is None)

    def holds(keys: Keys) -> bool:
        found = keys.of(key)
        if not found or (quantifier and not any(found)):
            return absent
        if quantifier == "ForAllValues":
            return all(match(value, keys) is not negated for value in found)
        if quantifier == "ForAnyValue":
            return any(match(value, keys) is not negated for value in found)
        return any(match(value, keys) for value in found) is not negated

    return holds


# --- strings and ARNs: their values may hold variables ----------------------------------------------------------------


def _equal(form: Callable[[str], Hashable | None]) -> Callable[[Sequence[str], Version], Match]:
    """Equality of whole texts, after `form`; a text whose form is None equals nothing."""

    def matching(texts: Sequence[str], version: Version) -> Match:
        fixed, open_ones = variables.sorted_out(texts, version)
        known = {form("".join(parts)) for parts in fixed} - {None}

        def match(value: str, keys: Keys) -> bool:
            own = form(value)
            return own in known or any(
                parts is not None and own is not None and form("".join(parts)) == own
                for parts in (variables.resolved(each, keys) for each in open_ones)
            )

        return match

    return matching


def _alike(cut: Callable[[Iterable[str]], V | None], fits: Callable[[V, str], bool]) -> Callable[..., Match]:
    """Likeness to a pattern: `cut` makes it of its parts, or None of what can match nothing."""

    def matching(texts: Sequence[str], version: Version) -> Match:
        fixed, open_ones = variables.sorted_out(texts, version)
        known = [pattern for parts in fixed if (pattern := cut(parts)) is not None]

        def match(value: str, keys: Keys) -> bool:
            if any(fits(pattern, value) for pattern in known):
                return True
            for each in open_ones:
                parts = variables.resolved(each, keys)
                pattern = None if parts is None else cut(parts)
                if pattern is not None and fits(pattern, value):
                    return True
            return False

        return match

    return matching


def _arn_patterns(parts: Iterable[str]) -> tuple[Pattern, ...] | None:
    """One pattern for each of the six parts of an ARN; colons beyond the fifth belong to the last part."""
    found: list[list[str]] = [[]]
    for part in parts:
        first, *others = part.split(":", _ARN_PARTS - len(found))
        kind = type(part) if isinstance(part, Verbatim) else str
        found[-1].append(kind(first))
        found += [[kind(other)] for other in others]
    return tuple(pattern_of(each) for each in found) if len(found) == _ARN_PARTS else None


def _arn_fits(patterns: tuple[Pattern, ...], value: str) -> bool:
    parts = value.split(":", _ARN_PARTS - 1)
    return len(parts) == _ARN_PARTS and all(
        pattern.matches(part) for pattern, part in zip(patterns, parts, strict=True)
    )


# --- values that are no text ------------------------------------------------------------------------------------------


def _compare(read: Callable[[str], V | None], holds: Callable[[Any, Any], bool]) -> Callable[..., Match]:
    """A comparison of a value of the request, on the left, with one of the policy's."""
    return _between(read, read, holds)


def _between(
    read_own: Callable[[str], Any], read_policy: Callable[[str], Any], holds: Callable[[Any, Any], bool]
) -> Callable[..., Match]:
    def matching(texts: Sequence[str], _: Version) -> Match:
        known = [read_policy(text) for text in texts]
        if None in known:
            raise ValueError("a condition has a value that is not of its operator's kind")

        def match(value: str, _: Keys) -> bool:
            own = read_own(value)
            return own is not None and any(holds(own, other) for other in known)

        return match

    return matching


def _within(address: values.Address, network: values.Network) -> bool:
    return address in network


_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "Equals": lambda own, other: own == other,
    "LessThan": lambda own, other: own < other,
    "LessThanEquals": lambda own, other: own <= other,
    "GreaterThan": lambda own, other: own > other,
    "GreaterThanEquals": lambda own, other: own >= other,
}
_ARN_LIKE: Final = _alike(_arn_patterns, _arn_fits)
_MATCHES: Final[Mapping[str, Callable[[Sequence[str], Version], Match]]] = {
    "StringEquals": _equal(lambda text: text),
    "StringEqualsIgnoreCase": _equal(str.casefold),
    "StringLike": _alike(pattern_of, Pattern.matches),
    "ArnEquals": _ARN_LIKE,
    "ArnLike": _ARN_LIKE,
    "Bool": _equal(values.boolean),
    "BinaryEquals": _compare(values.octets, _ORDERS["Equals"]),
    "IpAddress": _between(values.address, values.network, _within),
    **{f"Numeric{name}": _compare(values.number, order) for name, order in _ORDERS.items()},
    **{f"Date{name}": _compare(values.instant, order) for name, order in _ORDERS.items()},
}
