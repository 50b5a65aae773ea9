"""`longshore repo`, `image` and `env` against a running server, and without one."""

import json
import re
import shlex
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api import push_image, put_image
from tests.archives import await_status
from tests.builders import image, unique_bytes, unique_name
from tests.servers import ACCOUNT, KEY_ID, REGION, SECRET, RunningServer

NO_KEY = {"LONGSHORE_ROOT_ACCESS_KEY_ID": "", "LONGSHORE_ROOT_SECRET_ACCESS_KEY": ""}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RunningServer]:
    """A server that made its own root key, so that `--data` is all that a command needs."""
    running = RunningServer(tmp_path_factory.mktemp("commands") / "data", **NO_KEY)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def key(server) -> dict[str, str]:
    return json.loads((server.data / "root-key.json").read_text())


@pytest.fixture(scope="module")
def ecr(server, key) -> Iterator[Any]:
    with server.client(aws_access_key_id=key["accessKeyId"], aws_secret_access_key=key["secretAccessKey"]) as client:
        yield client


# --- env --------------------------------------------------------------------------------------------------------------


def exported(text: str) -> dict[str, str]:
    """Variables of `export` lines, as a shell reads them."""
    lines = [shlex.split(line) for line in text.splitlines()]
    return dict(words[1].split("=", 1) for words in lines if words[0] == "export")


def test_env_names_the_server_and_its_key(cli, server, key):
    done = cli("env", "--data", str(server.data))

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_SECURITY_TOKEN"
    assert exported(done.out) == {
        "AWS_ENDPOINT_URL_ECR": server.url,
        "AWS_ENDPOINT_URL_IAM": server.url,
        "AWS_ENDPOINT_URL_STS": server.url,
        "AWS_ACCESS_KEY_ID": key["accessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["secretAccessKey"],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "ECR_REGISTRY": server.netloc,
    }


def test_env_as_json_says_the_same(cli, server):
    as_json = json.loads(cli("env", "--data", str(server.data), "--output", "json").out)

    assert as_json == exported(cli("env", "--data", str(server.data)).out)


def test_env_finds_the_data_directory_by_configuration(cli, server, tmp_path):
    file = tmp_path / "longshore.toml"
    file.write_text(f"[server]\ndata = {json.dumps(str(server.data))}\n")
    for done in (cli("env", "--config", str(file)), cli("env", LONGSHORE_SERVER__DATA=str(server.data))):
        assert exported(done.out)["AWS_ENDPOINT_URL_ECR"] == server.url


def test_env_names_a_public_url_where_there_is_one(cli, start_server):
    server = start_server(**NO_KEY, LONGSHORE_REGISTRY__PUBLIC_URL="https://registry.example.com")
    found = exported(cli("env", "--data", str(server.data)).out)

    assert found["AWS_ENDPOINT_URL_ECR"] == "https://registry.example.com"
    assert found["ECR_REGISTRY"] == "registry.example.com"


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "there is no root key in"), ("{", "root-key.json"), ('{"accountId": "1"}', "root-key.json")],
    ids=["none", "damaged", "cut"],
)
def test_env_without_a_key_says_what_to_do(cli, tmp_path, content, says):
    data = tmp_path / "data"
    data.mkdir()
    if content is not None:
        (data / "root-key.json").write_text(content)
    done = cli("env", "--data", str(data))

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("longshore: ") and says in done.err
    assert len(done.err.splitlines()) == 1


# --- repo -------------------------------------------------------------------------------------------------------------


def test_a_repository_is_made_listed_and_deleted(cli, start_server):
    server = start_server(**NO_KEY)
    data = ("--data", str(server.data))
    made = cli("repo", "create", "team/app", "--immutable", "--tag", "team=red", "--tag", "empty=", *data)
    listed = cli("repo", "list", *data)
    deleted = cli("repo", "delete", "team/app", *data)
    empty = cli("repo", "list", *data)

    assert (made.code, made.out, made.err) == (0, f"{server.netloc}/team/app\n", "")
    titles, row = listed.out.splitlines()
    assert titles.split() == ["REPOSITORY", "TAGS", "CREATED", "URI"]
    assert re.fullmatch(rf"team/app +immutable +[0-9-]+ [0-9:]+ +{server.netloc}/team/app *", row)
    assert (deleted.code, deleted.out) == (0, "deleted team/app\n")
    assert (empty.code, empty.out, empty.err) == (0, "", "there are no repositories\n")


