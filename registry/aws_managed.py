"""The managed policies of AWS that every account has, for a container registry and scheduler.

They are not rows: nobody can change them, and nothing is attached by default. Which actions each allows is what AWS
publishes of it ("AWS managed policy reference"), actions of services that do not answer here included, so that a policy
reads back as people know it. Their unique ids are made from their names, and so are the same everywhere.
"""

import base64
import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from registry.entities import ManagedPolicy, PolicyVersion

Statement = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AwsPolicy:
    """One of them, with its only version."""

    policy: ManagedPolicy
    version: PolicyVersion


def _allow(actions: Sequence[str], resource: str = "*", **condition: Mapping[str, Any]) -> Statement:
    return {
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": resource,
        **({"Condition": condition} if condition else {}),
    }


def _of(service: str, names: str) -> list[str]:
    return [f"{service}:{name}" for name in names.split()]


_PULL: Final = _of("ecr", "GetAuthorizationToken BatchCheckLayerAvailability GetDownloadUrlForLayer BatchGetImage")
_READ: Final = _of(
    "ecr",
    "GetAuthorizationToken BatchCheckLayerAvailability GetDownloadUrlForLayer GetRepositoryPolicy DescribeRepositories "
    "ListImages DescribeImages BatchGetImage GetLifecyclePolicy GetLifecyclePolicyPreview ListTagsForResource "
    "DescribeImageScanFindings",
)
_PUSH: Final = _of("ecr", "InitiateLayerUpload UploadLayerPart CompleteLayerUpload PutImage")
_LOG: Final = _of("logs", "CreateLogStream PutLogEvents")

_ECS_NEIGHBOURS: Final[Mapping[str, str]] = {
    "application-autoscaling": "DeleteScalingPolicy DeregisterScalableTarget DescribeScalableTargets "
    "DescribeScalingActivities DescribeScalingPolicies PutScalingPolicy RegisterScalableTarget",
    "appmesh": "DescribeVirtualGateway DescribeVirtualNode ListMeshes ListVirtualGateways ListVirtualNodes",
    "autoscaling": "CreateAutoScalingGroup CreateLaunchConfiguration DeleteAutoScalingGroup DeleteLaunchConfiguration "
    "Describe* UpdateAutoScalingGroup",
    "cloudformation": "CreateStack DeleteStack DescribeStack* UpdateStack",
    "cloudwatch": "DeleteAlarms DescribeAlarms GetMetricStatistics PutMetricAlarm",
    "codedeploy": "BatchGetApplicationRevisions BatchGetApplications BatchGetDeploymentGroups BatchGetDeployments "
    "ContinueDeployment CreateApplication CreateDeployment CreateDeploymentGroup GetApplication GetApplicationRevision "
    "GetDeployment GetDeploymentConfig GetDeploymentGroup GetDeploymentTarget ListApplicationRevisions "
    "ListApplications ListDeploymentConfigs ListDeploymentGroups ListDeployments ListDeploymentTargets "
    "RegisterApplicationRevision StopDeployment",
    "ec2": "AssociateRouteTable AttachInternetGateway AuthorizeSecurityGroupIngress CancelSpotFleetRequests "
    "CreateInternetGateway CreateLaunchTemplate CreateRoute CreateRouteTable CreateSecurityGroup CreateSubnet "
    "CreateVpc DeleteLaunchTemplate DeleteSubnet DeleteVpc Describe* DetachInternetGateway DisassociateRouteTable "
    "ModifySubnetAttribute ModifyVpcAttribute RequestSpotFleet RunInstances",
    "ecs": "*",
    "elasticfilesystem": "DescribeAccessPoints DescribeFileSystems",
    "elasticloadbalancing": "CreateListener CreateLoadBalancer CreateRule CreateTargetGroup DeleteListener "
    "DeleteLoadBalancer DeleteRule DeleteTargetGroup DescribeListeners DescribeLoadBalancers DescribeRules "
    "DescribeTargetGroups",
    "events": "DeleteRule DescribeRule ListRuleNamesByTarget ListTargetsByRule PutRule PutTargets RemoveTargets",
    "fsx": "DescribeFileSystems",
    "iam": "ListAttachedRolePolicies ListInstanceProfiles ListRoles",
    "lambda": "ListFunctions",
    "logs": "CreateLogGroup DescribeLogGroups FilterLogEvents",
    "route53": "CreateHostedZone DeleteHostedZone GetHealthCheck GetHostedZone ListHostedZonesByName",
    "servicediscovery": "CreatePrivateDnsNamespace CreateService DeleteService GetNamespace GetOperation GetService "
    "ListNamespaces ListServices UpdateService",
    "sns": "ListTopics",
}
_ORGANIZATION: Final = _of(
    "organizations",
    "DescribeAccount DescribeOrganization DescribeOrganizationalUnit DescribePolicy ListChildren ListParents "
    "ListPoliciesForTarget ListRoots ListPolicies ListTargetsForPolicy",
)


