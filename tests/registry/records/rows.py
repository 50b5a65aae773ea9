"""The smallest rows, for tests of statements."""

import datetime as dt

from registry.model import Image, Repository
from registry.names import Digest, RegistryRef, RepositoryName

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def repository(registry: RegistryRef, name: str) -> Repository:
    return Repository(id=0, registry=registry, name=RepositoryName(name), created_at=NOW)


def image(repository_id: int, digest: Digest, *, body_size: int = 2) -> Image:
    return Image(
        id=0,
        repository_id=repository_id,
        digest=digest,
        media_type="application/vnd.oci.image.manifest.v1+json",
        kind="image",
        artifact_type=None,
        config_media_type=None,
        subject=None,
        annotations={},
        body_size=body_size,
        image_size=1,
        pushed_at=NOW,
    )
