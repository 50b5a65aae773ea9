"""`longshore doctor`: an installation that works, and one trouble after another."""

import datetime as dt
import json

import pytest

from longshore import certificates
from tests.faults.disks import fill, small_disk, used
from tests.s3_relay import On, refuse
from tests.servers import RunningServer


def looked(cli, server: RunningServer, **environment: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The exit code, and what was found by each look."""
    given = {**server.environment, "LONGSHORE_HTTP__PORT": str(server.url.rpartition(":")[2]), **environment}
    ended = cli("doctor", "--data", str(server.data), "--output", "json", **given)
    findings: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(ended.out)["findings"]:
        findings.setdefault(finding["look"], []).append(finding)
    assert json.loads(ended.out)["sound"] is (ended.code == 0)
    return ended.code, findings


def of_state(findings: dict[str, list[dict[str, str]]], state: str) -> list[str]:
    return sorted(look for look, found in findings.items() for finding in found if finding["state"] == state)


# --- one that works ---------------------------------------------------------------------------------------------------


def test_an_installation_on_disk_works_and_is_left_as_it_was(cli, start_server):
    server = start_server()
    before = sorted(str(path) for path in server.data.rglob("*") if path.is_file() and "longshore.db" not in path.name)

    code, findings = looked(cli, server)

    assert code == 0
    assert of_state(findings, "trouble") == []
    assert {"settings", "keys", "disk", "database", "store us-east-1", "server"} <= set(findings)
    assert findings["server"][0]["state"] == "ok"
    assert before == sorted(
        str(path) for path in server.data.rglob("*") if path.is_file() and "longshore.db" not in path.name
    )


def test_an_installation_on_s3_works_and_is_left_as_it_was(cli, start_server, bucket):
    server = start_server(**bucket.environment(redirect="true"))
    before = bucket.all_keys()

    code, findings = looked(cli, server)

    assert code == 0
    assert of_state(findings, "trouble") == []
    told = " / ".join(finding["found"] for finding in findings["store us-east-1"])
    assert all(word in told for word in ("reads whole and by range", "clock", "signed URLs"))
    assert bucket.all_keys() == before
    assert bucket.uploads() == []


def test_people_get_a_table_and_a_last_line(cli, start_server):
    server = start_server()
    ended = cli("doctor", "--data", str(server.data), LONGSHORE_HTTP__PORT=server.url.rpartition(":")[2])

    assert ended.code == 0
    assert ended.out.splitlines()[0].split() == ["LOOK", "STATE", "FOUND", "TO", "DO"]
    assert ended.out.splitlines()[-1] == "this installation works"


# --- what may be wrong ------------------------------------------------------------------------------------------------


def test_no_data_is_trouble(cli, tmp_path):
    ended = cli("doctor", "--data", str(tmp_path / "nowhere"), "--output", "json")

    assert ended.code == 1
    assert "name the server's data directory" in json.loads(ended.out)["findings"][1]["found"]


def test_a_key_that_others_can_read_is_trouble(cli, start_server):
    server = start_server()
    (server.data / "master.key").chmod(0o644)

    code, findings = looked(cli, server)

    assert (code, of_state(findings, "trouble")) == (1, ["keys"])
    assert "chmod 600" in findings["keys"][0]["toDo"]


def test_a_server_that_does_not_answer_is_told_of(cli, start_server):
    server = start_server()
    server.stop()

    code, findings = looked(cli, server)

    assert (code, of_state(findings, "warning")) == (0, ["server"])
    assert "does not answer" in findings["server"][0]["found"]


def test_a_name_that_is_no_setting_is_told_of(cli, start_server):
    code, findings = looked(cli, start_server(), LONGSHORE_REGISTRY__CREATE_ON_PULL="true")

    assert (code, of_state(findings, "warning")) == (0, ["settings"])


@pytest.mark.real("tmpfs")
def test_a_full_disk_is_trouble_and_gets_no_fuller(cli, start_server, tmp_path):
    with small_disk(tmp_path / "disk", "size=48m") as disk:
        server = start_server(data=disk / "data")
        filler = fill(disk)
        with filler.open("r+b") as file:
            file.truncate(filler.stat().st_size - 3_000_000)  # room for a part of what is tried
        before = used(disk)

        code, findings = looked(cli, server)
        after = used(disk)
        fill(disk)
        code_when_full, findings_when_full = looked(cli, server)
        server.stop()

    assert code == code_when_full == 1
    assert {"disk", "store us-east-1"} <= set(of_state(findings, "trouble"))
    assert "No space left" in findings["store us-east-1"][0]["found"]
    assert after - before < 200_000  # the database's log, and nothing of the blob
    assert any("cannot be written to" in finding["found"] for finding in findings_when_full["disk"])


def test_a_host_name_that_leads_nowhere_is_trouble(cli, start_server):
    code, findings = looked(cli, start_server(), LONGSHORE_REGISTRY__DOMAIN="registry.invalid")

    assert (code, of_state(findings, "trouble")) == (1, ["names"])
    assert "*.dkr.ecr.us-east-1.registry.invalid" in findings["names"][0]["toDo"]


@pytest.mark.parametrize(("days", "state"), [(20, "warning"), (200, "ok")])
def test_a_certificate_that_ends_soon_is_told_of(cli, start_server, tmp_path, days, state):
    issued = certificates.issue(tmp_path / "tls", [], days=days, now=dt.datetime.now(dt.UTC))
    tls = {"LONGSHORE_HTTP__TLS_CERT": str(issued.cert), "LONGSHORE_HTTP__TLS_KEY": str(issued.key)}

    code, findings = looked(cli, start_server(**tls), **tls)

    assert (code, findings["tls"][0]["state"]) == (0, state)
    assert findings["server"][0]["state"] == "ok"


def test_a_certificate_that_clients_do_not_trust_is_told_of(cli, start_server, tmp_path):
    issued = certificates.issue(tmp_path / "tls", [], days=100, now=dt.datetime.now(dt.UTC))
    tls = {"LONGSHORE_HTTP__TLS_CERT": str(issued.cert), "LONGSHORE_HTTP__TLS_KEY": str(issued.key)}
    server = start_server(**tls)

    code, findings = looked(cli, server, **tls, LONGSHORE_REGISTRY__PUBLIC_URL=server.url)

    assert (code, of_state(findings, "warning")) == (0, ["server"])
    assert "trust" in findings["server"][0]["toDo"]


def test_a_store_that_knows_the_key_no_more_is_trouble(cli, start_server, bucket):
    server = start_server(**bucket.environment())

    code, findings = looked(cli, server, LONGSHORE_STORAGE__SECRET_ACCESS_KEY="another-secret-than-the-real-one")

    assert (code, of_state(findings, "trouble")) == (1, ["store us-east-1"])
    assert "storage" in findings["store us-east-1"][0]["toDo"]


def test_a_store_that_does_not_delete_is_told_of(cli, start_server, bucket, s3_relay):
    server = start_server(**bucket.environment())
    s3_relay.script = [On("DeleteObject", refuse(204, ""))]

    code, findings = looked(cli, server, LONGSHORE_STORAGE__ENDPOINT=s3_relay.url)

    assert (code, of_state(findings, "warning")) == (0, ["store us-east-1"])


def test_a_redirect_to_where_nobody_gets_is_trouble(cli, start_server, bucket):
    server = start_server(**bucket.environment())

    code, findings = looked(
        cli, server, LONGSHORE_STORAGE__REDIRECT="true", LONGSHORE_STORAGE__PUBLIC_ENDPOINT="http://127.0.0.1:9"
    )

    assert (code, of_state(findings, "trouble")) == (1, ["store us-east-1"])
    assert "storage.public_endpoint" in findings["store us-east-1"][-1]["toDo"]


# --- longshore ready --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_ready_says_whether_the_server_answers(cli, start_server, tmp_path, tls):
    settings = {}
    if tls:
        issued = certificates.issue(tmp_path / "tls", [], days=100, now=dt.datetime.now(dt.UTC))
        settings = {"LONGSHORE_HTTP__TLS_CERT": str(issued.cert), "LONGSHORE_HTTP__TLS_KEY": str(issued.key)}
    server = start_server(**settings)
    settings["LONGSHORE_HTTP__PORT"] = server.url.rpartition(":")[2]

    while_it_runs = cli("ready", **settings)
    server.stop()
    afterwards = cli("ready", **settings)

    assert (while_it_runs.code, while_it_runs.out) == (0, f"{server.url} is ready (200)\n")
    assert afterwards.code == 1
    assert "does not answer" in afterwards.out
