"""Repositories by the ECR API, with boto3: create, describe, delete, settings of one."""

import datetime as dt

import pytest

from tests.api import refusal
from tests.builders import image, push, unique_name
from tests.servers import ACCOUNT, REGION

pytestmark = pytest.mark.real("boto3")

OTHER = "999999999999"


def described(ecr, name):
    return ecr.describe_repositories(repositoryNames=[name])["repositories"][0]


# --- create -----------------------------------------------------------------------------------------------------------


def test_a_repository_has_ecrs_defaults(ecr, shared_server):
    name = unique_name("team/app")
    made = ecr.create_repository(repositoryName=name)["repository"]
    age = dt.datetime.now(dt.UTC) - made.pop("createdAt")

    assert made == {
        "repositoryArn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}",
        "registryId": ACCOUNT,
        "repositoryName": name,
        "repositoryUri": f"{shared_server.netloc}/{name}",
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": False},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }
    assert dt.timedelta(seconds=-1) < age < dt.timedelta(seconds=30)


def test_a_repository_keeps_every_option(ecr):
    name = unique_name()
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}, {"filterType": "WILDCARD", "filter": "latest"}]
    made = ecr.create_repository(
        registryId=ACCOUNT,
        repositoryName=name,
        tags=[{"Key": "team", "Value": "red"}, {"Key": "empty", "Value": ""}],
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
        imageScanningConfiguration={"scanOnPush": True},
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": "alias/own"},
    )["repository"]
    found = described(ecr, name)

    assert found == made
    assert found["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert found["imageTagMutabilityExclusionFilters"] == filters
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    tags = ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
    assert tags == [{"Key": "empty", "Value": ""}, {"Key": "team", "Value": "red"}]


KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("given", "read_back"),
    [
        pytest.param({"encryptionType": "AES256"}, {"encryptionType": "AES256"}, id="AES256"),
        pytest.param(
            {"encryptionType": "KMS"},
            {"encryptionType": "KMS", "kmsKey": f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/ecr"},
            id="KMS-of-AWS",
        ),
        pytest.param(
            {"encryptionType": "KMS", "kmsKey": KEY_ARN},
            {"encryptionType": "KMS", "kmsKey": KEY_ARN},
            id="KMS-by-arn",
        ),
        pytest.param(
            {"encryptionType": "KMS", "kmsKey": KEY_ARN.rpartition("/")[2]},
            {"encryptionType": "KMS", "kmsKey": KEY_ARN},
            id="KMS-by-id",
        ),
        pytest.param(
            {"encryptionType": "KMS_DSSE", "kmsKey": "alias/own"},
            {"encryptionType": "KMS_DSSE", "kmsKey": f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/own"},
            id="KMS_DSSE-by-alias",
        ),
    ],
)
def test_encryption_reads_back_with_the_keys_arn(ecr, given, read_back):
    """Terraform compares what it reads with what it reads again: a plan must come out empty."""
    name = unique_name()
    ecr.create_repository(repositoryName=name, encryptionConfiguration=given)

    assert described(ecr, name)["encryptionConfiguration"] == read_back


def test_a_name_is_taken_once(ecr, repository):
    told = refusal(ecr.create_repository, repositoryName=repository)

    assert told[:3] == (
        "RepositoryAlreadyExistsException",
        400,
        f"The repository with name '{repository}' already exists in the registry with id '{ACCOUNT}'",
    )


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        pytest.param({"repositoryName": "a"}, "repositoryName", id="short"),
        pytest.param({"repositoryName": "a" * 257}, "repositoryName", id="long"),
        pytest.param({"repositoryName": "Upper"}, "repositoryName", id="upper-case"),
        pytest.param({"repositoryName": "a//b"}, "repositoryName", id="empty-segment"),
        pytest.param({"repositoryName": "../etc"}, "repositoryName", id="dots"),
        pytest.param({"repositoryName": "app\n"}, "repositoryName", id="newline"),
        pytest.param({"repositoryName": "a___b"}, "repositoryName", id="separators"),
        pytest.param({"registryId": "12345"}, "registryId", id="registry"),
        pytest.param({"imageTagMutability": "FROZEN"}, "imageTagMutability", id="mutability"),
        pytest.param({"encryptionConfiguration": {}}, "encryptionConfiguration.encryptionType", id="no-encryption"),
        pytest.param({"encryptionConfiguration": {"encryptionType": "ROT13"}}, "encryptionType", id="encryption"),
        pytest.param(
            {"encryptionConfiguration": {"encryptionType": "AES256", "kmsKey": "alias/own"}},
            "encryptionConfiguration",
            id="key-without-kms",
        ),
        pytest.param({"tags": [{"Key": "team"}]}, "tags.1.member.Value", id="tag-without-value"),
    ],
)
def test_a_wrong_parameter_is_named(ecr, wrong, field):
    told = refusal(ecr.create_repository, **{"repositoryName": "never-made", **wrong})

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert told.message.startswith("Invalid parameter at '")
    assert field in told.message
    assert refusal(ecr.describe_repositories, repositoryNames=["never-made"]).code == "RepositoryNotFoundException"


