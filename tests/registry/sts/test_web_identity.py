"""AssumeRoleWithWebIdentity through boto3, which sends it unsigned, against an issuer on loopback."""

import base64
import json
import time
from typing import Any

import boto3
import botocore
import pytest
from botocore.config import Config

from tests.builders import unique_name
from tests.iam import Keys, caller, client, policy, refused
from tests.oidc import CONFIGURATION, Issuer, Key, encoded
from tests.servers import ACCOUNT, REGION, RunningServer
from tests.waiting import until

pytestmark = pytest.mark.real("boto3")

ACTION = "sts:AssumeRoleWithWebIdentity"


@pytest.fixture
def arn(trusting_server, issuer):
    """The provider's ARN; it is registered once."""
    with trusting_server.client("iam") as iam:
        found = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer.url.removeprefix('https://')}"
        if {"Arn": found} not in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
            iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["registry", "other"])
        return found


def trust_of(arn: str, action=ACTION, **condition) -> str:
    more = {"Condition": condition} if condition else {}
    return policy(Principal={"Federated": arn}, Action=action, **more)


@pytest.fixture
def role(trusting_server, arn):
    """A role that trusts the issuer for any subject."""
    with trusting_server.client("iam") as iam:
        return iam.create_role(RoleName=unique_name("web"), AssumeRolePolicyDocument=trust_of(arn))["Role"]


def set_trust(server, role, document):
    with server.client("iam") as iam:
        iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=document)


def unsigned(server: RunningServer):
    return boto3.client(
        "sts",
        endpoint_url=server.url,
        region_name=REGION,
        config=Config(
            signature_version=botocore.UNSIGNED, retries={"total_max_attempts": 1}, parameter_validation=False
        ),
    )


def assume(server, role, token, **more):
    sts = unsigned(server)
    try:
        return sts.assume_role_with_web_identity(
            **{"RoleArn": role["Arn"], "RoleSessionName": "job7", "WebIdentityToken": token, **more}
        )
    finally:
        sts.close()


def told(server, role, token, **more):
    return refused(lambda: assume(server, role, token, **more))


# --- good tokens ------------------------------------------------------------------------------------------------------


def test_a_token_of_the_issuer_becomes_a_session(trusting_server, issuer, arn, role):
    made = assume(trusting_server, role, issuer.token())
    found = caller(trusting_server, Keys.of(made["Credentials"]))

    assert found == {
        "UserId": f"{role['RoleId']}:job7",
        "Account": ACCOUNT,
        "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role['RoleName']}/job7",
    }
    assert made["SubjectFromWebIdentityToken"] == "repo:app:main"
    assert (made["Provider"], made["Audience"]) == (arn, "registry")
    assert made["AssumedRoleUser"]["AssumedRoleId"] == found["UserId"]


@pytest.mark.parametrize("number", [0, 1, 2], ids=["RS256", "ES256", "ES384"])
def test_every_kind_of_key_is_verified(trusting_server, issuer, role, number):
    assert assume(trusting_server, role, issuer.token(issuer.keys[number]))["Credentials"]


def test_the_trust_policy_may_ask_for_subject_and_audience(trusting_server, issuer, arn, role):
    host = issuer.url.removeprefix("https://")
    condition = {f"{host}:aud": "registry", f"{host}:sub": "repo:app:main"}
    set_trust(trusting_server, role, trust_of(arn, StringEquals=condition))

    assert assume(trusting_server, role, issuer.token())["Credentials"]
    assert assume(trusting_server, role, issuer.token(aud=["registry", "x"]))["Credentials"]
    for wrong in ({"sub": "repo:app:dev"}, {"sub": "repo:app:main "}, {"aud": "other"}):
        assert told(trusting_server, role, issuer.token(**wrong)) == (
            "AccessDenied",
            403,
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        )


def test_the_authorized_party_counts_as_the_audience(trusting_server, issuer, arn, role):
    host = issuer.url.removeprefix("https://")
    set_trust(trusting_server, role, trust_of(arn, StringEquals={f"{host}:aud": "other", f"{host}:oaud": "api"}))

    assert assume(trusting_server, role, issuer.token(aud="api", azp="other"))["Audience"] == "other"
    assert told(trusting_server, role, issuer.token(aud="other", azp="nobody")).code == "InvalidIdentityToken"


