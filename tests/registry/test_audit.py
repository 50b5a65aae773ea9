"""The audit log: a change and its entry stand or fall together, refusals cannot flood it."""

import datetime as dt
import functools
from pathlib import Path

import pytest

from registry.audit import Call, Refusals, Witness
from registry.auth.principals import root
from registry.errors import LimitExceeded
from registry.names import AccountId, Region, RegistryRef
from registry.records import audit_log as rows
from registry.records import schema, settings
from registry.records.audit_log import Entry
from registry.records.engine import Database, Tx

REGISTRY = RegistryRef(AccountId("111122223333"), Region("eu-west-1"))
NOW = dt.datetime(2026, 11, 1, 12, 0, tzinfo=dt.UTC)
KEEP = dt.timedelta(days=90)


@pytest.fixture
def db(tmp_path: Path):
    found = Database(tmp_path / "rows.db")
    found.write_here(schema.upgrade)
    yield found
    found.close()


def call(**more) -> Call:
    values = {
        "at": NOW,
        "principal": root(REGISTRY.account, "AKIDEXAMPLE"),
        "action": "ecr:PutImage",
        "resource": "arn:aws:ecr:eu-west-1:111122223333:repository/app",
        "registry": REGISTRY,
        "source": "127.0.0.1",
        "user_agent": "docker/1",
        "request_id": "r-1",
        "parameters": {"repositoryName": "app"},
        **more,
    }
    return Call(**values)


def setting(value: str, tx: Tx) -> None:
    settings.put_setting(tx, REGISTRY, "BLOB_MOUNTING", value)


def entries(db: Database, **more) -> list[Entry]:
    return db.read_here(functools.partial(rows.page, **{"before": None, "limit": 100, **more}))


async def test_an_address_is_on_record_as_far_as_there_is_room(db):
    """A proxy that is trusted tells what it was told, which may be anything."""
    await Witness(db, call(source="x" * 9000), [], keep=KEEP).write(functools.partial(setting, "DISABLED"))
    (entry,) = entries(db)

    assert entry.source == "x" * 64


async def test_a_change_is_on_record_in_cloudtrails_words(db):
    record: list[Entry] = []
    await Witness(db, call(), record, keep=KEEP).write(functools.partial(setting, "DISABLED"))
    (entry,) = entries(db)

    assert entry.decision == "allowed"
    assert record[0].event == entry.event
    assert entry.event["eventSource"] == "ecr.amazonaws.com"
    assert entry.event["eventName"] == "PutImage"
    assert entry.event["userIdentity"] == {
        "type": "Root",
        "principalId": "111122223333",
        "arn": "arn:aws:iam::111122223333:root",
        "accountId": "111122223333",
        "accessKeyId": "AKIDEXAMPLE",
    }
    assert entry.event["requestParameters"] == {"repositoryName": "app"}
    assert entry.event["eventTime"] == "2026-11-01T12:00:00Z"
    assert entry.event["resources"] == [{"ARN": entry.resource, "accountId": "111122223333"}]


async def test_a_change_that_fails_leaves_no_entry(db):
    def fails(tx: Tx) -> None:
        setting("DISABLED", tx)
        raise LimitExceeded("no more")

    record: list[Entry] = []
    with pytest.raises(LimitExceeded):
        await Witness(db, call(), record, keep=KEEP).write(fails)

    assert entries(db) == record == []
    assert db.read_here(lambda tx: settings.settings_of(tx, REGISTRY)) == {}


async def test_a_call_that_changes_several_things_has_one_entry(db):
    witness = Witness(db, call(), [], keep=KEEP)
    for value in ("DISABLED", "ENABLED"):
        await witness.write(functools.partial(setting, value))

    assert len(entries(db)) == 1


async def test_a_deed_within_a_deed_has_an_entry_of_its_own(db):
    record: list[Entry] = []
    outer = Witness(db, call(), record, keep=KEEP)
    await Witness(outer, call(action="ecr:CreateRepository"), record, keep=KEEP).write(
        functools.partial(setting, "DISABLED")
    )
    await outer.write(functools.partial(setting, "ENABLED"))

    assert [entry.action for entry in entries(db)] == ["ecr:PutImage", "ecr:CreateRepository"]


async def test_what_the_house_finds_is_nobodys_deed(db):
    await Witness(db, call(), [], keep=KEEP).housekeep(functools.partial(setting, "DISABLED"))

    assert entries(db) == []


async def test_long_and_binary_parameters_stay_out(db):
    parameters = {"imageManifest": "x" * 5000, "layerPartBlob": b"1234", "tag": "v1"}
    await Witness(db, call(parameters=parameters), [], keep=KEEP).write(functools.partial(setting, "DISABLED"))
    told = entries(db)[0].event["requestParameters"]

    assert told == {"imageManifest": "x" * 64 + "... (5000 characters)", "tag": "v1"}


async def test_the_same_refusal_is_written_once_a_minute_and_counted(db):
    refusals = Refusals(db, keep=KEEP)
    for second in (0, 1, 2, 59, 61):
        at = NOW + dt.timedelta(seconds=second)
        await refusals.note(call(at=at), error="AccessDenied", message="no")
    await refusals.note(call(action="ecr:DeleteRepository"), error="AccessDenied", message="no")
    other, later, first = entries(db)

    assert (first.decision, first.event["errorCode"], first.event["errorMessage"]) == ("denied", "AccessDenied", "no")
    assert "additionalEventData" not in first.event
    assert later.event["additionalEventData"] == {"repeatedSinceLastRecord": 3}
    assert other.action == "ecr:DeleteRepository"


async def test_entries_end_after_their_time(db):
    """Every 256th entry takes away what is too old by then."""
    for number in range(256):
        at = NOW + dt.timedelta(days=number)
        await Witness(db, call(at=at, request_id=str(number)), [], keep=dt.timedelta(days=10)).write(
            functools.partial(setting, "ENABLED")
        )

    assert len(entries(db)) == 11


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"matching": {"action": "ecr:DeleteRepository"}}, ["2"]),
        ({"matching": {"principal": "arn:aws:iam::111122223333:root"}}, ["3", "2", "1"]),
        ({"since": NOW + dt.timedelta(hours=2)}, ["3", "2"]),
        ({"limit": 1}, ["3"]),
        ({"before": 3}, ["2", "1"]),
        ({"matching": {"decision": "denied"}}, []),
    ],
    ids=["action", "principal", "since", "limit", "before", "denied"],
)
async def test_entries_are_found_by(db, more, found):
    for number, action in ((1, "ecr:PutImage"), (2, "ecr:DeleteRepository"), (3, "ecr:PutImage")):
        made = call(at=NOW + dt.timedelta(hours=number), request_id=str(number), action=action)
        await Witness(db, made, [], keep=KEEP).write(functools.partial(setting, "ENABLED"))

    assert [entry.request_id for entry in entries(db, **more)] == found
