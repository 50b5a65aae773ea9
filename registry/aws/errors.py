"""Domain errors as AWS's: one table of the odd ones, one rule for the rest.

A domain error `X` is AWS's `XException`, status 400; the table lists those that are called otherwise. What the server
cannot do now is a ServerException with 503, which SDKs try again. What nobody foresaw is logged and answered as a
ServerException with 500 that says nothing of the inside. IAM and STS, which speak the query protocol, have other names
for the errors of the wire, and their models name the rest (`error.code`).

Sources: the ECR model; AWS, "Common error types"; promises.md P8, F12, F24.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from registry import errors, undo_errors
from registry.aws import spec
from registry.errors import LongshoreError
from registry.names import BadName

RETRY_SECONDS: Final = 2

# Codes that are in no model: every AWS service may answer them.
COMMON: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteBodyException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "RequestEntityTooLargeException",
        "RequestTimeoutException",
        "SerializationException",
        "ServerException",
        "ThrottlingException",
        "UnknownOperationException",
        "UnrecognizedClientException",
        "UnsupportedMediaTypeException",
        "UnsupportedOperationException",
        "ValidationException",
    }
)

_INTERNAL: Final = "The server failed to answer this request; its operator finds it in the log by the request id."

# The domain errors whose AWS code is not their own name.
_CODES: Final[Mapping[type[LongshoreError], str]] = {
    errors.AccessDenied: "AccessDeniedException",
    errors.BlobNotFound: "LayersNotFoundException",
    errors.NotAuthenticated: "UnrecognizedClientException",  # where the error itself names none
    errors.BlobArchived: "LayerInaccessibleException",
    errors.BlobInUse: "InvalidParameterException",
    errors.ImageInaccessible: "ImageNotFoundException",  # BatchGetImage tells it as a failure
    undo_errors.RepositoryProtected: "InvalidParameterException",
    undo_errors.CannotUndelete: "InvalidParameterException",
    undo_errors.NothingToUndelete: "ImageNotFoundException",
    errors.ImageReferencedByManifestList: "InvalidParameterException",  # BatchDeleteImage tells it as a failure
    errors.ManifestInvalid: "InvalidParameterException",
    errors.SizeInvalid: "InvalidParameterException",
    errors.TooLarge: "InvalidParameterException",
    errors.QuotaExceeded: "LimitExceededException",
    errors.RangeInvalid: "InvalidLayerPartException",
    errors.UploadConflict: "InvalidLayerPartException",
    errors.TooManyRequests: "ThrottlingException",
}


def _received(size: int) -> dict[str, int]:
    """The last byte of an upload of that size; an empty one has none, and the member may not be negative."""
    return {"lastValidByteReceived": size - 1} if size else {}


# What an error carries beside its message, by the members of its shape.
_MEMBERS: Final[Mapping[type[LongshoreError], Callable[[Any], dict[str, Any]]]] = {
    errors.InvalidLayerPart: lambda error: {
        "registryId": error.account,
        "repositoryName": error.name,
        "uploadId": error.upload,
        **_received(error.last_valid_byte + 1),
    },
    errors.RangeInvalid: lambda error: _received(error.size),
    errors.UploadConflict: lambda error: _received(error.size),
}

# The query protocol's names for the errors of the wire, with their statuses.
_QUERY: Final[Mapping[str, tuple[str, int]]] = {
    "AccessDeniedException": ("AccessDenied", 403),
    "ExpiredTokenException": ("ExpiredToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "RequestEntityTooLargeException": ("RequestEntityTooLarge", 413),
    "SerializationException": ("MalformedInput", 400),
    "ServerException": ("InternalFailure", 500),
    "ThrottlingException": ("Throttling", 400),
    "UnknownOperationException": ("InvalidAction", 400),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "ValidationException": ("ValidationError", 400),
}

_FIELDS: Final[Mapping[str, str]] = {
    "account": "registryId",
    "arn": "resourceArn",
    "digest": "imageDigest",
    "repository": "repositoryName",
    "tag": "imageTag",
}


class Refusal(Exception):
    """Trouble that only the wire knows: the request never reached an operation. `code` is one of COMMON."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message)
        self.code, self.status, self.message = code, status, message


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """An error as a client sees it. `members` are those of the error's shape, beside the message."""

    code: str
    status: int
    message: str
    members: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    retry: bool = False  # whether the same request may succeed later


