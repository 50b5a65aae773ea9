"""Calls of the AWS door as bytes, signed by botocore."""

from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers import KEY_ID, REGION, SECRET, RunningServer
from tests.wire import head

TARGET = "AmazonEC2ContainerRegistry_V20150921"


def signed_headers(server: RunningServer, operation: str, body: bytes, target: str = TARGET) -> dict[str, str]:
    """The headers of a call of ECR by the root user."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{target}.{operation}"}
    request = AWSRequest(method="POST", url=server.url + "/", data=body, headers=headers)
    SigV4Auth(Credentials(KEY_ID, SECRET), "ecr", REGION).add_auth(request)
    return {"Host": server.netloc, **dict(request.headers.items())}


def signed_head(server: RunningServer, operation: str, body: bytes, more: Mapping[str, str] | None = None) -> bytes:
    """The head of a call; `more` headers are not signed, and may take the place of Content-Length."""
    headers = {**signed_headers(server, operation, body), "Content-Length": str(len(body)), **(more or {})}
    return head("POST", "/", {name: value for name, value in headers.items() if value})
