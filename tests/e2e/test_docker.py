"""docker push and docker pull."""

import json

import pytest

from tests.accesslog import Asked, asked
from tests.builders import unique_name
from tests.conftest import Start
from tests.engines import Docker
from tests.servers import RunningServer
from tests.workers import both

pytestmark = pytest.mark.real("dockerd")

SOON = 5.0  # seconds; dockerd tries what it takes for a passing trouble six times, over a minute and more


@pytest.fixture
def home(server: RunningServer, repository: str, docker: Docker) -> str:
    """The repository as docker names it, for a user who is logged in."""
    docker.log_in(server.netloc)
    return f"{server.netloc}/{repository}"


# --- push and pull ----------------------------------------------------------------------------------------------------


@both
def test_what_was_pushed_is_pulled_by_tag_and_by_digest(home: str, docker: Docker) -> None:
    image = docker.new_image(f"{home}:v1")
    docker("push", image.name)
    docker.forget(image.name)
    by_tag = docker("pull", image.name)
    pulled = docker.id_of(image.name)
    [named] = docker("image", "inspect", "--format", '{{join .RepoDigests " "}}', image.name).out.split()
    docker.forget(image.name)
    docker("pull", named)

    assert by_tag.said.count("Pull complete") == image.layers
    assert pulled == docker.id_of(named) == image.id


def test_a_second_push_uploads_nothing(home: str, repository: str, server: RunningServer, docker: Docker) -> None:
    image = docker.new_image(f"{home}:v1")
    docker("push", image.name)
    first = asked(server, repository)
    docker("tag", image.name, f"{home}:v2")
    again = docker("push", f"{home}:v2")
    second = asked(server, repository)[len(first) :]

    assert sum(one.brings_bytes for one in first) >= image.layers + 1  # and the configuration
    assert again.said.count("Layer already exists") == image.layers
    assert not [one for one in second if one.brings_bytes]
    assert second[-1] == ("PUT", "manifests/v2", 201)


def test_layers_that_another_repository_has_are_mounted(home: str, server: RunningServer, docker: Docker) -> None:
    image = docker.new_image(f"{home}:v1")
    docker("push", image.name)
    other = unique_name()
    server.create(other)
    docker("tag", image.name, f"{server.netloc}/{other}:v1")
    said = docker("push", f"{server.netloc}/{other}:v1").said

    assert said.count("Mounted from") == image.layers
    assert asked(server, other).count(Asked("POST", "blobs/uploads/", 201)) == image.layers


def test_an_image_with_many_layers_survives_the_way(home: str, docker: Docker) -> None:
    image = docker.new_image(f"{home}:v1", layers=10)
    docker("push", image.name)
    docker.forget(image.name)
    docker("pull", image.name)

    assert docker.id_of(image.name) == image.id


def test_a_list_of_platforms_gives_each_its_own_image(home: str, docker: Docker) -> None:
    images = {one: docker.new_image(f"{home}:{one}") for one in ("amd64", "arm64")}
    for image in images.values():
        docker("push", image.name)
    docker("manifest", "create", "--insecure", f"{home}:all", *(image.name for image in images.values()))
    for platform, image in images.items():
        docker("manifest", "annotate", "--arch", platform, f"{home}:all", image.name)
    docker("manifest", "push", "--insecure", f"{home}:all")
    seen = json.loads(docker("manifest", "inspect", "--insecure", f"{home}:all").out)
    pulled = {}
    for platform in images:
        docker.forget(*(image.name for image in images.values()))
        docker("pull", "--platform", f"linux/{platform}", f"{home}:all")
        pulled[platform] = docker.id_of(f"{home}:all")
        docker.forget(f"{home}:all")

    assert sorted(child["platform"]["architecture"] for child in seen["manifests"]) == ["amd64", "arm64"]
    assert pulled == {platform: image.id for platform, image in images.items()}


def test_a_deleted_image_cannot_be_pulled(home: str, repository: str, server: RunningServer, docker: Docker) -> None:
    image = docker.new_image(f"{home}:v1")
    docker("push", image.name)
    docker.forget(image.name)
    with server.client() as ecr:
        ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    said = docker("pull", image.name, refused=True).said

    assert "manifest unknown: The image with imageId" in said
    assert f"'{repository}'" in said


