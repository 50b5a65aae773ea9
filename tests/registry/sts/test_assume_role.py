"""AssumeRole through boto3: who is let in, for how long, as whom, and how such a session ends."""

import datetime as dt
import hashlib
import re

import pytest

from tests.builders import unique_name
from tests.iam import Keys, caller, client, make_account, make_user, policy, refused, trusts
from tests.servers import ACCOUNT, RunningServer
from tests.waiting import until

pytestmark = pytest.mark.real("boto3")

ALLOW_ASSUME = policy(Action=["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], Resource="*")
INVALID = ("InvalidClientTokenId", 403, "The security token included in the request is invalid.")


class Scene:
    """A user with a key, and a role; the role trusts the user unless a test says otherwise."""

    def __init__(self, server: RunningServer, iam) -> None:
        self.server, self.iam = server, iam
        self.user, self.keys = make_user(server, unique_name("ann"))
        self.role = iam.create_role(RoleName=unique_name("role"), AssumeRolePolicyDocument=trusts(self.user["Arn"]))[
            "Role"
        ]

    def trust(self, *principals: str, **more) -> None:
        document = trusts(*(principals or (self.user["Arn"],)), **more)
        self.iam.update_assume_role_policy(RoleName=self.role["RoleName"], PolicyDocument=document)

    def assume(self, keys: Keys | None = None, **more):
        with client(self.server, "sts", keys or self.keys) as sts:
            return sts.assume_role(**{"RoleArn": self.role["Arn"], "RoleSessionName": "s1", **more})

    def refused(self, keys: Keys | None = None, **more):
        return refused(lambda **kw: self.assume(keys, **kw), **more)


@pytest.fixture
def iam(shared_server):
    with shared_server.client("iam") as made:
        yield made


@pytest.fixture
def scene(shared_server, iam):
    return Scene(shared_server, iam)


def denied(scene, action="sts:AssumeRole", who=None):
    return f"User: {who or scene.user['Arn']} is not authorized to perform: {action} on resource: {scene.role['Arn']}"


def test_a_session_speaks_for_the_role(shared_server, scene):
    made = scene.assume()
    keys = Keys.of(made["Credentials"])
    left = made["Credentials"]["Expiration"] - dt.datetime.now(dt.UTC)

    assert made["AssumedRoleUser"] == {
        "AssumedRoleId": f"{scene.role['RoleId']}:s1",
        "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{scene.role['RoleName']}/s1",
    }
    assert caller(shared_server, keys) == {
        "UserId": f"{scene.role['RoleId']}:s1",
        "Account": ACCOUNT,
        "Arn": made["AssumedRoleUser"]["Arn"],
    }
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", keys.access_key_id) and len(keys.secret) == 40
    assert dt.timedelta(minutes=59) < left <= dt.timedelta(hours=1)
    assert "PackedPolicySize" not in made


def test_credentials_without_their_token_are_nothing(shared_server, scene):
    keys = Keys.of(scene.assume()["Credentials"])
    other = Keys.of(scene.assume()["Credentials"])
    for wrong in (
        keys._replace(token=None),
        keys._replace(token=other.token),
        keys._replace(token=str(keys.token)[:-3] + "abc"),
        keys._replace(token="x"),
        scene.keys._replace(token=keys.token),
    ):
        with client(shared_server, "sts", wrong) as sts:
            assert refused(sts.get_caller_identity) == INVALID
    with client(shared_server, "sts", keys._replace(secret=other.secret)) as sts:
        assert refused(sts.get_caller_identity).code == "SignatureDoesNotMatch"


# --- who is let in ----------------------------------------------------------------------------------------------------


def test_whom_the_trust_policy_names_needs_no_policy_of_their_own(scene):
    assert scene.assume()["Credentials"]


def test_an_account_that_is_trusted_decides_by_its_own_policies(scene, iam):
    scene.trust(f"arn:aws:iam::{ACCOUNT}:root")
    before = scene.refused()
    iam.put_user_policy(UserName=scene.user["UserName"], PolicyName="p", PolicyDocument=ALLOW_ASSUME)

    assert before.code == "AccessDenied" and before.status == 403
    assert before.message.startswith(denied(scene))
    assert scene.assume()["Credentials"]


def test_what_the_trust_policy_does_not_say_no_policy_replaces(scene, iam):
    scene.trust(scene.role["Arn"])
    iam.put_user_policy(UserName=scene.user["UserName"], PolicyName="p", PolicyDocument=ALLOW_ASSUME)

    assert scene.refused().message == f"{denied(scene)} because no role trust policy allows the sts:AssumeRole action"


def test_a_deny_of_the_user_wins_over_the_trust_policy(scene, iam):
    deny = policy({"Effect": "Deny", "Action": "sts:*", "Resource": scene.role["Arn"]})
    iam.put_user_policy(UserName=scene.user["UserName"], PolicyName="p", PolicyDocument=deny)

    assert "with an explicit deny in an identity-based policy" in scene.refused().message


@pytest.mark.parametrize(
    ("condition", "good", "wrong"),
    [
        ({"StringEquals": {"sts:ExternalId": "x1"}}, {"ExternalId": "x1"}, [{}, {"ExternalId": "x2"}]),
        ({"StringLike": {"sts:RoleSessionName": "ci-*"}}, {"RoleSessionName": "ci-7"}, [{"RoleSessionName": "me"}]),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, []),
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, None, [{}]),
        ({"Bool": {"aws:SecureTransport": "true"}}, None, [{}]),
    ],
    ids=["external id", "session name", "source", "other source", "tls"],
)
def test_conditions_of_the_trust_policy_hold(scene, condition, good, wrong):
    scene.trust(Condition=condition)

    assert good is None or scene.assume(**good)["Credentials"]
    for each in wrong:
        assert scene.refused(**each).code == "AccessDenied"


