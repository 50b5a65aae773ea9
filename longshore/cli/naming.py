"""How arguments name a repository, and an image or tag in it."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from registry.names import Digest, RepositoryName, Tag


def repository_of(text: str) -> "RepositoryName":
    """Raises BadParameter."""
    from registry.names import BadName, RepositoryName

    try:
        return RepositoryName.parse(text)
    except BadName as error:
        raise click.BadParameter(error.why) from None


def image_of(text: str) -> "tuple[RepositoryName, Digest | Tag | None]":
    """What `REPOSITORY`, `REPOSITORY@DIGEST` or `REPOSITORY:TAG` names. Raises BadParameter."""
    from registry.names import BadName, Digest, Tag

    name, at, digest = text.partition("@")
    name, colon, tag = (name, "", "") if at else text.partition(":")
    try:
        reference = Digest.parse(digest) if at else Tag.parse(tag) if colon else None
    except BadName as error:
        raise click.BadParameter(error.why) from None
    return repository_of(name), reference
