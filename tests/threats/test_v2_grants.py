"""promises.md T32: a layer URL of the API opens its layer, in its repository, by GET, for its time; and no more."""

import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.builders import digest_of, image, push, push_blob, unique_bytes, unique_name
from tests.forgery import altered, deps_of, sealer_of
from tests.places import database_of
from tests.servers import Answer, RunningServer

PARAMETER = "X-Longshore-Grant"


@pytest.fixture
def pushed(shared_server: RunningServer, repository: str) -> tuple[str, bytes]:
    """The digest of an image, and its layer."""
    built = image()
    push(shared_server, repository, built, "v1")
    return built.digest, built.blobs[1]


@pytest.fixture
def url(shared_server: RunningServer, repository: str, pushed: tuple[str, bytes], ecr: Any) -> str:
    """Path and query of the layer's URL."""
    found = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest_of(pushed[1]))["downloadUrl"]
    parts = urlsplit(found)
    assert parts.netloc == shared_server.netloc
    return f"{parts.path}?{parts.query}"


def anonymous(server: RunningServer, method: str, url: str, **headers: str) -> Answer:
    return server.request(method, url, headers=headers, auth=None)


def grant_for(server: RunningServer, repository: str, digest: str, exp: float) -> str:
    """A grant as the server would seal it, with any end."""
    with deps_of(server) as deps:
        ids = database_of(deps).read_here(
            lambda tx: tx.exec_driver_sql("SELECT id FROM repositories WHERE name = ?", (repository,)).scalar_one()
        )
    return sealer_of(server).seal("layer-url", json.dumps([ids, digest, int(exp)]).encode())


def test_T32_the_url_opens_its_layer_without_a_login(
    shared_server: RunningServer, url: str, pushed: tuple[str, bytes]
) -> None:
    answer = anonymous(shared_server, "GET", url)
    part = anonymous(shared_server, "GET", url, Range="bytes=1-3")

    assert (answer.status, answer.body) == (200, pushed[1])
    assert (part.status, part.body) == (206, pushed[1][1:4])


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PUT", "POST", "PATCH"])
def test_T32_the_url_opens_for_no_other_method(shared_server: RunningServer, url: str, method: str) -> None:
    assert anonymous(shared_server, method, url).status in (401, 405)
    assert anonymous(shared_server, "GET", url).status == 200


def test_T32_the_url_opens_no_other_layer(shared_server: RunningServer, repository: str, url: str) -> None:
    other = image()
    push(shared_server, repository, other)
    query = url.partition("?")[2]

    answer = anonymous(shared_server, "GET", f"/v2/{repository}/blobs/{digest_of(other.blobs[1])}?{query}")

    assert (answer.status, answer.code) == (403, "DENIED")


@pytest.mark.parametrize("target", ["manifests/v1", "tags/list", "blobs/uploads/", "referrers/sha256:" + "0" * 64])
def test_T32_the_url_opens_no_other_kind_of_thing(
    shared_server: RunningServer, repository: str, url: str, target: str
) -> None:
    query = url.partition("?")[2]

    for method in ("GET", "POST"):
        assert anonymous(shared_server, method, f"/v2/{repository}/{target}?{query}").status in (401, 405)


def test_T32_the_url_opens_the_layer_in_no_other_repository(
    shared_server: RunningServer, repository: str, url: str, ecr: Any
) -> None:
    other = unique_name()
    ecr.create_repository(repositoryName=other)
    built = image(layers=[anonymous(shared_server, "GET", url).body])
    push(shared_server, other, built)

    answer = anonymous(shared_server, "GET", url.replace(repository, other))

    assert (answer.status, answer.code) == (403, "DENIED")


@pytest.mark.parametrize("more", ["&a=b", "&X-Longshore-Grant=", "&Range=bytes%3D0-1", "&ns=docker.io"])
def test_T32_the_url_opens_with_nothing_added(shared_server: RunningServer, url: str, more: str) -> None:
    assert anonymous(shared_server, "GET", url + more).status == 403


def test_T32_no_character_of_the_grant_may_change(shared_server: RunningServer, url: str) -> None:
    path, _, grant = url.partition("=")
    statuses = {anonymous(shared_server, "GET", f"{path}={text}").status for text in altered(grant)}

    assert statuses == {403}


def test_T32_the_url_ends_with_its_hour(
    shared_server: RunningServer, repository: str, pushed: tuple[str, bytes]
) -> None:
    digest = digest_of(pushed[1])
    path = f"/v2/{repository}/blobs/{digest}?{PARAMETER}="
    at = time.time()

    open_ = anonymous(shared_server, "GET", path + grant_for(shared_server, repository, digest, at + 60))
    over = anonymous(shared_server, "GET", path + grant_for(shared_server, repository, digest, at - 1))

    assert (open_.status, over.status) == (200, 403)


def test_T32_the_api_grants_at_most_an_hour(shared_server: RunningServer, url: str) -> None:
    _, _, ends = json.loads(sealer_of(shared_server).open("layer-url", url.partition("=")[2]))

    assert time.time() < ends <= time.time() + 3600


def test_T32_the_url_opens_nothing_when_the_image_is_deleted(
    shared_server: RunningServer, repository: str, url: str, pushed: tuple[str, bytes]
) -> None:
    assert shared_server.request("DELETE", f"/v2/{repository}/manifests/{pushed[0]}").status == 202
    with_the_layer = anonymous(shared_server, "GET", url)
    shared_server.request("DELETE", f"/v2/{repository}/blobs/{digest_of(pushed[1])}")
    without_it = anonymous(shared_server, "GET", url)

    assert (with_the_layer.status, without_it.status) == (403, 403)


def test_T32_the_url_opens_nothing_of_a_repository_that_was_made_again(
    shared_server: RunningServer, repository: str, url: str, ecr: Any
) -> None:
    layer = anonymous(shared_server, "GET", url).body
    ecr.delete_repository(repositoryName=repository, force=True)
    gone = anonymous(shared_server, "GET", url)
    ecr.create_repository(repositoryName=repository)
    push(shared_server, repository, image(layers=[layer]))

    assert (gone.status, anonymous(shared_server, "GET", url).status) == (403, 403)


def test_T32_a_token_of_another_purpose_is_no_grant(
    shared_server: RunningServer, repository: str, pushed: tuple[str, bytes]
) -> None:
    token = shared_server.request("GET", "/token").json["token"]
    upload = shared_server.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"].rpartition(".")[2]

    for text in (token, upload, "", "A" * 7000):
        path = f"/v2/{repository}/blobs/{digest_of(pushed[1])}?{PARAMETER}={text}"
        assert anonymous(shared_server, "GET", path).status == 403


def test_T32_without_a_grant_a_repository_and_none_look_alike(shared_server: RunningServer, repository: str) -> None:
    """No login is asked for here, so the answer must not say which names exist."""
    digest = push_blob(shared_server, repository, unique_bytes())
    absent = unique_name()
    there, nowhere = (
        anonymous(shared_server, "GET", f"/v2/{name}/blobs/{digest}?{PARAMETER}=AAAA") for name in (repository, absent)
    )

    assert (there.status, nowhere.status) == (403, 403)
    assert there.body.replace(repository.encode(), b"-") == nowhere.body.replace(absent.encode(), b"-")
