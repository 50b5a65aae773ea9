"""`docker-credential-longshore` as docker calls it: one word, the rest by a pipe."""

import json
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tests.cli import BIN, Finished, longshore, run
from tests.servers import ACCOUNT, KEY_ID, REGION, SECRET, RunningServer, basic

NOT_FOUND = "credentials not found in native keychain"


def helper(verb: str, given: str, cwd: Path, **environment: str) -> Finished:
    return run(str(BIN / "docker-credential-longshore"), verb, cwd=cwd, given=given, **environment)


@pytest.fixture(scope="module")
def server(shared_server) -> RunningServer:
    return shared_server


def environment_of(server: RunningServer, **more: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_ECR": server.url,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
        **more,
    }


def opens(server: RunningServer, login: dict[str, str]) -> bool:
    return server.request("GET", "/v2/", auth=basic(login["Username"], login["Secret"])).status == 200


@pytest.fixture
def saved(server, tmp_path) -> Iterator[Path]:
    """A home directory whose hosts.json knows the server."""
    folder = tmp_path / ".config" / "longshore"
    folder.mkdir(parents=True, mode=0o700)
    entry = {"endpoint": server.url, "accessKeyId": KEY_ID, "secretAccessKey": SECRET, "region": REGION}
    file = folder / "hosts.json"
    file.write_text(
        json.dumps({server.netloc: entry, "r.example.com:8443": {**entry, "endpoint": "http://127.0.0.1:1"}})
    )
    file.chmod(0o600)
    yield tmp_path


# --- get --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{host}", "http://{host}", "https://{host}", "https://{host}/v2/", "{host}/path"])
def test_get_makes_a_login_for_the_host_of_the_environment(server, tmp_path, form):
    asked = form.format(host=server.netloc)
    done = helper("get", asked, tmp_path, **environment_of(server))
    login = json.loads(done.out)

    assert (done.code, done.err) == (0, "")
    assert login.keys() == {"ServerURL", "Username", "Secret"}
    assert (login["ServerURL"], login["Username"]) == (asked, "AWS")
    assert SECRET not in done.out
    assert opens(server, login)


def test_get_makes_a_login_for_a_saved_host(server, saved):
    done = helper("get", f"{server.netloc}\n", saved)

    assert done.code == 0
    assert opens(server, json.loads(done.out))


@pytest.mark.parametrize("region", [REGION, "eu-west-1"])
def test_get_knows_the_registries_of_the_environments_server(server, tmp_path, region):
    """One server has many such names; it says itself which are its own."""
    port = server.netloc.rpartition(":")[2]
    host = f"{ACCOUNT}.dkr.ecr.{region}.localhost:{port}"
    environment = environment_of(server, AWS_ENDPOINT_URL_ECR=f"http://localhost:{port}")
    done = helper("get", host, tmp_path, **environment)

    assert done.code == 0
    assert opens(server, json.loads(done.out))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1:1",
        "index.docker.io",
        "{account}.dkr.ecr.us-east-1.amazonaws.com",
        "{account}.dkr.ecr.us-east-1.evil.example:{port}",
        "{netloc}.evil.example",
        "evil.example@{netloc}.evil.example",
        "{netloc}@evil.example",
        "evil.example/{netloc}",
    ],
)
def test_get_gives_nothing_to_another_host(server, saved, host):
    """An image's name may hold any host, and docker asks for it."""
    asked = host.format(account=ACCOUNT, netloc=server.netloc, port=server.netloc.rpartition(":")[2])
    for environment in ({}, environment_of(server)):
        done = helper("get", asked, saved, **environment)

        assert (done.code, done.out, done.err) == (1, NOT_FOUND + "\n", "")


def test_get_without_any_key_finds_nothing(tmp_path):
    done = helper("get", "localhost:5000", tmp_path)

    assert (done.code, done.out) == (1, NOT_FOUND + "\n")


