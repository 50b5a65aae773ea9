"""From a raw request to its handler: the path is read by hand, the caller identified, the action authorized.

The path is taken as it came over the wire. Nothing is decoded but `%3A`, which some clients send in digests; any other
escape, an empty segment or a dot segment finds no route (promises.md T15). Segments are read from the end, since a
repository may be called `a/manifests/b`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from policies.access import Decision
from registry import downloads
from registry.auth.principals import ANONYMOUS, Principal
from registry.context import ACTION, PRINCIPAL, RECORD, RESOURCE, Context, Deps
from registry.errors import AccessDenied, LongshoreError, NotAuthenticated
from registry.intake import BodyCut
from registry.names import BadName, Digest, RepositoryName, is_digest, repository_arn
from registry.v2 import blobs, evidence, listings, login, manifests, uploads
from registry.v2.calls import Call, Handler
from registry.v2.errors import OciError, response


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What answers one method of one kind of path. Any one of `actions` suffices; none: a login is enough.

    `by_handler`: the handler asks itself, for each of the resources that it finds.
    """

    handler: Handler
    actions: tuple[str, ...]
    by_handler: bool = False


async def _base(_call: Call) -> web.StreamResponse:
    """end-1: yes, this is a registry, and you are logged in."""
    return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})


# The ECR action behind each call: AWS's user guide lists them for pushes and pulls; those of the rest are inferred from
# the operation of the same meaning.
ROUTES: Final[Mapping[tuple[str, str], Route]] = {
    ("base", "GET"): Route(handler=_base, actions=()),
    ("base", "HEAD"): Route(handler=_base, actions=()),
    ("catalog", "GET"): Route(handler=listings.catalog, actions=("ecr:DescribeRepositories",), by_handler=True),
    ("catalog", "HEAD"): Route(handler=listings.catalog, actions=("ecr:DescribeRepositories",), by_handler=True),
    ("tags", "GET"): Route(handler=listings.tags, actions=("ecr:ListImages",)),
    ("tags", "HEAD"): Route(handler=listings.tags, actions=("ecr:ListImages",)),
    ("referrers", "GET"): Route(handler=listings.referrers, actions=("ecr:BatchGetImage",)),
    ("referrers", "HEAD"): Route(handler=listings.referrers, actions=("ecr:BatchGetImage",)),
    ("manifest", "GET"): Route(handler=manifests.get, actions=("ecr:BatchGetImage",)),
    ("manifest", "HEAD"): Route(handler=manifests.get, actions=("ecr:BatchGetImage",)),
    ("manifest", "PUT"): Route(handler=manifests.put, actions=("ecr:PutImage",)),
    ("manifest", "DELETE"): Route(handler=manifests.delete, actions=("ecr:BatchDeleteImage",)),
    ("blob", "GET"): Route(handler=blobs.get, actions=("ecr:GetDownloadUrlForLayer",)),
    # AWS's pull-only policies leave BatchCheckLayerAvailability out, and clients HEAD before they GET.
    ("blob", "HEAD"): Route(
        handler=blobs.head, actions=("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer")
    ),
    ("blob", "DELETE"): Route(handler=blobs.delete, actions=("ecr:BatchDeleteImage",)),
    ("uploads", "POST"): Route(handler=uploads.begin, actions=("ecr:InitiateLayerUpload",)),
    ("upload", "GET"): Route(handler=uploads.status, actions=("ecr:UploadLayerPart",)),
    ("upload", "HEAD"): Route(handler=uploads.status, actions=("ecr:UploadLayerPart",)),
    ("upload", "PATCH"): Route(handler=uploads.append, actions=("ecr:UploadLayerPart",)),
    ("upload", "PUT"): Route(handler=uploads.finish, actions=("ecr:CompleteLayerUpload",)),
    ("upload", "DELETE"): Route(handler=uploads.cancel, actions=("ecr:UploadLayerPart",)),
}
# Whose answers may be given again. Not HEAD of a blob: it tells that a push need not bring it.
_GIVEN_AGAIN: Final = frozenset({("manifest", "GET"), ("manifest", "HEAD"), ("blob", "GET")})
_LONGEST_PATH: Final = 1024


def parse(raw_path: str) -> tuple[str, str, str]:
    """(kind of path, repository name, reference) of a path below `/v2/`, the latter two not yet checked.

    Raises OciError 404 for what is no path of the specification.
    """
    path = raw_path.partition("?")[0].replace("%3A", ":").replace("%3a", ":")
    if path in ("/v2", "/v2/"):
        return "base", "", ""
    parts = path.removeprefix("/v2/").split("/")
    if len(path) > _LONGEST_PATH or "%" in path:
        raise _no_route()
    if parts == ["_catalog"]:
        return "catalog", "", ""
    match parts:
        case [*name, "manifests", reference]:
            kind = "manifest"
        case [*name, "tags", "list"]:
            kind, reference = "tags", ""
        case [*name, "referrers", reference]:
            kind = "referrers"
        case [*name, "blobs", "uploads", ""] | [*name, "blobs", "uploads"]:
            kind, reference = "uploads", ""
        case [*name, "blobs", "uploads", reference]:
            kind = "upload"
        case [*name, "blobs", reference]:
            kind = "blob"
        case _:
            raise _no_route()
    return kind, "/".join(name), reference


