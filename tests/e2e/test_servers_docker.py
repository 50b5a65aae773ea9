"""docker pushes to two servers without anything of their own, each request to the next one, while either is killed.

LONGSHORE_TEST_DOCKER_KILLS: how often, counted where a push is under way.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from tests import elsewhere
from tests.engines import Docker, Image
from tests.servers import RunningServer

pytestmark = [pytest.mark.real("dockerd"), pytest.mark.real("postgresql"), pytest.mark.real("versitygw")]

KILLS = int(os.environ.get("LONGSHORE_TEST_DOCKER_KILLS", "2"))
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "1"))


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("docker-servers") / "data"
    elsewhere.choose(data, database="postgresql", store="s3", servers=2)
    found = RunningServer(data)
    found.start()
    found.create("pushed")
    yield found
    found.stop()


def test_a_push_that_docker_was_told_is_done_outlives_either_server(
    servers: RunningServer, docker: Docker, record_property: Callable[[str, object], None]
) -> None:
    rng, host = random.Random(SEED), urlsplit(servers.url).netloc
    docker.log_in(host)
    pushed = [docker.new_image(f"{host}/pushed:first", layers=4)]
    usual = docker("push", pushed[0].name).seconds
    docker.forget(pushed[0].name)
    in_flight = again = cycle = 0
    while in_flight < KILLS and cycle < 6 * KILLS:
        cycle += 1
        image = docker.new_image(f"{host}/pushed:v{cycle}", layers=4)
        victim = rng.choice([servers, *servers.others])
        timer = threading.Timer(rng.uniform(0, usual), victim.kill_alone)
        timer.start()
        is_done = pushes(docker, image)
        in_flight += not timer.is_alive()
        timer.join()
        if not is_done:
            again += 1
            assert pushes(docker, image), "the server that is left does not take what the other began"
        victim.start_alone()
        pushed.append(image)
        docker.forget(image.name)
        assert pulled(docker, image)
        docker.forget(image.name)
    record_property("docker", f"{cycle} kills, {in_flight} within a push, {again} pushes had to be sent again")

    assert [image.name for image in pushed if not pulled(docker, image)] == []
    assert in_flight == KILLS, "too few kills met a push"


def pushes(docker: Docker, image: Image) -> bool:
    """Whether docker says that it is done. It tries again by itself where a layer fails."""
    try:
        docker("push", image.name)
    except AssertionError:
        return False
    return True


def pulled(docker: Docker, image: Image) -> bool:
    """Whether a pull brings the very image."""
    docker("pull", image.name)
    return docker.id_of(image.name) == image.id
