"""Bytes and images of one account and another account's questions (T46): a digest that is stored opens nothing."""

import pytest

from tests.builders import image, push, put_manifest, unique_name
from tests.iam import Keys, client, make_account
from tests.servers import Answer, RunningServer, basic

pytestmark = pytest.mark.real("boto3")


class Neighbour:
    """Another account's root user, who may do all there, asking at that account's own host name."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.account, self.keys = make_account(server)
        self.host = f"{self.account}.dkr.ecr.us-east-1.localhost:{server.netloc.rpartition(':')[2]}"

    def create(self, name: str) -> None:
        with client(self.server, "ecr", self.keys) as ecr:
            ecr.create_repository(repositoryName=name)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        given = {"Host": self.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.server.request(method, path, body, given, auth=basic(*_pair(self.keys)))


def _pair(keys: Keys) -> tuple[str, str]:
    return keys.access_key_id, keys.secret


@pytest.fixture
def neighbour(shared_server: RunningServer) -> Neighbour:
    return Neighbour(shared_server)


def test_a_digest_that_another_account_has_is_not_there(shared_server: RunningServer, neighbour: Neighbour) -> None:
    name, built = unique_name(), image()
    shared_server.create(name)
    neighbour.create(name)
    push(shared_server, name, built, "1")
    layer = built.document["layers"][0]["digest"]
    asked = [
        neighbour.ask(method, f"/v2/{name}/{path}").status
        for method in ("GET", "HEAD")
        for path in (f"blobs/{layer}", f"manifests/{built.digest}", "manifests/1")
    ]

    assert asked == [404] * 6
    assert shared_server.request("GET", f"/v2/{name}/blobs/{layer}").status == 200


def test_neither_a_mount_nor_a_manifest_brings_it_over(shared_server: RunningServer, neighbour: Neighbour) -> None:
    name, built = unique_name(), image()
    shared_server.create(name)
    neighbour.create(name)
    push(shared_server, name, built, "1")
    layer = built.document["layers"][0]["digest"]
    mounted = neighbour.ask("POST", f"/v2/{name}/blobs/uploads/?mount={layer}&from={name}")
    anywhere = neighbour.ask("POST", f"/v2/{name}/blobs/uploads/?mount={layer}")
    put = neighbour.ask("PUT", f"/v2/{name}/manifests/1", built.body, Content_Type=built.media_type)

    assert (mounted.status, anywhere.status) == (202, 202)  # an upload, as for bytes that nobody has
    assert put.status in (400, 404)
    assert put.code in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN")
    assert put_manifest(shared_server, name, built, "2").status == 201
