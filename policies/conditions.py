"""The `Condition` element as values: which operator, which context key, which values.

Everything that can be known to be wrong is refused here, when the policy is written: an operator that does not exist,
a date that is none. A condition that cannot be decided later would leave a Deny without effect.

Sources: AWS IAM user guide, "IAM JSON policy elements: Condition operators", "Condition", "Single-valued vs.
multivalued context keys".
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final, Literal

from policies import jsontext, values
from policies.elements import LEGACY, PolicyInvalid, mapping

Family = Literal["string", "numeric", "date", "bool", "binary", "ip", "arn", "null"]
Quantifier = Literal["ForAllValues", "ForAnyValue"]

OPERATORS: Final[Mapping[str, Family]] = {
    "StringEquals": "string",
    "StringNotEquals": "string",
    "StringEqualsIgnoreCase": "string",
    "StringNotEqualsIgnoreCase": "string",
    "StringLike": "string",
    "StringNotLike": "string",
    "NumericEquals": "numeric",
    "NumericNotEquals": "numeric",
    "NumericLessThan": "numeric",
    "NumericLessThanEquals": "numeric",
    "NumericGreaterThan": "numeric",
    "NumericGreaterThanEquals": "numeric",
    "DateEquals": "date",
    "DateNotEquals": "date",
    "DateLessThan": "date",
    "DateLessThanEquals": "date",
    "DateGreaterThan": "date",
    "DateGreaterThanEquals": "date",
    "Bool": "bool",
    "BinaryEquals": "binary",
    "IpAddress": "ip",
    "NotIpAddress": "ip",
    "ArnEquals": "arn",
    "ArnLike": "arn",
    "ArnNotEquals": "arn",
    "ArnNotLike": "arn",
    "Null": "null",
}
_QUANTIFIERS: Final[Mapping[str, Quantifier]] = {"ForAllValues": "ForAllValues", "ForAnyValue": "ForAnyValue"}
_IF_EXISTS: Final = "IfExists"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A condition operator, taken apart. `name` is without quantifier and IfExists."""

    name: str
    family: Family
    quantifier: Quantifier | None = None
    if_exists: bool = False

    @property
    def negated(self) -> bool:
        return "Not" in self.name

    def __str__(self) -> str:
        prefix = f"{self.quantifier}:" if self.quantifier else ""
        return f"{prefix}{self.name}{_IF_EXISTS if self.if_exists else ''}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One context key under one operator. Names of keys, and of the tags in them, do not depend on case: `key` is case
    folded. Numbers and booleans of the document are text in `values`."""

    operator: Operator
    key: str
    values: tuple[str, ...]


def read(value: object, path: str) -> tuple[Condition, ...]:
    """The conditions of a `Condition` element. Raises PolicyInvalid."""
    return tuple(
        condition
        for name, block in mapping(value, path).items()
        for condition in _block(_operator(name, path), block, f"{path}.{name}")
    )


def _operator(text: str, path: str) -> Operator:
    before, colon, after = text.rpartition(":")
    quantifier = _QUANTIFIERS.get(before)
    name = after.removesuffix(_IF_EXISTS)
    family = OPERATORS.get(name)
    if family is None or (colon and quantifier is None):
        raise PolicyInvalid(path, f"unknown condition operator {jsontext.shown(text)}")
    if family == "null" and name != after:
        raise PolicyInvalid(path, "Null and IfExists exclude each other")
    return Operator(name=name, family=family, quantifier=quantifier, if_exists=name != after)


def _block(operator: Operator, block: object, path: str) -> list[Condition]:
    found: dict[str, Condition] = {}
    for name, value in mapping(block, path).items():
        key, where = _key(name, path), f"{path}.{name}"
        if key in found:
            raise PolicyInvalid(where, "the key appears twice, in different capitalization")
        listed = value if isinstance(value, list) else [value]
        texts = tuple(_scalar(item, where) for item in listed)
        for text in texts:
            if not _CHECKS[operator.family](text):
                raise PolicyInvalid(where, f"{jsontext.shown(text)} is no value for {operator}", text=LEGACY)
        found[key] = Condition(operator=operator, key=key, values=texts)
    return list(found.values())


def _key(text: str, path: str) -> str:
    """A key without a service is kept, as AWS does: no request has it."""
    if not text or not text.isprintable():
        raise PolicyInvalid(path, f"{jsontext.shown(text)} is no condition key")
    return text.casefold()


def _scalar(value: object, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return repr(value)
    raise PolicyInvalid(path, "expected a string, a number or a boolean, or a list of them")


def _is_anything(_: str) -> bool:
    return True


_CHECKS: Final[Mapping[Family, Callable[[str], bool]]] = {
    "string": _is_anything,
    "arn": _is_anything,  # what is no ARN matches none
    "numeric": lambda text: values.number(text) is not None,
    "date": lambda text: values.instant(text) is not None,
    "bool": lambda text: values.boolean(text) is not None or "${" in text,
    "binary": lambda text: values.octets(text) is not None,
    "ip": lambda text: values.network(text) is not None,
    "null": lambda text: values.boolean(text) is not None,
}
