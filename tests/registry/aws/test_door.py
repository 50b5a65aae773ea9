"""The door, called by real AWS clients and by raw and forged requests."""

import asyncio
import base64
import datetime as dt
import gzip
import json
import logging
import threading
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError

from registry import errors
from registry.aws import door, paging, validate
from registry.budget import ALL, LARGE
from registry.context import Context
from registry.names import AccountId, Digest, Region, RegistryRef, repository_arn
from registry.sts import identity

MIB = 1024 * 1024
TARGET = "AmazonEC2ContainerRegistry_V20150921."
LIST = TARGET + "ListImages"
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
WHO = urlencode({"Action": "GetCallerIdentity", "Version": "2011-06-15"}).encode()
NAMES = [f"app{number:02}" for number in range(25)]


def on_repository(ctx, req) -> str:
    return repository_arn(door.registry_of(ctx, req), req["repositoryName"])


class Toy:
    """A table with a few operations of ECR, and a note of the calls that got through."""

    def __init__(self) -> None:
        self.calls: list[tuple[Context, dict]] = []
        self.error: Exception | None = None
        self.table = table = door.Operations()

        @table.operation("ecr", "ListImages", on=on_repository)
        async def list_images(ctx, req):
            self.calls.append((ctx, dict(req)))
            if self.error is not None:
                raise self.error
            return {"imageIds": [{"imageTag": "v1"}], "private": "stays inside"}

        @table.operation("ecr", "DescribeRepositories", on=lambda ctx, req: "*")
        async def describe_repositories(ctx, req):
            listing = paging.Listing(operation="ecr:DescribeRepositories", registry=door.registry_of(ctx, req))
            after = paging.position(ctx.deps.sealer, listing, req.get("nextToken")) or ""
            page = [name for name in NAMES if name > after][: req.get("maxResults", 10)]
            mark = paging.mark(ctx.deps.sealer, listing, page[-1]) if page[-1] != NAMES[-1] else None
            return {"repositories": [{"repositoryName": name} for name in page], "nextToken": mark}

        @table.operation("ecr", "UploadLayerPart", on=on_repository, body_limit=28 * MIB)
        async def upload_layer_part(ctx, req):
            self.calls.append((ctx, {"thread": threading.current_thread().name}))
            return {
                "lastByteReceived": len(req["layerPartBlob"]) - 1,
                "repositoryName": Digest.of(req["layerPartBlob"]),
            }

        table.operation("sts", "GetCallerIdentity", on=door.NO_PERMISSION_NEEDED)(identity.get_caller_identity)


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
async def server(serve, toy):
    return await serve(toy.table)


def error_of(caught) -> tuple[str, int, str]:
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


# --- real clients -----------------------------------------------------------------------------------------------------


async def test_sts_says_who_asks(serve):
    server = await serve()

    answer = await server.call("sts", "get_caller_identity")

    assert answer["UserId"] == answer["Account"] == "111122223333"
    assert answer["Arn"] == "arn:aws:iam::111122223333:root"
    assert answer["ResponseMetadata"]["RequestId"] == "00000000-0000-4000-8000-000000000001"


async def test_a_call_reaches_its_handler_with_its_context(server, toy):
    answer = await server.call("ecr", "list_images", repositoryName="app")
    (context, req), *_ = toy.calls

    assert answer["imageIds"] == [{"imageTag": "v1"}]
    assert "private" not in answer
    assert req == {"repositoryName": "app"}
    assert context.registry == RegistryRef(AccountId("111122223333"), Region("eu-west-1"))
    assert context.principal.arn == "arn:aws:iam::111122223333:root"
    assert context.source_ip == "127.0.0.1"
    assert "Boto3" in context.user_agent
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"] == context.request_id
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/x-amz-json-1.1"


async def test_botos_paginator_walks_all_pages(server):
    def work():
        with server.client("ecr") as client:
            pages = client.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 7})
            return [[found["repositoryName"] for found in page["repositories"]] for page in pages]

    pages = await asyncio.to_thread(work)

    assert [len(page) for page in pages] == [7, 7, 7, 4]
    assert [name for page in pages for name in page] == NAMES


