"""`longshore policy`: explanations beside a running server, and remarks on policies."""

import pytest

from tests.builders import unique_name
from tests.commands import longshore
from tests.iam import client, make_user, policy
from tests.servers import ACCOUNT, REGION

ROOT = f"arn:aws:iam::{ACCOUNT}:root"


@pytest.fixture(scope="module")
def repository(shared_server) -> str:
    name = unique_name()
    shared_server.create(name)
    return name


@pytest.fixture(scope="module")
def ann(shared_server) -> str:
    """Ann may list images, is denied deleting them, and may push from one network."""
    name = unique_name("ann")
    make_user(shared_server, name)
    document = policy(
        {"Sid": "Look", "Effect": "Allow", "Action": "ecr:ListImages", "Resource": "*"},
        {"Sid": "Keep", "Effect": "Deny", "Action": "ecr:BatchDelete*", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "ecr:PutImage",
            "Resource": "*",
            "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        },
    )
    with client(shared_server, "iam") as iam:
        iam.put_user_policy(UserName=name, PolicyName="desk", PolicyDocument=document)
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def explain(server, principal: str, action: str, *more: str):
    return longshore(
        "policy",
        "explain",
        "--data",
        server.data,
        "--principal",
        principal,
        "--action",
        action,
        *more,
        "--output",
        "json",
    )


def test_an_allow_names_its_statement(shared_server, ann, repository):
    ran = explain(shared_server, ann, "ecr:ListImages", "--resource", repository)
    (statement,) = ran.json["statements"]

    assert (ran.code, ran.json["decision"], ran.json["needed"]) == (0, "allowed", [])
    assert ran.json["resource"] == f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{repository}"
    assert statement["deciding"] and statement["sid"] == "Look" and statement["statement"] == 1
    assert statement["source"] == f"user/{ann.rpartition('/')[2]}: inline policy desk"


def test_a_deny_names_its_statement(shared_server, ann, repository):
    ran = explain(shared_server, ann, "ecr:BatchDeleteImage", "--resource", repository)

    assert (ran.code, ran.json["decision"]) == (1, "explicitDeny")
    assert ran.json["reason"] == "with an explicit deny in an identity-based policy"
    assert [one["sid"] for one in ran.json["statements"] if one["deciding"]] == ["Keep"]


def test_what_is_missing_is_told(shared_server, ann, repository):
    ran = explain(shared_server, ann, "ecr:PutImage", "--resource", repository)
    within = explain(shared_server, ann, "ecr:PutImage", "--resource", repository, "--context", "aws:SourceIp=10.1.2.3")

    assert (ran.code, ran.json["decision"], ran.json["needed"]) == (1, "implicitDeny", ["identity"])
    assert ran.json["unknownKeys"] == ["aws:sourceip"]
    assert (within.code, within.json["decision"]) == (0, "allowed")


def test_people_get_sentences(shared_server, ann, repository):
    ran = longshore(
        "policy", "explain", "--data", shared_server.data, "--principal", "*", "--action", "ecr:BatchGetImage",
        "--resource", repository,
    )  # fmt: skip

    assert ran.code == 1
    assert ran.out.startswith("denied: ecr:BatchGetImage on arn:aws:ecr:")
    assert "would need: an Allow in the policy of the repository" in ran.out


@pytest.mark.parametrize(
    ("principal", "why"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/nobody-of-this-name", "there is no"),
        ("somebody", "is no ARN of a principal"),
        ("arn:aws:iam::999999999999:root", "there is no"),
    ],
    ids=["no-user", "no-arn", "no-account"],
)
def test_who_is_not_there_is_said(shared_server, principal, why):
    ran = explain(shared_server, principal, "ecr:ListImages")

    assert ran.code == 1
    assert why in ran.err and ran.err.count("\n") == 1 and ran.out == ""


def test_the_root_user_may(shared_server, repository):
    assert explain(shared_server, ROOT, "ecr:DeleteRepository", "--resource", repository).json["decision"] == "allowed"


# --- lint -------------------------------------------------------------------------------------------------------------


def test_a_policy_with_an_error_is_refused_with_its_place(tmp_path):
    file = tmp_path / "policy.json"
    file.write_text(policy({"effect": "Allow", "Action": "ecr:*", "Resource": "*"}))
    ran = longshore("policy", "lint", file)
    as_json = longshore("policy", "lint", file, "--output", "json")

    assert ran.code == as_json.code == 1
    assert "$.Statement[0]" in ran.err and "did you mean Effect?" in ran.err
    assert as_json.json["valid"] is False and as_json.json["error"]["path"].startswith("$.Statement[0]")


def test_what_is_odd_is_remarked(tmp_path):
    file = tmp_path / "policy.json"
    file.write_text(policy({"Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImages", "ecr:PutImage"]}))
    ran = longshore("policy", "lint", file, "--output", "json")

    assert ran.code == 0 and ran.json["valid"]
    assert len(ran.json["remarks"]) >= 2
    assert any("BatchGetImages" in one["message"] for one in ran.json["remarks"])


def test_a_good_policy_gets_no_remarks(tmp_path):
    file = tmp_path / "policy.json"
    arn = "arn:aws:ecr:us-east-1:123456789012:repository/a"
    file.write_text(policy({"Effect": "Allow", "Action": "ecr:ReplicateImage", "Resource": arn}))
    ran = longshore("policy", "lint", file)

    assert (ran.code, ran.out) == (0, "")
    assert "no remarks" in ran.err
