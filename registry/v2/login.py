"""Login at `/v2/`: the challenge, and the Bearer token service that it names.

The token service takes what Basic takes and hands out a short-lived token that says who asks, whatever scope was
asked for: rights are decided at each request. Asked without credentials it hands out a token for nobody, which opens
just what policies open to everyone. It speaks both forms that clients use: GET with Basic (docker, skopeo, crane) and
the OAuth2 POST form (containerd, BuildKit).

Sources: distribution "Token Authentication Specification", "Docker Registry v2 authentication using OAuth2".
"""

from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from registry.auth import tokens
from registry.auth.principals import ANONYMOUS, Principal
from registry.context import Deps
from registry.errors import NotAuthenticated
from registry.v2 import bodies
from registry.v2.errors import OciError

TOKEN_PATH = "/token"  # noqa: S105 # a path, no secret
METHODS: Final[tuple[str, ...]] = ("GET", "HEAD", "POST")
_FORM_LIMIT = 32 * 1024


def challenge(deps: Deps, request: web.BaseRequest, scope: str) -> dict[str, str]:
    """The header that tells a client how to log in; `scope` as in `repository:<name>:pull`, or empty."""
    base = base_url(deps, request)
    if deps.settings.auth.challenge == "basic":
        return {"WWW-Authenticate": f'Basic realm="{base}/",service="ecr.amazonaws.com"'}
    asked = f',scope="{scope}"' if scope else ""
    host = base.partition("://")[2]
    return {"WWW-Authenticate": f'Bearer realm="{base}{TOKEN_PATH}",service="{host}"{asked}'}


def base_url(deps: Deps, request: web.BaseRequest) -> str:
    """Scheme and host of this server as the client may call it; never a name that only the client vouches for."""
    local = request.transport.get_extra_info("sockname") if request.transport else None
    return deps.hosts.url_for(request.headers.get("Host", ""), local[0] if isinstance(local, tuple) else "")


async def token(deps: Deps, request: web.BaseRequest) -> web.Response:
    """`GET` or `POST /token`. Raises NotAuthenticated for credentials that are not good."""
    now = deps.clock.now()
    if request.method == "POST":
        principal = await _from_form(deps, request)
    elif request.method in ("GET", "HEAD"):
        header = request.headers.get("Authorization")
        if header is None and _asks_to_change(request.query.getall("scope", [])):
            raise NotAuthenticated("log in to push or delete")  # dockerd would try a token for nobody six times
        principal = ANONYMOUS if header is None else await deps.authenticator.header(header, now)
    else:
        raise OciError("UNSUPPORTED", 405, "ask for a token by GET or POST")
    seconds = deps.settings.auth.bearer_seconds
    text = tokens.issue(deps.sealer, "bearer", principal, now=now, seconds=seconds)
    issued = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    body = {"token": text, "access_token": text, "expires_in": seconds, "issued_at": issued}
    return web.json_response(body, headers={"Cache-Control": "no-store"})


def _asks_to_change(scopes: list[str]) -> bool:
    """Whether a scope, as in `repository:<name>:pull,push`, asks for more than reading."""
    rights = {right for scope in " ".join(scopes).split() for right in scope.rpartition(":")[2].split(",")}
    return bool(rights & {"push", "delete", "*"})


async def _from_form(deps: Deps, request: web.BaseRequest) -> Principal:
    """Who an OAuth2 password form speaks for."""
    seconds = deps.settings.limits.json_seconds
    async with bodies.whole(request, "a login form", limit=_FORM_LIMIT, seconds=seconds) as raw:
        try:
            form = {key: values[0] for key, values in parse_qs(raw.decode(), max_num_fields=50).items()}
        except ValueError:
            raise OciError("UNSUPPORTED", 400, "the login form is not readable") from None
    if form.get("grant_type") != "password":
        raise NotAuthenticated("log in with grant_type=password; refresh tokens are not issued")
    user, password = form.get("username", ""), form.get("password", "")
    return await deps.authenticator.password(user, password, deps.clock.now())
