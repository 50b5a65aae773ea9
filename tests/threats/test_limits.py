"""T60: however much one asks for, there is an end, it is told as AWS tells it, and nobody else notices.

LONGSHORE_TEST_UPLOADS_BEGUN    how many uploads one principal begins beside the work of another tenant
"""

import concurrent.futures
import http.client
import os
import threading
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.api import send_part
from tests.builders import digest_of, image, push, push_blob, put_manifest, unique_bytes, unique_name
from tests.iam import Keys, client, make_account, make_user, policy, refused, trusts
from tests.servers import ACCOUNT, KEY_ID, REGION, SECRET, RunningServer, basic
from tests.threats.signed import TARGET
from tests.waiting import until

pytestmark = pytest.mark.real("boto3")

BEGUN: Final = int(os.environ.get("LONGSHORE_TEST_UPLOADS_BEGUN", "400"))
ALLOWED: Final = min(BEGUN // 4, 1000)  # the default, where so many are begun
FEW: Final = 20


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a few of everything."""
    figures = {"REPOSITORIES": "6", "IMAGES": "2", "IMAGE_TAGS": "2", "LAYER_PARTS": "2", "OPEN_UPLOADS": str(FEW)}
    environment = {f"LONGSHORE_LIMITS__{name}": figure for name, figure in figures.items()}
    server = RunningServer(tmp_path_factory.mktemp("narrow") / "data", **environment)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def like_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("aws") / "data", LONGSHORE_LIMITS__PROFILE="aws")
    server.start()
    yield server
    server.stop()


# --- uploads that are begun and left ----------------------------------------------------------------------------------


def begins(server: RunningServer, repository: str, count: int) -> dict[tuple[int, str], int]:
    """Begin so many uploads one after another, as the root user: how often each answer came."""
    body = f'{{"repositoryName": "{repository}"}}'.encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGET}.InitiateLayerUpload"}
    request = AWSRequest(method="POST", url=f"{server.url}/", data=body, headers=headers)
    SigV4Auth(Credentials(KEY_ID, SECRET), "ecr", REGION).add_auth(request)
    connection = http.client.HTTPConnection(server.netloc, timeout=60)
    answers: dict[tuple[int, str], int] = {}
    for _ in range(count):  # the same signature: it is good for minutes
        connection.request("POST", "/", body, dict(request.headers.items()))
        answer = connection.getresponse()
        text = answer.read().decode()
        code = text.split('"')[3] if answer.status != 200 else ""
        answers[(answer.status, code)] = answers.get((answer.status, code), 0) + 1
    connection.close()
    return answers


def works(server: RunningServer, keys: Keys, repository: str, until: threading.Event) -> list[float]:
    """Push and pull as another account while the event is not set: seconds that each image took."""
    taken: list[float] = []
    while not until.is_set() or not taken:
        began = time.monotonic()
        data = unique_bytes()
        with client(server, "ecr", keys) as ecr:
            upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
            send_part(ecr, repository, upload, data)
            ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest_of(data)])
            found = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest_of(data)])
        assert found["layers"][0]["layerAvailability"] == "AVAILABLE"
        taken.append(time.monotonic() - began)
    return taken


def test_who_begins_uploads_without_end_is_stopped_and_another_tenant_works_on(start_server: Any) -> None:
    server: RunningServer = start_server(LONGSHORE_LIMITS__OPEN_UPLOADS=str(ALLOWED))
    server.create("greedy")
    _, keys = make_account(server)
    with client(server, "ecr", keys) as ecr:
        ecr.create_repository(repositoryName="modest")
    over = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        working = pool.submit(works, server, keys, "modest", over)
        answers = begins(server, "greedy", BEGUN)
        over.set()
        taken = working.result()

    assert answers == {(200, ""): ALLOWED, (400, "LimitExceededException"): BEGUN - ALLOWED}
    assert max(taken) < 5  # seconds; the wait for another's writes, not a rate of its own
    print(f"{BEGUN} begun, {ALLOWED} let; {len(taken)} layers of another tenant meanwhile, {max(taken):.2f} s at most")


class Stage(NamedTuple):
    """A user who has begun as many uploads as may be: all but one by the API, one by `/v2/`."""

    server: RunningServer
    keys: Keys
    by_api: str
    by_v2: str  # its path

    @property
    def login(self) -> str:
        return basic(self.keys.access_key_id, self.keys.secret)


@pytest.fixture
def stage(start_server: Any) -> Stage:
    server: RunningServer = start_server(LONGSHORE_LIMITS__OPEN_UPLOADS=str(FEW))
    for name in ("one", "two"):
        server.create(name)
    _, keys = make_user(server, "greedy")
    with server.client("iam") as iam:
        iam.put_user_policy(UserName="greedy", PolicyName="p", PolicyDocument=policy(Action="*", Resource="*"))
    with client(server, "ecr", keys) as ecr:
        uploads = [ecr.initiate_layer_upload(repositoryName="one")["uploadId"] for _ in range(FEW - 1)]
    login = basic(keys.access_key_id, keys.secret)
    begun = server.request("POST", "/v2/one/blobs/uploads/", auth=login).headers["Location"]
    assert server.request("PATCH", begun, b"x", auth=login).status == 202
    return Stage(server, keys, uploads[0], begun)


def test_open_uploads_are_counted_for_each_principal_over_repositories_and_doors(stage: Stage) -> None:
    server = stage.server
    with client(server, "ecr", stage.keys) as ecr:
        told = refused(ecr.initiate_layer_upload, repositoryName="two")
    begun = server.request("POST", "/v2/two/blobs/uploads/", auth=stage.login)
    files = sum(1 for _ in server.data.glob("blobs/*/??/*"))
    patched = server.request("PATCH", begun.headers["Location"], b"x", auth=stage.login)
    littered = sum(1 for _ in server.data.glob("blobs/*/??/*")) - files
    whole = server.request("PUT", f"{begun.headers['Location']}?digest={digest_of(b'x')}", b"x", auth=stage.login)
    with server.client() as ecr:
        of_another = ecr.initiate_layer_upload(repositoryName="one")["uploadId"]

    assert (told.code, told.status) == ("LimitExceededException", 400)
    assert told.message == "You have 20 unfinished uploads; finish or cancel some"
    assert (patched.status, patched.code, patched.headers["Retry-After"]) == (429, "TOOMANYREQUESTS", "2")
    assert littered == 0
    assert whole.status == 201  # what comes whole is at no time unfinished
    assert of_another


@pytest.mark.parametrize("end", ["finished", "cancelled"])
def test_an_upload_that_is_over_makes_room_for_one(stage: Stage, end: str) -> None:
    with client(stage.server, "ecr", stage.keys) as ecr:
        before = refused(ecr.initiate_layer_upload, repositoryName="one")
        if end == "finished":
            send_part(ecr, "one", stage.by_api, b"abc")
            ecr.complete_layer_upload(repositoryName="one", uploadId=stage.by_api, layerDigests=[digest_of(b"abc")])
        else:
            assert stage.server.request("DELETE", stage.by_v2, auth=stage.login).status == 204
        room = ecr.initiate_layer_upload(repositoryName="one")["uploadId"]
        after = refused(ecr.initiate_layer_upload, repositoryName="one")

    assert before.code == after.code == "LimitExceededException"
    assert room


def test_all_sessions_of_a_role_are_one(stage: Stage) -> None:
    """Else a new session would be a new allowance."""
    server = stage.server
    arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
    with server.client("iam") as iam:
        iam.create_role(RoleName="ci", AssumeRolePolicyDocument=trusts(f"arn:aws:iam::{ACCOUNT}:root"))
        iam.put_role_policy(RoleName="ci", PolicyName="p", PolicyDocument=policy(Action="ecr:*", Resource="*"))
    told = None
    with client(server, "sts", stage.keys) as sts:
        sessions = [
            Keys.of(sts.assume_role(RoleArn=arn, RoleSessionName=f"build-{n}")["Credentials"]) for n in range(2)
        ]
    for number, session in enumerate(sessions):
        with client(server, "ecr", session) as ecr:
            for _ in range(FEW // 2 if number == 0 else FEW - FEW // 2):
                ecr.initiate_layer_upload(repositoryName="one")
            told = refused(ecr.initiate_layer_upload, repositoryName="one") if number else None

    assert told is not None and told.code == "LimitExceededException"


# --- counts -----------------------------------------------------------------------------------------------------------


def test_a_registry_has_so_many_repositories(narrow: RunningServer) -> None:
    _, keys = make_account(narrow)
    names = [unique_name() for _ in range(7)]
    with client(narrow, "ecr", keys) as ecr:
        for name in names[:6]:
            ecr.create_repository(repositoryName=name)
        told = refused(ecr.create_repository, repositoryName=names[6])
        known = refused(ecr.create_repository, repositoryName=names[0])
        elsewhere = client(narrow, "ecr", keys, region_name="eu-west-1")
        with elsewhere as other_region:
            other_region.create_repository(repositoryName=names[6])
        ecr.delete_repository(repositoryName=names[0])
        ecr.create_repository(repositoryName=names[6])
        listed = [one["repositoryName"] for one in ecr.describe_repositories()["repositories"]]

    assert (told.code, told.status) == ("LimitExceededException", 400)
    assert "6 repositories" in told.message
    assert known.code == "RepositoryAlreadyExistsException"
    assert listed == sorted(names[1:])


def test_a_repository_has_so_many_images_and_an_image_so_many_tags(narrow: RunningServer) -> None:
    name = unique_name()
    narrow.create(name)
    images = [image(layers=[unique_bytes()]) for _ in range(3)]
    for number, built in enumerate(images[:2]):
        push(narrow, name, built, f"v{number}")
    for data in images[2].blobs:
        push_blob(narrow, name, data)
    with narrow.client() as ecr:
        told = refused(ecr.put_image, repositoryName=name, imageManifest=images[2].body.decode(), imageTag="v2")
        by_v2 = narrow.request("PUT", f"/v2/{name}/manifests/v2", images[2].body)
        ecr.put_image(repositoryName=name, imageManifest=images[0].body.decode(), imageTag="second")
        tags = refused(ecr.put_image, repositoryName=name, imageManifest=images[0].body.decode(), imageTag="third")
        moved = narrow.request("PUT", f"/v2/{name}/manifests/v1", images[0].body)
        found = {one["imageTag"] for one in ecr.list_images(repositoryName=name)["imageIds"]}
        ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])
        ecr.put_image(repositoryName=name, imageManifest=images[2].body.decode(), imageTag="v2")

    assert (told.code, told.status) == ("LimitExceededException", 400)
    assert "2 images" in told.message and "2 tags" in tags.message
    assert tags.code == "LimitExceededException"
    assert [(one.status, one.code) for one in (by_v2, moved)] == [(429, "TOOMANYREQUESTS")] * 2
    assert found == {"v0", "v1", "second"}  # a tag that could not be moved names what it named


def test_a_layer_is_sent_in_so_many_parts(narrow: RunningServer) -> None:
    name, part = unique_name(), unique_bytes(5 * 1024 * 1024)
    narrow.create(name)
    with narrow.client() as ecr:
        upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
        for number in range(2):
            send_part(ecr, name, upload, part, number * len(part))
        told = refused(send_part, ecr=ecr, repository=name, upload=upload, data=b"x", first=2 * len(part))
        done = ecr.complete_layer_upload(repositoryName=name, uploadId=upload, layerDigests=[digest_of(part * 2)])
    path = narrow.request("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
    chunked = [narrow.request("PATCH", path, b"x").status for _ in range(3)]

    assert (told.code, told.status) == ("LimitExceededException", 400)
    assert "2 parts" in told.message
    assert done["layerDigest"] == digest_of(part * 2)
    assert chunked == [202, 202, 429]


# --- rates ------------------------------------------------------------------------------------------------------------


def put_often(server: RunningServer, repository: str, count: int, keys: Keys | None = None) -> list[tuple[str, Any]]:
    """PutImage of nothing so many times: each error's code, and its Retry-After."""
    found = []
    with client(server, "ecr", keys) as ecr:
        for _ in range(count):
            try:
                ecr.put_image(repositoryName=repository, imageManifest="{}")
            except ClientError as error:
                headers = error.response["ResponseMetadata"]["HTTPHeaders"]
                found.append((error.response["Error"]["Code"], headers.get("retry-after")))
    return found


def test_who_asks_too_often_is_told_to_wait_and_nobody_else_is(like_aws: RunningServer) -> None:
    """Ten PutImage a second, of which ten may come at once."""
    name = unique_name()
    like_aws.create(name)
    _, keys = make_account(like_aws)
    with client(like_aws, "ecr", keys) as ecr:
        ecr.create_repository(repositoryName=name)
    began = time.monotonic()
    told = put_often(like_aws, name, 60)
    by_v2 = [like_aws.request("PUT", f"/v2/{name}/manifests/v1", b"{}") for _ in range(20)]
    most = 11 + 10 * (time.monotonic() - began)
    of_others = put_often(like_aws, name, 5, keys)
    with like_aws.client() as ecr:
        for _ in range(30):
            ecr.describe_repositories()  # which has no figure

    assert {code for code, _ in told} == {"InvalidParameterException", "ThrottlingException"}
    assert {wait for code, wait in told if code == "ThrottlingException"} == {"2"}
    limited = [answer for answer in by_v2 if answer.status == 429]
    assert {(answer.code, answer.headers["Retry-After"]) for answer in limited} == {("TOOMANYREQUESTS", "2")}
    let_through = len([code for code, _ in told if code != "ThrottlingException"]) + len(by_v2) - len(limited)
    assert 10 <= let_through <= most
    assert of_others == [("InvalidParameterException", None)] * 5


def test_a_reply_that_is_given_again_is_counted_too(like_aws: RunningServer) -> None:
    """2,000 pulls of a manifest a second: none is answered before it is counted."""
    name, built = unique_name(), image()
    like_aws.create(name)
    for blob in built.blobs:
        push_blob(like_aws, name, blob)
    # Other tests may have put as many images in this second as may be put.
    until(lambda: put_manifest(like_aws, name, built, "v1").status == 201, what="a turn to put an image")
    for _ in range(3):
        assert like_aws.request("GET", f"/v2/{name}/manifests/v1").status == 200
    again = [
        line
        for line in like_aws.request("GET", "/metrics", auth=None).body.decode().splitlines()
        if line.startswith("longshore_replies_given_again_total")
    ]

    assert [line.split()[-1] for line in again] == ["0.0"]


def test_without_the_profile_nobody_waits(shared_server: RunningServer, repository: str) -> None:
    assert put_often(shared_server, repository, 60) == [("InvalidParameterException", None)] * 60
