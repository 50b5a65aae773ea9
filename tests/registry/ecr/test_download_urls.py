"""GetDownloadUrlForLayer: a URL that opens one layer for an hour, and nothing else (T32)."""

import dataclasses
import datetime as dt
import http.client
from urllib.parse import urlsplit

import pytest

from longshore import config, wiring
from registry import downloads, repositories
from registry.context import SystemClock
from registry.names import AccountId, Digest, Region, RegistryRef, RepositoryName
from tests.api import push_image, refusal, upload_layer
from tests.builders import Built, digest_of, image, unique_bytes, unique_name
from tests.places import database_of
from tests.servers import ACCOUNT, REGION

pytestmark = pytest.mark.real("boto3")

OPENED = 200


def fetch(url: str, method: str = "GET") -> tuple[int, bytes]:
    """By plain HTTP, without any credential."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(method, f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def built(ecr, repository) -> Built:
    made = image(layers=[unique_bytes(1000), unique_bytes(50)])
    push_image(ecr, repository, made, "v1")
    return made


@pytest.fixture
def url(ecr, repository, built) -> str:
    """For the image's first layer."""
    digest = digest_of(built.blobs[1])
    return ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest)["downloadUrl"]


def test_the_url_gets_the_layer_by_plain_http(ecr, repository, built, shared_server, url):
    answer = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest_of(built.blobs[1]))

    assert answer["layerDigest"] == digest_of(built.blobs[1])
    assert fetch(answer["downloadUrl"]) == (OPENED, built.blobs[1])
    assert fetch(url) == (OPENED, built.blobs[1])
    assert url.startswith(shared_server.url + "/")


def test_a_config_has_a_url_too(ecr, repository, built):
    digest = digest_of(built.blobs[0])
    url = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest)["downloadUrl"]

    assert fetch(url) == (OPENED, built.blobs[0])


def test_without_the_grant_the_layer_is_closed(url):
    assert fetch(url.partition("?")[0])[0] == 401


def test_another_layer_repository_or_method_is_not_opened(ecr, shared_server, repository, built, url):
    other = unique_name()
    shared_server.create(other)
    push_image(ecr, other, built, "v1")
    attempts = {
        "another layer": fetch(url.replace(digest_of(built.blobs[1]), digest_of(built.blobs[2]))),
        "another repository": fetch(url.replace(repository, other)),
        "HEAD": fetch(url, "HEAD"),
        "DELETE": fetch(url, "DELETE"),
        "PUT": fetch(url, "PUT"),
        "a manifest": fetch(url.replace("/blobs/", "/manifests/").replace(digest_of(built.blobs[1]), built.digest)),
        "the tags": fetch(url.replace(f"blobs/{digest_of(built.blobs[1])}", "tags/list")),
    }

    assert {what: status for what, (status, _) in attempts.items() if status not in (401, 403, 405)} == {}


@pytest.mark.parametrize("more", ["&x=1", "&X-Longshore-Grant=x", "&digest=sha256:0"], ids=["x", "twice", "digest"])
def test_further_parameters_close_it(url, more):
    assert fetch(url + more)[0] == 403


def test_no_byte_of_the_grant_may_change(url):
    """T14, T32."""
    base, _, grant = url.rpartition("=")
    for position in range(len(grant)):
        flipped = "A" if grant[position] != "A" else "B"
        status, _ = fetch(f"{base}={grant[:position]}{flipped}{grant[position + 1 :]}")

        assert status == 403, position
    for cut in ("", grant[:-1], grant + "A", "%00", grant + "="):
        assert fetch(f"{base}={cut}")[0] == 403


@pytest.mark.parametrize(("age", "status"), [(3599, OPENED), (3601, 403)], ids=["before-its-end", "after-its-end"])
async def test_it_ends_after_an_hour(shared_server, repository, built, age, status):
    """The same parts as the server's, with a clock that is behind."""

    class Behind(SystemClock):
        def now(self) -> dt.datetime:
            return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age)

    loaded = config.load(data=shared_server.data, file=None, env=shared_server.environment, flags={})
    deps = dataclasses.replace(wiring.build(loaded, shared_server.url), clock=Behind())
    try:
        registry = RegistryRef(AccountId(ACCOUNT), Region(REGION))
        found = await repositories.get(deps, registry, RepositoryName(repository))
        url = downloads.url(deps, found, Digest(digest_of(built.blobs[1])))
    finally:
        database_of(deps).close()

    assert fetch(url)[0] == status


def test_it_ends_with_the_image(ecr, repository, url):
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "v1"}])

    assert fetch(url)[0] in (403, 404)


def test_it_ends_with_the_repository_and_does_not_come_back(ecr, repository, built, url):
    ecr.delete_repository(repositoryName=repository, force=True)
    gone = fetch(url)[0]
    ecr.create_repository(repositoryName=repository)
    push_image(ecr, repository, built, "v1")

    assert gone in (403, 404)
    assert fetch(url)[0] == 403


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_layer_of_no_image_is_inaccessible(ecr, repository):
    data = unique_bytes()
    upload_layer(ecr, repository, data)
    told = refusal(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=digest_of(data))

    assert (told.code, told.status) == ("LayerInaccessibleException", 400)
    assert digest_of(data) in told.message


def test_a_layer_that_is_not_there_is_told(ecr, repository):
    digest = digest_of(unique_bytes())
    told = refusal(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=digest)

    assert (told.code, told.status) == ("LayersNotFoundException", 400)
    assert digest in told.message


@pytest.mark.parametrize("digest", ["", "v1", "sha256:../../x", "sha256:abc", "md5:" + "0" * 32])
def test_what_is_no_digest_is_refused(ecr, repository, digest):
    told = refusal(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=digest)

    assert (told.code, told.status) == ("InvalidParameterException", 400)
