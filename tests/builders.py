"""The smallest valid things, each of whose parts a test may choose."""

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tests.servers import Answer, RunningServer

OCI_IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
EMPTY: Final = "application/vnd.oci.empty.v1+json"

_numbers = itertools.count()


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def descriptor(data: bytes, media_type: str = OCI_LAYER, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def unique_bytes(size: int = 64) -> bytes:
    """Bytes that nobody pushed yet."""
    return os.urandom(min(size, 1 << 16)).ljust(size, b".")[:size] if size else b""


def unique_name(prefix: str = "app") -> str:
    """A repository name that no other test of this run uses."""
    return f"{prefix}-{os.getpid()}-{next(_numbers)}"


class Built(NamedTuple):
    """A manifest, and the blobs that it needs."""

    body: bytes
    media_type: str
    blobs: tuple[bytes, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.body)

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return descriptor(self.body, self.media_type, **more)


def image(
    *,
    layers: Sequence[bytes] | None = None,
    config: bytes | None = None,
    config_type: str = OCI_CONFIG,
    subject: Mapping[str, Any] | None = None,
    media_type: str = OCI_IMAGE,
    **more: Any,
) -> Built:
    """An image with a config and, unless told otherwise, one layer of its own. `more` are fields of the manifest."""
    config = (
        json.dumps({"architecture": "amd64", "os": "linux", "n": next(_numbers)}).encode() if config is None else config
    )
    layers = [unique_bytes()] if layers is None else layers
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config, config_type),
        "layers": [descriptor(layer) for layer in layers],
        **more,
    }
    if subject is not None:
        document["subject"] = dict(subject)
    return Built(json.dumps(document).encode(), media_type, (config, *layers))


def index(*children: Built, media_type: str = OCI_INDEX, **more: Any) -> Built:
    """An index of these manifests."""
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [child.descriptor() for child in children],
        **more,
    }
    return Built(json.dumps(document).encode(), media_type)


# --- pushing ----------------------------------------------------------------------------------------------------------


def push_blob(server: RunningServer, repository: str, data: bytes, *, algorithm: str = "sha256") -> str:
    """By one POST; the digest."""
    digest = digest_of(data, algorithm)
    answer = server.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)
    assert answer.status == 201, (answer.status, answer.body)
    return digest


def put_manifest(server: RunningServer, repository: str, built: Built, reference: str | None = None) -> Answer:
    """PUT without its blobs. `reference`: a tag; None: by digest."""
    path = f"/v2/{repository}/manifests/{reference or built.digest}"
    return server.request("PUT", path, built.body, {"Content-Type": built.media_type})


def push(server: RunningServer, repository: str, built: Built, reference: str | None = None) -> str:
    """The blobs and the manifest; its digest."""
    for blob in built.blobs:
        push_blob(server, repository, blob)
    answer = put_manifest(server, repository, built, reference)
    assert answer.status == 201, (answer.status, answer.body)
    return built.digest
