"""Repository policies are kept as they were put, and nothing that is no policy is kept."""

import json

import pytest

from tests.api import refusal
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

ALLOW = {
    "Sid": "pull",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
}


def policy(*statements: dict, version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def answered(answer: dict) -> dict:
    answer.pop("ResponseMetadata")
    return answer


@pytest.mark.parametrize(
    "text",
    [
        policy(ALLOW),
        policy(ALLOW, version="2008-10-17"),
        '{ "Statement" : [ ' + json.dumps(ALLOW) + ' ],\n\t"Version":"2012-10-17" }\n',
        policy(ALLOW, ALLOW),
        json.dumps({"Version": "2012-10-17", "Statement": {**ALLOW, "Principal": "*"}}),
        policy({**ALLOW, "Sid": "Größe", "Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}}}),
    ],
    ids=["plain", "older-version", "white-space", "the-same-sid-twice", "one-statement", "unicode"],
)
def test_the_text_comes_back_as_it_was_put(ecr, repository, text):
    """Terraform and others compare it."""
    put = answered(ecr.set_repository_policy(repositoryName=repository, policyText=text))
    got = answered(ecr.get_repository_policy(repositoryName=repository))
    deleted = answered(ecr.delete_repository_policy(repositoryName=repository))

    assert put == got == deleted == {"registryId": ACCOUNT, "repositoryName": repository, "policyText": text}
    for operation in (ecr.get_repository_policy, ecr.delete_repository_policy):
        told = refusal(operation, repositoryName=repository)
        assert told[:3] == (
            "RepositoryPolicyNotFoundException",
            400,
            f"Repository policy does not exist for the repository with name '{repository}' in the registry with id "
            f"'{ACCOUNT}'",
        )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"Version":"2012-10-17"}',
        policy(ALLOW, version="2020-01-01"),
        policy({**ALLOW, "Effect": "Maybe"}),
        policy({**ALLOW, "effect": "Deny"}),
        policy({**ALLOW, "Condition": {"StringSortOf": {"aws:SourceAccount": "1"}}}),
        policy({key: value for key, value in ALLOW.items() if key != "Principal"}),
        policy({key: value for key, value in ALLOW.items() if key != "Action"}),
        '{"Version":"2012-10-17","Statement":[' + json.dumps(ALLOW)[:-1] + ',"Action":"*"}]}',
        "[" * 5000,
    ],
    ids=[
        "empty", "cut", "list", "null", "no-statement", "version", "effect", "misspelt-element", "operator",
        "no-principal", "no-action", "key-twice", "deep",
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused_and_the_one_that_is_there_stays(ecr, repository, text):
    ecr.set_repository_policy(repositoryName=repository, policyText=policy(ALLOW))
    told = refusal(ecr.set_repository_policy, repositoryName=repository, policyText=text)

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert "Invalid repository policy provided" in told.message
    assert ecr.get_repository_policy(repositoryName=repository)["policyText"] == policy(ALLOW)


def test_a_policy_has_at_most_10240_characters(ecr, repository):
    text = policy(ALLOW)
    longest = text + " " * (10_240 - len(text))
    ecr.set_repository_policy(repositoryName=repository, policyText=longest)
    told = refusal(ecr.set_repository_policy, repositoryName=repository, policyText=longest + " ")

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert "10240" in told.message
    assert ecr.get_repository_policy(repositoryName=repository)["policyText"] == longest


def test_policies_of_an_unknown_repository_are_refused(ecr):
    calls = [
        refusal(ecr.set_repository_policy, repositoryName="nobody/made-this", policyText=policy(ALLOW)),
        refusal(ecr.get_repository_policy, repositoryName="nobody/made-this"),
        refusal(ecr.delete_repository_policy, repositoryName="nobody/made-this"),
    ]

    assert [(told.code, told.status) for told in calls] == [("RepositoryNotFoundException", 400)] * 3
