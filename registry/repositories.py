"""Repositories: create, find, list, change, delete."""

import dataclasses
import datetime as dt
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from policies import documents, filters
from policies.elements import PolicyInvalid
from registry import bindings, failpoints, history, limits, reactions, undo
from registry.context import Deps
from registry.errors import (
    InvalidParameter,
    InvalidTagParameter,
    LimitExceeded,
    RepositoryAlreadyExists,
    RepositoryNotEmpty,
    RepositoryNotFound,
    RepositoryPolicyNotFound,
    TooManyTags,
)
from registry.events import ImageDeleted, about
from registry.model import Mutability, Repository
from registry.names import RegistryRef, RepositoryName, repository_arn
from registry.records import blobs as blob_rows
from registry.records import images as image_rows
from registry.records import repositories as rows
from registry.records import undo as undo_rows
from registry.records.engine import Tx
from registry.undo_errors import RepositoryProtected

MAX_RESOURCE_TAGS: Final = 50
_PAGE: Final = 500  # images that are looked at together


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a new repository shall be."""

    mutability: Mutability = "MUTABLE"
    mutability_filters: tuple[str, ...] = ()
    scan_on_push: bool = False
    encryption: Literal["AES256", "KMS", "KMS_DSSE"] = "AES256"
    kms_key: str | None = None
    resource_tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


async def create(deps: Deps, registry: RegistryRef, name: RepositoryName, wish: Wish) -> Repository:
    """Raises RepositoryAlreadyExists, InvalidParameter, InvalidTagParameter, TooManyTags, LimitExceeded."""
    _check_mutability(wish.mutability, wish.mutability_filters)
    _check_resource_tags(wish.resource_tags, repository_arn(registry, name))
    new = Repository(
        id=0,
        registry=registry,
        name=name,
        created_at=deps.clock.now(),
        mutability=wish.mutability,
        mutability_filters=wish.mutability_filters,
        scan_on_push=wish.scan_on_push,
        encryption=wish.encryption,
        kms_key=wish.kms_key,
        resource_tags=wish.resource_tags,
    )

    def unit(tx: Tx) -> Repository:
        created = rows.insert(tx, new)
        if created is None:
            raise RepositoryAlreadyExists(name, registry.account)
        _check_count(tx, deps, registry)
        return created

    return await deps.db.write(unit)


async def get(deps: Deps, registry: RegistryRef, name: RepositoryName) -> Repository:
    """Raises RepositoryNotFound."""
    found = await deps.authorizer.rights.repository(registry, name)
    if found is None:
        raise RepositoryNotFound(name, registry.account)
    return found


def require(tx: Tx, registry: RegistryRef, name: RepositoryName) -> Repository:
    """`get` inside another room's transaction."""
    found = rows.find(tx, registry, name)
    if found is None:
        raise RepositoryNotFound(name, registry.account)
    return found


def require_unprotected(tx: Tx, registry: RegistryRef, name: RepositoryName) -> Repository:
    """`require`, for who deletes something in it. Raises RepositoryNotFound, RepositoryProtected."""
    found = require(tx, registry, name)
    if found.protected:
        raise RepositoryProtected(name, registry.account)
    return found


async def get_many(deps: Deps, registry: RegistryRef, names: Sequence[RepositoryName]) -> list[Repository]:
    """In the order asked. Raises RepositoryNotFound for the first that is missing."""
    return await deps.db.read(lambda tx: [require(tx, registry, name) for name in names])


async def page(deps: Deps, registry: RegistryRef, *, after: str, limit: int) -> list[Repository]:
    """The first `limit` repositories behind the name `after`, in order of name."""
    return await deps.db.read(lambda tx: rows.page(tx, registry, after=after, limit=limit))


async def delete(deps: Deps, registry: RegistryRef, name: RepositoryName, *, force: bool) -> Repository:
    """All of it or nothing. Raises RepositoryNotFound, RepositoryProtected, RepositoryNotEmpty."""

    def unit(tx: Tx) -> Repository:
        found, now = require_unprotected(tx, registry, name), deps.clock.now()
        if not force and image_rows.any_in(tx, found.id):
            raise RepositoryNotEmpty(name, registry.account)
        undo.keep_repository(tx, deps, found, now=now)
        history.all_gone(tx, deps, found, now=now)
        if found.listened:
            _tell_of_images(tx, found, now)
        blob_rows.release_all(tx, found.id, now)
        rows.delete(tx, found.id)
        failpoints.passing("repository-rows")
        return found

    deleted = await deps.db.write(unit)
    await failpoints.crossing("repository-committed")
    return deleted


def restored(tx: Tx, deps: Deps, deleted_id: int) -> Repository:
    """Make a deleted repository again, whose name is free, inside another room's transaction. Raises LimitExceeded."""
    found = rows.by_id(tx, undo_rows.restore_repository(tx, deleted_id))
    assert found is not None
    _check_count(tx, deps, found.registry)
    return found


async def set_mutability(
    deps: Deps, registry: RegistryRef, name: RepositoryName, mutability: Mutability, mutability_filters: tuple[str, ...]
) -> Repository:
    """Raises InvalidParameter, RepositoryNotFound."""
    _check_mutability(mutability, mutability_filters)
    return await _change(deps, registry, name, mutability=mutability, mutability_filters=mutability_filters)


