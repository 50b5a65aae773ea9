"""The policy of a whole registry: kept as it was put, checked as its scope says."""

import json

import pytest
from botocore.exceptions import ClientError

GRANT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "replicate",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
                "Action": ["ecr:CreateRepository", "ecr:ReplicateImage"],
                "Resource": "arn:aws:ecr:us-east-1:000000000000:repository/*",
            }
        ],
    }
)
PULLS = GRANT.replace("ecr:ReplicateImage", "ecr:BatchGetImage")


@pytest.fixture
def ecr(start_server):
    with start_server().client() as client:
        yield client


@pytest.mark.real("boto3")
def test_a_registry_policy_reads_back_as_it_was_put(ecr):
    put = ecr.put_registry_policy(policyText=GRANT)
    got = ecr.get_registry_policy()
    gone = ecr.delete_registry_policy()

    assert put["policyText"] == got["policyText"] == gone["policyText"] == GRANT
    assert put["registryId"] == "000000000000"
    with pytest.raises(ecr.exceptions.RegistryPolicyNotFoundException, match="registry with id '000000000000'"):
        ecr.get_registry_policy()
    with pytest.raises(ecr.exceptions.RegistryPolicyNotFoundException):
        ecr.delete_registry_policy()


@pytest.mark.real("boto3")
def test_scope_v1_takes_three_actions_only(ecr):
    ecr.put_registry_policy(policyText=PULLS)
    ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V1")
    with pytest.raises(ClientError, match="REGISTRY_POLICY_SCOPE") as caught:
        ecr.put_registry_policy(policyText=PULLS)
    kept = ecr.get_registry_policy()["policyText"]
    ecr.put_registry_policy(policyText=GRANT)

    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
    assert kept == PULLS
    assert ecr.get_registry_policy()["policyText"] == GRANT


@pytest.mark.real("boto3")
@pytest.mark.parametrize("text", ["", "{}", "[]", GRANT.replace("Effect", "effect"), GRANT + " " * 10_240])
def test_what_is_no_policy_is_refused_and_the_old_one_stays(ecr, text):
    ecr.put_registry_policy(policyText=GRANT)
    with pytest.raises(ClientError) as caught:
        ecr.put_registry_policy(policyText=text)

    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
    assert ecr.get_registry_policy()["policyText"] == GRANT
