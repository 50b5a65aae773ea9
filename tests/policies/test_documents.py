"""Policy documents: which AWS accepts, which it refuses and where; each case names the page that it rests on.

Pages are of docs.aws.amazon.com: IAM/latest/UserGuide/<page>.html, AmazonECR/latest/userguide/<page>.html after "ecr:".
"""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import documents
from policies.conditions import OPERATORS, Condition, Operator
from policies.documents import Policy, parse_identity_policy, parse_resource_policy
from policies.elements import PolicyInvalid
from policies.principals import EVERYONE, Principal

GRAMMAR = "reference_policies_grammar"
ELEMENTS = "reference_policies_elements"
VERSION = "reference_policies_elements_version"
ID = "reference_policies_elements_id"
STATEMENT = "reference_policies_elements_statement"
SID = "reference_policies_elements_sid"
EFFECT = "reference_policies_elements_effect"
PRINCIPAL = "reference_policies_elements_principal"
NOT_PRINCIPAL = "reference_policies_elements_notprincipal"
ACTION = "reference_policies_elements_action"
NOT_ACTION = "reference_policies_elements_notaction"
RESOURCE = "reference_policies_elements_resource"
NOT_RESOURCE = "reference_policies_elements_notresource"
CONDITION = "reference_policies_elements_condition"
OPERATOR = "reference_policies_elements_condition_operators"
MULTI = "reference_policies_condition-single-vs-multi-valued-context-keys"
VARIABLES = "reference_policies_variables"
QUOTAS = "reference_iam-quotas"
ARNS = "reference_identifiers"
CHECKS = "access-analyzer-reference-policy-checks"
ECR_POLICY = "ecr:repository-policies"
ECR_QUOTAS = "ecr:service-quotas"

ACCOUNT = "123456789012"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
USER = f"arn:aws:iam::{ACCOUNT}:user/Bob"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/build"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/build/run-7"
REPOSITORY = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/app"

Json = dict[str, Any]