async def test_another_accounts_registry_is_authorized_as_that(server, toy):
    with pytest.raises(ClientError) as caught:
        await server.call("ecr", "list_images", repositoryName="app", registryId="444455556666")

    code, status, message = error_of(caught)
    assert (code, status) == ("AccessDeniedException", 400)
    assert "ecr:ListImages on resource: arn:aws:ecr:eu-west-1:444455556666:repository/app" in message
    assert not toy.calls


async def test_authorization_comes_after_validation_and_before_the_handler(server, toy):
    with pytest.raises(ClientError) as caught:
        await server.call("ecr", "list_images", repositoryName="UPPER", registryId="444455556666")

    assert error_of(caught)[0] == "InvalidParameterException"
    assert not toy.calls


DOMAIN = [
    (errors.RepositoryNotFound("app", "1" * 12), "RepositoryNotFoundException", 400),
    (errors.InvalidParameter("no"), "InvalidParameterException", 400),
    (errors.LimitExceeded("full"), "LimitExceededException", 400),
    (errors.TooManyRequests("slow down"), "ThrottlingException", 400),
    (errors.DatabaseUnavailable(), "ServerException", 503),
    (errors.StorageFull(), "ServerException", 503),
    (RuntimeError("/secret/path"), "ServerException", 500),
    (ConnectionResetError("/secret/path"), "ServerException", 500),
    (TimeoutError(), "ServerException", 500),
]


@pytest.mark.parametrize(("error", "code", "status"), DOMAIN, ids=lambda value: str(value)[:30])
async def test_a_handlers_error_is_told_in_aws_words(server, toy, caplog, error, code, status):
    toy.error = error
    with pytest.raises(ClientError) as caught:
        await server.call("ecr", "list_images", repositoryName="app")
    told, told_status, message = error_of(caught)
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]

    assert (told, told_status) == (code, status)
    assert "secret" not in message
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"].get("retry-after") == (
        "2" if status == 503 or code == "ThrottlingException" else None
    )
    assert len(logged) == (1 if status == 500 else 0)
    if status == 500:
        assert "00000000-0000-4000-8000-000000000001" in logged[0].getMessage()


async def test_boto_raises_the_modelled_exception_with_its_members(server, toy):
    toy.error = errors.InvalidLayerPart("u", "app", "1" * 12, 41)

    def work():
        with server.client("ecr") as client:
            try:
                client.list_images(repositoryName="app")
            except client.exceptions.InvalidLayerPartException as error:
                return error.response
        return None

    told = await asyncio.to_thread(work)

    assert (told["lastValidByteReceived"], told["uploadId"], told["repositoryName"]) == (41, "u", "app")


async def test_the_largest_part_arrives_and_its_budget_comes_back(server):
    """20,971,520 bytes, base64 in JSON; read off the loop."""
    part = bytes(range(256)) * 81_920
    assert len(part) == 20_971_520

    answer = await server.call(
        "ecr",
        "upload_layer_part",
        repositoryName="app",
        uploadId="0b6d0a9c-3c1f-4a35-9d3a-111122223333",
        partFirstByte=0,
        partLastByte=len(part) - 1,
        layerPartBlob=part,
    )

    assert answer["lastByteReceived"] == len(part) - 1
    assert answer["repositoryName"] == Digest.of(part)
    assert LARGE.free == ALL


# --- which operation --------------------------------------------------------------------------------------------------


async def test_an_operation_that_is_not_built_says_so(server):
    with pytest.raises(ClientError) as caught:
        await server.call("ecr", "start_image_scan", repositoryName="app", imageId={"imageTag": "v1"})

    code, status, message = error_of(caught)
    assert (code, status) == ("UnsupportedOperationException", 400)
    assert "ecr:StartImageScan" in message


