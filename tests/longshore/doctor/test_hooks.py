"""What `longshore doctor` finds of webhooks."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from longshore.config import Config
from longshore.doctor import hooks
from registry.records import listeners
from registry.records.engine import Opened
from registry.records.listeners import Listener
from tests import places

NOW = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
REFUSED = {"url": "http://127.0.0.1:9000/hook"}
STOPPED = {"paused": "paused by the operator"}
FAILING = {"failures": 3, "rest_until": NOW, "last_error": "the receiver answered 500"}


@pytest.fixture
def db(tmp_path) -> Iterator[Opened]:
    with places.rooms(tmp_path / "data") as deps:
        yield places.database_of(deps)


def add(db: Opened, name: str, **more: Any) -> None:
    new = Listener(
        **{
            "id": 0,
            "kind": "webhook",
            "account": "000000000000",
            "region": "us-east-1",
            "name": name,
            "url": "https://8.8.8.8/hook",
            "sealed_secret": b"",
            "types": (),
            "filters": (),
            "most_waiting": 10,
            "created_at": NOW,
            **more,
        }
    )
    db.write_here(lambda tx: listeners.insert(tx, new))


@pytest.mark.parametrize(
    ("trouble", "found", "to_do"),
    [
        (REFUSED, "not allowed", "egress.allow"),
        (STOPPED, "hook of 000000000000 in us-east-1 is paused: paused by the operator", "webhook resume hook"),
        (FAILING, "hook of 000000000000 in us-east-1 fails: the receiver answered 500", "webhook test hook"),
    ],
    ids=["refused", "paused", "failing"],
)
def test_each_webhook_in_trouble_is_told_with_what_to_do(db, trouble, found, to_do):
    add(db, "hook", **trouble)
    add(db, "other")
    findings = list(hooks.webhooks(Config(), db))

    assert [(one.look, one.state) for one in findings] == [("webhooks", "warning")]
    assert found in findings[0].found and to_do in findings[0].to_do


def test_those_that_are_well_are_told_in_one_line(db):
    for name in ("one", "two"):
        add(db, name)
    findings = list(hooks.webhooks(Config(), db))

    assert [(one.state, one.found) for one in findings] == [("ok", "2 may be connected to, and take events")]


def test_where_there_is_none_nothing_is_told_and_the_log_is_none(db):
    add(db, listeners.LOG, kind="log", url="")

    assert list(hooks.webhooks(Config(), db)) == []
