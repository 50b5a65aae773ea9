"""Who a statement of a resource policy is about: the `Principal` and `NotPrincipal` elements as values.

A principal is named whole: `*` alone is everyone, and no part of a name may be a wildcard, since a statement that
names `role/*` would otherwise look like a grant and be none. Groups are no principals.

Source: AWS IAM user guide, "AWS JSON policy elements: Principal" and "Grammar of the IAM JSON policy language".
"""

import dataclasses
import re
from typing import Final, Literal

from policies import jsontext
from policies.elements import PARTITIONS, SYNTAX, PolicyInvalid, mapping, only, strings

Kind = Literal[
    "everyone",
    "account",  # the account, or its root user, by id or by ARN: both delegate to the account
    "user",
    "role",
    "session",  # one named session of a role
    "federated-user",  # a GetFederationToken session
    "service",
    "provider",  # an identity provider, SAML or OIDC, or a domain name
    "canonical-user",
]

_ACCOUNT = re.compile(r"[0-9]{12}")
_NAME = r"[A-Za-z0-9_+=,.@-]{1,64}"
_WITH_PATH = rf"(?:[A-Za-z0-9_+=,.@-]+/){{0,64}}{_NAME}"  # each `/` ends one part: nothing to try twice
# (service of the ARN, what follows the account) -> the kind
_ARNS: Final[tuple[tuple[str, re.Pattern[str], Kind], ...]] = (
    ("iam", re.compile("root"), "account"),
    ("iam", re.compile(f"user/{_WITH_PATH}"), "user"),
    ("iam", re.compile(f"role/{_WITH_PATH}"), "role"),
    ("sts", re.compile(f"assumed-role/{_NAME}/{_NAME}"), "session"),
    ("sts", re.compile(f"federated-user/{_NAME}"), "federated-user"),
)
_PROVIDER = re.compile(r"(?:saml-provider/[A-Za-z0-9_.-]{1,128}|oidc-provider/[A-Za-z0-9_.~:%/-]{1,255})")
_DOMAIN = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z0-9-]+")
_CANONICAL = re.compile(r"[0-9a-f]{64}")
_TYPES: Final = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """One principal. `name` is an account's id, `*` for everyone, and otherwise the text of the policy."""

    kind: Kind
    name: str
    account: str = ""  # whose it is; empty where the name does not tell


EVERYONE: Final = Principal(kind="everyone", name="*")


def read(value: object, path: str) -> tuple[Principal, ...]:
    """The principals of an element's value. Raises PolicyInvalid."""
    if value == "*":
        return (EVERYONE,)
    if isinstance(value, str):
        raise PolicyInvalid(path, 'expected "*" or an object', text=_sentence("AWS", value))
    found = mapping(value, path)
    only(found, _TYPES, path)
    if not found:
        raise PolicyInvalid(path, "names nobody")
    return tuple(
        _principal(kind, text, where)
        for kind, names in found.items()
        for text, where in strings(names, f"{path}.{kind}", empty=SYNTAX)
    )


def _principal(kind: str, text: str, path: str) -> Principal:
    found = _READERS[kind](text) if len(text) <= 2048 else None
    if found is None:
        wildcard = "*" in text or "?" in text
        why = "a principal is named whole, without wildcards" if wildcard else "not a principal of this kind"
        raise PolicyInvalid(path, why, text=_sentence(kind, text))
    return found


def _sentence(kind: str, text: str) -> str:
    return f'Invalid principal in policy: "{kind}":{jsontext.shown(text)}'


def _aws(text: str) -> Principal | None:
    if text == "*":
        return EVERYONE
    if _ACCOUNT.fullmatch(text):
        return Principal(kind="account", name=text, account=text)
    arn = _arn(text)
    if arn is None:
        return None
    service, account, resource = arn
    for owner, pattern, kind in _ARNS:
        if owner == service and pattern.fullmatch(resource):
            return Principal(kind=kind, name=account if kind == "account" else text, account=account)
    return None


def _federated(text: str) -> Principal | None:
    if _DOMAIN.fullmatch(text):
        return Principal(kind="provider", name=text)
    arn = _arn(text)
    if arn is None or arn[0] != "iam" or not _PROVIDER.fullmatch(arn[2]):
        return None
    return Principal(kind="provider", name=text, account=arn[1])


def _service(text: str) -> Principal | None:
    return Principal(kind="service", name=text) if _DOMAIN.fullmatch(text) else None


def _canonical_user(text: str) -> Principal | None:
    return Principal(kind="canonical-user", name=text) if _CANONICAL.fullmatch(text) else None


def _arn(text: str) -> tuple[str, str, str] | None:
    """Service, account and resource of an ARN without a region; None when it is no such ARN."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[1] not in PARTITIONS or parts[3]:
        return None
    return (parts[2], parts[4], parts[5]) if _ACCOUNT.fullmatch(parts[4]) else None


_READERS: Final = {"AWS": _aws, "Service": _service, "Federated": _federated, "CanonicalUser": _canonical_user}
