"""Who uses an image, so that no lifecycle policy takes it away: a service that runs it, a cluster, a release.

A use names a digest or a tag; a tag's image is the one that it names when a policy looks. It ends when its user says
so, or by itself: a user that may vanish without a word gives an end, and moves it on from time to time.
"""

import datetime as dt
from typing import Final

from registry import repositories
from registry.context import Deps
from registry.errors import InvalidParameter
from registry.names import Digest, RegistryRef, RepositoryName, Tag
from registry.records import image_users as rows
from registry.records.engine import Tx
from registry.records.image_users import Use as Use

_LONGEST_KIND: Final = 64
_LONGEST_NAME: Final = 256


async def add(
    deps: Deps,
    registry: RegistryRef,
    name: RepositoryName,
    reference: Digest | Tag,
    *,
    kind: str,
    user: str,
    until: dt.datetime | None = None,
) -> Use:
    """Say that `user` (a word of `kind`) needs an image, which need not be there yet. Said again, it has a new end.

    Raises RepositoryNotFound, InvalidParameter.
    """
    for what, text, longest in (("kind", kind, _LONGEST_KIND), ("name", user, _LONGEST_NAME)):
        if not 1 <= len(text) <= longest or not text.isprintable():
            raise InvalidParameter(f"the {what} of a user of images is a text of 1 to {longest} characters", field=what)
    use = Use(reference=reference, kind=kind, name=user, until=until, added_at=deps.clock.now())

    def unit(tx: Tx) -> None:
        rows.put(tx, repositories.require(tx, registry, name).id, use)

    await deps.db.write(unit)
    return use


async def remove(
    deps: Deps, registry: RegistryRef, name: RepositoryName, reference: Digest | Tag | None, *, kind: str, user: str
) -> int:
    """Say that a user needs an image no more, or none of the repository: how many uses ended. Raises
    RepositoryNotFound."""

    def unit(tx: Tx) -> int:
        return rows.delete(tx, repositories.require(tx, registry, name).id, kind, user, reference)

    return await deps.db.write(unit)


async def of(deps: Deps, registry: RegistryRef, name: RepositoryName) -> list[Use]:
    """Who uses images of a repository now. Raises RepositoryNotFound."""
    now = deps.clock.now()

    def unit(tx: Tx) -> list[Use]:
        return rows.of(tx, repositories.require(tx, registry, name).id)

    return [use for use in await deps.db.read(unit) if use.until is None or use.until > now]


def in_words(use: Use) -> str:
    """Why an image stays, to go on after "kept because"."""
    end = "" if use.until is None else f" until {use.until:%Y-%m-%dT%H:%M:%SZ}"
    return f"{use.kind} {use.name} uses it{end}"


def in_use(tx: Tx, repository_id: int, now: dt.datetime) -> dict[str, str]:
    """The images that somebody uses now, by digest, and why each stays."""
    return {digest: in_words(use) for digest, use in rows.in_use(tx, repository_id, now).items()}


def forget_ended(tx: Tx, repository_id: int, now: dt.datetime) -> None:
    """Remove uses whose end has come."""
    rows.forget_ended(tx, repository_id, now)
