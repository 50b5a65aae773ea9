"""Terraform's AWS provider, pointed at a server by the variables of `longshore env` and by nothing else."""

import json

import pytest

from tests.api import refusal
from tests.servers import ACCOUNT, REGION, RunningServer
from tests.terraform import PROVIDER, Terraform

pytestmark = pytest.mark.real("terraform")

POLICY = """
resource "aws_ecr_repository_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "pull"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:root" }
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"%s]
    }]
  })
}
"""
BEFORE = (
    PROVIDER
    + """
data "aws_caller_identity" "me" {}
data "aws_ecr_authorization_token" "login" {}

resource "aws_ecr_repository" "app" {
  name                 = "team/app"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
  encryption_configuration {
    encryption_type = "KMS"
  }
  image_scanning_configuration {
    scan_on_push = true
  }
  tags = { team = "red", "cost:center" = "42" }
}

resource "aws_ecr_repository" "plain" {
  name = "plain"
}

output "url" { value = aws_ecr_repository.app.repository_url }
output "arn" { value = aws_ecr_repository.app.arn }
output "account" { value = data.aws_caller_identity.me.account_id }
output "endpoint" { value = data.aws_ecr_authorization_token.login.proxy_endpoint }
output "user" { value = data.aws_ecr_authorization_token.login.user_name }
"""
    + POLICY % ""
)
AFTER = (
    BEFORE.replace('"IMMUTABLE"', '"MUTABLE"')
    .replace("scan_on_push = true", "scan_on_push = false")
    .replace('team = "red"', 'team = "blue"')
    .replace(POLICY % "", POLICY % ', "ecr:BatchCheckLayerAvailability"')
)
EXCLUSIONS = """
resource "aws_ecr_repository" "exclusions" {
  name                 = "exclusions"
  image_tag_mutability = "IMMUTABLE_WITH_EXCLUSION"
  image_tag_mutability_exclusion_filter {
    filter      = "dev-*"
    filter_type = "WILDCARD"
  }
}
"""
NOWHERE = """
provider "aws" {
  region = "xx-nowhere-7"
  skip_region_validation = true
}
resource "aws_ecr_repository" "app" {
  name = "app"
}
"""


@pytest.fixture
def server(start_server) -> RunningServer:
    return start_server()


@pytest.fixture
def terraform(server, tmp_path) -> Terraform:
    return Terraform(tmp_path / "terraform", server)


def test_repositories_and_their_policy_from_first_to_last(terraform, server):
    # Older versions of the provider do not know exclusions from mutability.
    extra = EXCLUSIONS if terraform("validate", PROVIDER + EXCLUSIONS).code == 0 else ""
    count = 4 if extra else 3
    before, after = BEFORE + extra, AFTER + extra
    first = terraform.apply(before)
    empty = terraform.plans_nothing(before)
    told = {name: one["value"] for name, one in json.loads(terraform("output", before, "-json").out).items()}
    with server.client() as ecr:
        made = {one["repositoryName"]: one for one in ecr.describe_repositories()["repositories"]}
        ecr.untag_resource(resourceArn=told["arn"], tagKeys=["team"])
        drifted = not terraform.plans_nothing(before)
        second = terraform.apply(after)
        empty_again = terraform.plans_nothing(after)
        changed = ecr.describe_repositories(repositoryNames=["team/app"])["repositories"][0]
        tags = ecr.list_tags_for_resource(resourceArn=told["arn"])["tags"]
        policy = ecr.get_repository_policy(repositoryName="team/app")["policyText"]
        last = terraform.destroy(after)
        gone = refusal(ecr.describe_repositories, repositoryNames=["team/app"])

    assert first == f"Apply complete! Resources: {count} added, 0 changed, 0 destroyed."
    assert empty
    assert told == {
        "url": f"{server.netloc}/team/app",
        "arn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/team/app",
        "account": ACCOUNT,
        "endpoint": server.url,
        "user": "AWS",
    }
    assert made["team/app"]["encryptionConfiguration"]["encryptionType"] == "KMS"
    assert made["team/app"]["imageTagMutability"] == "IMMUTABLE"
    assert made["plain"]["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert drifted
    assert second == "Apply complete! Resources: 0 added, 2 changed, 0 destroyed."
    assert empty_again
    assert changed["createdAt"] == made["team/app"]["createdAt"]  # changed in place
    assert (changed["imageTagMutability"], changed["imageScanningConfiguration"]) == ("MUTABLE", {"scanOnPush": False})
    assert {one["Key"]: one["Value"] for one in tags} == {"team": "blue", "cost:center": "42"}
    assert "ecr:BatchCheckLayerAvailability" in policy
    assert last == f"Destroy complete! Resources: {count} destroyed."
    assert gone.code == "RepositoryNotFoundException"


def test_a_region_that_amazon_does_not_have_needs_one_flag(terraform, server):
    """docs/terraform.md says so."""
    refused = terraform("plan", PROVIDER + NOWHERE.replace("= true", "= false"), "-input=false")
    told = terraform.apply(PROVIDER + NOWHERE)
    with server.client(region="xx-nowhere-7") as ecr:
        found = ecr.describe_repositories()["repositories"]

    assert refused.code == 1 and "nvalid AWS Region" in refused.err
    assert told == "Apply complete! Resources: 1 added, 0 changed, 0 destroyed."
    assert [one["repositoryName"] for one in found] == ["app"]
