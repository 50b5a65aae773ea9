"""The simulator decides as the server does, and changes nothing."""

import pytest

from tests.builders import unique_name
from tests.iam import client, make_user, policy, refused
from tests.servers import ACCOUNT, REGION

pytestmark = pytest.mark.real("boto3")

REPOSITORY = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/app"
DOCUMENT = policy(
    {"Effect": "Allow", "Action": "ecr:*", "Resource": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/*"},
    {"Effect": "Deny", "Action": "ecr:Delete*", "Resource": "*"},
    {
        "Effect": "Allow",
        "Action": "iam:GetUser",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "true"}},
    },
)


def decisions(answer) -> dict[tuple[str, str], str]:
    found = answer["EvaluationResults"]
    return {(one["EvalActionName"], one["EvalResourceName"]): one["EvalDecision"] for one in found}


def test_given_policies_are_decided(iam):
    answer = iam.simulate_custom_policy(
        PolicyInputList=[DOCUMENT],
        ActionNames=["ecr:PutImage", "ecr:DeleteRepository", "iam:GetUser"],
        ResourceArns=[REPOSITORY, f"arn:aws:iam::{ACCOUNT}:user/ann"],
    )
    found = decisions(answer)
    (get_user,) = [
        one
        for one in answer["EvaluationResults"]
        if one["EvalActionName"] == "iam:GetUser" and ":user/" in one["EvalResourceName"]
    ]

    assert found["ecr:PutImage", REPOSITORY] == "allowed"
    assert found["ecr:PutImage", f"arn:aws:iam::{ACCOUNT}:user/ann"] == "implicitDeny"
    assert found["ecr:DeleteRepository", REPOSITORY] == "explicitDeny"
    assert (get_user["EvalDecision"], get_user["MissingContextValues"]) == ("implicitDeny", ["aws:securetransport"])


def test_context_boundary_and_resource_policy_have_their_say(iam):
    asked = {"PolicyInputList": [DOCUMENT], "ActionNames": ["iam:GetUser"]}
    entry = {"ContextKeyName": "aws:SecureTransport", "ContextKeyValues": ["true"], "ContextKeyType": "boolean"}
    bound = policy({"Effect": "Allow", "Action": "ecr:*", "Resource": "*"})
    denies = policy({"Effect": "Deny", "Principal": "*", "Action": "iam:*"})
    with_context = iam.simulate_custom_policy(**asked, ContextEntries=[entry])
    bounded = iam.simulate_custom_policy(**asked, ContextEntries=[entry], PermissionsBoundaryPolicyInputList=[bound])[
        "EvaluationResults"
    ][0]
    denied = iam.simulate_custom_policy(**asked, ContextEntries=[entry], ResourcePolicy=denies)["EvaluationResults"][0]

    assert list(decisions(with_context).values()) == ["allowed"]
    assert bounded["EvalDecision"] == "implicitDeny"
    assert bounded["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    assert denied["EvalDecision"] == "explicitDeny"
    assert {"SourcePolicyId": "ResourcePolicy", "SourcePolicyType": "resource"} in denied["MatchedStatements"]


def test_a_users_own_policies_are_simulated(shared_server, iam):
    name, group = unique_name("ann"), unique_name("group")
    user, _ = make_user(shared_server, name)
    iam.create_group(GroupName=group)
    iam.add_user_to_group(GroupName=group, UserName=name)
    iam.put_group_policy(GroupName=group, PolicyName="g", PolicyDocument=DOCUMENT)
    iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")
    answer = iam.simulate_principal_policy(
        PolicySourceArn=user["Arn"],
        ActionNames=["ecr:BatchGetImage", "ecr:DeleteRepository", "iam:CreateUser"],
        ResourceArns=[REPOSITORY],
    )
    (pull, *_) = answer["EvaluationResults"]

    assert list(decisions(answer).values()) == ["allowed", "explicitDeny", "implicitDeny"]
    assert {(one["SourcePolicyId"], one["SourcePolicyType"]) for one in pull["MatchedStatements"]} == {
        (f"group/{group}: inline policy g", "group"),
        ("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly", "aws-managed"),
    }


def test_results_come_in_pages(iam):
    actions = [f"ecr:Action{number}" for number in range(7)]
    asked = {"PolicyInputList": [DOCUMENT], "ActionNames": actions, "ResourceArns": [REPOSITORY]}
    found, marker = [], None
    while True:
        answer = iam.simulate_custom_policy(**asked, MaxItems=3, **({"Marker": marker} if marker else {}))
        found.append([one["EvalActionName"] for one in answer["EvaluationResults"]])
        if not answer["IsTruncated"]:
            break
        marker = answer["Marker"]

    assert [len(page) for page in found] == [3, 3, 1]
    assert [one for page in found for one in page] == actions


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/not-there-at-all"}, "NoSuchEntity"),
        ({"PolicySourceArn": "arn:aws:iam::999999999999:user/ann-of-others"}, "AccessDenied"),
        ({"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:policy/ann-the-policy"}, "InvalidInput"),
    ],
    ids=["absent", "elsewhere", "no-identity"],
)
def test_whom_it_cannot_simulate_is_refused(iam, asked, code):
    assert refused(iam.simulate_principal_policy, ActionNames=["ecr:PutImage"], **asked).code == code


def test_what_is_no_policy_is_refused(iam):
    told = refused(iam.simulate_custom_policy, PolicyInputList=["{}"], ActionNames=["ecr:PutImage"])

    assert told.code == "InvalidInput"


def test_who_may_not_simulate_is_refused(shared_server):
    _, keys = make_user(shared_server, unique_name("ann"))
    with client(shared_server, "iam", keys) as iam:
        told = refused(iam.simulate_custom_policy, PolicyInputList=[DOCUMENT], ActionNames=["ecr:PutImage"])

    assert told.code == "AccessDenied"
