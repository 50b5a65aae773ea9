"""Every text of every operation, as an attacker would fill it (T62), and what errors give away (T52)."""

import copy
import itertools
import json
import random
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

import longshore.app  # for the operations that it puts on the table
from registry.aws import spec
from registry.aws.door import OPERATIONS
from tests.api import signed
from tests.builders import digest_of, image, push, unique_name
from tests.servers import ACCOUNT, REGION

pytestmark = pytest.mark.real("boto3")

assert longshore.app.DOORS
SERVICE: Final = spec.load("ecr")
BUILT: Final = sorted(entry.name for entry in OPERATIONS if entry.service == "ecr")
EVIL: Final = [
    "' or 1=1--",
    '" or ""="',
    "'; drop table repositories;--",
    "%",
    "_",
    "vict_m%",
    "*",
    "\x00",
    "victim\x00",
    "\\",
    "../../../../etc/passwd",
    "{{7*7}}${7*7}",
    "\u2028\ud83d\ude00",
    "A" * 5000,
]
# What must never be in an error: a path of the machine, our code, our database.
LEAKS: Final = re.compile(
    rb"Traceback|sqlite|sqlalchemy|SELECT |INSERT |\.py\b|line [0-9]+|/(?:usr|home|root|tmp|var|opt|work|proc)/",
    re.IGNORECASE,
)
NAME: Final = "REPOSITORY"
UPLOAD: Final = "00000000-0000-4000-8000-000000000000"
# Calls that get as far as they can, with every text filled in. NAME stands for a repository of the attacker's own.
CALLS: Final[dict[str, dict[str, Any]]] = {
    "BatchCheckLayerAvailability": {"repositoryName": NAME, "layerDigests": [digest_of(b"x")]},
    "BatchDeleteImage": {"repositoryName": NAME, "imageIds": [{"imageTag": "v9", "imageDigest": digest_of(b"x")}]},
    "BatchGetImage": {
        "repositoryName": NAME,
        "imageIds": [{"imageTag": "v1", "imageDigest": digest_of(b"x")}],
        "acceptedMediaTypes": ["a/b"],
    },
    "CompleteLayerUpload": {"repositoryName": NAME, "uploadId": UPLOAD, "layerDigests": [digest_of(b"x")]},
    "CreateRepository": {
        "repositoryName": NAME,
        "tags": [{"Key": "k", "Value": "v"}],
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "x"}],
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "alias/own"},
    },
    "DeleteRepository": {"repositoryName": "no-such"},
    "DeleteRepositoryPolicy": {"repositoryName": NAME},
    "DescribeImages": {
        "repositoryName": NAME,
        "filter": {"tagStatus": "ANY", "imageStatus": "ANY"},
        "imageIds": [{"imageTag": "v1", "imageDigest": digest_of(b"x")}],
    },
    "DescribeRepositories": {"repositoryNames": [NAME]},
    "GetAccountSetting": {"name": "BLOB_MOUNTING"},
    "GetAuthorizationToken": {"registryIds": [ACCOUNT]},
    "GetDownloadUrlForLayer": {"repositoryName": NAME, "layerDigest": digest_of(b"x")},
    "GetRepositoryPolicy": {"repositoryName": NAME},
    "InitiateLayerUpload": {"repositoryName": NAME},
    "ListImageReferrers": {
        "repositoryName": NAME,
        "subjectId": {"imageDigest": digest_of(b"x")},
        "filter": {"artifactTypes": ["a/b"], "artifactStatus": "ANY"},
    },
    "ListImages": {"repositoryName": NAME, "filter": {"tagStatus": "ANY", "imageStatus": "ANY"}},
    "ListTagsForResource": {"resourceArn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{NAME}"},
    "PutAccountSetting": {"name": "BLOB_MOUNTING", "value": "ENABLED"},
    "PutImage": {
        "repositoryName": NAME,
        "imageManifest": image().body.decode(),
        "imageManifestMediaType": image().media_type,
        "imageTag": "v9",
        "imageDigest": digest_of(b"x"),
    },
    "PutImageScanningConfiguration": {"repositoryName": NAME, "imageScanningConfiguration": {"scanOnPush": False}},
    "PutImageTagMutability": {
        "repositoryName": NAME,
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "x"}],
    },
    "SetRepositoryPolicy": {"repositoryName": NAME, "policyText": '{"Version":"2012-10-17","Statement":[]}'},
    "TagResource": {
        "resourceArn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{NAME}",
        "tags": [{"Key": "k", "Value": "v"}],
    },
    "UntagResource": {"resourceArn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{NAME}", "tagKeys": ["k"]},
    "UploadLayerPart": {
        "repositoryName": NAME,
        "uploadId": UPLOAD,
        "partFirstByte": 0,
        "partLastByte": 0,
        "layerPartBlob": "eA==",
    },
}

