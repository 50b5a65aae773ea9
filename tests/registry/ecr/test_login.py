"""GetAuthorizationToken, and what its password opens."""

import base64
import datetime as dt

import pytest

from tests.api import refusal
from tests.servers import ACCOUNT, basic

pytestmark = pytest.mark.real("boto3")

TWELVE_HOURS = dt.timedelta(hours=12)


def login(ecr, **parameters) -> list[dict]:
    return ecr.get_authorization_token(**parameters)["authorizationData"]


def user_and_password(data: dict) -> tuple[str, str]:
    user, _, password = base64.b64decode(data["authorizationToken"]).decode("ascii").partition(":")
    return user, password


def test_one_login_for_the_callers_registry(ecr, shared_server):
    (data,) = login(ecr)
    lasts = data["expiresAt"] - dt.datetime.now(dt.UTC)

    assert data["proxyEndpoint"] == shared_server.url
    assert TWELVE_HOURS - dt.timedelta(seconds=30) < lasts <= TWELVE_HOURS
    assert user_and_password(data)[0] == "AWS"


def test_the_password_opens_the_registry(ecr, shared_server, repository):
    user, password = user_and_password(login(ecr)[0])
    answers = [
        shared_server.request("GET", path, auth=basic(user, password))
        for path in ("/v2/", f"/v2/{repository}/tags/list", "/token?service=x")
    ]

    assert [answer.status for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize("what", ["user", "cut", "longer", "another-user"])
def test_what_is_not_quite_the_login_opens_nothing(ecr, shared_server, what):
    user, password = user_and_password(login(ecr)[0])
    altered = {
        "user": ("aws", password),
        "cut": (user, password[:-1]),
        "longer": (user, password + "A"),
        "another-user": ("root", password),
    }[what]

    assert shared_server.request("GET", "/v2/", auth=basic(*altered)).status == 401


def test_one_login_for_each_registry_that_is_asked_for(ecr, shared_server):
    """They say who asks; what that opens elsewhere is decided there."""
    accounts = [ACCOUNT, "111111111111", "222222222222"]
    found = login(ecr, registryIds=accounts)
    port = shared_server.netloc.rpartition(":")[2]

    assert [one["proxyEndpoint"] for one in found] == [
        shared_server.url,
        *(f"http://{account}.dkr.ecr.us-east-1.localhost:{port}" for account in accounts[1:]),
    ]
    for one in found:
        assert shared_server.request("GET", "/v2/", auth=basic(*user_and_password(one))).status == 200


def test_the_login_of_another_region_is_for_its_host(shared_server):
    with shared_server.client(region="eu-central-1") as elsewhere:
        (data,) = login(elsewhere)

    assert data["proxyEndpoint"].startswith(f"http://{ACCOUNT}.dkr.ecr.eu-central-1.localhost:")


@pytest.mark.parametrize(
    "registries",
    [[], ["12345"], ["abcdefghijkl"], [f"{number:012}" for number in range(11)]],
    ids=["none", "short", "letters", "eleven"],
)
def test_registries_that_are_none_or_too_many_are_refused(ecr, registries):
    told = refusal(ecr.get_authorization_token, registryIds=registries)

    assert (told.code, told.status) == ("InvalidParameterException", 400)


def test_the_operator_says_how_long_a_login_lasts(start_server):
    server = start_server(LONGSHORE_AUTH__TOKEN_SECONDS="600")
    with server.client() as ecr:
        lasts = login(ecr)[0]["expiresAt"] - dt.datetime.now(dt.UTC)

    assert dt.timedelta(seconds=570) < lasts <= dt.timedelta(seconds=600)


def test_a_login_ends_with_its_key(start_server):
    """P9: the token names a key, and the key is looked up at every use."""
    server = start_server()
    with server.client() as ecr:
        credential = basic(*user_and_password(login(ecr)[0]))
    before = server.request("GET", "/v2/", auth=credential).status
    server.stop()
    server.environment["LONGSHORE_ROOT_ACCESS_KEY_ID"] = "AKIAANOTHERKEYOFROOT"
    server.start()

    assert before == 200
    assert server.request("GET", "/v2/", auth=credential).status == 401