def test_tags_and_source_identity_come_with_the_token(trusting_server, issuer, arn, role):
    claims = {
        "https://aws.amazon.com/tags": {"principal_tags": {"team": ["x"]}, "transitive_tag_keys": ["team"]},
        "https://aws.amazon.com/source_identity": "ann@lan",
    }
    assert told(trusting_server, role, issuer.token(**claims)).code == "AccessDenied"
    actions = [ACTION, "sts:TagSession", "sts:SetSourceIdentity"]
    set_trust(trusting_server, role, trust_of(arn, action=actions))
    made = assume(trusting_server, role, issuer.token(**claims))

    assert made["SourceIdentity"] == "ann@lan"
    assert made["PackedPolicySize"] > 0


def test_what_the_session_may_do_is_what_the_role_may(trusting_server, issuer, role):
    with trusting_server.client("iam") as iam:
        iam.put_role_policy(
            RoleName=role["RoleName"], PolicyName="p", PolicyDocument=policy(Action="ecr:*", Resource="*")
        )
    keys = Keys.of(assume(trusting_server, role, issuer.token())["Credentials"])
    with client(trusting_server, "ecr", keys) as ecr:
        assert ecr.describe_registry()["registryId"] == ACCOUNT
        password = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    with client(trusting_server, "iam", keys) as iam:
        assert refused(iam.list_users).code == "AccessDenied"

    assert trusting_server.request("GET", "/v2/", auth=f"Basic {password}").status == 200
    with trusting_server.client("iam") as iam:
        iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="p")
        iam.delete_role(RoleName=role["RoleName"])
    assert trusting_server.request("GET", "/v2/", auth=f"Basic {password}").status == 401


# --- bad ones: T01, T02 -----------------------------------------------------------------------------------------------


def with_header(issuer: Issuer, **header) -> str:
    return issuer.signed(issuer.keys[0], {"alg": "RS256", "kid": "k1", **header}, {})


def none_algorithm(issuer: Issuer) -> str:
    return f"{encoded({'alg': 'none', 'kid': 'k1'})}.{encoded(issuer.claims())}.{encoded(b'x')}"


def unsigned_token(issuer: Issuer) -> str:
    return f"{encoded({'alg': 'none', 'kid': 'k1'})}.{encoded(issuer.claims())}."


