"""Events of a real server that is killed, halted and starved while it tells them (promises.md P13, F31, T44)."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests import elsewhere, receivers
from tests.builders import image, push, put_manifest
from tests.cli import longshore
from tests.conftest import Start
from tests.receivers import Receiver, answer
from tests.servers import RunningServer
from tests.waiting import until

pytestmark = pytest.mark.skipif(elsewhere.SERVERS > 1, reason="it starts the servers that it needs")

PLACES = ["delivery-taken", "delivery-sent", "delivery-settled"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receivers.receiving() as found:
        yield found


@pytest.fixture
def hook(tmp_path: Path, receiver: Receiver) -> Callable[..., Any]:
    """`longshore webhook` on a server's data."""

    def run(server: RunningServer, *arguments: str) -> Any:
        kept = {name: value for name, value in server.environment.items() if "ROOT" not in name}
        given = "webhook", *arguments, "--data", str(server.data), "--output", "json"
        done = longshore(*given, cwd=tmp_path, **{**kept, "LONGSHORE_FAILPOINT": ""})
        assert done.code == 0, done.err
        return json.loads(done.out)

    return run


def allowing(receiver: Receiver, **more: str) -> dict[str, str]:
    return {"LONGSHORE_EGRESS__ALLOW": "127.0.0.1", "LONGSHORE_JOBS__LEASE_SECONDS": "1", **more}


def by_id(got: list[Any]) -> list[Any]:
    """Tags in the order in which their events came first; each event once."""
    return list({one["id"]: one["detail"].get("image-tag") for one in got}.values())


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_at_any_point_of_a_delivery_loses_nothing_and_keeps_the_order(start_server, receiver, hook, place):
    """What comes twice comes with the id that it had."""
    server = start_server(**allowing(receiver, LONGSHORE_FAILPOINT=f"{place}:kill:2"))
    hook(server, "add", "ci", receiver.url)
    server.create("team/app")
    built, tags = image(), [f"v{number}" for number in range(5)]
    push(server, "team/app", built, tags[0])
    until(lambda: receiver.got, what="the first event")
    for tag in tags[1:]:
        try:
            put_manifest(server, "team/app", built, tag)
        except (OSError, HTTPException):
            break
    assert server.wait() == -9
    server.environment = {**server.environment, "LONGSHORE_FAILPOINT": ""}
    server.start()
    for tag in tags:  # those that were acknowledged are there already, and change nothing
        assert put_manifest(server, "team/app", built, tag).status == 201
    until(lambda: by_id([one.event for one in receiver.got]) == tags, what="all five")
    until(lambda: hook(server, "show", "ci")["waiting"] == 0, what="an empty queue", every=0.2)

    assert by_id([one.event for one in receiver.got]) == tags
    assert len(receiver.got) - len(tags) <= 1
    seen: list[str] = []
    for one in receiver.got:
        assert one.tag not in seen or seen[-1] == one.tag, "none comes again after a later one"
        seen.append(one.tag)


@pytest.mark.parametrize("when", ["event-logged:kill", "event-logged:kill:2"])
def test_a_kill_loses_no_line_of_the_log(start_server: Start, tmp_path, when):
    file = tmp_path / "events.jsonl"
    settings = {"LONGSHORE_EVENTS__LOG_FILE": str(file), "LONGSHORE_JOBS__LEASE_SECONDS": "1"}
    server = start_server(**settings, LONGSHORE_FAILPOINT=when)
    server.create("team/app")
    built, tags = image(), [f"v{number}" for number in range(6)]
    push(server, "team/app", built)
    until(lambda: file.exists() and file.read_bytes(), what="a batch of its own")
    for tag in tags:
        try:
            put_manifest(server, "team/app", built, tag)
        except (OSError, HTTPException):
            break
    assert server.wait() == -9
    server.environment = {**server.environment, "LONGSHORE_FAILPOINT": ""}
    server.start()
    for tag in tags:
        put_manifest(server, "team/app", built, tag)

    def logged() -> list[Any]:
        return by_id([json.loads(line) for line in file.read_text().splitlines()])

    until(lambda: logged() == [None, *tags], what="the push by digest, and all six")


def test_a_worker_that_is_halted_past_its_lease_writes_nothing_more(start_server, receiver, hook, tmp_path):
    """F31: it had an answer in hand; another has sent what it had, and all that came behind."""
    server = start_server(**allowing(receiver))
    hook(server, "add", "ci", receiver.url)
    server.create("team/app")
    built = image()
    gate = {"open": False}

    def reply(got: receivers.Got, client: Any) -> None:
        if not gate["open"]:
            gate["open"] = True
            os.kill(server.pid, signal.SIGSTOP)  # with this request in hand
        answer(200)(got, client)

    receiver.reply = reply
    push(server, "team/app", built, "v1")
    until(lambda: gate["open"], what="the halt")
    other = RunningServer(server.data, **server.environment)
    other.start()
    try:
        until(lambda: len(receiver.got) == 2, what="the other's try")
        put_manifest(other, "team/app", built, "v2")
        until(lambda: receiver.tags == ["v1", "v1", "v2"], what="what came behind")
        os.kill(server.pid, signal.SIGCONT)
        until(lambda: any("lost its lease" in line for line in server.output), what="the refusal")
        put_manifest(other, "team/app", built, "v3")
        until(lambda: receiver.tags == ["v1", "v1", "v2", "v3"], what="the next")
        shown = hook(other, "show", "ci")
    finally:
        os.kill(server.pid, signal.SIGCONT)  # else it could not be stopped
        other.stop()

    assert len({one.event["id"] for one in receiver.got}) == 3
    assert (shown["delivered"], shown["waiting"]) == (3, 0)


def test_receivers_that_hang_and_fail_hold_up_no_push_and_no_other(start_server, receiver, hook):
    """Each of ten pushes with three receivers that hang and one that answers 500; a fifth hears of all at once."""
    server = start_server(**allowing(receiver, LONGSHORE_WEBHOOKS__SECONDS="30"))
    with receivers.receiving() as hung, receivers.receiving() as failing:
        hung.reply, failing.reply = hung.hang, answer(500)
        for number in range(3):
            hook(server, "add", f"hung{number}", hung.url)
        hook(server, "add", "failing", failing.url)
        hook(server, "add", "well", receiver.url)
        built, slowest = image(), 0.0
        for number in range(10):
            server.create(f"team/r{number}")
            push(server, f"team/r{number}", built)
            began = time.monotonic()
            assert put_manifest(server, f"team/r{number}", built, "v1").status == 201
            slowest = max(slowest, time.monotonic() - began)
        until(lambda: len(receiver.got) == 20, seconds=15, what="all at the one that is well")
        jobs = longshore("jobs", "list", "--state", "running", "--data", str(server.data), cwd=server.data).out

    assert hung.most <= 6
    assert jobs.count("webhook.deliver") <= 8
    assert slowest < 10, slowest