def face(error: Exception, service: spec.Service | None, operation: spec.Operation | None) -> Face:
    """How `error` is told to a client of the operation; either may be None where it is not known (yet)."""
    found = _face(error, service, operation)
    if service is None or service.protocol == "json":
        return found
    if found.status == 503:
        return dataclasses.replace(found, code="ServiceUnavailable")
    if isinstance(error, errors.InvalidParameter) and error.why:
        found = dataclasses.replace(found, message=_sentence(error))
    modelled = None if isinstance(error, errors.NotAuthenticated) else service.errors.get(found.code)
    code, status = (modelled.code, modelled.status) if modelled else _QUERY.get(found.code, (found.code, found.status))
    return dataclasses.replace(found, code=code, status=status)


def invalid_parameter(field: str, why: str, value: object = None) -> errors.InvalidParameter:
    """A parameter's error in the words that ECR uses; `field` is its name on the wire."""
    return errors.InvalidParameter(
        f"Invalid parameter at '{field}' failed to satisfy constraint: '{why}'",
        field=field.partition(".")[0],
        where=field,
        why=why,
        value=value,
    )


# What IAM says of a value that does not match one of these patterns of its model.
_IAM_PATTERNS: Final[Mapping[str, str]] = {
    r"[\w+=,.@-]+": "It must contain only alphanumeric characters and/or the following: +=,.@_-",
    r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)": "It must begin and end with / and contain only alphanumeric "
    "characters and/or / characters.",
    r"\u002F[\u0021-\u007F]*": "It must begin with / and contain only alphanumeric characters and/or / characters.",
}
_PATTERN: Final = "must satisfy regular expression '"


def _sentence(error: errors.InvalidParameter) -> str:
    """A parameter's error in the words that IAM and STS use."""
    field = ".".join(part[:1].lower() + part[1:] for part in error.where.split("."))
    why = error.why
    if why.startswith(_PATTERN):
        pattern = why.removeprefix(_PATTERN).removesuffix("'")
        if pattern in _IAM_PATTERNS:
            return f"The specified value for {field} is invalid. {_IAM_PATTERNS[pattern]}"
        why = f"Member must satisfy regular expression pattern: {pattern}"
    value = "null" if error.value is None else f"'{str(error.value)[:300]}'"
    return f"1 validation error detected: Value {value} at '{field}' failed to satisfy constraint: {why}"


def _face(error: Exception, service: spec.Service | None, operation: spec.Operation | None) -> Face:
    if isinstance(error, Refusal):
        return Face(code=error.code, status=error.status, message=error.message, retry=error.status == 503)
    if isinstance(error, BadName):
        return _face(invalid_parameter(_FIELDS.get(error.kind, error.kind), error.why), service, operation)
    if not isinstance(error, LongshoreError):
        return Face(code="ServerException", status=500, message=_INTERNAL)
    if isinstance(error, errors.Unavailable):
        return Face(code=code_of(type(error)), status=503, message=error.message, retry=True)
    code = error.code if isinstance(error, errors.NotAuthenticated) else code_of(type(error))
    if isinstance(error, errors.InvalidParameter):
        code = _invalid_code(service, operation)
    return Face(
        code=code,
        status=400,
        message=error.message,
        members=_MEMBERS.get(type(error), lambda _: {})(error),
        retry=isinstance(error, errors.TooManyRequests),
    )


def code_of(kind: type[LongshoreError]) -> str:
    """The AWS code of a domain error."""
    if issubclass(kind, errors.Unavailable):
        return "ServerException"
    return _CODES.get(kind) or f"{kind.__name__}Exception"


def _invalid_code(service: spec.Service | None, operation: spec.Operation | None) -> str:
    """Newer operations call a bad parameter a validation error, and some services know no other word."""
    declared = operation.errors if operation is not None else frozenset[str]()
    known = service is not None and "InvalidParameterException" in service.errors
    if "InvalidParameterException" in declared or (known and "ValidationException" not in declared):
        return "InvalidParameterException"
    return "ValidationException"
