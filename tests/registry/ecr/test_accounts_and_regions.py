"""One process, many registries: account and region are in the key of everything."""

import concurrent.futures
import http.client
from urllib.parse import urlsplit

import pytest

from tests.api import push_image, refusal, upload_layer
from tests.builders import digest_of, image, unique_bytes, unique_name
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")

OTHER_ACCOUNT = "999999999999"


def host_of(server, region: str, *, account: str = ACCOUNT, form: str = "dkr.ecr", domain: str = "localhost") -> dict:
    """The header that names a registry."""
    return {"Host": f"{account}.{form}.{region}.{domain}:{urlsplit(server.url).port}"}


@pytest.fixture
def west(shared_server):
    with shared_server.client(region="eu-west-1") as client:
        yield client


# --- regions ----------------------------------------------------------------------------------------------------------


def test_repositories_of_one_name_in_two_regions_are_two(ecr, west, shared_server):
    name = unique_name()
    here, there = image(), image()
    for client, built in ((ecr, here), (west, there)):
        client.create_repository(repositoryName=name)
        push_image(client, name, built, "v1")
    default = shared_server.request("GET", f"/v2/{name}/manifests/v1")
    other = shared_server.request("GET", f"/v2/{name}/manifests/v1", headers=host_of(shared_server, "eu-west-1"))
    west.delete_repository(repositoryName=name, force=True)

    assert (default.body, other.body) == (here.body, there.body)
    assert refusal(west.list_images, repositoryName=name).code == "RepositoryNotFoundException"
    assert len(ecr.list_images(repositoryName=name)["imageIds"]) == 1


def test_a_layer_of_one_region_is_not_in_another(ecr, west, shared_server):
    name, data = unique_name(), unique_bytes()
    for client in (ecr, west):
        client.create_repository(repositoryName=name)
    upload_layer(ecr, name, data)
    found = west.batch_check_layer_availability(repositoryName=name, layerDigests=[digest_of(data)])["layers"]
    mounted = shared_server.request(
        "POST", f"/v2/{name}/blobs/uploads/?mount={digest_of(data)}", headers=host_of(shared_server, "eu-west-1")
    )

    assert found[0]["layerAvailability"] == "UNAVAILABLE"
    assert mounted.status == 202


def test_an_upload_of_one_region_is_unknown_in_another(ecr, west):
    name = unique_name()
    for client in (ecr, west):
        client.create_repository(repositoryName=name)
    upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    told = refusal(
        west.upload_layer_part,
        repositoryName=name,
        uploadId=upload,
        partFirstByte=0,
        partLastByte=0,
        layerPartBlob=b"x",
    )

    assert told.code == "UploadNotFoundException"


@pytest.mark.parametrize(
    ("region", "partition"),
    [("ap-southeast-7", "aws"), ("xx-nowhere-42", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_a_region_that_nobody_listed_works(shared_server, region, partition):
    name, built = unique_name(), image()
    with shared_server.client(region=region) as client:
        made = client.create_repository(repositoryName=name)["repository"]
        push_image(client, name, built, "v1")
        tags = client.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
    pulled = shared_server.request("GET", f"/v2/{name}/manifests/v1", headers=host_of(shared_server, region))

    assert made["repositoryArn"] == f"arn:{partition}:ecr:{region}:{ACCOUNT}:repository/{name}"
    assert tags == []
    assert pulled.body == built.body


def test_a_layers_url_names_its_region(west, shared_server):
    name, built = unique_name(), image()
    west.create_repository(repositoryName=name)
    push_image(west, name, built, "v1")
    digest = digest_of(built.blobs[1])
    url = urlsplit(west.get_download_url_for_layer(repositoryName=name, layerDigest=digest)["downloadUrl"])
    # The name need not resolve on this machine: what it names is on loopback.
    connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=30)
    connection.request("GET", f"{url.path}?{url.query}", headers={"Host": url.netloc})
    answer = connection.getresponse()
    got = (answer.status, answer.read())
    connection.close()

    assert url.netloc == host_of(shared_server, "eu-west-1")["Host"]
    assert got == (200, built.blobs[1])


def test_workers_that_meet_a_new_region_at_once_share_its_store(start_server):
    server = start_server("--workers", "2")
    name, layers = "app", [unique_bytes() for _ in range(12)]
    with server.client(region="sa-east-1") as client:
        client.create_repository(repositoryName=name)

    def send(data: bytes) -> int:
        path = f"/v2/{name}/blobs/uploads/?digest={digest_of(data)}"
        return server.request("POST", path, data, host_of(server, "sa-east-1")).status

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(send, layers))
    # Each request may meet either worker, and both must know all bytes.
    reads = [
        server.request("GET", f"/v2/{name}/blobs/{digest_of(data)}", headers=host_of(server, "sa-east-1")).body == data
        for data in layers
        for _ in range(3)
    ]

    assert statuses == [201] * len(layers)
    assert all(reads)


# --- hosts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dkr.ecr", "dkr-ecr", "dkr.ecr-fips", "DKR.ECR"])
def test_every_form_of_a_registrys_host_is_understood(west, shared_server, form):
    name, built = unique_name(), image()
    west.create_repository(repositoryName=name)
    push_image(west, name, built, "v1")
    headers = host_of(shared_server, "eu-west-1", form=form)

    assert shared_server.request("GET", f"/v2/{name}/manifests/v1", headers=headers).body == built.body


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "registry.example.com",
        "evil.example",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.evil.example",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.localhost.evil.example",
        f"{ACCOUNT}.dkr.ecr.not_a_region.localhost",
        "12345.dkr.ecr.eu-west-1.localhost",
        f"x{ACCOUNT}.dkr.ecr.eu-west-1.localhost",
    ],
)
def test_any_other_host_means_the_default_registry(ecr, shared_server, repository, host):
    built = image()
    push_image(ecr, repository, built, "v1")

    assert shared_server.request("GET", f"/v2/{repository}/manifests/v1", headers={"Host": host}).body == built.body


