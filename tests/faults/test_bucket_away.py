"""A region's bucket is taken away for a while: nobody waits for long, other regions do not notice, and all heals.

LONGSHORE_TEST_AWAY_SECONDS: for how long.
"""

import concurrent.futures
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.builders import digest_of, image, push, unique_bytes
from tests.conftest import Start
from tests.s3_servers import S3Service, new_bucket
from tests.servers import ACCOUNT, Answer, RunningServer
from tests.waiting import until

pytestmark = pytest.mark.real("versitygw")

AWAY = float(os.environ.get("LONGSHORE_TEST_AWAY_SECONDS", "4"))
WAITED = 35.0  # seconds: the time of one call to the service, and some
MIB = 1024 * 1024
WEST = "eu-west-1"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[tuple[S3Service, S3Service]]:
    """Two S3 servers, one for each region."""
    found = tuple(S3Service("versitygw", tmp_path / name) for name in ("east", "west"))
    for service in found:
        service.start()
    yield found[0], found[1]
    for service in found:
        service.stop()


class Region:
    """One of the server's registries, by its host name."""

    def __init__(self, server: RunningServer, name: str) -> None:
        self._server, self._name = server, name
        self._host = {"Host": f"{ACCOUNT}.dkr.ecr.{name}.localhost:{urlsplit(server.url).port}"}
        with server.client(region=name) as ecr:
            ecr.create_repository(repositoryName="app")

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        return self._server.request(method, path, body, {**self._host, **headers})

    def push(self, data: bytes) -> Answer:
        return self.request("POST", f"/v2/app/blobs/uploads/?digest={digest_of(data)}", data)

    def pull(self, data: bytes) -> bool:
        """Whether the blob comes as it was."""
        return self.request("GET", f"/v2/app/blobs/{digest_of(data)}").body == data


@pytest.mark.parametrize("what", ["bucket", "service"])
def test_a_bucket_that_is_away_is_told_of_and_found_again(
    services: tuple[S3Service, S3Service],
    start_server: Start,
    tmp_path: Path,
    what: str,
    record_property: Callable[[str, object], None],
) -> None:
    east, west = (new_bucket(service) for service in services)
    file = tmp_path / "longshore.toml"
    file.write_text(
        f'[storage.regions.{WEST}]\nkind = "s3"\nendpoint = "{west.service.url}"\nbucket = "{west.name}"\n'
        f'access_key_id = "{west.place().access_key_id}"\nsecret_access_key = "{west.place().secret_access_key}"\n'
    )
    server = start_server("--config", str(file), **east.environment())
    here, there = Region(server, "us-east-1"), Region(server, WEST)
    old, built = unique_bytes(3 * MIB), image()
    assert [region.push(old).status for region in (here, there)] == [201, 201]
    push(server, "app", built, "v1")
    upload = here.request("POST", "/v2/app/blobs/uploads/").headers["Location"]
    begun = unique_bytes(6 * MIB)
    assert here.request("PATCH", upload, begun[: 2 * MIB]).status == 202

    give_back = taken_away(services[0], east.name, what)
    end = time.monotonic() + AWAY
    waits: list[float] = []
    acknowledged: list[bytes] = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        while time.monotonic() < end or not waits:
            data = unique_bytes(1 * MIB)
            began = time.monotonic()
            refused = pool.submit(here.push, data)
            while not concurrent.futures.wait([refused], timeout=0.1).done:
                assert there.push(data).status == 201
                acknowledged.append(data)
                assert there.pull(data)
                assert server.request("GET", "/v2/app/manifests/v1").body == built.body
            waits.append(time.monotonic() - began)
            answer = refused.result()
            assert (answer.status, answer.code) == (503, "UNSUPPORTED"), answer
            assert answer.headers["Retry-After"]
            assert here.request("GET", f"/v2/app/blobs/{digest_of(old)}").status == 503
            assert server.request("GET", "/readyz").status == 503
    give_back()
    began = time.monotonic()
    until(lambda: here.push(unique_bytes(1000)).status == 201, seconds=WAITED, what="a push")
    healed = time.monotonic() - began
    record_property(
        "away",
        f"the {what} for {AWAY:.0f} s: {len(waits)} pushes refused after {max(waits):.1f} s at most, "
        f"{len(acknowledged)} to the other region meanwhile; pushes again after {healed:.1f} s",
    )

    assert max(waits) < WAITED
    assert here.pull(old)
    assert all(there.pull(data) for data in acknowledged)
    first = f"{2 * MIB}-{len(begun) - 1}"
    assert here.request("PATCH", upload, begun[2 * MIB :], **{"Content-Range": first}).status == 202
    assert here.request("PUT", f"{upload}?digest={digest_of(begun)}").status == 201
    assert here.pull(begun)
    until(lambda: server.request("GET", "/readyz").status == 200, seconds=WAITED)


def taken_away(service: S3Service, bucket: str, what: str) -> Callable[[], None]:
    """Take it away; what gives it back."""
    if what == "service":
        service.stop()
        return service.start
    directory = service.directory / bucket
    aside = directory.rename(service.directory.parent / "aside")

    def give_back() -> None:
        aside.rename(directory)

    return give_back
