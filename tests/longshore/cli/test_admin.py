"""`longshore admin`, beside a running server."""

import json
import os
import pwd
from typing import Any

import pytest

from tests.commands import longshore
from tests.iam import Keys, admin, caller, client, make_account, policy, refused
from tests.servers import RunningServer

ALLOW = policy(Action="*", Resource="*")


def test_an_account_is_made_beside_the_server_and_can_be_used_at_once(shared_server):
    account, keys = make_account(shared_server)
    listed = json.loads(admin(shared_server, "account", "list", "--output", "json").stdout)

    assert caller(shared_server, keys) == {
        "UserId": account,
        "Account": account,
        "Arn": f"arn:aws:iam::{account}:root",
    }
    assert {"000000000000", account} <= {one["accountId"] for one in listed}


def test_people_see_the_key_once(shared_server):
    made = admin(shared_server, "account", "create", "987600000001")
    lines = dict(line.rsplit(maxsplit=1) for line in made.stdout.splitlines())
    again = admin(shared_server, "account", "create", "987600000001")

    assert caller(shared_server, Keys(lines["access key id"], lines["secret access key"]))["Account"] == "987600000001"
    assert again.returncode == 1
    assert again.stderr == "longshore: there is an account 987600000001 already\n"
    assert "987600000001" in admin(shared_server, "account", "list").stdout


def test_the_first_key_of_an_account_can_be_replaced_through_the_api(shared_server):
    account, keys = make_account(shared_server)
    with client(shared_server, "iam", keys) as iam:
        second = Keys.of(iam.create_access_key()["AccessKey"])
    with client(shared_server, "iam", second) as iam:
        iam.delete_access_key(AccessKeyId=keys.access_key_id)
    with client(shared_server, "sts", keys) as sts:
        assert refused(sts.get_caller_identity).code == "InvalidClientTokenId"
    assert caller(shared_server, second)["Account"] == account


def test_a_service_control_policy_reads_back_as_it_was_put(shared_server, tmp_path):
    account, _ = make_account(shared_server)
    file = tmp_path / "scp.json"
    file.write_text(ALLOW, encoding="utf-8")

    assert admin(shared_server, "scp", "get", account).returncode == 1
    assert admin(shared_server, "scp", "put", account, str(file)).returncode == 0
    assert admin(shared_server, "scp", "get", account).stdout == f"{ALLOW}\n"
    assert admin(shared_server, "scp", "put", account, "-", text=policy(Action="ecr:*", Resource="*")).returncode == 0
    assert "ecr:*" in admin(shared_server, "scp", "get", account).stdout
    assert admin(shared_server, "scp", "delete", account).returncode == 0
    assert "no service control policy" in admin(shared_server, "scp", "get", account).stderr


@pytest.mark.parametrize(
    ("arguments", "text", "why"),
    [
        (("account", "create", "12"), None, "an account id is twelve digits"),
        (("scp", "put", "000000000000", "-"), "{", "Syntax errors in policy."),
        (("scp", "put", "000000000000", "-"), policy(Principal="*", Action="*"), "should not specify a principal"),
        (("scp", "put", "999900000000", "-"), ALLOW, "there is no account 999900000000"),
        (("scp", "put", "000000000000", "-"), policy(Action=["a:b"] * 900, Resource="*"), "PolicySize: 5120"),
    ],
    ids=["account", "json", "principal", "unknown", "size"],
)
def test_what_cannot_be_is_refused_in_one_line(shared_server, arguments, text, why):
    done = admin(shared_server, *arguments, text=text)

    assert done.returncode in (1, 2)
    assert why in done.stderr and done.stderr.count("\n") == 1
    assert done.stdout == ""


def record(server: RunningServer, account: str) -> list[dict[str, Any]]:
    """What is on record of an account's root user, the newest first."""
    resource = f"arn:aws:iam::{account}:root"
    told = longshore("audit", "--resource", resource, "--data", server.data, "--output", "json")
    found: list[dict[str, Any]] = told.json
    return found


def test_what_the_operator_changes_is_on_record(shared_server, tmp_path):
    account, file = "987600000002", tmp_path / "scp.json"
    file.write_text(ALLOW, encoding="utf-8")
    made = admin(shared_server, "account", "create", account)
    admin(shared_server, "scp", "put", account, str(file))
    admin(shared_server, "scp", "delete", account)
    events = record(shared_server, account)

    assert [event["eventName"] for event in events] == [
        "DeleteServiceControlPolicy",
        "PutServiceControlPolicy",
        "CreateAccount",
    ]
    for event in events:
        assert event["userIdentity"] == {"type": "Operator", "userName": pwd.getpwuid(os.getuid()).pw_name}
        assert (event["sourceIPAddress"], event["eventType"]) == ("command line", "OperatorCommand")
        assert event["recipientAccountId"] == account
    assert events[1]["requestParameters"] == {"accountId": account, "policyDocument": ALLOW}
    assert events[2]["userAgent"] == "longshore admin account create"
    assert dict(line.rsplit(maxsplit=1) for line in made.stdout.splitlines())["secret access key"] not in str(events)


def test_the_record_can_be_asked_for_what_the_operator_did(shared_server):
    admin(shared_server, "account", "create", "987600000003")
    told = longshore("audit", "--principal", "operator", "--limit", "1", "--data", shared_server.data)

    assert told.out.splitlines()[1].split()[2:6] == [
        "allowed",
        "longshore:CreateAccount",
        "operator",
        "arn:aws:iam::987600000003:root",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("account", "create"), None), (("scp", "put"), "{"), (("scp", "put"), policy(Principal="*", Action="*"))],
    ids=["account-that-exists", "no-policy", "policy-of-another-kind"],
)
def test_what_was_refused_changed_nothing_and_is_not_on_record(shared_server, arguments, text):
    account, _ = make_account(shared_server)
    done = admin(shared_server, *arguments, account, *(["-"] if text else []), text=text)

    assert done.returncode == 1
    assert record(shared_server, account) == []


def test_what_is_only_looked_at_is_not_on_record(shared_server):
    account, _ = make_account(shared_server)
    admin(shared_server, "account", "list")
    admin(shared_server, "scp", "get", account)

    assert record(shared_server, account) == []


def test_without_data_there_is_nothing_to_administer(tmp_path):
    done = admin(RunningServer(tmp_path), "account", "list")

    assert done.returncode == 1
    assert "longshore.db" in done.stderr
