"""Tags of everything that has some, through boto3: keys differ by more than case, fifty at most."""

import pytest

from tests.builders import unique_name
from tests.iam import policy, refused, trusts
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")


def _user(iam, name):
    iam.create_user(UserName=name)
    return {"UserName": name}


def _role(iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts(ACCOUNT))
    return {"RoleName": name}


def _policy(iam, name):
    document = policy(Action="ecr:*", Resource="*")
    return {"PolicyArn": iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]}


def _profile(iam, name):
    iam.create_instance_profile(InstanceProfileName=name)
    return {"InstanceProfileName": name}


def _provider(iam, name):
    made = iam.create_open_id_connect_provider(Url=f"https://{name}.example.com")
    return {"OpenIDConnectProviderArn": made["OpenIDConnectProviderArn"]}


THINGS = {
    "user": _user,
    "role": _role,
    "policy": _policy,
    "instance_profile": _profile,
    "open_id_connect_provider": _provider,
}


@pytest.fixture(params=THINGS)
def thing(request, iam):
    """Calls about one thing of each kind: `thing("tag_{}", ...)`."""
    named = THINGS[request.param](iam, unique_name("t"))
    return lambda operation, **more: getattr(iam, operation.format(request.param))(**named, **more)


def tags(**found):
    return [{"Key": key, "Value": value} for key, value in found.items()]


def test_tags_are_put_listed_and_taken_away(thing):
    thing("tag_{}", Tags=tags(team="a", stage=""))
    thing("tag_{}", Tags=tags(TEAM="b", more="c"))

    assert thing("list_{}_tags")["Tags"] == tags(TEAM="b", more="c", stage="")
    first = thing("list_{}_tags", MaxItems=2)
    assert thing("list_{}_tags", Marker=first["Marker"])["Tags"] == tags(stage="")
    thing("untag_{}", TagKeys=["Team", "nothing"])
    assert thing("list_{}_tags")["Tags"] == tags(more="c", stage="")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (tags(a="1", A="2"), "InvalidInput"),
        ([{"Key": "aws:x", "Value": "1"}], "InvalidInput"),
        ([{"Key": "a*", "Value": "1"}], "ValidationError"),
        ([{"Key": "a", "Value": "x" * 257}], "ValidationError"),
        (tags(**{f"k{number}": "" for number in range(51)}), "ValidationError"),
    ],
    ids=["twice", "reserved", "character", "long", "many"],
)
def test_tags_that_cannot_be(thing, wrong, code):
    assert refused(thing, operation="tag_{}", Tags=wrong).code == code
    assert thing("list_{}_tags")["Tags"] == []


def test_there_are_fifty_at_most(thing):
    thing("tag_{}", Tags=tags(**{f"k{number:02}": "" for number in range(50)}))
    thing("tag_{}", Tags=tags(K00="again"))

    told = refused(thing, operation="tag_{}", Tags=tags(more=""))
    assert (told.code, told.status) == ("LimitExceeded", 409)
    assert len(thing("list_{}_tags")["Tags"]) == 50