def test_an_absent_role_answers_like_one_that_trusts_somebody_else(scene, iam, shared_server):
    _account, keys = make_account(shared_server)
    with client(shared_server, "iam", keys) as foreign:
        foreign.create_user(UserName="eve")
        eve = Keys.of(foreign.create_access_key(UserName="eve")["AccessKey"])
        foreign.put_user_policy(UserName="eve", PolicyName="p", PolicyDocument=ALLOW_ASSUME)
    absent = scene.role["Arn"] + "-not-there"
    there, missing = scene.refused(eve), scene.refused(eve, RoleArn=absent)

    assert missing.message.replace(absent, scene.role["Arn"]) == there.message
    assert missing[:2] == there[:2] == ("AccessDenied", 403)


def test_across_accounts_both_sides_have_to_agree(scene, shared_server):
    _account, keys = make_account(shared_server)
    with client(shared_server, "iam", keys) as foreign:
        eve_arn = foreign.create_user(UserName="eve")["User"]["Arn"]
        eve = Keys.of(foreign.create_access_key(UserName="eve")["AccessKey"])
        scene.trust(eve_arn)
        only_trusted = scene.refused(eve).code
        foreign.put_user_policy(UserName="eve", PolicyName="p", PolicyDocument=ALLOW_ASSUME)

        assert only_trusted == "AccessDenied"
        assert caller(shared_server, Keys.of(scene.assume(eve)["Credentials"]))["Account"] == ACCOUNT
        scene.trust()
        assert scene.refused(eve).code == "AccessDenied"


def test_root_assumes_no_role(scene, shared_server):
    scene.trust(f"arn:aws:iam::{ACCOUNT}:root")
    with shared_server.client("sts") as sts:
        told = refused(sts.assume_role, RoleArn=scene.role["Arn"], RoleSessionName="s1")

    assert told == ("AccessDenied", 403, "Roles may not be assumed by root accounts.")


def test_a_federated_user_assumes_no_role(scene, iam, shared_server):
    everything = policy(Action="*", Resource="*")
    iam.put_user_policy(UserName=scene.user["UserName"], PolicyName="p", PolicyDocument=everything)
    scene.trust("*")
    with client(shared_server, "sts", scene.keys) as sts:
        bob = Keys.of(sts.get_federation_token(Name="bob", Policy=everything)["Credentials"])

    assert scene.refused(bob) == (
        "AccessDenied",
        403,
        "Cannot call AssumeRole with the credentials of a federated user",
    )


@pytest.mark.parametrize("arn", ["arn:aws:iam::000000000000:user/ann", "arn:aws:iam::12:role/abcdefg", "x" * 20])
def test_what_is_no_roles_arn_is_invalid(scene, arn):
    assert scene.refused(RoleArn=arn) == ("ValidationError", 400, f"{arn} is invalid")


