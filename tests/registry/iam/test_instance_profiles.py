"""Instance profiles through boto3."""

import pytest

from tests.builders import unique_name
from tests.iam import refused, trusts
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")


@pytest.fixture
def role(iam):
    made = iam.create_role(RoleName=unique_name("role"), AssumeRolePolicyDocument=trusts(ACCOUNT))["Role"]
    return made["RoleName"]


def test_a_profile_hands_out_one_role(iam, name, role):
    made = iam.create_instance_profile(InstanceProfileName=name, Path="/p/", Tags=[{"Key": "a", "Value": "b"}])
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    found = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]

    assert made["InstanceProfile"]["Roles"] == []
    assert found["Arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/p/{name}"
    assert found["InstanceProfileId"].startswith("AIPA")
    assert [one["RoleName"] for one in found["Roles"]] == [role]
    assert found["Tags"] == [{"Key": "a", "Value": "b"}]
    assert refused(iam.add_role_to_instance_profile, InstanceProfileName=name, RoleName=role) == (
        "LimitExceeded",
        409,
        "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
    )
    listed = iam.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"]
    assert [one["InstanceProfileName"] for one in listed] == [name]


def test_a_profile_with_a_role_stays(iam, name, role):
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)

    assert refused(iam.delete_instance_profile, InstanceProfileName=name) == (
        "DeleteConflict",
        409,
        "Cannot delete entity, must remove roles from instance profile first.",
    )
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)
    assert refused(iam.remove_role_from_instance_profile, InstanceProfileName=name, RoleName=role).status == 404
    iam.delete_instance_profile(InstanceProfileName=name)
    assert refused(iam.get_instance_profile, InstanceProfileName=name) == (
        "NoSuchEntity",
        404,
        f"Instance Profile {name} cannot be found.",
    )


def test_names_are_unique_without_regard_to_case(iam, name):
    iam.create_instance_profile(InstanceProfileName=name)

    assert refused(iam.create_instance_profile, InstanceProfileName=name.upper()).message == (
        f"Instance Profile {name.upper()} already exists."
    )


def test_profiles_are_listed_in_pages_below_a_path(iam):
    path = f"/{unique_name('p')}/"
    names = sorted(unique_name("i") for _ in range(3))
    for one in names:
        iam.create_instance_profile(InstanceProfileName=one, Path=path)
    pages = iam.get_paginator("list_instance_profiles").paginate(PathPrefix=path, PaginationConfig={"PageSize": 2})

    assert [[one["InstanceProfileName"] for one in page["InstanceProfiles"]] for page in pages] == [
        names[:2],
        names[2:],
    ]
