"""Log lines of the ECR API (T59): one for every change and every denial, and none that a client wrote."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api import push_image, put_image, refusal, send_part, signed
from tests.builders import digest_of, image, push, unique_bytes, unique_name
from tests.servers import ACCOUNT, REGION, RunningServer
from tests.waiting import until

pytestmark = pytest.mark.real("boto3")

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ALLOW = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}]}
)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RunningServer]:
    """A server whose output only these tests fill."""
    running = RunningServer(tmp_path_factory.mktemp("logs") / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server) -> Iterator[Any]:
    with server.client() as made:
        yield made


def lines(server: RunningServer) -> list[dict[str, Any]]:
    """Every line of the log; each must be one JSON object."""
    return [json.loads(line) for line in list(server.output) if not line.startswith("longshore ready on ")]


def lines_of(server: RunningServer, request_id: str) -> list[dict[str, Any]]:
    return until(lambda: [one for one in lines(server) if one.get("request_id") == request_id], what=request_id)


def request_id(answer: dict[str, Any]) -> str:
    return str(answer["ResponseMetadata"]["RequestId"])


def arn_of(name: str) -> str:
    return f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}"


def changes(ecr: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation that changes something, done once: its action, and the answer."""
    built, other, data = image(), image(), unique_bytes()
    yield "CreateRepository", ecr.create_repository(repositoryName=name)
    yield "TagResource", ecr.tag_resource(resourceArn=arn_of(name), tags=[{"Key": "k", "Value": "v"}])
    yield "UntagResource", ecr.untag_resource(resourceArn=arn_of(name), tagKeys=["k"])
    yield "SetRepositoryPolicy", ecr.set_repository_policy(repositoryName=name, policyText=ALLOW)
    yield "DeleteRepositoryPolicy", ecr.delete_repository_policy(repositoryName=name)
    yield (
        "PutImageScanningConfiguration",
        ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration={}),
    )
    yield "PutImageTagMutability", ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability="MUTABLE")
    begun = ecr.initiate_layer_upload(repositoryName=name)
    yield "InitiateLayerUpload", begun
    yield "UploadLayerPart", send_part(ecr, name, begun["uploadId"], data)
    yield (
        "CompleteLayerUpload",
        ecr.complete_layer_upload(repositoryName=name, uploadId=begun["uploadId"], layerDigests=[digest_of(data)]),
    )
    push_image(ecr, name, built)
    push_image(ecr, name, other)
    yield "PutImage", ecr.put_image(repositoryName=name, imageManifest=built.body.decode(), imageTag="v1")
    yield "BatchDeleteImage", ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])
    yield "PutAccountSetting", ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    yield "GetAuthorizationToken", ecr.get_authorization_token()
    yield "DeleteRepository", ecr.delete_repository(repositoryName=name, force=True)


def test_every_change_leaves_one_line(server, client):
    name = unique_name()
    done = [(action, request_id(answer)) for action, answer in changes(client, name)]

    for action, identifier in done:
        (line,) = lines_of(server, identifier)
        assert (line["principal"], line["action"], line["status"]) == (ROOT, f"ecr:{action}", 200)
        assert line["resource"] == ("*" if action in ("PutAccountSetting", "GetAuthorizationToken") else arn_of(name))
        assert line["source"] == "127.0.0.1" and "Boto3" in line["user_agent"]


def test_what_only_reads_and_succeeds_is_not_logged(server, client):
    name = unique_name()
    client.create_repository(repositoryName=name)
    reads = [
        client.describe_repositories(repositoryNames=[name]),
        client.list_images(repositoryName=name),
        client.describe_registry(),
        client.get_account_setting(name="BLOB_MOUNTING"),
        client.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "v1"}]),
    ]
    last = client.delete_repository(repositoryName=name)
    lines_of(server, request_id(last))  # lines come in order: what was before would be there
    logged = {one.get("request_id") for one in lines(server)}

    assert not logged & {request_id(answer) for answer in reads}


def test_every_refusal_leaves_a_line_with_its_error(server, client):
    name = unique_name()
    client.create_repository(repositoryName=name)
    told = {
        "RepositoryAlreadyExistsException": refusal(client.create_repository, repositoryName=name),
        "RepositoryNotFoundException": refusal(client.list_images, repositoryName="nobody/made-this"),
        "AccessDeniedException": refusal(client.list_images, registryId="999999999999", repositoryName=name),
        "InvalidParameterException": refusal(client.list_images, repositoryName="NO NAME"),
    }
    for code, one in told.items():
        (line,) = lines_of(server, request_id(one.response))

        assert (line["error"], line["status"], line["principal"]) == (code, 400, ROOT)
        assert line["action"] == ("ecr:CreateRepository" if "Already" in code else "ecr:ListImages")
    (denied,) = lines_of(server, request_id(told["AccessDeniedException"].response))
    assert denied["resource"] == f"arn:aws:ecr:{REGION}:999999999999:repository/{name}"


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({"aws_access_key_id": "AKIANOBODYNOBODYNOBO"}, "UnrecognizedClientException"),
        ({"aws_secret_access_key": "not-the-secret-of-this-key"}, "InvalidSignatureException"),
    ],
    ids=["unknown-key", "wrong-secret"],
)
def test_who_could_not_log_in_is_logged_without_a_principal(server, credentials, code):
    with server.client(**credentials) as stranger:
        told = refusal(stranger.create_repository, repositoryName="app")
    (line,) = lines_of(server, request_id(told.response))

    assert (line["error"], line["principal"]) == (code, None)
    assert line["action"].endswith(".CreateRepository")