# --- how long ---------------------------------------------------------------------------------------------------------


def test_a_session_lasts_as_long_as_the_role_lets_it(scene, iam):
    iam.update_role(RoleName=scene.role["RoleName"], MaxSessionDuration=7200)
    made = scene.assume(DurationSeconds=7200)["Credentials"]["Expiration"] - dt.datetime.now(dt.UTC)

    assert made > dt.timedelta(minutes=119)
    assert scene.refused(DurationSeconds=7201) == (
        "ValidationError",
        400,
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )
    assert scene.refused(DurationSeconds=899).code == "ValidationError"


def test_a_role_that_is_assumed_by_a_role_lasts_an_hour_at_most(scene, iam, shared_server):
    first = Keys.of(scene.assume()["Credentials"])
    iam.update_role(RoleName=scene.role["RoleName"], MaxSessionDuration=43200)
    scene.trust(scene.role["Arn"])

    assert scene.refused(first, DurationSeconds=3601) == (
        "ValidationError",
        400,
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    )
    chained = scene.assume(first, DurationSeconds=3600, RoleSessionName="s2")
    assert caller(shared_server, Keys.of(chained["Credentials"]))["UserId"].endswith(":s2")


# --- narrowed and tagged ----------------------------------------------------------------------------------------------


def test_a_session_policy_narrows_the_role(scene, iam, shared_server):
    iam.attach_role_policy(RoleName=scene.role["RoleName"], PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    read = policy(Action="ecr:DescribeRegistry", Resource="*")
    wide = Keys.of(scene.assume()["Credentials"])
    narrow = scene.assume(Policy=read)
    by_arn = scene.assume(PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"}])

    def may(keys, operation, **parameters):
        with client(shared_server, "ecr", keys) as ecr:
            try:
                getattr(ecr, operation)(**parameters)
            except ecr.exceptions.ClientError as error:
                return error.response["Error"]["Code"] != "AccessDeniedException"
            return True

    create = {"repositoryName": unique_name("made")}
    assert may(wide, "describe_registry") and may(wide, "create_repository", **create)
    assert may(Keys.of(narrow["Credentials"]), "describe_registry")
    assert not may(Keys.of(narrow["Credentials"]), "describe_images", **create)
    assert may(Keys.of(by_arn["Credentials"]), "describe_images", **create)
    assert not may(Keys.of(by_arn["Credentials"]), "delete_repository", **create)
    assert 0 < narrow["PackedPolicySize"] <= 100


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"Policy": policy(Action="ecr:*")}, "MalformedPolicyDocument"),
        ({"Policy": policy(Action=f"ecr:{'x' * 2100}", Resource="*")}, "PackedPolicyTooLarge"),
        ({"PolicyArns": [{"arn": f"arn:aws:iam::{ACCOUNT}:policy/nothing-there"}]}, "ValidationError"),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/AdministratorAccess"}] * 11}, "ValidationError"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]}, "ValidationError"),
        ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "ValidationError"),
        ({"Tags": [{"Key": "a", "Value": "1"}], "TransitiveTagKeys": ["b"]}, "ValidationError"),
        ({"RoleSessionName": "a b"}, "ValidationError"),
        ({"RoleSessionName": "a"}, "ValidationError"),
        ({"SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/x", "TokenCode": "123456"}, "AccessDenied"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(scene, more, code):
    scene.trust(action=["sts:AssumeRole", "sts:TagSession"])

    assert scene.refused(**more).code == code


def test_tags_and_policies_that_do_not_fit_are_told_by_how_much(scene):
    scene.trust(action=["sts:AssumeRole", "sts:TagSession"])
    random = [hashlib.sha512(bytes([number])).hexdigest() * 2 for number in range(50)]
    tags = [{"Key": f"k{number}", "Value": value} for number, value in enumerate(random)]
    fits, told = scene.assume(Tags=tags[:5]), scene.refused(Tags=tags)

    assert 0 < fits["PackedPolicySize"] < 100
    assert (told.code, told.status) == ("PackedPolicyTooLarge", 400)
    found = re.search(r"consumes (\d+)% of allotted space", told.message)
    assert found is not None and int(found[1]) > 100


def test_session_tags_need_a_right_of_their_own(scene):
    assert scene.refused(Tags=[{"Key": "team", "Value": "x"}]).message.startswith(denied(scene, "sts:TagSession"))
    scene.trust(action=["sts:AssumeRole", "sts:TagSession"], Condition={"StringEquals": {"aws:RequestTag/team": "x"}})
    assert scene.assume(Tags=[{"Key": "team", "Value": "x"}])["PackedPolicySize"] > 0
    assert scene.refused(Tags=[{"Key": "team", "Value": "y"}]).code == "AccessDenied"


def test_transitive_tags_go_on_and_cannot_be_changed(scene):
    """Seen by the trust policy of the role that is assumed next: it asks for the tag of who comes."""
    scene.trust(action=["sts:AssumeRole", "sts:TagSession"])
    tags = [{"Key": "team", "Value": "x"}, {"Key": "other", "Value": "y"}]
    first = Keys.of(scene.assume(Tags=tags, TransitiveTagKeys=["team"])["Credentials"])
    scene.trust(scene.role["Arn"], action=["sts:AssumeRole", "sts:TagSession"])
    second = Keys.of(scene.assume(first)["Credentials"])

    scene.trust(scene.role["Arn"], Condition={"StringEquals": {"aws:PrincipalTag/team": "x"}})
    assert scene.assume(first)["Credentials"]
    assert scene.assume(second)["Credentials"]
    scene.trust(scene.role["Arn"], Condition={"Null": {"aws:PrincipalTag/other": "false"}})
    assert scene.assume(first)["Credentials"]
    assert scene.refused(second).code == "AccessDenied"
    scene.trust(scene.role["Arn"], action=["sts:AssumeRole", "sts:TagSession"])
    assert scene.refused(second, Tags=[{"Key": "TEAM", "Value": "z"}]).code == "ValidationError"


def test_a_source_identity_stays_for_all_that_follows(scene):
    actions = ["sts:AssumeRole", "sts:SetSourceIdentity"]
    assert scene.refused(SourceIdentity="ann@lan").message.startswith(denied(scene, "sts:SetSourceIdentity"))
    scene.trust(action=actions)
    made = scene.assume(SourceIdentity="ann@lan")
    first = Keys.of(made["Credentials"])
    scene.trust(scene.role["Arn"], action=actions, Condition={"StringEquals": {"aws:SourceIdentity": "ann@lan"}})

    assert made["SourceIdentity"] == "ann@lan"
    assert scene.assume(first)["SourceIdentity"] == "ann@lan"
    assert scene.assume(first, SourceIdentity="ann@lan")["SourceIdentity"] == "ann@lan"
    assert scene.refused(first, SourceIdentity="bea@lan").code == "AccessDenied"


# --- how it ends ------------------------------------------------------------------------------------------------------


def ended(server, keys):
    with client(server, "sts", keys) as sts:
        return refused(sts.get_caller_identity)


def test_a_session_ends_with_its_role_also_when_the_name_comes_again(scene, iam, shared_server):
    keys = Keys.of(scene.assume()["Credentials"])
    iam.delete_role(RoleName=scene.role["RoleName"])
    gone = ended(shared_server, keys)
    iam.create_role(RoleName=scene.role["RoleName"], AssumeRolePolicyDocument=trusts(scene.user["Arn"]))

    assert gone == ended(shared_server, keys) == INVALID


def test_a_session_ends_with_the_key_that_it_came_from(scene, iam, shared_server):
    keys = Keys.of(scene.assume()["Credentials"])
    key = {"UserName": scene.user["UserName"], "AccessKeyId": scene.keys.access_key_id}
    iam.update_access_key(Status="Inactive", **key)
    off = ended(shared_server, keys)
    iam.update_access_key(Status="Active", **key)
    on = caller(shared_server, keys)["Arn"]
    iam.delete_access_key(**key)

    assert off == ended(shared_server, keys) == INVALID
    assert on.endswith("/s1")


def test_the_last_use_of_a_role_is_known(scene, iam, shared_server):
    caller(shared_server, Keys.of(scene.assume()["Credentials"]), region="eu-north-1")

    def last_used():
        return iam.get_role(RoleName=scene.role["RoleName"])["Role"]["RoleLastUsed"]

    assert until(last_used)["Region"] == "eu-north-1"