async def test_a_query_operation_that_is_not_built_says_so(server):
    with pytest.raises(ClientError) as caught:
        await server.call("sts", "assume_role", RoleArn="arn:aws:iam::111122223333:role/ci", RoleSessionName="s1")

    assert error_of(caught)[:2] == ("UnsupportedOperationException", 400)


@pytest.mark.parametrize(
    "target",
    [
        TARGET + "Nonsense",
        TARGET,
        "Nothing_V1.ListImages",
        "ListImages",
        "",
        "AmazonEC2ContainerServiceV20141113.ListClusters",
        TARGET + "listimages",
        "\udcff.ListImages",
        "x" * 2000,
    ],
)
async def test_an_unknown_target_is_told_with_400(server, target):
    answer = await server.send(server.request(target=target))

    assert (answer.status, answer.json["__type"]) == (400, "UnknownOperationException")


@pytest.mark.parametrize(
    "body", [b"Action=Nonsense&Version=2011-06-15", b"Action=GetCallerIdentity&Version=1999-01-01", b"a=b", b""]
)
async def test_an_unknown_action_is_told_with_400(server, body):
    answer = await server.send(server.request(body, headers=FORM, service="sts"), body)

    assert answer.status == 400
    assert b"<Code>InvalidAction</Code>" in answer.body
    assert answer.headers["content-type"] == "text/xml"


async def test_a_request_without_target_or_form_is_no_operation(server):
    answer = await server.send(server.request())

    assert (answer.status, answer.json["__type"]) == (400, "UnknownOperationException")


def test_an_operation_has_one_handler(toy):
    with pytest.raises(ValueError, match="ecr:ListImages has a handler already"):
        toy.table.operation("ecr", "ListImages", on=door.NO_PERMISSION_NEEDED)(identity.get_caller_identity)


def test_every_operation_of_the_table_is_one_of_its_service():
    for entry in door.OPERATIONS:
        service = next(service for service in door.OPERATIONS.services() if service.name == entry.service)
        assert entry.name in service.operations


# --- who asks ---------------------------------------------------------------------------------------------------------


async def test_the_raw_request_of_these_tests_is_a_good_one(server, toy):
    answer = await server.send(server.request(b'{"repositoryName":"app"}', target=LIST), b'{"repositoryName":"app"}')

    assert answer.status == 200
    assert len(toy.calls) == 1


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [("ecr", "list_images", "InvalidSignatureException"), ("sts", "get_caller_identity", "SignatureDoesNotMatch")],
)
async def test_a_wrong_secret_is_told_in_each_protocols_words(server, toy, service, operation, code):
    params = {"repositoryName": "app"} if service == "ecr" else {}
    with pytest.raises(ClientError) as caught:
        await server.call(service, operation, secret="wrong", **params)

    assert error_of(caught)[0] == code
    assert not toy.calls


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"target": LIST}, b'{"repositoryName":"app"}', b"UnrecognizedClientException"),
        ({"headers": FORM, "service": "sts"}, WHO, b"InvalidClientTokenId"),
    ],
)
async def test_an_unknown_key(server, headers, body, code):
    answer = await server.send(server.request(body, key_id="AKIDNOBODY", **headers), body)

    assert 400 <= answer.status < 500
    assert code in answer.body


async def test_who_asks_is_settled_before_what_they_ask(server):
    """An unsigned request learns nothing of what is built, nor whether its JSON is any good."""
    for target, body in [(LIST, b"nonsense"), (TARGET + "Nonsense", b"{}"), (TARGET + "StartImageScan", b"{}")]:
        headers = [pair for pair in server.request(body, target=target) if pair[0] != "Authorization"]

        answer = await server.send(headers, body)

        assert (answer.status, answer.json["__type"]) == (400, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    "mode", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"]
)
@pytest.mark.parametrize("secret", ["wrong", None])
async def test_unsigned_payload_modes_write_nothing(server, toy, mode, secret):
    """T28."""
    body = b'{"repositoryName":"app"}'
    extra = {"secret": secret} if secret else {}
    answer = await server.send(server.request(body, target=LIST, headers={"X-Amz-Content-SHA256": mode}, **extra), body)

    assert (answer.status, answer.json["__type"]) == (400, "InvalidSignatureException")
    assert not toy.calls


