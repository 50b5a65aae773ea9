"""The ECR API as tests call it: refusals as values, and pushes that use nothing else."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.builders import Built, digest_of
from tests.servers import KEY_ID, REGION, SECRET, Answer, RunningServer

PART: Final = 10 * 1024 * 1024


class Refusal(NamedTuple):
    """How a call was refused. `response` holds what else the error carries."""

    code: str
    status: int
    message: str
    response: dict[str, Any]


def refusal(call: Callable[..., Any], **parameters: Any) -> Refusal:
    """The refusal of a call that must not succeed."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    told = caught.value.response
    return Refusal(
        told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Message"], {**told}
    )


def upload_layer(ecr: Any, repository: str, data: bytes, *, part: int = PART) -> str:
    """A layer in parts of `part` bytes; its digest."""
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    for first in range(0, len(data), part):
        send_part(ecr, repository, upload, data[first : first + part], first)
    done = ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest_of(data)])
    return str(done["layerDigest"])


def send_part(ecr: Any, repository: str, upload: str, data: bytes, first: int = 0) -> dict[str, Any]:
    sent: dict[str, Any] = ecr.upload_layer_part(
        repositoryName=repository,
        uploadId=upload,
        partFirstByte=first,
        partLastByte=first + len(data) - 1,
        layerPartBlob=data,
    )
    return sent


def put_image(ecr: Any, repository: str, built: Built, tag: str | None = None, **more: Any) -> dict[str, Any]:
    """PutImage without its layers; the image."""
    if tag is not None:
        more["imageTag"] = tag
    image: dict[str, Any] = ecr.put_image(repositoryName=repository, imageManifest=built.body.decode(), **more)["image"]
    return image


def push_image(ecr: Any, repository: str, built: Built, tag: str | None = None) -> str:
    """The layers that are not there yet, and the manifest; its digest."""
    for blob in dict.fromkeys(built.blobs):
        found = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest_of(blob)])["layers"]
        if found[0]["layerAvailability"] != "AVAILABLE":
            upload_layer(ecr, repository, blob)
    put_image(ecr, repository, built, tag)
    return built.digest


def signed(server: RunningServer, operation: str, body: bytes, **headers: str) -> Answer:
    """An ECR call with these very bytes, signed by botocore: for what no client would send."""
    target = {"X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}", **headers}
    request = AWSRequest("POST", f"{server.url}/", data=body, headers=target)
    SigV4Auth(Credentials(KEY_ID, SECRET), "ecr", REGION).add_auth(request)
    given = dict(request.headers.items())
    return server.request("POST", "/", body, given, auth=given.pop("Authorization"))
