"""One `/v2/` request, as its handler sees it."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from policies.access import Decision
from registry import repositories
from registry.context import Context, Deps
from registry.errors import RepositoryAlreadyExists, RepositoryNotFound
from registry.model import Repository
from registry.names import Digest, RepositoryName, repository_arn
from registry.records.engine import Rows
from registry.v2.errors import API_VERSION

# With bytes that someone pushed: whatever they are or say they are, no browser may take them for a page of this origin
# (promises.md T53).
PUSHED: Final[Mapping[str, str]] = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Beforehand:
    """The commit and the stamp that were there before anything was read for a request."""

    db: Rows
    version: int | None  # where the database tells
    stamp: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`name` and `reference` are the path's, parsed and unparsed; `name` is empty for `/v2/` and the catalog."""

    context: Context
    request: web.BaseRequest
    name: RepositoryName
    reference: str
    before: Beforehand | None = None
    decision: Decision | None = None  # by which it was allowed

    @property
    def deps(self) -> Deps:
        return self.context.deps

    @property
    def arn(self) -> str:
        """What the call is about, for authorization."""
        return repository_arn(self.context.registry, self.name or "*")

    def query(self, key: str) -> str | None:
        """The first value of a query parameter."""
        return self.request.query.get(key)

    async def repository(self) -> Repository:
        """The repository that is named. Raises RepositoryNotFound."""
        return await repositories.get(self.deps, self.context.registry, self.name)

    async def repository_for_push(self) -> Repository:
        """The repository that is named, created where the operator wants pushes to create."""
        try:
            return await self.repository()
        except RepositoryNotFound:
            if not self.deps.settings.registry.create_on_push:
                raise RepositoryNotFound(
                    self.name,
                    self.context.registry.account,
                    f"Create it first: aws ecr create-repository --repository-name {self.name}",
                ) from None
        await self.context.authorize("ecr:CreateRepository", self.arn)
        creating = self.context.doing("ecr:CreateRepository", self.arn)
        try:
            return await repositories.create(creating.deps, self.context.registry, self.name, repositories.Wish())
        except RepositoryAlreadyExists:
            return await self.repository()


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


def is_known(request: web.BaseRequest, digest: Digest) -> bool:
    """Whether the client says that it has these bytes."""
    header = request.headers.get("If-None-Match", "")
    known = [part.strip().removeprefix("W/") for part in header.split(",")]
    return f'"{digest}"' in known or known == ["*"]


def empty(status: int, **headers: str) -> web.Response:
    """An answer without a body; header names have `_` for `-`."""
    answer = web.Response(status=status, headers={API_VERSION[0]: API_VERSION[1]})
    for name, value in headers.items():
        answer.headers[name.replace("_", "-")] = value
    return answer