async def test_a_credential_in_the_query_string_writes_nothing(server, toy):
    """T28."""
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Feu-west-1%2Fecr%2Faws4_request"
    body = b'{"repositoryName":"app"}'
    for headers in (
        server.request(body, target=LIST, query=query),
        [("Host", server.netloc), ("X-Amz-Target", LIST), ("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")],
    ):
        answer = await server.send(headers, body, query=query + "&X-Amz-Signature=00")

        assert (answer.status, answer.json["__type"]) == (400, "IncompleteSignatureException")
    assert not toy.calls


async def test_another_body_than_the_signed_one_is_refused(server, toy):
    """T29."""
    body = b'{"repositoryName":"app"}'
    answer = await server.send(server.request(target=LIST, signed_body=b"{}"), body)

    assert (answer.status, answer.json["__type"]) == (400, "InvalidSignatureException")
    assert not toy.calls


@pytest.mark.parametrize("minutes", [-16, 16])
async def test_a_stale_or_future_signature_is_refused_before_the_body_is_read(server, toy, minutes):
    """T30: here the body never comes."""
    headers = server.request(target=LIST)
    server.deps.clock.offset -= dt.timedelta(minutes=minutes)

    answer = await asyncio.wait_for(server.send([*headers, ("Content-Length", "500")], b""), 5)

    assert (answer.status, answer.json["__type"]) == (400, "InvalidSignatureException")


async def test_the_scope_names_the_operations_service(server, toy):
    body = b'{"repositoryName":"app"}'
    for service in ("sts", "ecs", "ECR"):
        answer = await server.send(server.request(body, target=LIST, service=service), body)

        assert (answer.status, answer.json["__type"]) == (400, "InvalidSignatureException")
    answer = await server.send(server.request(WHO, headers=FORM, service="ecr"), WHO)
    assert b"SignatureDoesNotMatch" in answer.body
    assert not toy.calls


@pytest.mark.parametrize("region", ["x", "us east 1", "../..", "US-EAST-1", "a" * 60])
async def test_an_odd_region_is_refused(server, toy, region):
    body = b'{"repositoryName":"app"}'
    answer = await server.send(server.request(body, target=LIST, region=region), body)

    assert (answer.status, answer.json["__type"]) == (400, "InvalidSignatureException")
    assert not toy.calls


@pytest.mark.parametrize("name", ["X-Amz-Target", "X-Amz-Date", "Authorization"])
async def test_repeated_headers_are_refused(server, toy, name):
    """T31."""
    body = b'{"repositoryName":"app"}'
    headers = server.request(body, target=LIST)
    headers.append((name, dict(headers)[name]))

    answer = await server.send(headers, body)

    assert (answer.status, answer.json["__type"]) == (400, "InvalidSignatureException")
    assert not toy.calls


async def test_an_unsigned_target_cannot_turn_one_call_into_another(server, toy):
    """T31: a signed STS call, with a target added on the way."""
    headers = [*server.request(WHO, headers=FORM, service="sts"), ("X-Amz-Target", LIST)]

    answer = await server.send(headers, WHO)

    assert (answer.status, answer.json["__type"]) == (400, "InvalidSignatureException")


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "aws-chunked", "GZIP"])
async def test_an_encoded_body_is_refused_and_never_inflated(server, toy, encoding):
    """T23."""
    body = gzip.compress(b'{"repositoryName":"app"}')
    answer = await server.send(server.request(body, target=LIST, headers={"Content-Encoding": encoding}), body)

    assert (answer.status, answer.json["__type"]) == (415, "UnsupportedMediaTypeException")
    assert not toy.calls


async def test_a_length_over_the_limit_is_refused_before_the_body_comes(server):
    """T19."""
    headers = [*server.request(target=LIST), ("Content-Length", str(64 * MIB))]

    answer = await asyncio.wait_for(server.send(headers, b""), 5)

    assert (answer.status, answer.json["__type"]) == (413, "RequestEntityTooLargeException")


