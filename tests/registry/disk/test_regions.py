"""Each region's bytes lie in a directory of their own."""

import json
import shutil

import pytest

from tests.api import upload_layer
from tests.builders import unique_bytes, unique_name

pytestmark = pytest.mark.real("boto3")


@pytest.fixture
def west(shared_server):
    with shared_server.client(region="eu-west-1") as client:
        yield client


def test_each_region_has_a_store_of_its_own(ecr, west, shared_server):
    name, layers = unique_name(), [unique_bytes(), unique_bytes()]
    for client, layer in ((ecr, layers[0]), (west, layers[1])):
        client.create_repository(repositoryName=name)
        upload_layer(client, name, layer)
    roots = {region: shared_server.data / "blobs" / region for region in ("us-east-1", "eu-west-1")}
    identities = {region: json.loads((root / "longshore-store.json").read_text()) for region, root in roots.items()}
    files = {region: [file.read_bytes() for file in root.glob("??/*")] for region, root in roots.items()}
    held = {region: [layer for layer in layers if layer in found] for region, found in files.items()}

    assert held == {"us-east-1": layers[:1], "eu-west-1": layers[1:]}
    assert {region: one["region"] for region, one in identities.items()} == {region: region for region in roots}
    assert len({one["storeId"] for one in identities.values()}) == 2


@pytest.mark.parametrize("harm", ["gone", "another-store"])
def test_a_region_whose_store_is_not_the_rows_refuses_to_start(start_server, harm):
    """Also a region that is not the default one: a first request would be too late to say so."""
    server = start_server()
    with server.client(region="eu-west-1") as client:
        client.create_repository(repositoryName="app")
        upload_layer(client, "app", unique_bytes())
    server.stop()
    root = server.data / "blobs" / "eu-west-1"
    aside = root.rename(root.with_name("aside"))
    if harm == "another-store":
        root.mkdir()
        (root / "longshore-store.json").write_text(json.dumps({"storeId": "0" * 32, "region": "eu-west-1"}))
    with pytest.raises(AssertionError, match=r"longshore: .*eu-west-1"):
        server.start()
    shutil.rmtree(root, ignore_errors=True)
    aside.rename(root)
    server.start()

    with server.client(region="eu-west-1") as client:
        assert client.describe_repositories()["repositories"]
