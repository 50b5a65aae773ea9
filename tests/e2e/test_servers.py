"""Two servers without anything of their own, behind a load balancer that sends each request to the next: rows in
PostgreSQL, bytes in a bucket. No client can tell."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import elsewhere
from tests.api import push_image, send_part
from tests.builders import digest_of, image, index, push, push_blob, put_manifest, unique_bytes, unique_name
from tests.servers import RunningServer, basic

pytestmark = [pytest.mark.real("postgresql"), pytest.mark.real("versitygw")]

KIB, MIB = 1024, 1024 * 1024


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("servers") / "data"
    elsewhere.choose(data, database="postgresql", store="s3", servers=2)
    found = RunningServer(data)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def repository(servers: RunningServer) -> str:
    name = unique_name()
    servers.create(name)
    return name


@pytest.fixture
def ecr(servers: RunningServer) -> Iterator[Any]:
    with servers.client() as client:
        yield client


def test_an_upload_goes_from_server_to_server(servers, repository):
    """Each PATCH reaches another one, and so does the last PUT."""
    data = unique_bytes(17 * MIB)
    answer = servers.request("POST", f"/v2/{repository}/blobs/uploads/")
    at = 0
    for end in (1, 100 * KIB, 6 * MIB, 6 * MIB + 5, len(data)):
        location = urlsplit(answer.headers["Location"])._replace(scheme="", netloc="").geturl()
        answer = servers.request(
            "PATCH", location, data[at:end], {"Content-Range": f"{at}-{end - 1}", "Content-Type": "x/y"}
        )
        at = end

        assert (answer.status, answer.headers["Range"]) == (202, f"0-{end - 1}")
    location = urlsplit(answer.headers["Location"])._replace(scheme="", netloc="").geturl()
    done = servers.request("PUT", f"{location}?digest={digest_of(data)}")

    assert done.status == 201, done.body
    for _ in range(2):
        found = servers.request("HEAD", f"/v2/{repository}/blobs/{digest_of(data)}")
        assert (found.status, found.headers["Content-Length"]) == (200, str(len(data)))


def test_layers_by_the_api_go_from_server_to_server(servers, ecr, repository):
    data = unique_bytes(12 * MIB)
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    for first in range(0, len(data), 5 * MIB):
        send_part(ecr, repository, upload, data[first : first + 5 * MIB], first)
    done = ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest_of(data)])
    state = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest_of(data)])

    assert done["layerDigest"] == digest_of(data)
    assert state["layers"][0]["layerAvailability"] == "AVAILABLE"


def test_both_doors_of_both_servers_show_one_registry(servers, ecr, repository):
    first, second = image(), image()
    push(servers, repository, first, "v1")
    push_image(ecr, repository, second, "v2")
    both = index(first, second)
    put_manifest(servers, repository, both, "latest")

    for _ in range(2):  # once by each
        assert servers.request("GET", f"/v2/{repository}/tags/list").json["tags"] == ["latest", "v1", "v2"]
        assert servers.request("GET", f"/v2/{repository}/manifests/latest").body == both.body
        images = ecr.describe_images(repositoryName=repository)["imageDetails"]
        assert {one["imageDigest"] for one in images} == {first.digest, second.digest, both.digest}


def test_a_token_of_one_is_accepted_by_all(servers, ecr, repository):
    push(servers, repository, image(), "v1")
    told = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    given = servers.request("GET", "/token?service=longshore", auth=f"Basic {told}").json["token"]

    for auth in (f"Basic {told}", f"Bearer {given}"):
        statuses = [servers.request("GET", f"/v2/{repository}/manifests/v1", auth=auth).status for _ in range(4)]
        assert statuses == [200] * 4


def test_what_one_changes_holds_at_the_other_with_the_next_request(servers, ecr, repository):
    """Tags, rights and immutability: nothing that a server keeps outlives a change that another one answered."""
    first, second = image(), image()
    push(servers, repository, first, "v1")
    for blob in second.blobs:
        push_blob(servers, repository, blob)
    for turn in range(10):
        wanted = (first, second)[turn % 2]
        for _ in range(3):
            servers.request("GET", f"/v2/{repository}/manifests/v1")  # so that the reply is kept
        put_manifest(servers, repository, wanted, "v1")
        for _ in range(2):
            assert servers.request("GET", f"/v2/{repository}/manifests/v1").body == wanted.body
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")

    refused = [put_manifest(servers, repository, first, "v1") for _ in range(2)]
    assert [(answer.status, answer.code) for answer in refused] == [(400, "DENIED")] * 2


def test_a_key_that_was_taken_away_opens_no_server(servers, repository):
    push(servers, repository, image(), "v1")
    with servers.client("iam") as iam:
        name = unique_name("ann")
        iam.create_user(UserName=name)
        allowed = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allowed)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        auth = basic(key["AccessKeyId"], key["SecretAccessKey"])
        path = f"/v2/{repository}/manifests/v1"
        before = [servers.request("GET", path, auth=auth).status for _ in range(4)]
        iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
        after = [servers.request("GET", path, auth=auth).status for _ in range(4)]

    assert before == [200] * 4
    assert after == [401] * 4


def test_one_server_is_enough(servers, repository):
    """The balancer passes over one that takes no connections: what the other acknowledged, it has."""
    built = image()
    push(servers, repository, built, "v1")
    servers.others[0].kill()
    push(servers, repository, image(), "v2")
    alone = servers.request("GET", f"/v2/{repository}/tags/list").json["tags"]
    servers.others[0].start()
    again = [servers.request("GET", f"/v2/{repository}/tags/list").json["tags"] for _ in range(2)]

    assert alone == ["v1", "v2"]
    assert again == [["v1", "v2"]] * 2
