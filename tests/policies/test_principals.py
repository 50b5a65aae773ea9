"""Names of principals: taken whole, each of its kind and its account. Page: reference_policies_elements_principal."""

import json
from typing import Any

import pytest

from policies import principals
from policies.elements import PolicyInvalid
from policies.principals import Principal
from tests.policies.asking import HERE

USER = f"arn:aws:iam::{HERE}:user/Bob"
ROLE = f"arn:aws:iam::{HERE}:role/a/b"
SESSION = f"arn:aws:sts::{HERE}:assumed-role/a/b"
FEDERATED = f"arn:aws:sts::{HERE}:federated-user/a"
SAML = f"arn:aws:iam::{HERE}:saml-provider/a"
CANONICAL = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"


def read(value: Any) -> tuple[Principal, ...]:
    return principals.read(value, "$.P")


@pytest.mark.parametrize(
    ("value", "kind", "name", "account"),
    [
        ("*", "everyone", "*", ""),
        ({"AWS": "*"}, "everyone", "*", ""),
        ({"AWS": HERE}, "account", HERE, HERE),
        ({"AWS": f"arn:aws:iam::{HERE}:root"}, "account", HERE, HERE),
        ({"AWS": USER}, "user", USER, HERE),
        ({"AWS": ROLE}, "role", ROLE, HERE),
        ({"AWS": SESSION}, "session", SESSION, HERE),
        ({"AWS": FEDERATED}, "federated-user", FEDERATED, HERE),
        ({"Service": "ecs.amazonaws.com"}, "service", "ecs.amazonaws.com", ""),
        ({"Federated": "accounts.google.com"}, "provider", "accounts.google.com", ""),
        ({"Federated": SAML}, "provider", SAML, HERE),
        ({"CanonicalUser": CANONICAL}, "canonical-user", CANONICAL, ""),
    ],
)
def test_a_principal_has_its_kind_name_and_account(value: Any, kind: str, name: str, account: str) -> None:
    (found,) = read(value)

    assert (found.kind, found.name, found.account) == (kind, name, account)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("AWS", HERE + "0"),
        ("AWS", HERE + "\n"),
        ("AWS", f"arn:aws:iam::{HERE}0:root"),
        ("AWS", f"arn:aws:iam::{HERE}\n:root"),
        ("AWS", f"arn:aws:iam::{HERE}:rootx"),
        ("AWS", f"xrn:aws:iam::{HERE}:root"),
        ("AWS", "arn:aws:iam"),
        ("AWS", f"arn:aws:iam::{HERE}"),
        ("AWS", USER + "\n"),
        ("AWS", USER + "/"),
        ("AWS", f"arn:aws:iam::{HERE}:user/{'x' * 65}"),
        ("AWS", f"arn:aws:sts::{HERE}:user/Bob"),
        ("Service", "ecs.amazonaws.com\n"),
        ("Service", "ecs.amazonaws.com/x"),
        ("Service", "ecs"),
        ("Federated", "accounts.google.com\n"),
        ("Federated", "accounts.google.com/x"),
        ("Federated", f"arn:aws:sts::{HERE}:saml-provider/a"),
        ("Federated", SAML + "\n"),
        ("Federated", SAML + "/b"),
        ("CanonicalUser", CANONICAL + "0"),
        ("CanonicalUser", CANONICAL + "\n"),
        ("CanonicalUser", CANONICAL.upper()),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_sentence_of_iam(kind: str, text: str) -> None:
    with pytest.raises(PolicyInvalid) as trouble:
        read({kind: ["*", text] if kind == "AWS" else text})

    assert (
        trouble.value.text
        == f'Invalid principal in policy: "{kind}":{json.dumps(text if len(text) <= 64 else text[:61] + "...")}'
    )
    assert trouble.value.path == f"$.P.{kind}{'[1]' if kind == 'AWS' else ''}"
    assert trouble.value.why == "not a principal of this kind"


def test_a_name_without_its_kind_is_refused_with_the_sentence_of_iam() -> None:
    with pytest.raises(PolicyInvalid) as trouble:
        read(HERE)

    assert trouble.value.text == f'Invalid principal in policy: "AWS":"{HERE}"'


@pytest.mark.parametrize(("size", "is_read"), [(2048, True), (2049, False)])
def test_a_name_has_a_longest_size(size: int, is_read: bool) -> None:
    name = "x." * ((size - 3) // 2) + "com"
    text = name if len(name) == size else "y" + name
    assert len(text) == size

    if is_read:
        assert read({"Service": text})[0].name == text
    else:
        with pytest.raises(PolicyInvalid):
            read({"Service": text})


@pytest.mark.parametrize("text", ["*", "ecs.*", "ec?.amazonaws.com"])
def test_a_wildcard_is_told_as_such(text: str) -> None:
    with pytest.raises(PolicyInvalid) as trouble:
        read({"Service": text})

    assert trouble.value.why == "a principal is named whole, without wildcards"
