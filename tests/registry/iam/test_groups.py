"""Groups and their members through boto3."""

import pytest

from tests.builders import unique_name
from tests.iam import refused
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")


@pytest.fixture
def group(iam):
    return iam.create_group(GroupName=unique_name("team"))["Group"]["GroupName"]


def test_a_group_reads_back_with_its_users(iam, group):
    names = sorted(unique_name("u") for _ in range(3))
    for name in names:
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName=group, UserName=name)
        iam.add_user_to_group(GroupName=group, UserName=name)
    found = iam.get_group(GroupName=group)

    assert found["Group"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/{group}"
    assert found["Group"]["GroupId"].startswith("AGPA")
    assert [user["UserName"] for user in found["Users"]] == names
    assert iam.list_groups_for_user(UserName=names[0])["Groups"] == [found["Group"]]


def test_users_of_a_group_come_in_pages(iam, group):
    names = sorted(unique_name("u") for _ in range(3))
    for name in names:
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName=group, UserName=name)
    pages = list(iam.get_paginator("get_group").paginate(GroupName=group, PaginationConfig={"PageSize": 2}))

    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [names[:2], names[2:]]


def test_a_group_that_is_not_empty_stays(iam, group, name):
    iam.create_user(UserName=name)
    iam.add_user_to_group(GroupName=group, UserName=name)

    assert refused(iam.delete_group, GroupName=group) == (
        "DeleteConflict",
        409,
        "Cannot delete entity, must remove users from group first.",
    )
    iam.remove_user_from_group(GroupName=group, UserName=name)
    iam.delete_group(GroupName=group)
    assert refused(iam.get_group, GroupName=group).message == f"The group with name {group} cannot be found."


def test_a_user_leaves_only_a_group_that_it_is_in(iam, group, name):
    iam.create_user(UserName=name)

    assert refused(iam.remove_user_from_group, GroupName=group, UserName=name).code == "NoSuchEntity"
    assert refused(iam.add_user_to_group, GroupName=group, UserName=f"{name}x").code == "NoSuchEntity"
    assert refused(iam.add_user_to_group, GroupName=f"{group}x", UserName=name).code == "NoSuchEntity"


def test_a_renamed_group_keeps_its_users(iam, group, name):
    iam.create_user(UserName=name)
    iam.add_user_to_group(GroupName=group, UserName=name)
    iam.update_group(GroupName=group, NewGroupName=f"{group}-new", NewPath="/p/")
    found = iam.get_group(GroupName=f"{group}-new")

    assert [user["UserName"] for user in found["Users"]] == [name]
    assert found["Group"]["Arn"].endswith(f"group/p/{group}-new")
    assert refused(iam.create_group, GroupName=f"{group}-NEW").message == (
        f"Group with name {group}-NEW already exists."
    )


def test_groups_are_listed_below_a_path(iam):
    path = f"/{unique_name('p')}/"
    made = iam.create_group(GroupName=unique_name("team"), Path=path)["Group"]

    assert iam.list_groups(PathPrefix=path)["Groups"] == [made]
    assert iam.list_groups(PathPrefix=f"{path}x/")["Groups"] == []