def resource(**changes: object) -> Json:
    """A statement of a resource policy; `...` takes an element away."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage", **changes}
    return {key: value for key, value in statement.items() if value is not ...}


def identity(**changes: object) -> Json:
    statement = {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*", **changes}
    return {key: value for key, value in statement.items() if value is not ...}


def policy(*statements: object, **top: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **top})


def where(operator: str, value: object, key: str = "aws:SourceIp") -> Json:
    return {"Condition": {operator: {key: value}}}


# --- accepted: the form, the document or statement, the page ----------------------------------------------------------

TOP = [
    (policy(resource()), ECR_POLICY),
    (policy(resource(), Version="2008-10-17"), VERSION),
    (json.dumps({"Statement": [resource()]}), VERSION),
    (json.dumps({"Version": "2012-10-17", "Statement": resource()}), STATEMENT),
    (policy(resource(), Id="cd3ad3d9-2776-4ef1-a904-4c229d1642ee"), ID),
    (policy(resource(), Id="with some spaces"), GRAMMAR),
    (policy(resource(), resource(Effect="Deny")), STATEMENT),
    (policy(resource(Sid="same"), resource(Sid="same")), ECR_POLICY),
    (policy(resource()).replace(",", " ,\r\n\t"), GRAMMAR),
    (policy(resource(Sid="x" * 8000)), ECR_QUOTAS),
]

RESOURCE_STATEMENTS = [
    (resource(Sid="new repository policy"), GRAMMAR),
    (resource(Sid=""), SID),
    (resource(Effect="Deny"), EFFECT),
    (resource(Principal={"AWS": "*"}), PRINCIPAL),
    (resource(Principal={"AWS": ["*"]}), PRINCIPAL),
    (resource(Principal={"AWS": ACCOUNT}), PRINCIPAL),
    (resource(Principal={"AWS": ROOT}), PRINCIPAL),
    (resource(Principal={"AWS": [ACCOUNT, "555555555555"]}), PRINCIPAL),
    (resource(Principal={"AWS": USER}), PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/division/team/Bob@example.com"}), ARNS),
    (resource(Principal={"AWS": ROLE}), PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/service-role/build"}), ARNS),
    (resource(Principal={"AWS": SESSION}), PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:sts::{ACCOUNT}:federated-user/Bob"}), PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws-cn:iam::{ACCOUNT}:root"}), ARNS),
    (resource(Principal={"AWS": f"arn:aws-us-gov:iam::{ACCOUNT}:role/x"}), ARNS),
    (resource(Principal={"Service": "codebuild.amazonaws.com"}), PRINCIPAL),
    (resource(Principal={"Service": ["ecs.amazonaws.com", "elasticloadbalancing.amazonaws.com"]}), PRINCIPAL),
    (resource(Principal={"Service": "ec2.amazonaws.com.cn"}), PRINCIPAL),
    (resource(Principal={"Federated": "cognito-identity.amazonaws.com"}), PRINCIPAL),
    (resource(Principal={"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/provider-name"}), PRINCIPAL),
    (resource(Principal={"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/ci.example.com:8443/r"}), PRINCIPAL),
    (
        resource(Principal={"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}),
        PRINCIPAL,
    ),
    (resource(Principal={"AWS": ACCOUNT, "Service": "ecs.amazonaws.com"}), GRAMMAR),
    (resource(Effect="Deny", Principal=..., NotPrincipal={"AWS": [USER, ROOT]}), NOT_PRINCIPAL),
    (resource(Effect="Deny", Principal=..., NotPrincipal="*"), GRAMMAR),
    (resource(Resource="*"), ECR_POLICY),
    (resource(Resource=REPOSITORY), ECR_POLICY),
    (resource(NotResource=REPOSITORY), NOT_RESOURCE),
    (resource(Action=["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]), ECR_POLICY),
    (resource(Action="ecr:*", Condition={"StringLike": {"aws:sourceArn": REPOSITORY}}), ECR_POLICY),
]

COMMON_ELEMENTS = [
    ({"Action": "*"}, GRAMMAR),
    ({"Action": ["*"]}, GRAMMAR),
    ({"Action": "ecr:*"}, ACTION),
    ({"Action": "ECR:batchgetimage"}, ACTION),
    ({"Action": "ecr:*Image?"}, ACTION),
    ({"Action": "iam:*AccessKey*"}, ACTION),
    ({"Action": "application-autoscaling:RegisterScalableTarget"}, ACTION),
    ({"Action": ..., "NotAction": "iam:*"}, NOT_ACTION),
    ({"Action": ..., "NotAction": ["ecr:PutImage", "ecr:DeleteRepository"]}, NOT_ACTION),
    ({"Condition": {}}, CHECKS),
    ({"Condition": {"StringEquals": {}}}, CHECKS),
    (where("StringEquals", []), CHECKS),
    (where("StringEquals", ["a", "b"], "aws:PrincipalOrgID"), CONDITION),
    (where("StringEquals", "test", "aws:ResourceTag/purpose"), GRAMMAR),
    (where("StringEquals", "x", "token.actions.githubusercontent.com:sub"), CONDITION),
    (where("StringEquals", 10, "s3:max-keys"), GRAMMAR),
    (where("StringEquals", True, "aws:x"), GRAMMAR),
    (where("StringNotEquals", "${aws:username}", "aws:x"), VARIABLES),
    (where("StringEqualsIgnoreCase", "john", "aws:username"), CONDITION),
    (where("StringLikeIfExists", ["t1.*", "t2.*"], "ec2:InstanceType"), OPERATOR),
    (where("ForAnyValue:StringEquals", "a", "aws:TagKeys"), MULTI),
    (where("ForAllValues:StringLike", ["a*"], "aws:TagKeys"), MULTI),
    (where("ForAllValues:StringNotLikeIfExists", "a*", "aws:TagKeys"), MULTI),
    (where("NumericLessThanEquals", "10", "s3:max-keys"), OPERATOR),
    (where("NumericEquals", 10, "s3:max-keys"), OPERATOR),
    (where("NumericGreaterThan", -1.5, "a:b"), OPERATOR),
    (where("NumericNotEqualsIfExists", ["1", 2, "3.5e2"], "a:b"), OPERATOR),
    (where("DateGreaterThan", "2020-01-01T00:00:01Z", "aws:TokenIssueTime"), OPERATOR),
    (where("DateLessThan", "2020-06-30T23:59:59.123+02:00", "aws:CurrentTime"), OPERATOR),
    (where("DateEquals", "2020-02-29", "aws:CurrentTime"), OPERATOR),
    (where("DateNotEquals", "2020-02", "aws:CurrentTime"), OPERATOR),
    (where("DateLessThanEquals", "1700000000", "aws:EpochTime"), OPERATOR),
    (where("DateGreaterThanEquals", 1700000000, "aws:EpochTime"), OPERATOR),
    (where("Bool", "false", "aws:SecureTransport"), OPERATOR),
    (where("Bool", True, "aws:SecureTransport"), GRAMMAR),
    (where("Bool", "True", "aws:SecureTransport"), OPERATOR),
    (where("BoolIfExists", "${aws:MultiFactorAuthPresent}", "aws:x"), OPERATOR),
    (where("BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "a:key"), OPERATOR),
    (where("IpAddress", "203.0.113.0/24"), OPERATOR),
    (where("IpAddress", "203.0.113.7"), OPERATOR),
    (where("IpAddress", ["203.0.113.7/24", "2001:DB8:1234:5678::/64"]), OPERATOR),
    (where("NotIpAddress", "::1"), OPERATOR),
    (where("ArnEquals", "arn:aws:sns:REGION:123456789012:TOPIC-ID", "aws:SourceArn"), OPERATOR),
    (where("ArnLike", "arn:aws:someservice:*:111122223333:finance/*", "aws:SourceArn"), OPERATOR),
    (where("ArnNotLikeIfExists", "arn:aws:iam::*:role/${aws:username}", "aws:PrincipalArn"), OPERATOR),
    (where("Null", "true", "aws:TokenIssueTime"), OPERATOR),
    (where("Null", False, "aws:TokenIssueTime"), OPERATOR),
    (where("ForAnyValue:Null", "false", "aws:TagKeys"), CHECKS),
    ({"Condition": {"Bool": {"a:b": "true"}, "BoolIfExists": {"a:b": "false"}}}, CONDITION),
]

IDENTITY_STATEMENTS = [
    (identity(), GRAMMAR),
    (identity(Sid="AllowPull1"), SID),
    (identity(Resource=["*"]), RESOURCE),
    (identity(Resource=REPOSITORY), RESOURCE),
    (identity(Resource=[REPOSITORY, "arn:aws:ecr:*:*:repository/*"]), RESOURCE),
    (identity(Resource="arn:aws:iam::123456789012:user/accounting/*"), RESOURCE),
    (identity(Resource="arn:aws:s3:::amzn-s3-demo-bucket/*"), RESOURCE),
    (identity(Resource="arn:*:ecr:us-east-?:*:repository/a*b"), RESOURCE),
    (identity(Resource="arn:aws:sqs"), RESOURCE),
    (identity(Resource="arn:aws:ecr:us-east-1"), RESOURCE),
    (identity(Resource="arn:aws:dynamodb:us-east-2:123456789012:table/${aws:username}"), VARIABLES),
    (identity(Resource=..., NotResource=REPOSITORY), NOT_RESOURCE),
    (identity(Resource="arn:aws:logs:us-east-1:123456789012:log-group:/a:log-stream:b"), ARNS),
]


@pytest.mark.parametrize(("text", "source"), TOP)
def test_a_lawful_document_is_accepted(text: str, source: str) -> None:
    assert parse_resource_policy(text).statements


@pytest.mark.parametrize(("statement", "source"), RESOURCE_STATEMENTS)
def test_a_lawful_statement_of_a_resource_policy_is_accepted(statement: Json, source: str) -> None:
    (found,) = parse_resource_policy(policy(statement)).statements

    assert found.effect == statement["Effect"]
    assert bool(found.principals) is not bool(found.not_principals)


@pytest.mark.parametrize(("statement", "source"), IDENTITY_STATEMENTS)
def test_a_lawful_statement_of_an_identity_policy_is_accepted(statement: Json, source: str) -> None:
    (found,) = parse_identity_policy(policy(statement)).statements

    assert not found.principals
    assert bool(found.resources) is not bool(found.not_resources)


@pytest.mark.parametrize(("element", "source"), COMMON_ELEMENTS)
def test_an_element_of_both_forms_is_accepted_in_both(element: Json, source: str) -> None:
    (of_resource,) = parse_resource_policy(policy(resource(**element))).statements
    (of_identity,) = parse_identity_policy(policy(identity(**element))).statements

    assert of_resource.actions == of_identity.actions
    assert of_resource.not_actions == of_identity.not_actions
    assert of_resource.conditions == of_identity.conditions


# --- refused: the statement, the path after the statement, a word of the reason, the page -----------------------------

BAD_DOCUMENTS = [
    ("", "$", "not JSON", GRAMMAR),
    ("null", "$", "expected an object", GRAMMAR),
    ("[]", "$", "expected an object", GRAMMAR),
    ('"x"', "$", "expected an object", GRAMMAR),
    ("{}", "$", "Statement is missing", STATEMENT),
    (policy(resource()) + "}", "$", "not JSON", GRAMMAR),
    (policy(resource()).replace("{", "{,", 1), "$", "not JSON", GRAMMAR),
    ("[" * 9000, "$", "brackets", GRAMMAR),
    (policy(resource(), Version="2012-10-18"), "$.Version", "expected 2012-10-17", VERSION),
    (policy(resource(), Version=""), "$.Version", "expected 2012-10-17", VERSION),
    (policy(resource(), Version=20121017), "$.Version", "expected a string", VERSION),
    (policy(resource(), Version=None), "$.Version", "expected a string", VERSION),
    (policy(resource(), Id=1), "$.Id", "expected a string", ID),
    (policy(resource(), version="2012-10-17"), "$", "did you mean Version?", ELEMENTS),
    (policy(resource(), Comment="x"), "$", 'unknown element "Comment"', ELEMENTS),
    (policy(resource(), Conditions={}), "$", "unknown element", ELEMENTS),
    (json.dumps({"statement": [resource()]}), "$", "did you mean Statement?", ELEMENTS),
    (policy(), "$.Statement", "the list is empty", GRAMMAR),
    (policy("x"), "$.Statement[0]", "expected an object", GRAMMAR),
    (policy(resource(), None), "$.Statement[1]", "expected an object", GRAMMAR),
    (json.dumps({"Statement": "x"}), "$.Statement", "expected an object", GRAMMAR),
    ('{"Statement":[{"Effect":"Deny","Effect":"Allow"}]}', "$", '"Effect" appears twice', GRAMMAR),
    ('{"Statement":[{"Action":"a:b","Action":"c:d"}]}', "$", '"Action" appears twice', GRAMMAR),
    ('{"Statement":[],"Statement":[]}', "$", '"Statement" appears twice', GRAMMAR),
    ('{"Statement":[{"Sid":"\\ud800"}]}', "$", "surrogate", GRAMMAR),
    ('{"Statement":[{"Sid":NaN}]}', "$", "NaN", GRAMMAR),
    (policy(resource(Sid="x" * 10_240)), "$", "more than 10240", ECR_QUOTAS),
]

NO_ACTIONS = "Policy statement must contain actions."
NO_RESOURCES = "Policy statement must contain resources."

BAD_RESOURCE_STATEMENTS = [
    (resource(Principal=...), "", "who is meant", GRAMMAR),
    (resource(Principal=None), ".Principal", "expected an object", PRINCIPAL),
    (resource(Principal={}), ".Principal", "names nobody", PRINCIPAL),
    (resource(Principal=["*"]), ".Principal", "expected an object", GRAMMAR),
    (resource(Principal=ACCOUNT), ".Principal", 'expected "*" or an object', GRAMMAR),
    (resource(Principal="**"), ".Principal", 'expected "*" or an object', GRAMMAR),
    (resource(Principal={"aws": ACCOUNT}), ".Principal", "did you mean AWS?", GRAMMAR),
    (resource(Principal={"*": "*"}), ".Principal", "unknown element", GRAMMAR),
    (resource(Principal={"AWS": []}), ".Principal.AWS", "empty", GRAMMAR),
    (resource(Principal={"AWS": {"a": 1}}), ".Principal.AWS", "expected a string", GRAMMAR),
    (resource(Principal={"AWS": 123456789012}), ".Principal.AWS", "expected a string", PRINCIPAL),
    (resource(Principal={"AWS": [ACCOUNT, None]}), ".Principal.AWS[1]", "expected a string", GRAMMAR),
    (resource(Principal={"AWS": ""}), ".Principal.AWS", "not a principal", PRINCIPAL),
    (resource(Principal={"AWS": "12345678901"}), ".Principal.AWS", "not a principal", PRINCIPAL),
    (resource(Principal={"AWS": ACCOUNT + "\n"}), ".Principal.AWS", "not a principal", PRINCIPAL),
    (resource(Principal={"AWS": "\u0661" * 12}), ".Principal.AWS", "not a principal", PRINCIPAL),
    (resource(Principal={"AWS": "Bob"}), ".Principal.AWS", "not a principal", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:*"}), ".Principal.AWS", "without wildcards", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/*"}), ".Principal.AWS", "without wildcards", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/a?"}), ".Principal.AWS", "without wildcards", PRINCIPAL),
    (resource(Principal={"AWS": "arn:aws:iam::*:root"}), ".Principal.AWS", "without wildcards", PRINCIPAL),
    (resource(Principal={"AWS": "arn:*:iam::123456789012:root"}), ".Principal.AWS", "without wildcards", PRINCIPAL),
    (resource(Principal={"AWS": f"{SESSION[:-5]}*"}), ".Principal.AWS", "without wildcards", PRINCIPAL),
    (resource(Principal={"AWS": [ACCOUNT, "1*"]}), ".Principal.AWS[1]", "without wildcards", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:group/Admins"}), ".Principal.AWS", "not a", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/"}), ".Principal.AWS", "not a principal", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:User/Bob"}), ".Principal.AWS", "not a", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam:us-east-1:{ACCOUNT}:root"}), ".Principal.AWS", "not a", ARNS),
    (resource(Principal={"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/build"}), ".Principal.AWS", "not a", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:assumed-role/b/s"}), ".Principal.AWS", "not a", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:aws:sts::{ACCOUNT}:role/b"}), ".Principal.AWS", "not a", PRINCIPAL),
    (resource(Principal={"AWS": f"arn:error:iam::{ACCOUNT}:root"}), ".Principal.AWS", "not a principal", ARNS),
    (resource(Principal={"AWS": "ecs.amazonaws.com"}), ".Principal.AWS", "not a principal", PRINCIPAL),
    (resource(Principal={"Service": "*"}), ".Principal.Service", "without wildcards", PRINCIPAL),
    (resource(Principal={"Service": "*.amazonaws.com"}), ".Principal.Service", "without wildcards", PRINCIPAL),
    (resource(Principal={"Service": "ECS.amazonaws.com"}), ".Principal.Service", "not a principal", CHECKS),
    (resource(Principal={"Service": ACCOUNT}), ".Principal.Service", "not a principal", CHECKS),
    (resource(Principal={"Federated": "*"}), ".Principal.Federated", "without wildcards", PRINCIPAL),
    (resource(Principal={"Federated": ROLE}), ".Principal.Federated", "not a principal", CHECKS),
    (resource(Principal={"CanonicalUser": "79a5"}), ".Principal.CanonicalUser", "not a principal", PRINCIPAL),
    (resource(NotPrincipal="*"), "", "Principal and NotPrincipal exclude", ELEMENTS),
    (resource(Principal=..., NotPrincipal={"AWS": USER}), ".NotPrincipal", "needs the effect Deny", NOT_PRINCIPAL),
    (
        resource(Effect="Deny", Principal=..., NotPrincipal={"AWS": "a*"}),
        ".NotPrincipal.AWS",
        "wildcards",
        NOT_PRINCIPAL,
    ),
    (resource(Resource=[]), ".Resource", "empty", RESOURCE),
    (resource(Sid=7), ".Sid", "expected a string", SID),
    (resource(Sid=None), ".Sid", "expected a string", SID),
]

BAD_ELEMENTS = [
    ({"Effect": ...}, "", "Effect is missing", EFFECT),
    ({"Effect": "allow"}, ".Effect", "expected Allow or Deny", EFFECT),
    ({"Effect": "DENY"}, ".Effect", "expected Allow or Deny", EFFECT),
    ({"Effect": "Maybe"}, ".Effect", "expected Allow or Deny", EFFECT),
    ({"Effect": ""}, ".Effect", "expected Allow or Deny", EFFECT),
    ({"Effect": ["Allow"]}, ".Effect", "expected a string", GRAMMAR),
    ({"Effect": True}, ".Effect", "expected a string", GRAMMAR),
    ({"Effect": ..., "effect": "Allow"}, "", "did you mean Effect?", ELEMENTS),
    ({"effect": "Deny"}, "", "did you mean Effect?", ELEMENTS),
    ({"action": "ecr:*"}, "", "did you mean Action?", ELEMENTS),
    ({"Conditions": {}}, "", 'unknown element "Conditions"', ELEMENTS),
    ({"Condition ": {}}, "", "unknown element", ELEMENTS),
    ({"Action": ...}, "", "Action or NotAction is missing", ACTION),
    ({"Action": []}, ".Action", "empty", ACTION),
    ({"Action": None}, ".Action", "expected a string", GRAMMAR),
    ({"Action": {"ecr": "*"}}, ".Action", "expected a string", GRAMMAR),
    ({"Action": ["ecr:*", 1]}, ".Action[1]", "expected a string", GRAMMAR),
    ({"NotAction": "ecr:*"}, "", "Action and NotAction exclude each other", ELEMENTS),
    ({"Action": ..., "NotAction": []}, ".NotAction", "empty", NOT_ACTION),
    ({"Action": ""}, ".Action", "no service:action", ACTION),
    ({"Action": "BatchGetImage"}, ".Action", "no service:action", ACTION),
    ({"Action": "ecr*"}, ".Action", "no service:action", ACTION),
    ({"Action": ["ecr:*", "PutImage"]}, ".Action[1]", "no service:action", ACTION),
    ({"Action": "ecr:Batch:Get"}, ".Action", "ecr:Batch:Get", ACTION),
    ({"Action": "e*:BatchGetImage"}, ".Action", "service is named whole", ACTION),
    ({"Action": "a a:BatchGetImage"}, ".Action", "service is named whole", ACTION),
    ({"Action": ":BatchGetImage"}, ".Action", "service is named whole", ACTION),
    ({"Action": "ecr:"}, ".Action", "no name of an action", ACTION),
    ({"Action": "ecr:Put\nImage"}, ".Action", "no name of an action", ACTION),
    ({"Resource": None}, ".Resource", "expected a string", GRAMMAR),
    ({"Resource": [None]}, ".Resource[0]", "expected a string", GRAMMAR),
    ({"Resource": ""}, ".Resource", "expected an ARN", RESOURCE),
    ({"Resource": "team/app"}, ".Resource", "expected an ARN", RESOURCE),
    ({"Resource": "a*"}, ".Resource", "expected an ARN", RESOURCE),
    ({"Resource": "x:aws:ecr:*:*:*"}, ".Resource", "expected an ARN", CHECKS),
    ({"Resource": "arn:error:s3:::b"}, ".Resource", "unknown partition", CHECKS),
    ({"Resource": "arn:aws*:s3:::b"}, ".Resource", "unknown partition", CHECKS),
    ({"Resource": "arn:aws"}, ".Resource", "service is named whole", RESOURCE),
    ({"Resource": "arn:aws:*:*:*:*"}, ".Resource", "service is named whole", RESOURCE),
    ({"Resource": "arn:aws:ec?:*:*:*"}, ".Resource", "service is named whole", RESOURCE),
    ({"Resource": "arn:aws::us-east-1:1:x"}, ".Resource", "must not be", RESOURCE),
    ({"Resource": "arn:aws:s3::b"}, ".Resource", "must not be", RESOURCE),
    ({"Resource": [REPOSITORY, "x"]}, ".Resource[1]", "expected an ARN", RESOURCE),
    ({"Resource": "*", "NotResource": "*"}, "", "Resource and NotResource exclude", ELEMENTS),
    ({"Condition": []}, ".Condition", "expected an object", CONDITION),
    ({"Condition": None}, ".Condition", "expected an object", CONDITION),
    ({"Condition": {"StringEquals": "x"}}, ".Condition.StringEquals", "expected an object", CONDITION),
    ({"Condition": {"StringEquals": []}}, ".Condition.StringEquals", "expected an object", CONDITION),
    (where("StringEqual", "x"), ".Condition", 'unknown condition operator "StringEqual"', OPERATOR),
    (where("stringequals", "x"), ".Condition", "unknown condition operator", OPERATOR),
    (where("StringEqualsIfexists", "x"), ".Condition", "unknown condition operator", OPERATOR),
    (where("IfExists", "x"), ".Condition", "unknown condition operator", OPERATOR),
    (where("BinaryNotEquals", "eA=="), ".Condition", "unknown condition operator", OPERATOR),
    (where("ForAny:StringEquals", "x"), ".Condition", "unknown condition operator", MULTI),
    (where("forAnyValue:StringEquals", "x"), ".Condition", "unknown condition operator", MULTI),
    (where(":StringEquals", "x"), ".Condition", "unknown condition operator", MULTI),
    (where("ForAllValues:ForAnyValue:StringEquals", "x"), ".Condition", "unknown condition operator", MULTI),
    ({"Condition": {"": {}}}, ".Condition", "unknown condition operator", OPERATOR),
    ({"Condition": {"Regex": {}}}, ".Condition", "unknown condition operator", OPERATOR),
    (where("NullIfExists", "true"), ".Condition", "exclude each other", CHECKS),
    (where("StringEquals", "x", ""), ".Condition.StringEquals", "no condition key", CONDITION),
    (where("StringEquals", "x", "a:\n"), ".Condition.StringEquals", "no condition key", CONDITION),
    (where("StringEquals", None), ".Condition.StringEquals.aws:SourceIp", "expected a string, a number", GRAMMAR),
    (where("StringEquals", {"a": "b"}), ".Condition.StringEquals.aws:SourceIp", "expected a string, a number", GRAMMAR),
    (where("StringEquals", [["a"]]), ".Condition.StringEquals.aws:SourceIp", "expected a string, a number", GRAMMAR),
    (
        {"Condition": {"IpAddress": {"aws:SourceIp": "::1", "aws:sourceip": "::2"}}},
        ".Condition.IpAddress.aws:sourceip",
        "different capitalization",
        CHECKS,
    ),
    (where("IpAddress", "203.0.113.0/33"), ".Condition.IpAddress.aws:SourceIp", "no value for IpAddress", OPERATOR),
    (where("IpAddress", "203.0.113"), ".Condition.IpAddress.aws:SourceIp", "no value for", OPERATOR),
    (where("IpAddress", "203.0.113.0/255.255.255.0"), ".Condition.IpAddress.aws:SourceIp", "no value for", OPERATOR),
    (where("NotIpAddress", "${aws:x}"), ".Condition.NotIpAddress.aws:SourceIp", "no value for", OPERATOR),
    (where("IpAddress", "fe80::1%eth0"), ".Condition.IpAddress.aws:SourceIp", "no value for", OPERATOR),
    (where("IpAddress", ["::1", 7]), ".Condition.IpAddress.aws:SourceIp", "no value for", OPERATOR),
    (where("NumericEquals", "ten", "a:b"), ".Condition.NumericEquals.a:b", "no value for", OPERATOR),
    (where("NumericEquals", "nan", "a:b"), ".Condition.NumericEquals.a:b", "no value for", OPERATOR),
    (where("NumericLessThan", "1_000", "a:b"), ".Condition.NumericLessThan.a:b", "no value for", OPERATOR),
    (where("NumericLessThan", "${aws:x}", "a:b"), ".Condition.NumericLessThan.a:b", "no value for", OPERATOR),
    (where("NumericLessThan", True, "a:b"), ".Condition.NumericLessThan.a:b", "no value for", OPERATOR),
    (where("DateEquals", "yesterday", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2020-13-01", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2021-02-29", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2020-01-01T", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2020-01T10:00Z", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2020-01-01T24:00Z", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2020-01-01T23:60Z", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2020-01-01T23:59:60Z", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2020-01-01T10:00+24:00", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2020-01-01T10:00+01:60", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateEquals", "2020-01-01 10:00", "a:b"), ".Condition.DateEquals.a:b", "no value for", OPERATOR),
    (where("DateLessThan", "2020-*", "a:b"), ".Condition.DateLessThan.a:b", "no value for", OPERATOR),
    (where("DateLessThan", "-1", "a:b"), ".Condition.DateLessThan.a:b", "no value for", OPERATOR),
    (where("Bool", "yes", "a:b"), ".Condition.Bool.a:b", "no value for", OPERATOR),
    (where("Bool", 1, "a:b"), ".Condition.Bool.a:b", "no value for", OPERATOR),
    (where("Null", "${aws:x}", "a:b"), ".Condition.Null.a:b", "no value for", OPERATOR),
    (where("Null", "", "a:b"), ".Condition.Null.a:b", "no value for", OPERATOR),
    (where("BinaryEquals", "QQ", "a:b"), ".Condition.BinaryEquals.a:b", "no value for", OPERATOR),
    (where("BinaryEquals", "Q!Q==", "a:b"), ".Condition.BinaryEquals.a:b", "no value for", OPERATOR),
    (where("BinaryEquals", "é", "a:b"), ".Condition.BinaryEquals.a:b", "no value for", OPERATOR),
]

BAD_IDENTITY_STATEMENTS = [
    (identity(Principal="*"), ".Principal", "about who has it", PRINCIPAL),
    (identity(Principal={"AWS": ACCOUNT}), ".Principal", "about who has it", GRAMMAR),
    (identity(Effect="Deny", NotPrincipal={"AWS": ACCOUNT}), ".NotPrincipal", "about who has it", NOT_PRINCIPAL),
    (identity(Resource=...), "", "Resource or NotResource is missing", RESOURCE),
    (identity(Resource=[]), ".Resource", "empty", RESOURCE),
    (identity(Resource=..., NotResource=[]), ".NotResource", "empty", NOT_RESOURCE),
    (identity(Sid="with space"), ".Sid", "letters and digits", SID),
    (identity(Sid="a_b"), ".Sid", "letters and digits", SID),
    (identity(Sid="a\n"), ".Sid", "letters and digits", SID),
    (identity(Sid=["a"]), ".Sid", "expected a string", SID),
]


def refused(parse: Any, text: str) -> PolicyInvalid:
    with pytest.raises(PolicyInvalid) as trouble:
        parse(text)
    return trouble.value


@pytest.mark.parametrize(("text", "path", "why", "source"), BAD_DOCUMENTS)
def test_an_unlawful_document_is_refused(text: str, path: str, why: str, source: str) -> None:
    trouble = refused(parse_resource_policy, text)

    assert path == trouble.path
    assert why in trouble.why


@pytest.mark.parametrize(("statement", "path", "why", "source"), BAD_RESOURCE_STATEMENTS)
def test_an_unlawful_statement_of_a_resource_policy_is_refused(
    statement: Json, path: str, why: str, source: str
) -> None:
    trouble = refused(parse_resource_policy, policy(resource(), statement))

    assert trouble.path == f"$.Statement[1]{path}"
    assert why in trouble.why


@pytest.mark.parametrize(("statement", "path", "why", "source"), BAD_IDENTITY_STATEMENTS)
def test_an_unlawful_statement_of_an_identity_policy_is_refused(
    statement: Json, path: str, why: str, source: str
) -> None:
    trouble = refused(parse_identity_policy, policy(identity(), statement))

    assert trouble.path == f"$.Statement[1]{path}"
    assert why in trouble.why


@pytest.mark.parametrize(("element", "path", "why", "source"), BAD_ELEMENTS)
def test_an_unlawful_element_is_refused_in_both_forms(element: Json, path: str, why: str, source: str) -> None:
    for parse, statement in ((parse_resource_policy, resource), (parse_identity_policy, identity)):
        trouble = refused(parse, json.dumps({"Statement": statement(**element)}))

        assert trouble.path == f"$.Statement{path}"
        assert why in trouble.why


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (identity(Action=...), NO_ACTIONS),
        (identity(Action=[]), NO_ACTIONS),
        (identity(Resource=...), NO_RESOURCES),
        (identity(Resource=[]), NO_RESOURCES),
        (identity(effect="Allow"), "Syntax errors in policy."),
        (identity(Effect="denY"), "The policy failed legacy parsing"),
        (identity(Effect="Maybe"), "Syntax errors in policy."),
        (identity(**where("DateEquals", "x")), "The policy failed legacy parsing"),
        (
            identity(Action="invalid"),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (identity(Action="a:b:c"), "Actions/Condition can contain only one colon."),
        (identity(Action="a a:b"), "Vendor a a is not valid"),
        (identity(Resource="adf"), 'Resource adf must be in ARN format or "*".'),
        (identity(Resource="arn:b:cdf"), 'Partition "b" is not valid for resource "arn:b:cdf:*:*:*".'),
        (identity(Resource="arn:b:c:d:e:f:g:h"), 'Partition "b" is not valid for resource "arn:b:c:d:e:f:g:h".'),
        (identity(Resource="arn:error:s3:::b"), 'Partition "error" is not valid for resource "arn:error:s3:::b".'),
        (
            identity(Resource="arn:aws:*"),
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (identity(Resource="arn:aws:s3::b"), "The policy failed legacy parsing"),
        (identity(Principal="*"), "Policy document should not specify a principal."),
        (identity(Resource="arn"), 'Resource arn must be in ARN format or "*".'),
        (identity(Resource="arn:b"), 'Partition "b" is not valid for resource "arn:b:*:*:*:*".'),
        (identity(Action=f"{'a' * 64}b_:c"), f"Vendor {'a' * 64} is not valid"),
        (
            identity(Sid="a-b"),
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
            "[0-9A-Za-z]*",
        ),
    ],
)
def test_a_refusal_carries_the_sentence_of_iam(statement: Json, text: str) -> None:
    trouble = refused(parse_identity_policy, policy(statement))

    assert text == trouble.text
    assert str(trouble) == f"{text} {trouble.path}: {trouble.why}"


def test_the_sids_of_an_identity_policy_are_unique() -> None:
    trouble = refused(parse_identity_policy, policy(identity(Sid="a"), identity(Sid="b"), identity(Sid="b")))

    assert (trouble.path, trouble.why) == ("$.Statement", 'Sid "b" appears twice')
    assert trouble.text == "Statement IDs (SID) in a single policy must be unique."
    assert len(parse_identity_policy(policy(identity(Sid=""), identity(Sid=""), identity())).statements) == 3


def test_the_size_of_an_identity_policy_does_not_count_white_space() -> None:
    exact = policy(identity())
    small = len("".join(exact.split()))

    assert parse_identity_policy(" \n\t" * 5000 + exact, limit=small)
    trouble = refused(lambda text: parse_identity_policy(text, limit=small - 1), exact)
    assert (trouble.path, trouble.why) == ("$", f"more than {small - 1} characters")
    assert trouble.text == f"Maximum policy size of {small - 1} bytes exceeded"


def test_the_size_of_a_repository_policy_counts_every_character() -> None:
    text = policy(resource())
    largest = text + " " * (documents.REPOSITORY_POLICY - len(text))

    assert parse_resource_policy(largest)
    trouble = refused(parse_resource_policy, largest + " ")
    assert (trouble.path, trouble.why) == ("$", "more than 10240 characters")


def test_the_limits_are_those_of_aws() -> None:
    """Pages: reference_iam-quotas, ecr:service-quotas, org:orgs_reference_limits."""
    assert documents.REPOSITORY_POLICY == 10_240
    assert documents.MANAGED_POLICY == 6_144
    assert (documents.USER_POLICY, documents.GROUP_POLICY, documents.ROLE_POLICY) == (2_048, 5_120, 10_240)
    assert (documents.TRUST_POLICY, documents.SESSION_POLICY) == (2_048, 2_048)
    assert documents.SERVICE_CONTROL_POLICY == 5_120


def test_an_identity_policy_is_latin() -> None:
    assert parse_identity_policy(json.dumps({"Statement": identity(), "Id": "é"}, ensure_ascii=False))
    for character in ("\u0100", "\u20ac", "\u202e"):
        text = json.dumps({"Statement": identity(), "Id": character}, ensure_ascii=False)
        trouble = refused(parse_identity_policy, text)
        assert trouble.path == "$" and "outside of" in trouble.why


def test_a_resource_policy_without_principals_is_told_so() -> None:
    assert refused(parse_resource_policy, policy(identity())).text == "Missing required field Principal"


@pytest.mark.parametrize(
    "partition", ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"]
)
def test_every_partition_of_aws_is_known(partition: str) -> None:
    """Page: reference_identifiers."""
    arn = f"arn:{partition}:ecr:eu-west-1:{ACCOUNT}:repository/x"
    (statement,) = parse_identity_policy(policy(identity(Resource=arn))).statements

    assert statement.resources == (arn,)


@pytest.mark.parametrize(
    ("name", "why"),
    [("Comment", 'unknown element "Comment"'), ("ID", 'unknown element "ID", did you mean Id?')],
)
def test_an_unknown_element_is_told_with_what_is_near(name: str, why: str) -> None:
    assert refused(parse_resource_policy, policy(resource(), **{name: "x"})).why == why


def test_names_that_are_left_out_are_empty() -> None:
    found = parse_resource_policy(policy(resource()))

    assert (found.id, found.statements[0].sid) == ("", "")
    assert parse_identity_policy(policy(identity())).statements[0].sid == ""


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_what_has_no_id_has_an_empty_one() -> None:
    found = parse_identity_policy(policy({"Effect": "Allow", "Action": "*", "Resource": "*"}))

    assert (found.id, found.statements[0].sid) == ("", "")


def test_a_policy_becomes_frozen_values() -> None:
    found = parse_resource_policy(
        policy(
            {
                "Sid": "one",
                "Effect": "Deny",
                "NotPrincipal": {"AWS": [ROOT, SESSION], "Service": "ecs.amazonaws.com"},
                "NotAction": "ecr:Get*",
                "NotResource": ["arn:aws:ecr:us-east-1", "*"],
                "Condition": {"ForAllValues:NumericNotEqualsIfExists": {"aws:RequestTag/Team": ["1", 2, 0.5]}},
            },
            Id="p",
        )
    )

    assert found == Policy(
        version="2012-10-17",
        id="p",
        statements=(
            documents.Statement(
                sid="one",
                effect="Deny",
                not_principals=(
                    Principal(kind="account", name=ACCOUNT, account=ACCOUNT),
                    Principal(kind="session", name=SESSION, account=ACCOUNT),
                    Principal(kind="service", name="ecs.amazonaws.com"),
                ),
                not_actions=("ecr:Get*",),
                not_resources=("arn:aws:ecr:us-east-1:*:*", "*"),
                conditions=(
                    Condition(
                        operator=Operator(
                            name="NumericNotEquals", family="numeric", quantifier="ForAllValues", if_exists=True
                        ),
                        key="aws:requesttag/team",
                        values=("1", "2", "0.5"),
                    ),
                ),
            ),
        ),
    )
    assert hash(found) == hash(dataclasses.replace(found))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.id = "q"  # type: ignore[misc]


def test_no_version_is_the_old_version() -> None:
    assert parse_resource_policy(json.dumps({"Statement": resource()})).version == "2008-10-17"


@pytest.mark.parametrize("value", ["*", {"AWS": "*"}, {"AWS": ["*"]}])
def test_every_spelling_of_everyone_is_one_value(value: object) -> None:
    assert parse_resource_policy(policy(resource(Principal=value))).statements[0].principals == (EVERYONE,)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (USER, "user"),
        (ROLE, "role"),
        (SESSION, "session"),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/Bob", "federated-user"),
    ],
)
def test_a_named_principal_keeps_its_arn_and_account(value: str, kind: str) -> None:
    (found,) = parse_resource_policy(policy(resource(Principal={"AWS": value}))).statements[0].principals

    assert (kind, value, ACCOUNT) == (found.kind, found.name, found.account)


def test_an_identity_provider_of_an_account_is_that_accounts() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:saml-provider/ours"
    (found,) = parse_resource_policy(policy(resource(Principal={"Federated": arn}))).statements[0].principals

    assert found == Principal(kind="provider", name=arn, account=ACCOUNT)


VALUE_OF = {
    "string": "x",
    "arn": REPOSITORY,
    "numeric": "1",
    "date": "2020-01-01",
    "bool": "true",
    "null": "true",
    "binary": "eA==",
    "ip": "::1",
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("quantifier", [None, "ForAllValues", "ForAnyValue"])
@pytest.mark.parametrize("if_exists", [False, True])
def test_every_operator_is_taken_apart_and_put_together(name: str, quantifier: Any, if_exists: bool) -> None:
    operator = Operator(name=name, family=OPERATORS[name], quantifier=quantifier, if_exists=if_exists)
    text = policy(resource(**where(str(operator), VALUE_OF[operator.family])))
    if name == "Null" and if_exists:
        assert "exclude" in refused(parse_resource_policy, text).why
        return

    assert parse_resource_policy(text).statements[0].conditions[0].operator == operator
    assert operator.negated is ("Not" in name)


# --- arbitrary documents ----------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["*", "Allow", "ecr:*", ROOT, "x", ""])
NAMES = st.sampled_from(
    sorted({"Version", "Id", "Statement", *documents._ELEMENTS, "AWS", "Service", "StringLike", "Null", "aws:x"})
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=14,
)


@given(DOCUMENTS)
def test_any_document_is_read_or_refused_with_its_path(document: object) -> None:
    for parse in (parse_resource_policy, parse_identity_policy):
        try:
            found = parse(json.dumps(document))
        except PolicyInvalid as trouble:
            assert trouble.path.startswith("$")
            continue

        for statement in found.statements:
            assert bool(statement.actions) is not bool(statement.not_actions)
            assert bool(statement.principals or statement.not_principals) is (parse is parse_resource_policy)


@given(
    st.fixed_dictionaries(
        {"Effect": st.just("Allow"), "Action": st.sampled_from(["*", "ecr:*", ["ecr:a", "ecr:b"]])},
        optional={"Principal": st.sampled_from(["*", {"AWS": ROOT}]), "Resource": st.sampled_from(["*", REPOSITORY])},
    ),
    st.permutations(["Effect", "Action", "Principal", "Resource"]),
)
def test_the_order_of_elements_means_nothing(statement: Json, order: list[str]) -> None:
    shuffled = {name: statement[name] for name in order if name in statement}
    for parse in (parse_resource_policy, parse_identity_policy):
        try:
            expected: object = parse(policy(statement))
        except PolicyInvalid as trouble:
            expected = trouble.path
        try:
            found: object = parse(policy(shuffled))
        except PolicyInvalid as trouble:
            found = trouble.path

        assert expected == found


def test_the_table_holds_many_cases_of_both_outcomes_each_with_its_page() -> None:
    good = [*TOP, *RESOURCE_STATEMENTS, *COMMON_ELEMENTS, *IDENTITY_STATEMENTS]
    bad = [*BAD_DOCUMENTS, *BAD_RESOURCE_STATEMENTS, *BAD_ELEMENTS, *BAD_IDENTITY_STATEMENTS]

    assert min(len(good), len(bad)) >= 100
    assert all(row[-1] for row in [*good, *bad])
