"""containerd, which asks the token service in OAuth2's way: the one in the tests' dockerd, by its own command."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.accesslog import Asked, asked
from tests.builders import push, unique_name
from tests.engines import Engine
from tests.layouts import platforms, root_image
from tests.programs import Ran, run
from tests.servers import KEY_ID, SECRET, RunningServer
from tests.workers import both

pytestmark = pytest.mark.real("containerd")

Ctr = Callable[..., Ran]


@pytest.fixture
def ctr(engine: Engine) -> Ctr:
    """`ctr images`, in a namespace of the test's own."""
    program = ["ctr", "--address", str(engine.containerd), "--namespace", unique_name("test"), "images"]

    def call(verb: str, *arguments: str, password: str = SECRET, **how: Any) -> Ran:
        talks = ["--plain-http", "--user", f"{KEY_ID}:{password}"] if verb in ("pull", "push") else []
        return run(*program, verb, *talks, *arguments, **how)

    return call


def digest_of_name(ctr: Ctr, name: str) -> str:
    """The digest that containerd knows by this name."""
    [line] = [line.split() for line in ctr("list").out.splitlines() if line.startswith(f"{name} ")]
    return line[2]


@both
def test_an_index_is_pulled_and_pushed_on(server: RunningServer, repository: str, ctr: Ctr) -> None:
    amd, arm = root_image(), root_image("arm64")
    many = platforms(("amd64", amd), ("arm64", arm))
    for built in (amd, arm):
        push(server, repository, built)
    push(server, repository, many, "v1")
    other = unique_name()
    server.create(other)
    source, copy = f"{server.netloc}/{repository}:v1", f"{server.netloc}/{other}:v1"
    ctr("pull", "--all-platforms", source)
    ctr("tag", source, copy)
    ctr("push", copy)
    stored = server.request("GET", f"/v2/{other}/manifests/v1")

    assert digest_of_name(ctr, source) == many.digest
    assert stored.body == many.body
    assert all(
        server.request("GET", f"/v2/{other}/manifests/{built.digest}").body == built.body for built in (amd, arm)
    )


def test_layers_that_another_repository_has_are_mounted(server: RunningServer, repository: str, ctr: Ctr) -> None:
    built = root_image()
    push(server, repository, built, "v1")
    other = unique_name()
    server.create(other)
    ctr("pull", f"{server.netloc}/{repository}:v1")
    ctr("tag", f"{server.netloc}/{repository}:v1", f"{server.netloc}/{other}:v1")
    ctr("push", f"{server.netloc}/{other}:v1")
    changes = asked(server, other)

    assert changes.count(Asked("POST", "blobs/uploads/", 201)) == len(built.blobs)
    assert not [one for one in changes if one.brings_bytes]


def test_its_login_is_a_form(server: RunningServer, repository: str, ctr: Ctr) -> None:
    """If it were not answered, containerd would fall back to GET, and nobody would notice."""
    push(server, repository, root_image(), "v1")
    before = len(server.output)
    ctr("pull", f"{server.netloc}/{repository}:v1")
    asked(server, repository)
    lines = [json.loads(line) for line in server.output[before:] if line.startswith("{")]
    forms = [line["status"] for line in lines if (line.get("method"), line.get("path")) == ("POST", "/token")]

    assert forms == [200] * len(forms) != []


def test_a_wrong_password_is_refused(server: RunningServer, repository: str, ctr: Ctr) -> None:
    push(server, repository, root_image(), "v1")
    pull = ctr("pull", f"{server.netloc}/{repository}:v1", password="wrong", refused=True)

    assert "401 Unauthorized" in pull.said
    assert pull.seconds < 5


def test_a_missing_repository_is_refused_soon(server: RunningServer, repository: str, ctr: Ctr) -> None:
    built = root_image()
    push(server, repository, built, "v1")
    missing = f"{server.netloc}/{unique_name('missing')}:v1"
    ctr("pull", f"{server.netloc}/{repository}:v1")
    ctr("tag", f"{server.netloc}/{repository}:v1", missing)
    pushed = ctr("push", missing, refused=True)

    assert "unexpected status: 404 Not Found" in pushed.said  # it shows no server's words
    assert pushed.seconds < 5
