"""The files of deploy/, each held against the program that it is for."""

import json
import re
import socket
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from longshore import config as configuration
from longshore.config import SECRETS, SETTINGS, env_name
from tests.cli import longshore
from tests.servers import ROOT
from tests.terraform import Terraform

DEPLOY = ROOT / "deploy"
ROOT_KEY = {"LONGSHORE_ROOT_ACCESS_KEY_ID", "LONGSHORE_ROOT_SECRET_ACCESS_KEY"}
KNOWN = {env_name(setting) for setting in SETTINGS} | {f"{env_name(setting)}_FILE" for setting in SECRETS}


# --- config.example.toml ----------------------------------------------------------------------------------------------


def test_the_example_of_a_configuration_is_the_one_that_the_program_writes(tmp_path):
    assert (DEPLOY / "config.example.toml").read_text() == longshore("config", "example", cwd=tmp_path).out


def test_the_example_holds_every_setting_at_its_default(tmp_path):
    text = (DEPLOY / "config.example.toml").read_text()
    file = tmp_path / "all.toml"
    file.write_text(re.sub(r"(?m)^#(?=[a-z_]+ = )", "", text))  # every key; the region's table stays out
    keys = {f"{section}.{key}" for section, table in tomllib.loads(file.read_text()).items() for key in table}

    assert keys == set(SETTINGS)
    assert configuration.load(data=None, file=file, env={}, flags={}) == configuration.load(
        data=None, file=None, env={}, flags={}
    )


# --- systemd ----------------------------------------------------------------------------------------------------------


@pytest.mark.real("systemd-analyze")
def test_the_unit_is_one_that_systemd_understands(tmp_path):
    program = tmp_path / "longshore"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "longshore.service"
    text = (DEPLOY / "systemd" / "longshore.service").read_text()
    unit.write_text(text.replace("/opt/longshore/bin/longshore", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)

    assert str(program) in unit.read_text()
    assert [line for line in done.stderr.splitlines() if "longshore" in line] == []
    assert done.returncode == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_the_service_manager_is_told_when_it_is_ready_and_when_it_stops(start_server, tmp_path, workers, abstract):
    name = f"@longshore-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(30)
        server = start_server("--workers", str(workers), NOTIFY_SOCKET=name)
        ready = manager.recv(100)
        server.stop()
        manager.settimeout(5)

        assert ready == b"READY=1"
        assert manager.recv(100) == b"STOPPING=1"


# --- Kubernetes -------------------------------------------------------------------------------------------------------


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def test_kubernetes_sets_what_there_is_to_set(tmp_path):
    found = {str(one["kind"]): one for one in documents("kubernetes/longshore.yaml")}
    (container,) = found["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    text = found["ConfigMap"]["data"]["longshore.toml"]
    (tmp_path / "longshore.toml").write_text(text)

    assert longshore("config", "check", "longshore.toml", cwd=tmp_path).code == 0
    assert {variable["name"] for variable in container["env"]} <= KNOWN | ROOT_KEY
    assert {"/data", "/etc/longshore", "/run/secrets/longshore"} <= mounted
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "/readyz",
        "/livez",
    }


def test_compose_sets_what_there_is_to_set_and_is_seen_by_this_machine_alone():
    (file,) = documents("compose.yaml")
    services, stores = file["services"], documents("object-stores.yaml")[0]["services"]
    set_here = {
        name for one in services.values() for name in one.get("environment", {}) if name.startswith("LONGSHORE")
    }
    published = [port for one in services.values() for port in one.get("ports", [])]
    named = {volume.split(":")[0] for one in services.values() for volume in one.get("volumes", [])}
    waited_for = {other for one in services.values() for other in one.get("depends_on", {})}

    assert set_here <= KNOWN
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert named == set(file["volumes"])
    assert waited_for <= set(services)
    assert services["object-store"]["extends"]["service"] in stores
    assert {"minio", "versitygw"} == set(stores)
    assert not re.search(r"(?i)(password|secret)[a-z_]*:\s*[\"']?[a-z0-9]{6,}", (DEPLOY / "compose.yaml").read_text())


# --- monitoring -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["monitoring/dashboard.json", "monitoring/alerts.yaml"])
def test_what_is_watched_is_measured(shared_server, name):
    text = (DEPLOY / name).read_text()
    found = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
    declared = set(re.findall(r"# TYPE (\w+)", shared_server.request("GET", "/metrics", auth="").body.decode()))
    # The counters of an S3 store are there only where there is one.
    there = declared | {"longshore_blobs_not_found_total", "longshore_store_calls_total"}
    used = {re.sub(r"_bucket$", "", metric) for metric in re.findall(r"longshore_\w+", text)}

    assert found
    assert used <= there
    assert len(used) >= 5


# --- Terraform --------------------------------------------------------------------------------------------------------


@pytest.mark.real("terraform")
def test_the_example_for_terraform_applies(start_server, tmp_path):
    server = start_server()
    text = (DEPLOY / "terraform" / "main.tf").read_text().replace("http://127.0.0.1:5000", server.url)
    terraform = Terraform(tmp_path / "terraform", server)
    applied = terraform.apply(text)
    empty = terraform.plans_nothing(text)

    assert "4 added, 0 changed, 0 destroyed" in applied
    assert empty
    assert "4 destroyed" in terraform.destroy(text)


def test_every_file_is_in_the_list():
    listed = set(re.findall(r"`([\w./-]+)`", (DEPLOY / "README.md").read_text()))
    there = {str(path.relative_to(DEPLOY)) for path in Path(DEPLOY).rglob("*") if path.is_file()}

    assert there - {"README.md"} <= listed