async def handle(deps: Deps, request: web.BaseRequest, request_id: str) -> web.StreamResponse:
    """Answer a request whose path begins with `/v2`, or is the token service's. Raises nothing that has an OCI face."""
    scope, methods = "", login.METHODS
    try:
        if request.raw_path.partition("?")[0] == login.TOKEN_PATH:
            return await login.token(deps, request)
        kind, name_text, reference = parse(request.raw_path)
        methods = tuple(method for found, method in ROUTES if found == kind)
        route = ROUTES.get((kind, request.method))
        if route is None:
            raise OciError("UNSUPPORTED", 405, f"{request.method} is not supported here")
        name = RepositoryName.parse(name_text) if kind not in ("base", "catalog") else RepositoryName("")
        scope = _scope(name, request.method)
        if downloads.PARAMETER in request.query and kind == "blob" and request.method == "GET":
            return await _answer_granted(deps, request, request_id, name, reference)
        if route.actions:
            request[ACTION] = route.actions[0]
        before = await evidence.beforehand(deps) if (kind, request.method) in _GIVEN_AGAIN else None
        principal = await _principal(deps, request)
        call = _call(deps, request, request_id, principal, kind, name, reference)
        return await _answer(dataclasses.replace(call, before=before), route)
    except NotAuthenticated as error:
        return response(error, login.challenge(deps, request, scope))
    except blobs.RangeUnsatisfiable as error:
        return response(error, {"Content-Range": f"bytes */{error.size}"})
    except (OciError, BadName, LongshoreError, BodyCut) as error:
        if request.writer.output_size:
            # Bytes that turned out bad while they were sent: a second answer would be taken for the rest of the first.
            raise ConnectionResetError("the answer that has begun cannot be finished") from error
        answer = response(error)
        if answer.status == 405:
            answer.headers["Allow"] = ", ".join(method for method in methods if method != request.method)
        return answer


async def _answer(call: Call, route: Route) -> web.StreamResponse:
    if route.actions:
        call.context.count(route.actions[0])
    call = dataclasses.replace(call, decision=await _authorize(call, route))
    if call.request.method not in ("GET", "HEAD"):
        call = dataclasses.replace(call, context=call.context.doing(route.actions[0], call.arn))
    return await route.handler(call)


async def _answer_granted(
    deps: Deps, request: web.BaseRequest, request_id: str, name: RepositoryName, reference: str
) -> web.StreamResponse:
    """GET of a blob by a URL that the API signed: its grant is all the credential there is, and all the query."""
    call = _call(deps, request, request_id, ANONYMOUS, "blob", name, reference)
    if len(request.query) != 1:
        raise AccessDenied("anonymous", "ecr:GetDownloadUrlForLayer", call.arn, "because the URL was altered")
    grant = request.query[downloads.PARAMETER]
    await downloads.check(deps, call.context.registry, name, Digest.parse(reference), grant)
    return await blobs.get(call)


def _call(
    deps: Deps,
    request: web.BaseRequest,
    request_id: str,
    principal: Principal,
    kind: str,
    name: RepositoryName,
    reference: str,
) -> Call:
    request[PRINCIPAL] = principal
    context = Context(
        deps=deps,
        principal=principal,
        registry=deps.hosts.registry_of(request.headers.get("Host", "")),
        request_id=request_id,
        source_ip=request.remote or "",
        user_agent=request.headers.get("User-Agent", "")[:512],
        secure=request.secure,
        parameters=_parameters(kind, name, reference),
    )
    request[RECORD] = context.record
    request[RESOURCE] = repository_arn(context.registry, name or "*")
    return Call(context=context, request=request, name=name, reference=reference)


def _parameters(kind: str, name: str, reference: str) -> dict[str, str]:
    """The path as the API's operation of the same meaning would have it; of an upload's id what is no secret."""
    found = {"repositoryName": name} if name else {}
    match kind:
        case "manifest":
            found["imageDigest" if is_digest(reference) else "imageTag"] = reference
        case "blob":
            found["layerDigest"] = reference
        case "upload":
            found["uploadId"] = reference.partition(".")[0]
    return found


async def _principal(deps: Deps, request: web.BaseRequest) -> Principal:
    given = request.headers.getall("Authorization", [])
    if not given:
        return ANONYMOUS  # who may do what is open to everyone, and is asked to log in for all else
    if len(given) != 1:
        raise NotAuthenticated
    return await deps.authenticator.header(given[0], deps.clock.now())


async def _authorize(call: Call, route: Route) -> Decision | None:
    """The decision that allows the call; None where its handler asks, or where being logged in is enough."""
    if not route.actions:
        if call.context.principal.is_anonymous and call.deps.settings.auth.challenge != "none":
            raise NotAuthenticated
        return None
    if route.by_handler:
        return None
    first, *others = route.actions
    for action in others:
        if await call.context.allows(action, call.arn):
            return None
    return await call.context.authorize(first, call.arn)


def _scope(name: str, method: str) -> str:
    if not name:
        return ""
    rights = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(method, "pull,push")
    return f"repository:{name}:{rights}"


def _no_route() -> OciError:
    return OciError("UNSUPPORTED", 404, "this is no path of the registry API")