@pytest.mark.parametrize("name", ["ab", "a/b", "a.b_c-d__e--f/g0", "a" * 256, "manifests/blobs/uploads"])
def test_every_lawful_name_is_taken(start_server, name):
    with start_server().client() as ecr:
        ecr.create_repository(repositoryName=name)

        assert described(ecr, name)["repositoryName"] == name


# --- describe ---------------------------------------------------------------------------------------------------------


def test_an_unknown_repository_is_told_with_its_registry(ecr, repository):
    told = refusal(ecr.describe_repositories, repositoryNames=[repository, "nobody/made-this"])

    assert told[:3] == (
        "RepositoryNotFoundException",
        400,
        f"The repository with name 'nobody/made-this' does not exist in the registry with id '{ACCOUNT}'",
    )


def test_repositories_come_in_the_order_in_which_they_are_named(ecr):
    first, second = sorted(unique_name() for _ in range(2))
    for name in (first, second):
        ecr.create_repository(repositoryName=name)
    found = ecr.describe_repositories(repositoryNames=[second, first])["repositories"]

    assert [one["repositoryName"] for one in found] == [second, first]


@pytest.mark.parametrize("more", [{"maxResults": 10}, {"nextToken": "x"}], ids=["maxResults", "nextToken"])
def test_names_and_pages_exclude_each_other(ecr, repository, more):
    told = refusal(ecr.describe_repositories, repositoryNames=[repository], **more)

    assert (told.code, told.status) == ("InvalidParameterException", 400)


def test_a_hundred_names_are_the_most(ecr):
    names = [f"name-{number}" for number in range(101)]

    assert refusal(ecr.describe_repositories, repositoryNames=names).code == "InvalidParameterException"
    assert refusal(ecr.describe_repositories, repositoryNames=[]).code == "InvalidParameterException"


def test_a_page_ends_after_a_hundred_and_pages_hold_every_repository_once(start_server):
    names = sorted(f"repo-{number:03}" for number in range(103))
    with start_server().client() as ecr:
        for name in reversed(names):
            ecr.create_repository(repositoryName=name)
        first = ecr.describe_repositories()
        rest = ecr.describe_repositories(nextToken=first["nextToken"])
        sevens = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 50})
        walked = [[one["repositoryName"] for one in page["repositories"]] for page in sevens]
        all_at_once = ecr.describe_repositories(maxResults=1000)

        assert [one["repositoryName"] for one in first["repositories"]] == names[:100]
        assert [one["repositoryName"] for one in rest["repositories"]] == names[100:]
        assert "nextToken" not in rest
        assert [len(page) for page in walked] == [50, 50, 3]
        assert [name for page in walked for name in page] == names
        assert len(all_at_once["repositories"]) == 103 and "nextToken" not in all_at_once


def test_a_page_that_ends_exactly_at_the_end_is_the_last(start_server):
    with start_server().client() as ecr:
        assert ecr.describe_repositories()["repositories"] == []
        for name in ("one", "two"):
            ecr.create_repository(repositoryName=name)

        assert "nextToken" not in ecr.describe_repositories(maxResults=2)


def test_pages_do_not_shift_when_repositories_come_and_go(start_server):
    with start_server().client() as ecr:
        for name in ("aa", "cc", "ee", "gg"):
            ecr.create_repository(repositoryName=name)
        page = ecr.describe_repositories(maxResults=2)
        ecr.delete_repository(repositoryName="aa")
        ecr.delete_repository(repositoryName="cc")
        ecr.create_repository(repositoryName="bb")
        ecr.create_repository(repositoryName="dd")
        rest = ecr.describe_repositories(nextToken=page["nextToken"])

        assert [one["repositoryName"] for one in rest["repositories"]] == ["dd", "ee", "gg"]