Path = tuple[str | int, ...]


def texts_of(shape: str, path: Path = ()) -> Iterator[Path]:
    """The place of every text in a value of that shape."""
    found = SERVICE.shapes[shape]
    if found.kind == "structure":
        for member, inner in found.members.items():
            yield from texts_of(inner, (*path, member))
    elif found.kind == "list":
        yield from texts_of(found.item, (*path, 0))
    elif found.kind == "string":
        yield path


def with_text(call: dict[str, Any], path: Path, text: str) -> dict[str, Any]:
    """The call with the text at the path, and what has to be around it."""
    changed = copy.deepcopy(call)
    place: Any = changed
    for step, following in itertools.pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(step, int) and not place:
            place.append(empty)
        place = place[step] if isinstance(step, int) else place.setdefault(step, empty)
    if isinstance(path[-1], int):
        place[:] = [text]
    else:
        place[path[-1]] = text
    return changed


def of(operation: str, repository: str) -> dict[str, Any]:
    """The operation's call about this repository."""
    made: dict[str, Any] = json.loads(json.dumps(CALLS.get(operation, {})).replace(NAME, repository))
    return made


@pytest.fixture(scope="module")
def own(shared_server) -> str:
    """The attacker's own repository, with an image."""
    name = unique_name("attacker")
    shared_server.create(name)
    push(shared_server, name, image(), "v1")
    return name


@pytest.fixture(scope="module")
def victim(shared_server) -> tuple[str, str]:
    """A repository that no answer may tell of, and its image's digest."""
    name = unique_name("victim")
    shared_server.create(name)
    return name, push(shared_server, name, image(), "v1")


@pytest.mark.parametrize("operation", BUILT)
def test_no_text_is_more_than_a_text(shared_server, ecr, own, victim, operation):
    """T62: no row of another repository comes out or is harmed, and no text is the server's failure."""
    shape = SERVICE.operations[operation].input
    for path in texts_of(shape) if shape else ():
        for text in EVIL:
            call = with_text(of(operation, own), path, text)
            answer = signed(shared_server, operation, json.dumps(call).encode())

            assert answer.status in (200, 400), (path, text, answer.body)
            assert victim[0].encode() not in answer.body and victim[1].encode() not in answer.body, (path, text)
            assert not LEAKS.search(answer.body) or answer.status == 200, (path, text, answer.body)
    (found,) = ecr.describe_images(repositoryName=victim[0])["imageDetails"]
    assert (found["imageDigest"], found["imageTags"]) == (victim[1], ["v1"])


def mutated(value: Any, chance: random.Random) -> Any:
    """The call with one value somewhere in it replaced by one of another kind."""
    strange: list[Any] = [None, True, 0, -1, 2**63, 1.5, "", "x", "\ud800", [], {}, [[]], {"a": {}}, ["x"] * 200]
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(sorted(value))
        return {**value, key: mutated(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.5:
        return [mutated(value[0], chance), *value[1:]]
    return chance.choice(strange)


@pytest.mark.parametrize("operation", BUILT)
def test_errors_tell_nothing_of_the_inside(shared_server, own, operation):
    """T52: calls with values of wrong kinds are the caller's mistake, and the answer speaks of nothing else."""
    chance = random.Random(operation)
    kinds: set[int] = set()
    for _ in range(40):
        body = json.dumps(mutated(of(operation, own), chance)).encode()
        answer = signed(shared_server, operation, body)
        kinds.add(answer.status)

        assert answer.status in (200, 400), (body, answer.body)
        if answer.status == 400:
            assert set(answer.json) >= {"__type", "message"}
            assert not LEAKS.search(answer.body), (body, answer.body)
            assert str(shared_server.data).encode() not in answer.body
    assert 400 in kinds or not SERVICE.shapes[SERVICE.operations[operation].input or ""].members


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"\xff\xfe", b"[]", b"null", b'{"a":1,"a":1}', b"[" * 9000, b'{"a":NaN}', b'"\\ud800"'],
    ids=["empty", "cut", "no-json", "no-utf8", "list", "null", "key-twice", "deep", "nan", "surrogate"],
)
@pytest.mark.parametrize(
    "operation", ["CreateRepository", "PutImage", "UploadLayerPart", "NoSuchOperation", "", "../x"]
)
def test_bodies_that_are_no_call_are_refused_in_one_sentence(shared_server, operation, body):
    answer = signed(shared_server, operation, body)

    assert answer.status == 400
    assert not LEAKS.search(answer.body)
    assert re.fullmatch(r"[A-Za-z]+Exception", answer.json["__type"])
