"""A server that may ask issuers on loopback, and one such issuer."""

import pytest
import trustme

from tests.oidc import Issuer, Key
from tests.servers import RunningServer


@pytest.fixture(scope="session")
def authority():
    """Whose certificates the server believes."""
    return trustme.CA()


@pytest.fixture(scope="session")
def issuer(authority):
    made = Issuer(authority, [Key("k1"), Key("k2", "ES256"), Key("k3", "ES384")])
    yield made
    made.stop()


@pytest.fixture(scope="session")
def trusting_server(tmp_path_factory, authority):
    """A server whose operator allows one loopback address, and no other."""
    directory = tmp_path_factory.mktemp("server")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    server = RunningServer(
        directory / "data",
        LONGSHORE_EGRESS__ALLOW="127.0.0.1",
        LONGSHORE_EGRESS__CA=str(directory / "ca.pem"),
    )
    server.start()
    yield server
    server.stop()
