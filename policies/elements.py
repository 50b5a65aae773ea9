"""What every element of a policy shares: how it is refused, in AWS's words and with its JSON path, and how it is read.

The sentences are those that IAM answers (SetRepositoryPolicy wraps whatever is wrong in one sentence of its own); the
path and the reason say what IAM does not: which value it was, and what was expected of it.
"""

from collections.abc import Mapping
from typing import Any, Final

from policies import jsontext

SYNTAX: Final = "Syntax errors in policy."
LEGACY: Final = "The policy failed legacy parsing"
PREFACE: Final = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."

PARTITIONS: Final = frozenset(
    {"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}
)


class PolicyInvalid(ValueError):
    """A policy cannot be accepted. `text` is AWS's sentence, `path` the JSON path of the trouble, `why` the reason."""

    def __init__(self, path: str, why: str, *, text: str = SYNTAX) -> None:
        super().__init__(f"{text} {path}: {why}")
        self.path, self.why, self.text = path, why, text


def mapping(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PolicyInvalid(path, "expected an object")
    return value


def string(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise PolicyInvalid(path, "expected a string")
    return value


def strings(value: object, path: str, *, empty: str = SYNTAX) -> tuple[tuple[str, str], ...]:
    """Each string of a string or list of strings, with its path. An empty list is refused with the sentence `empty`."""
    if isinstance(value, list):
        if not value:
            raise PolicyInvalid(path, "the list is empty", text=empty)
        return tuple((string(item, f"{path}[{index}]"), f"{path}[{index}]") for index, item in enumerate(value))
    if not isinstance(value, str):
        raise PolicyInvalid(path, "expected a string or a list of strings")
    return ((value, path),)


def only(found: Mapping[str, Any], known: frozenset[str], path: str) -> None:
    """Refuse an element that is not known: a policy with a misspelt element would not do what it says."""
    for name in found:
        if name not in known:
            near = next((element for element in known if element.lower() == name.lower()), None)
            hint = f", did you mean {near}?" if near else ""
            raise PolicyInvalid(path, f"unknown element {jsontext.shown(name)}{hint}")
