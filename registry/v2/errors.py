"""Domain errors as the OCI specification's: one table, looked up by nearest ancestor, and one body.

Codes are the specification's own ("Error Codes"), so a client may print them as it likes; statuses follow the
endpoint table, and ECR's where the specification is silent.
"""

import json
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from registry import errors
from registry.intake import BodyCut
from registry.names import BadName

API_VERSION: Final = ("Docker-Distribution-Api-Version", "registry/2.0")
_RETRY_SECONDS: Final = "2"

# Nearest ancestor wins. (OCI code, HTTP status)
TABLE: Final[Mapping[type[Exception], tuple[str, int]]] = {
    errors.LongshoreError: ("UNSUPPORTED", 400),
    errors.NotFound: ("NAME_UNKNOWN", 404),
    errors.ImageNotFound: ("MANIFEST_UNKNOWN", 404),
    errors.LayersNotFound: ("MANIFEST_BLOB_UNKNOWN", 404),
    errors.BlobNotFound: ("BLOB_UNKNOWN", 404),
    errors.ReferencedImagesNotFound: ("MANIFEST_BLOB_UNKNOWN", 404),
    errors.UploadNotFound: ("BLOB_UPLOAD_UNKNOWN", 404),
    errors.Conflict: ("DENIED", 409),
    errors.ImageTagAlreadyExists: ("DENIED", 400),
    errors.ImageReferencedByManifestList: ("UNSUPPORTED", 405),
    errors.BlobInUse: ("UNSUPPORTED", 405),
    errors.Invalid: ("UNSUPPORTED", 400),
    errors.ManifestInvalid: ("MANIFEST_INVALID", 400),
    errors.TooLarge: ("DENIED", 413),  # dockerd would send the layer six times at SIZE_INVALID
    errors.SizeInvalid: ("SIZE_INVALID", 400),
    errors.RangeInvalid: ("BLOB_UPLOAD_INVALID", 416),
    errors.InvalidLayer: ("DIGEST_INVALID", 400),
    errors.ImageDigestDoesNotMatch: ("DIGEST_INVALID", 400),
    errors.NotAuthenticated: ("UNAUTHORIZED", 401),
    errors.AccessDenied: ("DENIED", 403),
    errors.Limited: ("TOOMANYREQUESTS", 429),
    errors.QuotaExceeded: ("DENIED", 403),  # clients would wait and try again at 429, for what no wait changes
    errors.Unavailable: ("UNSUPPORTED", 503),
    BodyCut: ("BLOB_UPLOAD_INVALID", 408),
}
_NAMES: Final = {"repository": "NAME_INVALID", "digest": "DIGEST_INVALID", "tag": "MANIFEST_INVALID"}


class OciError(Exception):
    """An error that only this door knows."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message)
        self.code, self.status, self.message = code, status, message


def response(error: Exception, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer that tells a client about `error`, which may be any of the table's, a BadName or an OciError."""
    code, status, message = describe(error)
    answer = answer_of(code, status, message)
    answer.headers.update(headers or {})
    if status in (429, 503):
        answer.headers["Retry-After"] = _RETRY_SECONDS
    if isinstance(error, errors.RangeInvalid):
        answer.headers["Range"] = range_of(error.size)
    return answer


def describe(error: Exception) -> tuple[str, int, str]:
    """(OCI code, HTTP status, message) of an error; what is not in the table stays inside."""
    if isinstance(error, OciError):
        return error.code, error.status, error.message
    if isinstance(error, BadName):
        return _NAMES.get(error.kind, "NAME_INVALID"), 400, error.why
    for kind in type(error).__mro__:
        if kind in TABLE:
            code, status = TABLE[kind]
            return code, status, str(error)
    return "UNSUPPORTED", 500, "the registry failed to answer; the operator finds this request in the log by its id"


def answer_of(code: str, status: int, message: str) -> web.Response:
    body = {"errors": [{"code": code, "message": message, "detail": None}]}
    answer = web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")
    answer.headers[API_VERSION[0]] = API_VERSION[1]
    return answer


def range_of(size: int) -> str:
    """The Range header of an upload of this size: both ends inclusive, and `0-0` also for an empty one."""
    return f"0-{max(size - 1, 0)}"