def test_the_default_registry_is_known_by_its_long_name_too(ecr, shared_server, repository):
    built = image()
    push_image(ecr, repository, built, "v1")
    answer = shared_server.request("GET", f"/v2/{repository}/manifests/v1", headers=host_of(shared_server, "us-east-1"))

    assert answer.body == built.body


@pytest.mark.parametrize(
    ("settings", "default_uri", "other_uri"),
    [
        ({}, "127.0.0.1:{port}/app", f"{ACCOUNT}.dkr.ecr.eu-west-1.localhost:{{port}}/app"),
        (
            {"LONGSHORE_REGISTRY__DOMAIN": "registry.example.com"},
            f"{ACCOUNT}.dkr.ecr.us-east-1.registry.example.com:{{port}}/app",
            f"{ACCOUNT}.dkr.ecr.eu-west-1.registry.example.com:{{port}}/app",
        ),
        (
            {"LONGSHORE_REGISTRY__PUBLIC_URL": "https://registry.example.com"},
            "registry.example.com/app",
            f"{ACCOUNT}.dkr.ecr.eu-west-1.localhost/app",
        ),
        (
            {
                "LONGSHORE_REGISTRY__PUBLIC_URL": "https://registry.example.com:8443",
                "LONGSHORE_REGISTRY__DOMAIN": "example.com",
            },
            f"{ACCOUNT}.dkr.ecr.us-east-1.example.com:8443/app",
            f"{ACCOUNT}.dkr.ecr.eu-west-1.example.com:8443/app",
        ),
    ],
    ids=["plain", "domain", "public-url", "both"],
)
def test_uris_are_as_the_operator_names_the_registry(start_server, settings, default_uri, other_uri):
    server = start_server(**settings)
    port = urlsplit(server.url).port
    scheme = "https" if "LONGSHORE_REGISTRY__PUBLIC_URL" in settings else "http"
    with server.client() as here, server.client(region="eu-west-1") as there:
        for client, uri in ((here, default_uri), (there, other_uri)):
            made = client.create_repository(repositoryName="app")["repository"]
            endpoint = client.get_authorization_token()["authorizationData"][0]["proxyEndpoint"]

            assert made["repositoryUri"] == uri.format(port=port)
            assert endpoint == f"{scheme}://{made['repositoryUri'].removesuffix('/app')}"


def test_a_configured_domain_is_understood_beside_localhost(start_server):
    server = start_server(LONGSHORE_REGISTRY__DOMAIN="registry.example.com")
    with server.client(region="eu-west-1") as client:
        client.create_repository(repositoryName="app")
    answers = [
        server.request("GET", "/v2/app/tags/list", headers=host_of(server, "eu-west-1", domain=domain)).status
        for domain in ("registry.example.com", "localhost", "example.com")
    ]

    assert answers == [200, 200, 404]


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_another_account_and_region_may_be_the_default(start_server):
    server = start_server(LONGSHORE_REGISTRY__ACCOUNT="123456789012", LONGSHORE_REGISTRY__REGION="eu-west-1")
    with server.client(region="eu-west-1") as client:
        made = client.create_repository(repositoryName="app")["repository"]

    assert made["registryId"] == "123456789012"
    assert made["repositoryArn"] == "arn:aws:ecr:eu-west-1:123456789012:repository/app"
    assert made["repositoryUri"] == f"{server.netloc}/app"
    assert server.request("GET", "/v2/app/tags/list").status == 200


@pytest.mark.parametrize("exists", [True, False], ids=["of-a-known-name", "of-an-unknown-name"])
def test_another_accounts_registry_is_closed_at_v2(shared_server, repository, exists):
    """The same answer whether or not something is there (T12)."""
    name = repository if exists else "nobody/made-this"
    headers = host_of(shared_server, "us-east-1", account=OTHER_ACCOUNT)
    answers = [
        shared_server.request("GET", f"/v2/{name}/tags/list", headers=headers),
        shared_server.request("POST", f"/v2/{name}/blobs/uploads/", headers=headers),
        shared_server.request("GET", f"/v2/{name}/manifests/v1", headers=headers),
    ]

    assert [(answer.status, answer.code) for answer in answers] == [(403, "DENIED")] * 3
    assert f":{OTHER_ACCOUNT}:repository/{name}" in answers[0].json["errors"][0]["message"]


def test_the_catalog_of_another_account_is_closed(shared_server):
    headers = host_of(shared_server, "us-east-1", account=OTHER_ACCOUNT)

    assert shared_server.request("GET", "/v2/_catalog", headers=headers).status == 403
