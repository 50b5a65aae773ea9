"""What hangs on users, groups and roles: attached policies, inline policies, boundaries; through boto3."""

import json

import pytest

from tests.builders import unique_name
from tests.iam import policy, refused, trusts
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

READ = policy(Action="ecr:Describe*", Resource="*")
PULL = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
EXECUTION = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
LIMITS = {"user": 2048, "group": 5120, "role": 10240}


@pytest.fixture(params=["user", "group", "role"])
def one(request, iam, name):
    """Calls about one identity of each kind: `one("put_{}_policy", ...)`."""
    kind = request.param
    more = {"AssumeRolePolicyDocument": trusts(ACCOUNT)} if kind == "role" else {}
    getattr(iam, f"create_{kind}")(**{f"{kind.capitalize()}Name": name}, **more)

    def bound(operation, **parameters):
        return getattr(iam, operation.format(kind))(**{f"{kind.capitalize()}Name": name, **parameters})

    vars(bound).update(kind=kind, name=name)
    return bound


def test_policies_are_attached_and_detached(iam, one):
    own = iam.create_policy(PolicyName=unique_name("zz"), PolicyDocument=READ, Path="/own/")["Policy"]
    for arn in (PULL, own["Arn"], EXECUTION, PULL):
        one("attach_{}_policy", PolicyArn=arn)
    listed = one("list_attached_{}_policies")["AttachedPolicies"]

    assert listed == [
        {"PolicyName": "AmazonEC2ContainerRegistryPullOnly", "PolicyArn": PULL},
        {"PolicyName": "AmazonECSTaskExecutionRolePolicy", "PolicyArn": EXECUTION},
        {"PolicyName": own["PolicyName"], "PolicyArn": own["Arn"]},
    ]
    assert one("list_attached_{}_policies", PathPrefix="/own/")["AttachedPolicies"] == listed[2:]
    first = one("list_attached_{}_policies", MaxItems=2)
    assert one("list_attached_{}_policies", Marker=first["Marker"])["AttachedPolicies"] == listed[2:]
    one("detach_{}_policy", PolicyArn=PULL)
    assert one("list_attached_{}_policies")["AttachedPolicies"] == listed[1:]


def test_only_what_exists_is_attached_and_only_what_is_attached_is_detached(one):
    missing = f"arn:aws:iam::{ACCOUNT}:policy/nothing"

    assert refused(one, operation="attach_{}_policy", PolicyArn=missing) == (
        "NoSuchEntity",
        404,
        f"Policy {missing} does not exist or is not attachable.",
    )
    assert refused(one, operation="detach_{}_policy", PolicyArn=PULL) == (
        "NoSuchEntity",
        404,
        f"Policy {PULL} was not found.",
    )


def test_an_arn_names_a_policy_with_its_path(iam, one, name):
    arn = iam.create_policy(PolicyName=name, Path="/a/", PolicyDocument=READ)["Policy"]["Arn"]

    assert refused(one, operation="attach_{}_policy", PolicyArn=arn.replace("/a/", "/b/")).code == "NoSuchEntity"
    assert refused(one, operation="attach_{}_policy", PolicyArn=arn.upper()).code in ("NoSuchEntity", "AccessDenied")


def test_inline_policies_are_put_read_and_deleted(one):
    one("put_{}_policy", PolicyName="b", PolicyDocument=READ)
    one("put_{}_policy", PolicyName="a", PolicyDocument=READ)
    one("put_{}_policy", PolicyName="a", PolicyDocument=policy(Action="ecr:PutImage", Resource="*"))
    found = one("get_{}_policy", PolicyName="a")

    assert found["PolicyName"] == "a" and found[f"{one.kind.capitalize()}Name"] == one.name
    assert found["PolicyDocument"] == json.loads(policy(Action="ecr:PutImage", Resource="*"))
    assert one("list_{}_policies")["PolicyNames"] == ["a", "b"]
    first = one("list_{}_policies", MaxItems=1)
    assert (first["PolicyNames"], first["IsTruncated"]) == (["a"], True)
    assert one("list_{}_policies", Marker=first["Marker"])["PolicyNames"] == ["b"]
    one("delete_{}_policy", PolicyName="a")
    assert refused(one, operation="get_{}_policy", PolicyName="a") == (
        "NoSuchEntity",
        404,
        f"The {one.kind} policy with name a cannot be found.",
    )
    assert refused(one, operation="delete_{}_policy", PolicyName="a").code == "NoSuchEntity"


def test_an_inline_policy_that_aws_would_refuse(one):
    told = refused(one, operation="put_{}_policy", PolicyName="a", PolicyDocument=policy(Action="ecr:*"))

    assert (told.code, told.status) == ("MalformedPolicyDocument", 400)
    assert told.message.startswith("Policy statement must contain resources.")
    assert one("list_{}_policies")["PolicyNames"] == []


def test_inline_policies_of_one_identity_share_a_limit(one):
    limit = LIMITS[one.kind]
    half = policy(Action=f"ecr:{'a' * (limit // 2)}", Resource="*")
    one("put_{}_policy", PolicyName="a", PolicyDocument=half)

    assert refused(one, operation="put_{}_policy", PolicyName="b", PolicyDocument=half) == (
        "LimitExceeded",
        409,
        f"Maximum policy size of {limit} bytes exceeded for {one.kind} {one.name}",
    )
    one("put_{}_policy", PolicyName="a", PolicyDocument=half)


@pytest.mark.parametrize("kind", ["user", "role"])
def test_a_boundary_is_put_shown_and_taken_away(iam, name, kind):
    parameter = {f"{kind.capitalize()}Name": name}
    more = {"AssumeRolePolicyDocument": trusts(ACCOUNT)} if kind == "role" else {}
    missing = f"arn:aws:iam::{ACCOUNT}:policy/nothing"
    getattr(iam, f"create_{kind}")(**parameter, **more, PermissionsBoundary=PULL)

    def boundary():
        return getattr(iam, f"get_{kind}")(**parameter)[kind.capitalize()].get("PermissionsBoundary")

    assert boundary() == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": PULL}
    getattr(iam, f"put_{kind}_permissions_boundary")(**parameter, PermissionsBoundary=EXECUTION)
    assert boundary()["PermissionsBoundaryArn"] == EXECUTION
    assert refused(getattr(iam, f"put_{kind}_permissions_boundary"), **parameter, PermissionsBoundary=missing) == (
        "NoSuchEntity",
        404,
        f"Scope ARN: {missing} does not exist or is not attachable.",
    )
    getattr(iam, f"delete_{kind}_permissions_boundary")(**parameter)
    assert boundary() is None
