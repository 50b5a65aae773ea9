"""The OCI distribution specification's own conformance program, against every way in which a server may be set up.

LONGSHORE_TEST_OCI_CONFORMANCE names the program: `go build` in the folder `conformance` of the specification's
repository. What it asks is asked by tests of ours as well, in tests/registry/v2, for machines that do not have it.
"""

import base64
import os
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from tests import iam
from tests.builders import digest_of, image, index, push
from tests.conftest import Start
from tests.servers import KEY_ID, SECRET, RunningServer

pytestmark = pytest.mark.real("oci-conformance")

REPOSITORIES = ("conformance/one", "conformance/two")
ROOT: dict[str, Any] = {"USERNAME": KEY_ID, "PASSWORD": SECRET}
LEAST = 750  # tests of one run: fewer, and the program was told to leave something out


class Results(NamedTuple):
    """What the program wrote. `tests`: (name, status), of which a name may come again; `verdicts`: of APIs and data."""

    tests: list[tuple[str, str]]
    verdicts: dict[str, str]
    output: str

    def named(self, status: str) -> list[str]:
        return [name for name, found in self.tests if found == status]


def run(server: RunningServer, directory: Path, *, trusted: Path | None = None, **settings: str) -> str:
    """Run the program against a server; what it prints. `settings` are its own, without their prefix."""
    environment = {
        "REGISTRY": server.netloc,
        "TLS": "disabled" if trusted is None else "enabled",
        "VERSION": "dev",
        "REPO1": REPOSITORIES[0],
        "REPO2": REPOSITORIES[1],
        "RESULTS_DIR": str(directory),
        **settings,
    }
    given = {f"OCI_{name}": value for name, value in environment.items()}
    if trusted is not None:
        given["SSL_CERT_FILE"] = str(trusted)
    return subprocess.run(
        [os.environ["LONGSHORE_TEST_OCI_CONFORMANCE"]],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    ).stdout


def conform(server: RunningServer, directory: Path, *, trusted: Path | None = None, **settings: str) -> Results:
    """Run the program, and read its reports."""
    output = run(server, directory, trusted=trusted, **settings)
    suites = ET.parse(directory / "junit.xml").getroot()
    verdicts = re.findall(r"^  ([A-Z][\w -]*): (\w+)$", (directory / "results.yaml").read_text(), re.MULTILINE)
    return Results(
        tests=[(case.attrib["name"], case.attrib["status"]) for case in suites.iter("testcase")],
        verdicts=dict(verdicts),
        output=output[-4000:],
    )


def assert_whole(results: Results, *, left_out: tuple[str, ...] = ("Sparse Manifests",)) -> None:
    """Every test ran and passed; no API and no kind of data was left out but those that are named."""
    assert results.named("failure") + results.named("error") == [], results.output
    assert results.named("skipped") == []
    assert len(results.named("passed")) == len(results.tests) >= LEAST
    assert {name for name, verdict in results.verdicts.items() if verdict != "Pass"} == set(left_out)
    assert len(results.verdicts) > 40


@pytest.fixture
def start(start_server: Start) -> Callable[..., RunningServer]:
    """A function that starts a server with the program's two repositories."""

    def begin(*arguments: str, **environment: str) -> RunningServer:
        server = start_server(*arguments, **environment)
        for name in REPOSITORIES:
            server.create(name)
        return server

    return begin


def test_by_bearer_tokens(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    assert_whole(conform(start(), tmp_path, **ROOT))


def test_by_basic_credentials(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = start(LONGSHORE_AUTH__CHALLENGE="basic")

    assert_whole(conform(server, tmp_path, **ROOT))


def test_with_sparse_manifests_every_kind_of_data_is_taken(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = start(LONGSHORE_REGISTRY__ACCEPT_SPARSE="true")

    assert_whole(conform(server, tmp_path, DATA_SPARSE="true", **ROOT), left_out=())


def test_by_two_workers_that_are_asked_for_a_login_each_time(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    """No credential is kept by the program, and each request may meet the other process."""
    server = start("--workers", "2", LONGSHORE_AUTH__CHALLENGE="basic")

    assert_whole(conform(server, tmp_path, CACHE_AUTH="false", **ROOT))


def test_over_tls_with_a_docker_login_into_repositories_made_by_the_push(start_server: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    chain, key, trusted = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(trusted)
    server = start_server(
        LONGSHORE_HTTP__TLS_CERT=str(chain),
        LONGSHORE_HTTP__TLS_KEY=str(key),
        LONGSHORE_REGISTRY__CREATE_ON_PUSH="true",
    )
    with server.client(verify=str(trusted)) as ecr:
        sealed = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(sealed).decode().partition(":")

    # It lists an empty repository before it pushes the first thing.
    results = conform(server, tmp_path, trusted=trusted, USERNAME=user, PASSWORD=password)

    assert [name.partition("/")[2] for name in results.named("failure")] == ["empty/referrers"]
    assert len(results.named("passed")) >= LEAST
    assert results.named("skipped") + results.named("error") == []


def test_without_a_login_where_policies_open_everything(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = start(LONGSHORE_AUTH__CHALLENGE="none")
    everyone = iam.policy(Principal="*", Action="ecr:*")
    with server.client() as ecr:
        for name in REPOSITORIES:
            ecr.set_repository_policy(repositoryName=name, policyText=everyone)

    assert_whole(conform(server, tmp_path))


def test_without_a_login_nothing_passes(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    """There is no anonymous push, and nothing to pull that no policy opens."""
    results = conform(start(), tmp_path)

    assert results.named("passed") == []
    assert len(results.named("failure")) > 400


def test_without_a_login_what_a_policy_opens_is_pulled(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    """The specification's category Pull, and its lists, for everyone: the program has no credential at all."""
    server = start()
    built = image()
    push(server, REPOSITORIES[0], built, "v1")
    many = index(built)
    push(server, REPOSITORIES[0], many, "many")
    signature = image(subject=built.descriptor())
    push(server, REPOSITORIES[0], signature)
    reads = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:ListImages"]
    with server.client() as ecr:
        ecr.set_repository_policy(repositoryName=REPOSITORIES[0], policyText=iam.policy(Principal="*", Action=reads))

    output = run(
        server,
        tmp_path,
        API_PING="false",  # the program cannot go on after the login that `/v2/` asks for
        API_PUSH="false",
        API_BLOBS_DELETE="false",
        API_MANIFESTS_DELETE="false",
        API_MANIFESTS_DIGEST_HEADER="false",  # of what it did not push itself the program reads no header
        API_TAGS_DELETE="false",
        RO_DATA_TAGS="v1 many",
        RO_DATA_MANIFESTS=f"{built.digest} {many.digest} {signature.digest}",
        RO_DATA_BLOBS=" ".join(digest_of(blob) for blob in built.blobs),
        RO_DATA_REFERRERS=built.digest,
    )
    # Its reports cannot be had of such a run: they know no word for an API that it never came to.
    found = re.findall(r"^ *OCI Conformance Test/([^:]+): (\w+)$", output, re.MULTILINE)
    read = [status for name, status in found if name.startswith(("read-only/head/", "read-only/pull/"))]

    assert {status for _, status in found} <= {"Pass", "Disabled"}, output[-4000:]
    assert read == ["Pass"] * 14
    assert ("read-only/tag-list", "Pass") in found
    assert ("read-only/referrers", "Pass") in found
