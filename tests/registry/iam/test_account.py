"""The account as a whole, through boto3, in an account of its own."""

import json

import pytest

from tests.iam import client, make_account, policy, trusts

pytestmark = pytest.mark.real("boto3")
PULL = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
READ = policy(Action="ecr:Describe*", Resource="*")


@pytest.fixture
def filled(shared_server):
    """An account with one of everything."""
    account, keys = make_account(shared_server)
    with client(shared_server, "iam", keys) as iam:
        own = iam.create_policy(PolicyName="own", PolicyDocument=READ)["Policy"]["Arn"]
        iam.create_user(UserName="ann", PermissionsBoundary=PULL)
        iam.create_group(GroupName="team")
        iam.add_user_to_group(GroupName="team", UserName="ann")
        iam.attach_group_policy(GroupName="team", PolicyArn=own)
        iam.put_user_policy(UserName="ann", PolicyName="mine", PolicyDocument=READ)
        iam.create_role(RoleName="ci", AssumeRolePolicyDocument=trusts(account))
        iam.create_instance_profile(InstanceProfileName="box")
        iam.add_role_to_instance_profile(InstanceProfileName="box", RoleName="ci")
        iam.create_open_id_connect_provider(Url="https://issuer.example.com")
        yield iam


def test_the_summary_counts_everything(filled):
    found = filled.get_account_summary()["SummaryMap"]

    counted = ("Users", "Groups", "Roles", "Policies", "InstanceProfiles", "Providers", "AccountAccessKeysPresent")
    assert {name: found[name] for name in counted} == dict.fromkeys(counted, 1)
    assert found["MFADevices"] == 0
    assert found["AccessKeysPerUserQuota"] == 2


def test_there_are_no_aliases(filled):
    assert filled.list_account_aliases()["AccountAliases"] == []


def test_everything_is_told_in_detail(filled):
    found = filled.get_account_authorization_details()
    (user,), (group,), (role,) = found["UserDetailList"], found["GroupDetailList"], found["RoleDetailList"]

    assert user["UserName"] == "ann" and user["GroupList"] == ["team"]
    assert user["UserPolicyList"] == [{"PolicyName": "mine", "PolicyDocument": json.loads(READ)}]
    assert user["PermissionsBoundary"]["PermissionsBoundaryArn"] == PULL
    assert [one["PolicyName"] for one in group["AttachedManagedPolicies"]] == ["own"]
    assert [one["InstanceProfileName"] for one in role["InstanceProfileList"]] == ["box"]
    assert [one["PolicyName"] for one in found["Policies"]] == ["AmazonEC2ContainerRegistryPullOnly", "own"]
    assert found["Policies"][1]["PolicyVersionList"][0]["Document"] == json.loads(READ)


def test_details_are_filtered_and_come_in_pages(filled):
    only = filled.get_account_authorization_details(Filter=["User", "AWSManagedPolicy"])
    pages = list(filled.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 2}))

    assert len(only["UserDetailList"]) == 1 and only["GroupDetailList"] == only["RoleDetailList"] == []
    assert [one["PolicyName"] for one in only["Policies"]] == ["AmazonEC2ContainerRegistryPullOnly"]
    assert len(pages) == 3
    assert sum(len(page["UserDetailList"] + page["GroupDetailList"] + page["Policies"]) for page in pages) == 4