def _pass_to(resource: str, *services: str) -> Statement:
    return _allow(["iam:PassRole"], resource, StringLike={"iam:PassedToService": list(services)})


def _ecs_full() -> list[Statement]:
    return [
        _allow([action for service, names in _ECS_NEIGHBOURS.items() for action in _of(service, names)]),
        _allow(
            _of("ssm", "GetParameter GetParameters GetParametersByPath"), "arn:aws:ssm:*:*:parameter/aws/service/ecs*"
        ),
        _allow(
            _of("ec2", "DeleteInternetGateway DeleteRoute DeleteRouteTable DeleteSecurityGroup"),
            StringLike={"ec2:ResourceTag/aws:cloudformation:stack-name": "EC2ContainerService-*"},
        ),
        _pass_to("*", "ecs-tasks.amazonaws.com"),
        _pass_to("arn:aws:iam::*:role/ecsInstanceRole*", "ec2.amazonaws.com", "ec2.amazonaws.com.cn"),
        _pass_to(
            "arn:aws:iam::*:role/ecsAutoscaleRole*",
            "application-autoscaling.amazonaws.com",
            "application-autoscaling.amazonaws.com.cn",
        ),
        _allow(
            ["iam:CreateServiceLinkedRole"],
            StringLike={
                "iam:AWSServiceName": [
                    f"{service}.amazonaws.com"
                    for service in ("autoscaling", "ecs", "ecs.application-autoscaling", "spot", "spotfleet")
                ]
            },
        ),
        _allow(
            ["elasticloadbalancing:AddTags"],
            StringEquals={
                "elasticloadbalancing:CreateAction": [
                    "CreateTargetGroup",
                    "CreateRule",
                    "CreateListener",
                    "CreateLoadBalancer",
                ]
            },
        ),
    ]


def _container_instance() -> list[Statement]:
    agent = _of(
        "ecs",
        "CreateCluster DeregisterContainerInstance DiscoverPollEndpoint Poll RegisterContainerInstance "
        "StartTelemetrySession UpdateContainerInstancesState Submit*",
    )
    return [
        _allow(["ec2:DescribeTags", *agent, *_PULL, *_LOG]),
        _allow(["ecs:TagResource"], StringEquals={"ecs:CreateAction": ["CreateCluster", "RegisterContainerInstance"]}),
    ]


def _policy(name: str, version: int, day: str, statements: Sequence[Statement], path: str = "/") -> AwsPolicy:
    """`day`: since when it stands so at AWS."""
    since = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    unique = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:17]
    return AwsPolicy(
        policy=ManagedPolicy(
            id=f"ANPA{unique}",
            account=None,
            name=name,
            path=path,
            description=None,
            created_at=since,
            updated_at=since,
            default_version=version,
            last_version=version,
        ),
        version=PolicyVersion(
            number=version,
            document=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=4),
            created_at=since,
        ),
    )


_ALL: Final = (
    _policy("AdministratorAccess", 1, "2015-02-06", [_allow(["*"])]),
    _policy(
        "AmazonEC2ContainerRegistryFullAccess",
        3,
        "2020-12-05",
        [
            _allow(["ecr:*", "cloudtrail:LookupEvents"]),
            _allow(
                ["iam:CreateServiceLinkedRole"],
                StringEquals={"iam:AWSServiceName": ["replication.ecr.amazonaws.com"]},
            ),
        ],
    ),
    _policy("AmazonEC2ContainerRegistryPowerUser", 3, "2019-12-10", [_allow([*_READ, *_PUSH])]),
    _policy(
        "AmazonEC2ContainerRegistryPullOnly",
        1,
        "2024-10-04",
        [_allow(_of("ecr", "GetAuthorizationToken BatchGetImage GetDownloadUrlForLayer BatchImportUpstreamImage"))],
    ),
    _policy("AmazonEC2ContainerRegistryReadOnly", 3, "2019-12-10", [_allow(_READ)]),
    _policy("AmazonECS_FullAccess", 20, "2023-01-04", _ecs_full()),
    _policy("AmazonECSTaskExecutionRolePolicy", 1, "2017-11-16", [_allow([*_PULL, *_LOG])], "/service-role/"),
    _policy("AmazonEC2ContainerServiceforEC2Role", 7, "2023-03-06", _container_instance(), "/service-role/"),
    _policy("IAMFullAccess", 2, "2019-06-21", [_allow(["iam:*", *_ORGANIZATION])]),
    _policy(
        "IAMReadOnlyAccess",
        4,
        "2018-01-25",
        [
            _allow(
                _of(
                    "iam",
                    "GenerateCredentialReport GenerateServiceLastAccessedDetails Get* List* SimulateCustomPolicy "
                    "SimulatePrincipalPolicy",
                )
            )
        ],
    ),
)
BY_ARN: Final[Mapping[str, AwsPolicy]] = {one.policy.arn: one for one in _ALL}
BY_ID: Final[Mapping[str, AwsPolicy]] = {one.policy.id: one for one in _ALL}
