"""A docker push that does not fit: refused at once, with a message that a person can use; one that fits gets in."""

import time

import pytest

from tests.commands import longshore
from tests.engines import Docker
from tests.servers import RunningServer

SOON = 10.0  # seconds; dockerd tries what it takes for a passing trouble six times, over a minute and more


def allow(server: RunningServer, repository: str, size: str, images: str) -> None:
    options = ("--bytes", size, "--images", images, "--data", server.data)
    assert longshore("quota", "set", repository, *options, **server.environment).code == 0


@pytest.mark.real("dockerd")
def test_docker_says_why_and_does_not_try_again(server: RunningServer, repository: str, docker: Docker) -> None:
    docker.log_in(server.netloc)
    image = docker.new_image(f"{server.netloc}/{repository}:v1")  # a shell of a megabyte, and layers of 50 kB
    allow(server, repository, "300kB", "unlimited")
    before = time.monotonic()
    refused = docker("push", image.name, refused=True).said
    took = time.monotonic() - before
    allow(server, repository, "20MB", "1")
    docker("push", image.name)
    another = docker.new_image(f"{server.netloc}/{repository}:v2")
    too_many = docker("push", another.name, refused=True).said

    assert "denied: " in refused.lower()
    assert f"The repository with name '{repository}'" in refused
    assert "may hold 300,000 bytes and holds 0: at least" in refused
    assert "Delete images, or ask the operator for a larger quota" in refused
    assert "Retrying" not in refused
    assert took < SOON
    assert "may hold 1 images and holds 1: 1 more does not fit" in too_many
