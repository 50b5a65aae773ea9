"""Secrets of identities (T34, T51): none is known beforehand, and none is found at rest, in a log or on the record."""

import base64
import re

import pytest

from tests.iam import Keys, client, make_account, make_user, policy, refused, trusts
from tests.servers import RunningServer, basic

pytestmark = pytest.mark.real("boto3")


def forms(secret: str) -> list[bytes]:
    """A text as it may be written: plain, and in base64 at each of the three offsets."""
    raw = secret.encode()
    found = [raw]
    for offset in range(3):
        encoded = base64.b64encode(b"." * offset + raw + b".." * 2)
        found.append(encoded[4 if offset else 0 : len(encoded) - 8])
    return found


def test_T51_no_secret_of_an_identity_is_at_rest(start_server):
    server: RunningServer = start_server(LONGSHORE_LOG__ACCESS="all", LONGSHORE_LOG__LEVEL="debug")
    user, keys = make_user(server, "ann")
    session, issued = _use(server, user, keys)
    server.stop()
    places = {str(file): file.read_bytes() for file in server.data.rglob("*") if file.is_file()}
    places["log"] = "\n".join(server.output).encode()
    secrets = {"key": keys.secret, "session": session.secret, "token": session.token or "", **issued}

    assert any(keys.access_key_id.encode() in content for content in places.values())  # the search can find
    assert all(len(secret) >= 40 for secret in secrets.values())
    assert [
        (what, place)
        for what, secret in secrets.items()
        for form in forms(secret)
        for place, content in places.items()
        if form in content
    ] == []


def _use(server: RunningServer, user: dict, keys: Keys) -> tuple[Keys, dict[str, str]]:
    """Every way in which secrets of identities are made and brought, right and wrong."""
    with server.client("iam") as iam:
        iam.put_user_policy(
            UserName="ann", PolicyName="p", PolicyDocument=policy(Action=["ecr:*", "sts:*"], Resource="*")
        )
        iam.create_role(RoleName="ci", AssumeRolePolicyDocument=trusts(user["Arn"]))
    with client(server, "sts", keys) as sts:
        made = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/ci", RoleSessionName="s1")["Credentials"]
        federated = sts.get_federation_token(Name="bob", Policy=policy(Action="ecr:*", Resource="*"))["Credentials"]
    session = Keys.of(made)
    with client(server, "ecr", Keys.of(federated)) as ecr:
        login = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    bearer = server.request("GET", "/token", auth=f"Basic {login}").json["token"]
    server.request("GET", "/v2/", auth=f"Bearer {bearer}x")
    server.request("GET", "/v2/", auth=basic(keys.access_key_id, keys.secret + "x"))
    server.request("GET", "/v2/", auth=basic(keys.access_key_id, keys.secret))
    for wrong in (session._replace(token=(session.token or "") + "x"), session._replace(secret=keys.secret)):
        with client(server, "sts", wrong) as sts:
            refused(sts.get_caller_identity)
    password = base64.b64decode(login).decode().partition(":")[2]
    return session, {
        "login": password,
        "bearer": bearer,
        "federated": federated["SecretAccessKey"],
        "federated token": federated["SessionToken"],
    }


def test_T34_every_secret_is_made_anew_and_by_chance(shared_server):
    """Forty characters of thirty random bytes, none twice, for keys and sessions alike."""
    found = []
    with shared_server.client("iam") as iam, shared_server.client("sts") as sts:
        for number in range(4):
            name = f"chance-{number}"
            iam.create_user(UserName=name)
            for _ in range(2):
                made = iam.create_access_key(UserName=name)["AccessKey"]
                found += [made["AccessKeyId"], made["SecretAccessKey"]]
            made = sts.get_session_token()["Credentials"]
            found += [made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]]

    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"A[KS]IA[A-Z2-7]{16}|[A-Za-z0-9_-]{40,}", one) for one in found)


def test_T34_a_new_account_has_no_user_and_one_key(shared_server):
    _, keys = make_account(shared_server)
    with client(shared_server, "iam", keys) as iam:
        assert iam.list_users()["Users"] == iam.list_roles()["Roles"] == iam.list_groups()["Groups"] == []
        assert [one["AccessKeyId"] for one in iam.list_access_keys()["AccessKeyMetadata"]] == [keys.access_key_id]