async def test_a_chunked_body_is_cut_off_at_the_limit(server):
    headers = [*server.request(target=LIST), ("Transfer-Encoding", "chunked")]
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"

    answer = await asyncio.wait_for(server.send(headers, chunk * 17), 10)

    assert (answer.status, answer.json["__type"]) == (413, "RequestEntityTooLargeException")
    assert LARGE.free == ALL


async def test_a_chunked_body_is_read(server, toy):
    body = b'{"repositoryName":"app"}'
    headers = [*server.request(body, target=LIST), ("Transfer-Encoding", "chunked")]

    answer = await server.send(headers, b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")

    assert answer.status == 200


async def test_a_body_that_does_not_arrive_in_time_is_told_so(serve, toy):
    """T26."""
    server = await serve(toy.table, json_seconds=1)
    headers = [*server.request(target=LIST), ("Content-Length", "500")]

    answer = await asyncio.wait_for(server.send(headers, b"{"), 10)

    assert (answer.status, answer.json["__type"]) == (408, "RequestTimeoutException")


async def test_large_bodies_wait_for_memory_and_are_told_to_come_again(serve, toy):
    server = await serve(toy.table, json_seconds=1)
    body = b" " * (300 * 1024)
    async with LARGE.hold(ALL):
        answer = await asyncio.wait_for(server.send(server.request(body, target=LIST), body), 10)
        small = await server.send(
            server.request(target=LIST, body=b'{"repositoryName":"app"}'), b'{"repositoryName":"app"}'
        )

    assert (answer.status, answer.json["__type"]) == (503, "ServerException")
    assert answer.headers["retry-after"] == "2"
    assert small.status == 200


async def test_a_client_that_waits_to_be_asked_is_asked(server):
    body = b'{"repositoryName":"app"}'
    host, port = server.netloc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    headers = [*server.request(body, target=LIST), ("Expect", "100-continue"), ("Content-Length", str(len(body)))]
    writer.write("\r\n".join(["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]).encode())
    invited = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.write(body)
    answered = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    writer.close()
    await writer.wait_closed()

    assert invited == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answered.startswith(b"HTTP/1.1 200")


async def test_a_client_that_hangs_up_harms_nobody(server, toy, caplog):
    host, port = server.netloc.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    headers = [*server.request(target=LIST), ("Content-Length", "500")]
    writer.write("\r\n".join(["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]).encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    answer = await server.send(server.request(b'{"repositoryName":"app"}', target=LIST), b'{"repositoryName":"app"}')

    assert answer.status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"[" * 5000, b'{"repositoryName":NaN}', b'{"a":1,"a":2}', b'{"repositoryName":1}', b"\xff"],
)
async def test_bad_json_is_a_400(server, toy, body):
    """T21."""
    answer = await server.send(server.request(body, target=LIST), body)

    assert answer.status == 400
    assert answer.json["__type"] in ("SerializationException", "InvalidParameterException")
    assert not toy.calls


async def test_a_bad_form_is_a_400(server):
    body = WHO + b"&Action=GetCallerIdentity"
    answer = await server.send(server.request(body, headers=FORM, service="sts"), body)

    assert answer.status == 400
    assert b"<Code>MalformedInput</Code>" in answer.body


async def test_a_large_json_body_is_read_off_the_loop(server, monkeypatch):
    """F47: a megabyte of JSON must not keep other requests waiting."""
    threads: list[str] = []
    read = validate.read_json

    def noting(body):
        threads.append(threading.current_thread().name)
        return read(body)

    monkeypatch.setattr(validate, "read_json", noting)
    small = b'{"repositoryName":"app"}'
    large = json.dumps({"repositoryName": "app", "padding": base64.b64encode(b"x" * 400_000).decode()}).encode()
    for body in (small, large):
        assert (await server.send(server.request(body, target=LIST), body)).status == 200

    assert threads[0] == threading.main_thread().name
    assert threads[1] != threading.main_thread().name
