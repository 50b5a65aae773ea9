"""Roles through boto3: trust policies, what may be changed, what keeps a role from being deleted."""

import json
import re

import pytest

from tests.builders import unique_name
from tests.iam import policy, refused, trusts
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

ROOT = f"arn:aws:iam::{ACCOUNT}:root"


@pytest.fixture
def role(iam):
    return iam.create_role(RoleName=unique_name("role"), AssumeRolePolicyDocument=trusts(ROOT))["Role"]["RoleName"]


def test_a_role_reads_back_as_it_was_made(iam, name):
    trust = trusts(ROOT, Condition={"StringEquals": {"sts:ExternalId": "a b%+"}})
    made = iam.create_role(
        RoleName=name,
        Path="/ci/",
        AssumeRolePolicyDocument=trust,
        Description="who pushes",
        MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "x"}],
    )["Role"]
    found = iam.get_role(RoleName=name)["Role"]

    assert found == {**made, "RoleLastUsed": {}}
    assert found["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/ci/{name}"
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", found["RoleId"])
    assert found["AssumeRolePolicyDocument"] == json.loads(trust)
    assert (found["Description"], found["MaxSessionDuration"]) == ("who pushes", 7200)
    assert found["Tags"] == [{"Key": "team", "Value": "x"}]


def test_the_trust_policy_is_answered_encoded_as_in_a_url(iam, shared_server, role):
    """botocore decodes it; others have to."""
    with shared_server.client("iam") as raw:
        bodies = []
        raw.meta.events.register("before-parse.iam.GetRole", lambda response_dict, **_: bodies.append(response_dict))
        raw.get_role(RoleName=role)

    assert b"<AssumeRolePolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22%2C" in bodies[0]["body"]


def test_a_session_lasts_an_hour_unless_it_is_said(iam, role):
    assert iam.get_role(RoleName=role)["Role"]["MaxSessionDuration"] == 3600


@pytest.mark.parametrize("seconds", [3599, 43201])
def test_a_session_lasts_one_to_twelve_hours(iam, role, seconds):
    assert refused(iam.update_role, RoleName=role, MaxSessionDuration=seconds).code == "ValidationError"


def test_description_and_session_length_can_be_changed(iam, role):
    iam.update_role(RoleName=role, Description="new", MaxSessionDuration=43200)
    iam.update_role(RoleName=role)
    found = iam.get_role(RoleName=role)["Role"]

    assert (found["Description"], found["MaxSessionDuration"]) == ("new", 43200)
    assert iam.update_role_description(RoleName=role, Description="")["Role"]["MaxSessionDuration"] == 43200
    assert iam.get_role(RoleName=role)["Role"]["Description"] == ""


def test_a_role_that_is_not_there(iam, name):
    assert refused(iam.get_role, RoleName=name) == (
        "NoSuchEntity",
        404,
        f"The role with name {name} cannot be found.",
    )


def test_a_name_is_taken_in_every_case(iam, role):
    assert refused(iam.create_role, RoleName=role.upper(), AssumeRolePolicyDocument=trusts(ROOT)) == (
        "EntityAlreadyExists",
        409,
        f"Role with name {role.upper()} already exists.",
    )


MALFORMED = {
    "no json": ("{", "Syntax errors in policy."),
    "no principal": (policy(Action="sts:AssumeRole"), "Missing required field Principal"),
    "resource": (
        policy(Principal="*", Action="sts:AssumeRole", Resource="*"),
        "Has prohibited field Resource",
    ),
    "other action": (
        policy(Principal="*", Action=["sts:AssumeRole", "ecr:PutImage"]),
        "AssumeRole policy may only specify STS AssumeRole actions.",
    ),
    "nobody": (
        trusts(f"arn:aws:iam::{ACCOUNT}:user/nobody-at-all"),
        f'Invalid principal in policy: "AWS":"arn:aws:iam::{ACCOUNT}:user/nobody-at-all"',
    ),
    "no such role": (
        trusts(ROOT, f"arn:aws:iam::{ACCOUNT}:role/nothing"),
        f'Invalid principal in policy: "AWS":"arn:aws:iam::{ACCOUNT}:role/nothing"',
    ),
    "no such session": (
        trusts(f"arn:aws:sts::{ACCOUNT}:assumed-role/nothing/s1"),
        f'Invalid principal in policy: "AWS":"arn:aws:sts::{ACCOUNT}:assumed-role/nothing/s1"',
    ),
    "wildcard": (trusts(f"arn:aws:iam::{ACCOUNT}:user/*"), "Invalid principal in policy:"),
    "unknown operator": (
        trusts(ROOT, Condition={"StringSame": {"sts:ExternalId": "x"}}),
        "",
    ),
}


@pytest.mark.parametrize(("trust", "sentence"), MALFORMED.values(), ids=MALFORMED)
def test_a_trust_policy_that_aws_would_refuse(iam, name, role, trust, sentence):
    new = refused(iam.create_role, RoleName=name, AssumeRolePolicyDocument=trust)
    changed = refused(iam.update_assume_role_policy, RoleName=role, PolicyDocument=trust)

    assert (new.code, new.status) == ("MalformedPolicyDocument", 400)
    assert new.message.startswith(sentence)
    assert changed == new
    assert refused(iam.get_role, RoleName=name).code == "NoSuchEntity"


def test_a_trust_policy_has_a_limit(iam, name):
    trust = trusts(ROOT, Condition={"StringEquals": {"sts:ExternalId": ["x" * 1200, "y" * 1200]}})

    assert refused(iam.create_role, RoleName=name, AssumeRolePolicyDocument=trust) == (
        "LimitExceeded",
        409,
        "Cannot exceed quota for ACLSizePerRole: 2048",
    )


def test_a_trust_policy_may_name_accounts_that_are_elsewhere(iam, role):
    trust = trusts("arn:aws:iam::999988887777:root", "arn:aws:iam::999988887777:user/ann", "444455556666")
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust)

    assert iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] == json.loads(trust)


