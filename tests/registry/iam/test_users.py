"""Users through boto3: what is put comes back, names are unique without case, nothing is deleted in passing."""

import datetime as dt
import re

import pytest

from tests.builders import unique_name
from tests.iam import refused
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

NAMES = "It must contain only alphanumeric characters and/or the following: +=,.@_-"


def test_a_user_reads_back_as_it_was_made(iam, name):
    made = iam.create_user(UserName=name, Path="/team/ci/", Tags=[{"Key": "team", "Value": "a b"}])["User"]
    found = iam.get_user(UserName=name)["User"]

    assert made == found
    assert found["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/ci/{name}"
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", found["UserId"])
    assert (found["Path"], found["UserName"]) == ("/team/ci/", name)
    assert found["Tags"] == [{"Key": "team", "Value": "a b"}]
    assert dt.timedelta() <= dt.datetime.now(dt.UTC) - found["CreateDate"] < dt.timedelta(minutes=1)


def test_get_user_without_a_name_is_the_caller(iam):
    found = iam.get_user()["User"]

    assert found["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert found["UserId"] == ACCOUNT


@pytest.mark.parametrize("again", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
def test_names_are_unique_without_regard_to_case(iam, name, again):
    iam.create_user(UserName=name)

    assert refused(iam.create_user, UserName=again(name), Path="/elsewhere/") == (
        "EntityAlreadyExists",
        409,
        f"User with name {again(name)} already exists.",
    )
    assert iam.get_user(UserName=name)["User"]["UserName"] == name


def test_a_name_is_found_in_its_own_case_only(iam, name):
    iam.create_user(UserName=name)

    assert refused(iam.get_user, UserName=name.upper()).code == "NoSuchEntity"


def test_a_user_that_is_not_there(iam, name):
    assert refused(iam.get_user, UserName=name) == (
        "NoSuchEntity",
        404,
        f"The user with name {name} cannot be found.",
    )
    assert refused(iam.delete_user, UserName=name).code == "NoSuchEntity"
    assert refused(iam.update_user, UserName=name, NewPath="/a/").code == "NoSuchEntity"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"UserName": "a b"}, f"The specified value for userName is invalid. {NAMES}"),
        ({"UserName": "ann\n"}, f"The specified value for userName is invalid. {NAMES}"),
        ({"UserName": "ännë"}, f"The specified value for userName is invalid. {NAMES}"),
        (
            {"UserName": "a" * 65},
            f"1 validation error detected: Value '{'a' * 65}' at 'userName' failed to satisfy constraint: "
            "Member must have length less than or equal to 64",
        ),
        (
            {},
            "1 validation error detected: Value null at 'userName' failed to satisfy constraint: "
            "Member must not be null",
        ),
        *(
            (
                {"UserName": "ann", "Path": path},
                "The specified value for path is invalid. It must begin and end with / and contain only "
                "alphanumeric characters and/or / characters.",
            )
            for path in ("a", "/a", "a/", "//", "/a//b/", "/a*/", "/a:b/", "/<a>/")
        ),
        (
            {"UserName": "ann", "Tags": [{"Key": "", "Value": ""}]},
            "1 validation error detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
    ],
)
def test_a_bad_parameter_is_told_in_the_words_of_iam(iam, parameters, message):
    assert refused(iam.create_user, **parameters) == ("ValidationError", 400, message)


def test_a_renamed_user_is_the_same_user(iam, name):
    made = iam.create_user(UserName=name)["User"]
    other = unique_name("bea")
    iam.update_user(UserName=name, NewUserName=other, NewPath="/b/")
    found = iam.get_user(UserName=other)["User"]

    assert found["UserId"] == made["UserId"]
    assert found["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/b/{other}"
    assert refused(iam.get_user, UserName=name).code == "NoSuchEntity"


def test_a_user_may_change_the_case_of_the_own_name_but_not_take_anothers(iam, name):
    iam.create_user(UserName=name)
    taken = iam.create_user(UserName=unique_name("bea"))["User"]["UserName"]
    iam.update_user(UserName=name, NewUserName=name.upper())

    assert refused(iam.update_user, UserName=name.upper(), NewUserName=taken.upper()).code == "EntityAlreadyExists"
    assert iam.get_user(UserName=name.upper())["User"]["UserName"] == name.upper()


def test_a_recreated_user_is_somebody_else(iam, name):
    first = iam.create_user(UserName=name)["User"]["UserId"]
    iam.delete_user(UserName=name)
    second = iam.create_user(UserName=name)["User"]["UserId"]

    assert first != second


def test_lists_come_in_pages_below_a_path(iam):
    path = f"/{unique_name('list')}/"
    names = sorted(unique_name("u") for _ in range(5))
    for name in names:
        iam.create_user(UserName=name, Path=path)
    iam.create_user(UserName=unique_name("z"), Path=path[:-1] + "x/")
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix=path, PaginationConfig={"PageSize": 2}))

    assert [len(page["Users"]) for page in pages] == [2, 2, 1]
    assert [page["IsTruncated"] for page in pages] == [True, True, False]
    assert [user["UserName"] for page in pages for user in page["Users"]] == names


def test_a_marker_is_good_for_its_own_list_only(iam):
    path = f"/{unique_name('list')}/"
    for _ in range(2):
        iam.create_user(UserName=unique_name("u"), Path=path)
    marker = iam.list_users(PathPrefix=path, MaxItems=1)["Marker"]

    assert refused(iam.list_users, PathPrefix="/", Marker=marker).code == "ValidationError"
    assert refused(iam.list_groups, PathPrefix=path, Marker=marker).code == "ValidationError"
    assert refused(iam.list_users, PathPrefix=path, Marker=marker[:-2]).code == "ValidationError"
    assert len(iam.list_users(PathPrefix=path, Marker=marker)["Users"]) == 1


@pytest.mark.parametrize("count", [0, 1001])
def test_a_page_has_one_to_a_thousand_items(iam, count):
    assert refused(iam.list_users, MaxItems=count).code == "ValidationError"


def test_a_user_with_something_hanging_on_it_is_not_deleted(iam, name):
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    group = iam.create_group(GroupName=unique_name("g"))["Group"]["GroupName"]
    iam.add_user_to_group(GroupName=group, UserName=name)

    assert refused(iam.delete_user, UserName=name) == (
        "DeleteConflict",
        409,
        "Cannot delete entity, must delete access keys first.",
    )
    iam.delete_access_key(UserName=name, AccessKeyId=key)
    assert "remove user from all groups" in refused(iam.delete_user, UserName=name).message
    iam.remove_user_from_group(GroupName=group, UserName=name)
    iam.delete_user(UserName=name)
    assert refused(iam.get_user, UserName=name).code == "NoSuchEntity"


def test_what_users_never_have_is_an_empty_list(iam, name):
    iam.create_user(UserName=name)

    assert iam.list_mfa_devices(UserName=name)["MFADevices"] == []
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert iam.list_ssh_public_keys(UserName=name)["SSHPublicKeys"] == []
    assert iam.list_signing_certificates(UserName=name)["Certificates"] == []
    assert iam.list_service_specific_credentials(UserName=name)["ServiceSpecificCredentials"] == []
    assert refused(iam.get_login_profile, UserName=name).code == "NoSuchEntity"
    assert refused(iam.list_mfa_devices, UserName=f"{name}-x").code == "NoSuchEntity"
