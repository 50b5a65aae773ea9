"""Managed policies through boto3: versions, what uses them, and those of AWS."""

import json
import re
from typing import Any

import pytest

from policies.access import Policies, Request, evaluate, stored
from policies.callers import Caller
from registry import aws_managed
from tests.builders import unique_name
from tests.iam import policy, refused, trusts
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

READ = policy(Action="ecr:Describe*", Resource="*")
WRITE = policy(Action=["ecr:PutImage"], Resource=[f"arn:aws:ecr:*:{ACCOUNT}:repository/a*"])
READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


@pytest.fixture
def arn(iam):
    return iam.create_policy(PolicyName=unique_name("p"), PolicyDocument=READ)["Policy"]["Arn"]


def test_a_policy_reads_back_as_it_was_made(iam, name):
    made = iam.create_policy(
        PolicyName=name, Path="/a/b/", PolicyDocument=READ, Description="reads", Tags=[{"Key": "k", "Value": "v"}]
    )["Policy"]
    found = iam.get_policy(PolicyArn=made["Arn"])["Policy"]

    assert found == {**made, "Description": "reads"}
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:policy/a/b/{name}"
    assert re.fullmatch(r"ANPA[A-Z2-7]{17}", made["PolicyId"])
    assert (made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == ("v1", 0, True)
    assert made["Tags"] == [{"Key": "k", "Value": "v"}]


def test_names_are_unique_whatever_the_path_and_case(iam, name):
    iam.create_policy(PolicyName=name, PolicyDocument=READ)

    assert refused(iam.create_policy, PolicyName=name.upper(), Path="/x/", PolicyDocument=READ) == (
        "EntityAlreadyExists",
        409,
        f"A policy called {name.upper()} already exists. Duplicate names are not allowed.",
    )


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("", "1 validation error detected: Value '' at 'policyDocument' failed to satisfy constraint: "),
        ("nonsense", "Syntax errors in policy."),
        (policy(Action="ecr:*"), "Policy statement must contain resources."),
        (policy(Resource="*"), "Policy statement must contain actions."),
        (policy(Action="PutImage", Resource="*"), "Actions/Conditions must be prefaced by a vendor"),
        (policy(Principal="*", Action="ecr:*", Resource="*"), "Policy document should not specify a principal."),
        (policy(Action="ecr:*", Resource="app"), 'Resource app must be in ARN format or "*".'),
        (policy({"Effect": "Allow", "Sid": "a", "Action": "ecr:*", "Resource": "*"},
                {"Effect": "Allow", "Sid": "a", "Action": "ecr:*", "Resource": "*"}),
         "Statement IDs (SID) in a single policy must be unique."),
    ],
)  # fmt: skip
def test_a_policy_that_aws_would_refuse(iam, name, document, sentence):
    told = refused(iam.create_policy, PolicyName=name, PolicyDocument=document)

    assert told.code in ("MalformedPolicyDocument", "ValidationError") and told.status == 400
    assert told.message.startswith(sentence)


def test_a_policy_has_a_limit_that_white_space_does_not_count_for(iam, name):
    fits = json.dumps(json.loads(policy(Action=[f"ecr:{'a' * 1000}"] * 5, Resource="*")), indent=200)
    too_long = policy(Action=[f"ecr:{'a' * 1000}"] * 7, Resource="*")

    assert len(fits) > 6144
    iam.create_policy(PolicyName=name, PolicyDocument=fits)
    assert refused(iam.create_policy, PolicyName=f"{name}-2", PolicyDocument=too_long) == (
        "LimitExceeded",
        409,
        "Cannot exceed quota for PolicySize: 6144",
    )


def test_there_are_up_to_five_versions_and_numbers_never_come_again(iam, arn):
    for number in range(2, 6):
        made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE, SetAsDefault=number == 3)
        assert made["PolicyVersion"]["VersionId"] == f"v{number}"
        assert made["PolicyVersion"]["IsDefaultVersion"] is (number == 3)
    full = refused(iam.create_policy_version, PolicyArn=arn, PolicyDocument=WRITE)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v5")
    sixth = iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE)["PolicyVersion"]["VersionId"]
    listed = iam.list_policy_versions(PolicyArn=arn)["Versions"]

    assert full[:2] == ("LimitExceeded", 409)
    assert full.message.startswith("A managed policy can have up to 5 versions.")
    assert sixth == "v6"
    assert [(one["VersionId"], one["IsDefaultVersion"]) for one in listed] == [
        ("v6", False), ("v4", False), ("v3", True), ("v2", False), ("v1", False)
    ]  # fmt: skip
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v3"


