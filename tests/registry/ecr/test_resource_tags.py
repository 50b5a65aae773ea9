"""Resource tags of repositories: limits, reserved keys, ARNs."""

import pytest

from tests.api import refusal
from tests.builders import unique_name
from tests.servers import ACCOUNT, REGION

pytestmark = pytest.mark.real("boto3")


def arn_of(name: str, *, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:ecr:{region}:{account}:repository/{name}"


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_of(ecr, name: str) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in ecr.list_tags_for_resource(resourceArn=arn_of(name))["tags"]}


def test_tags_are_added_changed_and_removed(ecr, repository):
    arn = arn_of(repository)
    ecr.tag_resource(resourceArn=arn, tags=pairs({"team": "red", "stage": "dev"}))
    ecr.tag_resource(resourceArn=arn, tags=pairs({"stage": "prod", "cost": "42"}))
    after_adding = tags_of(ecr, repository)
    ecr.untag_resource(resourceArn=arn, tagKeys=["team", "never-there"])

    assert after_adding == {"team": "red", "stage": "prod", "cost": "42"}
    assert tags_of(ecr, repository) == {"stage": "prod", "cost": "42"}


def test_keys_differ_by_case(ecr, repository):
    ecr.tag_resource(resourceArn=arn_of(repository), tags=pairs({"Team": "1", "team": "2"}))

    assert tags_of(ecr, repository) == {"Team": "1", "team": "2"}


@pytest.mark.parametrize(
    "tag",
    [
        {"k" * 128: "v" * 256},
        {"Größe/ключ: a+b=c@d._-": "значение 値 ٣"},
        {"empty": ""},
    ],
    ids=["longest", "characters", "empty-value"],
)
def test_lawful_tags_are_kept_as_they_are(ecr, repository, tag):
    ecr.tag_resource(resourceArn=arn_of(repository), tags=pairs(tag))

    assert tags_of(ecr, repository) == tag


@pytest.mark.parametrize(
    "tag",
    [
        {"": "v"},
        {"k" * 129: "v"},
        {"key": "v" * 257},
        {"aws:cloudformation:stack-name": "v"},
        {"AWS:thing": "v"},
        {"key\n": "v"},
        {"key": "a\tb"},
        {"key?": "v"},
        {"key": "<script>"},
    ],
    ids=[
        "no-key", "long-key", "long-value", "reserved", "reserved-in-capitals", "newline", "tab", "question-mark",
        "markup",
    ],
)  # fmt: skip
def test_unlawful_tags_are_refused_and_nothing_is_kept(ecr, repository, tag):
    ecr.tag_resource(resourceArn=arn_of(repository), tags=pairs({"kept": "yes"}))
    told = refusal(ecr.tag_resource, resourceArn=arn_of(repository), tags=pairs({"new": "x", **tag}))

    assert (told.code, told.status) == ("InvalidTagParameterException", 400)
    assert tags_of(ecr, repository) == {"kept": "yes"}
    name = unique_name()
    assert refusal(ecr.create_repository, repositoryName=name, tags=pairs(tag)).code == "InvalidTagParameterException"
    assert refusal(ecr.describe_repositories, repositoryNames=[name]).code == "RepositoryNotFoundException"


def test_a_key_that_comes_twice_in_one_call_is_refused(ecr, repository):
    twice = [{"Key": "team", "Value": "1"}, {"Key": "team", "Value": "2"}]

    assert refusal(ecr.tag_resource, resourceArn=arn_of(repository), tags=twice).code == "InvalidTagParameterException"
    assert tags_of(ecr, repository) == {}


def test_fifty_tags_are_the_most(ecr, repository):
    arn = arn_of(repository)
    ecr.tag_resource(resourceArn=arn, tags=pairs({f"key-{number}": "v" for number in range(50)}))
    ecr.tag_resource(resourceArn=arn, tags=pairs({"key-0": "a change is no addition"}))
    told = refusal(ecr.tag_resource, resourceArn=arn, tags=pairs({"key-50": "v"}))

    assert (told.code, told.status) == ("TooManyTagsException", 400)
    assert repository in told.message
    assert len(tags_of(ecr, repository)) == 50
    told = refusal(
        ecr.create_repository,
        repositoryName=unique_name(),
        tags=pairs({f"key-{number}": "v" for number in range(51)}),
    )
    assert told.code == "TooManyTagsException"


OPERATIONS = [
    ("tag_resource", {"tags": [{"Key": "k", "Value": "v"}]}),
    ("untag_resource", {"tagKeys": ["k"]}),
    ("list_tags_for_resource", {}),
]
by_operation = pytest.mark.parametrize(("operation", "more"), OPERATIONS, ids=["tag", "untag", "list"])


@by_operation
@pytest.mark.parametrize(
    "arn",
    [
        "",
        "app",
        "arn:aws:ecr:us-east-1:000000000000:repository/",
        "arn:aws:s3:us-east-1:000000000000:repository/app",
        "arn:aws-cn:ecr:us-east-1:000000000000:repository/app",
        "arn:aws:ecr:us-east-1:12345:repository/app",
        "arn:aws:ecr:us-east-1:000000000000:app",
        "arn:aws:ecr:us-east-1:000000000000:repository/../app",
        arn_of("app", region="eu-west-1"),
    ],
    ids=["empty", "name", "nameless", "service", "partition", "account", "kind", "dots", "another-region"],
)
def test_what_is_no_arn_of_a_repository_of_this_region_is_an_invalid_parameter(ecr, operation, more, arn):
    told = refusal(getattr(ecr, operation), resourceArn=arn, **more)

    assert (told.code, told.status) == ("InvalidParameterException", 400)
    assert "resourceArn" in told.message


@by_operation
def test_an_unknown_repository_is_told(ecr, operation, more):
    told = refusal(getattr(ecr, operation), resourceArn=arn_of("nobody/made-this"), **more)

    assert (told.code, told.status) == ("RepositoryNotFoundException", 400)


@by_operation
def test_another_accounts_repository_is_closed(ecr, operation, more):
    told = refusal(getattr(ecr, operation), resourceArn=arn_of("app", account="999999999999"), **more)

    assert (told.code, told.status) == ("AccessDeniedException", 400)
