"""Terraform's IAM resources: applied, planned again with nothing to do, changed, destroyed."""

import pytest

from tests.iam import Keys, caller, client, refused
from tests.servers import ACCOUNT, RunningServer
from tests.terraform import PROVIDER, Terraform

pytestmark = pytest.mark.real("terraform")

BEFORE = (
    PROVIDER
    + """
data "aws_caller_identity" "me" {}

resource "aws_iam_policy" "pull" {
  name        = "pull"
  path        = "/registry/"
  description = "Pull from team repositories"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Resource = "arn:aws:ecr:*:${data.aws_caller_identity.me.account_id}:repository/team/*"
    }]
  })
  tags = { team = "red" }
}

resource "aws_iam_user" "ann" {
  name                 = "ann"
  path                 = "/team/"
  permissions_boundary = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser"
  force_destroy        = true
  tags                 = { team = "red" }
}

resource "aws_iam_access_key" "ann" {
  user = aws_iam_user.ann.name
}

resource "aws_iam_user_policy" "login" {
  name = "login"
  user = aws_iam_user.ann.name
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" }]
  })
}

resource "aws_iam_user_policy_attachment" "pull" {
  user       = aws_iam_user.ann.name
  policy_arn = aws_iam_policy.pull.arn
}

resource "aws_iam_group" "team" {
  name = "team"
}

resource "aws_iam_group_membership" "team" {
  name  = "team"
  group = aws_iam_group.team.name
  users = [aws_iam_user.ann.name]
}

resource "aws_iam_group_policy_attachment" "read" {
  group      = aws_iam_group.team.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
}

resource "aws_iam_openid_connect_provider" "idp" {
  url             = "https://idp.example.com/realms/ci"
  client_id_list  = ["registry"]
  thumbprint_list = ["0123456789abcdef0123456789abcdef01234567"]
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = [aws_iam_user.ann.arn]
    }
  }
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.idp.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "idp.example.com/realms/ci:sub"
      values   = ["repo:app"]
    }
  }
}

resource "aws_iam_role" "ci" {
  name                 = "ci"
  path                 = "/team/"
  description          = "Who pushes"
  max_session_duration = 7200
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  tags                 = { team = "red" }
}

resource "aws_iam_role_policy" "push" {
  name = "push"
  role = aws_iam_role.ci.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["ecr:PutImage"], Resource = "*" }]
  })
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.ci.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_instance_profile" "box" {
  name = "box"
  role = aws_iam_role.ci.name
}

data "aws_iam_policy" "power" {
  name = "AmazonEC2ContainerRegistryPowerUser"
}

output "key" { value = aws_iam_access_key.ann.id }
output "secret" {
  value     = aws_iam_access_key.ann.secret
  sensitive = true
}
output "power" { value = data.aws_iam_policy.power.arn }
"""
)
AFTER = (
    BEFORE.replace('"ecr:BatchGetImage", ', '"ecr:BatchGetImage", "ecr:DescribeImages", ')
    .replace('team = "red"', 'team = "blue"')
    .replace("7200", "3600")
    .replace('["registry"]', '["registry", "cli"]')
    .replace("repo:app", "repo:other")
    .replace("AmazonEC2ContainerRegistryPowerUser", "AmazonEC2ContainerRegistryFullAccess")
    .replace('"ecr:PutImage"', '"ecr:PutImage", "ecr:CompleteLayerUpload"')
)


@pytest.fixture
def server(start_server) -> RunningServer:
    return start_server()


@pytest.fixture
def terraform(server, tmp_path) -> Terraform:
    return Terraform(tmp_path / "terraform", server)


def test_identities_and_policies_from_first_to_last(terraform, server):
    first, empty = terraform.apply(BEFORE), terraform.plans_nothing(BEFORE)
    told = {name: terraform("output", BEFORE, "-raw", name).out for name in ("key", "secret", "power")}
    keys = Keys(told["key"], told["secret"])
    with server.client("iam") as iam:
        ann = iam.get_user(UserName="ann")["User"]
        iam.untag_user(UserName="ann", TagKeys=["team"])
        drifted = not terraform.plans_nothing(BEFORE)
        second, empty_again = terraform.apply(AFTER), terraform.plans_nothing(AFTER)
        role, policy = iam.get_role(RoleName="ci")["Role"], f"arn:aws:iam::{ACCOUNT}:policy/registry/pull"
        versions = iam.list_policy_versions(PolicyArn=policy)["Versions"]
        who = caller(server, keys)
        last = terraform.destroy(AFTER)
        left = iam.get_account_authorization_details()

    assert first == "Apply complete! Resources: 13 added, 0 changed, 0 destroyed."
    assert empty
    assert told["power"] == "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser"
    assert who == {"UserId": ann["UserId"], "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/team/ann"}
    assert drifted
    assert second.startswith("Apply complete! Resources: 0 added, ") and second.endswith(" 0 destroyed.")
    assert empty_again
    assert (role["MaxSessionDuration"], role["Tags"]) == (3600, [{"Key": "team", "Value": "blue"}])
    assert [(one["VersionId"], one["IsDefaultVersion"]) for one in versions] == [("v2", True), ("v1", False)]
    assert last == "Destroy complete! Resources: 13 destroyed."
    assert left["UserDetailList"] == left["GroupDetailList"] == left["RoleDetailList"] == left["Policies"] == []
    with client(server, "sts", keys) as sts:
        assert refused(sts.get_caller_identity).code == "InvalidClientTokenId"
