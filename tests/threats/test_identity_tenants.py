"""One tenant's identities and another's calls (T35): every operation of IAM, with the names and ARNs of what is there.

The matrix asks with names of nothing; here account A has one of everything, and account B's root user, who may do all
in B, tries each operation with what is A's.
"""

import pytest
from botocore.exceptions import ClientError

import longshore.app
from registry.aws.door import OPERATIONS
from tests.iam import client, make_account, make_user, policy, trusts

pytestmark = pytest.mark.real("boto3")

READ = policy(Action="ecr:Describe*", Resource="*")


class Tenant:
    """An account with one of everything, called `mine` in it."""

    def __init__(self, server) -> None:
        self.account, self.root = make_account(server)
        with client(server, "iam", self.root) as iam:
            _, self.keys = make_user(server, "mine", self.root)
            iam.create_group(GroupName="mine")
            iam.add_user_to_group(GroupName="mine", UserName="mine")
            iam.put_user_policy(UserName="mine", PolicyName="mine", PolicyDocument=READ)
            self.policy = iam.create_policy(PolicyName="mine", PolicyDocument=READ)["Policy"]["Arn"]
            iam.create_policy_version(PolicyArn=self.policy, PolicyDocument=READ)
            iam.attach_group_policy(GroupName="mine", PolicyArn=self.policy)
            iam.create_role(RoleName="mine", AssumeRolePolicyDocument=trusts(self.account))
            iam.create_instance_profile(InstanceProfileName="mine")
            iam.add_role_to_instance_profile(InstanceProfileName="mine", RoleName="mine")
            made = iam.create_open_id_connect_provider(Url="https://idp.example.com", ClientIDList=["a"])
            self.provider = made["OpenIDConnectProviderArn"]

    def names(self) -> dict[str, object]:
        """A value for every parameter by which an operation of IAM names something."""
        return {
            "ActionNames": ["ecr:DescribeImages"],
            "AccessKeyId": self.keys.access_key_id,
            "AssumeRolePolicyDocument": trusts(self.account),
            "ClientID": "b",
            "Description": "taken over",
            "GroupName": "mine",
            "InstanceProfileName": "mine",
            "OpenIDConnectProviderArn": self.provider,
            "PermissionsBoundary": self.policy,
            "PolicyArn": self.policy,
            "PolicyDocument": READ,
            "PolicyInputList": [READ],
            "PolicyName": "mine",
            "PolicySourceArn": f"arn:aws:iam::{self.account}:user/mine",
            "RoleName": "mine",
            "SetAsDefault": True,
            "Status": "Inactive",
            "TagKeys": ["a"],
            "Tags": [{"Key": "taken", "Value": "over"}],
            "ThumbprintList": ["0" * 40],
            "UserName": "mine",
            "VersionId": "v1",
        }

    def everything(self, server) -> object:
        """All that can be told of the account."""
        with client(server, "iam", self.root) as iam:
            told = iam.get_account_authorization_details()
            keys = iam.list_access_keys(UserName="mine")["AccessKeyMetadata"]
            provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=self.provider)
        for answer in (told, provider):
            answer.pop("ResponseMetadata")
        return told, keys, provider


@pytest.fixture(scope="module")
def tenant(shared_server):
    return Tenant(shared_server)


@pytest.fixture(scope="module")
def stranger(shared_server):
    return make_account(shared_server)[1]


assert longshore.app.DOORS  # importing them has put their operations on the table
IAM = sorted({entry.name for entry in OPERATIONS if entry.service == "iam"})
# The parameters that name something which is there.
NAMING = {
    "AccessKeyId", "GroupName", "InstanceProfileName", "OpenIDConnectProviderArn", "PermissionsBoundary", "PolicyArn",
    "PolicySourceArn", "RoleName", "UserName",
}  # fmt: skip
# What makes something under a name does so in the own account, where the name is free.
MAKES = {name for name in IAM if name.startswith("Create") and name not in ("CreateAccessKey", "CreatePolicyVersion")}


def test_the_operations_are_all_there():
    assert len(IAM) > 90


@pytest.mark.parametrize("name", [name for name in IAM if name not in MAKES])
def test_T35_nothing_of_another_account_is_told_or_changed(shared_server, tenant, stranger, name):
    before = tenant.everything(shared_server)
    with client(shared_server, "iam", stranger) as iam:
        shape = iam.meta.service_model.operation_model(name).input_shape
        given = {key: value for key, value in tenant.names().items() if shape and key in shape.members}
        if name == "UpdateAssumeRolePolicy":
            given["PolicyDocument"] = trusts(tenant.account)
        method = next(method for method, api in iam.meta.method_to_api_mapping.items() if api == name)
        try:
            answer = getattr(iam, method)(**given)
        except ClientError as error:
            told = error.response["Error"]
            assert told["Code"] in ("NoSuchEntity", "AccessDenied"), told
        else:
            answer.pop("ResponseMetadata")
            assert not NAMING & given.keys(), answer
            assert "mine" not in str(answer) and tenant.account not in str(answer)

    assert tenant.everything(shared_server) == before


@pytest.mark.parametrize("name", ["AttachUserPolicy", "PutUserPermissionsBoundary", "CreateUser"])
def test_T35_a_policy_of_another_account_is_none_to_have(shared_server, tenant, name):
    account, root = make_account(shared_server)
    given = {"PolicyArn": tenant.policy} if name == "AttachUserPolicy" else {"PermissionsBoundary": tenant.policy}
    with client(shared_server, "iam", root) as iam:
        if name != "CreateUser":
            iam.create_user(UserName="mine")
        method = {"AttachUserPolicy": iam.attach_user_policy, "CreateUser": iam.create_user}.get(
            name, iam.put_user_permissions_boundary
        )
        with pytest.raises(ClientError) as caught:
            method(UserName="mine", **given)

    assert caught.value.response["Error"]["Code"] in ("NoSuchEntity", "AccessDenied")
    assert account != tenant.account


def test_T35_the_same_names_in_two_accounts_are_different_people(shared_server, tenant):
    _, root = make_account(shared_server)
    user, keys = make_user(shared_server, "mine", root)
    with client(shared_server, "iam", tenant.root) as iam:
        theirs = iam.get_user(UserName="mine")["User"]
    with client(shared_server, "sts", keys) as sts:
        assert sts.get_caller_identity()["UserId"] == user["UserId"] != theirs["UserId"]