def test_an_archived_image_cannot_be_pulled_until_it_is_pushed_again(
    home: str, repository: str, server: RunningServer, docker: Docker
) -> None:
    image = docker.new_image(f"{home}:v1")
    docker("push", image.name)
    docker("tag", image.name, f"{home}:kept")
    docker.forget(image.name)
    with server.client() as ecr:
        ecr.update_image_storage_class(
            repositoryName=repository, imageId={"imageTag": "v1"}, targetStorageClass="ARCHIVE"
        )
    said = docker("pull", image.name, refused=True).said
    docker("tag", f"{home}:kept", image.name)
    docker("push", image.name)
    docker.forget(image.name, f"{home}:kept")
    docker("pull", image.name)

    assert "is archived; restore it with UpdateImageStorageClass" in said
    assert docker.id_of(image.name) == image.id


def test_a_missing_repository_is_created_where_pushes_may(start_server: Start, docker: Docker) -> None:
    server = start_server("--create-on-push")
    docker.log_in(server.netloc)
    image = docker.new_image(f"{server.netloc}/team/new/app:v1")
    docker("push", image.name)
    docker.forget(image.name)
    docker("pull", image.name)

    assert docker.id_of(image.name) == image.id
    with server.client() as ecr:
        assert [found["repositoryName"] for found in ecr.describe_repositories()["repositories"]] == ["team/new/app"]


# --- refusals: docker shows why, and soon -----------------------------------------------------------------------------


def test_a_push_to_a_missing_repository_says_how_to_create_it(server: RunningServer, docker: Docker) -> None:
    docker.log_in(server.netloc)
    name = unique_name("missing")
    image = docker.new_image(f"{server.netloc}/{name}:v1")
    push = docker("push", image.name, refused=True)

    assert f"Create it first: aws ecr create-repository --repository-name {name}" in push.said
    assert push.seconds < SOON
    assert len(asked(server, name)) <= image.layers


def test_an_immutable_tag_stays(server: RunningServer, docker: Docker) -> None:
    name = unique_name()
    server.create(name, imageTagMutability="IMMUTABLE")
    docker.log_in(server.netloc)
    first = docker.new_image(f"{server.netloc}/{name}:v1")
    docker("push", first.name)
    docker.new_image(f"{server.netloc}/{name}:v1")
    push = docker("push", first.name, refused=True)
    docker.forget(first.name)
    docker("pull", first.name)

    assert "The image tag 'v1' already exists" in push.said
    assert "cannot be overwritten because the tag is immutable" in push.said
    assert push.seconds < SOON
    assert docker.id_of(first.name) == first.id


@pytest.mark.parametrize("user", [None, ("AKIATESTTESTTESTTEST", "wrong")], ids=["nobody", "wrong-password"])
@pytest.mark.parametrize("verb", ["push", "pull"])
def test_without_a_login_docker_ends_at_once(
    user: tuple[str, str] | None, verb: str, repository: str, server: RunningServer, docker: Docker
) -> None:
    """Docker may hold a login that was good once. A token for nobody opens no push, and so is not given for one."""
    image = docker.new_image(f"{server.netloc}/{repository}:v1", layers=1)
    if user is not None:
        docker.remember(server.netloc, *user)
    ended = docker(verb, image.name, refused=True)

    assert "unauthorized: " in ended.said
    assert ("log in" if user is None else "wrong user name or password") in ended.said
    assert ended.seconds < SOON
    assert len(asked(server, repository, agent="docker/")) < 10


def test_a_layer_that_is_too_large_is_sent_once(start_server: Start, docker: Docker) -> None:
    server = start_server(LONGSHORE_LIMITS__LAYER_BYTES="10000")
    server.create("app")
    docker.log_in(server.netloc)
    image = docker.new_image(f"{server.netloc}/app:v1", layers=1)
    push = docker("push", image.name, refused=True)

    assert "a layer may have at most 10000 bytes" in push.said
    assert push.seconds < SOON
    assert [one.status for one in asked(server, "app") if one.brings_bytes] == [413]


def test_a_pull_of_what_is_not_there_says_so(home: str, server: RunningServer, docker: Docker) -> None:
    tag = docker("pull", f"{home}:none", refused=True)
    repository = docker("pull", f"{server.netloc}/{unique_name('missing')}:v1", refused=True)

    assert "manifest unknown: The image with imageId" in tag.said
    assert "name unknown: The repository with name" in repository.said
    assert max(tag.seconds, repository.seconds) < SOON