def test_a_refusal_of_sts_names_its_operation(server):
    """The query protocol has no header that says it."""
    with server.client("sts") as sts:
        told = refusal(sts.assume_role)
    (line,) = lines_of(server, request_id(told.response))

    assert (line["action"], line["principal"]) == ("sts:AssumeRole", ROOT)


def test_changes_by_v2_leave_one_line_each(server, client):
    name = unique_name()
    client.create_repository(repositoryName=name)
    built = image()
    push(server, name, built, "v1")
    answers = [
        server.request("DELETE", f"/v2/{name}/manifests/v1"),
        server.request("DELETE", f"/v2/{name}/manifests/{built.digest}"),
        server.request("PUT", f"/v2/{name}/manifests/v2", built.body, {"Content-Type": built.media_type}),
    ]
    headers = {"Host": f"999999999999.dkr.ecr.us-east-1.localhost:{urlsplit(server.url).port}"}
    denied = server.request("GET", f"/v2/{name}/manifests/v1", headers=headers)
    for answer in (*answers, denied):
        (line,) = lines_of(server, answer.headers["x-amzn-RequestId"])

        assert (line["status"], line["principal"]) == (answer.status, ROOT)
        assert line["path"].startswith(f"/v2/{name}/manifests/")
    assert denied.status == 403


# --- forging ----------------------------------------------------------------------------------------------------------

FORGED = '{"event":"request","status":200,"principal":"forged"}'


@pytest.mark.parametrize(
    "agent",
    [
        b"x\\r\\n" + FORGED.encode(),
        b"x\t" + FORGED.encode(),
        b'", "principal": "forged", "x": "',
        b"x\xe2\x80\xa8" + FORGED.encode(),
        b"x\xc2\x85" + FORGED.encode(),
        b"\xff\xfe\x80",
        b"A" * 4000,
    ],
    ids=["escapes", "tab", "quotes", "line-separator", "next-line", "no-utf8", "long"],
)
def test_a_user_agent_stays_inside_its_field(server, agent):
    before = len(server.output)
    identifier = raw(server, agent)
    (line,) = lines_of(server, identifier)

    assert not [one for one in lines(server) if one.get("principal") == "forged"]
    assert len(line["user_agent"]) <= 256
    assert len(server.output) - before == 1


@pytest.mark.parametrize("agent", [b"x\r\n" + FORGED.encode(), b"x\n" + FORGED.encode(), b"x\x00\x1b[2Jy"])
def test_a_header_with_control_characters_is_no_request(server, agent):
    """Nothing of it comes into the log as a line of its own."""
    raw(server, agent)

    assert not [one for one in lines(server) if one.get("principal") == "forged"]


@pytest.mark.parametrize(
    "call",
    [
        {"repositoryName": "app\r\n" + FORGED},
        {"repositoryName": "app\x1b[2J"},
        {"repositoryName": "app\u2028" + FORGED},
        {"repositoryName": "app", "registryId": "1\n" + FORGED},
    ],
    ids=["newline", "escape", "line-separator", "registry"],
)
def test_a_name_stays_inside_its_field(server, call):
    answer = signed(server, "ListImages", json.dumps(call).encode())
    (line,) = lines_of(server, answer.headers["x-amzn-RequestId"])

    assert line["error"] == "InvalidParameterException"
    assert not [one for one in lines(server) if one.get("principal") == "forged"]


def test_a_target_stays_inside_its_field(server):
    answer = signed(server, 'List", "principal": "forged' + "x" * 500, b"{}")
    (line,) = lines_of(server, answer.headers["x-amzn-RequestId"])

    assert line["principal"] == ROOT
    assert len(line["action"]) <= 128


def test_a_layers_url_is_not_in_the_log(server, client):
    """It opens the layer to whoever reads it there."""
    name = unique_name()
    client.create_repository(repositoryName=name)
    built = image()
    push_image(client, name, built)
    put_image(client, name, built, "v1")
    url = client.get_download_url_for_layer(repositoryName=name, layerDigest=digest_of(built.blobs[1]))["downloadUrl"]
    grant = url.rpartition("=")[2]
    path = url.removeprefix(server.url)
    for spoilt in (path + "&x=1", path.replace("X-Longshore-Grant", "%58-Longshore-Grant") + "&x=1"):
        answer = server.request("GET", spoilt, auth=None)
        (line,) = lines_of(server, answer.headers["x-amzn-RequestId"])

        assert answer.status == 403
        assert line["path"] == path.partition("?")[0] + "?(hidden)"
    assert not [one for one in server.output if grant in one]


def raw(server: RunningServer, agent: bytes) -> str:
    """A POST that nobody signed, with this User-Agent; its request id, or nothing where it is no request."""
    at = urlsplit(server.url)
    head = (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n"
        b"X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.ListImages\r\nUser-Agent: " + agent + b"\r\n\r\n{}"
    )
    with socket.create_connection((at.hostname, at.port or 0), timeout=20) as connection:
        connection.sendall(head)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    found = [line for line in answer.split(b"\r\n") if line.lower().startswith(b"x-amzn-requestid: ")]
    return found[0].split(b": ")[1].decode() if found else ""