def test_get_tells_when_the_server_is_away(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        "AWS_ENDPOINT_URL_ECR": f"http://{host}",
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    done = helper("get", host, tmp_path, **environment)

    assert (done.code, done.out) == (1, f"cannot reach http://{host}: is `longshore serve` running there?\n")


def test_get_tells_when_the_key_is_gone(server, tmp_path):
    done = helper("get", server.netloc, tmp_path, **environment_of(server, AWS_SECRET_ACCESS_KEY="wrong" * 8))

    assert done.code == 1
    assert done.out.endswith("(InvalidSignatureException)\n")
    assert len(done.out.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        ("{}", 0o644, "can be read by others"),
        ("{", 0o600, "is not JSON"),
        ("[]", 0o600, "does not hold hosts with their keys"),
        ('{"localhost:5000": {"endpoint": "http://localhost:5000"}}', 0o600, "lacks 'region' for localhost:5000"),
    ],
    ids=["readable", "damaged", "list", "cut"],
)
def test_a_hosts_file_that_cannot_be_used_is_told(saved, content, mode, says):
    file = saved / ".config" / "longshore" / "hosts.json"
    file.write_text(content)
    file.chmod(mode)
    done = helper("get", "localhost:5000", saved)

    assert (done.code, done.err) == (1, "")
    assert says in done.out
    assert len(done.out.splitlines()) == 1


# --- the other verbs --------------------------------------------------------------------------------------------------


def test_list_tells_the_hosts_without_asking_them(server, saved):
    from_file = helper("list", "", saved)
    with_environment = helper("list", "", saved, **environment_of(server, AWS_ENDPOINT_URL_ECR="http://other:1"))

    assert json.loads(from_file.out) == {server.netloc: "AWS", "r.example.com:8443": "AWS"}
    assert json.loads(with_environment.out) == {"other:1": "AWS", server.netloc: "AWS", "r.example.com:8443": "AWS"}


def test_list_is_empty_where_nothing_is_known(tmp_path):
    done = helper("list", "", tmp_path)

    assert (done.code, done.out) == (0, "{}\n")


def test_store_is_accepted_for_a_known_host_and_keeps_nothing(server, saved):
    before = (saved / ".config" / "longshore" / "hosts.json").read_bytes()
    login = {"ServerURL": f"https://{server.netloc}", "Username": "AWS", "Secret": "whatever"}
    done = helper("store", json.dumps(login), saved)

    assert (done.code, done.out, done.err) == (0, "", "")
    assert (saved / ".config" / "longshore" / "hosts.json").read_bytes() == before


def test_store_is_refused_for_a_host_without_a_key(saved):
    login = {"ServerURL": "registry.example.com", "Username": "me", "Secret": "my-password"}
    done = helper("store", json.dumps(login), saved)

    assert done.code == 1
    assert "registry.example.com" in done.out
    assert "my-password" not in done.out


def test_erase_is_accepted(server, saved):
    done = helper("erase", server.netloc, saved)

    assert (done.code, done.out) == (0, "")
    assert helper("get", server.netloc, saved).code == 0


def test_version(tmp_path):
    done = helper("version", "", tmp_path)

    assert (done.code, done.out) == (0, f"docker-credential-longshore {metadata.version('longshore')}\n")


@pytest.mark.parametrize("verb", ["get", "erase", "store"])
@pytest.mark.parametrize("given", ["", "\n"], ids=["nothing", "newline"])
def test_a_host_must_be_named(saved, verb, given):
    done = helper(verb, given, saved)

    assert (done.code, done.out, done.err) == (1, "no credentials server URL\n", "")


@pytest.mark.parametrize("given", ["{", "[]", "{}", '{"ServerURL": null}', '"x"'])
def test_store_of_what_is_no_login_is_refused(saved, given):
    done = helper("store", given, saved)

    assert (done.code, done.err) == (1, "")
    assert len(done.out.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["frobnicate"], ["get", "more"], ["--help"]], ids=str)
def test_any_other_word_gets_the_usage(tmp_path, words):
    done = run(str(BIN / "docker-credential-longshore"), *words, cwd=tmp_path)

    assert (done.code, done.out) == (1, "Usage: docker-credential-longshore <get|store|erase|list|version>\n")


def test_a_long_input_is_not_read_to_its_end(saved):
    done = helper("get", "x" * 1_000_000, saved)

    assert (done.code, done.err) == (1, "")


# --- longshore login --------------------------------------------------------------------------------------------------


def docker_config(home: Path) -> dict:
    return json.loads((home / ".docker" / "config.json").read_text())


def basic_of(entry: dict[str, str]) -> str:
    return "Basic " + entry["auth"]


