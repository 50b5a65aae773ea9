"""URLs that open one layer for a while, to whoever has them: GetDownloadUrlForLayer, on stores that cannot presign.

Such a URL is a `/v2/` blob URL with a sealed grant as its only parameter. The grant names the repository by id, the
digest and the end; it opens nothing else, not even the same layer in a repository that was deleted and made again,
and it ends early when no image of the repository uses the layer any more.
"""

import contextlib
from typing import Final

import msgspec

from registry import repositories
from registry.auth.sealing import BadSeal
from registry.context import Deps
from registry.errors import AccessDenied, RepositoryNotFound
from registry.model import Repository
from registry.names import Digest, RegistryRef, RepositoryName, repository_arn
from registry.records import blobs

PARAMETER: Final = "X-Longshore-Grant"
SECONDS: Final = 3600


class _Grant(msgspec.Struct, frozen=True, array_like=True):
    repository_id: int
    digest: str
    exp: int  # whole seconds since 1970


_grants = msgspec.json.Decoder(_Grant)


def url(deps: Deps, repository: Repository, digest: Digest) -> str:
    """A URL that GETs the layer for the next hour, without any other credential."""
    ends = int(deps.clock.now().timestamp()) + SECONDS
    sealed = deps.sealer.seal("layer-url", msgspec.json.encode(_Grant(repository.id, str(digest), ends)))
    base = deps.hosts.registry_url(repository.registry)
    return f"{base}/v2/{repository.name}/blobs/{digest}?{PARAMETER}={sealed}"


async def check(deps: Deps, registry: RegistryRef, name: RepositoryName, digest: Digest, sealed: str) -> None:
    """Return if the grant opens this layer now. Raises AccessDenied, for a repository that does not exist too: who has
    no grant learns no names."""
    try:
        grant = _grants.decode(deps.sealer.open("layer-url", sealed))
    except (BadSeal, msgspec.MsgspecError):
        grant = _Grant(0, "", 0)
    with contextlib.suppress(RepositoryNotFound):
        repository = await repositories.get(deps, registry, name)
        if _opens(deps, grant, repository, digest) and await deps.db.point(
            lambda tx: blobs.is_referenced(tx, repository.id, digest)
        ):
            return
    clause = "because the URL does not open this layer, or no longer"
    raise AccessDenied("anonymous", "ecr:GetDownloadUrlForLayer", repository_arn(registry, name), clause)


def _opens(deps: Deps, grant: _Grant, repository: Repository, digest: Digest) -> bool:
    named = (grant.repository_id, grant.digest) == (repository.id, digest)
    return named and grant.exp > deps.clock.now().timestamp()
