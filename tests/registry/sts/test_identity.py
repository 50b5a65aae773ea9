"""GetCallerIdentity: who a key speaks for."""

import pytest

from tests.api import refusal
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "xx-nowhere-7"])
def test_a_root_key_speaks_for_its_account(shared_server, region):
    with shared_server.client("sts", region=region) as sts:
        answer = sts.get_caller_identity()

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (answer["UserId"], answer["Account"], answer["Arn"]) == (ACCOUNT, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")


def test_the_account_is_the_operators(start_server):
    server = start_server(LONGSHORE_REGISTRY__ACCOUNT="123456789012")
    with server.client("sts") as sts:
        assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:root"


@pytest.mark.parametrize(
    ("credentials", "code", "status"),
    [
        ({"aws_access_key_id": "AKIANOBODYNOBODYNOBO"}, "InvalidClientTokenId", 403),
        ({"aws_secret_access_key": "not-the-secret-of-this-key"}, "SignatureDoesNotMatch", 403),
        ({"aws_session_token": "a-token-that-goes-with-no-key"}, "InvalidClientTokenId", 403),
    ],
    ids=["unknown-key", "wrong-secret", "session-token"],
)
def test_who_is_nobody_is_told_in_the_words_of_sts(shared_server, credentials, code, status):
    with shared_server.client("sts", **credentials) as sts:
        told = refusal(sts.get_caller_identity)

    assert (told.code, told.status) == (code, status)
