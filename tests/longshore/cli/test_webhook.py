"""`longshore webhook` beside a running server, and what arrives at a receiver."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.cli import webhook as commands
from registry import envelopes
from tests import receivers
from tests.builders import image, push
from tests.cli import Finished, longshore
from tests.receivers import Receiver, answer
from tests.servers import RunningServer
from tests.waiting import until

Cli = Callable[..., Finished]
ALLOW = "LONGSHORE_EGRESS__ALLOW"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receivers.receiving() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("webhook") / "data"
    found = RunningServer(data, **{ALLOW: f"127.0.0.1:{receiver.port}"})
    found.start()
    yield found
    found.stop()


@pytest.fixture
def cli(server: RunningServer, tmp_path: Path) -> Cli:
    """A command on the server's data, with the server's settings."""
    environment = {name: value for name, value in server.environment.items() if "ROOT" not in name}

    def run(*arguments: str, **more: str) -> Finished:
        given = "webhook", *arguments, "--data", str(server.data)
        return longshore(*given, cwd=tmp_path, **{**environment, **more})

    return run


@pytest.fixture(autouse=True)
def fresh(receiver: Receiver, cli: Cli) -> Iterator[None]:
    receiver.got.clear()
    receiver.reply = answer(200)
    yield
    for one in as_json(cli, "list"):
        assert cli("remove", one["name"]).code == 0


def as_json(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments, "--output", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def verified(got: receivers.Got, secret: str) -> bool:
    """As docs/events.md has it."""
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(got.headers["webhook-signature"], f"v1,{expected}")


def test_what_is_pushed_and_deleted_arrives_signed_and_in_order(server, cli, receiver):
    added = as_json(cli, "add", "ci", receiver.url)
    server.create("team/app")
    for tag in ("v1", "v2"):
        push(server, "team/app", image(), tag)
    with server.client("ecr") as ecr:
        ecr.batch_delete_image(repositoryName="team/app", imageIds=[{"imageTag": "v1"}])
        ecr.delete_repository(repositoryName="team/app", force=True)
    until(lambda: len(receiver.got) == 4, what="four events")
    told = [(one.event["detail"]["action-type"], one.tag) for one in receiver.got]
    shown = as_json(cli, "show", "ci")

    assert told == [("PUSH", "v1"), ("PUSH", "v2"), ("DELETE", "v1"), ("DELETE", "v2")]
    assert all(verified(one, added["secret"]) for one in receiver.got)
    assert not verified(receiver.got[0], "whsec_" + base64.b64encode(b"x" * 32).decode())
    assert (shown["delivered"], shown["waiting"], shown["dead"]) == (4, 0, 0)
    assert added["secret"] not in json.dumps(shown)


def test_filters_choose_events_and_repositories(server, cli, receiver):
    for event in envelopes.TYPES:
        assert event in commands._EVENTS
    cli("add", "some", receiver.url, "--event", "push", "--repository", "wanted/*")
    for name in ("wanted/one", "other/one"):
        server.create(name)
        push(server, name, image(), "v1")
    server.request("DELETE", "/v2/wanted/one/manifests/v1")
    push(server, "wanted/one", image(), "v2")
    until(lambda: len(receiver.got) == 2, what="two events")

    assert [(one.event["detail"]["repository-name"], one.tag) for one in receiver.got] == [
        ("wanted/one", "v1"),
        ("wanted/one", "v2"),
    ]


def test_a_webhook_is_tried_without_a_push(cli, receiver):
    cli("add", "ci", receiver.url)
    good = cli("test", "ci")
    receiver.reply = answer(503)
    bad = cli("test", "ci")
    forbidden = cli("test", "ci", **{ALLOW: "10.0.0.0/8"})

    assert (good.code, good.out) == (0, "webhook ci answered 200: it takes events\n")
    assert receiver.got[0].event["detail-type"] == "Longshore Webhook Test"
    assert bad.code == 1 and "webhook ci did not take it: the receiver answered 503" in bad.err
    assert forbidden.code == 1 and "not allowed: see egress.allow" in forbidden.err
    assert len(receiver.got) == 2


def test_what_fails_is_listed_and_told_until_it_goes_on(server, cli, receiver):
    cli("add", "ci", receiver.url)
    receiver.reply = answer(500)
    server.create("fails/app")
    push(server, "fails/app", image(), "v1")
    until(lambda: receiver.got, what="a try")
    until(lambda: as_json(cli, "show", "ci")["failedTries"], what="its outcome", every=0.2)
    shown, table = as_json(cli, "show", "ci"), cli("deliveries", "ci").out
    cli("pause", "ci")
    paused = cli("list").out
    receiver.reply = answer(200)
    cli("resume", "ci")
    until(lambda: as_json(cli, "show", "ci")["delivered"] == 1, what="the delivery", every=0.2)

    assert (shown["waiting"], shown["lastError"]) == (1, "the receiver answered 500")
    assert re.search(r"push +fails/app .* [1-9] +the receiver answered 500", table)
    assert re.search(r"ci +http://127\.0\.0\.1:\d+ +paused: paused by the operator +1 +0", paused)


def test_metrics_and_the_doctor_tell_what_became_of_events(server, cli, receiver, tmp_path):
    receiver.reply = lambda got, client: answer(500 if got.path == "/bad" else 200)(got, client)
    cli("add", "good", receiver.url)
    cli("add", "bad", receiver.url.replace("/hook", "/bad"), "--max-waiting", "1")
    server.create("told/app")
    for tag in ("v1", "v2"):
        push(server, "told/app", image(), tag)
    until(lambda: figures(server)["delivered_total"] == 2, what="both at the good one")
    until(lambda: figures(server)["failed_total"] > 0, what="a try at the bad one")
    cli("pause", "bad")
    settings = {name: value for name, value in server.environment.items() if "ROOT" not in name}
    doctor = longshore("doctor", "--data", str(server.data), cwd=tmp_path, **settings)
    told = figures(server)

    assert (told["dropped_total"], told["waiting"], told["dead"], told["paused"]) == (1, 1, 0, 1)
    assert re.search(r"webhooks +warning +bad of 000000000000 in us-east-1 is paused", doctor.out)


def figures(server: RunningServer) -> dict[str, float]:
    """What the metrics say of events to webhooks, and of webhooks."""
    page = server.request("GET", "/metrics", auth=None).body.decode()
    found = re.findall(r'^longshore_(?:events|webhooks)_(\w+)(?:\{to="webhook"\})? (\S+)$', page, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_mistakes_are_told_with_what_to_do(cli, receiver, tmp_path):
    bad = tmp_path / "secret"
    bad.write_text("short")
    good = tmp_path / "good"
    good.write_text("whsec_" + base64.b64encode(b"k" * 32).decode() + "\n")
    first = cli("add", "ci", receiver.url, "--secret-file", str(good))
    told = {
        name: cli(*arguments)
        for name, arguments in {
            "twice": ("add", "ci", receiver.url),
            "inside": ("add", "in", "http://10.0.0.1/"),
            "no url": ("add", "in", "hello"),
            "no name": ("add", "a b", receiver.url),
            "no secret": ("add", "in", receiver.url, "--secret-file", str(bad)),
            "unknown": ("show", "nobody"),
            "which": ("dead", "resend", "ci"),
            "both": ("dead", "drop", "ci", "1", "--all"),
        }.items()
    }

    assert (first.code, first.out) == (0, "webhook ci is told of events from now on\n")
    assert {name: done.code for name, done in told.items()} == {
        "twice": 1, "inside": 1, "no url": 1, "no name": 1, "no secret": 2, "unknown": 1, "which": 2, "both": 2,
    }  # fmt: skip
    assert "remove it first" in told["twice"].err
    assert "egress.allow" in told["inside"].err
    assert "longshore webhook list" in told["unknown"].err
    assert "--all" in told["which"].err
    assert all(done.err.count("\n") <= 4 and "Traceback" not in done.err for done in told.values())


def test_changes_are_on_record_and_no_secret_is(server, cli, receiver, tmp_path):
    cli("add", "ci", f"{receiver.url}/token-in-the-path", "--event", "push")
    cli("pause", "ci")
    cli("resume", "ci")
    cli("dead", "drop", "ci", "--all")
    cli("remove", "ci")
    done = longshore("audit", "--data", str(server.data), "--output", "json", cwd=tmp_path)
    names = [name for name in re.findall(r'"eventName": ?"(\w+)"', done.out) if name.endswith(("Webhook", "Events"))]

    assert names[:5] == ["RemoveWebhook", "DropDeadEvents", "ResumeWebhook", "PauseWebhook", "AddWebhook"]
    assert "token-in-the-path" not in done.out and "whsec_" not in done.out
