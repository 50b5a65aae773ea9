"""When images were last pulled: by which door, how often it is told, and whose pulls leave no trace."""

import datetime as dt
from collections.abc import Iterator

import pytest

from tests.api import refusal
from tests.builders import image, index, push, unique_name
from tests.conftest import Start
from tests.iam import make_user, policy
from tests.servers import ACCOUNT, RunningServer, basic
from tests.waiting import until

ROLE = f"arn:aws:iam::{ACCOUNT}:role/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One that writes the times of pulls every second."""
    found = RunningServer(tmp_path_factory.mktemp("pulls") / "data", LONGSHORE_LIFECYCLE__PULL_SECONDS="1")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def app(server: RunningServer) -> str:
    name = unique_name()
    server.create(name)
    return name


def pulled_at(server: RunningServer, repository: str, digest: str) -> dt.datetime | None:
    with server.client() as ecr:
        found = ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])["imageDetails"][0]
    return found.get("lastRecordedPullTime")


def pull(server: RunningServer, repository: str, reference: str, method: str = "GET", **headers: str) -> int:
    path = f"/v2/{repository}/manifests/{reference}"
    return server.request(method, path, headers=headers, auth=headers.pop("auth", "")).status


def until_pulled(server: RunningServer, repository: str, digest: str) -> dt.datetime:
    until(lambda: pulled_at(server, repository, digest), what="the time of a pull")
    found = pulled_at(server, repository, digest)
    assert found is not None
    return found


@pytest.mark.real("boto3")
@pytest.mark.parametrize("door", ["by-tag", "by-digest", "not-modified", "api"])
def test_a_pull_is_told_with_its_image(server, app, door):
    digest = push(server, app, image(), "v1")
    before = dt.datetime.now(dt.UTC) - dt.timedelta(milliseconds=1)
    assert pulled_at(server, app, digest) is None
    match door:
        case "by-tag":
            assert pull(server, app, "v1") == 200
        case "by-digest":
            assert pull(server, app, digest) == 200
        case "not-modified":
            assert pull(server, app, "v1", **{"If-None-Match": f'"{digest}"'}) == 304
        case _:
            with server.client() as ecr:
                ecr.batch_get_image(repositoryName=app, imageIds=[{"imageTag": "v1"}])
    found = until_pulled(server, app, digest)

    assert before <= found <= dt.datetime.now(dt.UTC)


@pytest.mark.real("boto3")
def test_asking_and_pushing_is_no_pull(server, app):
    first, second = push(server, app, image(), "v1"), push(server, app, image(), "v2")
    for _ in range(3):
        pull(server, app, "v1", "HEAD")
    push_again = push(server, app, image(), "v1")
    pull(server, app, "v2")
    until_pulled(server, app, second)

    assert pulled_at(server, app, first) is None
    assert pulled_at(server, app, push_again) is None


@pytest.mark.real("boto3")
def test_a_later_pull_moves_the_time_on_also_when_its_answer_is_a_kept_one(server, app):
    digest = push(server, app, image(), "v1")
    pull(server, app, "v1")
    first = until_pulled(server, app, digest)
    for _ in range(3):
        pull(server, app, "v1")

    assert until(lambda: until_pulled(server, app, digest) > first, what="a later time")


@pytest.mark.real("boto3")
def test_a_pull_of_an_index_is_no_pull_of_its_images(server, app):
    child = image()
    push(server, app, child)
    parent = push(server, app, index(child), "all")
    pull(server, app, "all")
    until_pulled(server, app, parent)

    assert pulled_at(server, app, child.digest) is None


@pytest.mark.real("boto3")
def test_pulls_that_have_gathered_are_written_at_the_end(start_server: Start):
    server = start_server(LONGSHORE_LIFECYCLE__PULL_SECONDS="3600")
    server.create("app")
    digest = push(server, "app", image(), "v1")
    pull(server, "app", "v1")
    server.stop()
    server.start()

    assert pulled_at(server, "app", digest) is not None


# --- exclusions -------------------------------------------------------------------------------------------------------


@pytest.mark.real("boto3")
def test_what_an_excluded_user_pulls_leaves_no_trace(server, app):
    user, keys = make_user(server, unique_name("scanner"))
    arn = user["Arn"]
    with server.client("iam") as iam:
        iam.put_user_policy(
            UserName=user["UserName"], PolicyName="p", PolicyDocument=policy(Action="ecr:*", Resource="*")
        )
    with server.client() as ecr:
        made = ecr.register_pull_time_update_exclusion(principalArn=arn)
    scanned, used = push(server, app, image(), "scanned"), push(server, app, image(), "used")
    auth = basic(keys.access_key_id, keys.secret)
    for tag in ("scanned", "used"):
        answer = server.request("GET", f"/v2/{app}/manifests/{tag}", auth=auth)
        assert answer.status == 200
    pull(server, app, "used")
    until_pulled(server, app, used)

    assert pulled_at(server, app, scanned) is None
    assert made["principalArn"] == arn
    assert made["createdAt"] <= dt.datetime.now(dt.UTC)
    with server.client() as ecr:
        ecr.deregister_pull_time_update_exclusion(principalArn=arn)
    server.request("GET", f"/v2/{app}/manifests/scanned", auth=auth)
    until_pulled(server, app, scanned)


@pytest.mark.real("boto3")
def test_exclusions_are_listed_in_pages(server):
    with server.client(region="eu-west-1") as ecr:
        arns = sorted(f"{ROLE}r{number}" for number in range(5))
        for arn in arns:
            ecr.register_pull_time_update_exclusion(principalArn=arn)
        first = ecr.list_pull_time_update_exclusions(maxResults=3)
        rest = ecr.list_pull_time_update_exclusions(maxResults=3, nextToken=first["nextToken"])

    assert first["pullTimeUpdateExclusions"] == arns[:3]
    assert rest["pullTimeUpdateExclusions"] == arns[3:]
    assert "nextToken" not in rest


@pytest.mark.real("boto3")
def test_exclusions_that_cannot_be(server):
    with server.client(region="eu-west-2") as ecr:
        register, deregister = ecr.register_pull_time_update_exclusion, ecr.deregister_pull_time_update_exclusion
        register(principalArn=f"{ROLE}one")
        twice = refusal(register, principalArn=f"{ROLE}one")
        absent = refusal(deregister, principalArn=f"{ROLE}two")
        bad = refusal(register, principalArn="arn:aws:iam::1:role/x")
        for number in range(99):
            register(principalArn=f"{ROLE}many{number}")
        beyond = refusal(register, principalArn=f"{ROLE}beyond")
        listed = ecr.list_pull_time_update_exclusions(maxResults=1000)["pullTimeUpdateExclusions"]

    assert twice.code == "ExclusionAlreadyExistsException"
    assert absent.code == "ExclusionNotFoundException"
    assert bad.code in ("InvalidParameterException", "ValidationException")
    assert beyond.code == "LimitExceededException"
    assert len(listed) == 100