def test_who_is_gone_stands_in_the_trust_policy_by_the_unique_id(iam, name, role):
    """And whoever is called the same later is not meant (T03)."""
    user = iam.create_user(UserName=name)["User"]
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trusts(user["Arn"]))
    iam.delete_user(UserName=name)
    iam.create_user(UserName=name)
    shown = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    listed = [one for one in iam.list_roles()["Roles"] if one["RoleName"] == role]

    assert shown["Statement"][0]["Principal"] == {"AWS": user["UserId"]}
    assert [one["AssumeRolePolicyDocument"] for one in listed] in ([shown], [])


def test_who_was_renamed_stands_there_by_the_new_name(iam, name, role):
    user = iam.create_user(UserName=name)["User"]
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trusts(ROOT, user["Arn"]))
    iam.update_user(UserName=name, NewUserName=f"{name}-new", NewPath="/p/")
    shown = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]

    assert shown["Statement"][0]["Principal"] == {"AWS": [ROOT, f"arn:aws:iam::{ACCOUNT}:user/p/{name}-new"]}


def test_roles_are_listed_in_pages_below_a_path(iam):
    path = f"/{unique_name('p')}/"
    names = sorted(unique_name("r") for _ in range(3))
    for one in names:
        iam.create_role(RoleName=one, Path=path, AssumeRolePolicyDocument=trusts(ROOT))
    pages = list(iam.get_paginator("list_roles").paginate(PathPrefix=path, PaginationConfig={"PageSize": 2}))

    assert [[one["RoleName"] for one in page["Roles"]] for page in pages] == [names[:2], names[2:]]


def test_a_role_with_something_hanging_on_it_is_not_deleted(iam, role):
    profile = unique_name("profile")
    iam.create_instance_profile(InstanceProfileName=profile)
    iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
    iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy(Action="ecr:*", Resource="*"))

    def why():
        told = refused(iam.delete_role, RoleName=role)
        assert told[:2] == ("DeleteConflict", 409)
        return told.message

    assert why() == "Cannot delete entity, must remove roles from instance profile first."
    iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role)
    assert why() == "Cannot delete entity, must detach all policies first."
    iam.detach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    assert why() == "Cannot delete entity, must delete policies first."
    iam.delete_role_policy(RoleName=role, PolicyName="p")
    iam.delete_role(RoleName=role)
    assert refused(iam.get_role, RoleName=role).code == "NoSuchEntity"