async def set_scan_on_push(deps: Deps, registry: RegistryRef, name: RepositoryName, scan: bool) -> Repository:
    """Raises RepositoryNotFound."""
    return await _change(deps, registry, name, scan_on_push=scan)


async def set_protected(deps: Deps, registry: RegistryRef, name: RepositoryName, protected: bool) -> Repository:
    """Whether a repository and all that is in it are safe from deletion. Raises RepositoryNotFound."""
    return await _change(deps, registry, name, protected=protected)


async def add_resource_tags(
    deps: Deps, registry: RegistryRef, name: RepositoryName, added: Mapping[str, str]
) -> Repository:
    """Raises InvalidTagParameter, TooManyTags, RepositoryNotFound."""

    def unit(tx: Tx) -> Repository:
        found = require(tx, registry, name)
        merged = {**found.resource_tags, **added}
        _check_resource_tags(merged, repository_arn(registry, name))
        return _store(tx, found, resource_tags=merged)

    return await deps.db.write(unit)


async def remove_resource_tags(
    deps: Deps, registry: RegistryRef, name: RepositoryName, keys: Sequence[str]
) -> Repository:
    """Keys that are not there are fine. Raises RepositoryNotFound."""

    def unit(tx: Tx) -> Repository:
        found = require(tx, registry, name)
        return _store(tx, found, resource_tags={k: v for k, v in found.resource_tags.items() if k not in keys})

    return await deps.db.write(unit)


# --- repository policy ------------------------------------------------------------------------------------------------


async def set_policy(deps: Deps, registry: RegistryRef, name: RepositoryName, text: str) -> Repository:
    """Keep a repository policy, as it was put. Raises InvalidParameter for one that is not a policy."""

    def unit(tx: Tx) -> Repository:
        found = require(tx, registry, name)
        try:
            bound = bindings.bind(tx, documents.parse_resource_policy(text))
        except PolicyInvalid as error:
            raise InvalidParameter(
                f"Invalid parameter at 'PolicyText' failed to satisfy constraint: "
                f"'Invalid repository policy provided': {error}",
                field="policyText",
            ) from None
        return _store(tx, found, policy=text, policy_bindings=bound)

    return await deps.db.write(unit)


async def get_policy(deps: Deps, registry: RegistryRef, name: RepositoryName) -> str:
    """Raises RepositoryNotFound, RepositoryPolicyNotFound."""
    found = await get(deps, registry, name)
    if found.policy is None:
        raise RepositoryPolicyNotFound(name, registry.account)
    return found.policy


async def delete_policy(deps: Deps, registry: RegistryRef, name: RepositoryName) -> str:
    """The text of the policy that is gone now. Raises RepositoryNotFound, RepositoryPolicyNotFound."""

    def unit(tx: Tx) -> str:
        found = require(tx, registry, name)
        if found.policy is None:
            raise RepositoryPolicyNotFound(name, registry.account)
        _store(tx, found, policy=None, policy_bindings={})
        return found.policy

    return await deps.db.write(unit)


# --- inside -----------------------------------------------------------------------------------------------------------


def _tell_of_images(tx: Tx, repository: Repository, now: dt.datetime) -> None:
    """Say of every image that it goes."""
    after = ""
    while page := image_rows.page(tx, repository.id, after=after, limit=_PAGE):
        for image in page:
            reactions.emit(tx, ImageDeleted(**about(repository, image, image.tags, now), is_gone=True))
        after = page[-1].digest


async def _change(deps: Deps, registry: RegistryRef, name: RepositoryName, **changes: object) -> Repository:
    return await deps.db.write(lambda tx: _store(tx, require(tx, registry, name), **changes))


def _store(tx: Tx, repository: Repository, **changes: object) -> Repository:
    changed = dataclasses.replace(repository, **changes)  # type: ignore[arg-type] # names are this module's own
    rows.update(tx, changed)
    return changed


def _check_count(tx: Tx, deps: Deps, registry: RegistryRef) -> None:
    limit = limits.most(deps.settings.limits, "repositories")
    if limit is not None and rows.count(tx, registry) > limit:
        raise LimitExceeded(f"The registry with id '{registry.account}' may have {limit} repositories at most")


def _check_mutability(mutability: Mutability, wanted: Sequence[str]) -> None:
    try:
        filters.check_mutability(mutability, wanted or None)
    except ValueError as error:
        raise InvalidParameter(str(error), field="imageTagMutabilityExclusionFilters") from None


def _check_resource_tags(wanted: Mapping[str, str], arn: str) -> None:
    if len(wanted) > MAX_RESOURCE_TAGS:
        raise TooManyTags(arn)
    for key, value in wanted.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise InvalidTagParameter("A tag key has 1 to 128 characters and its value at most 256")
        if not _is_tag_text(key) or not _is_tag_text(value):
            raise InvalidTagParameter("Tags are made of letters, digits, spaces and the characters _ . : / = + - @")
        if key.lower().startswith("aws:"):
            raise InvalidTagParameter("Tag keys that begin with aws: are reserved")


def _is_tag_text(text: str) -> bool:
    """Source: AWS, "Tagging your AWS resources": letters, digits and spaces of any script."""
    return all(character in "_.:/=+-@" or unicodedata.category(character)[0] in "LNZ" for character in text)
