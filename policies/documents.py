"""A policy's text becomes a `Policy` of frozen statements, or `PolicyInvalid` names what AWS would refuse.

Two forms. A resource policy hangs on a repository or registry: it names principals, and may leave out the resource,
which is what it hangs on. An identity policy hangs on a user, group or role: it names resources and no principals.
Names of elements and effects depend on case, and nothing unknown is skipped: a document with a misspelt Deny is
refused, not obeyed in part.

What comes out is ready to be evaluated: lists where the document may have a single string, accounts by their id,
incomplete ARNs completed, operators taken apart. An empty tuple means that the element is absent; the evaluator needs
no other check, because an element that is present is never empty. Actions keep their case and are compared without.

Sources: AWS IAM user guide, "Grammar of the IAM JSON policy language", "IAM JSON policy element reference", "IAM and
AWS STS quotas"; Amazon ECR user guide, "Private repository policies".
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from policies import conditions, jsontext, principals
from policies.conditions import Condition
from policies.elements import LEGACY, PARTITIONS, PREFACE, SYNTAX, PolicyInvalid, mapping, only, string, strings
from policies.principals import Principal

# Characters that a text may have. IAM does not count white space; ECR counts every character.
REPOSITORY_POLICY: Final = 10_240
MANAGED_POLICY: Final = 6_144
USER_POLICY: Final = 2_048  # all inline policies of one user together; likewise the next two
GROUP_POLICY: Final = 5_120
ROLE_POLICY: Final = 10_240
TRUST_POLICY: Final = 2_048
SESSION_POLICY: Final = 2_048
SERVICE_CONTROL_POLICY: Final = 5_120

Version = Literal["2012-10-17", "2008-10-17"]
Effect = Literal["Allow", "Deny"]
_VERSIONS: Final[Mapping[str, Version]] = {"2012-10-17": "2012-10-17", "2008-10-17": "2008-10-17"}
_EFFECTS: Final[Mapping[str, Effect]] = {"Allow": "Allow", "Deny": "Deny"}
_TOP: Final = frozenset({"Version", "Id", "Statement"})
_ELEMENTS: Final = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_NO_ACTIONS: Final = "Policy statement must contain actions."
_NO_RESOURCES: Final = "Policy statement must contain resources."
_VENDOR = re.compile(r"[A-Za-z0-9.-]+")
_SID = re.compile(r"[0-9A-Za-z]*")
_IDENTITY_TEXT = re.compile(r"[\t\n\r\x20-\xff]*")
_WHITE_SPACE = re.compile(r"\s+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement; of each pair at most one is not empty. `sid` is empty when the statement has none."""

    effect: Effect
    sid: str = ""
    principals: tuple[Principal, ...] = ()
    not_principals: tuple[Principal, ...] = ()
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()  # empty, and no not_resources: whatever the policy hangs on
    not_resources: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy that was accepted. Only version 2012-10-17 knows variables."""

    version: Version
    statements: tuple[Statement, ...]
    id: str = ""


def parse_resource_policy(text: str) -> Policy:
    """The policy of a repository or registry. Raises PolicyInvalid."""
    if len(text) > REPOSITORY_POLICY:
        raise PolicyInvalid("$", f"more than {REPOSITORY_POLICY} characters")
    return _policy(text, _resource_statement)


def parse_identity_policy(text: str, *, limit: int = MANAGED_POLICY) -> Policy:
    """The policy of a user, group or role, a boundary, or a session; `limit` in characters that are no white space.

    Raises PolicyInvalid.
    """
    if not _IDENTITY_TEXT.fullmatch(text):
        raise PolicyInvalid("$", "a character outside of tab, line feed, carriage return and U+0020 to U+00FF")
    if len(_WHITE_SPACE.sub("", text)) > limit:
        raise PolicyInvalid("$", f"more than {limit} characters", text=f"Maximum policy size of {limit} bytes exceeded")
    policy = _policy(text, _identity_statement)
    sids = [statement.sid for statement in policy.statements if statement.sid]
    if len(set(sids)) != len(sids):
        twice = next(sid for sid in sids if sids.count(sid) > 1)
        raise PolicyInvalid(
            "$.Statement",
            f"Sid {jsontext.shown(twice)} appears twice",
            text="Statement IDs (SID) in a single policy must be unique.",
        )
    return policy


def _policy(text: str, read: Callable[[Mapping[str, Any], str], Statement]) -> Policy:
    try:
        document = jsontext.loads(text)
    except jsontext.NotJson as trouble:
        raise PolicyInvalid("$", str(trouble)) from None
    top = mapping(document, "$")
    only(top, _TOP, "$")
    version = _VERSIONS.get(string(top.get("Version", "2008-10-17"), "$.Version"))
    if version is None:
        raise PolicyInvalid("$.Version", "expected 2012-10-17 or 2008-10-17")
    if "Statement" not in top:
        raise PolicyInvalid("$", "Statement is missing")
    listed = top["Statement"]
    if listed == []:
        raise PolicyInvalid("$.Statement", "the list is empty")
    if isinstance(listed, list):
        found = tuple(_statement(item, f"$.Statement[{index}]", read) for index, item in enumerate(listed))
    else:
        found = (_statement(listed, "$.Statement", read),)
    return Policy(version=version, statements=found, id=string(top.get("Id", ""), "$.Id"))


def _statement(value: object, path: str, read: Callable[[Mapping[str, Any], str], Statement]) -> Statement:
    element = mapping(value, path)
    only(element, _ELEMENTS, path)
    for name in ("Principal", "Action", "Resource"):
        if name in element and f"Not{name}" in element:
            raise PolicyInvalid(path, f"{name} and Not{name} exclude each other")
    return read(element, path)


def _resource_statement(element: Mapping[str, Any], path: str) -> Statement:
    if "Principal" not in element and "NotPrincipal" not in element:
        raise PolicyInvalid(path, "a resource policy says who is meant", text="Missing required field Principal")
    effect = _effect(element, path)
    if "NotPrincipal" in element and effect == "Allow":
        raise PolicyInvalid(f"{path}.NotPrincipal", "NotPrincipal needs the effect Deny")
    who = {
        field: principals.read(element[name], f"{path}.{name}")
        for name, field in (("Principal", "principals"), ("NotPrincipal", "not_principals"))
        if name in element
    }
    return dataclasses.replace(
        _common(element, path, effect),
        sid=string(element.get("Sid", ""), f"{path}.Sid"),
        principals=who.get("principals", ()),
        not_principals=who.get("not_principals", ()),
    )


def _identity_statement(element: Mapping[str, Any], path: str) -> Statement:
    for name in ("Principal", "NotPrincipal"):
        if name in element:
            raise PolicyInvalid(
                f"{path}.{name}",
                "an identity policy is about who has it",
                text="Policy document should not specify a principal.",
            )
    statement = _common(element, path, _effect(element, path))
    if not statement.resources and not statement.not_resources:
        raise PolicyInvalid(path, "Resource or NotResource is missing", text=_NO_RESOURCES)
    sid = string(element.get("Sid", ""), f"{path}.Sid")
    if not _SID.fullmatch(sid):
        raise PolicyInvalid(
            f"{path}.Sid",
            "expected letters and digits",
            text="Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
            "[0-9A-Za-z]*",
        )
    return dataclasses.replace(statement, sid=sid)


def _common(element: Mapping[str, Any], path: str, effect: Effect) -> Statement:
    """The elements that both forms have."""
    if "Action" not in element and "NotAction" not in element:
        raise PolicyInvalid(path, "Action or NotAction is missing", text=_NO_ACTIONS)
    return Statement(
        effect=effect,
        actions=_list(element, "Action", path, _action, _NO_ACTIONS),
        not_actions=_list(element, "NotAction", path, _action, _NO_ACTIONS),
        resources=_list(element, "Resource", path, _resource, _NO_RESOURCES),
        not_resources=_list(element, "NotResource", path, _resource, _NO_RESOURCES),
        conditions=conditions.read(element["Condition"], f"{path}.Condition") if "Condition" in element else (),
    )


def _effect(element: Mapping[str, Any], path: str) -> Effect:
    if "Effect" not in element:
        raise PolicyInvalid(path, "Effect is missing")
    text = string(element["Effect"], f"{path}.Effect")
    effect = _EFFECTS.get(text)
    if effect is None:
        respelled = text.capitalize() in _EFFECTS
        raise PolicyInvalid(f"{path}.Effect", "expected Allow or Deny", text=LEGACY if respelled else SYNTAX)
    return effect


def _list(
    element: Mapping[str, Any], name: str, path: str, read: Callable[[str, str], str], empty: str
) -> tuple[str, ...]:
    if name not in element:
        return ()
    return tuple(read(text, where) for text, where in strings(element[name], f"{path}.{name}", empty=empty))


def _action(text: str, path: str) -> str:
    if text == "*":
        return text
    vendor, colon, name = text.partition(":")
    if not colon:
        raise PolicyInvalid(path, f"{jsontext.shown(text)} is no service:action", text=PREFACE)
    if ":" in name:
        raise PolicyInvalid(path, jsontext.shown(text), text="Actions/Condition can contain only one colon.")
    if vendor != "*" and not _VENDOR.fullmatch(vendor):
        raise PolicyInvalid(path, "a service is named whole", text=f"Vendor {vendor[:64]} is not valid")
    if not name or not name.isprintable():
        raise PolicyInvalid(path, f"{jsontext.shown(name)} is no name of an action")
    return text


def _resource(text: str, path: str) -> str:
    """The ARN with `*` for parts that it leaves out at its end; AWS completes it so."""
    if text == "*":
        return text
    parts = text.split(":", 5)
    missing = ["*"] * (6 - len(parts))
    if len(parts) > 1 and parts[1] != "*" and parts[1] not in PARTITIONS:
        sentence = f'Partition "{parts[1]}" is not valid for resource "{":".join(["arn", *parts[1:], *missing])}".'
        raise PolicyInvalid(path, "unknown partition", text=sentence)
    if len(parts) == 1 or parts[0] != "arn":
        raise PolicyInvalid(path, "expected an ARN", text=f'Resource {text} must be in ARN format or "*".')
    if len(parts) == 2 or (parts[2] and not _VENDOR.fullmatch(parts[2])):
        sentence = "Resource vendor must be fully qualified and cannot contain regexes."
        raise PolicyInvalid(path, "a service is named whole", text=sentence)
    if not parts[2] or (missing and "" in parts):
        raise PolicyInvalid(path, "a part of the ARN is empty that must not be", text=LEGACY)
    return ":".join([*parts, *missing])
