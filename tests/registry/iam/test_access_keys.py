"""Access keys: made, listed, switched off, gone; and what they sign at each moment of their life."""

import re

import pytest

from tests.iam import Keys, caller, client, make_user, refused
from tests.servers import ACCOUNT, basic
from tests.waiting import until

pytestmark = pytest.mark.real("boto3")
INVALID = ("InvalidClientTokenId", 403, "The security token included in the request is invalid.")


def test_a_users_key_signs(shared_server, name):
    user, keys = make_user(shared_server, name)

    assert caller(shared_server, keys) == {"UserId": user["UserId"], "Account": ACCOUNT, "Arn": user["Arn"]}


def test_a_key_is_shown_once(iam, name):
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    listed = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]

    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", made["AccessKeyId"])
    assert len(made["SecretAccessKey"]) == 40
    assert [(one["AccessKeyId"], one["Status"], one["UserName"]) for one in listed] == [
        (made["AccessKeyId"], "Active", name)
    ]
    assert "SecretAccessKey" not in listed[0]


def test_a_user_has_at_most_two_keys(iam, name):
    iam.create_user(UserName=name)
    keys = {iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"] for _ in range(2)}

    assert refused(iam.create_access_key, UserName=name) == (
        "LimitExceeded",
        409,
        "Cannot exceed quota for AccessKeysPerUser: 2",
    )
    pages = list(iam.get_paginator("list_access_keys").paginate(UserName=name, PaginationConfig={"PageSize": 1}))
    assert [len(page["AccessKeyMetadata"]) for page in pages] == [1, 1]
    assert {page["AccessKeyMetadata"][0]["AccessKeyId"] for page in pages} == keys


def test_an_inactive_key_is_no_key_until_it_is_active_again(shared_server, iam, name):
    user, keys = make_user(shared_server, name)
    iam.update_access_key(UserName=name, AccessKeyId=keys.access_key_id, Status="Inactive")
    with client(shared_server, "sts", keys) as sts:
        off = refused(sts.get_caller_identity)
    login = shared_server.request("GET", "/v2/", auth=basic(*keys[:2])).status
    iam.update_access_key(UserName=name, AccessKeyId=keys.access_key_id, Status="Active")

    assert off == INVALID
    assert login == 401
    assert caller(shared_server, keys)["UserId"] == user["UserId"]
    assert shared_server.request("GET", "/v2/", auth=basic(*keys[:2])).status == 200


def test_a_deleted_key_is_no_key(shared_server, iam, name):
    _, keys = make_user(shared_server, name)
    iam.delete_access_key(UserName=name, AccessKeyId=keys.access_key_id)
    with client(shared_server, "sts", keys) as sts:
        assert refused(sts.get_caller_identity) == INVALID
    assert iam.list_access_keys(UserName=name)["AccessKeyMetadata"] == []


def test_a_key_is_its_users_only(iam, name):
    iam.create_user(UserName=name)
    iam.create_user(UserName=f"{name}-2")
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    wrong = {"UserName": f"{name}-2", "AccessKeyId": key}

    assert refused(iam.delete_access_key, **wrong) == (
        "NoSuchEntity",
        404,
        f"The Access Key with id {key} cannot be found.",
    )
    assert refused(iam.update_access_key, Status="Inactive", **wrong).code == "NoSuchEntity"
    assert refused(iam.update_access_key, UserName=name, AccessKeyId=key, Status="Expired").code == "ValidationError"
    assert iam.list_access_keys(UserName=name)["AccessKeyMetadata"][0]["Status"] == "Active"


def test_the_last_use_of_a_key_is_known(shared_server, iam, name):
    _, keys = make_user(shared_server, name)

    def last_used():
        return iam.get_access_key_last_used(AccessKeyId=keys.access_key_id)

    assert last_used()["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    caller(shared_server, keys, region="eu-central-1")
    found = until(lambda: last_used() if "LastUsedDate" in last_used()["AccessKeyLastUsed"] else None)

    assert found is not None
    assert found["UserName"] == name
    assert (found["AccessKeyLastUsed"]["ServiceName"], found["AccessKeyLastUsed"]["Region"]) == ("sts", "eu-central-1")


def test_the_root_user_has_keys_too(shared_server, iam):
    made = iam.create_access_key()["AccessKey"]
    try:
        assert caller(shared_server, Keys.of(made))["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
        assert made["AccessKeyId"] in {one["AccessKeyId"] for one in iam.list_access_keys()["AccessKeyMetadata"]}
    finally:
        iam.delete_access_key(AccessKeyId=made["AccessKeyId"])


def test_the_key_of_the_servers_start_cannot_be_deleted(iam):
    installed = iam.list_access_keys()["AccessKeyMetadata"][0]["AccessKeyId"]

    assert refused(iam.delete_access_key, AccessKeyId=installed).code == "DeleteConflict"


def test_the_region_of_a_signature_does_not_matter(shared_server):
    for region in ("us-east-1", "aws-global", "mars"):
        with shared_server.client("iam", region=region) as iam:
            assert iam.get_user()["User"]["UserId"] == ACCOUNT
