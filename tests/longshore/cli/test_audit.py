"""`longshore audit`, beside a running server."""

import json
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

from tests import builders
from tests.servers import ROOT, RunningServer, clean_environment


def audit(server: RunningServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "longshore", "audit", "--data", str(server.data), *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def pushed(shared_server: RunningServer) -> str:
    """A repository with an image and a refused call."""
    name = builders.unique_name()
    shared_server.create(name)
    builders.push(shared_server, name, builders.image(), "v1.0")
    with shared_server.client() as ecr, pytest.raises(ClientError, match="AccessDenied"):
        ecr.delete_repository(registryId="111122223333", repositoryName=name)
    return name


def test_a_push_is_on_record_by_its_api_actions(shared_server, pushed):
    arn = f"arn:aws:ecr:us-east-1:000000000000:repository/{pushed}"
    events = json.loads(audit(shared_server, "--resource", arn, "--output", "json").stdout)

    assert [event["eventName"] for event in events] == [
        "PutImage",
        "InitiateLayerUpload",
        "InitiateLayerUpload",
        "CreateRepository",
    ]
    assert events[0]["requestParameters"] == {"repositoryName": pushed, "imageTag": "v1.0"}
    assert events[0]["sourceIPAddress"] == "127.0.0.1"
    assert events[3]["userIdentity"]["type"] == "Root"


def test_a_refusal_is_on_record(shared_server, pushed):
    arn = f"arn:aws:ecr:us-east-1:111122223333:repository/{pushed}"
    (event,) = json.loads(audit(shared_server, "--denied", "--resource", arn, "--output", "json").stdout)

    assert (event["eventName"], event["errorCode"]) == ("DeleteRepository", "AccessDenied")
    assert event["resources"] == [{"ARN": arn, "accountId": "111122223333"}]


def test_the_log_has_a_line_for_each_entry(shared_server, pushed):
    lines = [json.loads(line) for line in shared_server.output if line.startswith("{")]
    told = [
        (line["action"], line["status"], event.get("errorCode"))
        for line in lines
        for event in line.get("audit", [])
        if event["requestParameters"].get("repositoryName") == pushed
    ]

    assert told == [
        ("ecr:CreateRepository", 200, None),
        ("ecr:InitiateLayerUpload", 201, None),
        ("ecr:InitiateLayerUpload", 201, None),
        ("ecr:PutImage", 201, None),
        ("ecr:DeleteRepository", 400, "AccessDenied"),
    ]


def test_people_get_a_table(shared_server, pushed):
    shown = audit(shared_server, "--since", "1h", "--action", "ecr:CreateRepository").stdout

    assert shown.splitlines()[0].split() == ["TIME", "(UTC)", "DECISION", "ACTION", "PRINCIPAL", "RESOURCE", "SOURCE"]
    assert f"repository/{pushed}" in shown


@pytest.mark.parametrize("since", ["soon", "99999999d", "2026-13-01"])
def test_a_time_that_is_none_is_refused(shared_server, since):
    done = audit(shared_server, "--since", since)

    assert done.returncode == 2
    assert done.stderr.startswith("longshore: ") and done.stderr.count("\n") == 1


def test_a_directory_without_data_is_named(tmp_path):
    command = [sys.executable, "-m", "longshore", "audit", "--data", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "--data" in done.stderr and not list(tmp_path.iterdir())