def test_versions_come_in_pages_and_with_their_documents(iam, arn):
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE)
    pages = list(iam.get_paginator("list_policy_versions").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 1}))
    found = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]

    assert [page["Versions"][0]["VersionId"] for page in pages] == ["v2", "v1"]
    assert found["Document"] == json.loads(WRITE)
    assert found["IsDefaultVersion"] is False
    assert refused(iam.get_policy_version, PolicyArn=arn, VersionId="v9").code == "NoSuchEntity"


def test_the_default_version_can_be_another_and_not_be_deleted(iam, arn):
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")

    assert refused(iam.delete_policy_version, PolicyArn=arn, VersionId="v2") == (
        "DeleteConflict",
        409,
        "Cannot delete the default version of a policy.",
    )
    assert refused(iam.set_default_policy_version, PolicyArn=arn, VersionId="v3").code == "NoSuchEntity"


def test_a_policy_that_something_has_stays(iam, arn, name):
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    attached = refused(iam.delete_policy, PolicyArn=arn)
    iam.detach_user_policy(UserName=name, PolicyArn=arn)
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=arn)
    bounding = refused(iam.delete_policy, PolicyArn=arn)
    iam.delete_user_permissions_boundary(UserName=name)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE)
    versions = refused(iam.delete_policy, PolicyArn=arn)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy(PolicyArn=arn)

    assert attached == bounding == ("DeleteConflict", 409, "Cannot delete a policy attached to entities.")
    assert versions.message.startswith("This policy has more than one version.")
    assert refused(iam.get_policy, PolicyArn=arn) == ("NoSuchEntity", 404, f"Policy {arn} was not found.")


def test_who_has_a_policy_is_known(iam, arn, name):
    path = f"/{name}/"
    user = iam.create_user(UserName=name, Path=path)["User"]
    group = iam.create_group(GroupName=name, Path=path)["Group"]
    role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trusts(ACCOUNT), PermissionsBoundary=arn)[
        "Role"
    ]
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    iam.attach_group_policy(GroupName=name, PolicyArn=arn)
    every = iam.list_entities_for_policy(PolicyArn=arn)
    found = iam.get_policy(PolicyArn=arn)["Policy"]

    assert every["PolicyUsers"] == [{"UserName": name, "UserId": user["UserId"]}]
    assert every["PolicyGroups"] == [{"GroupName": name, "GroupId": group["GroupId"]}]
    assert every["PolicyRoles"] == [{"RoleName": name, "RoleId": role["RoleId"]}]
    assert (found["AttachmentCount"], found["PermissionsBoundaryUsageCount"]) == (2, 1)

    def who(**filters):
        told = iam.list_entities_for_policy(PolicyArn=arn, **filters)
        return [kind for kind in ("Users", "Groups", "Roles") if told[f"Policy{kind}"]]

    assert who(EntityFilter="User") == ["Users"]
    assert who(PolicyUsageFilter="PermissionsBoundary") == ["Roles"]
    assert who(PathPrefix="/elsewhere/") == []
    assert len(list(iam.get_paginator("list_entities_for_policy").paginate(
        PolicyArn=arn, PaginationConfig={"PageSize": 2}))) == 2  # fmt: skip


def test_policies_are_listed_by_scope_path_and_use(iam, arn, name):
    other = iam.create_policy(PolicyName=name, Path=f"/{name}/", PolicyDocument=READ)["Policy"]["Arn"]
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=READ_ONLY)

    def arns(**filters):
        pages = iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 7}, **filters)
        return [one["Arn"] for page in pages for one in page["Policies"]]

    assert {arn, other, READ_ONLY} <= set(arns())
    assert arns() == sorted(arns(), key=lambda one: (one.rpartition("/")[2].lower(), one))
    assert {arn, other} <= set(arns(Scope="Local")) and READ_ONLY not in arns(Scope="Local")
    assert set(arns(Scope="AWS")) == set(aws_managed.BY_ARN)
    assert arns(PathPrefix=f"/{name}/") == [other]
    assert READ_ONLY in arns(OnlyAttached=True) and arn not in arns(OnlyAttached=True)
    assert READ_ONLY not in arns(PolicyUsageFilter="PermissionsBoundary")


