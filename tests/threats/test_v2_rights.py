"""Which rights each call of `/v2/` takes: those of its table suffice, and without any one of them it is refused (T05).

Source: ECR user guide, "Required IAM permissions for pushing an image", and the operations of the same meaning.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pytest

from tests.builders import Built, digest_of, image, index, push, push_blob, unique_bytes, unique_name
from tests.iam import Keys, client, make_user, policy
from tests.servers import ACCOUNT, REGION, Answer, RunningServer, basic

pytestmark = pytest.mark.real("boto3")

BEGIN, PART, COMPLETE = "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"
# name -> the rights that it takes
NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "manifest": ("ecr:BatchGetImage",),
    "blob": ("ecr:GetDownloadUrlForLayer",),
    "tags": ("ecr:ListImages",),
    "referrers": ("ecr:BatchGetImage",),
    "begin": (BEGIN,),
    "whole-in-one-post": (BEGIN, PART, COMPLETE),
    "empty-blob-in-one-post": (BEGIN, COMPLETE),
    "chunk": (PART,),
    "where-it-is": (PART,),
    "cancel": (PART,),
    "close": (COMPLETE,),
    "close-with-the-last-bytes": (COMPLETE, PART),
    "put-manifest": ("ecr:PutImage",),
    "delete-tag": ("ecr:BatchDeleteImage",),
    "delete-manifest": ("ecr:BatchDeleteImage",),
    "delete-blob": ("ecr:BatchDeleteImage",),
}


class Stage(NamedTuple):
    server: RunningServer
    keys: Keys
    name: str  # of the user
    built: Built
    repository: str

    def may(self, *actions: str) -> None:
        """From now on the user may do just this, on this repository."""
        arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{self.repository}"
        allowed = policy(Action=list(actions) or ["ecr:CreateRepository"], Resource=arn)
        with client(self.server, "iam") as iam:
            iam.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=allowed)

    def ask(self, method: str, rest: str, body: bytes | None = None, **headers: str) -> Answer:
        path = rest if rest.startswith("/") else f"/v2/{self.repository}/{rest}"
        return self.server.request(method, path, body, headers, auth=basic(self.keys.access_key_id, self.keys.secret))

    def begun(self, *, with_bytes: bool) -> str:
        """The path of an upload that the root user began."""
        path = self.server.request("POST", f"/v2/{self.repository}/blobs/uploads/").headers["Location"]
        if with_bytes:
            assert self.server.request("PATCH", path, b"abc").status == 202
        return str(path)


@pytest.fixture(scope="module")
def user(shared_server: RunningServer) -> tuple[str, Keys]:
    name = unique_name("user")
    return name, make_user(shared_server, name)[1]


@pytest.fixture
def stage(shared_server: RunningServer, user: tuple[str, Keys], repository: str) -> Iterator[Stage]:
    built = image()
    push(shared_server, repository, built, "v1")
    yield Stage(shared_server, user[1], user[0], built, repository)


def _layer(stage: Stage) -> str:
    return digest_of(stage.built.blobs[1])


def _put(stage: Stage) -> Answer:
    listed = index(stage.built)
    return stage.ask("PUT", "manifests/v2", listed.body, **{"Content-Type": listed.media_type})


def _whole(stage: Stage, data: bytes) -> Answer:
    return stage.ask("POST", f"blobs/uploads/?digest={digest_of(data)}", data or None)


def _closed(stage: Stage, more: bytes) -> Answer:
    path = stage.begun(with_bytes=True)
    return stage.ask("PUT", f"{path}?digest={digest_of(b'abc' + more)}", more or None)


# Each on something of its own.
CALLS: Final[dict[str, Callable[[Stage], Answer]]] = {
    "manifest": lambda at: at.ask("GET", "manifests/v1"),
    "blob": lambda at: at.ask("GET", f"blobs/{_layer(at)}"),
    "tags": lambda at: at.ask("GET", "tags/list"),
    "referrers": lambda at: at.ask("GET", f"referrers/{at.built.digest}"),
    "begin": lambda at: at.ask("POST", "blobs/uploads/"),
    "whole-in-one-post": lambda at: _whole(at, unique_bytes()),
    "empty-blob-in-one-post": lambda at: _whole(at, b""),
    "chunk": lambda at: at.ask("PATCH", at.begun(with_bytes=False), b"abc"),
    "where-it-is": lambda at: at.ask("GET", at.begun(with_bytes=True)),
    "cancel": lambda at: at.ask("DELETE", at.begun(with_bytes=True)),
    "close": lambda at: _closed(at, b""),
    "close-with-the-last-bytes": lambda at: _closed(at, unique_bytes()),
    "put-manifest": _put,
    "delete-tag": lambda at: at.ask("DELETE", "manifests/v1"),
    "delete-manifest": lambda at: at.ask("DELETE", f"manifests/{at.built.digest}"),
    "delete-blob": lambda at: at.ask("DELETE", f"blobs/{push_blob(at.server, at.repository, unique_bytes())}"),
}


@pytest.mark.parametrize("call", NEEDED)
def test_the_rights_of_a_call_suffice(stage: Stage, call: str) -> None:
    stage.may(*NEEDED[call])

    assert CALLS[call](stage).status < 300


LACKING: Final = [(call, action) for call, actions in NEEDED.items() for action in actions]


@pytest.mark.parametrize(("call", "lacking"), LACKING, ids=[f"{call}-without-{one[4:]}" for call, one in LACKING])
def test_without_one_of_them_it_is_refused(stage: Stage, call: str, lacking: str) -> None:
    """Though every other right is there."""
    every = {action for actions in NEEDED.values() for action in actions} | {"ecr:Describe*", "ecr:BatchCheck*"}
    stage.may(*sorted(every - {lacking}))
    refused = CALLS[call](stage)

    assert (refused.status, refused.code) == (403, "DENIED")
    assert f"not authorized to perform: {lacking} " in refused.json["errors"][0]["message"]


@pytest.mark.parametrize("action", ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer"])
def test_either_right_lets_ask_whether_a_blob_is_there(stage: Stage, action: str) -> None:
    stage.may(action)
    there = stage.ask("HEAD", f"blobs/{_layer(stage)}").status
    stage.may()

    assert (there, stage.ask("HEAD", f"blobs/{_layer(stage)}").status) == (200, 403)