def public_key_as_secret(issuer: Issuer) -> str:
    """HS256 keyed with the issuer's public key, which everybody has."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = issuer.keys[0].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{encoded(issuer.claims())}"
    return f"{signed}.{encoded(hmac.digest(pem, signed.encode(), hashlib.sha256))}"


def embedded_key(issuer: Issuer, **more) -> str:
    """Signed by a key that the token brings itself, under the kid of a good one."""
    stranger = Key("k1")
    return issuer.signed(stranger, {"alg": "RS256", "kid": "k1", "jwk": stranger.jwk, **more}, {})


def altered(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{encoded(issuer.claims(sub='repo:app:release'))}.{signature}"


def twice(issuer: Issuer) -> str:
    """A claim that comes twice: the parser of the one sees another subject than that of the other."""
    text = json.dumps(issuer.claims()).replace('"sub"', '"sub": "repo:app:release", "sub"', 1)
    key = issuer.keys[0]
    signed = f"{encoded({'alg': 'RS256', 'kid': 'k1'})}.{encoded(text)}"
    return f"{signed}.{encoded(key.sign(signed.encode()))}"


FORGED = {
    "alg none": none_algorithm,
    "no signature": unsigned_token,
    "HS256 with the public key": public_key_as_secret,
    "jwk in the header": embedded_key,
    "x5c in the header": lambda issuer: embedded_key(issuer, x5c=[base64.b64encode(b"x").decode()]),
    "jku to elsewhere": lambda issuer: embedded_key(issuer, jku=f"{issuer.url}/stolen"),
    "altered claims": altered,
    "a claim twice": twice,
    "another key of the issuer": lambda issuer: issuer.signed(issuer.keys[0], {"alg": "RS256", "kid": "k2"}, {}),
    "another algorithm of the key": lambda issuer: with_header(issuer, alg="RS384"),
    "alg in another case": lambda issuer: with_header(issuer, alg="rs256"),
    "no kid": lambda issuer: issuer.signed(issuer.keys[0], {"alg": "RS256"}, {}),
    "kid no text": lambda issuer: with_header(issuer, kid=1),
    "unknown kid": lambda issuer: with_header(issuer, kid="k9"),
    "crit": lambda issuer: with_header(issuer, crit=["b64"], b64=False),
    "four parts": lambda issuer: issuer.token() + ".x",
    "not base64": lambda issuer: "a.b!.c",
    "padding": lambda issuer: issuer.token() + "==",
    "nothing": lambda issuer: "....",
    "array as header": lambda issuer: f"{encoded('[]')}.{encoded(issuer.claims())}.{encoded(b'x')}",
    "another issuer": lambda issuer: issuer.token(iss="https://127.0.0.1"),
    "http issuer": lambda issuer: issuer.token(iss=issuer.url.replace("https", "http")),
    "issuer with a slash": lambda issuer: issuer.token(iss=f"{issuer.url}/"),
    "audience of nobody": lambda issuer: issuer.token(aud="somebody-else"),
    "no audience": lambda issuer: issuer.token(aud=[]),
}


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_no_identity(trusting_server, issuer, role, make):
    before = issuer.asked["/stolen"]
    found = told(trusting_server, role, make(issuer))

    assert found.code in ("InvalidIdentityToken", "ValidationError")
    assert found.status == 400
    assert issuer.asked["/stolen"] == before


ODD: dict[str, Any] = {
    "missing": None,
    "number": 7,
    "text": "soon",
    "negative": -1,
    "list": ["x", 1],
    "object": {},
    "true": True,
}
TEXTS, TIMES = ("iss", "sub", "aud", "azp"), ("exp", "iat", "nbf")
LAWFUL = {*((claim, "text") for claim in TEXTS), *((claim, "number") for claim in TIMES)}
LAWFUL |= {("nbf", "missing"), ("azp", "missing")}
ODD_CLAIMS = [(claim, kind) for claim in (*TEXTS, *TIMES) for kind in ODD if (claim, kind) not in LAWFUL]


@pytest.mark.parametrize(("claim", "kind"), [*ODD_CLAIMS, *((claim, "control") for claim in TEXTS)])
def test_every_claim_is_there_and_of_its_type(trusting_server, issuer, role, claim, kind):
    token = issuer.token(**{claim: "\x00" if kind == "control" else ODD[kind]})

    assert told(trusting_server, role, token).code == "InvalidIdentityToken"


@pytest.mark.parametrize("number", ["1e400", "99999999999999999999", "NaN"])
def test_a_time_that_is_no_number_is_refused(trusting_server, issuer, role, number):
    text = json.dumps(issuer.claims(exp="@")).replace('"@"', number)
    signed = f"{encoded({'alg': 'RS256', 'kid': 'k1'})}.{encoded(text)}"

    assert told(trusting_server, role, f"{signed}.{encoded(issuer.keys[0].sign(signed.encode()))}").code == (
        "InvalidIdentityToken"
    )


def test_a_token_has_its_time(trusting_server, issuer, role):
    now = int(time.time())
    old = told(trusting_server, role, issuer.token(exp=now - 1, iat=now - 600))
    early = told(trusting_server, role, issuer.token(nbf=now + 600))

    assert (old.code, old.status) == ("ExpiredTokenException", 400)
    assert old.message.startswith("Token expired: current date/time ")
    assert early.code == "InvalidIdentityToken"


# --- who may not ------------------------------------------------------------------------------------------------------


def test_a_role_that_does_not_trust_the_issuer_answers_like_one_that_is_not_there(trusting_server, issuer, role):
    set_trust(trusting_server, role, policy(Principal={"AWS": ACCOUNT}, Action=ACTION))
    there = told(trusting_server, role, issuer.token())
    absent = told(trusting_server, {"Arn": role["Arn"] + "x"}, issuer.token())

    assert there == absent == ("AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity")


def test_an_issuer_that_the_roles_account_does_not_know_is_not_asked(trusting_server, issuer, role):
    issuer.asked.clear()
    elsewhere = {"Arn": "arn:aws:iam::999988887777:role/web"}

    assert told(trusting_server, elsewhere, issuer.token()).code == "InvalidIdentityToken"
    assert told(trusting_server, role, issuer.token(iss="https://127.0.0.1:1")).code == "InvalidIdentityToken"
    assert not issuer.asked


def test_other_operations_need_a_signature(trusting_server):
    sts = unsigned(trusting_server)
    try:
        assert refused(sts.get_caller_identity) == ("MissingAuthenticationToken", 403, "Missing Authentication Token")
    finally:
        sts.close()


def test_providers_of_oauth_are_not_supported(trusting_server, issuer, role):
    assert told(trusting_server, role, issuer.token(), ProviderId="www.amazon.com").code == "ValidationError"


def test_the_token_stays_out_of_logs_and_records(trusting_server, issuer, role):
    token = issuer.token(sub="repo:app:canary")
    set_trust(trusting_server, role, policy(Principal={"AWS": ACCOUNT}, Action=ACTION))
    assert told(trusting_server, role, token).code == "AccessDenied"
    told(trusting_server, role, token, RoleSessionName="a b")
    signature = token.rpartition(".")[2]

    assert signature not in "\n".join(trusting_server.output)
    assert all(signature.encode() not in path.read_bytes() for path in trusting_server.data.glob("longshore.db*"))


# --- an issuer in trouble ---------------------------------------------------------------------------------------------


@pytest.fixture
def lone(trusting_server, authority):
    """(server, issuer, role): an issuer that nobody has asked for anything yet."""
    issuer = Issuer(authority, [Key("k1")])
    with trusting_server.client("iam") as iam:
        arn = iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["registry"])
        trust = trust_of(arn["OpenIDConnectProviderArn"])
        role = iam.create_role(RoleName=unique_name("web"), AssumeRolePolicyDocument=trust)["Role"]
    yield trusting_server, issuer, role
    issuer.stop()


TROUBLES = {
    "another issuer": lambda issuer: {CONFIGURATION: {"issuer": "https://x", "jwks_uri": f"{issuer.url}/keys"}},
    "no keys": lambda issuer: {"/keys": {}},
    "no json": lambda issuer: {CONFIGURATION: b"<html>"},
    "too long": lambda issuer: {"/keys": b" " * 300_000},
    "not there": lambda issuer: {CONFIGURATION: None},
    "keys over http": lambda issuer: {
        CONFIGURATION: {"issuer": issuer.url, "jwks_uri": issuer.url.replace("https", "http") + "/keys"}
    },
    "keys inside": lambda issuer: {CONFIGURATION: {"issuer": issuer.url, "jwks_uri": "https://169.254.169.254/keys"}},
    "moved inside": lambda issuer: {"/keys": "https://127.0.0.2:1/keys"},
    "moved for ever": lambda issuer: {"/keys": f"{issuer.url}/keys"},
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_an_issuer_in_trouble_is_told_as_such_and_not_asked_again_at_once(lone, trouble):
    server, issuer, role = lone
    issuer.documents |= trouble(issuer)
    first, asked = told(server, role, issuer.token()), issuer.asked.total()
    again = told(server, role, issuer.token())

    assert (first.code, first.status) == ("IDPCommunicationError", 400)
    assert first == again
    assert issuer.asked.total() == asked


def test_made_up_key_ids_do_not_have_the_issuer_asked_each_time(lone):
    server, issuer, role = lone
    assert assume(server, role, issuer.token())["Credentials"]
    for number in range(20):
        assert told(server, role, with_header(issuer, kid=f"x{number}")).code == "InvalidIdentityToken"
    assert assume(server, role, issuer.token())["Credentials"]

    assert issuer.asked == {CONFIGURATION: 1, "/keys": 1}


def test_keys_may_have_moved_to_where_the_guard_lets_it(lone):
    server, issuer, role = lone
    issuer.documents["/new"], issuer.documents["/keys"] = issuer.documents["/keys"], "/new"

    assert assume(server, role, issuer.token())["Credentials"]


def test_two_keys_of_one_id_are_none(lone):
    server, issuer, role = lone
    issuer.documents["/keys"]["keys"].append(Key("k1").jwk)

    assert told(server, role, issuer.token()).code == "InvalidIdentityToken"


def test_a_key_that_is_too_small_proves_nothing(lone):
    server, issuer, role = lone
    small = Key("small", bits=1024)
    issuer.documents["/keys"]["keys"].append(small.jwk)

    assert told(server, role, issuer.token(small)).code == "InvalidIdentityToken"


def test_an_issuer_that_the_operator_did_not_allow_is_not_connected_to(shared_server, issuer):
    issuer.asked.clear()
    with shared_server.client("iam") as iam:
        arn = iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["registry"])["OpenIDConnectProviderArn"]
        role = iam.create_role(RoleName=unique_name("web"), AssumeRolePolicyDocument=trust_of(arn))["Role"]
    found = told(shared_server, role, issuer.token())

    assert found.code == "IDPCommunicationError"
    assert "egress.allow" in found.message
    assert not issuer.asked
    assert until(lambda: shared_server.request("GET", "/livez").status == 200)
