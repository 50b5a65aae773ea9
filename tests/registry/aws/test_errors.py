"""Every domain error has an AWS face, and no face is invented."""

import inspect
from collections.abc import Callable

import pytest

from registry import errors
from registry.aws import spec
from registry.aws.errors import COMMON, Refusal, code_of, face
from registry.names import BadName, Digest, RepositoryName

ECR, IAM, STS = spec.load("ecr"), spec.load("iam"), spec.load("sts")
CREATE = ECR.operations["CreateRepository"]

GROUPS = {errors.LongshoreError, *errors.LongshoreError.__subclasses__()}  # never raised themselves
CONCRETE = sorted(
    (
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, errors.LongshoreError) and kind not in GROUPS
    ),
    key=lambda kind: kind.__name__,
)
FACTS = {
    "holder": "The repository app", "allowed": 1, "used": 1, "asked": 1,
    "account": "1" * 12, "name": "app", "digest": "sha256:" + "0" * 64, "tag": "v1", "digests": ["d"], "upload": "u",
    "arn": "arn", "parents": ["p"], "wanted": "w", "found": "f", "last_valid_byte": 41, "why": "because", "what": "it",
    "limit": 10, "size": 42, "message": "m", "principal": "p", "action": "a", "resource": "r",
    "percent": 101,
}  # fmt: skip


def instance(kind: type[errors.LongshoreError]) -> errors.LongshoreError:
    wanted = [
        parameter.name
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.default is parameter.empty
    ]
    made: Callable[..., errors.LongshoreError] = kind
    return made(**{name: FACTS[name] for name in wanted})


@pytest.mark.parametrize("kind", CONCRETE, ids=lambda kind: kind.__name__)
def test_every_domain_error_has_a_code_that_aws_knows(kind):
    told = face(instance(kind), ECR, CREATE)

    assert any(told.code in known for known in (ECR.errors, IAM.errors, STS.errors, COMMON))
    assert told.status == (503 if issubclass(kind, errors.Unavailable) else 400)
    assert told.message == str(instance(kind))


@pytest.mark.parametrize("kind", CONCRETE, ids=lambda kind: kind.__name__)
def test_what_an_error_carries_are_members_of_its_shape(kind):
    told = face(instance(kind), ECR, CREATE)

    if told.members:
        assert set(told.members) < set(ECR.shapes[ECR.errors[told.code].shape].members)


def test_the_odd_names_are_the_documented_ones():
    assert code_of(errors.RepositoryNotFound) == "RepositoryNotFoundException"
    assert code_of(errors.BlobNotFound) == "LayersNotFoundException"
    assert code_of(errors.ManifestInvalid) == "InvalidParameterException"
    assert code_of(errors.TooManyRequests) == "ThrottlingException"


def test_an_invalid_part_says_how_far_the_upload_got():
    told = face(errors.InvalidLayerPart("u", "app", "1" * 12, 41), ECR, CREATE)

    assert told.members == {
        "registryId": "1" * 12,
        "repositoryName": "app",
        "uploadId": "u",
        "lastValidByteReceived": 41,
    }


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("CreateRepository", "InvalidParameterException"),
        ("DescribePullThroughCacheRules", "InvalidParameterException"),  # declares both
        ("PutAccountSetting", "InvalidParameterException"),
        ("GetAccountSetting", "InvalidParameterException"),
    ],
)
def test_a_bad_parameter_of_ecr(operation, code):
    told = face(errors.InvalidParameter("no"), ECR, ECR.operations[operation])

    assert told.code == code


def test_a_bad_parameter_where_only_validation_exception_is_declared():
    only = [
        operation
        for operation in ECR.operations.values()
        if "ValidationException" in operation.errors and "InvalidParameterException" not in operation.errors
    ]
    for operation in only:
        assert face(errors.InvalidParameter("no"), ECR, operation).code == "ValidationException"
    assert face(errors.InvalidParameter("no"), spec.load("ecs"), None).code == "InvalidParameterException"
    assert face(errors.InvalidParameter("no"), STS, None).code == "ValidationError"


@pytest.mark.parametrize(
    ("parse", "field"),
    [(lambda: RepositoryName.parse("A"), "repositoryName"), (lambda: Digest.parse("x"), "imageDigest")],
)
def test_a_bad_name_is_a_bad_parameter(parse, field):
    with pytest.raises(BadName) as caught:
        parse()
    told = face(caught.value, ECR, CREATE)

    assert told.code == "InvalidParameterException"
    assert told.message.startswith(f"Invalid parameter at '{field}' failed to satisfy constraint: '")


def test_what_nobody_foresaw_says_nothing_of_the_inside():
    told = face(RuntimeError("/var/lib/secret.db: no such table"), ECR, CREATE)

    assert (told.code, told.status) == ("ServerException", 500)
    assert "secret" not in told.message


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.NotAuthenticated(), "InvalidClientTokenId", 403),
        (errors.NotAuthenticated("", code="InvalidSignatureException"), "SignatureDoesNotMatch", 403),
        (errors.NotAuthenticated("", code="MissingAuthenticationTokenException"), "MissingAuthenticationToken", 403),
        (errors.NotAuthenticated("", code="IncompleteSignatureException"), "IncompleteSignature", 400),
        (errors.AccessDenied("p", "a", "r"), "AccessDenied", 403),
        (errors.DatabaseUnavailable(), "ServiceUnavailable", 503),
        (Refusal("UnknownOperationException", 400, ""), "InvalidAction", 400),
        (Refusal("SerializationException", 400, ""), "MalformedInput", 400),
        (RuntimeError(), "InternalFailure", 500),
        (errors.LimitExceeded(""), "LimitExceeded", 409),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_query_protocol_has_its_own_names(error, code, status):
    told = face(error, spec.load("iam"), None)

    assert (told.code, told.status) == (code, status)


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (errors.StorageFull(), True),
        (errors.TooManyRequests("slow down"), True),
        (Refusal("ServerException", 503, ""), True),
        (errors.RepositoryNotFound("a", "1" * 12), False),
        (RuntimeError(), False),
    ],
    ids=str,
)
def test_only_what_may_succeed_later_asks_for_a_retry(error, retry):
    assert face(error, ECR, CREATE).retry is retry