def test_login_keeps_a_token_where_docker_looks_for_it(server, tmp_path):
    done = longshore("login", "alias.example:5000", cwd=tmp_path, **environment_of(server))
    auths = docker_config(tmp_path)["auths"]

    assert (done.code, done.err) == (0, "")
    assert [line.partition(": ")[0] for line in done.out.splitlines()] == [server.netloc, "alias.example:5000"]
    assert all("logged in until" in line for line in done.out.splitlines())
    assert auths.keys() == {server.netloc, "alias.example:5000"}
    assert server.request("GET", "/v2/", auth=basic_of(auths[server.netloc])).status == 200
    assert (tmp_path / ".docker" / "config.json").stat().st_mode & 0o777 == 0o600
    assert SECRET not in (tmp_path / ".docker" / "config.json").read_text()


def test_login_leaves_the_rest_of_the_file_alone(server, tmp_path):
    (tmp_path / "docker").mkdir()
    file = tmp_path / "docker" / "config.json"
    file.write_text(json.dumps({"auths": {"other:1": {"auth": "eA=="}}, "psFormat": "table"}))
    longshore("login", "--docker-config", "docker", cwd=tmp_path, **environment_of(server))
    found = json.loads(file.read_text())

    assert found["psFormat"] == "table"
    assert found["auths"]["other:1"] == {"auth": "eA=="}
    assert server.netloc in found["auths"]


def test_login_respects_dockers_own_variable(server, tmp_path):
    longshore("login", cwd=tmp_path, **environment_of(server, DOCKER_CONFIG=str(tmp_path / "mine")))

    assert server.netloc in json.loads((tmp_path / "mine" / "config.json").read_text())["auths"]


def test_login_hands_the_token_to_the_helper_that_docker_uses(server, tmp_path):
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"credsStore": "notes"}))
    notes = tmp_path / "bin" / "docker-credential-notes"
    notes.parent.mkdir()
    notes.write_text('#!/bin/sh\n[ "$1" = store ] && cat > "$HOME/noted"\n')
    notes.chmod(0o755)
    path = f"{notes.parent}:{BIN}:/usr/bin:/bin"
    done = longshore("login", cwd=tmp_path, **environment_of(server, PATH=path))
    noted = json.loads((tmp_path / "noted").read_text())

    assert done.code == 0 and "docker-credential-notes" in done.out
    assert noted["ServerURL"] == server.netloc
    assert opens(server, noted)
    assert docker_config(tmp_path)["auths"] == {server.netloc: {}}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "does not hold docker's configuration"),
        (json.dumps({"credsStore": "no-such"}), "docker-credential-no-such, which is not installed"),
    ],
    ids=["damaged", "list", "helper"],
)
def test_login_tells_what_is_wrong_with_dockers_configuration(server, tmp_path, content, says):
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(content)
    done = longshore("login", cwd=tmp_path, **environment_of(server))

    assert (done.code, done.out) == (1, "")
    assert says in done.err
    assert len(done.err.splitlines()) == 1
    assert (tmp_path / ".docker" / "config.json").read_text() == content


def test_a_saved_host_is_answered_by_the_helper_from_then_on(server, tmp_path):
    done = longshore("login", "--save-host", cwd=tmp_path, **environment_of(server))
    hosts = tmp_path / ".config" / "longshore" / "hosts.json"
    login = json.loads(helper("get", server.netloc, tmp_path).out)

    assert done.code == 0
    assert docker_config(tmp_path)["credHelpers"] == {server.netloc: "longshore"}
    assert hosts.stat().st_mode & 0o777 == 0o600
    assert SECRET not in (tmp_path / ".docker" / "config.json").read_text()
    assert opens(server, login)


def test_a_host_is_saved_only_where_docker_will_find_the_helper(server, tmp_path):
    done = longshore("login", "--save-host", cwd=tmp_path, **environment_of(server, PATH="/usr/bin:/bin"))

    assert (done.code, done.out) == (1, "")
    assert "docker would not find docker-credential-longshore" in done.err
    assert not (tmp_path / ".config").exists() and not (tmp_path / ".docker").exists()


def test_temporary_credentials_are_not_saved(server, tmp_path):
    """Their token is refused here before that: it goes with no key of this server."""
    done = longshore("login", "--save-host", cwd=tmp_path, **environment_of(server, AWS_SESSION_TOKEN="a-token"))

    assert (done.code, done.out) == (1, "")
    assert not (tmp_path / ".config").exists()