# --- delete -----------------------------------------------------------------------------------------------------------


def test_an_empty_repository_is_deleted_and_described_once_more(ecr, repository):
    before = described(ecr, repository)
    gone = ecr.delete_repository(repositoryName=repository)["repository"]

    assert gone == before
    assert refusal(ecr.describe_repositories, repositoryNames=[repository]).code == "RepositoryNotFoundException"


def test_a_repository_with_images_is_deleted_only_by_force(ecr, shared_server, repository):
    push(shared_server, repository, image(), "v1")
    told = refusal(ecr.delete_repository, repositoryName=repository)
    refused_again = refusal(ecr.delete_repository, repositoryName=repository, force=False)

    assert told[:3] == (
        "RepositoryNotEmptyException",
        400,
        f"The repository with name '{repository}' in registry with id '{ACCOUNT}' cannot be deleted because it still "
        "contains images",
    )
    assert refused_again.code == "RepositoryNotEmptyException"
    assert ecr.list_images(repositoryName=repository)["imageIds"]
    ecr.delete_repository(repositoryName=repository, force=True)
    assert refusal(ecr.list_images, repositoryName=repository).code == "RepositoryNotFoundException"


def test_deleting_an_unknown_repository_is_told(ecr):
    for force in (False, True):
        told = refusal(ecr.delete_repository, repositoryName="nobody/made-this", force=force)

        assert (told.code, told.status) == ("RepositoryNotFoundException", 400)


def test_a_repository_made_again_is_empty(ecr, shared_server, repository):
    """Nothing of its life before comes back: images, tags, policy, settings (T03)."""
    push(shared_server, repository, image(), "v1")
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    ecr.delete_repository(repositoryName=repository, force=True)
    ecr.create_repository(repositoryName=repository)

    assert ecr.list_images(repositoryName=repository)["imageIds"] == []
    assert described(ecr, repository)["imageTagMutability"] == "MUTABLE"


# --- settings of one repository ---------------------------------------------------------------------------------------


def test_scan_on_push_is_kept(ecr, repository):
    for wanted in (True, False):
        answer = ecr.put_image_scanning_configuration(
            repositoryName=repository, imageScanningConfiguration={"scanOnPush": wanted}
        )
        answer.pop("ResponseMetadata")

        assert answer == {
            "registryId": ACCOUNT,
            "repositoryName": repository,
            "imageScanningConfiguration": {"scanOnPush": wanted},
        }
        assert described(ecr, repository)["imageScanningConfiguration"] == {"scanOnPush": wanted}


def test_scan_on_push_is_off_where_the_configuration_says_nothing(ecr, repository):
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": True})
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={})

    assert described(ecr, repository)["imageScanningConfiguration"] == {"scanOnPush": False}
    told = refusal(ecr.put_image_scanning_configuration, repositoryName=repository)
    assert told.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("put_image_scanning_configuration", {"imageScanningConfiguration": {"scanOnPush": True}}),
        ("put_image_tag_mutability", {"imageTagMutability": "IMMUTABLE"}),
    ],
    ids=["scanning", "mutability"],
)
def test_settings_of_an_unknown_repository_are_refused(ecr, operation, parameters):
    told = refusal(getattr(ecr, operation), repositoryName="nobody/made-this", **parameters)

    assert (told.code, told.status) == ("RepositoryNotFoundException", 400)


# --- registryId -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("create_repository", {"repositoryName": "mine"}),
        ("describe_repositories", {}),
        ("describe_repositories", {"repositoryNames": ["mine"]}),
        ("delete_repository", {"repositoryName": "mine"}),
        ("list_images", {"repositoryName": "mine"}),
        ("get_repository_policy", {"repositoryName": "mine"}),
    ],
    ids=["create", "describe-all", "describe-one", "delete", "list-images", "policy"],
)
def test_another_accounts_registry_is_closed(ecr, operation, parameters):
    """Denied alike whether or not there is such a repository (T12, T36)."""
    told = refusal(getattr(ecr, operation), registryId=OTHER, **parameters)

    assert (told.code, told.status) == ("AccessDeniedException", 400)
    assert f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: ecr:" in told.message
    assert f":{OTHER}:repository/" in told.message


def test_the_own_registry_may_be_named(ecr, repository):
    found = ecr.describe_repositories(registryId=ACCOUNT, repositoryNames=[repository])["repositories"]

    assert [one["registryId"] for one in found] == [ACCOUNT]