def test_repositories_as_json(cli, server, ecr):
    data = ("--data", str(server.data), "--output", "json")
    made = json.loads(cli("repo", "create", "json/one", "--tag", "team=red", *data).out)
    cli("repo", "create", "json/two", *data)
    tags = ecr.list_tags_for_resource(resourceArn=made["arn"])["tags"]
    listed = json.loads(cli("repo", "list", "--prefix", "json/", *data).out)
    deleted = json.loads(cli("repo", "delete", "json/one", *data).out)

    assert made.keys() == {"name", "uri", "arn", "createdAt", "tagMutability"}
    assert made["arn"] == f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/json/one"
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z", made["createdAt"])
    assert [one["name"] for one in listed] == ["json/one", "json/two"]
    assert deleted == made
    assert tags == [{"Key": "team", "Value": "red"}]


def test_repositories_of_a_prefix(cli, server, ecr):
    for name in ("team/app", "team/web", "teams", "other"):
        ecr.create_repository(repositoryName=name)
    listed = json.loads(cli("repo", "list", "--prefix", "team/", "--data", str(server.data), "--output", "json").out)

    assert [one["name"] for one in listed] == ["team/app", "team/web"]


def test_long_names_stay_on_one_line_in_a_pipe(cli, server, ecr):
    name = "a" * 200
    ecr.create_repository(repositoryName=name)

    assert len(cli("repo", "list", "--prefix", name, "--data", str(server.data)).out.splitlines()) == 2


def test_a_repository_with_images_is_deleted_by_force(cli, server, ecr):
    ecr.create_repository(repositoryName="full")
    push_image(ecr, "full", image(), "v1")
    refused = cli("repo", "delete", "full", "--data", str(server.data))
    forced = cli("repo", "delete", "full", "--force", "--data", str(server.data))

    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("longshore: The repository with name 'full'")
    assert refused.err.endswith("(RepositoryNotEmptyException); --force deletes its images too\n")
    assert forced.code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["repo", "create", "UPPER"], 1, "(InvalidParameterException)"),
        (["repo", "create", "app", "--tag", "team"], 2, "'team' is not of the form KEY=VALUE"),
        (["repo", "create", "app", "--tag", "=red"], 2, "'=' is not of the form KEY=VALUE"),
        (["repo", "create"], 2, "Missing argument 'NAME'"),
        (["repo", "delete", "nobodys"], 1, "(RepositoryNotFoundException)"),
        (["image", "list", "nobodys"], 1, "(RepositoryNotFoundException)"),
        (["repo", "list", "--output", "yaml"], 2, "'yaml' is not one of"),
        (["repo", "lst"], 2, "No such command 'lst'"),
    ],
    ids=["name", "tag", "tag-without-key", "no-name", "unknown", "images-of-unknown", "form", "command"],
)
def test_what_goes_wrong_is_one_line_and_a_code(cli, server, arguments, code, says):
    done = cli(*arguments, *(["--data", str(server.data)] if "lst" not in arguments else []))

    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("longshore: ") and says in done.err
    assert len(done.err.splitlines()) == 1


# --- image ------------------------------------------------------------------------------------------------------------


def test_images_are_listed_newest_first(cli, server, ecr):
    ecr.create_repository(repositoryName="app")
    old, new = image(layers=[unique_bytes(2_000_000)]), image()
    push_image(ecr, "app", old, "v1")
    put_image(ecr, "app", old, "v1.0")
    push_image(ecr, "app", new)
    listed = cli("image", "list", "app", "--data", str(server.data))
    as_json = json.loads(cli("image", "list", "app", "--data", str(server.data), "--output", "json").out)
    untagged = json.loads(cli("image", "list", "app", "--untagged", "--data", str(server.data), "--output", "json").out)

    titles, first, second = listed.out.splitlines()
    assert titles.split() == ["TAGS", "DIGEST", "SIZE", "PUSHED"]
    assert re.fullmatch(rf"- +{new.digest[:19]} +[0-9]+ B +just now *", first)
    assert re.fullmatch(rf"v1, v1\.0 +{old.digest[:19]} +2 MB +just now *", second)
    assert [one["digest"] for one in as_json] == [new.digest, old.digest]
    assert as_json[1] == {
        "repository": "app",
        "digest": old.digest,
        "tags": ["v1", "v1.0"],
        "sizeBytes": len(old.blobs[0]) + 2_000_000,
        "pushedAt": as_json[1]["pushedAt"],
        "status": "ACTIVE",
        "mediaType": old.media_type,
        "artifactType": "application/vnd.oci.image.config.v1+json",
    }
    assert [one["digest"] for one in untagged] == [new.digest]


