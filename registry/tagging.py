"""Resource tags of IAM's entities: at most fifty, whose keys differ by more than case.

A tag that is put again under a key in another case replaces the one that was there, as at IAM. Repositories have rules
of their own (`repositories`), as ECR does. Source: AWS IAM user guide, "Tags for IAM resources".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from registry.errors import LimitExceeded
from registry.identity_errors import InvalidInput

MAX: Final = 50


def read(listed: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Tags from the wire. Raises InvalidInput for keys that are reserved, or come twice."""
    found = {one["Key"]: one["Value"] for one in listed}
    if len({key.lower() for key in found}) != len(listed):
        raise InvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    for key in found:
        if key.lower().startswith("aws:"):
            raise InvalidInput("Tag keys that begin with aws: are reserved for system use.")
    return found


def merged(present: Mapping[str, str], added: Mapping[str, str], *, quota: str) -> dict[str, str]:
    """Both together. Raises LimitExceeded, naming the `quota` (TagsPerUser)."""
    replaced = {key.lower() for key in added}
    found = {**{key: value for key, value in present.items() if key.lower() not in replaced}, **added}
    if len(found) > MAX:
        raise LimitExceeded(f"Cannot exceed quota for {quota}: {MAX}")
    return found


def without(present: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    gone = {key.lower() for key in keys}
    return {key: value for key, value in present.items() if key.lower() not in gone}
