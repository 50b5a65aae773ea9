"""GetSessionToken, GetFederationToken, GetAccessKeyInfo through boto3, and what docker gets with such credentials."""

import base64
import datetime as dt
import hashlib

import pytest
from botocore.exceptions import ClientError

from tests.builders import image, push, unique_name
from tests.iam import Keys, caller, client, make_account, make_user, policy, refused
from tests.servers import ACCOUNT, basic

pytestmark = pytest.mark.real("boto3")

INVALID = ("InvalidClientTokenId", 403, "The security token included in the request is invalid.")
EVERYTHING = policy(Action="*", Resource="*")


@pytest.fixture
def iam(shared_server):
    with shared_server.client("iam") as made:
        yield made


@pytest.fixture
def ann(shared_server, iam):
    """(user, keys) of a user who may do everything."""
    user, keys = make_user(shared_server, unique_name("ann"))
    iam.put_user_policy(UserName=user["UserName"], PolicyName="p", PolicyDocument=EVERYTHING)
    return user, keys


def call(server, keys, operation, **parameters):
    with client(server, "sts", keys) as sts:
        return getattr(sts, operation)(**parameters)


def told(server, keys, operation, **parameters):
    with client(server, "sts", keys) as sts:
        return refused(getattr(sts, operation), **parameters)


def left(made) -> dt.timedelta:
    return made["Credentials"]["Expiration"] - dt.datetime.now(dt.UTC)


# --- GetSessionToken --------------------------------------------------------------------------------------------------


def test_a_session_token_speaks_for_its_user(shared_server, ann):
    user, keys = ann
    made = call(shared_server, keys, "get_session_token")

    assert caller(shared_server, Keys.of(made["Credentials"])) == {
        "UserId": user["UserId"],
        "Account": ACCOUNT,
        "Arn": user["Arn"],
    }
    assert dt.timedelta(hours=11.9) < left(made) <= dt.timedelta(hours=12)
    assert left(call(shared_server, keys, "get_session_token", DurationSeconds=900)) <= dt.timedelta(seconds=900)
    assert told(shared_server, keys, "get_session_token", DurationSeconds=129601).code == "ValidationError"