def test_an_image_is_archived_and_had_back(cli, server, ecr):
    name, old = unique_name(), image()
    ecr.create_repository(repositoryName=name)
    push_image(ecr, name, old, "v1")
    push_image(ecr, name, image(), "v2")
    where = ["--data", str(server.data)]
    archived = cli("image", "archive", name, "v1", *where)
    again = cli("image", "archive", name, old.digest, *where)
    listed = [cli("image", "list", name, *more, *where).out.splitlines()[1:] for more in ([], ["--archived"])]
    restored = json.loads(cli("image", "restore", name, old.digest, *where, "--output", "json").out)
    await_status(ecr, name, "ACTIVE", old)

    assert (archived.code, archived.out) == (0, f"{name} v1 is archived\n")
    assert again.code == 1
    assert again.err.endswith("(ImageStorageClassUpdateNotSupportedException)\n")
    assert [[line.split()[0] for line in lines] for lines in listed] == [["v2"], ["v1"]]
    assert listed[1][0].split()[-1] == "archived"
    assert restored == {"repository": name, "digest": old.digest, "status": restored["status"]}
    assert restored["status"] in ("ACTIVATING", "ACTIVE")


@pytest.mark.parametrize("more", [[], ["--untagged"]], ids=["any", "untagged"])
def test_an_empty_repository_has_no_table(cli, server, ecr, more):
    name = unique_name()
    ecr.create_repository(repositoryName=name)
    done = cli("image", "list", name, *more, "--data", str(server.data))

    assert (done.code, done.out) == (0, "")
    assert done.err == f"there are no {'untagged ' if more else ''}images in {name}\n"


# --- which server -----------------------------------------------------------------------------------------------------


def test_the_environment_of_awss_tools_names_the_server(cli, shared_server):
    done = cli("repo", "list", "--output", "json", **environment_of(shared_server))

    assert (done.code, done.err) == (0, "")


def environment_of(server, **more: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_ECR": server.url,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
        **more,
    }


def test_data_goes_before_the_environment(cli, server, shared_server, ecr):
    ecr.create_repository(repositoryName="here")
    listed = cli("repo", "list", "--output", "json", "--data", str(server.data), **environment_of(shared_server))

    assert "here" in [one["name"] for one in json.loads(listed.out)]


def test_an_environment_without_an_endpoint_never_means_amazon(cli):
    done = cli("repo", "list", AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION=REGION)

    assert (done.code, done.out) == (1, "")
    assert "there is no root key in longshore-data" in done.err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong" * 8}, "(InvalidSignatureException)"),
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODYNOBODYNOBO"}, "(UnrecognizedClientException)"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no access key for http://127.0.0.1:"),
        ({"AWS_PROFILE": "nobodys"}, "the AWS configuration cannot be used"),
        ({"AWS_ENDPOINT_URL_ECR": "no url"}, "the endpoint cannot be used"),
    ],
    ids=["secret", "key", "no-key", "profile", "endpoint"],
)
def test_an_environment_that_cannot_be_used_is_told(cli, shared_server, more, says):
    done = cli("repo", "list", **environment_of(shared_server, **more))

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("longshore: ") and says in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "command", [["repo", "list"], ["repo", "create", "app"], ["image", "list", "app"], ["login"]], ids=" ".join
)
def test_a_server_that_is_away_is_told(cli, command):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = cli(
        *command,
        AWS_ENDPOINT_URL_ECR=url,
        AWS_ACCESS_KEY_ID=KEY_ID,
        AWS_SECRET_ACCESS_KEY=SECRET,
        AWS_REGION=REGION,
    )

    assert (done.code, done.out) == (1, "")
    assert done.err == f"longshore: cannot reach {url}: is `longshore serve` running there?\n"


def test_a_server_that_was_stopped_is_told(cli, start_server):
    server = start_server(**NO_KEY)
    server.stop()
    done = cli("repo", "list", "--data", str(server.data))

    assert done.code == 1
    assert done.err == f"longshore: cannot reach {server.url}: is `longshore serve` running there?\n"


def test_what_answers_there_may_be_no_registry(cli, shared_server):
    """Here: our own server, asked at a path at which no API is."""
    done = cli("repo", "list", **environment_of(shared_server, AWS_ENDPOINT_URL_ECR=shared_server.url + "/elsewhere"))

    assert done.code == 1
    assert "is it a registry?" in done.err
    assert len(done.err.splitlines()) == 1
