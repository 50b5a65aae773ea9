"""The AWS CLI as people type it, pointed at a server by `eval "$(longshore env)"` and by nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api import push_image
from tests.builders import OCI_IMAGE, Built, image, index
from tests.cli import BIN, Finished, run
from tests.servers import ACCOUNT, RunningServer, basic

pytestmark = pytest.mark.real("awscli")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RunningServer]:
    running = RunningServer(
        tmp_path_factory.mktemp("awscli") / "data",
        LONGSHORE_ROOT_ACCESS_KEY_ID="",
        LONGSHORE_ROOT_SECRET_ACCESS_KEY="",
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def shell(server, tmp_path):
    """A function that runs a script in a shell that evaluated `longshore env`."""

    def script(text: str, **environment: str) -> Finished:
        whole = f'set -eu\neval "$(longshore env --data {server.data})"\n{text}'
        return run("/bin/sh", "-c", whole, cwd=tmp_path, AWS_PAGER="", **environment)

    return script


def pushed(server: RunningServer, repository: str, built: Built, tag: str) -> None:
    key = json.loads((server.data / "root-key.json").read_text())
    with server.client(aws_access_key_id=key["accessKeyId"], aws_secret_access_key=key["secretAccessKey"]) as ecr:
        push_image(ecr, repository, built, tag)


def test_the_shell_speaks_to_the_server(shell):
    done = shell("aws sts get-caller-identity\naws ecr describe-repositories --output text", AWS_PROFILE="of-another")
    identity = json.loads(done.out)

    assert (done.code, done.err) == (0, "")
    assert identity == {"UserId": ACCOUNT, "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root"}


def test_a_repositorys_life(shell, server):
    made = shell(
        "aws ecr create-repository --repository-name team/app --image-tag-mutability IMMUTABLE "
        "--tags Key=team,Value=red --image-scanning-configuration scanOnPush=true"
    )
    repository = json.loads(made.out)["repository"]
    pushed(server, "team/app", image(), "v1")
    done = shell(
        f"""
        ARN={repository["repositoryArn"]}
        aws ecr list-tags-for-resource --resource-arn $ARN --query 'tags[0].Value' --output text
        aws ecr describe-repositories --repository-names team/app --query 'repositories[0].repositoryUri' --output text
        aws ecr list-images --repository-name team/app --query 'imageIds[].imageTag' --output text
        aws ecr delete-repository --repository-name team/app --force --query repository.repositoryName --output text
        """
    )

    assert repository["repositoryUri"] == f"{server.netloc}/team/app"
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert done.out.split() == ["red", f"{server.netloc}/team/app", "v1", "team/app"]


def test_the_login_password_goes_through_a_pipe(shell, server, tmp_path):
    """As `docker login --password-stdin` takes it: one line, and nothing else."""
    done = shell("aws ecr get-login-password | tee password")
    password = done.out.removesuffix("\n")

    assert (done.code, len(done.out.splitlines())) == (0, 1)
    assert server.request("GET", "/v2/", auth=basic("AWS", password)).status == 200


def test_an_image_gets_another_tag_without_a_pull(shell, server):
    """Source of the recipe: Amazon ECR user guide, "Retagging an image"."""
    built = image()
    shell("aws ecr create-repository --repository-name retag")
    pushed(server, "retag", built, "latest")
    done = shell(
        """
        MANIFEST=$(aws ecr batch-get-image --repository-name retag --image-ids imageTag=latest \
            --query 'images[0].imageManifest' --output text)
        aws ecr put-image --repository-name retag --image-tag stable --image-manifest "$MANIFEST" \
            --query image.imageId.imageDigest --output text
        aws ecr describe-images --repository-name retag --query 'imageDetails[0].imageTags' --output text
        """
    )

    assert (done.code, done.err) == (0, "")
    assert done.out.split() == [built.digest, "latest", "stable"]


def test_images_are_described_and_deleted(shell, server):
    first, second = image(), image()
    listing = index(first, second)
    shell("aws ecr create-repository --repository-name images")
    for built, tag in ((first, "a"), (second, "b"), (listing, "multi")):
        pushed(server, "images", built, tag)
    described = shell("aws ecr describe-images --repository-name images --image-ids imageTag=a imageTag=multi")
    paged = shell(
        "aws ecr list-images --repository-name images --page-size 1 --query 'imageIds[].imageTag' --output text"
    )
    deleted = shell("aws ecr batch-delete-image --repository-name images --image-ids imageTag=a imageTag=multi")
    details = {one["imageTags"][0]: one for one in json.loads(described.out)["imageDetails"]}
    outcome = json.loads(deleted.out)

    assert details["a"]["imageManifestMediaType"] == OCI_IMAGE
    assert details["multi"]["imageSizeInBytes"] == max(sum(map(len, one.blobs)) for one in (first, second))
    assert sorted(paged.out.split()) == ["a", "b", "multi"]
    assert {one["imageTag"] for one in outcome["imageIds"]} == {"a", "multi"}
    assert outcome["failures"] == []


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("aws ecr describe-repositories --repository-names nobodys", "(RepositoryNotFoundException)"),
        ("aws ecr get-signing-configuration", None),
        ("AWS_SECRET_ACCESS_KEY=wrong aws ecr describe-repositories", "(InvalidSignatureException)"),
        ("AWS_ACCESS_KEY_ID=AKIANOBODYNOBODYNOBO aws sts get-caller-identity", "(InvalidClientTokenId)"),
    ],
    ids=["not-found", "nothing-there", "wrong-secret", "unknown-key"],
)
def test_what_goes_wrong_is_told_once_and_at_once(shell, command, says):
    """A client error is not tried again, and the command ends as it does with Amazon's own."""
    done = shell(command)

    assert done.code in (254, 255) and done.out == ""  # version 2, and version 1
    assert "An error occurred (" in done.err
    assert says is None or says in done.err
    assert "reached max retries" not in done.err


def test_the_cli_is_the_locked_one(tmp_path):
    assert Path(run("/bin/sh", "-c", "command -v aws", cwd=tmp_path).out.strip()).parent == BIN
