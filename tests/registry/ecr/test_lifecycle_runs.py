"""A server that carries out lifecycle policies by itself."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.builders import image, index, push, unique_name
from tests.lifecycles import newest, policy
from tests.servers import RunningServer
from tests.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One that does it every second, in two processes."""
    settings = {"LONGSHORE_LIFECYCLE__EVERY_SECONDS": "1"}
    found = RunningServer(tmp_path_factory.mktemp("runs") / "data", "--workers", "2", **settings)
    found.start()
    yield found
    found.stop()


def digests(ecr: Any, repository: str) -> set[str]:
    return {one["imageDigest"] for one in ecr.list_images(repositoryName=repository)["imageIds"]}


@pytest.mark.real("boto3")
def test_a_policy_is_carried_out_and_says_when(server):
    name = unique_name()
    server.create(name)
    child = image()
    push(server, name, child)
    push(server, name, index(child), "old")
    push(server, name, image(), "newer")
    kept = push(server, name, image(), "newest")
    with server.client() as ecr:
        before = dt.datetime.now(dt.UTC) - dt.timedelta(milliseconds=1)
        ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=policy(newest(1)))
        until(lambda: digests(ecr, name) == {kept}, seconds=60, what="the policy's effect")
        told = until(lambda: _evaluated_after(ecr, name, before), what="the time of a run")

    assert told["lifecyclePolicyText"] == policy(newest(1))
    assert told["lastEvaluatedAt"] <= dt.datetime.now(dt.UTC)


def _evaluated_after(ecr: Any, repository: str, moment: dt.datetime) -> dict[str, Any]:
    found: dict[str, Any] = ecr.get_lifecycle_policy(repositoryName=repository)
    return found if found["lastEvaluatedAt"] >= moment else {}


@pytest.mark.real("boto3")
def test_a_policy_that_cannot_be_carried_out_keeps_no_other_waiting(start_server):
    """It was put with extensions, and a server without them reads it."""
    keeps = {
        "rulePriority": 1,
        "selection": {"tagStatus": "tagged", "tagPrefixList": ["k"]},
        "action": {"type": "keep"},
    }
    server = start_server(LONGSHORE_LIFECYCLE__EXTENSIONS="true", LONGSHORE_JOBS__IN_SERVER="false")
    for name in ("first", "second"):
        server.create(name)
    with server.client() as ecr:
        ecr.put_lifecycle_policy(repositoryName="first", lifecyclePolicyText=json.dumps({"rules": [keeps]}))
        ecr.put_lifecycle_policy(repositoryName="second", lifecyclePolicyText=policy(newest(1)))
    for name in ("first", "second"):
        push(server, name, image(), "one")
        push(server, name, image(), "two")
    server.stop()
    server.environment = {
        **server.environment,
        "LONGSHORE_LIFECYCLE__EXTENSIONS": "false",
        "LONGSHORE_LIFECYCLE__EVERY_SECONDS": "1",
        "LONGSHORE_JOBS__IN_SERVER": "true",
    }
    server.start()
    with server.client() as ecr:
        until(lambda: len(digests(ecr, "second")) == 1, seconds=60, what="the effect of the second policy")

        assert len(digests(ecr, "first")) == 2
        assert ecr.get_lifecycle_policy(repositoryName="first")["lastEvaluatedAt"].year == 1970
