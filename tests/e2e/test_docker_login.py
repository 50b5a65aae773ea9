"""The ways in which docker comes by a login, each proved by a push and a pull."""

import json
import shutil

import pytest

from tests.engines import Docker
from tests.programs import PATH, run
from tests.servers import KEY_ID, SECRET, RunningServer
from tests.workers import both

pytestmark = pytest.mark.real("dockerd")


def round_trip(docker: Docker, server: RunningServer, repository: str, **environment: str) -> None:
    """Push, forget, pull. `environment`: what docker's credential helper gets."""
    image = docker.new_image(f"{server.netloc}/{repository}:v1", layers=1)
    docker("push", image.name, environment=environment)
    docker.forget(image.name)
    docker("pull", image.name, environment=environment)

    assert docker.id_of(image.name) == image.id


@both
@pytest.mark.real("awscli")
def test_with_the_password_that_the_aws_cli_prints(server: RunningServer, repository: str, docker: Docker) -> None:
    password = run("aws", "ecr", "get-login-password", environment=server.client_environment()).out.strip()
    login = docker.log_in(server.netloc, "AWS", password)

    assert "Login Succeeded" in login.said
    round_trip(docker, server, repository)


def test_with_an_access_key(server: RunningServer, repository: str, docker: Docker) -> None:
    login = docker.log_in(server.netloc, KEY_ID, SECRET)

    assert "Login Succeeded" in login.said
    round_trip(docker, server, repository)


def test_by_longshore_login(server: RunningServer, repository: str, docker: Docker) -> None:
    run("longshore", "login", "--docker-config", docker.config, environment=server.client_environment())
    kept = json.loads((docker.config / "config.json").read_text())

    assert SECRET not in str(kept)
    round_trip(docker, server, repository)


def test_by_a_key_that_the_credential_helper_keeps(server: RunningServer, repository: str, docker: Docker) -> None:
    """`longshore login --save-host`, and later docker alone: nothing in its environment names the server."""
    home = {"HOME": str(docker.config.parent / "home"), "XDG_CONFIG_HOME": ""}
    run(
        "longshore", "login", "--save-host", "--docker-config", docker.config,
        environment=server.client_environment(**home),
    )  # fmt: skip
    kept = json.loads((docker.config / "config.json").read_text())

    assert kept["credHelpers"] == {server.netloc: "longshore"}
    assert not kept.get("auths")
    round_trip(docker, server, repository, **home)


@both
def test_by_the_credential_helper_and_the_environment(server: RunningServer, repository: str, docker: Docker) -> None:
    assert shutil.which("docker-credential-longshore", path=PATH)
    docker.config.mkdir()
    helpers = {"credHelpers": {server.netloc: "longshore"}}
    (docker.config / "config.json").write_text(json.dumps(helpers))

    round_trip(docker, server, repository, **server.client_environment())
    assert json.loads((docker.config / "config.json").read_text()) == helpers


@pytest.mark.parametrize(
    ("user", "password", "why"),
    [
        (KEY_ID, "not-the-secret-of-this-key", "wrong user name or password"),
        ("AKIANOBODYNOBODYNOBO", SECRET, "wrong user name or password"),
        ("AWS", "no-token", "the token is not one of this registry"),
    ],
    ids=["secret", "key", "token"],
)
def test_a_wrong_password_is_refused(user: str, password: str, why: str, server: RunningServer, docker: Docker) -> None:
    login = docker.log_in(server.netloc, user, password, refused=True)

    assert f"unauthorized: {why}" in login.said
    assert not json.loads((docker.config / "config.json").read_text() if docker.config.exists() else "{}").get("auths")


def test_after_a_logout_nothing_opens(server: RunningServer, repository: str, docker: Docker) -> None:
    docker.log_in(server.netloc)
    round_trip(docker, server, repository)
    name = f"{server.netloc}/{repository}:v1"
    docker("logout", server.netloc)
    push = docker("push", name, refused=True)
    docker.forget(name)
    pull = docker("pull", name, refused=True)

    assert "unauthorized: log in" in push.said
    assert "unauthorized: log in" in pull.said
