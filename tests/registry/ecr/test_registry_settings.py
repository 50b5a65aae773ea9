"""What concerns a whole registry: DescribeRegistry, account settings, and operations that are not built."""

import pytest

import longshore.app  # for the operations that it puts on the table
from registry.aws import spec
from registry.aws.door import OPERATIONS
from tests.api import refusal
from tests.builders import image, push, push_blob, unique_bytes
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

assert longshore.app.DOORS
UNSIGNED = {
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
}  # another proof comes with them; clients do not sign them

DEFAULTS = {"BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE", "REGISTRY_POLICY_SCOPE": "V2", "BLOB_MOUNTING": "ENABLED"}
OTHERS = {"BASIC_SCAN_TYPE_VERSION": "CLAIR", "REGISTRY_POLICY_SCOPE": "V1", "BLOB_MOUNTING": "DISABLED"}


def test_a_registry_replicates_nowhere_until_told(ecr):
    answer = ecr.describe_registry()

    assert answer["registryId"] == ACCOUNT
    assert answer["replicationConfiguration"] == {"rules": []}


@pytest.mark.parametrize("name", DEFAULTS)
def test_account_settings_have_defaults_and_are_kept(start_server, name):
    server = start_server()
    with server.client() as ecr, server.client(region="eu-west-1") as elsewhere:
        before = ecr.get_account_setting(name=name)
        put = ecr.put_account_setting(name=name, value=OTHERS[name])
        after = ecr.get_account_setting(name=name)

        assert (before["name"], before["value"]) == (name, DEFAULTS[name])
        assert (put["name"], put["value"]) == (after["name"], after["value"]) == (name, OTHERS[name])
        assert elsewhere.get_account_setting(name=name)["value"] == DEFAULTS[name]
        assert ecr.put_account_setting(name=name, value=DEFAULTS[name])["value"] == DEFAULTS[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [("NO_SUCH", "ENABLED"), ("BLOB_MOUNTING", "MAYBE"), ("blob_mounting", "ENABLED"), ("", "ENABLED")],
    ids=["unknown", "value", "case", "empty"],
)
def test_unknown_settings_and_values_are_refused(ecr, name, value):
    told = refusal(ecr.put_account_setting, name=name, value=value)

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "ENABLED"


def test_blobs_are_mounted_until_the_account_says_no(start_server):
    server = start_server()
    server.create("source")
    server.create("target")
    digests = [push_blob(server, "source", unique_bytes()) for _ in range(2)]
    mounted = server.request("POST", f"/v2/target/blobs/uploads/?mount={digests[0]}&from=source")
    with server.client() as ecr:
        ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")
    refused = server.request("POST", f"/v2/target/blobs/uploads/?mount={digests[1]}&from=source")

    assert (mounted.status, refused.status) == (201, 202)
    assert server.request("HEAD", f"/v2/target/blobs/{digests[0]}").status == 200  # what was mounted stays


# --- what is not built ------------------------------------------------------------------------------------------------


def unbuilt(service: str) -> list[str]:
    return [name for name in sorted(spec.load(service).operations) if OPERATIONS.find(service, name) is None]


def method_of(client, operation: str):
    names = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
    return getattr(client, names[operation])


@pytest.mark.parametrize("operation", unbuilt("ecr"))
def test_an_operation_that_is_not_built_says_so(ecr, operation):
    told = refusal(method_of(ecr, operation))

    assert (told.code, told.status) == ("UnsupportedOperationException", 400)
    assert f"ecr:{operation} " in told.message
    assert "docs/api-coverage.md" in told.message


@pytest.mark.parametrize("operation", sorted(set(unbuilt("sts")) - UNSIGNED))
def test_an_operation_of_sts_that_is_not_built_says_so(shared_server, operation):
    with shared_server.client("sts") as sts:
        told = refusal(method_of(sts, operation))

    assert (told.code, told.status) == ("UnsupportedOperationException", 400)


def test_who_may_not_log_in_is_not_told_what_is_built(shared_server):
    with shared_server.client(aws_secret_access_key="wrong" * 8) as ecr:
        told = refusal(ecr.put_lifecycle_policy)

    assert told.code == "InvalidSignatureException"


def test_what_is_not_built_changes_nothing(ecr, shared_server, repository):
    push(shared_server, repository, image(), "v1")
    before = ecr.describe_images(repositoryName=repository)["imageDetails"]
    text = '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan",'
    text += '"countNumber":1},"action":{"type":"expire"}}]}'
    for name in {"PutLifecyclePolicy", "StartLifecyclePolicyPreview"} & set(unbuilt("ecr")):
        refusal(method_of(ecr, name), repositoryName=repository, lifecyclePolicyText=text)

    assert ecr.describe_images(repositoryName=repository)["imageDetails"] == before