# --- those of AWS -----------------------------------------------------------------------------------------------------


def test_a_policy_of_aws_reads_like_any_other(iam):
    found = iam.get_policy(PolicyArn=READ_ONLY)["Policy"]
    version = iam.get_policy_version(PolicyArn=READ_ONLY, VersionId=found["DefaultVersionId"])["PolicyVersion"]

    assert found["PolicyName"] == "AmazonEC2ContainerRegistryReadOnly"
    assert version["IsDefaultVersion"] is True
    assert "ecr:BatchGetImage" in version["Document"]["Statement"][0]["Action"]
    assert [one["VersionId"] for one in iam.list_policy_versions(PolicyArn=READ_ONLY)["Versions"]] == ["v3"]
    assert iam.list_policy_tags(PolicyArn=READ_ONLY)["Tags"] == []


CHANGES: dict[str, dict[str, Any]] = {
    "delete_policy": {},
    "create_policy_version": {"PolicyDocument": READ},
    "delete_policy_version": {"VersionId": "v3"},
    "set_default_policy_version": {"VersionId": "v3"},
    "tag_policy": {"Tags": [{"Key": "a", "Value": "b"}]},
    "untag_policy": {"TagKeys": ["a"]},
}


@pytest.mark.parametrize("operation", CHANGES)
def test_a_policy_of_aws_cannot_be_changed(iam, operation):
    told = refused(getattr(iam, operation), PolicyArn=READ_ONLY, **CHANGES[operation])

    assert (told.code, told.status) == ("AccessDenied", 403)
    assert f"is not authorized to perform: iam:{''.join(p.title() for p in operation.split('_'))}" in told.message


@pytest.mark.parametrize(
    ("name", "allowed", "denied"),
    [
        ("AdministratorAccess", ["ecr:PutImage", "iam:CreateUser", "sts:AssumeRole"], []),
        ("AmazonEC2ContainerRegistryFullAccess", ["ecr:DeleteRepository", "ecr:PutImage"], ["iam:CreateUser"]),
        ("AmazonEC2ContainerRegistryPowerUser", ["ecr:PutImage", "ecr:BatchGetImage"], ["ecr:DeleteRepository"]),
        ("AmazonEC2ContainerRegistryReadOnly", ["ecr:DescribeImages", "ecr:BatchGetImage"], ["ecr:PutImage"]),
        ("AmazonEC2ContainerRegistryPullOnly", ["ecr:BatchGetImage"], ["ecr:DescribeImages", "ecr:PutImage"]),
        ("AmazonECS_FullAccess", ["ecs:RunTask", "ecs:CreateCluster"], ["ecr:PutImage", "iam:CreateUser"]),
        ("service-role/AmazonECSTaskExecutionRolePolicy", ["ecr:BatchGetImage", "logs:PutLogEvents"], ["ecs:RunTask"]),
        ("service-role/AmazonEC2ContainerServiceforEC2Role", ["ecs:Poll", "ecs:SubmitX"], ["ecs:RunTask"]),
        ("IAMFullAccess", ["iam:CreateUser"], ["ecr:PutImage"]),
        ("IAMReadOnlyAccess", ["iam:GetUser", "iam:ListRoles"], ["iam:CreateUser"]),
    ],
)  # fmt: skip
def test_a_policy_of_aws_allows_what_it_is_known_for(name, allowed, denied):
    one = aws_managed.BY_ARN[f"arn:aws:iam::aws:policy/{name}"]
    source = stored("identity", one.policy.arn, one.version.document)
    caller = Caller(kind="user", account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/ann")

    def may(action):
        request = Request(caller=caller, action=action, resource="*", resource_account=ACCOUNT)
        return evaluate(request, Policies(identity=(source,))).allowed

    assert [action for action in allowed if not may(action)] == []
    assert [action for action in denied if may(action)] == []


def test_every_policy_of_aws_is_within_its_own_limits():
    assert len({one.policy.id for one in aws_managed.BY_ID.values()}) == len(aws_managed.BY_ARN) == 10