def test_roots_session_lasts_an_hour(shared_server):
    made = call(shared_server, None, "get_session_token", DurationSeconds=43200)

    assert left(made) <= dt.timedelta(hours=1)
    assert caller(shared_server, Keys.of(made["Credentials"]))["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_a_session_makes_no_other_and_calls_nothing_of_iam(shared_server, ann):
    session = Keys.of(call(shared_server, ann[1], "get_session_token")["Credentials"])

    assert told(shared_server, session, "get_session_token") == (
        "AccessDenied",
        403,
        "Cannot call GetSessionToken with session credentials",
    )
    assert told(shared_server, session, "get_federation_token", Name="bob").message == (
        "Cannot call GetFederationToken with session credentials"
    )
    with client(shared_server, "iam", session) as iam:
        assert refused(iam.get_user) == INVALID


def test_there_are_no_devices_whose_codes_could_be_checked(shared_server, ann):
    device = {"SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/ann", "TokenCode": "123456"}

    assert told(shared_server, ann[1], "get_session_token", **device).code == "AccessDenied"


def test_a_session_has_its_users_rights_and_no_more(shared_server, iam, ann):
    user, keys = ann
    session = Keys.of(call(shared_server, keys, "get_session_token")["Credentials"])
    with client(shared_server, "ecr", session) as ecr:
        assert ecr.describe_registry()["registryId"] == ACCOUNT
        iam.delete_user_policy(UserName=user["UserName"], PolicyName="p")
        assert refused(ecr.describe_registry).code == "AccessDeniedException"


def test_it_ends_with_the_key_and_with_the_user(shared_server, iam, ann):
    user, keys = ann
    session = Keys.of(call(shared_server, keys, "get_session_token")["Credentials"])
    key = {"UserName": user["UserName"], "AccessKeyId": keys.access_key_id}
    iam.update_access_key(Status="Inactive", **key)
    assert told(shared_server, session, "get_caller_identity") == INVALID
    iam.update_access_key(Status="Active", **key)
    assert caller(shared_server, session)["UserId"] == user["UserId"]
    iam.delete_access_key(**key)
    iam.delete_user_policy(UserName=user["UserName"], PolicyName="p")
    iam.delete_user(UserName=user["UserName"])
    make_user(shared_server, user["UserName"])

    assert told(shared_server, session, "get_caller_identity") == INVALID


def test_a_renamed_user_keeps_the_session(shared_server, iam, ann):
    user, keys = ann
    session = Keys.of(call(shared_server, keys, "get_session_token")["Credentials"])
    iam.update_user(UserName=user["UserName"], NewUserName=f"{user['UserName']}-new")

    assert caller(shared_server, session)["Arn"] == f"{user['Arn']}-new"


# --- GetFederationToken -----------------------------------------------------------------------------------------------


def test_a_federated_user_has_what_the_user_and_the_policy_allow(shared_server, ann):
    _, keys = ann
    read = policy(Action=["ecr:DescribeRegistry", "iam:*"], Resource="*")
    made = call(shared_server, keys, "get_federation_token", Name="bob", Policy=read)
    bob = Keys.of(made["Credentials"])

    assert made["FederatedUser"] == {
        "FederatedUserId": f"{ACCOUNT}:bob",
        "Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
    }
    assert caller(shared_server, bob) == {
        "UserId": f"{ACCOUNT}:bob",
        "Account": ACCOUNT,
        "Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
    }
    with client(shared_server, "ecr", bob) as ecr:
        assert ecr.describe_registry()["registryId"] == ACCOUNT
        assert refused(ecr.describe_repositories, repositoryNames=["x-y"]).code == "AccessDeniedException"
    with client(shared_server, "iam", bob) as iam:
        assert refused(iam.list_users) == INVALID


def test_without_a_policy_a_federated_user_may_nothing(shared_server, ann):
    bob = Keys.of(call(shared_server, ann[1], "get_federation_token", Name="bob")["Credentials"])
    with client(shared_server, "ecr", bob) as ecr:
        assert refused(ecr.describe_registry).code == "AccessDeniedException"
    assert caller(shared_server, bob)["UserId"] == f"{ACCOUNT}:bob"


def test_to_federate_needs_a_right(shared_server, iam):
    _, keys = make_user(shared_server, unique_name("bea"))

    assert told(shared_server, keys, "get_federation_token", Name="bob").code == "AccessDenied"


def test_federation_may_be_limited_by_arn(shared_server, iam):
    user, keys = make_user(shared_server, unique_name("bea"))
    only = policy(Action="sts:GetFederationToken", Resource=f"arn:aws:sts::{ACCOUNT}:federated-user/bob")
    iam.put_user_policy(UserName=user["UserName"], PolicyName="p", PolicyDocument=only)

    assert call(shared_server, keys, "get_federation_token", Name="bob")["Credentials"]
    assert told(shared_server, keys, "get_federation_token", Name="eve").code == "AccessDenied"


@pytest.mark.parametrize("name", ["b", "b" * 33, "b ob", "b/ob"])
def test_a_federated_user_has_a_short_name(shared_server, ann, name):
    assert told(shared_server, ann[1], "get_federation_token", Name=name).code == "ValidationError"


def test_roots_federated_user_lasts_an_hour_and_has_what_the_policy_allows(shared_server):
    made = call(shared_server, None, "get_federation_token", Name="bob", Policy=policy(Action="ecr:*", Resource="*"))
    with client(shared_server, "ecr", Keys.of(made["Credentials"])) as ecr:
        assert ecr.describe_registry()["registryId"] == ACCOUNT
    assert left(made) <= dt.timedelta(hours=1)


# --- GetAccessKeyInfo -------------------------------------------------------------------------------------------------


def test_the_account_of_any_key_is_told(shared_server, ann):
    account, foreign = make_account(shared_server)
    session = call(shared_server, foreign, "get_session_token")["Credentials"]["AccessKeyId"]

    assert call(shared_server, None, "get_access_key_info", AccessKeyId=ann[1].access_key_id)["Account"] == ACCOUNT
    assert call(shared_server, None, "get_access_key_info", AccessKeyId=foreign.access_key_id)["Account"] == account
    assert call(shared_server, None, "get_access_key_info", AccessKeyId=session)["Account"] == account


@pytest.mark.parametrize("key", [f"AKIA{'A' * 16}", f"ASIA{'7' * 15}!", f"ASIA{'0' * 16}", f"ASIA{'7' * 16}"])
def test_a_key_that_is_no_key_here_has_no_account(shared_server, key):
    assert told(shared_server, None, "get_access_key_info", AccessKeyId=key).code == "ValidationError"


# --- docker -----------------------------------------------------------------------------------------------------------


def test_docker_gets_in_by_a_session_and_only_as_long_as_it_lasts(shared_server, iam, ann):
    """The password carries the session: its end, what narrows it, and the key it hangs on."""
    user, keys = ann
    repository = unique_name("app")
    shared_server.create(repository)
    push(shared_server, repository, image(), "v1")
    read = policy(Action=["ecr:GetAuthorizationToken", "ecr:BatchGetImage"], Resource="*")
    made = call(shared_server, keys, "get_federation_token", Name="bob", Policy=read, DurationSeconds=900)
    with client(shared_server, "ecr", Keys.of(made["Credentials"])) as ecr:
        data = ecr.get_authorization_token()["authorizationData"][0]
    login = f"Basic {data['authorizationToken']}"
    token = shared_server.request("GET", "/token", auth=login).json["token"]

    def status(method, path, auth=login):
        return shared_server.request(method, path, auth=auth).status

    assert abs(data["expiresAt"] - made["Credentials"]["Expiration"]) <= dt.timedelta(seconds=1)
    assert base64.b64decode(data["authorizationToken"]).startswith(b"AWS:")
    for auth in (login, f"Bearer {token}"):
        assert status("GET", f"/v2/{repository}/manifests/v1", auth) == 200
        assert status("POST", f"/v2/{repository}/blobs/uploads/", auth) == 403
    iam.update_access_key(UserName=user["UserName"], AccessKeyId=keys.access_key_id, Status="Inactive")
    for auth in (login, f"Bearer {token}"):
        assert status("GET", f"/v2/{repository}/manifests/v1", auth) == 401


def test_the_longest_session_still_fits_into_dockers_header(shared_server, iam, ann):
    random = [hashlib.sha512(bytes([number])).hexdigest() * 2 for number in range(50)]
    wide = policy(Action="ecr:*", Resource="*")

    def made(count):
        tags = [{"Key": f"k{number}", "Value": value} for number, value in enumerate(random[:count])]
        try:
            return call(shared_server, ann[1], "get_federation_token", Name="bob", Policy=wide, Tags=tags)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PackedPolicyTooLarge"
            return None

    longest = next(found for count in range(50, 0, -1) if (found := made(count)))
    with client(shared_server, "ecr", Keys.of(longest["Credentials"])) as ecr:
        login = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    token = shared_server.request("GET", "/token", auth=f"Basic {login}").json["token"]

    assert longest["PackedPolicySize"] > 90
    assert shared_server.request("GET", "/v2/", auth=f"Basic {login}").status == 200
    assert shared_server.request("GET", "/v2/", auth=f"Bearer {token}").status == 200


def test_temporary_credentials_are_no_user_and_password(shared_server, ann):
    session = Keys.of(call(shared_server, ann[1], "get_session_token")["Credentials"])

    assert shared_server.request("GET", "/v2/", auth=basic(session.access_key_id, session.secret)).status == 401
