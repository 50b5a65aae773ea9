"""OpenID Connect providers through boto3."""

import pytest

from tests.builders import unique_name
from tests.iam import refused
from tests.servers import ACCOUNT

pytestmark = pytest.mark.real("boto3")
PRINT = "0" * 39 + "A"


@pytest.fixture
def provider(iam):
    url = f"https://{unique_name('issuer')}.example.com/realms/a"
    return iam.create_open_id_connect_provider(Url=url, ClientIDList=["registry"])["OpenIDConnectProviderArn"]


def test_a_provider_reads_back_as_it_was_made(iam):
    host = f"{unique_name('issuer')}.example.com:8443/realms/a"
    arn = iam.create_open_id_connect_provider(
        Url=f"https://{host}", ClientIDList=["a", "b"], ThumbprintList=[PRINT], Tags=[{"Key": "k", "Value": "v"}]
    )["OpenIDConnectProviderArn"]
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)

    assert arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"
    assert (found["Url"], found["ClientIDList"], found["ThumbprintList"]) == (host, ["a", "b"], [PRINT.lower()])
    assert found["Tags"] == [{"Key": "k", "Value": "v"}]
    assert {"Arn": arn} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]


def test_a_url_is_registered_once(iam, provider):
    url = "https://" + provider.partition("oidc-provider/")[2]

    assert refused(iam.create_open_id_connect_provider, Url=url) == (
        "EntityAlreadyExists",
        409,
        f"Provider with url {url} already exists.",
    )


@pytest.mark.parametrize(
    "url",
    ["http://a.example.com", "a.example.com", "https://", "https:///x", "https://a.example.com?x=1",
     "https://u@a.example.com", "https://a.example.com#f", "https://a.example.com:99999", "https://a b.example.com",
     "https://a.example.com\n", "https://[::1"],
)  # fmt: skip
def test_an_issuer_has_an_https_url(iam, url):
    assert refused(iam.create_open_id_connect_provider, Url=url) == (
        "InvalidInput",
        400,
        "Invalid Open ID Connect Provider URL",
    )


def test_client_ids_and_thumbprints_can_be_changed(iam, provider):
    arn = {"OpenIDConnectProviderArn": provider}
    for one in ("more", "more", "registry"):
        iam.add_client_id_to_open_id_connect_provider(ClientID=one, **arn)
    iam.update_open_id_connect_provider_thumbprint(ThumbprintList=["f" * 40], **arn)

    found = iam.get_open_id_connect_provider(**arn)
    assert (found["ClientIDList"], found["ThumbprintList"]) == (["registry", "more"], ["f" * 40])
    for one in ("registry", "nothing"):
        iam.remove_client_id_from_open_id_connect_provider(ClientID=one, **arn)
    assert iam.get_open_id_connect_provider(**arn)["ClientIDList"] == ["more"]
    assert refused(iam.update_open_id_connect_provider_thumbprint, ThumbprintList=["g" * 40], **arn).code == (
        "InvalidInput"
    )


def test_a_deleted_provider_is_gone(iam, provider):
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)

    assert refused(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=provider) == (
        "NoSuchEntity",
        404,
        f"OpenIDConnect Provider not found for arn {provider}",
    )
    assert refused(iam.delete_open_id_connect_provider, OpenIDConnectProviderArn=provider).code == "NoSuchEntity"
